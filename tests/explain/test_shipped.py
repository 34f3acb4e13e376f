"""What Ray carries to other nodes is all that a worker there imports from this project."""

import ast

import pytest

from tests.conftest import ROOT


def module_files(name):
    """The files that `import name` runs: those of the packages on the way, and its own."""
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        path = ROOT.joinpath(*parts[:i])
        yield from (file for file in (path / "__init__.py", path.with_suffix(".py")) if file.is_file())


def imported(file):
    """The names of what a file imports, also inside its functions."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def closure(start):
    """All of this project's files that importing the module `start` may run."""
    waiting, found = list(module_files(start)), set()
    while waiting:
        file = waiting.pop()
        if file not in found:
            found.add(file)
            waiting += [each for name in imported(file) for each in module_files(name)]
    return found


def test_all_that_a_node_imports_is_shipped():
    on_ray = pytest.importorskip("explain.on_ray")
    needed = {file.relative_to(ROOT).parts[0] for file in closure("explain.on_ray")}
    assert needed == set(on_ray.SHIPPED)
