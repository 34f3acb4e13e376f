"""Moving the pixels downhill: solvers for the image that makes the losses small, beside the course's loop.

The engine knows neither network nor files. It takes a function from an image to its losses, hands a record of
every step to whoever wants to show or keep it, and stops with the best image when the losses cease to be
numbers. The course's own loop stands in `style_utils.style_transfer`.

    objective = lambda img: {"content": ..., "style": ..., "tv": ...}       # scalar Tensors
    image = optimise(objective=objective, start=photograph, callback=lambda step: bar.update())

Solvers:
    lbfgs: limited-memory BFGS with a strong-Wolfe line search (Liu and Nocedal 1989), the solver of Gatys et al.
        2016, here on two grids of variables.
    adam: Adam (Kingma and Ba, ICLR 2015) at a rate that falls to zero along a half cosine.
Each evaluation of losses and gradient counts as a step; both return the best image. Nothing keeps their pixels
within what a photograph can hold, as in the paper.
"""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from image_utils.errors import InputError
from stylize.record import Record, Step

ADAM_RATE = 0.1
HISTORY = 10  # pairs of differences that L-BFGS remembers
COARSER = 4  # pixels to a variable, both ways, of L-BFGS's second grid
FIRST_MOVE = 0.03  # mean change of a pixel by the fine grid in L-BFGS's first trial step
STEPS = {"course": 200, "adam": 200, "lbfgs": 60}  # each solver's own number

Objective = Callable[[torch.Tensor], dict[str, torch.Tensor]]


def optimise(
    *,
    objective: Objective,
    start: torch.Tensor,
    solver: str = "lbfgs",
    steps: int | None = None,
    callback: Callable[[Step], None] | None = None,
    history: int = HISTORY,
    keep: Callable[[Callable[[], dict]], None] | None = None,
    resume: dict | None = None,
) -> torch.Tensor:
    """Minimise the sum of an image's losses.

    Args:
        objective: function from an image to a dict of its losses, scalar Tensors by name.
        start: float Tensor (N, 3, H, W), normalised, the image to begin with; not changed.
        solver: "lbfgs" or "adam", see above.
        steps: how many evaluations; None takes the solver's own number.
        callback: function of a `Step`, called for every image whose losses were computed. What it raises ends the
            optimisation.
        history: pairs of differences that L-BFGS remembers, each two images of memory.
        keep: called wherever the work may be broken off, with a function that returns its state: a dict of Tensors
            and plain values that lives on, so what is to be kept must be written or copied at once.
        resume: such a state, to go on from; the result is that of a run that was not broken off.

    Returns:
        Tensor like the start, the best image.

    Raises:
        InputError: unknown solver, not a positive number of steps, or losses that do not depend on the image.
        Diverged: see there.
    """
    steps, record = check_steps(solver, steps), Record(callback)
    run = _Run(objective, start.detach(), steps, record, history, keep, resume)
    {"adam": _adam, "lbfgs": _lbfgs}[solver](run)
    return record.best.image


@dataclass
class _Run:
    """What a solver is given."""

    objective: Objective
    start: torch.Tensor
    steps: int
    record: Record
    history: int
    keep: Callable[[Callable[[], dict]], None] | None
    resume: dict | None

    def begin(self, variables, optimizer):
        """Take up the state to go on from, if there is one."""
        if self.resume is None:
            return
        with torch.no_grad():
            for variable, value, gradient in zip(variables, *self.resume["variables"], strict=True):
                variable.copy_(value)
                variable.grad = gradient
        optimizer.load_state_dict(self.resume["optimizer"])
        self.record.load_state(self.resume["record"])
        self.resume = None

    def pause(self, variables, optimizer):
        """Offer the state to whoever keeps it."""
        if self.keep is not None:
            values = [v.detach() for v in variables], [v.grad for v in variables]
            self.keep(
                lambda: {"variables": values, "optimizer": optimizer.state_dict(), "record": self.record.state()}
            )


def check_steps(solver: str, steps: int | None = None) -> int:
    """Return how many steps a solver will take, or raise InputError for no such solver or number."""
    if solver not in STEPS:
        raise InputError(f"there is no solver '{solver}'; choose {', '.join(STEPS)}")
    steps = STEPS[solver] if steps is None else steps
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps must be a whole number of at least 1, not {steps}")
    return steps


def _adam(run):
    image = run.start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([image], lr=ADAM_RATE)
    run.begin([image], optimizer)
    for t in range(run.record.count, run.steps):
        optimizer.param_groups[0]["lr"] = ADAM_RATE * (1 + math.cos(math.pi * t / run.steps)) / 2
        optimizer.zero_grad()
        run.record.note(run.objective(image), image).backward()
        optimizer.step()
        run.pause([image], optimizer)


class _Enough(Exception):
    """Leaves L-BFGS in the middle of a line search when the steps are used up."""


def _lbfgs(run):
    # A photograph that must change its colours wholesale keeps pixel-wise L-BFGS busy for long. A second, coarser
    # grid of variables added to the first lets large areas move together: the same images can be reached, and the
    # course's final loss takes 0.4 to 0.6 of the steps (five of six pairs measured; the sixth gained a twelfth).
    start, record = run.start, run.record
    fine = torch.zeros_like(start)
    coarse = fine[:, :, ::COARSER, ::COARSER].clone()
    variables = [fine.requires_grad_(True), coarse.requires_grad_(True)]
    # torch's first trial step changes all variables together by 1, far too little. L-BFGS does not mind their unit
    # otherwise, so a larger unit sets the first step and nothing else.
    unit = FIRST_MOVE * start.numel()
    # One iteration a call, so that the work can be broken off and taken up between two.
    optimizer = torch.optim.LBFGS(
        variables,
        max_iter=1,
        max_eval=run.steps + 1,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=run.history,
        line_search_fn="strong_wolfe",
    )

    def closure():
        change = nn.functional.interpolate(coarse, size=start.shape[2:], mode="bilinear", align_corners=False)
        image = start + unit * (fine + change)
        if record.last is not None and fine.grad is not None and torch.equal(image, record.last.image):
            return torch.tensor(record.last.total)  # each call begins where the last one ended
        if record.count == run.steps:
            raise _Enough
        optimizer.zero_grad()
        # A line search may look far away and come back.
        total = record.note(run.objective(image), image, may_grow=True)
        total.backward()
        return total

    run.begin(variables, optimizer)
    with contextlib.suppress(_Enough):
        before = -1
        while before < record.count < run.steps:
            before = record.count
            optimizer.step(closure)
            run.pause(variables, optimizer)
