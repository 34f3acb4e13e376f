"""Moving the pixels downhill: three solvers for the image that makes the losses small.

The engine knows neither network nor files. It takes a function from an image to its losses, hands a record of
every step to whoever wants to show or keep it, and stops with the best image when the losses cease to be
numbers.

    objective = lambda img: {"content": ..., "style": ..., "tv": ...}       # scalar Tensors
    image = optimise(objective, start, callback=lambda step: bar.set_postfix(total=step.total))

Solvers:
    course: Adam at a rate of 3.0, then a new Adam at 0.1 for the last tenth; pixels are kept within +-1.5 but for
        the last twentieth. The huge first rate throws pixels from bound to bound, which strengthens the style.
    adam: Adam (Kingma and Ba, ICLR 2015) at a rate that falls to zero along a half cosine.
    lbfgs: limited-memory BFGS with a strong-Wolfe line search (Liu and Nocedal 1989), the solver of Gatys et al.
        2016, here on two grids of variables; each evaluation of losses and gradient counts as a step.
The last two end with the best image. Nothing keeps their pixels within what a photograph can hold, as in the
paper.
"""

import contextlib
import math
from dataclasses import dataclass

import torch
from torch import nn

from image_utils.errors import InputError

INITIAL_RATE, DECAYED_RATE = 3.0, 0.1  # the course's
DECAY_AT, CLAMP_UNTIL = 0.9, 0.95  # of the steps: 180 and 190 of the course's 200
BOUND = 1.5  # normalised pixels
ADAM_RATE = 0.1
HISTORY = 10  # pairs of differences that L-BFGS remembers
COARSER = 4  # pixels to a variable, both ways, of L-BFGS's second grid
FIRST_MOVE = 0.03  # mean change of a pixel by the fine grid in L-BFGS's first trial step
DIVERGED = 1e6  # times the first total; the course's first steps alone raise it by a factor of 300


@dataclass(frozen=True)
class Step:
    """One evaluation of the losses.

    Attributes:
        step: evaluations before this one; with the Adam solvers, updates made so far.
        losses: name of each loss to its value.
        total: their sum.
        image: Tensor like the start, a copy: the image that has these losses.
    """

    step: int
    losses: dict
    total: float
    image: torch.Tensor


class Diverged(InputError):
    """The losses stopped being numbers, or grew out of all proportion.

    Attributes:
        image: the best image until then, or None if already the first had no finite losses.
        step: the number of the step that failed.
    """

    def __init__(self, reason, step, best):
        kept = f"the best image, of step {best.step}, is kept" if best else "there is no image to keep"
        super().__init__(f"stopped at step {step}: {reason}; {kept}")
        self.image = best.image if best else None
        self.step = step


def optimise(objective, start, *, solver="course", steps=None, callback=None):
    """Minimise the sum of an image's losses.

    Args:
        objective: function from an image to a dict of its losses, scalar Tensors by name.
        start: float Tensor (N, 3, H, W), normalised, the image to begin with; not changed.
        solver: "course", "adam" or "lbfgs", see above.
        steps: how many; None takes the solver's own number. The course's schedule stretches with them.
        callback: function of a `Step`, called for every image whose losses were computed, the last included. What
            it raises ends the optimisation.

    Returns:
        Tensor like the start: the last image with "course", as the course has it, else the best one.

    Raises:
        InputError: unknown solver, not a positive number of steps, or losses that do not depend on the image.
        Diverged: see there.
    """
    steps = check_steps(solver, steps)
    image = start.detach().clone().requires_grad_(True)
    return SOLVERS[solver][0](_Watched(objective, callback), image, steps)


def check_steps(solver, steps=None):
    """Return how many steps a solver will take, or raise InputError for no such solver or number."""
    if solver not in SOLVERS:
        raise InputError(f"there is no solver '{solver}'; choose {', '.join(SOLVERS)}")
    steps = SOLVERS[solver][1] if steps is None else steps
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps must be a whole number of at least 1, not {steps}")
    return steps


