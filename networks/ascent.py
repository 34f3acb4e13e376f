"""What an ascent in pixels starts from, and what it reports of each step."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from image_utils.errors import InputError, at_least
from networks.seeding import make_generator


@dataclass(frozen=True)
class Step:
    """One step of an ascent, as a callback gets it.

    Attributes:
        target: class index.
        iteration: counted from 1.
        num_iterations: how many there are.
        image: Tensor (1, 3, H, W) after the step, normalised, on the network's device; not to be changed.
        score: score of the class in what the step saw (before it).
        probability: the same after the softmax.
    """

    target: int
    iteration: int
    num_iterations: int
    image: torch.Tensor
    score: float
    probability: float

    def is_shown(self, show_every: int) -> bool:
        """Whether the course shows it: the first, every `show_every`-th and the last."""
        return self.iteration in (1, self.num_iterations) or self.iteration % show_every == 0


def report(
    callback: Callable[[Step], None] | None,
    iteration: int,
    num_iterations: int,
    image: torch.Tensor,
    scores: torch.Tensor,
    target_y: int,
) -> None:
    """Hand a Step to the callback, if there is one; scores (1, C) are those of what the step saw."""
    if callback is not None:
        scores = scores.detach()[0].float()
        score, probability = scores[target_y].item(), scores.softmax(dim=0)[target_y].item()
        callback(Step(target_y, iteration, num_iterations, image.detach(), score, probability))


class Start:
    """Where an ascent begins: the network's kind of numbers, the picture's size, and random numbers of its own.

    Attributes:
        like: dict of device and dtype.
        height: pixels.
        width: pixels.
        generator: torch.Generator on the CPU, so that a seed means the same numbers on every device.
    """

    def __init__(self, model: nn.Module, *, size: int | tuple[int, int], seed: int | None, dtype: object):
        parameter = next(model.parameters(), torch.zeros(()))
        self.like = {"device": parameter.device, "dtype": _number_type(dtype, parameter.dtype)}
        height, width = size if isinstance(size, tuple | list) else (size, size)
        at_least(1, height=height, width=width)
        self.height, self.width = int(height), int(width)
        self.generator = make_generator(seed)

    def noise(self, *shape: int) -> torch.Tensor:
        """Draw standard normal numbers: Tensor (1, *shape)."""
        return torch.randn(1, *shape, generator=self.generator).to(**self.like)

    def uniform(self, low: float, high: float) -> float:
        """Draw one number between two bounds."""
        return low + (high - low) * torch.rand((), generator=self.generator).item()

    def integer(self, largest: int) -> int:
        """Draw a whole number from 0 to `largest`, both included."""
        return int(torch.randint(0, largest + 1, (), generator=self.generator))


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
