"""The handout: nothing of a solution in it, nothing passes before it is written, everything passes after."""

import ast
import json
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from course import handout as cutter
from course.collect.outline import source_files
from course.markers import bodies_of, fill, find_blocks
from course.parts import PARTS
from image_utils.errors import InputError
from tests.test_house import imported

ROOT = cutter.ROOT
# Lines that give no solution away.
TRIVIAL = {
    "alpha=1.0,",
    "class_names,",
    'cmap="gray",',
    "draw_layer(",
    "model = inputs.model",
    "scores = model(x)",
    "visualize_attr_maps(",
    "with quiet():",
    "@torch.no_grad()",
    "with untouched(model):",
}


def marked():
    """All marked parts of the project: (file, Block, body)."""
    for file in cutter.handed_out():
        if file.endswith(".py"):
            source = (ROOT / file).read_text()
            for block, body in zip(find_blocks(source, file), bodies_of(source), strict=True):
                yield file, block, body


def test_the_parts_held_out_are_the_assignments():
    found = sorted((file, block.function) for file, block, _ in marked())
    assert found == sorted(pair for part in PARTS for pair in part.functions)


def test_no_part_lies_in_a_file_that_is_not_handed_out():
    handed_out = set(cutter.handed_out())
    for path in ROOT.rglob("*.py"):
        file = path.relative_to(ROOT).as_posix()
        if file not in handed_out and not file.startswith((".", "tests/", "course/")):
            assert "# >>> Solution" not in path.read_text(), file


def significant(text):
    """The lines that could give something away, without indentation and comments."""
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if line not in TRIVIAL and not line.startswith("#") and len(line) > 8}


def test_no_line_of_a_solution_is_in_the_handout(handout):
    secret = {line for _, _, body in marked() for line in significant(body)}
    given_away = {}
    for file in cutter.handed_out():
        if file.endswith((".py", ".md", ".ipynb")):
            common = significant((handout / file).read_text()) & secret
            if common:
                given_away[file] = common
    assert not given_away


def test_only_what_a_student_needs_is_in_it(handout):
    files = {path.relative_to(handout).as_posix() for path in handout.rglob("*") if path.is_file()}
    for needed in (
        "README.md", "Makefile", "requirements.txt", "skeleton.json", "collect_submission.py", "style_transfer.py",
        "test_style_transfer.ipynb", "data/squeezenet1_1.safetensors", "data/style_checks.npz",
    ):  # fmt: skip
        assert needed in files, needed
    sheet = {file for file in files if file.startswith(("docs/assignment.md", "docs/sample_", "docs/figures/"))}
    for file in files - sheet:
        assert not file.startswith(("benchmarks/", "explain/", "docs/", "course/autograder/", ".git/")), file
        assert not file.startswith("tests/") or file.startswith(("tests/public/", "tests/__init__")), file
    assert not files & {"course/markers.py", "course/handout.py", "data/make_style_checks.py"}
    assert "pytest==" in (handout / "requirements.txt").read_text()


def test_it_has_whatever_its_files_import(handout):
    ours = {path.stem for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    for path in handout.rglob("*.py"):
        missing = {
            name
            for name in ours.intersection(imported(ast.parse(path.read_text())))
            if not ((handout / name).is_dir() or (handout / f"{name}.py").is_file())
        }
        assert not missing, f"{path} imports {missing}"


def test_signatures_and_docstrings_are_kept(handout):
    record = json.loads((handout / "skeleton.json").read_text())
    assert set(record) == set(source_files(handout))
    for part in PARTS:
        for file, function in part.functions:
            assert function in record[file]["functions"], function


def outcomes(folder):
    """Run the public checks in a folder: dict from name to whether it passed."""
    report = folder / "report.xml"
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "--continue-on-collection-errors",
        f"--junit-xml={report}",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/public"], cwd=folder, capture_output=True, text=True
    )
    assert report.exists(), done.stdout + done.stderr
    cases = ElementTree.parse(report).getroot().iter("testcase")
    return {case.get("name"): not (case.findall("failure") or case.findall("error")) for case in cases}


def put_back(folder):
    """Write the solution's bodies into the TODO boxes."""
    parts = {}
    for file, block, body in marked():
        parts.setdefault(file, {})[block.function] = body
    for file, bodies in parts.items():
        (folder / file).write_text(fill((folder / file).read_text(), bodies))


def test_every_public_check_fails_before_anything_is_written(handout, tmp_path):
    folder = tmp_path / "untouched"
    shutil.copytree(handout, folder)
    found = outcomes(folder)
    assert len(found) >= 15 and not any(found.values()), [name for name, passed in found.items() if passed]


def test_the_command_refuses_what_it_would_overwrite(tmp_path, monkeypatch):
    def command(*arguments):
        monkeypatch.setattr("sys.argv", ["handout", *map(str, arguments)])
        cutter.main()

    (tmp_path / "mine.txt").write_text("")
    for out in (tmp_path, tmp_path / "mine.txt", ROOT):
        with pytest.raises(InputError) as problem:
            command(out)
        assert "\n" not in str(problem.value)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    command(tmp_path, "--force")
    assert (tmp_path / "mine.txt").exists() and (tmp_path / "style_utils.py").exists()


def test_emptied_functions_are_there_and_say_why():
    text = cutter.empty(
        "def a(x):\n    # why\n    return x\n\n\ndef b():\n    '''Doc.'''\n    return 1\n", ["a", "b"]
    )
    scope = {}
    exec(text, scope)  # noqa: S102
    for function in (lambda: scope["a"](1), scope["b"]):
        with pytest.raises(NotImplementedError, match="beyond"):
            function()
    assert scope["b"].__doc__ == "Doc." and "why" not in text
    with pytest.raises(InputError, match="no function c"):
        cutter.empty("def a(): pass\n", ["c"])
