"""The collector: what it finds, with file and line; the zip; the command."""

import json
import runpy
import shutil
import zipfile
from xml.etree import ElementTree

import pytest

from course.collect.archive import write_submission
from course.collect.checks import loop_findings, read_record, static_findings
from course.collect.loops import find_loops
from course.collect.outline import Finding, changes, outline, source_files
from course.collect.rehearsal import _failures, import_findings
from course.handout import ROOT
from image_utils.errors import InputError
from tests.course.test_handout import put_back

LOSS = """
from torch import nn
import torch

class TotalVariationLoss(nn.Module):
    def forward(self, img, tv_weight):
        {}
"""


def loops_in(body, more=""):
    source = LOSS.format(body.replace("\n", "\n        ")) + more
    return [(loop.line - 6, loop.what) for loop in find_loops(source, "TotalVariationLoss.forward")]


@pytest.mark.parametrize(
    ("body", "line", "what"),
    [
        ("for i in range(3):\n    pass", 1, "a for loop"),
        ("x = 1\nwhile x:\n    x = 0", 2, "a while loop"),
        ("return sum([i for i in img])", 1, "a list comprehension"),
        ("return {i for i in img}", 1, "a set comprehension"),
        ("return {i: i for i in img}", 1, "a dict comprehension"),
        ("return sum(i for i in img)", 1, "a generator expression"),
        ("return sum(map(abs, img))", 1, "map, which repeats"),
        ("return list(filter(None, img))", 1, "filter, which repeats"),
        ("import functools\nreturn functools.reduce(min, img)", 2, "functools.reduce, which repeats"),
        ("return torch.vmap(abs)(img)", 1, "torch.vmap, which repeats"),
        ("import numpy as np\nreturn np.vectorize(abs)(img)", 2, "np.vectorize, which repeats"),
        ("exec('for i in img: pass')", 1, "exec, which runs code"),
        ("return self.forward(img[1:], tv_weight)", 0, "recursion through forward"),
        ("f = lambda: [i for i in img]\nreturn f()", 1, "a list comprehension"),
        ("def inner():\n    while True:\n        pass\nreturn inner()", 2, "a while loop"),
    ],
)
def test_finds_loops_by_whatever_name(body, line, what):
    assert (line, what) in [(at, found[: len(what)]) for at, found in loops_in(body)]


@pytest.mark.parametrize(
    "helper",
    [
        "def helper(img):\n    for x in img:\n        pass\n",
        "helper = lambda img: [x for x in img]\n",
        "def other(img):\n    return sum(x for x in img)\ndef helper(img):\n    return other(img)\n",
        "def other(img):\n    return helper(img)\ndef helper(img):\n    return other(img)\n",
    ],
)
def test_finds_loops_in_helpers_of_the_file(helper):
    assert loops_in("return helper(img)", helper)
    assert not loops_in("return img.sum()", helper)


@pytest.mark.parametrize(
    "body",
    [
        "filter = torch.ones(3, 1, 1, 2)\nreturn torch.nn.functional.conv2d(img, filter, groups=3).sum()",
        "def diff(x, dim):\n    return x.diff(dim=dim)\nreturn diff(img, 2).square().sum()",
        "def square(x):\n    return torch.square(x)\nreturn square(img).sum()",
        "map = img.diff(dim=2)\nreturn map.square().sum()",
    ],
)
def test_names_that_only_sound_like_loops_are_not(body):
    assert not loops_in(body)


def test_a_mark_and_a_cookie_at_a_files_start_are_python():
    source = b"\xef\xbb\xbf# -*- coding: utf-8 -*-\n" + LOSS.format("return img.sum()").encode()
    assert not find_loops(source, "TotalVariationLoss.forward")
    assert not changes("a.py", outline(LOSS.format("pass")), source)
    latin = "# coding: latin-1\n# é\n".encode("latin-1") + LOSS.format("return [i for i in img]").encode()
    assert len(find_loops(latin, "TotalVariationLoss.forward")) == 1


def test_finds_loops_in_methods():
    source = LOSS.format("return self.other(img)") + "    def other(self, img):\n        return [x for x in img]\n"
    assert find_loops(source, "TotalVariationLoss.forward")


