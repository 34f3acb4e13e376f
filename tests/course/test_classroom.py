"""A class at once: interrupted and gone on with, its table, the platforms' lists, a page for each student."""

import base64
import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from course.autograder.__main__ import main
from course.autograder.judging import Check, Verdict
from course.autograder.results import Results, record
from course.autograder.unpack import read_submission
from course.classroom.feedback import save_page
from course.classroom.marks import mark_class, read_roster, submissions, summary, write_table
from course.handout import ROOT
from image_utils.errors import InputError

PARTS = ("content",)
LOSS = "style_modules/content_loss.py"
BODY = "return content_weight * {}(content_current - content_original).square().sum(){}"
FORMULA = re.compile(r"return content_weight \* .*")
CLASS = {  # name of the zip to what its loss returns
    "a_right": BODY.format("", ""),
    "b_slow": "import time; time.sleep(1); " + BODY.format("", ""),
    "c_half": BODY.format("", " / 2"),
    "e_half_too": BODY.format("0.5 * ", ""),
    "f_seven": BODY.format("7 * ", ""),
    "g_two": BODY.format("2 * ", ""),
}


@pytest.fixture
def handed_in(solution, tmp_path):
    """A folder of zips, one of them broken, and something that is not a submission."""
    folder, files = tmp_path / "class", read_submission(solution)[0]
    folder.mkdir()
    for name, line in CLASS.items():
        text, count = FORMULA.subn(line, files[LOSS].decode())
        assert count == 1
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            for file, data in (files | {LOSS: text.encode()}).items():
                archive.writestr(file, data)
    (folder / "d_broken.zip").write_bytes(b"PK no zip")
    (folder / "notes.txt").write_text("")
    return folder


def test_a_class_is_marked_interrupted_and_gone_on_with(handed_in, tmp_path, monkeypatch, capfd):
    table, records = tmp_path / "marks.csv", tmp_path / "marks"
    asked = ["grade", str(handed_in), "--csv", str(table), "--parts", *PARTS, "--processes", "1"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "course.autograder", *asked]
    running = subprocess.Popen(command, cwd=ROOT, start_new_session=True, **pipes)
    while running.poll() is None and not (records / "a_right.json").exists():
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGINT)  # Ctrl-C reaches all processes of a terminal
    _, said = running.communicate()
    assert running.returncode == 130 and "the same command goes on" in said, said
    before = {path.name: path.stat().st_mtime_ns for path in records.glob("*.json")}
    assert "a_right.json" in before and "g_two.json" not in before and not table.exists()
    monkeypatch.setattr("signal.signal", lambda *_: None)  # Ctrl-C stays pytest's
    main(asked)
    shown = capfd.readouterr().out
    assert {path.name: path.stat().st_mtime_ns for path in records.glob("*.json")}.items() >= before.items()
    with table.open(encoding="utf-8-sig", newline="") as stream:
        rows = {row["Student"]: row for row in csv.DictReader(stream)}
    points = {name: float(row["Assignment 3"]) for name, row in rows.items()}
    assert points == {"a_right": 10, "b_slow": 10, "d_broken": 0} | dict.fromkeys(
        ("c_half", "e_half_too", "f_seven", "g_two"), 0
    )
    assert "not a readable zip" in rows["d_broken"]["Note"] and rows["a_right"]["content"] == "10.0"
    assert "7 submissions, 1 of them unreadable" in shown
    assert re.search(r"Content loss +10 +3\.33 +2 +4", shown), shown
    assert "       2  Content loss: value: a factor 1/2 too many" in shown, shown
    assert "       2  Content loss: value: the value is some times the right one" in shown, shown
    assert {path.stem for path in records.glob("*.html")} == {path.stem for path in handed_in.glob("*.zip")}


def results_of(*verdicts):
    """A record with checks of 4 points each."""
    checks = [Check(f"p{i}", f"Check {i}", 4, None) for i in range(len(verdicts))]
    results = Results(checks)
    for check, verdict in zip(checks, verdicts, strict=True):
        results.put(verdict, check)
    return results


RECORDS = {
    "lovelaceada_12_345_hand_in": results_of(Verdict(1), Verdict(0.5)).as_dict(),
    "gh77": results_of(Verdict(0), Verdict(1)).as_dict(),
    "nobody": record("=cmd: the zip\nis broken"),
}


def table_of(tmp_path, roster):
    path = tmp_path / "roster.csv"
    path.write_text(roster, encoding="utf-8-sig")
    write_table(tmp_path / "marks.csv", RECORDS, ("p0", "p1"), *read_roster(path))
    with (tmp_path / "marks.csv").open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.DictReader(stream))


