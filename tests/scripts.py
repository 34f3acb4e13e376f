"""Running a root script inside the test process, as a person would run it."""

import contextlib
import importlib
import io
import sys
from unittest import mock

from command_line import run


def call(script, *arguments):
    """Run `python SCRIPT.py ARGUMENTS`.

    Returns:
        (exit status, standard output, standard error).
    """
    module = importlib.import_module(script)
    out, err, status = io.StringIO(), io.StringIO(), 0
    arguments = [f"{script}.py", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", arguments),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run(module.main)
        except SystemExit as end:
            status = end.code or 0
    return status, out.getvalue(), err.getvalue()


def assert_refused(script, *arguments, word=""):
    """Assert exit status 2, one line on standard error that contains `word`, and nothing on standard output."""
    status, out, err = call(script, *arguments)
    assert status == 2, (arguments, status, err)
    assert out == "", out
    assert err.count("\n") == 1 and err.endswith("\n"), err
    assert err.startswith(f"{script}.py: error: "), err
    assert word in err, err
