"""Choosing the number that a technique explains or climbs."""

import contextlib
import operator
import re
from collections.abc import Callable, Iterator

import torch
from torch import nn

from image_utils.errors import InputError

# Autograd's names for operations that only rearrange or average what they are given.
AVERAGING = {
    "AdaptiveAvgPool2DBackward",
    "AliasBackward",
    "AsStridedBackward",
    "AvgPool2DBackward",
    "CloneBackward",
    "MeanBackward",
    "ReshapeAliasBackward",
    "SqueezeBackward",
    "ToCopyBackward",
    "UnsafeViewBackward",
    "ViewBackward",
}


def class_scores(scores: torch.Tensor, y) -> torch.Tensor:
    """Pick each image's score of its own class.

    Args:
        scores: Tensor (N, C), class scores before the softmax.
        y: int64 Tensor (N,), class indices in [0, C).

    Returns:
        Tensor (N,): scores[n, y[n]].

    Raises:
        InputError: the shapes or the indices do not fit.
    """
    if not isinstance(scores, torch.Tensor) or scores.ndim != 2:
        what = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise InputError(f"the network must return class scores of shape (N, C), not {what}")
    try:
        y = torch.as_tensor(y, device=scores.device)
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"labels must be {len(scores)} integers, one an image, not {y!r}") from None
    if y.ndim != 1 or len(y) != len(scores) or y.is_floating_point() or y.dtype == torch.bool:
        raise InputError(f"labels must be {len(scores)} integers, one an image, not {y.dtype} of {tuple(y.shape)}")
    y = y.to(torch.int64, copy=True)  # other types lack operations; one made in inference mode cannot be saved
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < scores.shape[1]:
        raise InputError(f"labels must lie in [0, {scores.shape[1]}), not {int(y.min())} to {int(y.max())}")
    return scores.gather(1, y.view(-1, 1)).squeeze(1)


def target_scores(outputs, y, target: Callable | None = None) -> torch.Tensor:
    """Pick the number an attribution explains: the class score, or whatever the caller asks for.

    Args:
        outputs: what the network returned; class scores (N, C) unless `target` is given.
        y: int64 Tensor (N,), class indices; not used if `target` is given.
        target: function outputs -> Tensor (N,), one number an image, such as
            `lambda scores: scores[:, 281] - scores[:, 285]`.

    Returns:
        Tensor (N,).

    Raises:
        InputError: the shapes or the indices do not fit.
    """
    if target is None:
        return class_scores(outputs, y)
    scores = target(outputs)
    if not isinstance(scores, torch.Tensor) or scores.ndim != 1:
        what = f"shape {tuple(scores.shape)}" if isinstance(scores, torch.Tensor) else type(scores).__name__
        raise InputError(f"target must return one number an image, a Tensor of shape (N,), not {what}")
    return scores


def pass_last_relu(scores: torch.Tensor, *, only_dead: bool = False) -> None:
    """Let the backward pass ignore a ReLU that stands between the class scores and the last layer with weights.

    SqueezeNet's score is the average of ReLU(class map). Where the map is negative the score has no gradient, and
    where all of it is negative there is none at all. Passing the gradient through the ReLU as if it were not there
    gives the gradient of the map's average before the ReLU, which is never lost. The ReLU is found by following
    the graph back from the scores through operations that only rearrange or average; a network whose scores come
    straight from a linear layer has none there, and nothing happens. Only this one graph is changed.

    Args:
        scores: Tensor (N, C), class scores with their graph; call this before differentiating.
        only_dead: only for images through which the ReLU passes no gradient at all.
    """
    node = last_relu(scores)
    if node is None:
        return

    def instead(passed, arriving):
        (passed,), (arriving,) = passed, arriving
        if not only_dead:
            return (arriving,)
        alive = (passed != 0).flatten(1).any(dim=1).view(-1, *[1] * (passed.ndim - 1))
        return (torch.where(alive, passed, arriving),)

    node.register_hook(instead)


def last_relu(scores: torch.Tensor) -> torch.autograd.graph.Node | None:
    """Find the ReLU that stands between class scores with their graph and the last layer with weights, if any."""
    node = scores.grad_fn
    while node is not None and _operation(node) in AVERAGING:
        node = node.next_functions[0][0]
    return node if node is not None and _operation(node) == "ReluBackward" else None


def _operation(node):
    return re.sub(r"\d+$", "", node.name())


class LastScores:
    """The scores that a network returned last, Tensor (N, C) outside the graph."""

    scores: torch.Tensor | None = None


@contextlib.contextmanager
def climbable(model: nn.Module) -> Iterator[LastScores]:
    """Inside, an image whose scores a last ReLU has cut to zero has a gradient all the same; see `pass_last_relu`.

    Yields:
        LastScores.
    """
    last = LastScores()

    def note(module, args, scores):
        if isinstance(scores, torch.Tensor):
            pass_last_relu(scores, only_dead=True)
            last.scores = scores.detach()

    handle = model.register_forward_hook(note)
    try:
        yield last
    finally:
        handle.remove()


def first_scores(model: nn.Module, X: torch.Tensor) -> torch.Tensor:
    """Compute the scores of images that the network may not take, without a graph.

    Raises:
        InputError: it does not take them.
    """
    try:
        with torch.no_grad():
            return model(X)
    except InputError:
        raise
    except (RuntimeError, AssertionError, ValueError) as problem:
        reason = str(problem).strip().splitlines()[0]
        raise InputError(f"the network does not take images of shape {tuple(X.shape)}: {reason}") from None


def class_index(target) -> int:
    """Return a class index given as any kind of integer.

    Raises:
        InputError: no integer.
    """
    try:
        if isinstance(target, bool):
            raise TypeError
        return operator.index(target)
    except TypeError:
        raise InputError(f"a class must be given by its index, an integer, not {target!r}") from None


def check_maps(x: object, name: str) -> None:
    """Raise InputError unless x is a floating-point Tensor (N, C, H, W) that is not empty.

    Args:
        x: what was given.
        name: what to call it in the message.
    """
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{name} must be a floating-point Tensor (N, C, H, W), not {type(x).__name__}")
    if x.ndim != 4 or not x.is_floating_point():
        raise InputError(f"{name} must be a floating-point Tensor (N, C, H, W), not {x.dtype} of {tuple(x.shape)}")
    if x.numel() == 0:
        raise InputError(f"{name} must not be empty; the shape is {tuple(x.shape)}")


def check_images(X: torch.Tensor) -> None:
    """Raise InputError unless X is a floating-point Tensor (N, C, H, W) of finite numbers, not empty."""
    check_maps(X, "images")
    finite = X.detach().isfinite().flatten(1).all(dim=1)
    if not finite.all():
        wrong = finite.logical_not().nonzero().flatten().tolist()
        which = "image {0} holds" if len(wrong) == 1 else "images {0} hold"
        raise InputError(
            f"{which.format(', '.join(map(str, wrong)))} NaN or infinite values (counted from 0): not finite"
        )
