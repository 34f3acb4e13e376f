"""From the report and the notebook to a PDF: Pandoc translates them to Typst, Typst makes the pages."""

import copy
import json
import tempfile
from pathlib import Path

import nbformat
import typst

from course.writeup.notebook import CHECKS, errors_printed
from course.writeup.pandoc import convert, nodes
from image_utils.errors import InputError
from image_utils.writing import whole_file

PAGES = Path(__file__).with_name("pages.typ")
RULE = "#let horizontalrule = line(length: 100%)\n"  # Pandoc's name for a line across the page


def typeset(report, notebook, out):
    """Write the PDF.

    Args:
        report: a Report.
        notebook: the executed notebook.
        out: the PDF's path.

    Raises:
        InputError: Typst cannot make the pages, for example of a damaged picture, or the file cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "pages.typ").write_text(PAGES.read_text(encoding="utf-8"), encoding="utf-8")
        cover = report.cover | {"checks": errors_printed(notebook), "check names": CHECKS}
        (folder / "cover.json").write_text(json.dumps(cover), encoding="utf-8")
        parts = {"report.typ": _report(report, folder), "notebook.typ": _notebook(notebook, folder)}
        for name, text in parts.items():
            (folder / name).write_text(RULE + text, encoding="utf-8")
        try:
            pdf = typst.compile(folder / "pages.typ", root=folder)
        except typst.TypstError as problem:
            raise InputError(f"'{report.file}' cannot be typeset: {str(problem).splitlines()[0]}") from None
        with whole_file(out) as temporary:
            temporary.write_bytes(pdf)


def _report(report, folder):
    document = copy.deepcopy(report.document)
    document["meta"] = {}
    for node in nodes(document["blocks"]):
        if node["t"] == "Image" and not report.is_there(node["c"][2][0]):
            node.update(t="Strong", c=[{"t": "Str", "c": f"{node['c'][2][0]} is missing."}])
    return _to_typst(json.dumps(document), "json", report.file, folder, resources=report.root)


def _notebook(notebook, folder):
    return _to_typst(nbformat.writes(notebook), "ipynb", "the notebook", folder, "--shift-heading-level-by=1")


def _to_typst(text, source, name, folder, *options, resources="."):
    media = [f"--extract-media=media-{source}", f"--resource-path={resources}"]
    return convert(text, source, "typst", name, extra_args=[*media, *options], cworkdir=str(folder))
