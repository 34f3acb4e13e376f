"""What is marked: tasks, each one call in a process of its own, and the checks that judge its answer."""

from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Check:
    """One line of the marking.

    Attributes:
        part: name of a `course.parts.Part`.
        name: what is checked, for the table.
        points: how many it gives.
        judge: function (inputs, answers) -> Verdict; both are dicts, the answers are not to be trusted.
    """

    part: str
    name: str
    points: float
    judge: Callable


@dataclass(frozen=True)
class Task:
    """One call of a submission.

    Attributes:
        call: name of a function in `calls`.
        make: function of a NumPy Generator -> dict of inputs. Keys that begin with "_" stay with the judge.
        checks: tuple of Checks that share the answer.
        wall: seconds it may take on a slow machine.
        label: tells apart tasks with the same call.
    """

    call: str
    make: Callable
    checks: tuple
    wall: float = 60.0
    label: str = ""

    def only(self, parts):
        """Return the same task with the checks of some parts only."""
        return replace(self, checks=tuple(check for check in self.checks if check.part in parts))


def cases_of(cases):
    """Join dicts of cases into one dict: key K of case number i becomes K@i, and `cases` is how many there are."""
    cases = list(cases)
    joined = {f"{key}@{i}": value for i, case in enumerate(cases) for key, value in case.items()}
    return joined | {"cases": len(cases)}


def answers_of(values, chosen):
    """Undo `cases_of` for the chosen numbers: list of dicts."""
    return [
        {key.rpartition("@")[0]: value for key, value in values.items() if key.endswith(f"@{i}")} for i in chosen
    ]


def for_the_child(inputs):
    """Leave out what the judge keeps to itself."""
    return {key: value for key, value in inputs.items() if not key.startswith("_")}
