"""Let torchvision import when its wheel was built for another PyTorch build.

A torchvision wheel built for CUDA cannot load its compiled operators beside a CPU build of PyTorch, and
`import torchvision` then stops at `operator torchvision::nms does not exist`: its Python code registers fake
kernels for two operators that nobody declared. Declaring just their schemas lets the import finish; the networks
and transforms used here need neither operator. Where the compiled library loads, nothing is declared.

And let it import in half of the time: it loads torch's compiler for the sake of one function, which it calls only
when it pools regions without compiled operators.

    python torchvision_cure.py

installs the cure into the running environment, so that there a plain `import torchvision` works as the first line
of any script. Every start-up of the interpreter passes through here, so imports wait until they are wanted.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False  # type checkers take it for true; importing `typing` for it would cost every start-up
if TYPE_CHECKING:
    from pathlib import Path

SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_declared: list[object] = []  # keeps the torch.library objects, and with them the declarations, alive


def declare_missing_operators(package_folder: Path) -> bool:
    """Declare torchvision's two operators if its compiled library cannot be loaded.

    Args:
        package_folder: pathlib.Path, where torchvision's `__init__.py` lies.

    Returns:
        True if schemas had to be declared.
    """
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return False
    for library in (*package_folder.glob("_C*.so"), *package_folder.glob("_C*.pyd")):
        try:
            torch.ops.load_library(library)
            return False
        except OSError:
            continue  # built for another PyTorch: its CUDA libraries or symbols are not here
    namespace = torch.library.Library("torchvision", "FRAGMENT")
    for schema in SCHEMAS:
        namespace.define(schema)
    _declared.append(namespace)
    return True


COMPILER = "torch._dynamo.utils"


class NotYet(type(sys)):  # type: ignore[misc]
    """The compiler's module, until someone wants more of it than its name."""

    def __getattr__(self, name: str) -> object:
        """Step aside; torchvision's function loads the compiler when it is called, any other name at once."""
        if name.startswith("__"):
            raise AttributeError(name)
        from importlib import import_module

        sys.modules.pop(COMPILER, None)
        if name == "is_compile_supported":
            return lambda device_type: import_module(COMPILER).is_compile_supported(device_type)
        return getattr(import_module(COMPILER), name)


class CureFinder:
    """Import hook: runs the cure at the moment torchvision is first imported, then steps aside."""

    @staticmethod
    def find_spec(fullname: str, path: object = None, target: object = None) -> None:
        """Prepare what `torchvision` needs before it loads; never finds a module itself."""
        if fullname == "torchvision.ops.roi_align" and "torch._dynamo" not in sys.modules:
            sys.modules.setdefault(COMPILER, NotYet(COMPILER))
        if fullname == "torchvision":
            import importlib.machinery
            from pathlib import Path

            spec = importlib.machinery.PathFinder.find_spec(fullname)
            if spec is not None and spec.submodule_search_locations:
                declare_missing_operators(Path(spec.submodule_search_locations[0]))


def install_hook() -> None:
    """Put the import hook in front, once per process."""
    if not any(getattr(finder, "__name__", "") == CureFinder.__name__ for finder in sys.meta_path):
        sys.meta_path.insert(0, CureFinder)


def install_into_environment(folder: str | Path | None = None) -> None:
    """Copy this file into the environment's site-packages and have every start-up install the hook.

    Args:
        folder: the environment's site-packages; default: the running interpreter's.
    """
    import shutil
    import sysconfig
    from pathlib import Path

    site_packages = Path(folder or sysconfig.get_paths()["purelib"])
    shutil.copyfile(__file__, site_packages / "torchvision_cure.py")
    start_up_line = "import torchvision_cure; torchvision_cure.install_hook()\n"
    (site_packages / "torchvision_cure.pth").write_text(start_up_line)


if __name__ == "__main__":
    install_into_environment()
