"""Imported first by every script: what happens while the packages load, which takes seconds.

Ctrl-C then ends the script in one line, with status 130, and a package that is missing in one that says what sets
it up, with status 2. Where a script is imported instead of run, as in tests, nothing is changed.
"""

import os
import signal
import sys
from pathlib import Path

MAIN = Path(getattr(sys.modules["__main__"], "__file__", None) or "no script/at all")
SET_UP = "make figures sets everything up, or: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"


def _interrupted(number, frame):
    os.write(2, f"{MAIN.name}: interrupted\n".encode())
    os._exit(130)  # nothing has been written yet, and half a package cannot be left in an orderly way


def _missing(kind, problem, trace):
    if issubclass(kind, ModuleNotFoundError) and problem.name:
        package = problem.name.partition(".")[0]
        sys.stderr.write(f"{MAIN.name}: error: the package {package} is not installed; {SET_UP}\n")
        sys.exit(2)
    sys.__excepthook__(kind, problem, trace)


if MAIN.parent.resolve() == Path(__file__).resolve().parent:
    signal.signal(signal.SIGINT, _interrupted)
    sys.excepthook = _missing
