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
from collections.abc import Callable

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
) -> torch.Tensor:
    """Minimise the sum of an image's losses.

    Args:
        objective: function from an image to a dict of its losses, scalar Tensors by name.
        start: float Tensor (N, 3, H, W), normalised, the image to begin with; not changed.
        solver: "lbfgs" or "adam", see above.
        steps: how many evaluations; None takes the solver's own number.
        callback: function of a `Step`, called for every image whose losses were computed. What it raises ends the
            optimisation.

    Returns:
        Tensor like the start, the best image.

    Raises:
        InputError: unknown solver, not a positive number of steps, or losses that do not depend on the image.
        Diverged: see there.
    """
    steps, record = check_steps(solver, steps), Record(callback)
    {"adam": _adam, "lbfgs": _lbfgs}[solver](objective, start.detach(), steps, record)
    return record.best.image


def check_steps(solver: str, steps: int | None = None) -> int:
    """Return how many steps a solver will take, or raise InputError for no such solver or number."""
    if solver not in STEPS:
        raise InputError(f"there is no solver '{solver}'; choose {', '.join(STEPS)}")
    steps = STEPS[solver] if steps is None else steps
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"steps must be a whole number of at least 1, not {steps}")
    return steps


def _adam(objective, start, steps, record):
    image = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([image], lr=ADAM_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        record.note(objective(image), image).backward()
        optimizer.step()
        schedule.step()


class _Enough(Exception):
    """Leaves L-BFGS in the middle of a line search when the steps are used up."""


def _lbfgs(objective, start, steps, record):
    # A photograph that must change its colours wholesale keeps pixel-wise L-BFGS busy for long. A second, coarser
    # grid of variables added to the first lets large areas move together: the same images can be reached, and the
    # course's final loss takes 0.4 to 0.6 of the steps (five of six pairs measured; the sixth gained a twelfth).
    full_size = start.shape[2:]
    fine = torch.zeros_like(start)
    coarse = fine[:, :, ::COARSER, ::COARSER].clone()
    variables = [fine.requires_grad_(True), coarse.requires_grad_(True)]
    # torch's first trial step changes all variables together by 1, far too little. L-BFGS does not mind their unit
    # otherwise, so a larger unit sets the first step and nothing else.
    unit = FIRST_MOVE * start.numel()
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
        if record.count == steps:
            raise _Enough
        optimizer.zero_grad()
        change = fine + nn.functional.interpolate(coarse, size=full_size, mode="bilinear", align_corners=False)
        image = start + unit * change
        total = record.note(
            objective(image), image, may_grow=True
        )  # a line search may look far away and come back
        total.backward()
        return total

    with contextlib.suppress(_Enough):
        optimizer.step(closure)
