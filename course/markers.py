"""The student's parts in the finished code: finding them, cutting them out, putting them back.

A part stands between two comments, inside one function:

    # >>> Solution: what to write, in one line
    ...
    # <<< Solution

In the handout a TODO box and `raise NotImplementedError` take its place. The box's own lines are as regular as the
markers, so that a solution can be put back where it was cut out.
"""

import ast
import re
import textwrap
from dataclasses import dataclass

from image_utils.errors import InputError

OPEN = re.compile(r"^( *)# >>> Solution: (\S.*)$")
CLOSE = re.compile(r"^( *)# <<< Solution$")
STRAY = re.compile(r"#\s*(>>>|<<<)")
RULE = "# " + "-" * 70
END = "# " + " end of your part ".center(70, "-")


@dataclass(frozen=True)
class Block:
    """A student's part.

    Attributes:
        function: dotted name of the innermost function around it, such as "SaliencyMap.compute_saliency_maps".
        hint: the line that tells what to write.
        indent: columns before the marker.
        first: index of the first line of the body, from 0, in the source's lines.
        last: index after the body's last line.
    """

    function: str
    hint: str
    indent: int
    first: int
    last: int


def find_blocks(source, name="source"):
    """Find the student's parts of a file.

    Args:
        source: text of a Python file.
        name: what to call it in messages.

    Returns:
        List of Blocks, in order.

    Raises:
        InputError: markers unpaired, nested, misspelt, outside a function, around nothing, or through a statement.
    """
    lines = source.split("\n")
    functions = list(_functions(ast.parse(source)))
    blocks, opened = [], None
    for i, line in enumerate(lines):
        start, end = OPEN.match(line), CLOSE.match(line)
        if start and opened is None:
            opened = (i, len(start[1]), start[2])
        elif end and opened is not None and len(end[1]) == opened[1]:
            blocks.append(_block(lines, opened, i, functions, name))
            opened = None
        elif start or end or STRAY.search(line):
            raise InputError(f"{name}:{i + 1}: a marker out of place: {line.strip()}")
    if opened is not None:
        raise InputError(f"{name}:{opened[0] + 1}: this part is never closed")
    _check_statements(source, blocks, name)
    return blocks


def _block(lines, opened, end, functions, name):
    start, indent, hint = opened
    inside = [q for q, first, last in functions if first <= start and end < last]
    if not inside:
        raise InputError(f"{name}:{start + 1}: a student's part must lie inside a function")
    body = [line for line in lines[start + 1 : end] if line.strip()]
    if not body:
        raise InputError(f"{name}:{start + 1}: this part is empty")
    if any(len(line) - len(line.lstrip()) < indent for line in body):
        raise InputError(f"{name}:{start + 1}: the part is indented less than its markers")
    return Block(inside[-1], hint, indent, start + 1, end)


def _check_statements(source, blocks, name):
    """What is left must be Python, and so must each part by itself."""
    for block, body in zip(blocks, bodies_of(source, blocks), strict=True):
        for text in (_in_function(body), _replace(source, [block], [["pass"]])):
            try:
                ast.parse(text)
            except SyntaxError:
                raise InputError(f"{name}:{block.first}: the markers cut through a statement") from None


def _in_function(body):
    return "def part():\n" + textwrap.indent(body, "    ")


def _functions(tree, prefix=""):
    """Yield (dotted name, first line, last line) of all functions, outer ones first; lines counted from 0."""
    for node in ast.iter_child_nodes(tree):
        named = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        here = f"{prefix}{node.name}." if named else prefix
        if named and not isinstance(node, ast.ClassDef):
            # The closing marker is a comment, so a function that ends with a part ends one line early.
            yield here[:-1], node.lineno - 1, node.end_lineno + 1
        yield from _functions(node, here)


def bodies_of(source, blocks=None):
    """Return the text of each part, dedented, in order."""
    lines = source.split("\n")
    blocks = find_blocks(source) if blocks is None else blocks
    return [textwrap.dedent("\n".join(lines[b.first : b.last])) for b in blocks]


def cut(source, name="source", *, given=lambda function: False):
    """Put a TODO box in place of each student's part.

    Args:
        source: text of a Python file.
        name: what to call it in messages.
        given: says of a marked function, by its dotted name, whether it keeps its body.

    Returns:
        The text of the student's file; without markers the same text.

    Raises:
        InputError: see `find_blocks`.
    """
    blocks = find_blocks(source, name)
    bodies = [body.split("\n") for body in bodies_of(source, blocks)]
    new = [body if given(b.function) else todo_box(b) for b, body in zip(blocks, bodies, strict=True)]
    return _replace(source, blocks, new)


def todo_box(block):
    """Return the lines of a TODO box, without indentation."""
    hint = textwrap.wrap(f"TODO: {block.hint}.", 70, subsequent_indent="      ")
    return [
        RULE,
        *(f"# {line}" for line in hint),
        "# Write it in place of the line below.",
        RULE,
        f'raise NotImplementedError("{block.function} is yours to write")',
        END,
    ]


def _replace(source, blocks, replacements):
    """Exchange each part, markers included, for other lines."""
    lines = source.split("\n")
    for block, new in reversed(list(zip(blocks, replacements, strict=True))):
        pad = " " * block.indent
        lines[block.first - 1 : block.last + 1] = [pad + line if line else line for line in new]
    return "\n".join(lines)


def fill(skeleton, bodies):
    """Write bodies into the TODO boxes of a student's file.

    Args:
        skeleton: text of a file that `cut` made.
        bodies: dict from the function's dotted name to the text of its body; other boxes stay.

    Returns:
        The text of the file.

    Raises:
        InputError: a name without a box.
    """
    lines, rest = skeleton.split("\n"), dict(bodies)
    for i in reversed(range(len(lines))):
        found = re.match(r'( *)raise NotImplementedError\("(\S+) is yours to write"\)$', lines[i])
        if found and found[2] in rest:
            body = textwrap.dedent(rest.pop(found[2])).strip("\n").split("\n")
            lines[i : i + 1] = [found[1] + line if line else line for line in body]
    if rest:
        raise InputError(f"there is no TODO box for {', '.join(rest)}")
    return "\n".join(lines)
