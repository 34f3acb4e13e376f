"""Photographs and label names that need no download."""

import functools
import importlib.util
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.label_map import read_label_map
from image_utils.errors import InputError
from image_utils.loading import open_image, shorten

COURSE_FILE = Path(__file__).with_name("imagenet_val_25.npz")
Photographs = tuple[np.ndarray, np.ndarray, dict[int, str]]  # X, y, class_names
SIZE = 224
COURSE_ARRAYS = {  # what each array in the course's file must be
    "X": ("uint8 (N, 224, 224, 3)", lambda shape, dtype: dtype == np.uint8 and shape[1:] == (SIZE, SIZE, 3)),
    "y": ("integers (N,)", lambda shape, dtype: dtype.kind in "iu" and len(shape) == 1),
    "label_map": ("one pickled dict", lambda shape, dtype: dtype.hasobject and shape == ()),
}
MAX_MEMBER = 200_000_000  # bytes of an array; a zip file can promise more than the memory holds


def load_imagenet_val(num: int | None = None) -> Photographs:
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
def _sample_arrays() -> tuple[np.ndarray, np.ndarray]:
    files = sorted(package_folder("foolbox").glob("data/imagenet_*_*.jpg"))
    X = np.stack([np.array(centre_crop(shorten(open_image(file), SIZE), SIZE)) for file in files])
    y = np.array([int(file.stem.rpartition("_")[2]) for file in files], dtype=np.int64)
    return X, y


def load_sample_photographs() -> Photographs:
    """Load Foolbox's 20 photographs; the same return values as `load_imagenet_val`."""
    X, y = _sample_arrays()
    return X.copy(), y.copy(), imagenet_class_names()


def imagenet_class_names() -> dict[int, str]:
    """Return the 1000 ImageNet class names as a dict from index to name."""
    from torchvision.models import SqueezeNet1_1_Weights

    return dict(enumerate(SqueezeNet1_1_Weights.IMAGENET1K_V1.meta["categories"]))


def package_folder(name: str) -> Path:
    """Return the folder of an installed package without importing it.

    Raises:
        InputError: the package is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"the package {name} is not installed; pip install -r requirements.txt")
    return Path(spec.submodule_search_locations[0])


def centre_crop(img: Image.Image, size: int) -> Image.Image:
    """Cut the central size x size square out of an image whose sides are at least that long."""
    left, top = round((img.width - size) / 2), round((img.height - size) / 2)
    return img.crop((left, top, left + size, top + size))


def read_course_file(path: str | Path) -> Photographs:
    """Read the course's imagenet_val_25.npz without running its pickle.

    Args:
        path: .npz file with X uint8 (N, 224, 224, 3), y (N,) and label_map, a pickled dict of int to str. Classes
            that the dict does not name keep torchvision's names.

    Returns:
        As `load_imagenet_val`.

    Raises:
        InputError: an array is missing or of another kind, or label_map is not a plain dict of int to str.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            X, y, label_map = (_read_member(archive, name) for name in ("X", "y", "label_map"))
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as problem:
        raise InputError(f"'{path}' is not the course's file: {problem}") from None
    names = imagenet_class_names()
    if not label_map.keys() <= names.keys():
        raise InputError(f"'{path}': label_map must name class indices from 0 to {len(names) - 1} only")
    if not len(X) or y.shape != X.shape[:1] or not all(int(index) in names for index in y):
        raise InputError(f"'{path}': y must hold one known class index for each of the {len(X)} photographs")
    return X, y.astype(np.int64), names | label_map


def _read_member(archive: zipfile.ZipFile, name: str) -> Any:
    """Read an array, or the label map, once its header says that it is what it must be."""
    with archive.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        if version != (1, 0):
            raise ValueError(f"{name} is in version {version} of NumPy's format, not (1, 0)")
        shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(member)
        wanted, fits = COURSE_ARRAYS[name]
        if not fits(shape, dtype):
            raise ValueError(f"{name} must be {wanted}, not {dtype} {shape}")
        size = archive.getinfo(f"{name}.npy").file_size
        if size > MAX_MEMBER:
            raise ValueError(f"{name} has {size:,} bytes; at most {MAX_MEMBER:,}")
        content = member.read()
    if name == "label_map":
        return read_label_map(content)
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran_order else "C").copy()
