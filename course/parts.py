"""The parts of the assignment: which functions a student writes, and which files are the student's to hand in."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One part of the assignment.

    Attributes:
        name: what it is called on the command line.
        title: what it is called in a table.
        functions: ("file", "dotted name") of what the student writes.
    """

    name: str
    title: str
    functions: tuple


def _in(file, *functions):
    return tuple((file, function) for function in functions)


GRADCAM, STYLE = "visualizers/gradcam.py", "style_modules/style_loss.py"
PARTS = (
    Part("content", "Content loss", (("style_modules/content_loss.py", "ContentLoss.forward"),)),
    Part("gram", "Gram matrix", _in(STYLE, "StyleLoss.gram_matrix")),
    Part("style", "Style loss", _in(STYLE, "StyleLoss.forward")),
    Part("tv", "Total-variation loss", (("style_modules/tv_loss.py", "TotalVariationLoss.forward"),)),
    Part("update", "Update rule", (("style_utils.py", "style_transfer"),)),
    Part(
        "saliency",
        "Saliency maps",
        _in("visualizers/saliency_map.py", "SaliencyMap.compute_saliency_maps"),
    ),
    Part("saliency_captum", "Captum's saliency", (("saliency_map.py", "captum_saliency"),)),
    Part(
        "guided",
        "Guided backprop",
        _in(GRADCAM, "CustomReLU.backward", "GradCam.guided_backprop"),
    ),
    Part(
        "gradcam",
        "Grad-CAM",
        ((GRADCAM, "GradCam.grad_cam"), ("gradcam.py", "guided_grad_cam")),
    ),
    Part("gradcam_captum", "Captum's gradients", _in("gradcam.py", "captum_guided", "captum_layers")),
    Part(
        "fooling",
        "Fooling image",
        _in("visualizers/fooling_image.py", "FoolingImage.make_fooling_image"),
    ),
    Part(
        "classvis",
        "Class visualization",
        _in("visualizers/class_visualization.py", "ClassVisualization.create_class_visualization"),
    ),
)
STYLE_TRANSFER = ("content", "gram", "style", "tv", "update")  # what is graded by default
EVERY = tuple(part.name for part in PARTS)
