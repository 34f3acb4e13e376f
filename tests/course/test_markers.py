"""The markers: found, cut, put back; and refused where they are wrong."""

import ast

import pytest

from course.markers import bodies_of, cut, fill, find_blocks
from image_utils.errors import InputError

SOURCE = '''
class Loss:
    def forward(self, x):
        """Docstring."""
        check(x)
        # >>> Solution: a line that tells what to write
        y = x * x

        if y > 1:
            return y
        return x
        # <<< Solution


def outer():
    def inner():
        # >>> Solution: another
        return 1
        # <<< Solution

    return inner
'''


def test_finds_the_innermost_function_and_the_hint():
    first, second = find_blocks(SOURCE)
    assert (first.function, first.hint, first.indent) == ("Loss.forward", "a line that tells what to write", 8)
    assert second.function == "outer.inner"
    assert bodies_of(SOURCE)[1] == "return 1"


def test_cut_keeps_everything_else_and_parses():
    student = cut(SOURCE)
    ast.parse(student)
    assert '"""Docstring."""\n        check(x)\n' in student and student.endswith("    return inner\n")
    assert "x * x" not in student and "return 1" not in student and ">>>" not in student and "<<<" not in student
    assert "TODO: a line that tells what to write." in student
    assert 'raise NotImplementedError("outer.inner is yours to write")' in student


def test_filled_in_again_it_is_the_same_program():
    bodies = dict(zip([b.function for b in find_blocks(SOURCE)], bodies_of(SOURCE), strict=True))
    assert ast.dump(ast.parse(fill(cut(SOURCE), bodies))) == ast.dump(ast.parse(SOURCE))


def test_fill_one_and_leave_the_other():
    assert fill(cut(SOURCE), {"outer.inner": "return 2"}).count("is yours to write") == 1
    with pytest.raises(InputError, match=r"Loss\.backward"):
        fill(cut(SOURCE), {"Loss.backward": "pass"})


def test_without_markers_nothing_changes():
    assert cut("def f():\n    return 1\n") == "def f():\n    return 1\n"


OPEN, CLOSE = "    # >>> Solution: hint\n", "    # <<< Solution\n"


@pytest.mark.parametrize(
    ("source", "word"),
    [
        ("def f():\n" + OPEN + "    return 1\n", "never closed"),
        ("def f():\n    pass\n" + CLOSE, "out of place"),
        ("def f():\n" + OPEN + OPEN + "    return 1\n" + CLOSE + CLOSE, "out of place"),
        ("def f():\n" + OPEN + CLOSE + "    return 1\n", "empty"),
        ("def f():\n    # >>> Solution:\n    return 1\n" + CLOSE, "out of place"),
        ("def f():\n    # >>> solution: x\n    return 1\n" + CLOSE, "out of place"),
        ("def f():\n" + OPEN + "    return 1\n  # <<< Solution\n", "out of place"),
        ("# >>> Solution: x\na = 1\n# <<< Solution\n", "inside a function"),
        ("def f():\n    return (\n    # >>> Solution: x\n    1\n    # <<< Solution\n    )\n", "statement"),
        ("def f(x):\n    if x:\n    # >>> Solution: x\n        return 1\n    # <<< Solution\n", "statement"),
    ],
)
def test_wrong_markers_are_refused_with_their_line(source, word):
    with pytest.raises(InputError, match=rf"(?s)a\.py:\d+.*{word}"):
        find_blocks(source, "a.py")
