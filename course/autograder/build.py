"""Making the autograder: one zip with everything but the Python packages, in the form Gradescope asks for."""

import shutil
import tempfile
import zipfile
from pathlib import Path

from course.collect.archive import EARLIEST
from course.handout import ROOT, make_handout
from image_utils.writing import save_json, whole_file

SCRIPTS = Path(__file__).with_name("gradescope_files")  # setup.sh and run_autograder
# foolbox: the photographs that techniques are judged on
PACKAGES = (
    "torch",
    "torchvision",
    "captum",
    "foolbox",
    "numpy",
    "matplotlib",
    "pillow",
    "safetensors",
    "tqdm",
    "scipy",
)


def make_skeleton(out):
    """Make what a submission is laid over: the handout without tests and notebooks.

    Args:
        out: folder to make.

    Returns:
        Path of the folder.
    """
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
        make_skeleton(root / "skeleton")
        for file in sorted(ROOT.glob("course/**/*.py")):
            _copy(file, root / file.relative_to(ROOT))
        for room in ("image_utils", "data"):
            shutil.copytree(
                root / "skeleton" / room, root / room, ignore=shutil.ignore_patterns("*.safetensors", "*.npz")
            )
        (root / "image_utils" / "__init__.py").write_text("")  # the students' names, which would import PyTorch
        (root / "requirements.txt").write_text(_requirements())
        save_json({"parts": list(parts)}, root / "settings.json")
        for script in SCRIPTS.iterdir():
            shutil.copyfile(script, root / script.name)
        return _zip(root, out)


def _copy(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _requirements():
    """Return the pinned packages that marking needs, as lines."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return "".join(f"{line}\n" for line in lines if line.partition("==")[0] in PACKAGES)


def _zip(root, out):
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    with whole_file(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            member = zipfile.ZipInfo(name, EARLIEST)
            member.create_system = 3
            member.external_attr = (0o100755 if name in ("setup.sh", "run_autograder") else 0o100644) << 16
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, (root / name).read_bytes())
    return names
