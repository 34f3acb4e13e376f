"""Write docs/broken.md and its pictures from tests/mutants, some minutes: python -m docs.make_broken.

Each test that the page names is run against the mistake that it should expose; one that passes stops the script.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from course import broken
from course.breaks import BREAKS
from docs.make_gallery import drawn
from image_utils.writing import whole_file

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
IGNORED = shutil.ignore_patterns(".*", "__pycache__", "visualization", "docs", "benchmarks", "*.pdf")
WIDTH = 640  # of a picture, pixels
INTRODUCTION = """# Broken on purpose

Classic mistakes in the assignment, collected from what is really handed in: the wrong line, what it gives (right)
beside what it should give (left), and the test that exposes it. The numbers below the pictures
are the right one and the wrong one; the four errors are the notebook's.

Make one yourself, in a few seconds:

```
python -m course.break content_detached
```

This page is written by `python -m docs.make_broken` from `tests/mutants`, and each test named here was run against
its mistake.
"""


def main():
    """Draw each mistake, check its test, write the page."""
    right, page = {}, [INTRODUCTION]
    for number, mistake in enumerate(BREAKS, 1):
        wrong = broken.mutant(mistake.name)
        check_exposed(wrong, mistake.test)
        if mistake.shows not in right:
            right[mistake.shows] = mistake.shows(broken.solution())
        figure = broken.compare(right[mistake.shows], mistake.shows(broken.solution(wrong)))
        save(figure, HERE / "broken" / f"{mistake.name}.jpg")
        page.append(section(number, mistake))
        sys.stderr.write(f"{mistake.name}\n")
    with whole_file(HERE / "broken.md") as temporary:
        temporary.write_text("\n".join(page), encoding="utf-8")


def section(number, mistake):
    """Return the page's text about one mistake."""
    return f"""## {number}. {mistake.title}

```python
{mistake.wrong_line()}
```

![right and wrong](broken/{mistake.name}.jpg)

{mistake.happens}

Exposed by `{mistake.test}`; see it: `python -m course.break {mistake.name}`.
"""


def check_exposed(wrong, test):
    """Run a test on a copy of the project that has the mistake, and raise RuntimeError if it passes."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder) / "project"
        shutil.copytree(ROOT, project, ignore=IGNORED)
        for file, text in wrong.files().items():
            (project / file).write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
        ended = subprocess.run(command, cwd=project, capture_output=True, text=True)
    if ended.returncode != 1:  # pytest's status for a test that failed
        raise RuntimeError(f"{test} does not expose {wrong.name}:\n{ended.stdout[-2000:]}")


def save(figure, path):
    """Write a matplotlib figure as a small JPEG."""
    img = drawn(figure)
    img = img.resize((WIDTH, round(img.height * WIDTH / img.width)), Image.LANCZOS)
    with whole_file(path) as temporary:
        img.save(temporary, quality=82, optimize=True)


if __name__ == "__main__":
    main()
