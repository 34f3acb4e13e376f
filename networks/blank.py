"""Why is this map blank? Maps that are flat, almost so, or not finite, and the reason in one sentence."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import torch
from torch import nn

from networks.layers import find_layer, grid_of, maps_kept
from networks.no_trace import untouched
from networks.scores import last_relu, target_scores

FLAT = 1e-6  # of a map's largest magnitude; a smaller range is rounding
FAINT = 1e-3  # of the batch's largest magnitude; a weaker map looks black beside the others
SATURATED = 1e-6  # distance of a probability from 0 or 1 at which its softmax passes hardly any gradient


class BlankMapWarning(UserWarning):
    """A map is blank; the text says of which image, why, and what to try."""


def why_blank(
    model: nn.Module,
    X: torch.Tensor,
    y,
    maps,
    *,
    layer: str | nn.Module | None = None,
    target: Callable | None = None,
    reshape: Callable | None = None,
) -> list[str | None]:
    """Say for each map that is blank why it is, and what to try.

    Costs nothing where no map is blank, and a forward and a backward pass for each that is.

    Args:
        model: classification network (N, C, H, W) -> (N, K); left as it was.
        X: float Tensor (N, C, H, W), the images, finite.
        y: int64 Tensor (N,), the classes explained.
        maps: Tensor or ndarray (N, H, W) or (N, H, W, C).
        layer: of the Grad-CAM family, where the maps come from it.
        target: what was explained instead of the class score, as in `GradCam.grad_cam`.
        reshape: what laid the layer's output out as maps, likewise.

    Returns:
        N sentences; None where the map is not blank.
    """
    flat = torch.as_tensor(maps).detach().flatten(1)
    low, high = (end.double().cpu() for end in flat.aminmax(dim=1))
    largest = torch.maximum(low.abs(), high.abs())
    blank = ~(high - low > FLAT * largest) | ~largest.isfinite()  # NaN is not greater than anything
    loudest = largest[largest.isfinite()].max() if largest.isfinite().any() else 0
    reasons: list[str | None] = [None] * len(flat)
    for n in blank.nonzero().flatten().tolist():
        finite = bool(flat[n].isfinite().all())
        reasons[n] = _reason(model, X[n : n + 1], torch.as_tensor(y)[n : n + 1], finite, layer, target, reshape)
    for n in (~blank & (largest < FAINT * loudest)).nonzero().flatten().tolist():
        reasons[n] = "it is much weaker than the others it is shown with; stretch each image by itself"
    return reasons


def warn_if_blank(model, X, y, maps, **how) -> None:
    """Issue a BlankMapWarning for each blank map; arguments as in `why_blank`."""
    if maps is None:  # a technique that is still to be written
        return
    for n, reason in enumerate(why_blank(model, X, y, maps, **how)):
        if reason:
            warnings.warn(f"the map of image {n} is blank: {reason}", BlankMapWarning, stacklevel=3)


@contextlib.contextmanager
def blank_reasons() -> Iterator[list[str]]:
    """Collect what BlankMapWarnings say inside the block, for a figure's caption; other warnings pass as ever.

    Yields:
        List of sentences, filled when the block ends, each once.
    """
    reasons: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", BlankMapWarning)
        yield reasons
    for one in caught:
        if not issubclass(one.category, BlankMapWarning):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
        elif str(one.message) not in reasons:
            reasons.append(str(one.message))


def _reason(model, X, y, finite, layer, target, reshape):
    """Look for the reason in the order in which one would cause another."""
    kept = SimpleNamespace(activation_value=None, gradient_value=None)
    with untouched(model, X) as x, contextlib.ExitStack() as stack:
        if layer is not None:
            grid = grid_of(X, reshape)
            stack.enter_context(maps_kept(find_layer(model, layer), kept, cut=False, reshape=grid))
        outputs = model(x)
        score = target_scores(outputs, y, target).sum()
        if score.requires_grad:
            score.backward()
        gradient = x.grad
    if not (outputs.isfinite().all() and score.isfinite()):
        return "the network's scores are not finite; look at its weights, or compute in float32"
    if not finite:
        return "the scores are finite but the map is not; the method divides by zero or overflows here"
    if bool((X.amax((2, 3)) == X.amin((2, 3))).all()):
        return "the image is the same colour everywhere; check that the right file was read"
    return (
        _of_the_score(outputs, score, gradient, target)
        or (_of_the_layer(kept) if layer is not None else None)
        or "none of the known reasons applies; try another layer, class or method"
    )


def _of_the_score(outputs, score, gradient, target):
    """Say why the score has no gradient, if it has none worth mentioning."""
    if target is None and outputs.min() >= 0 and (outputs.sum(1) - 1).abs().max() < SATURATED:
        if min(score, 1 - score) < SATURATED:
            return (
                f"the network returns probabilities and this one is {score.item():.6f}: its softmax is saturated "
                "and passes no gradient; explain the scores before the softmax"
            )
        return None
    if gradient is None:
        return "the score does not depend on the image; explain another score"
    if not gradient.any():
        advice = "try another target"
        if outputs.ndim == 2 and outputs.any():
            advice = f"class {int(outputs.argmax())} has the highest score"
        if score == 0 and last_relu(outputs) is not None:
            return f"the class's score is 0 behind a final ReLU, which passes no gradient; {advice}"
        if not outputs.any():
            return "all scores are 0 whatever the image, as of a last layer without training; load trained weights"
        return f"the score is {score.item():.3g} but has no gradient by any pixel; {advice}"
    return None


def _of_the_layer(kept):
    """Say what is the matter with the layer's maps A and the score's gradient by them."""
    A, dA = kept.activation_value, kept.gradient_value
    if A is None:
        return "the layer did not run; choose another"
    if dA is None or not dA.any():
        return "the score does not depend on the layer; choose another"
    if not A.any():
        return "all maps of the layer are zero; choose an earlier one"
    if ((dA.mean((2, 3), keepdim=True) * A).sum(1) <= 0).all():
        return (
            "the weighted maps of the layer add up to less than zero everywhere, and the ReLU leaves nothing: the "
            "layer speaks against the class; choose another class or an earlier layer"
        )
    return None
