"""Marking from the command line.

python -m course.autograder grade SUBMISSION.zip             mark a submission here, and print a table
python -m course.autograder grade FOLDER --csv marks.csv     mark every zip in a folder, several at once
python -m course.autograder build autograder.zip             make what Gradescope asks for

`grade` builds the same autograder into a temporary folder and marks there, away from the solution.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from course.autograder.grade import choose_parts, grade
from course.autograder.results import record
from course.autograder.sandbox import Sandbox
from course.autograder.unpack import read_submission
from image_utils.errors import InputError
from image_utils.writing import save_json

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = ROOT / "settings.json"  # a built autograder has one
START = "import sys; sys.path[0] = sys.argv.pop(1); from course.autograder import __main__ as it; it.run(it.main)"


def main(arguments=None):
    """Parse the arguments and do what is asked."""
    parser = argparse.ArgumentParser(
        prog="python -m course.autograder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="grade | build")
    grader = commands.add_parser("grade", help="mark a submission here, or a class")
    grader.add_argument("submission", type=Path, metavar="SUBMISSION", help="a zip, or a folder such as .")
    grader.add_argument("--csv", type=Path, metavar="FILE", help="mark a class: its points as a table")
    grader.add_argument("--roster", type=Path, metavar="FILE", help="Canvas's or Gradescope's list, for the table")
    grader.add_argument("--processes", type=int, metavar="N", help="submissions at once (default: one a core)")
    grader.add_argument("--results", type=Path, metavar="FILE", help="write results.json here too")
    grader.add_argument("--seed", type=int, metavar="N", help="draw the inputs again that a run with N drew")
    builder = commands.add_parser("build", help="make a Gradescope autograder")
    builder.add_argument("out", type=Path, metavar="OUT.zip")
    default = json.loads(SETTINGS.read_text())["parts"] if SETTINGS.exists() else ["style-transfer"]
    for command in (grader, builder):
        parts = "style-transfer (default), all, or names of parts"
        command.add_argument("--parts", nargs="+", default=default, metavar="PART", help=parts)
    args = parser.parse_args(arguments)
    args.parts = choose_parts(args.parts)
    if args.command == "build":
        from course.autograder.build import build

        build(args.out, args.parts)
        return
    if not args.submission.exists():
        raise InputError(f"'{args.submission}' does not exist")
    if args.csv:
        from course.classroom.marks import mark_class, submissions

        submissions(args.submission)  # refuses what is none before anything is built
    if not SETTINGS.exists():
        mark_in_a_built_one(sys.argv[1:] if arguments is None else arguments, args.parts)
    elif args.csv:
        options = {"seed": args.seed, "processes": args.processes, "roster": args.roster}
        sys.stdout.write(mark_class(args.submission, args.csv, ROOT / "skeleton", parts=args.parts, **options))
    else:
        mark_one(args)


def mark_one(args):
    """Mark a submission and print a table; whatever happens, there is a results.json that says so."""
    if args.results:
        save_json(record("The marking did not get as far as the first check."), args.results)
    try:
        read_submission(args.submission)  # before anything is started
        with Sandbox() as sandbox:
            options = {"parts": args.parts, "path": args.results, "seed": args.seed}
            sys.stdout.write(grade(args.submission, sandbox, ROOT / "skeleton", **options).table())
            sys.stderr.write(f"submissions run confined: {sandbox.description}\n")
    except InputError as problem:
        if args.results and not json.loads(args.results.read_text())["tests"]:
            save_json(record(str(problem)), args.results)
        raise


def mark_in_a_built_one(arguments, parts):
    """Build the autograder into a temporary folder, and do there what the arguments say."""
    from course.autograder.build import make_autograder

    with tempfile.TemporaryDirectory() as folder:
        make_autograder(Path(folder), parts)
        signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C reaches the other process, too; it says what to do
        status = subprocess.call([sys.executable, "-c", START, folder, *map(str, arguments)])
    if status:
        sys.exit(status)


def run(main):
    """End the process as `command_line.run` does, without PyTorch, which costs a third of a small container."""
    try:
        main()
    except InputError as problem:
        sys.exit(sys.stderr.write(f"error: {problem}\n") and 2)
    except KeyboardInterrupt:
        sys.exit(sys.stderr.write("interrupted; the same command goes on\n") and 130)


if __name__ == "__main__":
    run(main)
