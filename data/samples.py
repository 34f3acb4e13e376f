"""Photographs and label names that need no download."""

import functools
import importlib.util
import io
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from image_utils.errors import InputError
from image_utils.loading import open_image, shorten
from image_utils.pixels import T  # noqa: F401  (importing it has cured torchvision's import)

COURSE_FILE = Path(__file__).with_name("imagenet_val_25.npz")
SIZE = 224


def load_imagenet_val(num=None):
    """Load a handful of labelled ImageNet photographs.

    The course's data/imagenet_val_25.npz is taken when a user has put it there, and otherwise the 20 photographs
    that come with the Foolbox package (shortest side 224, centre crop).

    Args:
        num: how many, from the first on; None or a larger number gives all.

    Returns:
        (X, y, class_names): uint8 ndarray (N, 224, 224, 3), int64 ndarray (N,), dict from class index to name.

    Raises:
        InputError: `num` is not positive, or the course's file is damaged.
    """
    if num is not None and num < 1:
        raise InputError(f"num must be at least 1, not {num}")
    X, y, class_names = read_course_file(COURSE_FILE) if COURSE_FILE.exists() else load_sample_photographs()
    return X[:num], y[:num], class_names


@functools.cache
def _sample_arrays():
    files = sorted(package_folder("foolbox").glob("data/imagenet_*_*.jpg"))
    X = np.stack([np.array(centre_crop(shorten(open_image(file), SIZE), SIZE)) for file in files])
    y = np.array([int(re.search(r"_(\d+)\.jpg$", file.name)[1]) for file in files], dtype=np.int64)
    return X, y


def load_sample_photographs():
    """Load Foolbox's 20 photographs; the same return values as `load_imagenet_val`."""
    X, y = _sample_arrays()
    return X.copy(), y.copy(), imagenet_class_names()


def imagenet_class_names():
    """Return the 1000 ImageNet class names as a dict from index to name."""
    from torchvision.models import SqueezeNet1_1_Weights

    return dict(enumerate(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"]))


def package_folder(name) -> Path:
    """Return the folder of an installed package without importing it.

    Raises:
        InputError: the package is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise InputError(f"the package {name} is not installed; pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0])


def centre_crop(img: Image.Image, size: int) -> Image.Image:
    """Cut the central size x size square out of an image whose sides are at least that long."""
    left, top = round((img.width - size) / 2), round((img.height - size) / 2)
    return img.crop((left, top, left + size, top + size))


def read_course_file(path):
    """Read the course's imagenet_val_25.npz without running its pickle.

    Args:
        path: .npz file with X uint8 (N, 224, 224, 3), y (N,) and label_map, a pickled dict of int to str

    Returns:
        As `load_imagenet_val`.

    Raises:
        InputError: an array is missing or of another kind, or label_map is not a plain dict of int to str.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            X, y = archive["X"], archive["y"]
        with zipfile.ZipFile(path) as archive, archive.open("label_map.npy") as member:
            label_map = _read_pickled_dict(io.BytesIO(member.read()))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, pickle.UnpicklingError) as problem:
        raise InputError(f"'{path}' is not the course's file: {problem}") from None
    if X.dtype != np.uint8 or X.ndim != 4 or X.shape[1:] != (SIZE, SIZE, 3):
        raise InputError(f"'{path}': X must be uint8 (N, 224, 224, 3), not {X.dtype} {X.shape}")
    if y.shape != X.shape[:1] or not np.issubdtype(y.dtype, np.integer) or not all(int(i) in label_map for i in y):
        raise InputError(f"'{path}': y must hold one known class index for each of the {len(X)} photographs")
    return X, y.astype(np.int64), label_map


class _Inert:
    """Stands in for whatever the pickle wants to build: takes any arguments and does nothing with them."""

    def __init__(self, *args):
        pass

    def __setstate__(self, state):
        self.state = state


class _NothingRuns(pickle.Unpickler):
    """Reads the containers of a pickled NumPy object array; no class or function named in it is ever imported."""

    def find_class(self, module, name):
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype"):
            return _Inert
        raise pickle.UnpicklingError(f"label_map wants {module}.{name}; only a plain dict of int to str is read")


def _read_pickled_dict(member):
    np.lib.format.read_magic(member)
    shape, _, dtype = np.lib.format.read_array_header_1_0(member)
    if not dtype.hasobject or shape != ():
        raise ValueError("label_map is not a pickled dict")
    array = _NothingRuns(member).load()
    try:
        content = array.state[4][0]  # ndarray's state: (version, shape, dtype, Fortran order, list of elements)
    except (AttributeError, TypeError, IndexError):
        raise ValueError("label_map is not a pickled dict") from None
    if not isinstance(content, dict) or not all(
        isinstance(k, int) and isinstance(v, str) for k, v in content.items()
    ):
        raise ValueError("label_map is not a plain dict of int to str")
    return content
