"""Pixels in, pixels out. At the bottom of the house: nothing here knows of networks or techniques.

`from image_utils import *` gives the course's names, and `plt`, `np`, `torch`, `T` and `Image`, which scripts
written against the course's skeleton take from here; pyplot and torchvision's transforms are imported only when
asked for.
"""

import importlib
from types import ModuleType

import numpy as np
import torch
from PIL import Image

from image_utils.blur import blur_image
from image_utils.loading import image_from_url, load_image
from image_utils.pixels import (
    SQUEEZENET_MEAN,
    SQUEEZENET_STD,
    deprocess,
    deprocess_image,
    preprocess,
    preprocess_image,
    rescale,
)
from torchvision_cure import install_hook

install_hook()  # whoever imports torchvision after this package finds it cured
LAZY = {"plt": "matplotlib.pyplot", "T": "torchvision.transforms"}

__all__ = [  # noqa: RUF022  (the course's names first)
    "SQUEEZENET_MEAN",
    "SQUEEZENET_STD",
    "preprocess_image",
    "deprocess_image",
    "image_from_url",
    "load_image",
    "preprocess",
    "deprocess",
    "rescale",
    "blur_image",
    "Image",
    "T",
    "np",
    "plt",
    "torch",
]


def __getattr__(name: str) -> ModuleType:
    if name in LAZY:
        return importlib.import_module(LAZY[name])
    raise AttributeError(f"module 'image_utils' has no attribute '{name}'")
