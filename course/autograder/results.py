"""results.json in the form that Gradescope publishes, rewritten whole after every check; a table for people."""

import textwrap
import time
from pathlib import Path

from image_utils.writing import save_json

MAX_OUTPUT = 8000  # characters of one text
NOT_REACHED = "not marked: the marking ended before this check"


class Results:
    """What a submission has earned so far.

    Every check stands in the file from the start, with no points, so a file cut short by a crash is complete and
    keeps what was earned.
    """

    def __init__(self, checks, path=None):
        """Take the list of Checks that will be made, and where results.json goes (None: nowhere)."""
        self.checks, self.path, self.started, self.note = list(checks), path, time.monotonic(), ""
        self.scores, self.messages = [0.0] * len(self.checks), [NOT_REACHED] * len(self.checks)
        self.pictures = {}
        self.write()

    def put_all(self, checks, verdict):
        """Record the same Verdict for some checks and rewrite the file."""
        for check in checks:
            i = self.checks.index(check)
            self.scores[i] = round(check.points * min(max(verdict.share, 0.0), 1.0), 2)
            self.messages[i] = clean(verdict.message)
            if verdict.pictures:
                self.pictures[check.name] = verdict.pictures
        self.write()

    def say(self, note):
        """Add a sentence for the whole submission and rewrite the file."""
        self.note = clean(f"{self.note}\n{note}".strip())
        self.write()

    def passed(self, name):
        """Say whether a check, by its name, gave all its points; true of one that was not made."""
        pairs = zip(self.checks, self.scores, strict=True)
        return all(score == check.points for check, score in pairs if check.name == name)

    def score(self, part=None):
        """Add up the points, of one part or of all."""
        pairs = zip(self.scores, self.checks, strict=True)
        return round(sum(score for score, check in pairs if part in (None, check.part)), 2)

    def maximum(self, part=None):
        """Add up the points that can be earned."""
        return sum(check.points for check in self.checks if part in (None, check.part))

    def as_dict(self):
        """Return the record that is written."""
        seconds = round(time.monotonic() - self.started, 2)
        tests = [
            {
                "number": str(i + 1),
                "name": check.name,
                "score": self.scores[i],
                "max_score": check.points,
                "status": "passed" if self.scores[i] == check.points else "failed",
                "output": self.messages[i],
                "visibility": "visible",
                "tags": [check.part],
            }
            for i, check in enumerate(self.checks)
        ]
        return record(self.note, self.score(), seconds, tests)

    def write(self):
        """Write results.json; the old file stays until the new one is whole."""
        if self.path is not None:
            save_json(self.as_dict(), Path(self.path))

    def table(self):
        """Return the results as text, one line a check, the reasons below the failed ones."""
        width = max(len(check.name) for check in self.checks)
        lines = []
        for check, score, message in zip(self.checks, self.scores, self.messages, strict=True):
            lines.append(f"{check.name:{width}}  {score:5.4g} / {check.points:g}")
            lines += textwrap.wrap(message, 100, initial_indent="    ", subsequent_indent="    ")
        lines.append(f"{'Points':{width}}  {self.score():5.4g} / {self.maximum():g}")
        return "\n".join([*lines, *([""] if self.note else []), *self.note.splitlines()]) + "\n"


def clean(text):
    """Keep what can be shown safely: printable characters and line breaks, up to a length."""
    text = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
    return text if len(text) <= MAX_OUTPUT else text[:MAX_OUTPUT] + " [cut off]"


def record(note, score=0.0, seconds=0.0, tests=()):
    """Return a results.json; without more than a note that of a submission that was not marked at all."""
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
