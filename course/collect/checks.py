"""Everything that is checked before a submission is zipped: what would cost its author points, or all of them."""

import ast
import json
from importlib.util import decode_source
from pathlib import Path

from course.collect.loops import find_loops
from course.collect.outline import RECORD, Finding, changes, source_files
from course.collect.rehearsal import check_findings, import_findings
from image_utils.errors import InputError

MISSING, NOT_PYTHON = "is missing", "is not Python"
NO_LOOPS = ("style_modules/tv_loss.py", "TotalVariationLoss.forward")


def read_record(root):
    """Read the outline of the files as they were handed out: dict from path to `outline` of the file.

    The full project has no such record and hands out its own files: there only the other checks can find anything.

    Raises:
        InputError: the handout's skeleton.json is missing or damaged.
    """
    path = Path(root) / RECORD
    if not path.exists() and (Path(root) / "course" / "handout.py").exists():
        return {}
    if not path.exists():
        raise InputError(f"'{path}' is missing; take it from the handout again, it tells what must not change")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise InputError(f"'{path}' cannot be read ({problem}); take it from the handout again") from None
    return record


def static_findings(root, record):
    """Check the files without running them.

    Args:
        root: folder of the project.
        record: see `read_record`.

    Returns:
        List of Findings: missing files, syntax errors, changed definitions and imports, prints, forbidden loops.
    """
    root, findings = Path(root), []
    for file in sorted({*source_files(root), *record}):
        if not (root / file).is_file():
            findings.append(Finding(file, 0, f"{MISSING}; it belongs to what is handed in"))
            continue
        try:
            source = decode_source((root / file).read_bytes())  # as Python does, by the mark or the cookie
            ast.parse(source)
        except (SyntaxError, ValueError) as problem:
            line = getattr(problem, "lineno", 0) or 0
            findings.append(Finding(file, line, f"{NOT_PYTHON}: {getattr(problem, 'msg', problem)}"))
            continue
        if file in record:
            findings += changes(file, record[file], source)
        if file == NO_LOOPS[0]:
            findings += loop_findings(source)
    return findings


def loop_findings(source):
    """Return a Finding for each loop in the total-variation loss, whose text or bytes are given."""
    file, function = NO_LOOPS
    return [
        Finding(file, loop.line, f"{loop.what}: the total variation must be computed without any loop, by slicing")
        for loop in find_loops(source, function)
    ]


def all_findings(root):
    """Check everything: the files as they stand, in a clean process, and by the public checks.

    What does not parse is not run, and what does not import is not rehearsed.

    Args:
        root: folder of the project.

    Returns:
        List of Findings.

    Raises:
        InputError: see `read_record`.
    """
    record = read_record(root)
    findings = static_findings(root, record)
    if any(finding.message.startswith((MISSING, NOT_PYTHON)) for finding in findings):
        return findings
    not_importable = import_findings(root, source_files(Path(root)))
    return findings + (not_importable or check_findings(root))
