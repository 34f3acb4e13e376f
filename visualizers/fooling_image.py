"""Fooling images: a change too small to notice, after which the network sees another class.

Szegedy, Zaremba, Sutskever, Bruna, Erhan, Goodfellow, Fergus: "Intriguing properties of neural networks", ICLR
2014, section 4. The course's recipe climbs the target's score s_t with steps of fixed length in normalised pixels,

    X <- X + 10 g / ||g||_2,  g = d s_t / d X,

until the network's choice is the target. The minimal method (visualizers.minimal_fooling) searches the smallest
change of 8-bit pixels, so that the image still fools after it was saved as PNG.

    import torch
    from data import load_network
    from data_utils import load_imagenet_val
    from image_utils.pixels import to_input
    from visualizers import FoolingImage

    X, y, class_names = load_imagenet_val(num=5)
    X, model = to_input(X), load_network()
    X_fooling = FoolingImage().make_fooling_image(X[:1], 6, model)                       # (1, 3, 224, 224)
    found = FoolingImage().make_minimal_fooling_image(X, [6, 7, 8, 9, 10], model)
    found.images, found.success, found.l2                                                # uint8 (5, 224, 224, 3)
"""

import operator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from image_utils.errors import InputError
from image_utils.pixels import to_input, to_normalised, to_pixels
from networks.no_trace import untouched, variable
from networks.precision import memory_layout
from networks.scores import class_scores
from visualizers.minimal_fooling import LEVELS, smallest_change, target_margin

ROUNDING = 0.1  # share of the margin that may be lost where an image alone takes other code in the network


@dataclass(frozen=True)
class MinimalFooling:
    """What the minimal method found for N images.

    Attributes:
        images: uint8 ndarray (N, H, W, 3), ready to be saved; where success is False, the closest attempt.
        success: bool ndarray (N,), whether the network sees the target by the margin, given this very image alone.
        margin: float64 ndarray (N,), the target's score less the largest other, given this very image alone.
        l2: float64 ndarray (N,), L2 norm of the change, pixels on the [0, 1] scale.
        linf: float64 ndarray (N,), largest change of a value, the same scale.
        steps: int64 ndarray (N,), the step at which the image was found; 0 is the image as given.
    """

    images: np.ndarray
    success: np.ndarray
    margin: np.ndarray
    l2: np.ndarray
    linf: np.ndarray
    steps: np.ndarray


