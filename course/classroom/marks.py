"""Mark every submission of a folder in parallel processes, and go on where an interruption left off.

Each submission that is marked leaves NAME.json and NAME.html in a folder beside the CSV. A second run marks only
what has no such record, or was handed in anew, so an interrupted run is finished by the same command.
"""

import csv
import hashlib
import json
import multiprocessing
import os
import re
import signal
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import util
from pathlib import Path
from statistics import mean

from tqdm import tqdm

from course import parts as course_parts
from course.autograder.grade import grade
from course.autograder.results import record
from course.autograder.sandbox import Sandbox
from course.classroom.feedback import save_page
from image_utils.errors import InputError
from image_utils.writing import save_json, whole_file

SHOWN = 20  # mistakes in the table
ASSIGNMENT = "Assignment 3"


def submissions(folder):
    """List the zips and the folders with code in a folder, sorted: what a class handed in.

    Raises:
        InputError: it is not a folder, or there are none.
    """
    if not Path(folder).is_dir():
        raise InputError(f"--csv marks a folder of submissions; '{folder}' is not a folder")
    paths = sorted(Path(folder).iterdir())
    found = [p for p in paths if p.suffix == ".zip" or (p.is_dir() and any(p.rglob("*.py")))]
    if not found:
        raise InputError(f"'{folder}' holds no submissions: zips, or folders with code")
    return found


def mark_class(folder, table, skeleton, *, parts, seed=None, processes=None, roster=None):
    """Mark a folder of submissions.

    Args:
        folder: holds zips, or folders in which they were unpacked.
        table: path of the CSV; records and pages go into the folder of the same name without ".csv".
        skeleton: folder of the handout; its files stand in for what is not handed in.
        parts: names of the parts to mark.
        seed: integer for the same inputs for all; None draws others for each.
        processes: how many submissions at once; None takes as many as there are cores.
        roster: CSV of the learning platform whose rows and columns come first in the table, or None.

    Returns:
        Text: the class by part, and how many students made which mistake.

    Raises:
        InputError: nothing to mark, an unusable roster, or nowhere to write.
    """
    handed_in = submissions(folder)
    records, out = {}, Path(table).with_suffix("")
    students = read_roster(roster) if roster else ([], [])
    waiting = []
    for path in handed_in:
        digest = _digest(path, parts, seed)
        known = _known(out / f"{path.stem}.json", digest)
        if known is None:
            waiting.append((path, digest))
        else:
            records[path.stem] = known
    if waiting:
        records |= _mark_all(waiting, skeleton, parts, seed, processes or os.cpu_count(), out)
    records = {path.stem: records[path.stem] for path in handed_in if path.stem in records}
    write_table(table, records, parts, *students)
    return summary(records, parts)


def _mark_all(waiting, skeleton, parts, seed, processes, out):
    """Mark what is waiting; what could not be marked is named and left for the next run."""
    context, records = multiprocessing.get_context("spawn"), {}
    pool = ProcessPoolExecutor(min(processes, len(waiting)), context, _open_sandbox)
    jobs = {pool.submit(_mark, path, skeleton, parts, seed, digest, out): path for path, digest in waiting}
    try:
        for job in tqdm(as_completed(jobs), total=len(jobs), unit="submission"):
            try:
                records[jobs[job].stem] = job.result()
            except (InputError, BrokenProcessPool) as problem:
                sys.stderr.write(f"{jobs[job].name} was not marked: {problem}; run the same command again\n")
    finally:
        pool.shutdown(cancel_futures=True)
    return records


def _open_sandbox():
    global SANDBOX
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # after Ctrl-C, what is begun is finished
    SANDBOX = Sandbox()
    util.Finalize(None, SANDBOX.close, exitpriority=10)  # a worker of a pool runs no exit handlers but these


def _mark(path, skeleton, parts, seed, digest, out):
    """In a worker: mark one submission, write its record and its page, return the record."""
    try:
        results = grade(path, SANDBOX, skeleton, parts=parts, seed=seed)
        found, pictures = results.as_dict(), results.pictures()
    except InputError as problem:
        if not SANDBOX.is_alive():
            raise
        found, pictures = record(str(problem)), {}
    save_page(path.stem, found, pictures, out / f"{path.stem}.html")
    save_json(found | {"digest": digest}, out / f"{path.stem}.json")
    return found


