"""Which files a run is about: the images under a folder, in one order, in shards of fixed composition."""

import hashlib
import itertools
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from image_utils.errors import InputError

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


@dataclass(frozen=True)
class Listing:
    """What a walk found.

    Attributes:
        count: images.
        others: files passed over.
        digest: sha256 of the images' paths.
    """

    count: int
    others: int
    digest: str


def _record(path):
    return os.fsencode(path) + b"\0"


def survey(folder, *, limit=None, without=None):
    """Walk once and count.

    Raises:
        InputError: there is no image.
    """
    digest, count, others = hashlib.sha256(), 0, 0
    for path, image in walk(folder, without=without):
        if not image:
            others += 1
            continue
        digest.update(_record(path))
        count += 1
        if count == limit:
            break
    if not count:
        passed = f" ({others} files of other kinds)" if others else ""
        raise InputError(f"'{folder}' holds no image{passed}; images end in .jpg, .png, .webp, .tif and the like")
    return Listing(count, others, digest.hexdigest())


def make_shards(folder, labels, *, shard_size, limit=None, without=None, expected=None):
    """Cut the walk into shards, one at a time.

    Args:
        folder: Path.
        labels: function from a path to its class index, -1, or a sentence; see `explain.labels`.
        shard_size: files a shard.
        limit: files in all, or None.
        without: as in `walk`.
        expected: digest of a `survey`; this walk may come hours later, and must end with the same.

    Yields:
        Shard.

    Raises:
        InputError: at the end, since the list of files is another now.
    """
    digest = hashlib.sha256()
    images = (path for path, image in walk(folder, without=without) if image)
    images = itertools.islice(images, limit)
    for number in itertools.count():
        paths = list(itertools.islice(images, shard_size))
        if not paths:
            break
        for path in paths:
            digest.update(_record(path))
        yield Shard(number, number * shard_size, paths, [labels(path) for path in paths])
    if expected not in (None, digest.hexdigest()):
        raise InputError(f"'{folder}' changed during the run; undo that and resume, or begin in another --out")
