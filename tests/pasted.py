"""A module with other bodies in its student's boxes: as a student fills the handout's boxes in."""

import types

from course.markers import cut, fill
from tests.conftest import ROOT


def pasted(file, **bodies):
    """Run a file of the project with other bodies in some boxes.

    Args:
        file: path of the file in the project.
        **bodies: text of a body by function; a method's dotted name with "__" for the dot.

    Returns:
        The module.
    """
    bodies = {name.replace("__", "."): body for name, body in bodies.items()}
    skeleton = cut((ROOT / file).read_text(), file, given=lambda function: function not in bodies)
    module = types.ModuleType(file.removesuffix(".py").replace("/", "."))
    exec(compile(fill(skeleton, bodies), file, "exec"), vars(module))  # noqa: S102
    return module
