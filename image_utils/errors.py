"""The one error a person can mend: a wrong file, argument or shape."""


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
