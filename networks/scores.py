"""Choosing the number that an attribution explains."""

import torch

from image_utils.errors import InputError


def class_scores(scores, y):
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
    y = y.long()  # other integer types lack some operations
    if len(y) and not 0 <= int(y.min()) <= int(y.max()) < scores.shape[1]:
        raise InputError(f"labels must lie in [0, {scores.shape[1]}), not {int(y.min())} to {int(y.max())}")
    return scores.gather(1, y.view(-1, 1)).squeeze(1)


def target_scores(outputs, y, target=None):
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


def check_images(X):
    """Raise InputError unless X is a floating-point Tensor (N, C, H, W), none of these 0."""
    if not isinstance(X, torch.Tensor) or X.ndim != 4 or not X.is_floating_point():
        what = f"{X.dtype} of {tuple(X.shape)}" if isinstance(X, torch.Tensor) else type(X).__name__
        raise InputError(f"images must be a floating-point Tensor (N, C, H, W), not {what}")
    if 0 in X.shape:
        raise InputError(f"images must not be empty; their shape is {tuple(X.shape)}")


def check_maps(x: torch.Tensor, name: str) -> None:
    """Raise InputError unless x is a floating-point Tensor (N, C, H, W) that is not empty.

    Args:
        x: what was given.
        name: what to call it in the message.
    """
    if not isinstance(x, torch.Tensor):
        raise InputError(f"{name} must be a floating-point Tensor (N, C, H, W), not {type(x).__name__}")
    if x.ndim != 4 or not x.is_floating_point() or x.numel() == 0:
        raise InputError(f"{name} must be a floating-point Tensor (N, C, H, W), not {x.dtype} of {tuple(x.shape)}")
