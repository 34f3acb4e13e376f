"""The write-up: what is missing is named, and a complete report becomes a PDF with every figure and answer."""

import re
import shutil

import nbformat
import pytest
from PIL import Image
from pypdf import PdfReader

from course.writeup import __main__ as script
from course.writeup.notebook import CHECKS
from course.writeup.report import SCRIPT_OF, read_report
from image_utils.errors import InputError
from tests.conftest import ROOT

COVER = {"name": "Ada L.", "student number": "90210", "collaborators": "Émilie Šimůnková", "signature": "Ada L."}
ANSWER = "The map is $M = \\max_c |w_c|$; `amax` keeps one channel."


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A small project whose report is complete."""
    (tmp_path / "report").mkdir()
    text = (ROOT / "report" / "answers.md").read_text()
    for key, value in COVER.items():
        text = re.sub(rf"^{key}:.*$", f"{key}: {value}", text, count=1, flags=re.MULTILINE)
    write_report(
        tmp_path, re.sub(r"((?:^>.*\n)+)", lambda quoted: f"{quoted[0]}\n{ANSWER}\n", text, flags=re.MULTILINE)
    )
    for number, figure in enumerate(SCRIPT_OF):
        (tmp_path / figure).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (60, 40), (9 * number, 90, 90)).save(tmp_path / figure)
    write_notebook(tmp_path, *(f"print('{check} is 0.000')" for check in CHECKS))
    monkeypatch.setattr(script, "ROOT", tmp_path)
    return tmp_path


def write_report(project, text):
    (project / "report" / "answers.md").write_text(text, encoding="utf-8")


def change_report(project, old, new):
    text = (project / "report" / "answers.md").read_text(encoding="utf-8")
    assert old in text
    write_report(project, text.replace(old, new, 1))


def write_notebook(project, *sources):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), project / script.NOTEBOOK)


def run(monkeypatch, project, *arguments):
    """Run the command; return its exit status and the PDF's path."""
    out = project / "writeup.pdf"
    monkeypatch.setattr("sys.argv", ["writeup", "--out", str(out), *arguments])
    with pytest.raises(SystemExit) as ended:
        script.main()
    return ended.value.code, out


def findings(project):
    return [str(finding) for finding in read_report(project / "report" / "answers.md", project).findings()]


def test_the_template_shows_the_figures_in_order_and_its_questions_are_open():
    report = read_report(ROOT / "report" / "answers.md", ROOT)
    assert report.figures == list(SCRIPT_OF)
    assert len(report.questions) >= 9
    assert all("has no answer" in str(question.finding(report.file, 350)) for question in report.questions)
    assert set(report.cover) >= {*COVER, "title", "honour code"}
    assert not any(report.cover[key] for key in COVER)


def test_a_complete_report_becomes_a_pdf(project, monkeypatch, capsys):
    status, out = run(monkeypatch, project)
    assert status == 0, capsys.readouterr().err
    pdf = PdfReader(out)
    pages = [page.extract_text() for page in pdf.pages]
    whole = "\n".join(pages)
    assert "Ada L." in pages[0] and "Émilie Šimůnková" in pages[0] and "Honour code" in pages[0]
    assert whole.count("keeps one channel") == len(
        read_report(project / "report" / "answers.md", project).questions
    )
    for check in CHECKS:
        assert f"{check} is 0.000" in whole
    assert sum(len(page.images) for page in pdf.pages) == len(SCRIPT_OF)
    for number, text in enumerate(pages, 1):
        assert f"{number} / {len(pages)}" in text
    sections = [entry.title for entry in pdf.outline if not isinstance(entry, list)]
    assert sections[0] == "Saliency maps" and sections[-1].startswith("The notebook")
    starts = [pdf.get_destination_page_number(entry) for entry in pdf.outline if not isinstance(entry, list)]
    assert len(set(starts)) == len(starts)  # a section begins a page


