"""Marking one submission: put it together, run the tasks, judge the answers, write the results."""

import functools
import hashlib
import json
import secrets
import shutil
import time
from dataclasses import replace

import numpy as np

from course.autograder import losses, update
from course.autograder.judging import wrong
from course.autograder.results import Results
from course.autograder.sandbox import remove
from course.autograder.unpack import read_submission, write_files
from course.collect.loops import find_loops
from course.parts import EVERY, STYLE_TRANSFER
from image_utils.errors import InputError

TOTAL_SECONDS = 480  # for one submission; Gradescope gives up after 10 minutes and throws away what was earned


@functools.cache
def all_tasks(parts):
    """List the tasks that have checks of the chosen parts, each with only these checks."""
    tasks = [*losses.tasks(), update.task()]
    if set(parts) - set(STYLE_TRANSFER):
        from course.autograder import techniques  # needs PyTorch in this process, which style transfer does not

        tasks += techniques.tasks()
    chosen = (replace(task, checks=tuple(c for c in task.checks if c.part in parts)) for task in tasks)
    return [task for task in chosen if task.checks]


def choose_parts(names):
    """Turn what a person asks for into names of parts: "style-transfer", "all", or names.

    Raises:
        InputError: no such part.
    """
    groups = {"style-transfer": STYLE_TRANSFER, "all": EVERY}
    chosen = {part for name in names for part in groups.get(name, (name,))}
    if unknown := chosen - set(EVERY):
        known = ", ".join((*groups, *EVERY))
        raise InputError(f"there is no part '{min(unknown)}'; choose from {known}")
    return tuple(name for name in EVERY if name in chosen)


def grade(submission, sandbox, skeleton, *, parts=STYLE_TRANSFER, path=None, seed=None, total=TOTAL_SECONDS):
    """Mark a submission.

    Args:
        submission: zip or folder.
        sandbox: `sandbox.Sandbox`.
        skeleton: folder of the handout; its files stand in for what is not handed in.
        parts: names of the parts to mark.
        path: where to write results.json, or None.
        seed: integer for inputs that can be drawn again; None draws them from the operating system.
        total: seconds for all of it; tasks for which none are left are not run.

    Returns:
        Results.

    Raises:
        InputError: the submission cannot be read.
    """
    (files, ignored), tasks = read_submission(submission), all_tasks(tuple(parts))
    results = Results([check for task in tasks for check in task.checks], path)
    if ignored:
        results.say(f"Not looked at: {', '.join(ignored[:10])}{' ...' if len(ignored) > 10 else ''}")
    code = sandbox.new_folder()
    try:
        shutil.copytree(skeleton, code, dirs_exist_ok=True)
        write_files(files, code)
        for place in (code, *code.rglob("*")):
            place.chmod(0o755 if place.is_dir() else 0o644)  # for the user that submissions run as
        seed, until = secrets.randbits(64) if seed is None else seed, time.monotonic() + total
        for task in tasks:
            left, missing = until - time.monotonic(), [c.needs for c in task.checks if not results.passed(c.needs)]
            if left <= 0:
                why = f"not marked: what came before took the {total:.0f} s there are for all"
                results.put(wrong(why), *task.checks)
            elif len(missing) == len(task.checks):
                results.put(wrong(f"counts once '{missing[0]}' is right, too"), *task.checks)
            else:
                mark(task, sandbox, code, results, seed=seed, left=left)
    finally:
        remove(code)
    return results


def draw(task, seed):
    """Draw a task's inputs, from a generator of its own: they do not depend on which other tasks there are."""
    name = json.dumps([seed, task.call, task.label])
    return task.make(np.random.default_rng(list(hashlib.sha256(name.encode()).digest())))


def mark(task, sandbox, code, results, *, seed, left=TOTAL_SECONDS):
    """Run one task, in `left` seconds at most, and judge its checks."""
    inputs = draw(task, seed)
    outcome = sandbox.run(task.call, inputs, code, left)
    answers = outcome.answers
    if "no_loops" in inputs:
        answers = answers | {"loops": _loops(code, *inputs["no_loops"])}
    for check in task.checks:
        try:
            with np.errstate(all="ignore"):
                verdict = wrong(outcome.problem) if outcome.problem else check.judge(inputs, answers)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError):
            # The answers are the submission's; what does not have the agreed form is wrong.
            verdict = wrong("the answer does not have the agreed form")
        if verdict.share and not results.passed(check.needs):
            verdict = wrong(f"this is right, and counts once '{check.needs}' is right, too")
        if verdict.share < 1 and outcome.log.strip():
            verdict = replace(verdict, message=f"{verdict.message}\nIt printed:\n{outcome.log[:1000]}")
        results.put(verdict, check)


def _loops(code, file, function):
    """List what repeats in a function of a file, by its text: [line, what]."""
    try:
        return [[loop.line, loop.what] for loop in find_loops((code / file).read_bytes(), function)]
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as problem:
        return [[0, f"the file cannot be read ({type(problem).__name__})"]]
