"""Wrong submissions that the marking must see through, each with the points it deserves.

A mutant is the solution with other bodies in some of the student's parts, perhaps with lines in front of a file.
"""

import textwrap
from dataclasses import dataclass, field

from course.handout import ROOT
from course.markers import bodies_of, cut, fill, find_blocks


@dataclass(frozen=True)
class Mutant:
    """A wrong submission.

    Attributes:
        name: short and telling.
        bodies: (file, function) to the wrong body.
        points: part to points; these parts are marked. Parts left out keep full points, or are of no interest.
        says: words that the feedback of some failed check must contain.
        before: file to lines put in front of it.
        extra: file that the solution does not have to its text.
        limits: of the sandbox, for what would not end by itself.
        without: calls that are left out, because what they give does not depend on what is wrong.
        needs: what must confine the submission here for `says` to hold: "landlock" or "offline".
    """

    name: str
    bodies: dict
    points: dict
    says: str = ""
    before: dict = field(default_factory=dict)
    extra: dict = field(default_factory=dict)
    limits: dict = field(default_factory=dict)
    without: tuple = ()
    needs: tuple = ()

    def files(self):
        """The files that differ from the solution: dict from path to text."""
        touched = {file for file, _ in self.bodies} | set(self.before)
        return self.extra | {file: self.before.get(file, "") + self._source(file) for file in sorted(touched)}

    def _source(self, file):
        solution = (ROOT / file).read_text()
        if not any(file == other for other, _ in self.bodies):
            return solution
        names = [block.function for block in find_blocks(solution)]
        bodies = dict(zip(names, bodies_of(solution), strict=True))
        wrong = {
            name: textwrap.dedent(body).strip() for (other, name), body in self.bodies.items() if other == file
        }
        return fill(cut(solution), bodies | wrong)
