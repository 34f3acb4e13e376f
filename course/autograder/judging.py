"""Comparing what a submission computed with references, and saying which likely mistake a wrong answer matches."""

from dataclasses import dataclass, field

import numpy as np

TOLERANCE = 1e-3  # relative to the largest expected value; single precision gives 1e-5 or better
# Relative, in the norm. Rounding may switch a ReLU that is nearly at zero, which changes a few pixels a lot.
LOOSE = 0.02


@dataclass(frozen=True)
class Verdict:
    """What a check gives: the share of its points, from 0 to 1, and what to tell the student."""

    share: float
    message: str = ""


RIGHT = Verdict(1.0)


@dataclass
class Reference:
    """What one case should give.

    Attributes:
        value: ndarray or number.
        gradients: list of ndarrays, or empty.
        wrong: message to (value, gradients) of a likely mistake; gradients may be None where they do not matter.
    """

    value: object
    gradients: list = field(default_factory=list)
    wrong: dict = field(default_factory=dict)


def close(found, expected, tolerance=TOLERANCE):
    """Say whether an array is the expected one: same shape, finite, within `tolerance` of its largest value."""
    if found is None:
        return False
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if found.shape != expected.shape and not (found.size == expected.size == 1):
        return False
    found = found.reshape(expected.shape)
    scale = np.abs(expected).max(initial=0.0)
    with np.errstate(all="ignore"):
        return bool(np.isfinite(found).all() and (np.abs(found - expected) <= tolerance * scale + 1e-12).all())


def judge_value(references, values):
    """Compare one value a case.

    Args:
        references: list of References.
        values: list of what the submission gave for each, ndarray or None.

    Returns:
        Verdict. Each wrong formula that explains all wrong cases is named.
    """
    wrong = [i for i, (r, v) in enumerate(zip(references, values, strict=True)) if not close(v, r.value)]
    if not wrong:
        return RIGHT
    for message in references[wrong[0]].wrong:
        formulas = [references[i].wrong.get(message) for i in wrong]
        if all(f is not None and close(values[i], f[0]) for i, f in zip(wrong, formulas, strict=True)):
            return Verdict(0.0, message)
    return Verdict(0.0, _describe(references[wrong[0]].value, values[wrong[0]]))


def judge_gradient(references, values, gradients):
    """Compare the gradients of each case; the message tells apart a wrong value, no gradient and a wrong one.

    Args:
        references: list of References.
        values: list of values, ndarray or None.
        gradients: for each case a list of ndarrays or None.
    """
    for reference, value, found in zip(references, values, gradients, strict=True):
        for expected, gradient in zip(reference.gradients, found, strict=True):
            if close(gradient, expected):
                continue
            right = close(value, reference.value)
            if gradient is None or not np.any(gradient):
                if not np.any(expected):
                    continue
                if not right:
                    return Verdict(0.0, "there is no gradient, or it is zero; first mend the value")
                message = "right value, gradient zero: detached from the graph? (.item(), .detach(), .data, NumPy)"
                return Verdict(0.0, message)
            return Verdict(0.0, _factor("the gradient", expected, gradient) or "the gradient is wrong")
    return RIGHT


def _describe(expected, found):
    if found is None:
        return "nothing was returned"
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        return f"the shape is {found.shape}, not {expected.shape}"
    if not np.isfinite(found).all():
        return "the value is not finite"
    return _factor("the value", expected, found) or "the value is wrong; compare it with the formula term by term"


def _factor(what, expected, found):
    """Say so where the answer is the right one times a number."""
    if found.shape != expected.shape or not np.any(expected) or not np.isfinite(found).all():
        return None
    factor = float((found * expected).sum() / (expected**2).sum())
    if factor and close(found, factor * expected):
        return f"{what} is {factor:.4g} times the right one"
    return None


def compare(found, expected, wrong):
    """Compare one array with the expected one and, if it is another, with what likely mistakes give.

    Args:
        found: ndarray or None.
        expected: Tensor or ndarray.
        wrong: dict from message to Tensor or ndarray.

    Returns:
        Verdict.
    """
    expected = np.asarray(expected)
    if near(found, expected):
        return RIGHT
    for message, value in wrong.items():
        if near(found, np.asarray(value)):
            return Verdict(0.0, message)
    return judge_value([Reference(expected)], [found])


def near(found, expected):
    """Say whether an array has the expected shape and is the expected one, by the norm of the difference."""
    if found is None or found.shape != expected.shape or not np.isfinite(found).all():
        return False
    return bool(np.linalg.norm(found - expected) <= LOOSE * np.linalg.norm(expected))
