"""What is marked: tasks, each one call in a process of its own, and the checks that judge its answer."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace


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
    """One call of a submission.

    Attributes:
        call: name of a function in `calls`.
        make: function of a NumPy Generator -> dict of inputs. Keys that begin with "_" stay with the judge.
        checks: tuple of Checks that share the answer.
        label: tells apart tasks with the same call.
        limits: limits other than the sandbox's, see `sandbox.LIMITS`.
    """

    call: str
    make: Callable
    checks: tuple
    label: str = ""
    limits: dict = field(default_factory=dict)

    def only(self, parts):
        """Return the same task with the checks of some parts only."""
        return replace(self, checks=tuple(check for check in self.checks if check.part in parts))


def for_the_child(inputs):
    """Leave out what the judge keeps to itself."""
    return {key: value for key, value in inputs.items() if not key.startswith("_")}
