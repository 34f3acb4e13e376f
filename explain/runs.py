"""One run, one folder: the lock, the settings that a resume must share, and what a kill left lying about."""

import contextlib
import itertools
import json
import os
import shutil
from pathlib import Path

from image_utils.errors import InputError
from image_utils.writing import save_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

FOLDERS = ("maps", "overlays", "parts", "index")  # a run's own, in which nobody else keeps anything
TEMPORARY = (".run-*.json", ".index-*.html", ".manifest-*.parquet", ".trust-*")  # beside which others may


@contextlib.contextmanager
def locked(out):
    """Hold a run's folder for this process, which makes it if need be; the system lets go when the process ends.

    Raises:
        InputError: another process holds it, it cannot be written to, or it holds something else.
    """
    if fcntl is None:
        raise InputError("python -m explain needs Linux, macOS or WSL: it locks its output with flock")
    out = Path(out)
    try:
        if out.is_dir() and not (out / "run.json").exists():
            strangers = sorted(name for name in os.listdir(out) if not name.startswith("."))  # noqa: PTH208
            if strangers:
                raise InputError(
                    f"--out '{out}' holds '{strangers[0]}' and no run of explain; name another folder"
                )
        out.mkdir(parents=True, exist_ok=True)
        handle = os.open(out / ".lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as problem:
        raise InputError(f"--out '{out}' cannot be written to: {problem.strerror}") from None
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(
                f"--out '{out}': another run is writing there; wait, or name another folder"
            ) from None
        yield
    finally:
        os.close(handle)


def agree(out, settings):
    """Write a new run's settings, or hold a resumed one to those it began with.

    Args:
        out: the run's folder, locked.
        settings: dict of plain values: all that determines the result beyond rounding.

    Raises:
        InputError: one of them is another; or run.json cannot be read or written.
    """
    file = Path(out) / "run.json"
    if not file.exists():
        save_json(settings, file)
        return
    try:
        before = json.loads(file.read_text())
        different = [name for name in settings if before.get(name) != settings[name]]
    except (OSError, ValueError, AttributeError) as problem:
        raise InputError(f"'{file}' cannot be read: {problem}") from None
    if different:
        name = different[0]
        raise InputError(
            f"--out '{out}' holds a run with another {name} ({_short(before.get(name))}, "
            f"now {_short(settings[name])}); resume with the same, or name another folder"
        )


def _short(value):
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else text[:20] + "..." + text[-20:]


def sweep(out):
    """Remove the temporary files that a killed writer left."""
    out = Path(out)
    strays = [*itertools.chain.from_iterable((out / name).rglob(".*-*") for name in FOLDERS)]
    strays += itertools.chain.from_iterable(out.glob(pattern) for pattern in TEMPORARY)
    for stray in strays:
        if not stray.is_dir():
            stray.unlink(missing_ok=True)


def discard_parts(out):
    """Remove the parts of a manifest that is there."""
    shutil.rmtree(Path(out) / "parts", ignore_errors=True)
