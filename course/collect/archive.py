"""The zip that is handed in: the same files give the same bytes, on any machine and day."""

import zipfile
from pathlib import Path

from course.collect.outline import source_files
from image_utils.writing import whole_file

NAME = "assignment_3_submission.zip"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold


def write_submission(root, path):
    """Zip the code files of a project: root *.py, style_modules/*.py, visualizers/*.py.

    Stored, not compressed, since compressors differ between machines; names sorted, dates and permissions fixed.

    Args:
        root: folder of the project.
        path: where to write the zip.

    Returns:
        List of the names in the zip.

    Raises:
        InputError: the file cannot be written.
    """
    names = source_files(Path(root))
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            member = zipfile.ZipInfo(name, EARLIEST)
            member.create_system = 3  # Unix, whatever system writes it
            member.external_attr = 0o100644 << 16
            archive.writestr(member, (Path(root) / name).read_bytes())
    return names
