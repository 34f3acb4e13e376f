"""The one error a person can mend: a wrong file, argument or shape."""

import difflib
from collections.abc import Collection


class InputError(ValueError):
    """Something given from outside is unusable; the message names it and says what would be right, in one line.

    The root scripts print it and exit with status 2. A ValueError, so that callers of the library may catch it
    without knowing this class.
    """


def at_least(lowest: float, **numbers: float) -> None:
    """Raise InputError, naming it, for the first number below `lowest`, infinite or NaN."""
    for name, number in numbers.items():
        if not lowest <= number < float("inf"):
            raise InputError(f"{name} must be at least {lowest}, not {number}")


def one_of(choices: Collection, **values: object) -> None:
    """Raise InputError, naming it and what there is, for the first value that is not one of `choices`."""
    for name, value in values.items():
        if value not in choices:
            raise InputError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def check_keywords(what: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise TypeError, naming the nearest that there is, for a keyword that `what` does not take."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"{what} takes no keyword '{name}'; {hint}")
