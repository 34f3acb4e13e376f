"""One file a technique: gradients with respect to the pixels, the network fixed."""

from visualizers.gradcam import CustomReLU, GradCam
from visualizers.saliency_map import SaliencyMap

__all__ = ["CustomReLU", "GradCam", "SaliencyMap"]
