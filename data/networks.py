"""Pretrained networks: the embedded SqueezeNet, torchvision's own weights, or a file."""

import contextlib
import difflib
import sys
import urllib.error
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from image_utils.errors import InputError
from image_utils.loading import check_file
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD

EMBEDDED_NAME = "squeezenet1_1"
EMBEDDED_WEIGHTS = Path(__file__).with_name("squeezenet1_1.safetensors")
CHECKPOINT_KEYS = (
    "state_dict",
    "model_state_dict",
    "model",
)  # under which training scripts keep a network's state


def load_network(name: str = EMBEDDED_NAME, weights: str | Path = "embedded") -> nn.Module:
    """Load an ImageNet classification network, ready to be looked into.

    Args:
        name: any classification network of torchvision, such as "squeezenet1_1", "resnet18" or "vgg16".
        weights: "embedded", the SqueezeNet 1.1 that lies in data/ (squeezenet1_1 only);
            "torchvision", the library's default weights, from its cache or by download;
            "random", untrained but the same each time, for tests;
            or the path of a .safetensors, .pth or .pt state dict.

    Returns:
        nn.Module in eval mode, parameters frozen, on the CPU, float32. It takes (N, 3, H, W) as `preprocess` gives
        it and returns class scores before the softmax, (N, number of classes).

    Raises:
        InputError: unknown name, weights that are missing or do not fit, no way to download them, or a network
            trained on pixels that `preprocess` does not give (efficientnet_v2_l).
    """
    network = build_network(name)
    if weights != "random":
        _check_pixels(name)
    if weights == "embedded":
        if name != EMBEDDED_NAME:
            raise InputError(
                f"only {EMBEDDED_NAME} is embedded; for {name} choose weights 'torchvision', a file, or 'random'"
            )
        _fit(network, _read_state(EMBEDDED_WEIGHTS), EMBEDDED_WEIGHTS)
    elif weights == "torchvision":
        _fit(network, _torchvision_state(name), f"torchvision's {name}")
    elif weights != "random":
        _fit(network, _read_state(Path(weights)), weights)
    return network.eval().requires_grad_(False)


def network_names() -> list[str]:
    """List torchvision's classification networks."""
    from torchvision import models

    return models.list_models(module=models)


def build_network(name: str) -> nn.Module:
    """Build a torchvision classification network with random weights that are the same each time.

    Raises:
        InputError: no such network; the message lists near names.
    """
    from torchvision import models

    known = network_names()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=3) or ["squeezenet1_1", "resnet18", "vgg16"]
        raise InputError(f"torchvision has no classification network '{name}'; did you mean {', '.join(near)}?")
    # These two bring ImageNet's normalisation to their own; torchvision says so only where it loads the weights.
    own = {"init_weights": True, "transform_input": True}
    options = own if name in ("googlenet", "inception_v3") else {}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.get_model(name, weights=None, **options).eval()


def _check_pixels(name: str) -> None:
    from torchvision import models

    seen = models.get_model_weights(name).DEFAULT.transforms()
    if not np.allclose((seen.mean, seen.std), (SQUEEZENET_MEAN, SQUEEZENET_STD), atol=1e-3):
        raise InputError(f"{name} was trained on pixels of mean {seen.mean} and std {seen.std}, not ImageNet's")


def _read_state(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix not in (".safetensors", ".pth", ".pt"):
        raise InputError(
            f"weights '{path}': give 'embedded', 'torchvision', 'random', or a .safetensors, .pth or .pt file"
        )
    check_file(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as problem:
            raise InputError(f"'{path}' is not a readable safetensors file: {_first_line(problem)}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # noqa: BLE001  (torch raises many kinds on a damaged or unsafe file, in many lines)
        raise InputError(
            f"'{path}' does not load safely: it is damaged or holds more than tensors; save the network's "
            "state_dict() with torch.save"
        ) from None
    for key in CHECKPOINT_KEYS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise InputError(f"'{path}' does not hold a state dict, names to tensors; save the network's state_dict()")
    return {str(key).removeprefix("module."): value for key, value in state.items()}  # DataParallel's prefix


def _torchvision_state(name: str) -> dict[str, torch.Tensor]:
    from torchvision import models

    entry = models.get_model_weights(name).DEFAULT
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where torch announces a download
            return entry.get_state_dict(progress=True, check_hash=True)
    except (urllib.error.URLError, OSError, RuntimeError) as problem:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise InputError(
            f"torchvision's weights for {name} cannot be had ({_first_line(problem)}): put "
            f"{Path(entry.url).name} into {folder}, or choose weights 'embedded' (squeezenet1_1) or a file"
        ) from None


def _fit(network: nn.Module, state: dict[str, torch.Tensor], source: str | Path) -> None:
    """Load the state, converted to the network's dtype, or say which entries do not fit."""
    wanted = network.state_dict()
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    surplus = [key for key in state if key not in wanted]
    if missing or surplus:
        parts = [f"{what} {_some(keys)}" for what, keys in (("lacks", missing), ("has unknown", surplus)) if keys]
        raise InputError(f"the weights of {source} do not fit the network: it {'; '.join(parts)}")
    for key, value in state.items():
        if value.shape != wanted[key].shape:
            raise InputError(
                f"the weights of {source} do not fit the network: {key} has shape {tuple(value.shape)}, "
                f"needed is {tuple(wanted[key].shape)}"
            )
    network.load_state_dict({key: value.to(wanted[key].dtype) for key, value in state.items()}, strict=False)


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


def _first_line(problem: Exception) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
