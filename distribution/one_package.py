"""The rooms of a checkout as one package, `look_inside`.

In a checkout the rooms (`visualizers`, `data`, ...) stand side by side, as the course has them. Installed like
that, they would take the place of a researcher's own `data` folder, or the other way round. So pip installs one
package with the rooms beneath it, in which imports of rooms are rewritten:

    from data.networks import load_network    ->    from look_inside.data.networks import load_network

The build writes a rewritten copy of every module (see build_hook.py). An editable installation holds a copy of
this file alone, which does the same at the moment a module is imported from the checkout. It needs nothing but
Python.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path

NAME = "look_inside"
NOT_INSTALLED = {"benchmarks", "course", "distribution", "docs", "tests", "collect_submission"}


def rooms(checkout: Path) -> dict[str, Path]:
    """Find what is installed: the name of each module and package at the top of a checkout, and where it lies."""
    modules = {file.stem: file for file in checkout.glob("*.py")}
    packages = {file.parent.name: file.parent for file in checkout.glob("*/__init__.py")}
    return {name: path for name, path in sorted({**modules, **packages}.items()) if name not in NOT_INSTALLED}


def rewritten(source: str, names: set[str] | dict[str, Path]) -> str:
    """Let a module import its rooms from the package, in its code and in the examples of its documentation."""
    room = "|".join(sorted(names, key=len, reverse=True))
    start = r"^(\s*(?:>>> )?"
    source = re.sub(rf"{start}from )({room})\b(?=[\w.]* import )", rf"\1{NAME}.\2", source, flags=re.MULTILINE)
    source = re.sub(
        rf"{start})import ({room})(?=\s*(?:#.*)?$)", rf"\1from {NAME} import \2", source, flags=re.MULTILINE
    )
    return re.sub(rf"{start})import ({room}) as ", rf"\1from {NAME} import \2 as ", source, flags=re.MULTILINE)


class _Loader(importlib.machinery.SourceFileLoader):
    """Loads a module of the checkout with its imports rewritten; the checkout's own bytecode is left alone."""

    def __init__(self, fullname, path, names):
        super().__init__(fullname, path)
        self.names = names

    def get_code(self, fullname):
        """Compile the rewritten source, each time anew."""
        path = self.get_filename(fullname)
        return compile(
            rewritten(Path(path).read_text(encoding="utf-8"), self.names), path, "exec", dont_inherit=True
        )


class Finder(importlib.abc.MetaPathFinder):
    """Finds look_inside.ROOM in a checkout."""

    def __init__(self, checkout):
        self.checkout = Path(checkout)

    def find_spec(self, fullname, path=None, target=None):
        """Return the spec of a module in the checkout, or None for what is not there."""
        top, *parts = fullname.split(".")
        if top != NAME or not parts:
            return None
        names, place = rooms(self.checkout), self.checkout.joinpath(*parts)
        for file, below in ((place / "__init__.py", [str(place)]), (place.with_suffix(".py"), None)):
            if parts[0] in names and file.is_file():
                loader = _Loader(fullname, str(file), names)
                return importlib.util.spec_from_file_location(
                    fullname, file, loader=loader, submodule_search_locations=below
                )
        return None


def find_in(checkout: str) -> None:
    """Have the rooms of a checkout found as parts of the package."""
    if not Path(checkout).is_dir():
        raise ImportError(
            f"{NAME} was installed from '{checkout}', which is not there any more; pip install it again"
        )
    sys.meta_path.insert(0, Finder(checkout))
