"""Making the autograder: everything but the Python packages, in a folder, or zipped as Gradescope asks for it."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from course.collect.archive import write_zip
from course.handout import ROOT, make_handout
from image_utils.writing import save_json

SCRIPTS = Path(__file__).with_name("gradescope_files")  # setup.sh and run_autograder
NOT_NEEDED = ("__pycache__", "student", "writeup", "handout.py", "markers.py")
PACKAGES = (
    "torch", "torchvision", "captum", "foolbox",  # foolbox: the photographs that techniques are judged on
    "numpy", "matplotlib", "pillow", "safetensors", "tqdm", "scipy",
)  # fmt: skip


def make_skeleton(out):
    """Make what a submission is laid over: the handout without tests. Returns the folder `out`, as a Path."""
    make_handout(out)
    for needless in ("tests", "course", "docs"):
        shutil.rmtree(Path(out) / needless, ignore_errors=True)
    return Path(out)


def make_autograder(root, parts):
    """Make the autograder of some parts in a folder, without the solution: references are definitions anew."""
    skeleton = make_skeleton(root / "skeleton")
    shutil.copytree(ROOT / "course", root / "course", ignore=shutil.ignore_patterns(*NOT_NEEDED))
    for room in ("image_utils", "data"):
        shutil.copytree(skeleton / room, root / room, ignore=shutil.ignore_patterns(*NOT_NEEDED))
    (root / "image_utils" / "__init__.py").write_text("")  # the students' names, which would import PyTorch
    shutil.copyfile(ROOT / "torchvision_cure.py", root / "torchvision_cure.py")
    pinned = (ROOT / "requirements.txt").read_text().splitlines(keepends=True)
    wanted = [line for line in pinned if line.partition("==")[0].strip() in PACKAGES]
    (root / "requirements.txt").write_text("".join(wanted))
    save_json({"parts": list(parts)}, root / "settings.json")
    shutil.copytree(SCRIPTS, root, dirs_exist_ok=True)


def build(out, parts):
    """Write the zip of an autograder of some parts; returns the names in it. InputError: it cannot be written."""
    with tempfile.TemporaryDirectory() as folder:
        make_autograder(Path(folder), parts)
        files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        names = [path.relative_to(folder).as_posix() for path in files]
        programs = ("setup.sh", "run_autograder")
        return write_zip(folder, out, names, compression=zipfile.ZIP_DEFLATED, programs=programs)
