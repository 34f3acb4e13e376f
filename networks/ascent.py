"""What the recipes of class visualization share: the start, the report of a step, climbing a dead score."""

import operator
import re
from dataclasses import dataclass

import torch

from image_utils.errors import InputError
from networks.seeding import make_generator

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


@dataclass(frozen=True)
class Step:
    """One step of the ascent, as a callback gets it.

    Attributes:
        iteration: counted from 1.
        num_iterations: how many there are.
        images: Tensor (N, 3, H, W) after the step, normalised, on the model's device; not to be changed.
        scores: Tensor (N,), each image's score of its class, in the view that the step climbed (before it).
        probabilities: Tensor (N,), the same after the softmax.
    """

    iteration: int
    num_iterations: int
    images: torch.Tensor
    scores: torch.Tensor
    probabilities: torch.Tensor


def is_shown(iteration, num_iterations, show_every):
    """Tell whether the course shows this iteration: the first, every `show_every`-th and the last."""
    return iteration in (1, num_iterations) or iteration % show_every == 0


class Start:
    """Where an ascent begins: checked targets, the network's device, and random numbers that all classes share.

    Every class gets the same noise and the same random numbers, so that a class gets them in any batch. What the
    network computes for an image must then not depend on the batch either. For one image alone, convolution
    libraries choose other algorithms, whose last bits differ; normalised steps turn these into another picture. So
    a single image is computed as a batch of two.

    Attributes:
        targets: int64 Tensor (M,), on the model's device; M is N, or 2 where N is 1.
        wanted: N.
        height: pixels.
        width: pixels.
        generator: torch.Generator on the CPU, so that a seed means the same numbers on every device.
        like: dict of device and dtype.
    """

    def __init__(self, model, targets, *, size, seed, dtype):
        """Check the arguments; see `ClassVisualization.create_class_visualizations`."""
        parameter = next(model.parameters(), torch.zeros(()))
        self.like = {"device": parameter.device, "dtype": _number_type(dtype, parameter.dtype)}
        self.wanted = len(targets)
        targets = [class_index(target) for target in targets]
        if not targets:
            raise InputError("no classes to visualize")
        self.targets = torch.tensor(targets * 2 if len(targets) == 1 else targets, device=parameter.device)
        self.height, self.width = _height_and_width(size)
        self.generator = make_generator(seed)

    def noise(self, *shape):
        """Draw standard normal numbers: Tensor (M, *shape), the same for every class."""
        drawn = torch.randn(1, *shape, generator=self.generator).to(**self.like)
        return drawn.repeat(len(self.targets), *[1] * len(shape))

    def uniform(self, low, high):
        """Draw one number between two bounds."""
        return low + (high - low) * torch.rand((), generator=self.generator).item()

    def integer(self, largest):
        """Draw a whole number from 0 to `largest`, both included."""
        return int(torch.randint(0, largest + 1, (), generator=self.generator))

    def report(self, callback, iteration, num_iterations, images, scores):
        """Hand a Step to the callback, if there is one."""
        if callback is None:
            return
        n, targets = self.wanted, self.targets[: self.wanted].view(-1, 1)
        scores = scores.detach()[:n].float()
        callback(
            Step(
                iteration,
                num_iterations,
                images.detach()[:n],
                scores.gather(1, targets).squeeze(1),
                scores.softmax(dim=1).gather(1, targets).squeeze(1),
            )
        )


def pass_last_relu(scores, *, only_dead=False):
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
    node = scores.grad_fn
    while node is not None and _operation(node) in AVERAGING:
        node = node.next_functions[0][0]
    if node is None or _operation(node) != "ReluBackward":
        return

    def instead(passed, arriving):
        (passed,), (arriving,) = passed, arriving
        if not only_dead:
            return (arriving,)
        alive = (passed != 0).flatten(1).any(dim=1).view(-1, *[1] * (passed.ndim - 1))
        return (torch.where(alive, passed, arriving),)

    node.register_hook(instead)


def _operation(node):
    return re.sub(r"\d+$", "", node.name())


def class_index(target):
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


def at_least(lowest, **numbers):
    """Raise InputError, naming it, for the first number below `lowest`, infinite or NaN."""
    for name, number in numbers.items():
        if not lowest <= number < float("inf"):
            raise InputError(f"{name} must be at least {lowest}, not {number}")


def _number_type(dtype, of_model):
    """Understand torch.float32 as well as the course's torch.FloatTensor; the device is always the model's."""
    number = getattr(dtype, "dtype", dtype)
    if not isinstance(number, torch.dtype) or not number.is_floating_point:
        raise InputError(
            f"dtype must be torch.FloatTensor, torch.cuda.FloatTensor or torch.float32, not {dtype!r}"
        )
    if number != of_model:
        raise InputError(f"dtype is {number}, but the network computes in {of_model}")
    return number


def _height_and_width(size):
    height, width = size if isinstance(size, tuple | list) else (size, size)
    at_least(1, height=height, width=width)
    return int(height), int(width)
