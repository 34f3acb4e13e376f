"""report/answers.md, read: its cover, its figures in their order, its questions; and what it still lacks.

A heading "#" begins a page. A heading "##" is a question: the quotation below it is the question's text, and what
follows, up to the next heading, the answer.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from course.collect.outline import Finding
from course.writeup.pandoc import nodes, parse, plain, words
from image_utils.errors import InputError

WORDS = 350  # an answer's limit where its heading names none
LIMIT = re.compile(r"\(at most (\d+) words\)")
COVER = {  # what the cover asks for, and what to write there
    "name": "your name",
    "student number": "your student number",
    "collaborators": "the names of those you worked with, or: none",
    "signature": "your name again; it signs the honour code",
}
# What the report shows, by the script that writes it; a figure of yours that is not here may be shown besides.
FIGURES = {
    "saliency_map.py": ("visualization/saliency_map.png", "visualization/saliency_captum.png"),
    "gradcam.py": (
        "visualization/guided_backprop.png",
        "visualization/gradcam.png",
        "visualization/guided_gradcam.png",
        "visualization/guided_backprop_captum.png",
        "visualization/guided_gradcam_captum.png",
        "visualization/layer_gradcam_captum.png",
        "visualization/layer_conductance_captum.png",
        "visualization/layer_activation_captum.png",
        "visualization/overview.png",
    ),
    "fooling_image.py": ("visualization/fooling_image.png",),
    "class_visualization.py": (
        "visualization/class_visualization/366_gorilla_course.png",
        *(f"visualization/class_visualization_iter_{step}.png" for step in (1, 25, 50, 75, 100)),
    ),
    "style_transfer.py": tuple(
        f"styles_images/{name}{ending}.png"
        for name in ("composition_vii_tubingen", "scream_tubingen", "starry_tubingen")
        for ending in ("_before", "")
    ),
}
SCRIPT_OF = {figure: script for script, figures in FIGURES.items() for figure in figures}


@dataclass(frozen=True)
class Question:
    """One question with its answer.

    Attributes:
        title: its heading.
        limit: how many words the heading allows; None if it says nothing.
        answer: list of Pandoc's blocks.
    """

    title: str
    limit: int | None
    answer: list

    def finding(self, file, limit):
        """Return what is wrong with the answer, or None; `limit` holds where the heading names none."""
        limit = self.limit or limit
        count = words(self.answer)
        written = count or any(node["t"] in ("Math", "CodeBlock", "Image") for node in nodes(self.answer))
        if not written:
            return Finding(file, 0, f"'{self.title}' has no answer; write it below the question")
        if count > limit:
            return Finding(file, 0, f"the answer to '{self.title}' has {count} words; shorten it to {limit}")
        return None


@dataclass(frozen=True)
class Report:
    """The student's report.

    Attributes:
        file: its path in the project.
        folder: where its pictures are looked for.
        root: folder of the project.
        document: the whole of it, Pandoc's dict.
        cover: dict from what the cover asks for to what was written, "" if nothing.
        questions: list of Questions.
        figures: paths of its pictures in the project, in order.
    """

    file: str
    folder: Path
    root: Path
    document: dict
    cover: dict
    questions: list
    figures: list

    def is_there(self, figure):
        """Say whether a picture of the project can be shown."""
        return (self.root / figure).is_file()

    def findings(self, limit=WORDS):
        """List what is missing: Findings, each with what to do.

        Args:
            limit: words an answer may have where its heading names no limit.
        """
        found = [
            Finding(self.file, 0, f"'{key}' is empty at the top; write {COVER[key]}")
            for key in COVER
            if not self.cover[key]
        ]
        for figure in self.figures:
            if not self.is_there(figure):
                found.append(Finding(figure, 0, f"is missing; {_remedy(figure)}"))
        for figure in SCRIPT_OF:
            if figure not in self.figures:
                message = f"no longer shows {figure}; put its line ![...](../{figure}) back"
                found.append(Finding(self.file, 0, message))
        found += [question.finding(self.file, limit) for question in self.questions]
        return [finding for finding in found if finding is not None]


def _remedy(figure):
    if figure in SCRIPT_OF:
        return f"python {SCRIPT_OF[figure]} writes it"
    return "put it there, or take its line out of the report"


def read_report(path, root):
    """Read a report.

    Args:
        path: report/answers.md.
        root: folder of the project.

    Returns:
        Report.

    Raises:
        InputError: no such file, it is not Markdown, or a picture lies outside the project.
    """
    path, root = Path(path).resolve(), Path(root).resolve()
    file = path.relative_to(root).as_posix()
    try:
        document = parse(path.read_text(encoding="utf-8"), file)
    except FileNotFoundError:
        raise InputError(f"'{file}' is missing; take it from the handout again") from None
    except UnicodeDecodeError:
        raise InputError(f"'{file}' is not UTF-8 text; save it as UTF-8") from None
    cover = {key: _cover_line(value) for key, value in document["meta"].items()}
    images = [node["c"][2] for node in nodes(document["blocks"]) if node["t"] == "Image"]
    figures = [_in_project(target[0], path.parent, root, file) for target in images]
    for target, figure in zip(images, figures, strict=True):
        target[0] = figure  # from here on relative to the project
    return Report(
        file, path.parent, root, document, dict.fromkeys(COVER, "") | cover, _questions(document), figures
    )


def _cover_line(value):
    return ", ".join(map(plain, value["c"])) if value["t"] == "MetaList" else plain(value)


def _questions(document):
    questions, answer = [], None
    for block in document["blocks"]:
        if block["t"] == "Header":
            answer = [] if block["c"][0] == 2 else None
            if answer is not None:
                title = plain(block["c"][2])
                limit = LIMIT.search(title)
                questions.append(Question(LIMIT.sub("", title).strip(), int(limit[1]) if limit else None, answer))
        elif answer is not None and not (block["t"] == "BlockQuote" and not answer):
            answer.append(block)
    return questions


def _in_project(target, folder, root, file):
    path = (folder / target).resolve()
    if "://" in target or root not in path.parents:
        raise InputError(
            f"'{file}' shows the picture '{target}', which is not a file in the project; copy it there"
        )
    return path.relative_to(root).as_posix()
