"""What is marked, and how an answer is compared with what is right; a wrong one gets the likely mistake's name."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-3  # relative to the largest expected value; single precision gives 1e-5 or better
# Of maps of the whole network: rounding may switch a unit that is nearly at zero, which changes the map a little,
# in a direction of its own, and hardly the share of the right map in it.
LOOSE = 0.02


@dataclass(frozen=True)
class Verdict:
    """What a check gives.

    Attributes:
        share: of its points, from 0 to 1.
        message: what to tell the student.
        pictures: title to ndarray (H, W) or (H, W, 3), where a picture says more.
    """

    share: float
    message: str = ""
    pictures: dict | None = None


RIGHT = Verdict(1.0)


@dataclass(frozen=True)
class Check:
    """One line of the marking.

    Attributes:
        part: name of a `course.parts.Part`.
        name: what is checked, for the table.
        points: how many it gives.
        judge: function (inputs, answers) -> Verdict; both are dicts, the answers are not to be trusted.
        needs: name of an earlier check without which this one does not count.
    """

    part: str
    name: str
    points: float
    judge: Callable
    needs: str = ""


@dataclass(frozen=True)
class Task:
    """One call of a submission, in a process of its own.

    Attributes:
        call: name of a function in `calls`.
        make: function of a NumPy Generator -> dict of inputs.
        checks: tuple of Checks that share the answer.
        label: tells apart tasks with the same call.
    """

    call: str
    make: Callable
    checks: tuple
    label: str = ""


def wrong(message):
    """Return a Verdict without points."""
    return Verdict(0.0, message)


def _alike(found, expected):
    """Return both in double precision and in one shape, or None; a single number may come in any shape."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape and not found.size == expected.size == 1:
        return None
    return found.reshape(expected.shape), expected


def close(found, expected, tolerance=TOLERANCE):
    """Say whether an array is the expected one: same shape, finite, within `tolerance` of its largest value."""
    if (pair := _alike(found, expected)) is None:
        return False
    found, expected = pair
    return bool((np.abs(found - expected) <= tolerance * np.abs(expected).max(initial=0.0) + 1e-12).all())


def near(found, expected, loose=LOOSE):
    """Say whether a map of the network is the expected one: by the norm of the difference, and by its size."""
    if (pair := _alike(found, expected)) is None:
        return False
    (found, expected), size = pair, np.linalg.norm(expected)
    factor = (found * expected).sum() / max(size**2, 1e-300)
    return bool(np.linalg.norm(found - expected) <= loose * size and abs(factor - 1) <= loose / 4)


def judge_values(expected, mistakes, found, same=close):
    """Compare one value a case.

    Args:
        expected: list of ndarrays or numbers.
        mistakes: function of a case's index -> dict from a likely mistake's message to a list of what it gives.
        found: for each case, what the submission gave.
        same: function (found, expected) -> bool.

    Returns:
        Verdict. A mistake that explains all wrong cases is named.
    """
    failed = [i for i, (f, e) in enumerate(zip(found, expected, strict=True)) if not same(f, e)]
    if not failed:
        return RIGHT
    first, *others = ((found[i], mistakes(i)) for i in failed)
    for message, values in first[1].items():
        for k, value in enumerate(values):
            if same(first[0], value) and all(message in m and same(f, m[message][k]) for f, m in others):
                return wrong(message)
    return wrong(_describe(expected[failed[0]], found[failed[0]]))


def judge_gradients(expected, found, value_is_right):
    """Compare gradients, lists of ndarrays (or None); the message tells apart no gradient and a wrong one."""
    for wanted, gradient in zip(expected, found, strict=True):
        absent = gradient is None or not np.any(gradient)
        if close(gradient, wanted) or (absent and not np.any(wanted)):
            continue
        if not absent:
            return wrong(_factor("the gradient", wanted, gradient) or "the gradient is wrong")
        if not value_is_right:
            return wrong("there is no gradient, or it is zero; first mend the value")
        return wrong("right value, gradient zero: detached from the graph? (.item(), .detach(), .data, NumPy)")
    return RIGHT


def derivative(function, x, step=1e-4):
    """Compute the gradient of a number by each entry of a float64 ndarray, by central differences."""
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        before, values = x[i], []
        for sign in (1, -1):
            x[i] = before + sign * step
            values.append(function(x))
        x[i], gradient[i] = before, (values[0] - values[1]) / (2 * step)
    return gradient


def _describe(expected, found):
    if _alike(found, expected) is None:
        return f"the shape is {np.shape(found)}, not {np.shape(expected)}"
    if not np.isfinite(found).all():
        return "the value is not finite"
    return _factor("the value", expected, found) or "the value is wrong; compare it with the formula term by term"


def _factor(what, expected, found):
    """Say so where the answer is the right one times a number."""
    if (pair := _alike(found, expected)) is None or not np.any(expected):
        return None
    factor = float((pair[0] * pair[1]).sum() / (pair[1] ** 2).sum())
    return f"{what} is {factor:.4g} times the right one" if factor and close(found, factor * pair[1]) else None
