"""Running a submission before it is handed in: does it import, is it silent, do the public checks pass?"""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from course.collect.outline import Finding

IMPORT_SECONDS = 120  # for all files together
CHECK_SECONDS = 900
PUBLIC_CHECKS = "tests/public"
CONTINUE = "--continue-on-collection-errors"  # a file that does not import hides no others

# Runs in a clean process: imports one module after another, and reports what each raised or printed.
IMPORT_ALL = """
import contextlib, importlib, io, json, sys, traceback
root, report, names = sys.argv[1], sys.argv[2], sys.argv[3:]
sys.path.insert(0, root)
found = []
for name in names:
    printed, problem = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        try:
            importlib.import_module(name)
        except BaseException as error:
            frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.startswith(root)]
            file, line = (frames[-1].filename, frames[-1].lineno) if frames else (None, 0)
            if isinstance(error, SyntaxError) and str(error.filename or "").startswith(root):
                file, line = error.filename, error.lineno
            problem = [file, line, f"{type(error).__name__}: {error}"]
    found.append([name, problem, printed.getvalue()])
    with open(report, "w") as stream:
        json.dump(found, stream)
"""


def import_findings(root, files):
    """Import every file in a clean process.

    Args:
        root: folder of the project.
        files: relative paths of Python files.

    Returns:
        List of Findings: what does not import, and what prints while it is imported.
    """
    root = Path(root).resolve()
    names = [file.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in files]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-c", IMPORT_ALL, str(root), str(report), *names]
        ended = _run(command, root, IMPORT_SECONDS)
        done = json.loads(report.read_text()) if report.exists() else []
    findings, seen = [], set()
    for file, (_, problem, printed) in zip(files, done, strict=False):
        if problem is not None:
            where = Path(problem[0]).relative_to(root).as_posix() if problem[0] else file
            if (where, problem[1]) not in seen:  # one broken file stops every file that imports it
                findings.append(Finding(where, problem[1] or 0, f"does not import: {problem[2]}"))
            seen.add((where, problem[1]))
        if printed.strip():
            findings.append(Finding(file, 0, f"prints when it is imported: {printed.strip().splitlines()[0]!r}"))
    if len(done) < len(files):
        findings.append(Finding(files[len(done)], 0, f"importing it {ended}; nothing may run on import"))
    return findings


def check_findings(root):
    """Run the public checks in a process of their own.

    Args:
        root: folder of the project.

    Returns:
        List of Findings, one for each check that fails.
    """
    if importlib.util.find_spec("pytest") is None:
        return [Finding(PUBLIC_CHECKS, 0, "pytest is not installed; pip install -r requirements.txt")]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        options = ["-q", "--tb=short", "-p", "no:cacheprovider", f"--junit-xml={report}", CONTINUE]
        ended = _run([sys.executable, "-m", "pytest", *options, PUBLIC_CHECKS], Path(root), CHECK_SECONDS)
        if not report.exists():
            return [Finding(PUBLIC_CHECKS, 0, f"the public checks did not finish: pytest {ended}")]
        cases = ElementTree.parse(report).getroot().iter("testcase")
        return [finding for case in cases for finding in _failures(case)]


def _failures(case):
    for kind in ("failure", "error"):
        for failure in case.findall(kind):
            message = (failure.get("message") or kind).strip().splitlines()[0]
            file = (case.get("classname") or PUBLIC_CHECKS).replace(".", "/")
            if file.startswith(PUBLIC_CHECKS):
                file += ".py"
            yield Finding(file, 0, f"{case.get('name')} fails: {message}")


def _run(command, folder, seconds):
    """Run a command quietly and say how it ended."""
    environment = os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "MPLBACKEND": "agg"}
    with contextlib.suppress(subprocess.TimeoutExpired):
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
        )
        return f"ended with status {done.returncode}"
    return f"took more than {seconds} s"