class FoolingImage:
    """Fooling images for a classification network; the course's class."""

    def make_fooling_image(self, X: torch.Tensor, target_y: int | torch.Tensor, model: nn.Module) -> torch.Tensor:
        """Climb the target's score until the network sees the target, for at most 100 steps.

        Each image goes alone, with its own gradient norm and its own end. One that is seen as the target already
        comes back as it is; one that after 100 steps is not comes back as it then is. Pixels may leave the valid
        range.

        Where the gradient of the target's score is zero (SqueezeNet's scores end in a ReLU, so a class that is
        nowhere seen has none) the step follows the gradient of its log-softmax instead, which lowers the other
        classes; where that is zero too, the image stays.

        Args:
            X: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
            target_y: the class to be seen: an integer, or N integers, one an image.
            model: classification network (N, 3, H, W) -> (N, C); left as it was.

        Returns:
            Tensor like X.

        Raises:
            InputError: shapes or dtypes do not fit, or a target is no class of the network.

        Source:
            The course's recipe, after Szegedy et al. 2014.
        """
        targets = class_indices(target_y, X)
        learning_rate = 10  # length of a step, L2 in normalised pixels
        max_iter = 100
        found = []
        with untouched(model, X) as X:
            for X_fooling, target_y in zip(X.split(1), targets, strict=True):  # each image on its own
                for it in range(max_iter):  # noqa: B007  (the skeleton's name)
                    X_fooling = X_fooling_var = variable(X_fooling)  # one image, both names of the skeleton
                    # >>> Solution: stop if the network sees the target; else a step up the target's score
                    scores = model(X_fooling_var)
                    score = class_scores(scores, [target_y])
                    if scores.argmax() == target_y:
                        break
                    score.backward(retain_graph=True)
                    if not X_fooling_var.grad.any():  # a score that ends in a ReLU: lower the others instead
                        scores.log_softmax(dim=1)[0, target_y].backward()
                    g = X_fooling_var.grad
                    if not g.any():
                        break
                    X_fooling = X_fooling + learning_rate * g / g.norm()
                    # <<< Solution
                found.append(X_fooling.detach())
        return torch.cat(found)

    def make_minimal_fooling_image(self, X, target_y, model, *, steps=72, margin=0.05, batch_size=16):
        """Search the smallest change of 8-bit pixels after which the network sees the target.

        Starts from the 8-bit image nearest to X and takes whole levels from 0 to 255 only, so what is found
        survives a lossless file. Where that image fools by the margin already, it is the result. No random numbers
        are involved.

        Args:
            X: float Tensor (N, 3, H, W), normalised, on the model's device; not changed.
            target_y: the class to be seen: an integer, or N integers, one an image.
            model: classification network (N, 3, H, W) -> (N, C); left as it was.
            steps: forward and backward passes an image; more find smaller changes.
            margin: by how much the target's score must exceed every other, in score units. The default outlasts
                what rounding differs between devices and builds.
            batch_size: images that go through the network together; limits memory. Images do not influence one
                another, but the network's rounding may depend on it; 1 gives bit for bit what each gives alone.

        Returns:
            MinimalFooling; images that do not fool are marked.

        Raises:
            InputError: shapes or dtypes do not fit, a target is no class of the network, or steps, batch_size or
                margin is not a positive number.

        Source:
            visualizers.minimal_fooling; after Rony et al. 2019.
        """
        target = torch.tensor(class_indices(target_y, X))
        if X.shape[1] != 3:
            raise InputError(f"8-bit images have 3 channels; X has {X.shape[1]}")
        for name, count in (("steps", steps), ("batch_size", batch_size)):
            if operator.index(count) < 1:
                raise InputError(f"{name} must be at least 1, not {count}")
        if not 0 < margin < float("inf"):
            raise InputError(f"margin must be a positive number, not {margin}")
        with untouched(model, X):
            x, target = nearest_levels(X), target.to(X.device)
            change, steps_taken = torch.zeros_like(x), torch.zeros(len(x), dtype=torch.int64, device=x.device)
            todo = torch.as_tensor(judge(to_images(x), target, model, like=X) < margin).nonzero().flatten()
            layout = memory_layout(model, to_normalised(x[:1] / LEVELS).to(X.dtype))

            def network(levels):
                return model(to_normalised(levels / LEVELS).to(X.dtype).contiguous(memory_format=layout))

            for some in todo.split(batch_size) if len(todo) else ():
                change[some], _, steps_taken[some] = smallest_change(
                    network, x[some], target[some], steps=steps, margin=margin
                )
        images = to_images(x + change)
        reached = judge(images, target, model, like=X)
        flat = change.flatten(1).cpu().double() / LEVELS  # on the CPU: not every device has float64
        return MinimalFooling(
            images=images,
            success=reached >= (1 - ROUNDING) * margin,
            margin=reached,
            l2=flat.norm(dim=1).numpy(),
            linf=flat.abs().amax(dim=1).numpy(),
            steps=steps_taken.cpu().numpy(),
        )


def class_indices(target_y, X: torch.Tensor) -> list[int]:
    """Return a class for each image of X (N, ...), from one integer or N. The scores show whether they exist.

    Raises:
        InputError: not so many integers.
    """
    try:
        target = torch.as_tensor(target_y)
    except (TypeError, ValueError, RuntimeError):
        target = torch.zeros(0)
    target = target.expand(len(X)) if target.numel() == 1 and target.ndim < 2 else target
    if target.shape != (len(X),) or target.dtype == torch.bool or target.is_floating_point():
        raise InputError(f"target_y must be a class index, or {len(X)} of them, one an image, not {target_y!r}")
    return target.tolist()


def nearest_levels(X: torch.Tensor) -> torch.Tensor:
    """Return the 8-bit image nearest to normalised pixels, as whole numbers 0 to 255 in float32 or better."""
    dtype = torch.promote_types(X.dtype, torch.float32)
    return (LEVELS * to_pixels(X.detach().to(dtype))).round().clamp(0, LEVELS)


def to_images(levels: torch.Tensor) -> np.ndarray:
    """Return whole levels (N, 3, H, W) as uint8 ndarray (N, H, W, 3)."""
    return levels.permute(0, 2, 3, 1).to(torch.uint8).cpu().numpy()


def judge(
    images: np.ndarray, target_y: int | torch.Tensor, model: nn.Module, *, like: torch.Tensor | None = None
) -> np.ndarray:
    """Measure by how much the network sees the target in 8-bit images, each given alone, as a saved file would be.

    Args:
        images: uint8 ndarray (N, H, W, 3).
        target_y: an integer, or N integers.
        model: classification network; left as it was.
        like: Tensor whose dtype and device the network takes; None takes those of its parameters.

    Returns:
        float64 ndarray (N,), margins in score units; positive: the image fools.

    Raises:
        InputError: shapes, dtype or targets do not fit.
    """
    X = to_input(images).to(next(model.parameters()) if like is None else like)
    targets = torch.tensor(class_indices(target_y, X), device=X.device)
    with untouched(model), torch.no_grad():
        margins = [target_margin(model(x[None]), t[None]) for x, t in zip(X, targets, strict=True)]
    return torch.cat(margins).cpu().double().numpy()
