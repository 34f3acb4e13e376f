"""Pretrained networks: the embedded SqueezeNet, torchvision's own weights, or a file."""

import contextlib
import difflib
import sys
import urllib.error
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def load_network(
    name: str = EMBEDDED_NAME,
    weights: str | Path = "embedded",
    *,
    num_classes: int | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> nn.Module:
    """Load an ImageNet classification network, ready to be looked into.

    Args:
        name: any classification network of torchvision, such as "squeezenet1_1", "resnet18" or "vgg16".
        weights: "embedded", the SqueezeNet 1.1 that lies in data/ (squeezenet1_1 only);
            "torchvision", the library's default weights, from its cache or by download;
            "random", untrained but the same each time, for tests;
            or the path of a .safetensors, .pth or .pt state dict.
        num_classes: of a network of your own, whose weights come from a file; None for ImageNet's 1000.
        mean: of the pixels in [0, 1] that it was trained on, red, green, blue; None for ImageNet's.
        std: their standard deviation, likewise.

    Returns:
        nn.Module in eval mode, parameters frozen, on the CPU, float32. It takes (N, 3, H, W) as `preprocess` gives
        it and returns class scores before the softmax, (N, number of classes).

    Raises:
        InputError: unknown name, weights that are missing or do not fit, no way to download them, a mean or std
            that is not three numbers, or a network that was trained on another mean and std than ImageNet's and is
            not given them (efficientnet_v2_l).
    """
    if num_classes is not None and (num_classes < 2 or weights in ("embedded", "torchvision")):
        raise InputError(
            f"num_classes is 2 or more and goes with weights from a file; {num_classes} and {weights}"
        )
    network = build_network(name, num_classes)
    if mean is not None or std is not None:
        network.register_forward_pre_hook(
            OwnPixels(SQUEEZENET_MEAN if mean is None else mean, SQUEEZENET_STD if std is None else std)
        )
    elif weights != "random":
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


class OwnPixels:
    """Turns ImageNet's normalisation into another, in front of a network that was trained with that one.

    So everything here goes on in one normalisation, and attributions of networks can be compared.
    """

    def __init__(self, mean: Sequence[float] | np.ndarray, std: Sequence[float] | np.ndarray) -> None:
        """Take the mean and the standard deviation of pixels in [0, 1], three numbers each."""
        for name, values in (("mean", mean), ("std", std)):
            if np.shape(values) != (3,) or not np.isfinite(values).all():
                raise InputError(f"{name} must be three numbers, of red, green and blue, not {values}")
        if not (np.asarray(std) > 0).all():
            raise InputError(f"std must be greater than 0, not {std}")
        self.scale = torch.tensor([s / t for s, t in zip(SQUEEZENET_STD, std, strict=True)])
        self.shift = torch.tensor([(m - n) / t for m, n, t in zip(SQUEEZENET_MEAN, mean, std, strict=True)])

    def __call__(self, module: nn.Module, args: tuple) -> tuple:
        """Rescale the images, Tensor (N, 3, H, W), on their way into the network."""
        scale, shift = (values.to(args[0]).view(3, 1, 1) for values in (self.scale, self.shift))
        return (args[0] * scale + shift, *args[1:])


def build_network(name: str, num_classes: int | None = None) -> nn.Module:
    """Build a torchvision classification network with random weights that are the same each time.

    Args:
        name: of the network.
        num_classes: None for ImageNet's 1000.

    Returns:
        nn.Module in eval mode.

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
    options: dict[str, Any] = dict(own) if name in ("googlenet", "inception_v3") else {}
    if num_classes is not None:
        options["num_classes"] = num_classes
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return models.get_model(name, weights=None, **options).eval()


def _check_pixels(name: str) -> None:
    from torchvision import models

    seen = models.get_model_weights(name).DEFAULT.transforms()
    if not np.allclose((seen.mean, seen.std), (SQUEEZENET_MEAN, SQUEEZENET_STD), atol=1e-3):
        raise InputError(
            f"{name} was trained on pixels of mean {seen.mean} and std {seen.std}, not ImageNet's; give these"
        )


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
