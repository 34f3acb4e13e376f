"""Running `python -m explain` inside the test process, and comparing what runs leave."""

import contextlib
import io
import sys
from pathlib import Path
from unittest import mock

import numpy as np

from command_line import run


def explain(*arguments):
    """Returns (exit status, standard output, standard error)."""
    from explain.command import main

    out, err, status = io.StringIO(), io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", ["explain", *map(str, arguments)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            run(main)
        except SystemExit as end:
            status = end.code or 0
    return status, out.getvalue(), err.getvalue()


def assert_refused(*arguments, word, status=2):
    """Assert one line on standard error that contains `word`, and nothing on standard output."""
    code, out, err = explain(*arguments)
    assert (code, out) == (status, ""), (code, err)
    assert err.count("\n") == 1 and err.startswith("explain: error: ") and word in err, err


def manifest(out):
    """The manifest without its times."""
    from explain.storage import read_manifest

    return read_manifest(out).drop_columns(["seconds"])


def files(out):
    """Every file of a run but the manifest: relative path to content."""
    found = {file.relative_to(out).as_posix(): file for file in Path(out).rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in sorted(found.items()) if name != "manifest.parquet"}


def assert_same_run(a, b):
    """Byte for byte the same, apart from the times in the manifest."""
    one, other = files(a), files(b)
    assert list(one) == list(other)
    assert [name for name in one if one[name] != other[name]] == []
    assert manifest(a).equals(manifest(b))


def maps(out):
    """(path, method) to array, of every map of a run."""
    from explain.storage import read_manifest, read_row

    rows = read_manifest(out).to_pylist()
    return {
        (row["path"], row["method"]): read_row(Path(out) / row["shard"], row["row"], row["method"])
        for row in rows
        if row["shard"]
    }


def distance(a, b):
    """Length of the difference of two maps, relative to the second's."""
    return float(np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30))


def assert_same_but_for_kinks(distances):
    """Assert that float32 maps computed in another way are the same, as far as float32 promises.

    An input of a ReLU that is zero but for rounding falls on either side, and so does the winner of a max-pool;
    the gradient jumps there, by an amount that no bound follows from. So most maps must be equal to rounding, and
    a map of something else, whose distance would be near 1, must not be among them. Float64 has tests of its own.
    """
    assert np.median(distances) < 1e-5 and max(distances) < 0.3, sorted(distances)
