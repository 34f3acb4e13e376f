"""Which class each image is explained for: from a table, from folder names, or the network's own top-1."""

import csv
import functools
import itertools
from pathlib import Path

from data.labels import find_class
from image_utils.errors import InputError

TOP1 = -1
SOME = 1000  # entries of a table that are looked for


def label_source(source, folder, names, *, without=None):
    """Make the function that knows each image's class.

    Args:
        source: "top1"; "from-folder", the name of the folder directly below FOLDER that the image is in; or the
            path of a CSV file with the columns path (relative to FOLDER) and label, with or without that heading.
            A label is a class index or a class name. Folders may instead be as many as the network has classes,
            such as ImageNet's WordNet ids, and are then the classes in sorted order.
        folder: FOLDER.
        names: list of class names.
        without: the output's folder, which is no class.

    Returns:
        Function from a path relative to FOLDER to a class index, to TOP1, or to a sentence why there is none.

    Raises:
        InputError: no such source, or it names a class that the network does not have.
    """
    if source == "top1":
        return lambda path: TOP1
    if source == "from-folder":
        known = _folder_classes(Path(folder), names, without)
        return lambda path: known.get(path.partition("/")[0], "it lies in no folder that names a class")
    known = _read_table(Path(source), names)
    if not any((Path(folder) / path).exists() for path in itertools.islice(known, SOME)):
        such = f", such as '{next(iter(known))}'" if known else ""
        raise InputError(f"--labels '{source}': none of its paths{such} is in '{folder}'; they are relative to it")
    return lambda path: known.get(path, f"it has no label in {Path(source).name}")


def finder(names):
    """Make `data.labels.find_class` for these names; a table has millions of rows, and few texts in them.

    Args:
        names: list of class names.

    Returns:
        Function from a text, a number or a name, to the class index; it raises InputError as `find_class` does.
    """
    class_names = dict(enumerate(names))
    return functools.cache(lambda text: find_class(text, class_names))


def _folder_classes(folder, names, without):
    inside = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    folders = [entry.name for entry in inside if without is None or entry.resolve() != Path(without).resolve()]
    if not folders:
        raise InputError(f"--labels from-folder: '{folder}' holds no folders")
    find = finder(names)
    try:
        return {name: find(name) for name in folders}
    except InputError as problem:
        if len(folders) == len(names):
            return {name: i for i, name in enumerate(folders)}
        raise InputError(
            f"--labels from-folder: {problem}; and {len(folders)} folders are not the {len(names)} classes"
        ) from None


def _read_table(file, names):
    find, known = finder(names), {}
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            for number, row in enumerate(csv.reader(lines), start=1):
                if not row or (number == 1 and [cell.strip().lower() for cell in row[:2]] == ["path", "label"]):
                    continue
                if len(row) < 2:
                    raise InputError(f"--labels '{file}', line {number}: needed are path,label")
                try:
                    known[row[0].removeprefix("./")] = find(row[1])
                except InputError as problem:
                    raise InputError(f"--labels '{file}', line {number}: {problem}") from None
    except FileNotFoundError:
        raise InputError(f"--labels '{file}' does not exist; give top1, from-folder or a CSV file") from None
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise InputError(f"--labels '{file}' cannot be read: {problem}") from None
    return known