def test_the_solution_has_no_loop(handout):
    from course.handout import ROOT

    assert not loop_findings((ROOT / "style_modules" / "tv_loss.py").read_text())
    assert not loop_findings((handout / "style_modules" / "tv_loss.py").read_text())


SKELETON = (
    "import numpy as np\nfrom torch import nn\n\n\nclass A(nn.Module):\n"
    "    def f(self, x, y=1, *, z=2):\n        print('asked')\n\n\ndef g():\n    pass\n"
)


def found(source):
    return [str(finding) for finding in changes("a.py", outline(SKELETON), source)]


def test_what_a_student_may_do_is_not_found():
    assert not found(SKELETON)
    assert not found(
        "# comment\n" + SKELETON.replace("    pass", "    return helper()") + "\n\ndef helper():\n    return 1\n"
    )
    assert not found(SKELETON.replace("self, x, y=1, *, z=2", "self,x,y = 1,*,z=2"))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            "x, y=1",
            "x, w=1",
            "a.py:6: A.f was defined as (self, x, y=1, *, z=2) and is now (self, x, w=1, *, z=2)",
        ),
        ("def f(", "def ff(", "a.py:5: A.f(self, x, y=1, *, z=2) is gone; was it renamed?"),
        ("    def f(", "    @staticmethod\n    def f(", "A.f was defined as"),
        ("def g", "def h", "a.py: g() is gone"),
        ("class A(nn.Module)", "class A", "class A(nn.Module) was changed"),
        ("    pass", "    import scipy", "a.py:11: 'import scipy' was added"),
        ("import numpy as np", "import numpy", "a.py: 'import numpy as np' of line 1 was removed"),
        ("    pass", "    print(1)", "a.py:11: print(1) prints what is not asked for"),
        ("print('asked')", "print('asked'); print('asked')", "prints what is not asked for"),
    ],
)
def test_what_breaks_the_rules_is_named_with_its_line(before, after, expected):
    assert any(expected in line for line in found(SKELETON.replace(before, after))), found(
        SKELETON.replace(before, after)
    )


def test_an_import_from_another_room_is_another_import():
    skeleton = outline("from . import a\nfrom ..b import c as d\n")
    assert skeleton["imports"] == {"from . import a": 1, "from ..b import c as d": 2}
    changed = [str(f) for f in changes("a.py", skeleton, "from .. import a\nfrom ..b import c as d\n")]
    assert len(changed) == 2 and any("'from .. import a' was added" in line for line in changed)