def _digest(path, parts, seed):
    """Identify what was handed in and how it is to be marked."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    digest = hashlib.sha256(json.dumps([list(parts), seed]).encode())
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _known(path, digest):
    try:
        known = json.loads(path.read_text())
        return known if known["digest"] == digest else None
    except (OSError, ValueError, KeyError):
        return None


def read_roster(path):
    """Read a platform's list of students.

    Args:
        path: CSV, Canvas's exported grade book or Gradescope's roster.

    Returns:
        (columns, rows): names of the columns; for each student a dict from them to text.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows = [row for row in reader if any((value or "").strip() for key, value in row.items() if key)]
            return list(reader.fieldnames or []), rows
    except (OSError, ValueError, csv.Error) as problem:
        raise InputError(f"the roster '{path}' cannot be read: {problem}") from None


def write_table(path, records, parts, columns=(), students=()):
    """Write the CSV: the roster's columns or the student's name; the points, of all and of each part; the file.

    A student of the roster is whose number, address or name is in the name of the file, as platforms name files.
    Canvas's column of the assignment ("Assignment 3 (1234)") and its row of possible points are filled.
    """
    column = next((name for name in columns if name.startswith(ASSIGNMENT)), ASSIGNMENT)
    head = [*(columns or ["Student"]), *([] if column in columns else [column]), *parts, "File", "Note"]
    possible = max((sum(t["max_score"] for t in found["tests"]) for found in records.values()), default=0)
    left, rows = dict(records), []
    for student in students:
        name = next((name for name in left if _is_of(student, name)), None)
        rows.append(({**student}, name, left.pop(name, None)))
    rows += [({columns[0] if columns else "Student": name}, name, found) for name, found in left.items()]
    with whole_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8-sig") as stream:
        writer = csv.DictWriter(stream, head, extrasaction="ignore")
        writer.writeheader()
        for student, name, found in rows:
            row = {key: _harmless(value) for key, value in student.items() if key}
            if "Points Possible" in map(str.strip, row.values()):
                row[column] = possible
            if found is not None:
                row |= {part: _points(found, part) for part in parts} | {column: found["score"]}
                row |= {"File": _harmless(name), "Note": _harmless(found["output"].replace("\n", " "))}
            writer.writerow(row)


def _is_of(student, name):
    """Say whether a file's name has one of a student's identifiers in it, as a part of its own."""
    words = re.split(r"[_\W]+", name.lower())
    squeezed = re.sub(r"\W", "", name.lower().split("_")[0])
    for key, value in student.items():
        known = (value or "").strip().lower()
        if not key or not known:
            continue
        if re.search(r"\b(id|sid|login|email)\b", key.lower()) and {known, known.split("@")[0]} & {
            *words,
            name.lower(),
        }:
            return True
        turned = "".join(reversed(known.split(" ", 1))) if "," not in known else known
        if re.search(r"\b(student|name)\b", key.lower()) and squeezed == re.sub(r"\W", "", turned):
            return True
    return False


def _harmless(text):
    """Keep a spreadsheet from taking a text for a formula."""
    text = "" if text is None else str(text)
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t") else text


def _points(found, part):
    return round(sum(test["score"] for test in found["tests"] if part in test["tags"]), 2)


def summary(records, parts):
    """Return the class as text: points by part, and how many students made which mistake."""
    titles = {part.name: part.title for part in course_parts.PARTS}
    width = max(len(titles[part]) for part in parts)
    marked = [found for found in records.values() if found["tests"]]
    lines = [f"{len(records)} submissions, {len(records) - len(marked)} of them unreadable", ""]
    lines.append(f"{'':{width}}  points    mean    all  none")
    for part in (*parts, None) if marked else ():
        tests = [[t for t in found["tests"] if part is None or part in t["tags"]] for found in marked]
        most = sum(test["max_score"] for test in tests[0])
        points = [sum(test["score"] for test in one) for one in tests]
        full, none = sum(p == most for p in points), sum(p == 0 for p in points)
        title = titles.get(part, "Together")
        lines.append(f"{title:{width}}  {most:6g}  {mean(points):6.2f}  {full:5d}  {none:4d}")
    mistakes = Counter(mistake for found in marked for mistake in _mistakes(found))
    lines += ["", "Students  Mistake"] if mistakes else []
    lines += [f"{count:8d}  {mistake}" for mistake, count in mistakes.most_common(SHOWN)]
    return "\n".join(lines) + "\n"


def _mistakes(found):
    """Name a student's mistakes, one a part, without what differs from student to student."""
    first = {}
    for test in found["tests"]:
        if test["score"] < test["max_score"]:
            first.setdefault(test["tags"][0], test)
    for test in first.values():
        text = re.sub(r" *[(][^()]*[)]$", "", test["output"].partition("\n")[0])
        yield f"{test['name']}: {re.sub('[0-9.e+-]+ times', 'some times', text)}"
