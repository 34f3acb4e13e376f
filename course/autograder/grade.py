"""Marking one submission: put it together, run the tasks, judge the answers, write the results."""

import hashlib
import json
import secrets
import shutil
import time
from pathlib import Path

import numpy as np

from course import parts as course_parts
from course.autograder import confine, style_tasks, update_task
from course.autograder.results import Results
from course.autograder.sandbox import remove
from course.autograder.tasks import for_the_child
from course.autograder.unpack import read_submission, write_files
from course.collect.checks import NO_LOOPS
from image_utils.errors import InputError


def all_tasks(skeleton, parts):
    """List the tasks that have checks of the chosen parts, each with only these checks."""
    tasks = [*style_tasks.tasks(skeleton), update_task.task()]
    if set(parts) - set(course_parts.STYLE_TRANSFER):
        from course.autograder import (
            technique_tasks,
        )  # needs PyTorch in this process, which style transfer does not

        tasks += technique_tasks.tasks(skeleton)
    return [narrowed for task in tasks if (narrowed := task.only(parts)).checks]


def choose_parts(names):
    """Turn what a person asks for into names of parts: "style-transfer", "all", or names.

    Raises:
        InputError: no such part.
    """
    chosen = []
    for name in names:
        group = {"style-transfer": course_parts.STYLE_TRANSFER, "all": course_parts.EVERY}.get(name, (name,))
        unknown = set(group) - set(course_parts.EVERY)
        if unknown:
            known = ", ".join(("style-transfer", "all", *course_parts.EVERY))
            raise InputError(f"there is no part '{name}'; choose from {known}")
        chosen += group
    return tuple(name for name in course_parts.EVERY if name in chosen)


def grade(
    submission,
    sandbox,
    skeleton,
    *,
    parts=course_parts.STYLE_TRANSFER,
    path=None,
    seed=None,
    wall=None,
    total=float("inf"),
):
    """Mark a submission.

    Args:
        submission: zip or folder.
        sandbox: `sandbox.Sandbox`.
        skeleton: folder of the handout; its files stand in for what is not handed in.
        parts: names of the parts to mark.
        path: where to write results.json, or None.
        seed: integer for inputs that can be drawn again; None draws them from the operating system.
        wall: seconds for each task instead of its own limit.
        total: seconds for all of them; tasks for which none are left are not run.

    Returns:
        Results.

    Raises:
        InputError: the submission cannot be read; results.json says so too.
    """
    tasks = all_tasks(skeleton, parts)
    results = Results([check for task in tasks for check in task.checks], path)
    try:
        files, ignored = read_submission(submission)
    except InputError as problem:
        for check in results.checks:
            results.put(check, 0.0, "not marked: the submission cannot be read")
        results.say(str(problem))
        raise
    if ignored:
        results.say(f"Not looked at: {', '.join(ignored[:10])}{' ...' if len(ignored) > 10 else ''}")
    code = sandbox.new_folder("submission")
    try:
        shutil.copytree(skeleton, code, dirs_exist_ok=True)
        write_files(files, code)
        open_folder(code)
        seed, until = secrets.randbits(64) if seed is None else seed, time.monotonic() + total
        for task in tasks:
            left = until - time.monotonic()
            if left > 0:
                mark(task, sandbox, code, results, seed=seed, wall=min(wall or task.wall, left))
            else:
                for check in task.checks:
                    results.put(
                        check, 0.0, f"not marked: what came before took the {total:.0f} s there are for all"
                    )
    finally:
        remove(code)
    return results


def mark(task, sandbox, code, results, *, seed, wall=None):
    """Run one task and judge its checks.

    Each task draws its inputs from a generator of its own, so they do not depend on which other tasks there are.
    """
    name = json.dumps([seed, task.call, task.label])
    rng = np.random.default_rng(list(hashlib.sha256(name.encode()).digest()))
    inputs = task.make(rng)
    outcome = sandbox.run(task.call, for_the_child(inputs), code, wall=wall or task.wall)
    answers, problem = outcome.answers, outcome.problem
    if task.call == "tv_loss" and not problem:
        static = sandbox.run(
            "find_loops", {"file": NO_LOOPS[0], "function": NO_LOOPS[1]}, code, wall=wall or task.wall
        )
        answers = answers | {
            "loops": static.answers.get("loops", [[0, static.problem or "the file cannot be read"]])
        }
    printed = f"\nIt printed:\n{outcome.log[:1000]}" if outcome.log.strip() else ""
    for check in task.checks:
        if problem:
            results.put(check, 0.0, problem + printed)
            continue
        try:
            verdict = check.judge(inputs, answers)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError):
            # The answers are the submission's; what does not have the agreed form is wrong.
            results.put(check, 0.0, "the answer does not have the agreed form" + printed)
            continue
        results.put(check, verdict.share, verdict.message + (printed if verdict.share < 1 else ""))


def open_folder(folder):
    """Make files readable, and folders passable, for the user that submissions run as."""
    for path in [Path(folder), *Path(folder).rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def check_isolation(sandbox, hidden):
    """Refuse to go on unless submissions are kept from the grader's files.

    A confined process that runs no submission tries to open them.

    Args:
        sandbox: `sandbox.Sandbox`.
        hidden: paths that a submission must not be able to read.

    Raises:
        InputError: one of them could be read, or nothing confines processes here.
    """
    if not confine.is_safe(sandbox.confined):
        raise InputError(
            f"submissions would not be confined here ({sandbox.description}): this needs a kernel with Landlock, "
            "or root and a Python that every user can run"
        )
    empty = sandbox.new_folder("probe")
    outcome = sandbox.run("readable", {"paths": [str(path) for path in hidden]}, empty)
    if outcome.problem or outcome.answers.get("readable") != []:
        seen = outcome.problem or ", ".join(map(str, outcome.answers.get("readable", hidden)))
        raise InputError(f"submissions could read the grader's files ({seen}); make them readable by root only")
