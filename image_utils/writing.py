"""Writing results: a file appears whole, or not at all."""

import contextlib
import contextvars
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from image_utils.errors import InputError

if TYPE_CHECKING:  # matplotlib takes a while to import
    from matplotlib.figure import Figure
    from PIL import Image

# Read once: reading it means setting it, and a folder that another thread makes meanwhile would be open to all.
UMASK = os.umask(0)
os.umask(UMASK)

_noted: contextvars.ContextVar[list[Path] | None] = contextvars.ContextVar("noted", default=None)


@contextlib.contextmanager
def noting_files() -> Iterator[list[Path]]:
    """Give a list that names every file written inside the block, in this thread, in their order."""
    files: list[Path] = []
    token = _noted.set(files)
    try:
        yield files
    finally:
        _noted.reset(token)


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside `path`, moved into place on success and removed on failure.

    Args:
        path: the file to be written; missing folders are made.

    Yields:
        Path to write to, with the same ending.

    Raises:
        InputError: the folder cannot be written to, or the path is a directory.
    """
    path = Path(path)
    temporary = None
    try:
        if path.is_dir():
            raise InputError(f"cannot write '{path}': it is a directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o666 & ~UMASK)  # mkstemp makes private files; a result is an ordinary one
        temporary.replace(path)
        if (noted := _noted.get()) is not None:
            noted.append(path)
    except OSError as problem:
        raise InputError(f"cannot write '{path}': {problem.strerror or problem}") from None
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def save_figure(figure: "Figure", path: str | Path, *, dpi: float = 100) -> None:
    """Write a matplotlib figure.

    Args:
        figure: matplotlib Figure; it need not (and here does not) belong to pyplot, so no window, backend or
            global setting is involved and nothing has to be closed.
        path: where, ending in .png or another format matplotlib writes.
        dpi: dots per inch.
    """
    # zlib's usual level takes three times as long, a third of the drawing, for a file a twelfth smaller.
    quickly: dict[str, Any] = {"pil_kwargs": {"compress_level": 2}} if Path(path).suffix == ".png" else {}
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches="tight", facecolor="white", **quickly)


def save_image(img: "Image.Image", path: str | Path) -> None:
    """Write a PIL image; the ending chooses the format (use .png for exact pixels)."""
    with whole_file(path) as temporary:
        img.save(temporary)


def save_json(record: dict, path: str | Path) -> None:
    """Write a record (dict of plain values) as indented JSON."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
