"""What pip builds: the package `look_inside`, or, for `pip install -e`, a way from it to the checkout."""

import importlib.util
import shutil
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

KINDS = ("*.py", "*.safetensors", "*.npz", "*.jpg", "*.png", "*.md", "*.json", "*.html")
NOT_OURS = ("imagenet_val_25.npz",)  # what a user may have put into the checkout
INIT = '"""Look inside a convolutional network, and paint with it."""\n\n__version__ = "{version}"\n'


def one_package():
    """Load the module beside this file."""
    spec = importlib.util.spec_from_file_location("one_package", Path(__file__).with_name("one_package.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class OnePackage(BuildHookInterface):
    """Fills the wheel."""

    def initialize(self, version, build_data):
        """Write what goes into the wheel into a temporary folder."""
        self.folder = Path(tempfile.mkdtemp(prefix="look-inside-"))
        init = INIT.format(version=self.metadata.version)
        if version == "editable":
            source = Path(one_package().__file__).read_text(encoding="utf-8")
            checkout = str(Path(self.root).resolve())
            init = f"{source}\n\n__version__ = {self.metadata.version!r}\nfind_in({checkout!r})\n"
        else:
            write_rooms(Path(self.root), self.folder, one_package())
        (self.folder / "__init__.py").write_text(init, encoding="utf-8")
        (self.folder / "py.typed").write_text("")
        key = "force_include_editable" if version == "editable" else "force_include"
        build_data[key][str(self.folder)] = "look_inside"

    def finalize(self, version, build_data, artifact_path):
        """Remove the temporary folder."""
        shutil.rmtree(self.folder)


def write_rooms(checkout, folder, package):
    """Copy every room into `folder`, its modules rewritten, its data as they are."""
    names = package.rooms(checkout)
    for path in names.values():
        for file in [path] if path.is_file() else [found for kind in KINDS for found in path.rglob(kind)]:
            if file.name in NOT_OURS or "__pycache__" in file.parts:
                continue
            target = folder / file.relative_to(checkout)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.suffix == ".py":
                target.write_text(package.rewritten(file.read_text(encoding="utf-8"), names), encoding="utf-8")
            else:
                shutil.copyfile(file, target)
