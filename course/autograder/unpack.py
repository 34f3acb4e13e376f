"""Opening what students send: zips that may be broken, enormous or aimed at other files.

Nothing is unpacked. Code is read, a bounded number of bytes of it, and gets its place in the project from the last
one or two parts of its name; so no name points elsewhere, and of a link there is only the text of its target.
"""

import functools
import io
import os
import zipfile
from pathlib import Path, PurePosixPath

from course.collect.outline import SOURCES
from image_utils.errors import InputError

MAX_FILES, MAX_FILE, MAX_ZIP = 100, 200_000, 50_000_000  # files of code, bytes of one; bytes of a whole zip
MAX_NAME, MAX_DEPTH = 200, 8  # bytes of a path; folders in folders
PACKAGES = {pattern.partition("/")[0] for pattern in SOURCES if "/" in pattern}


def read_submission(path):
    """Read the code files of a submission.

    Args:
        path: a zip, perhaps with the zip inside, or an unpacked one. The files may lie in a folder of it.

    Returns:
        (files, ignored): dict from relative path to bytes for root *.py, style_modules/*.py and visualizers/*.py;
        and the names of the other files.

    Raises:
        InputError: not a zip, the project twice, too much code, or none at all.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"'{path}' does not exist")
    zips = sorted(path.glob("*.zip")) if path.is_dir() else [path]
    members = _of_folder(path) if path.is_dir() else {}
    if not any(name.endswith(".py") for name in members) and len(zips) == 1:
        if zips[0].stat().st_size > MAX_ZIP:
            raise InputError(f"'{zips[0].name}' is larger than {MAX_ZIP // 10**6} MB")
        members = _of_zip(zips[0], zips[0].name)
    read = {name: (place, members[name](MAX_FILE + 1)) for name, place in _choose(members).items()}
    files = {place: data for place, data in read.values() if len(data) <= MAX_FILE}
    if not files:
        raise InputError(
            "the submission holds no code: *.py, style_modules/*.py and visualizers/*.py are expected; "
            "hand in the zip that collect_submission.py writes"
        )
    return files, sorted(name for name in members if name not in read or read[name][0] not in files)


def _choose(members):
    """Return dict from the members that are code to their place in the project, wherever that lies."""
    homes = {}
    for name in members:
        path = PurePosixPath(name)
        usable = name.isprintable() and len(name.encode()) <= MAX_NAME
        if usable and path.suffix == ".py" and not any(p.startswith((".", "__MACOSX")) for p in path.parts):
            inside = path.parent.name in PACKAGES
            homes.setdefault(path.parents[1] if inside else path.parent, []).append((inside, name))
    if not homes:
        return {}
    rank = {home: (not any(i for i, _ in found), len(home.parts)) for home, found in homes.items()}
    best = sorted(home for home in homes if rank[home] == min(rank.values()))
    if len(best) > 1:
        raise InputError(
            f"the submission holds the project twice, in {best[0]} and {best[1]}; hand in one of them"
        )
    if len(homes[best[0]]) > MAX_FILES:
        raise InputError(
            f"the submission holds {len(homes[best[0]])} files of code; at most {MAX_FILES} are accepted"
        )
    return {name: str(PurePosixPath(name).relative_to(best[0])) for _, name in homes[best[0]]}


def _of_zip(source, shown, inner=True):
    """Return dict from each member's name to what reads it; a zip alone in it is opened in its place."""
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as problem:
        raise InputError(f"'{shown}' is not a readable zip: {problem}") from None
    members = {m.filename.replace("\\", "/"): functools.partial(_read, archive, m) for m in archive.infolist()}
    zips = [name for name in members if name.endswith(".zip")]
    if inner and len(zips) == 1 and not any(name.endswith(".py") for name in members):
        return _of_zip(io.BytesIO(members[zips[0]](MAX_ZIP)), zips[0], inner=False)
    return members


def _read(archive, member, size):
    """Read the first bytes of a zip's member, whatever its header says of its size."""
    try:
        with archive.open(member) as stream:
            return stream.read(size)
    except Exception as problem:  # noqa: BLE001  (decompressors raise errors of their own kinds)
        raise InputError(f"the zip's member '{ascii(member.filename)[1:-1]}' is damaged: {problem}") from None


def _of_folder(root):
    """Return dict from each code file's name to what reads it; links, hidden folders and environments are left."""
    members = {}
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        deep = len(here.relative_to(root).parts) >= MAX_DEPTH
        hidden = [name for name in folders if name.startswith(".") or (here / name / "pyvenv.cfg").exists()]
        folders[:] = [] if deep else sorted(set(folders) - {"__pycache__", *hidden})
        for path in (here / name for name in sorted(files) if name.endswith(".py")):
            if path.is_file() and not path.is_symlink():
                members[path.relative_to(root).as_posix()] = functools.partial(_read_file, path)
    return members


def _read_file(path, size):
    with path.open("rb") as stream:
        return stream.read(size)


def write_files(files, folder):
    """Write code files into a folder; names come from `read_submission`."""
    for name, data in files.items():
        target = Path(folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
