"""A record of every step of an optimisation, and the guard that stops one whose losses cease to be numbers."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from image_utils.errors import InputError
from stylize.self_product import self_products

DIVERGED = 1e6  # times the first total; the course's first steps alone raise it by a factor of 300


@dataclass(frozen=True)
class Step:
    """One evaluation of the losses.

    Attributes:
        step: evaluations before this one.
        losses: name of each loss to its value.
        total: their sum.
        image: Tensor (N, 3, H, W), a copy: the image that has these losses.
    """

    step: int
    losses: dict[str, float]
    total: float
    image: torch.Tensor


class Diverged(InputError):
    """The losses stopped being numbers, or grew out of all proportion.

    Attributes:
        image: the best image until then, or None if already the first had no finite losses.
        step: the number of the step that failed.
    """

    def __init__(self, reason: str, step: int, best: Step | None):
        kept = f"the best image, of step {best.step}, is kept" if best else "there is no image to keep"
        super().__init__(f"stopped at step {step}: {reason}; {kept}")
        self.image = best.image if best else None
        self.step = step


class Record:
    """What happened so far: how many evaluations, the last and the best of them.

    Attributes:
        count: evaluations so far.
        last: Step, or None before the first.
        best: the Step of the smallest total, or None before the first.
    """

    def __init__(self, callback: Callable[[Step], None] | None = None):
        """Begin; `callback` gets every Step, and what it raises ends the optimisation."""
        self.callback = callback
        self.count, self.first, self.last, self.best = 0, None, None, None

    def note(
        self, losses: dict[str, torch.Tensor], image: torch.Tensor, *, may_grow: bool = False
    ) -> torch.Tensor:
        """Note the losses of an image.

        Args:
            losses: name of each loss to a scalar Tensor.
            image: Tensor (N, 3, H, W) that has them.
            may_grow: allow any finite value.

        Returns:
            The sum of the losses, to be differentiated.

        Raises:
            Diverged: a loss is not a finite number, or their sum is a million times that of the start.
            InputError: the losses do not depend on the image.
        """
        total = sum(losses.values())
        if torch.is_grad_enabled() and not getattr(total, "requires_grad", False):
            raise InputError("no gradient reaches the image: the losses were detached from it")
        values = {name: float(torch.as_tensor(value).detach()) for name, value in losses.items()}
        step = Step(self.count, values, float(torch.as_tensor(total).detach()), image.detach().clone())
        self._guard(step, may_grow)
        self.count += 1
        self.last = step
        if self.best is None or step.total < self.best.total:
            self.best = step
        if self.callback is not None:
            self.callback(step)
        return total

    def state(self) -> dict[str, Any]:
        """Return what `load_state` needs to go on from here, in plain values and Tensors."""
        steps = {name: step and vars(step) for name, step in (("last", self.last), ("best", self.best))}
        return {"count": self.count, "first": self.first, **steps}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.count, self.first = state["count"], state["first"]
        self.last, self.best = (state[name] and Step(**state[name]) for name in ("last", "best"))

    def _guard(self, step, may_grow):
        for name, value in (*step.losses.items(), ("total", step.total)):
            if not math.isfinite(value):
                raise Diverged(f"the {name} loss is {value}", step.step, self.best)
        self.first = step.total if self.first is None else self.first
        if not may_grow and step.total > DIVERGED * max(self.first, 1.0):
            reason = f"the total loss grew from {self.first:.3g} to {step.total:.3g}"
            raise Diverged(reason, step.step, self.best)

    def of_losses(self, img: torch.Tensor, **losses: nn.Module) -> list["Recorded"]:
        """Wrap losses that a loop calls one by one, so that a step is noted once all were called.

        Args:
            img: the image being made, Tensor (N, 3, H, W), changed in place by the loop.
            losses: name of each loss to the function that computes it.

        Returns:
            For each loss a function that takes and returns what the loss does.
        """
        values = {}

        def called(name, value):
            values[name] = value
            if len(values) == len(losses):
                self.note({each: values[each] for each in losses}, img)
                values.clear()

        return [Recorded(loss, name, called) for name, loss in losses.items()]


class Recorded:
    """A loss that says what it returned; otherwise the loss itself."""

    def __init__(self, loss: nn.Module, name: str, called: Callable[[str, torch.Tensor], None]):
        """Wrap `loss`; `called` gets its name and every value."""
        self._loss, self._name, self._called = loss, name, called

    def __call__(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Compute the loss, Gram matrices the fast way."""
        with self_products():
            value = self._loss(*args, **kwargs)
        self._called(self._name, value)
        return value

    def __getattr__(self, name: str) -> Any:
        """Look for anything else in the loss itself, such as `gram_matrix`."""
        return getattr(self._loss, name)
