"""Zips whose bytes depend on nothing but the files in them, on any machine and day; the one that is handed in."""

import zipfile
from pathlib import Path

from course.collect.outline import source_files
from image_utils.writing import whole_file

NAME = "assignment_3_submission.zip"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


def write_submission(root, path):
    """Zip the code files of a project: root *.py, style_modules/*.py, visualizers/*.py.

    Args:
        root: folder of the project.
        path: where to write the zip.

    Returns:
        List of the names in the zip.

    Raises:
        InputError: the file cannot be written.
    """
    return write_zip(root, path, source_files(Path(root)))


def write_zip(root, path, names, *, compression=zipfile.ZIP_STORED, programs=()):
    """Zip files of a folder; as `write_submission`. Stored by default, since compressors differ between machines.

    Args:
        root: folder.
        path: where to write the zip.
        names: of the files, relative to the folder.
        compression: of the zipfile module.
        programs: names of those that can be started.
    """
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", compression) as archive:
        for name in names:
            member = zipfile.ZipInfo(name, EARLIEST)
            member.create_system = 3  # Unix, whatever system writes it
            member.external_attr = (0o100755 if name in programs else 0o100644) << 16
            member.compress_type = compression
            archive.writestr(member, (Path(root) / name).read_bytes())
    return list(names)