def test_what_is_missing_is_named_with_what_to_do(project, monkeypatch, capsys):
    (project / "visualization" / "overview.png").unlink()
    change_report(project, "signature: Ada L.", "signature:")
    change_report(project, ANSWER, "")
    change_report(project, ANSWER, "word " * 251)  # question 2 allows 250
    change_report(project, "![Grad-CAM](../visualization/gradcam.png)", "")
    status, out = run(monkeypatch, project)
    said = capsys.readouterr().err
    assert status == 1 and not out.exists()
    for words in (
        "visualization/overview.png: is missing; python gradcam.py writes it",
        "'signature' is empty at the top",
        "'Question 1: one number a pixel' has no answer",
        "has 251 words; shorten it to 250",
        "no longer shows visualization/gradcam.png",
        "5 findings",
    ):
        assert words in said


def test_words_of_formulas_and_code_do_not_count(project):
    change_report(
        project, ANSWER, "word " * 200 + "$a + b + c$\n\n```\n" + "code " * 300 + "\n```\n"
    )  # 200 allowed
    assert findings(project) == []
    change_report(project, "word word", "word word word")
    assert len(findings(project)) == 1


def test_force_writes_it_all_the_same(project, monkeypatch, capsys):
    (project / "visualization" / "overview.png").unlink()
    status, out = run(monkeypatch, project, "--force")
    assert status == 1 and "is missing" in capsys.readouterr().err
    assert "visualization/overview.png is missing" in "".join(page.extract_text() for page in PdfReader(out).pages)


def test_a_wrong_check_and_a_notebook_that_stops_are_named(project, monkeypatch, capsys):
    write_notebook(
        project, f"print('{CHECKS[0]} is 0.031')", f"print('{CHECKS[1]} is 0.000')", "1 / 0", "print(3)"
    )
    status, out = run(monkeypatch, project, "--force")
    said = capsys.readouterr().err
    assert f"'{CHECKS[0]}' is 0.031, not 0.000" in said
    assert "stops before its end: ZeroDivisionError" in said
    assert f"does not print '{CHECKS[2]}'" in said and CHECKS[1] not in said
    assert status == 1
    assert "ZeroDivisionError" in "".join(page.extract_text() for page in PdfReader(out).pages)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda project: (project / "report" / "answers.md").unlink(), "answers.md' is missing"),
        (lambda project: (project / "report" / "answers.md").write_bytes(b"\xff\xfe"), "not UTF-8"),
        (lambda project: change_report(project, "name: Ada", "name: a: b: Ada"), "cannot be read"),
        (
            lambda project: change_report(project, "../visualization/gradcam.png", "../../x.png"),
            "not a file in the",
        ),
        (
            lambda project: change_report(project, "../visualization/gradcam.png", "https://a.b/x.png"),
            "not a file in",
        ),
        (lambda project: (project / script.NOTEBOOK).unlink(), "test_style_transfer.ipynb' is missing"),
        (lambda project: (project / script.NOTEBOOK).write_text("{"), "cannot be read as a notebook"),
        (lambda project: (project / "visualization" / "gradcam.png").write_text("no"), "cannot be typeset"),
    ],
)
def test_unusable_input_is_named_in_one_line(project, monkeypatch, damage, says):
    damage(project)
    monkeypatch.setattr("sys.argv", ["writeup", "--out", str(project / "writeup.pdf"), "--force"])
    with pytest.raises(InputError) as problem:
        script.main()
    assert says in str(problem.value) and "\n" not in str(problem.value)
    assert not (project / "writeup.pdf").exists()


def test_the_handout_has_all_it_needs(handout, tmp_path):
    shutil.copytree(handout, tmp_path / "handout")
    report = read_report(tmp_path / "handout" / "report" / "answers.md", tmp_path / "handout")
    assert len(report.findings()) == len(SCRIPT_OF) + len(COVER) + len(report.questions)
    assert {"__main__.py", "pages.typ"} <= {path.name for path in (tmp_path / "handout/course/writeup").iterdir()}
