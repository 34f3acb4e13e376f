"""How the tour shows the project's own code: from the source files, so that it is never out of date."""

import ast
import inspect
import re
import textwrap

from course.markers import CLOSE, OPEN


def code(*functions):
    """Show functions in a notebook, without their docstrings.

    Args:
        *functions: functions, methods or classes.

    Returns:
        IPython Markdown with their highlighted source.
    """
    return _markdown(*map(source, functions))


def part(*functions):
    """Show of each function only what the assignment asks for, the lines between its markers; see `code`."""
    return _markdown(*map(_between_markers, functions))


def _between_markers(function):
    lines = inspect.getsource(function).splitlines()
    first = next(i for i, line in enumerate(lines) if OPEN.match(line))
    last = next(i for i, line in enumerate(lines) if CLOSE.match(line))
    return textwrap.dedent("\n".join(lines[first + 1 : last]))


def source(function):
    """Return the source of a function, method or class, dedented, without docstrings and markers."""
    text = textwrap.dedent(inspect.getsource(function))
    kept = dict(enumerate(text.splitlines(), 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            for line in range(node.body[0].lineno, node.body[0].end_lineno + 1):
                del kept[line]
    lines = [line for line in kept.values() if not OPEN.match(line) and not CLOSE.match(line)]
    return re.sub(r":\n\n+", ":\n", "\n".join(lines))


def _markdown(*sources):
    from IPython.display import Markdown

    blocks = "\n\n".join(f"```python\n{text.strip()}\n```" for text in sources)
    return Markdown(f'<div style="font-family: monospace">\n\n{blocks}\n\n</div>')  # web pages lose the font else
