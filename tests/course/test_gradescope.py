"""The built autograder, unpacked and started the way Gradescope does."""

import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from course import parts
from course.autograder.build import build
from tests.course.schema import check_results
from tests.mutants.losses import LOSSES


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("built") / "autograder.zip"
    build(path, parts.STYLE_TRANSFER)
    return path


@pytest.fixture
def autograder(built, tmp_path):
    """A folder laid out like /autograder, with run_autograder where Gradescope copies it."""
    root = tmp_path / "autograder"
    for folder in ("source", "submission", "results"):
        (root / folder).mkdir(parents=True)
    shutil.unpack_archive(built, root / "source")
    shutil.copyfile(root / "source" / "run_autograder", root / "run_autograder")
    (root / "run_autograder").chmod(0o755)
    (root / "submission_metadata.json").write_text(json.dumps({"id": 1, "users": [{"email": "s@example.org"}]}))
    return root


def start(root):
    environment = os.environ | {"AUTOGRADER_ROOT": str(root), "AUTOGRADER_PYTHON": sys.executable}
    done = subprocess.run([str(root / "run_autograder")], cwd="/", env=environment, capture_output=True, text=True)
    record = json.loads((root / "results" / "results.json").read_text())
    check_results(record)
    return done, record


def test_the_zip_is_what_gradescope_wants(built):
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
        for script in ("setup.sh", "run_autograder"):
            assert archive.getinfo(script).external_attr >> 16 == 0o100755
            assert archive.read(script).startswith(b"#!/usr/bin/env bash\n") and b"\r" not in archive.read(script)
        code = b"".join(
            archive.read(name) for name in names if name.startswith("skeleton/") and name.endswith(".py")
        )
        requirements = archive.read("requirements.txt").decode()
    assert {"skeleton/data/squeezenet1_1.safetensors", "torchvision_cure.py", "course/collect/loops.py"} <= set(
        names
    )
    assert not any("handout.py" in name or "__pycache__" in name for name in names)
    assert b">>> Solution" not in code and b"is yours to write" in code
    assert not [name for name in names if name.startswith(("tests/", "style_modules/", "visualizers/"))]
    assert "torch==" in requirements and "jupyter" not in requirements
    assert built.stat().st_size < 20 * 10**6


def test_same_bytes_again(built, tmp_path):
    build(tmp_path / "again.zip", parts.STYLE_TRANSFER)
    assert (tmp_path / "again.zip").read_bytes() == built.read_bytes()


def test_the_solution_but_for_one_loss_as_gradescope_unpacks_it(autograder, solution):
    shutil.unpack_archive(solution, autograder / "submission")
    mutant = next(m for m in LOSSES if m.name == "content_detached")
    for file, text in mutant.files().items():
        (autograder / "submission" / file).write_text(text)
    done, record = start(autograder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert record["score"] == 47 and len(record["tests"]) >= 15, record
    (failed,) = [test for test in record["tests"] if test["status"] != "passed"]
    assert failed["name"] == "Content loss: gradient" and "detached from the graph?" in failed["output"]


def test_the_graders_process_needs_no_pytorch_for_style_transfer(autograder):
    """It would cost a third of the memory that a small container has."""
    program = "import sys; from course.autograder import __main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=autograder / "source").returncode == 0


def test_nothing_handed_in(autograder):
    done, record = start(autograder)
    assert done.returncode == 0 and record["score"] == 0 and "no code" in record["output"]


def test_setup_is_sound_shell(autograder):
    for script in ("setup.sh", "run_autograder"):
        subprocess.run(["bash", "-n", str(autograder / "source" / script)], check=True)


def test_setup_asks_for_pinned_packages_only(autograder, tmp_path):
    """setup.sh with a python3 that records what it is asked to do."""
    stub = tmp_path / "bin" / "python3"
    stub.parent.mkdir()
    stub.write_text(f'#!/usr/bin/env bash\necho "python3 $*" >> {tmp_path}/asked\n')
    stub.chmod(0o755)
    text = (autograder / "source" / "setup.sh").read_text().replace("/opt/grader", str(tmp_path / "grader"))
    (autograder / "source" / "setup.sh").write_text(text)
    folder = tmp_path / "grader" / "bin"
    folder.mkdir(parents=True)
    for name in ("pip", "python"):
        (folder / name).write_text(
            f'#!/usr/bin/env bash\necho "{name} $*" >> {tmp_path}/asked\n'
            f'cat "${{@: -1}}" >> {tmp_path}/asked 2>/dev/null\ntrue\n'
        )
        (folder / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{stub.parent}:/usr/bin:/bin"}
    subprocess.run(["bash", str(autograder / "source" / "setup.sh")], env=environment, check=True)
    asked = (tmp_path / "asked").read_text()
    assert "--index-url" in asked and "torch==" in asked and "captum==" in asked
