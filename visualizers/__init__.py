"""One file a technique: gradients with respect to the pixels, the network fixed."""

from visualizers.fooling_image import FoolingImage
from visualizers.saliency_map import SaliencyMap

__all__ = ["FoolingImage", "SaliencyMap"]
