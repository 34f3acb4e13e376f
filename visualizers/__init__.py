"""One file a technique: gradients with respect to the pixels, the network fixed."""

from visualizers.class_visualization import ClassVisualization
from visualizers.fooling_image import FoolingImage
from visualizers.gradcam import CustomReLU, GradCam
from visualizers.saliency_map import SaliencyMap

__all__ = ["ClassVisualization", "CustomReLU", "FoolingImage", "GradCam", "SaliencyMap"]
