"""Right solutions lose no point: the course's own skeleton filled in plainly, and many unusual forms of it."""

import pytest

from course import parts
from course.autograder.unpack import write_files
from tests.course.unusual import base
from tests.course.unusual.losses import LOSSES
from tests.course.unusual.students import STUDENTS
from tests.course.unusual.techniques import TECHNIQUES
from tests.course.unusual.wrong import WRONG

UNUSUAL = [*LOSSES, *TECHNIQUES, *STUDENTS]


def hand_in(folder, files):
    write_files({name: text.encode() for name, text in files.items()}, folder)
    return folder


def elsewhere(solution):
    """The calls that do not run the changed file: scripts replace the methods, and methods know of no script."""
    return ("maps",) if "/" not in solution.file else ("script",)


def check(results):
    assert results.score() == results.maximum() > 0, results.table()


def test_there_are_enough_and_each_has_its_name():
    assert len(UNUSUAL) >= 40 and len({solution.name for solution in UNUSUAL}) == len(UNUSUAL)


@pytest.mark.parametrize("part", parts.EVERY)
def test_the_skeleton_filled_in_plainly(part, marked, tmp_path):
    check(marked(hand_in(tmp_path, base()), [part]))


@pytest.mark.parametrize("solution", UNUSUAL, ids=lambda solution: solution.name)
def test_unusual(solution, marked, tmp_path):
    handed_in = hand_in(tmp_path, base() | {solution.file: solution.text()})
    check(marked(handed_in, solution.parts, without=elsewhere(solution)))


def test_who_leaves_the_relus_replaced_is_told_and_loses_nothing(marked, tmp_path):
    results = marked(hand_in(tmp_path, base()), ["guided"])
    check(results)
    assert "full of CustomReLU" in results.table()


@pytest.mark.parametrize(("solution", "points"), WRONG, ids=lambda value: getattr(value, "name", ""))
def test_wrong_stays_wrong(solution, points, marked, tmp_path):
    handed_in = hand_in(tmp_path, base() | {solution.file: solution.text()})
    results = marked(handed_in, points, without=elsewhere(solution))
    assert {part: results.score(part) for part in points} == points, results.table()