@pytest.fixture
def copy(handout, tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(handout, folder)
    return folder


def test_static_findings(copy):
    record = read_record(copy)
    assert not static_findings(copy, record)
    (copy / "gradcam.py").unlink()
    (copy / "style_utils.py").write_text("def broken(:\n")
    (copy / "visualizers" / "saliency_map.py").write_bytes(b"# \xff\n")
    (copy / "own_helpers.py").write_text("import itertools\n\n\ndef help():\n    pass\n")
    lines = [str(finding) for finding in static_findings(copy, record)]
    assert any(line.startswith("gradcam.py: is missing") for line in lines)
    assert any(line.startswith("style_utils.py:1: is not Python") for line in lines)
    assert any(line.startswith("visualizers/saliency_map.py") and "is not Python" in line for line in lines)
    assert len(lines) == 3


def test_import_findings_name_file_and_line_once_and_what_prints(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\nprint('hello')\n")
    (tmp_path / "b.py").write_text("import c\n")
    (tmp_path / "c.py").write_text("x = 1\ny = undefined\n")
    (tmp_path / "d.py").write_text("import sys\nsys.exit(0)\n")
    lines = [str(finding) for finding in import_findings(tmp_path, ["a.py", "b.py", "c.py", "d.py"])]
    assert lines == [
        "a.py: prints when it is imported: 'hello'",
        "c.py:2: does not import: NameError: name 'undefined' is not defined",
        "d.py:2: does not import: SystemExit: 0",
    ]
    (tmp_path / "e.py").write_text("import os\nos._exit(0)\n")
    assert "e.py: importing it ended with status 0" in str(import_findings(tmp_path, ["e.py"])[0])


def test_a_failed_check_is_told_by_the_first_line_of_its_message():
    failures = '<failure message="assert 1 == 2&#10;where 1 = x"/><error/>'
    case = ElementTree.fromstring(
        f'<testcase classname="tests.public.test_losses" name="test_a">{failures}</testcase>'
    )
    file = "tests/public/test_losses.py"
    assert list(_failures(case)) == [
        Finding(file, 0, f"test_a fails: {what}") for what in ("assert 1 == 2", "error")
    ]


def test_the_whole_project_has_no_record_and_its_files_are_as_they_should_be():
    assert read_record(ROOT) == {} and static_findings(ROOT, {}) == []


def test_a_record_that_is_missing_or_damaged_is_refused(copy):
    (copy / "skeleton.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        read_record(copy)
    (copy / "skeleton.json").unlink()
    with pytest.raises(InputError, match="is missing"):
        read_record(copy)


def test_the_zip_has_the_same_bytes_whenever_and_wherever(copy, tmp_path):
    names = write_submission(copy, tmp_path / "a.zip")
    other = tmp_path / "elsewhere"
    shutil.copytree(copy, other, copy_function=shutil.copy)
    for path in other.rglob("*.py"):
        path.chmod(0o600)
    write_submission(other, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == names == sorted(names) == source_files(copy)
        assert archive.read("style_utils.py") == (copy / "style_utils.py").read_bytes()
        kinds = {(m.create_system, m.external_attr, m.compress_type, m.date_time) for m in archive.infolist()}
        assert kinds == {(3, 0o100644 << 16, zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))}
    assert {name.rpartition("/")[0] for name in names} == {"", "style_modules", "visualizers"}
    assert "style_modules/tv_loss.py" in names and "visualizers/gradcam.py" in names and "gradcam.py" in names


def collect(folder, monkeypatch, capsys, *arguments):
    """Run the command of a folder in this process, which has PyTorch already: (exit status, what it said)."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr("sys.argv", ["collect_submission.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path("collect_submission.py", run_name="__main__")
    return ended.value.code, capsys.readouterr().err


def test_the_command_names_what_is_wrong_and_force_zips_it(copy, monkeypatch, capsys):
    put_back(copy)
    for checks in (copy / "tests" / "public").glob("test_*.py"):
        if checks.name != "test_losses.py":  # the others pass above
            checks.unlink()
    loss = copy / "style_modules" / "tv_loss.py"
    looped = "        for _ in range(2):\n            pass\n        return 2 * tv"
    loss.write_text(loss.read_text().replace("        return tv", looped))
    line = loss.read_text().splitlines().index("        for _ in range(2):") + 1
    status, said = collect(copy, monkeypatch, capsys, "--force", "--out", "forced.zip")
    assert status == 1 and (copy / "forced.zip").exists()
    assert f"style_modules/tv_loss.py:{line}: a for loop" in said, said
    assert "test_total_variation_by_hand fails" in said and "Traceback" not in said


def test_without_force_nothing_is_zipped(copy, monkeypatch, capsys):
    (copy / "gradcam.py").unlink()
    status, said = collect(copy, monkeypatch, capsys)
    assert status == 1 and not (copy / "assignment_3_submission.zip").exists()
    assert "gradcam.py: is missing" in said and "--force" in said


def test_unusable_arguments_end_with_2(copy, monkeypatch, capsys):
    (copy / "skeleton.json").unlink()
    status, said = collect(copy, monkeypatch, capsys)
    assert status == 2 and said.count("\n") == 1


def test_the_record_is_plain_and_small(handout):
    record = json.loads((handout / "skeleton.json").read_text())
    assert all(set(entry) == {"imports", "functions", "classes", "prints"} for entry in record.values())


def test_a_method_out_of_sight_counts_as_a_loop():
    source = "class TotalVariationLoss(Elsewhere):\n    pass\n"
    (found,) = find_loops(source, "TotalVariationLoss.forward")
    assert "out of sight" in found.what
