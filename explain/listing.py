"""Which files a run is about: the images under a folder, listed once, in shards of fixed composition."""

import itertools
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from image_utils.errors import InputError
from image_utils.writing import whole_file

LIST = "files.lst"  # the paths, each followed by a zero byte; one more zero byte before each later group

# A file whose name ends so is taken for an image (and is an error if it is none); any other is passed over.
SUFFIXES = frozenset(
    (
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".gif",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".webp",
        ".avif",
        ".jp2",
        ".j2k",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pcx",
        ".tga",
        ".ico",
        ".heic",
        ".heif",
    )
)


@dataclass(frozen=True)
class Shard:
    """Consecutive files that are worked on and stored together.

    Attributes:
        number: position in the run.
        first: position of its first file in the run.
        paths: of the files, relative to the folder, with slashes.
        labels: for each file its class index, -1 for the network's own top-1, or a sentence why it has none.
    """

    number: int
    first: int
    paths: list
    labels: list

    def to_json(self):
        """Return the shard as text, which passes through anything."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text):
        """Undo `to_json`."""
        return cls(**json.loads(text))


def walk(folder, *, without=None):
    """List the images below a folder, sorted by path; only one folder's entries are held in memory at a time.

    Hidden files and folders (a leading dot), and folders that a run wrote, are left out. Links are
    followed, but not to a folder one is in.

    Args:
        folder: Path.
        without: Path of a folder inside that is left out, such as the output's.

    Yields:
        (path relative to `folder` with slashes, whether it counts as an image).

    Raises:
        InputError: a folder cannot be listed.
    """
    left_out = _identity(without) if without is not None and Path(without).exists() else None
    yield from _walk(Path(folder), "", [_identity(folder)], left_out)


def _identity(path):
    status = Path(path).stat()
    return status.st_dev, status.st_ino


def _walk(folder, prefix, parents, left_out):
    try:
        with os.scandir(folder) as entries:
            # Sorting a folder as "name/" makes the whole walk sorted by path: "a-b" comes before "a/b".
            named = sorted((e.name + "/" * _is(e.is_dir), e) for e in entries if not e.name.startswith("."))
    except OSError as problem:
        raise InputError(f"'{folder}' cannot be listed: {problem.strerror}") from None
    for name, entry in named:
        if name.endswith("/"):
            here = _identity(entry.path)
            if here != left_out and here not in parents and not _holds_a_run(entry.path):
                yield from _walk(Path(entry.path), prefix + name, [*parents, here], left_out)
        elif _is(entry.is_file) or entry.is_symlink():  # a dangling link is an unreadable file; a pipe is none
            yield prefix + name, os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122  (millions of names)


def _holds_a_run(folder):
    """Whether a folder is the output of a run: its pictures are no photographs to explain."""
    return all(os.path.exists(os.path.join(folder, name)) for name in (".lock", "run.json"))  # noqa: PTH110, PTH118


def _is(kind):
    """Ask an entry what it is; a link that leads nowhere, such as to itself, is nothing."""
    try:
        return kind()
    except OSError:
        return False


def require_images(folder, *, without=None):
    """Look for one image, so that a folder without any is refused before anything is written.

    Raises:
        InputError: there is none.
    """
    others = 0
    for _, image in walk(folder, without=without):
        if image:
            return
        others += 1
    passed = f" ({others} files of other kinds)" if others else ""
    raise InputError(f"'{folder}' holds no image{passed}; images end in .jpg, .png, .webp, .tif and the like")


def list_files(out, folder, *, limit=None, without=None):
    """Write the list of a run's files, sorted by path; or add what is new in the folder, as a group at its end.

    What stands in the list stays where it is, so the shards of an earlier run stay what they were.

    Args:
        out: the run's folder, which keeps the list.
        folder: Path.
        limit: only the first so many images of the folder, or None.
        without: as in `walk`.

    Returns:
        (images in the list, other files passed over).

    Raises:
        InputError: an image of the list is no longer in the folder.
    """
    file = Path(out) / LIST
    before = file.read_bytes() if file.exists() else b""
    missing = set(filter(None, before.split(b"\0")))
    known, count, others, images = frozenset(missing), len(missing), 0, 0
    with whole_file(file) as temporary, temporary.open("wb") as listed:
        listed.write(before)
        for path, image in walk(folder, without=without):
            if not image:
                others += 1
                continue
            record = os.fsencode(path)
            missing.discard(record)
            if record not in known:
                listed.write(b"\0" * (count == len(known) > 0) + record + b"\0")
                count += 1
            images += 1
            if images == limit:
                break
        if missing:
            gone = os.fsdecode(min(missing))
            raise InputError(
                f"'{gone}' and {len(missing) - 1:,} more of the run in '{out}' are no longer in '{folder}'"
                if len(missing) > 1
                else f"'{gone}', of the run in '{out}', is no longer in '{folder}'"
            )
    return count, others


def make_shards(out, labels, *, shard_size):
    """Cut a run's list into shards, one at a time; a shard has files of one group.

    Args:
        out: the run's folder.
        labels: function from a path to its class index, -1, or a sentence; see `explain.labels`.
        shard_size: files a shard.

    Yields:
        Shard.
    """
    paths, number, first = [], 0, 0
    for record in itertools.chain(_records(Path(out) / LIST), [b""]):
        if record:
            paths.append(os.fsdecode(record))
        if paths and (len(paths) == shard_size or not record):
            yield Shard(number, first, paths, [labels(path) for path in paths])
            number, first, paths = number + 1, first + len(paths), []


def _records(file):
    """Read the list little by little."""
    rest = b""
    with file.open("rb") as listed:
        while part := listed.read(2**20):
            *whole, rest = (rest + part).split(b"\0")
            yield from whole