class _Watched:
    """The objective, with a record of every evaluation, the guard, and the best image so far."""

    def __init__(self, objective, callback):
        self.objective, self.callback = objective, callback
        self.count, self.first, self.best = 0, None, None

    def __call__(self, image, *, may_grow=False):
        """Compute the total loss, a scalar Tensor; `may_grow` allows any finite value."""
        losses = self.objective(image)
        total = sum(losses.values())
        if torch.is_grad_enabled() and not getattr(total, "requires_grad", False):
            raise InputError("no gradient reaches the image: the losses were detached from it")
        values = {name: float(torch.as_tensor(value).detach()) for name, value in losses.items()}
        step = Step(self.count, values, float(total.detach()), image.detach().clone())
        self._guard(step, may_grow)
        self.count += 1
        if self.best is None or step.total < self.best.total:
            self.best = step
        if self.callback is not None:
            self.callback(step)
        return total

    def _guard(self, step, may_grow):
        for name, value in (*step.losses.items(), ("total", step.total)):
            if not math.isfinite(value):
                raise Diverged(f"the {name} loss is {value}", step.step, self.best)
        self.first = step.total if self.first is None else self.first
        if not may_grow and step.total > DIVERGED * max(self.first, 1.0):
            reason = f"the total loss grew from {self.first:.3g} to {step.total:.3g}"
            raise Diverged(reason, step.step, self.best)


def _course(objective, image, steps):
    optimizer = torch.optim.Adam([image], lr=INITIAL_RATE)
    for t in range(steps):
        if t < round(CLAMP_UNTIL * steps):
            image.data.clamp_(-BOUND, BOUND)
        optimizer = course_update(objective, image, optimizer, t, round(DECAY_AT * steps))
    return _judge_last(objective, image)


def course_update(objective, image, optimizer, t, decay_at):
    """Update the image once, as the course's loop does.

    Args:
        objective: function from the image to its total loss, a scalar Tensor.
        image: leaf Tensor that requires a gradient; changed in place.
        optimizer: the Adam that owns it.
        t: how many updates were made before.
        decay_at: the t at which a new Adam with the decayed rate takes over.

    Returns:
        The optimizer for the next update.
    """
    # >>> Solution: clear the gradient, compute it, change over to a new Adam at `decay_at` only, and step
    optimizer.zero_grad()
    objective(image).backward()
    if t == decay_at:
        optimizer = torch.optim.Adam([image], lr=DECAYED_RATE)
    optimizer.step()
    return optimizer
    # <<< Solution


def _adam(objective, image, steps):
    optimizer = torch.optim.Adam([image], lr=ADAM_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(image).backward()
        optimizer.step()
        schedule.step()
    _judge_last(objective, image)
    return objective.best.image


class _Enough(Exception):
    """Leaves L-BFGS in the middle of a line search when the steps are used up."""


def _lbfgs(objective, image, steps):
    # A photograph that must change its colours wholesale keeps pixel-wise L-BFGS busy for long. A second, coarser
    # grid of variables added to the first lets large areas move together: the same images can be reached, and the
    # course's final loss takes 0.4 to 0.6 of the steps (five of six pairs measured; the sixth gained a twelfth).
    start, full_size = image.detach(), image.shape[2:]
    fine = torch.zeros_like(start)
    coarse = fine[:, :, ::COARSER, ::COARSER].clone()
    variables = [fine.requires_grad_(True), coarse.requires_grad_(True)]
    # torch's first trial step changes all variables together by 1, far too little. L-BFGS does not mind their unit
    # otherwise, so a larger unit sets the first step and nothing else.
    unit = FIRST_MOVE * image.numel()
    optimizer = torch.optim.LBFGS(
        variables,
        max_iter=steps,
        max_eval=steps,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
    )

    def closure():
        if objective.count == steps:
            raise _Enough
        optimizer.zero_grad()
        change = fine + nn.functional.interpolate(coarse, size=full_size, mode="bilinear", align_corners=False)
        total = objective(start + unit * change, may_grow=True)  # a line search may look far away and come back
        total.backward()
        return total

    with contextlib.suppress(_Enough):
        optimizer.step(closure)
    return objective.best.image


@torch.no_grad()
def _judge_last(objective, image):
    """Compute and record the losses after the last update, and return the image."""
    objective(image)
    return image.detach()


SOLVERS = {"course": (_course, 200), "adam": (_adam, 200), "lbfgs": (_lbfgs, 60)}
