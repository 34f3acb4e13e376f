"""Which classic mistakes `python -m course.break` and docs/broken.md show, and what is to be seen."""

from collections.abc import Callable
from dataclasses import dataclass

from course import broken
from image_utils.errors import InputError

SALIENCY = "tests/public/test_saliency_map.py::"
GRADCAM = "tests/public/test_gradcam.py::"
LOSSES = "tests/public/test_losses.py::"


@dataclass(frozen=True)
class Break:
    """A classic mistake.

    Attributes:
        name: of the mutant in tests/mutants that makes it.
        title: the mistake in a few words.
        wrong: a piece of its wrong line.
        shows: function of course.broken that shows it.
        happens: what one sees, and why.
        test: a test that exposes it, as pytest names it.
    """

    name: str
    title: str
    wrong: str
    shows: Callable
    happens: str
    test: str

    def wrong_line(self):
        """Return the mutant's line that is wrong."""
        lines = [line for (_, _), body in broken.mutant(self.name).bodies.items() for line in body.splitlines()]
        return next(line.strip() for line in lines if self.wrong in line)


BREAKS = (
    Break(
        "saliency_without_magnitude",
        "Saliency without the magnitude",
        "amax(dim=1)",
        broken.saliency,
        "Only what would raise the score counts. A pixel whose darkening would raise it matters as much and "
        "is lost; zero, which is most of the picture, is no longer black.",
        SALIENCY + "test_saliency_maps_equal_captum",
    ),
    Break(
        "relu_plain",
        "Guided backprop with the plain ReLU",
        "dout * (output > 0)",
        broken.guided,
        "Half of the rule: signals pass where the input was positive, also negative ones. That is the plain "
        "gradient again, with its grain.",
        GRADCAM + "test_custom_relu_passes_positive_signals_through_positive_inputs",
    ),
    Break(
        "relu_deconvnet",
        "Guided backprop without the input",
        "dout.clamp(min=0)",
        broken.guided,
        "The other half: positive signals pass, also where the ReLU was off. That is the deconvolution of "
        "Zeiler and Fergus; what was not there in the photograph speaks as well.",
        GRADCAM + "test_custom_relu_passes_positive_signals_through_positive_inputs",
    ),
    Break(
        "gradcam_unweighted",
        "Grad-CAM without its weights",
        "A.sum(dim=1)",
        broken.grad_cam,
        "The maps are added as they are, so the class does not matter: asked for the beaker, it shows the "
        "bottle, simply because much is active there.",
        GRADCAM + "test_grad_cam_is_high_where_captum_is",
    ),
    Break(
        "fooling_never_stops",
        "A fooling image that climbs on",
        "pass",
        broken.fooling,
        "The network is fooled after a few steps, and a hundred are made: the change, which nobody should "
        "see, is everywhere.",
        "tests/visualizers/test_fooling_image.py::test_an_image_that_fools_already_stays_as_it_is",
    ),
    Break(
        "classvis_penalty_rewarded",
        "The penalty with the wrong sign",
        "penalty = -",
        broken.class_visualization,
        "Large pixels are rewarded instead of punished. The score climbs all the same, so no number looks "
        "wrong; the background fills with noise that never goes away.",
        "tests/visualizers/test_class_visualization.py::test_equals_the_definition_at_every_step",
    ),
    Break(
        "content_detached",
        "A content loss that cannot be differentiated",
        "detach()",
        broken.style,
        "The value is right, and the notebook prints 0.000 four times. The gradient is zero: the photograph "
        "is forgotten and only the style is left. The most treacherous mistake of all.",
        LOSSES + "test_content_loss_by_hand",
    ),
    Break(
        "content_mean",
        "The mean instead of the sum",
        "mean()",
        broken.style,
        "The loss is smaller by the number of features, here 100,000 times and more, so the photograph does "
        "not matter. The weights of the assignment are made for sums.",
        LOSSES + "test_content_loss_by_hand",
    ),
    Break(
        "gram_not_normalised",
        "A Gram matrix that is not normalised",
        "return G",
        broken.style,
        "Its entries are larger by C*H*W, the style loss by the square of that: nothing but style, in flat "
        "patches.",
        LOSSES + "test_gram_matrix_by_hand",
    ),
    Break(
        "style_returns_early",
        "return, indented too far",
        "return loss",
        broken.style,
        "The loop ends after its first layer, and the painting gives its colours but not its strokes.",
        LOSSES + "test_style_loss_of_the_notebook",
    ),
    Break(
        "style_without_weights",
        "A style loss without its weights",
        "sum(",
        broken.style,
        "The weights are as large as 300,000; without them hardly any style arrives.",
        LOSSES + "test_style_loss_by_hand",
    ),
    Break(
        "tv_to_the_right_only",
        "Total variation in one direction",
        "a.square()",
        broken.style,
        "Half of the neighbours, those below, may differ as they like; horizontal lines remain. The picture "
        "differs little, the number a lot.",
        LOSSES + "test_total_variation_by_hand",
    ),
    Break(
        "update_without_zero_grad",
        "Gradients that add up",
        "loss.backward()",
        broken.style,
        "Each step follows all gradients so far instead of its own: what was right long ago goes on pushing.",
        LOSSES + "test_update_rule_brings_a_simple_loss_down",
    ),
)


def find_break(name):
    """Return the Break of this name.

    Raises:
        InputError: there is none.
    """
    found = {b.name: b for b in BREAKS}
    if name not in found:
        raise InputError(f"there is no mistake '{name}'; there are {', '.join(found)}")
    return found[name]
