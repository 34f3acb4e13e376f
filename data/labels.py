"""Finding a class by what a person calls it."""

import difflib
import json
import re
from pathlib import Path

from image_utils.errors import InputError
from image_utils.loading import check_file


def find_class(text: str | int, class_names: dict[int, str]) -> int:
    """Find a class index by number or name.

    Case, spaces, hyphens and underscores matter only where they tell classes apart: "Cardigan" is a dog,
    "cardigan" a garment. Where a name lists synonyms ("gorilla, Gorilla gorilla"), each of them counts.

    Args:
        text: "366", 366 or "gorilla".
        class_names: dict from class index to name.

    Returns:
        int, a key of class_names.

    Raises:
        InputError: no such number or name (near names are listed), or several classes share the name (their
            numbers are listed).
    """
    text = str(text).strip()
    if re.fullmatch(r"-?\d{1,18}", text):  # more digits are no number of a class, and Python reads only so many
        if int(text) not in class_names:
            raise InputError(
                f"there is no class {text}; the numbers go from {min(class_names)} to {max(class_names)}"
            )
        return int(text)
    for spell, wanted in ((_as_written, text), (_whole, _plain(text)), (_synonyms, _plain(text))):
        found = [index for index, name in class_names.items() if wanted in spell(name)]
        if len(found) > 1:
            raise InputError(f"'{text}' names several classes, give the number: {_list(found, class_names)}")
        if found:
            return found[0]
    raise InputError(
        f"no class is called '{text}'; near it: {_list(_near(_plain(text), class_names), class_names)}"
    )


def _plain(name: str) -> str:
    return " ".join(name.casefold().replace("-", " ").replace("_", " ").split())


def _as_written(name: str) -> set[str]:
    return {name}


def _whole(name: str) -> set[str]:
    return {_plain(name)}


def _synonyms(name: str) -> set[str]:
    return {_plain(part) for part in name.split(",")}


def _near(wanted: str, class_names: dict[int, str], most: int = 5) -> list[int]:
    """List the classes whose names contain the word, then those spelt alike."""
    plain = {index: _plain(name) for index, name in class_names.items()}
    containing = [index for index, name in plain.items() if wanted and wanted in name]
    parts = {part: index for index, name in plain.items() for part in (name, *name.split())}
    alike = [parts[part] for part in difflib.get_close_matches(wanted, parts, n=most, cutoff=0.5)]
    return list(dict.fromkeys(sorted(containing, key=lambda i: len(plain[i])) + alike))[:most]


def _list(indices: list[int], class_names: dict[int, str]) -> str:
    return ", ".join(f"{class_names[index]} ({index})" for index in indices) or "none"


def names_for(count: int, file: str | Path | None = None) -> dict[int, str]:
    """Name the classes of a network.

    Args:
        count: how many classes it has.
        file: text file with a name in each line, or .json: a list of names, or a dict from number to name. None
            gives ImageNet's names to a network of 1000 classes, and "class 0", "class 1", ... to any other.

    Returns:
        dict from class index to name, all `count` of them.

    Raises:
        InputError: the file cannot be read, or names another number of classes.
    """
    if file is None:
        from data.samples import imagenet_class_names

        return imagenet_class_names() if count == 1000 else {index: f"class {index}" for index in range(count)}
    names = _read_names(Path(file))
    if names.keys() != set(range(count)):
        raise InputError(f"'{file}' names {len(names)} classes; the network has {count}, from 0 to {count - 1}")
    return dict(sorted(names.items()))


def _read_names(file: Path) -> dict[int, str]:
    check_file(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
        if file.suffix != ".json":
            return dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
        content = json.loads(text)
        pairs = enumerate(content) if isinstance(content, list) else content.items()
        names = {int(index): name for index, name in pairs}
    except (OSError, ValueError, AttributeError, RecursionError) as problem:
        raise InputError(f"'{file}' is not a list of class names: {str(problem).splitlines()[0]}") from None
    if not all(isinstance(name, str) for name in names.values()):
        raise InputError(f"'{file}' is not a list of class names: each must be text")
    return names
