"""Right solutions in unusual forms, written against the course's skeleton: none may lose a point.

The plain base lies in skeleton_base/ and in tests/skeleton_scripts/; each solution exchanges some lines of it.
"""

from dataclasses import dataclass
from pathlib import Path

BASE = Path(__file__).parents[1] / "skeleton_base"
SCRIPTS = Path(__file__).parents[2] / "skeleton_scripts"
CONTENT, STYLE, TV = (f"style_modules/{name}_loss.py" for name in ("content", "style", "tv"))
SALIENCY, CAM, FOOLING, CLASSVIS = (
    f"visualizers/{name}.py" for name in ("saliency_map", "gradcam", "fooling_image", "class_visualization")
)
UTILS, CAM_SCRIPT, SALIENCY_SCRIPT = "style_utils.py", "gradcam.py", "saliency_map.py"


@dataclass(frozen=True)
class Unusual:
    """A right solution: its name, the parts it is about, a file of the base and what stands there for what."""

    name: str
    parts: tuple
    file: str
    changes: tuple

    def text(self):
        """The changed file."""
        text = base()[self.file]
        for old, new in self.changes:
            assert text.count(old) == 1, (self.name, old)
            text = text.replace(old, new)
        return text


def base():
    """The plain solution: dict from a file's path to its text."""
    files = {path.relative_to(BASE).as_posix(): path for path in BASE.rglob("*.py") if path.name != "__init__.py"}
    files |= {path.name: path for path in SCRIPTS.glob("*.py") if path.name != "__init__.py"}
    return {name: path.read_text() for name, path in files.items()}


def unusual(name, parts, file, *changes):
    return Unusual(name, tuple(parts.split()), file, changes)


def whole(name, part, file, old, new):
    """One change, given as it would stand in the function: lines of the base, lines in their place."""
    return unusual(name, part, file, (old, new))
