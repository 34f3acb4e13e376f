"""Opening what students send: zips that may be broken, enormous or aimed at other files."""

import os
import stat
import zipfile
from pathlib import Path, PurePosixPath

from course.collect.outline import SOURCES
from image_utils.errors import InputError

MAX_MEMBERS = 500
MAX_BYTES = 20_000_000  # of everything, unpacked
MAX_FILE = 2_000_000  # of one code file
MAX_ZIP = 50_000_000
MAX_NAME = 200  # characters of a path
CHUNK = 1 << 16


def read_submission(path):
    """Read the code files of a submission.

    Args:
        path: a zip, or a folder in which one was unpacked. The files may lie in one folder inside.

    Returns:
        (files, ignored): dict from relative path to bytes for root *.py, style_modules/*.py and visualizers/*.py;
        and the names of the other files.

    Raises:
        InputError: not a zip, unsafe members, too many or too large files, or no code at all.
    """
    path = Path(path)
    if path.is_dir():
        zips = sorted(path.glob("*.zip"))
        contents = _read_folder(path)
        if len(zips) == 1 and not any(name.endswith(".py") for name in contents):
            contents = _read_zip(zips[0])
    elif path.is_file():
        contents = _read_zip(path)
    else:
        raise InputError(f"'{path}' does not exist")
    contents = _without_outer_folder(contents)
    wanted = {name: data for name, data in contents.items() if is_code(name) and data is not None}
    ignored = sorted(name for name in contents if name not in wanted)
    if not wanted:
        raise InputError(
            "the submission holds no code: *.py, style_modules/*.py and visualizers/*.py are expected; "
            "hand in the zip that collect_submission.py writes"
        )
    return wanted, ignored


def is_code(name):
    """Say whether a relative path is of a kind that is handed in."""
    path = PurePosixPath(name)
    return any(len(path.parts) == len(PurePosixPath(p).parts) and path.match(p) for p in SOURCES)


def _without_outer_folder(contents):
    """Strip folders that everything with code lies in, as file managers add when they zip a folder."""
    names = [name for name in contents if name.endswith(".py") and not name.startswith("__MACOSX/")]
    first = {name.partition("/")[0] for name in names}
    inside = all("/" in name for name in names)
    if len(first) != 1 or not inside or first & {"style_modules", "visualizers"}:
        return contents
    outer = first.pop() + "/"
    return _without_outer_folder({name.removeprefix(outer): data for name, data in contents.items()})


def _read_zip(path):
    """Read all code files, checking every member's name, kind and true size before it is used."""
    if path.stat().st_size > MAX_ZIP:
        raise InputError(f"'{path.name}' is larger than {MAX_ZIP // 10**6} MB")
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > MAX_MEMBERS:
                raise InputError(f"'{path.name}' holds {len(members)} files; at most {MAX_MEMBERS} are accepted")
            contents, total = {}, 0
            for member in members:
                name = _safe_name(member)
                if name.endswith("/"):
                    continue
                if name in contents:
                    raise InputError(f"'{path.name}' holds two files named '{name}'")
                data = _read_member(archive, member, MAX_BYTES - total)
                total += len(data)
                contents[name] = data if len(data) <= MAX_FILE else None
            return contents
    except InputError:
        raise
    except (
        zipfile.BadZipFile,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        MemoryError,
    ) as problem:
        raise InputError(f"'{path.name}' is not a readable zip: {problem}") from None
    except Exception as problem:  # noqa: BLE001  (decompressors raise errors of their own kinds)
        raise InputError(f"'{path.name}' is damaged: {problem}") from None


def _safe_name(member):
    """Return a member's name, or refuse it."""
    name = member.filename
    shown = ascii(name)[1:-1][:100]
    kind = stat.S_IFMT(member.external_attr >> 16)
    parts = name.removesuffix("/").split("/")
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise InputError(f"the zip's member '{shown}' is a link or a device; only plain files are accepted")
    if name.startswith("/") or "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts):
        raise InputError(f"the zip's member '{shown}' points outside of the submission's folder")
    if len(name) > MAX_NAME or not name.isprintable():
        raise InputError(f"the zip's member '{shown}' has a name that is too long or not printable")
    if member.flag_bits & 1:
        raise InputError(f"the zip's member '{shown}' is encrypted")
    return name


def _read_member(archive, member, room):
    """Read a member, counting what really comes out of it, whatever its header says."""
    data = bytearray()
    with archive.open(member) as stream:
        while part := stream.read(CHUNK):
            data += part
            if len(data) > room:
                raise InputError(f"the zip holds more than {MAX_BYTES // 10**6} MB when unpacked")
    return bytes(data)


def _read_folder(root):
    """Read a folder, unpacked or a project. Links are not followed, hidden folders not entered."""
    contents, total = {}, 0
    for folder, folders, files in os.walk(root):
        folder = Path(folder)
        folders[:] = sorted(name for name in folders if _may_hold_code(folder / name))
        if len(folder.relative_to(root).as_posix()) > MAX_NAME:
            raise InputError("the submission's folders lie too deep")
        for name in sorted(name for name in files if name.endswith(".py")):  # pictures lie about in a project
            path = folder / name
            relative = path.relative_to(root).as_posix()
            if len(contents) >= MAX_MEMBERS:
                raise InputError(f"the submission holds more than {MAX_MEMBERS} files")
            if path.is_symlink() or not path.is_file():
                raise InputError(f"'{ascii(relative)[1:-1]}' is a link or a device; only plain files are accepted")
            size = path.stat().st_size
            total += size
            if total > MAX_BYTES + MAX_ZIP:
                raise InputError(f"the submission holds more than {(MAX_BYTES + MAX_ZIP) // 10**6} MB")
            contents[relative] = path.read_bytes() if size <= MAX_FILE else None
        for name in folders:
            if (folder / name).is_symlink():
                raise InputError(f"'{name}' is a link; only plain files are accepted")
    return contents


def _may_hold_code(folder):
    return (
        not folder.name.startswith(".") and folder.name != "__pycache__" and not (folder / "pyvenv.cfg").exists()
    )


def write_files(files, folder):
    """Write code files into a folder; names come from `read_submission`."""
    for name, data in files.items():
        target = Path(folder) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
