"""results.json in the form that Gradescope publishes, rewritten whole after every check; a table for people."""

import textwrap
import time

from course.autograder.judging import wrong
from image_utils.writing import save_json

MAX_OUTPUT = 8000  # characters of one text
NOT_REACHED = "not marked: the marking ended before this check"


class Results:
    """What a submission has earned so far.

    Every check stands in the file from the start, with no points, so a file cut short by a crash is complete and
    keeps what was earned.

    Attributes:
        verdicts: Check to Verdict.
        path: where results.json goes; None for nowhere.
        note: a text for the whole submission.
    """

    def __init__(self, checks, path=None):
        self.verdicts = dict.fromkeys(checks, wrong(NOT_REACHED))
        self.path, self.note, self.started = path, "", time.monotonic()
        self.write()

    def put(self, verdict, *checks):
        """Record a Verdict for some checks and rewrite the file."""
        self.verdicts |= dict.fromkeys(checks, verdict)
        self.write()

    def say(self, note):
        """Add a sentence for the whole submission and rewrite the file."""
        self.note = f"{self.note}\n{note}".strip()
        self.write()

    def passed(self, name):
        """Say whether a check, by its name, gave all its points; true of one that was not made."""
        return all(verdict.share >= 1 for check, verdict in self.verdicts.items() if check.name == name)

    def score(self, part=None):
        """Add up the points, of one part or of all."""
        return round(sum(test["score"] for test in self.as_dict()["tests"] if part in (None, *test["tags"])), 2)

    def maximum(self, part=None):
        """Add up the points that can be earned."""
        return sum(check.points for check in self.verdicts if part in (None, check.part))

    def pictures(self):
        """Return dict from the name of each check with pictures to these."""
        return {check.name: verdict.pictures for check, verdict in self.verdicts.items() if verdict.pictures}

    def as_dict(self):
        """Return the record that is written."""
        tests = [
            {
                "number": str(number),
                "name": check.name,
                "score": round(check.points * min(max(verdict.share, 0.0), 1.0), 2),
                "max_score": check.points,
                "status": "passed" if verdict.share >= 1 else "failed",
                "output": clean(verdict.message),
                "visibility": "visible",
                "tags": [check.part],
            }
            for number, (check, verdict) in enumerate(self.verdicts.items(), 1)
        ]
        return record(self.note, tests, round(time.monotonic() - self.started, 2))

    def write(self):
        """Write results.json; the old file stays until the new one is whole."""
        if self.path is not None:
            save_json(self.as_dict(), self.path)

    def table(self):
        """Return the results as text, one line a check, the reasons below the failed ones."""
        found = self.as_dict()
        width, lines = max(len(check.name) for check in self.verdicts), []
        for test in found["tests"]:
            lines.append(f"{test['name']:{width}}  {test['score']:5.4g} / {test['max_score']:g}")
            lines += textwrap.wrap(test["output"], 100, initial_indent="    ", subsequent_indent="    ")
        lines.append(f"{'Points':{width}}  {found['score']:5.4g} / {self.maximum():g}")
        return "\n".join([*lines, *([""] if self.note else []), *found["output"].splitlines()]) + "\n"


def clean(text):
    """Keep what can be shown safely: printable characters and line breaks, up to a length."""
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return text if len(text) <= MAX_OUTPUT else text[:MAX_OUTPUT] + " [cut off]"


def record(note, tests=(), seconds=0.0):
    """Return a results.json; without more than a note that of a submission that was not marked at all."""
    score = round(sum(test["score"] for test in tests), 2)
    places = (("Points", score, "desc"), ("Seconds", seconds, "asc")) if tests else ()
    return {
        "score": score,
        "execution_time": seconds,
        "output": clean(note),
        "output_format": "text",
        "test_output_format": "text",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": list(tests),
        "leaderboard": [{"name": name, "value": value, "order": order} for name, value, order in places],
    }
