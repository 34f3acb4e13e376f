"""Marking inside Gradescope's container: /autograder/submission in, /autograder/results/results.json out.

    python -m course.autograder.gradescope /autograder

An entry of its own, because marking style transfer needs no PyTorch in the grader's process, and memory is scarce.
"""

import json
import sys
from pathlib import Path

from course.autograder.grade import check_isolation, grade
from course.autograder.results import record
from course.autograder.sandbox import Sandbox
from image_utils.errors import InputError
from image_utils.writing import save_json

SOURCE = Path(__file__).resolve().parents[2]


def run_in(root):
    """Mark what lies under a folder laid out like /autograder.

    Nothing of a submission runs unless it is kept from the grader's files. Whatever happens, there is a
    results.json that says so.

    Args:
        root: folder with submission/; results/results.json is written.
    """
    path = Path(root) / "results" / "results.json"
    parts = json.loads((SOURCE / "settings.json").read_text())["parts"]
    hidden = [SOURCE, Path(__file__), path.parent, Path(root) / "submission_metadata.json"]
    save_json(record("The marking did not get as far as the first check."), path)
    try:
        with Sandbox() as sandbox:
            check_isolation(sandbox, hidden)
            results = grade(Path(root) / "submission", sandbox, SOURCE / "skeleton", parts=parts, path=path)
            sys.stdout.write(f"{results.table()}\nsubmissions run confined: {sandbox.description}\n")
    except InputError as problem:
        if json.loads(path.read_text())["tests"] == []:
            save_json(record(str(problem)), path)
        sys.stdout.write(f"{problem}\n")


if __name__ == "__main__":
    run_in(sys.argv[1])
