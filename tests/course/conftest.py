"""One sandbox and one skeleton for all tests of the marking."""

import sys

import pytest

from course.autograder import grade as grading
from course.autograder.build import make_skeleton
from course.autograder.grade import all_tasks, grade
from course.autograder.sandbox import LIMITS, Sandbox
from course.collect.archive import write_submission
from course.handout import ROOT, make_handout

if not sys.platform.startswith("linux"):
    collect_ignore = [
        "test_autograder.py",
        "test_gradescope.py",
        "test_mutants.py",
        "test_unusual.py",
        "test_classroom.py",
    ]


@pytest.fixture(scope="session")
def skeleton(tmp_path_factory):
    return make_skeleton(tmp_path_factory.mktemp("graded") / "skeleton")


@pytest.fixture(scope="session")
def handout(tmp_path_factory):
    """The student's tree, never changed: a test that writes into it makes a copy."""
    out = tmp_path_factory.mktemp("student") / "handout"
    make_handout(out)
    return out


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="session", autouse=True)
def drawn_once():
    """Draw the inputs of a task and a seed once for all tests: the photographs take a second to choose."""
    draw, drawn = grading.draw, {}

    def remembered(task, seed):
        key = (task.call, task.label, seed)
        if key not in drawn:
            drawn[key] = draw(task, seed)
        return drawn[key]

    grading.draw = remembered
    yield
    grading.draw = draw


@pytest.fixture
def marked(sandbox, skeleton, monkeypatch):
    """Function that marks parts of a submission, with inputs that are always the same; perhaps in other limits."""

    def mark(submission, parts, seed=1, without=(), **limits):
        monkeypatch.setattr(sandbox, "limits", LIMITS | limits)
        tasks = [task for task in all_tasks(tuple(parts)) if task.call not in without]
        monkeypatch.setattr(grading, "all_tasks", lambda parts: tasks)
        return grade(submission, sandbox, skeleton, parts=tuple(parts), seed=seed)

    return mark


@pytest.fixture(scope="session")
def solution(tmp_path_factory):
    """The solution, as it would be handed in."""
    path = tmp_path_factory.mktemp("handed-in") / "solution.zip"
    write_submission(ROOT, path)
    return path
