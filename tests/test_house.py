"""The rules of the house that a program can check: which way imports go, silence, size, and the words used."""

import ast
import graphlib
import subprocess

import pytest

from tests.conftest import ROOT

# Each room with the rooms it may import from (besides itself).
FLOORS = {
    "torchvision_cure": set(),
    "before_imports": set(),
    "image_utils": {"torchvision_cure"},
    "networks": {"image_utils"},
    "data": {"image_utils"},
    "visualizers": {"image_utils", "networks"},
    "trust": {"image_utils", "networks"},
    "style_modules": {"image_utils", "networks"},
    "stylize": {"image_utils", "networks", "style_modules"},
    "style_utils": {"image_utils", "data", "networks", "style_modules", "stylize"},
    "captum_utils": {"image_utils", "networks"},
    "attributions": {"image_utils", "networks", "visualizers", "captum_utils"},
    "foolbox_utils": {"image_utils", "networks", "visualizers"},
    "data_utils": {"data"},
    "inputs": {"image_utils", "networks"},
    "command_line": {"image_utils", "networks", "data", "inputs"},
}
LIBRARY = set(FLOORS) - {"command_line"}
SCRIPTS = {
    "saliency_map",
    "gradcam",
    "fooling_image",
    "class_visualization",
    "style_transfer",
    "compare_maps",
    "collect_submission",
}
UNDER = {"before_imports", "distribution"}  # these import nothing of ours
TOP = SCRIPTS | {"page", "tabs", "course", "docs", "explain", "benchmarks", "tests"}


def tracked(pattern):
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\n") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def modules():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return {path: ast.parse(path.read_text()) for path in tracked("*.py")}


def room(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the room they come from"
            yield node.module.split(".")[0]


def test_imports_go_one_way(modules):
    rooms = FLOORS.keys() | TOP | UNDER
    assert {room(path) for path in modules} <= rooms
    for path, tree in modules.items():
        here = room(path)
        if here in FLOORS:
            wrong = (set(imported(tree)) & rooms) - FLOORS[here] - {here}
            assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


def circle(trees):
    """Return the names of modules that import one another in a circle, or None.

    Args:
        trees: dict from a module's dotted name to its syntax tree. Imports inside functions count; a bare name
            is a neighbour's where no module at the root is called so, as in scripts that start from their folder.
    """
    graph = {}
    for here, tree in trees.items():
        named = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                named |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                named |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        folder = here.rpartition(".")[0]
        found = {name if name in trees else f"{folder}.{name}" for name in named}
        graph[here] = found & trees.keys() - {here}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as problem:
        return problem.args[1]
    return None


def test_no_import_leads_back(modules):
    def dotted(path):
        return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")

    assert circle({dotted(path): tree for path, tree in modules.items()}) is None


def test_a_circle_is_seen_through_functions_packages_and_bare_names():
    def of(**sources):
        return circle({name.replace("_", "."): ast.parse(text) for name, text in sources.items()})

    assert of(a="import b", b="def f():\n    import c", c="from a import x")
    assert of(p="from p.a import x", p_a="from p import y")
    assert of(p_a="import b", p_b="import a") and of(p_a="from p import b", p_b="import p.a")
    assert of(a="import b", b="import c", c="") is None
    assert of(a="", p_a="import a", p_b="from p import a") is None


def test_library_code_is_silent(modules):
    for path, tree in modules.items():
        if room(path) in LIBRARY and not path.name.startswith(("convert_", "make_")):
            calls = [n.func for n in ast.walk(tree) if isinstance(n, ast.Call)]
            names = [f.id if isinstance(f, ast.Name) else getattr(f, "attr", "") for f in calls]
            assert "print" not in names and "show" not in names, path


def test_files_stay_small(modules):
    long = {str(path): n for path in modules if (n := len(path.read_text().splitlines())) > 400}
    assert not long


def test_every_module_says_what_it_is(modules):
    for path, tree in modules.items():
        assert ast.get_docstring(tree) or not tree.body, path
