"""Making the autograder: one zip with everything but the Python packages, in the form Gradescope asks for."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from course.collect.archive import write_zip
from course.handout import ROOT, make_handout
from image_utils.writing import save_json

SCRIPTS = Path(__file__).with_name("gradescope_files")  # setup.sh and run_autograder
NOT_NEEDED = (
    "__pycache__",
    "student",
    "classroom",
    "writeup",
    "handout.py",
    "markers.py",
    "*.safetensors",
    "*.npz",
)
PACKAGES = (
    "torch", "torchvision", "captum", "foolbox",  # foolbox: the photographs that techniques are judged on
    "numpy", "matplotlib", "pillow", "safetensors", "tqdm", "scipy",
)  # fmt: skip


def make_skeleton(out):
    """Make what a submission is laid over: the handout without tests. Returns the folder `out`, as a Path."""
    out = Path(out)
    make_handout(out)
    for needless in ("tests", "course"):
        shutil.rmtree(out / needless, ignore_errors=True)
    return out


def build(out, parts):
    """Write the autograder's zip.

    The solution is not in it: the skeleton is cut, and references are definitions of their own.

    Args:
        out: path of the zip.
        parts: names of the parts to mark.

    Returns:
        List of the names in the zip.

    Raises:
        InputError: the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
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
        names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
        programs = ("setup.sh", "run_autograder")
        return write_zip(root, out, names, compression=zipfile.ZIP_DEFLATED, programs=programs)