def test_canvas_gets_its_own_columns_and_its_assignment_back(tmp_path):
    rows = table_of(
        tmp_path,
        "Student,ID,SIS User ID,SIS Login ID,Section,Assignment 3 (8123)\n"
        "    Points Possible,,,,,8\n"
        '"Lovelace, Ada",12,9001,ada1,A,\n"Hopper, Grace",77,9002,gh77,B,\n"Noether, Emmy",78,9003,en1,B,\n',
    )
    head = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Assignment 3 (8123)"]
    assert list(rows[0])[:6] == head
    assert [row["Assignment 3 (8123)"] for row in rows] == ["8", "6.0", "4", "", "0"]
    assert rows[1]["ID"] == "12" and rows[1]["p1"] == "2.0" and rows[3]["Student"] == "Noether, Emmy"


def test_gradescopes_roster_finds_its_students_too(tmp_path):
    rows = table_of(
        tmp_path,
        "First Name,Last Name,SID,Email\nAda,Lovelace,345,ada@example.org\nGrace,Hopper,9002,gh77@example.org\n",
    )
    assert [(row["SID"], row["Assignment 3"]) for row in rows] == [("345", "6.0"), ("9002", "4"), ("", "0")]


def test_a_spreadsheet_runs_nothing_that_a_student_wrote(tmp_path):
    rows = table_of(tmp_path, "Student\n")
    assert rows[-1]["Note"] == "'=cmd: the zip is broken"


def test_without_a_roster_the_files_are_the_students(tmp_path):
    write_table(tmp_path / "marks.csv", RECORDS, ("p0", "p1"))
    lines = (tmp_path / "marks.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "Student,Assignment 3,p0,p1,File,Note" and lines[2] == "gh77,4,0,4,gh77,"


def test_the_class_in_numbers():
    records = {"a": results_of(Verdict(0, "off (step 3)"), Verdict(1)).as_dict()}
    records |= {
        "b": results_of(Verdict(0.5, "off (step 9)"), Verdict(0, "x is 0.51 times the right one")).as_dict()
    }
    parts = ("content", "tv")
    for found in records.values():
        for test, part in zip(found["tests"], parts, strict=True):
            test["tags"] = [part]
    lines = summary(records, parts).splitlines()
    assert lines[0] == "2 submissions, 0 of them unreadable"
    assert lines[3].split() == ["Content", "loss", "4", "1.00", "0", "1"]
    assert lines[5].split() == ["Together", "8", "3.00", "0", "0"]
    assert lines[-2:] == ["       2  Check 0: off", "       1  Check 1: x is some times the right one"]


def test_a_page_shows_pictures_and_takes_no_html_from_a_student(tmp_path):
    picture = np.zeros((4, 5))
    picture[1, 2] = np.nan
    results = results_of(Verdict(0, "<script>", {"yours": picture, "right": np.eye(4)}), Verdict(1))
    save_page("a<b", results.as_dict(), results.pictures(), tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert "<script>" not in page and "&lt;script&gt;" in page and "<h1>a&lt;b</h1>" in page
    pictures = [Image.open(io.BytesIO(base64.b64decode(data))) for data in re.findall('base64,([^"]+)', page)]
    assert [p.size for p in pictures] == [(5, 4), (4, 4)] and np.asarray(pictures[1]).max() == 255


def test_what_counts_as_handed_in(tmp_path, skeleton):
    with pytest.raises(InputError, match="holds no submissions"):
        mark_class(tmp_path, tmp_path / "marks.csv", skeleton, parts=PARTS)
    (tmp_path / "b.zip").touch()
    (tmp_path / "a" / "deep").mkdir(parents=True)
    (tmp_path / "a" / "deep" / "x.py").touch()
    (tmp_path / "empty").mkdir()
    assert [path.name for path in submissions(tmp_path)] == ["a", "b.zip"]
    with pytest.raises(InputError, match="cannot be read"):
        mark_class(tmp_path, tmp_path / "marks.csv", skeleton, parts=PARTS, roster=tmp_path / "nowhere.csv")


def test_what_is_known_is_not_marked_again(tmp_path, skeleton, monkeypatch):
    """Without a worker: a record of the same file stands, one of another file does not."""
    from course.classroom import marks

    (tmp_path / "class").mkdir()
    for name in "ab":
        (tmp_path / "class" / f"{name}.zip").write_text(name)
    asked = []

    def mark_all(waiting, *args):
        asked.append([path.stem for path, _ in waiting])
        for path, digest in waiting:
            found = results_of(Verdict(1)).as_dict() | {"digest": digest}
            (tmp_path / "marks" / f"{path.stem}.json").write_text(json.dumps(found))
        return {path.stem: found for path, _ in waiting}

    (tmp_path / "marks").mkdir()
    monkeypatch.setattr(marks, "_mark_all", mark_all)
    for change in (None, "b.zip", None):
        if change:
            (tmp_path / "class" / change).write_text("anew")
        mark_class(tmp_path / "class", tmp_path / "marks.csv", skeleton, parts=("content",), seed=1)
    shutil.rmtree(tmp_path / "marks")
    assert asked == [["a", "b"], ["b"]]
