"""Cut the student's tree out of the finished project.

    python -m course.handout OUT

What the student writes is replaced by TODO boxes; what only a teacher needs stays behind. The result is a plain
project: multi-file Python, public checks, the notebook, a README and a Makefile of its own, and skeleton.json, by
which collect_submission.py sees what must not change.
"""

import argparse
import ast
import json
import shutil
from pathlib import Path

from command_line import run
from course.collect.loops import functions_of
from course.collect.outline import RECORD, outline, source_files
from course.markers import cut
from image_utils.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = Path(__file__).with_name("student")  # files that only the handout has
INCLUDED = (
    "saliency_map.py",
    "gradcam.py",
    "fooling_image.py",
    "class_visualization.py",
    "style_transfer.py",
    "test_style_transfer.ipynb",
    "collect_submission.py",
    "before_imports.py",
    "captum_utils.py",
    "command_line.py",
    "data_utils.py",
    "foolbox_utils.py",
    "inputs.py",
    "style_utils.py",
    "torchvision_cure.py",
    "networks/*.py",
    "style_modules/*.py",
    "stylize/*.py",
    "visualizers/*.py",
    "image_utils/*.py",
    "data/*.py",
    "data/*.safetensors",
    "data/style_checks.npz",
    "data/paintings/*.jpg",
    "data/photographs/*.jpg",
    "styles_images/README.md",
    "styles_images/tubingen.jpg",
    "styles_images/composition_vii.jpg",
    "styles_images/the_scream.jpg",
    "styles_images/starry_night.jpg",
    "visualization/README.md",
    "data/*.md",
    "data/LICENSE*",
    "course/__init__.py",
    "course/collect/*.py",
    "course/writeup/*.py",
    "course/writeup/*.typ",
    "report/answers.md",
    "docs/assignment.md",
    "docs/sample_outputs.md",
    "docs/figures/*.jpg",
    "tests/__init__.py",
    "tests/public/*.py",
    "requirements.txt",
    "LICENSE",
)
LEFT_OUT = ("data/convert_*.py", "data/make_*.py")  # how the shipped files came about; the latter is a solution
PYTEST = "pytest"  # what the public checks add to requirements.txt, pinned in requirements-dev.txt
BEYOND = 'raise NotImplementedError("beyond the assignment; only the full project has it")'
# Functions beyond the assignment that would tell how a student's part is written.
EMPTIED = {
    "stylize/solvers.py": ("_adam", "_lbfgs"),
    "stylize/losses.py": ("Losses.objective", "Losses._distance", "_InTiles.forward"),
}


def handed_out(root=ROOT):
    """List what goes into the handout unless it is a template: paths relative to the project, sorted."""
    included, left_out = (
        {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
        for patterns in (INCLUDED, LEFT_OUT)
    )
    return sorted(path.relative_to(root).as_posix() for path in included - left_out)


def make_handout(out, *, root=ROOT):
    """Write the student's tree.

    Args:
        out: folder to write into; made if missing. Files of the same names are overwritten.
        root: the finished project.

    Raises:
        InputError: the markers in a file are wrong.
    """
    out = Path(out)
    texts = {file: cut_file(root, file) for file in handed_out(root) if file.endswith(".py")}
    for file in handed_out(root):
        (out / file).parent.mkdir(parents=True, exist_ok=True)
        if file in texts:
            (out / file).write_text(texts[file], encoding="utf-8")
        else:
            shutil.copyfile(root / file, out / file)
    for template in sorted(TEMPLATES.iterdir()):
        name = template.name.replace("dot-", ".", 1)
        shutil.copyfile(template, out / name)
    requirements = (root / "requirements.txt").read_text() + _pin(root, PYTEST)
    (out / "requirements.txt").write_text(requirements)
    write_record(out)


def cut_file(root, file):
    """Return the student's version of a Python file: parts cut out, functions beyond the assignment emptied."""
    text = cut((root / file).read_text(encoding="utf-8"), file)
    return empty(text, EMPTIED[file], file) if file in EMPTIED else text


def empty(source, functions, name="source"):
    """Replace whole function bodies, after the docstring, by NotImplementedError.

    Args:
        source: text of a Python file.
        functions: names of functions at its top level, or "Class.method".
        name: what to call it in messages.

    Raises:
        InputError: there is no such function.
    """
    nodes = functions_of(ast.parse(source))
    lines = source.split("\n")
    for function in sorted(functions, key=lambda f: -nodes[f].lineno if f in nodes else 0):
        if function not in nodes:
            raise InputError(f"{name} has no function {function} to be emptied")
        body = nodes[function].body
        kept = body[0].end_lineno if ast.get_docstring(nodes[function]) else body[0].lineno - 1
        while lines[kept - 1].strip().startswith("#"):
            kept -= 1
        lines[kept : nodes[function].end_lineno] = [" " * body[0].col_offset + BEYOND]
    return "\n".join(lines)


def write_record(out):
    """Write skeleton.json: the outline of each file that will be handed in."""
    record = {file: outline((out / file).read_text(encoding="utf-8")) for file in source_files(out)}
    (out / RECORD).write_text(json.dumps(record, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _pin(root, package):
    lines = (root / "requirements-dev.txt").read_text().splitlines()
    return "\n".join(line for line in lines if line.startswith(f"{package}==")) + "\n"


def main():
    """Parse the arguments and write the handout."""
    parser = argparse.ArgumentParser(prog="python -m course.handout", description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of the handout, new or empty")
    parser.add_argument("--force", action="store_true", help="write into a folder that holds something")
    args = parser.parse_args()
    try:
        _check_out(args)
        make_handout(args.out)
    except OSError as problem:
        raise InputError(f"'{args.out}' cannot be written to: {problem.strerror}") from None


def _check_out(args):
    if args.out.exists() and not args.out.is_dir():
        raise InputError(f"'{args.out}' is a file, not a folder")
    if args.out.is_dir() and any(args.out.iterdir()) and not args.force:
        raise InputError(f"'{args.out}' is not empty; give a new folder, or --force to write into it")
    if args.out.resolve() == ROOT or args.out.resolve() in ROOT.parents:
        raise InputError(f"'{args.out}' is the project itself; its files would be overwritten")


if __name__ == "__main__":
    run(main)
