"""The course's name for loading the sample photographs."""

from data.samples import load_imagenet_val

__all__ = ["load_imagenet_val"]
