"""Marking from the command line.

python -m course.autograder grade SUBMISSION.zip             mark a submission here, and print a table
python -m course.autograder grade FOLDER --csv marks.csv     mark every zip in a folder, several at once
python -m course.autograder build autograder.zip             make what Gradescope asks for
"""

import argparse
import sys
import tempfile
from pathlib import Path

from command_line import run
from course.autograder.build import build, make_skeleton
from course.autograder.grade import choose_parts, grade
from course.autograder.sandbox import Sandbox
from image_utils.errors import InputError


def main(arguments=None):
    """Parse the arguments and do what is asked."""
    parser = argparse.ArgumentParser(
        prog="python -m course.autograder",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="grade | build")
    at_home = commands.add_parser("grade", help="mark a submission here, or a class")
    at_home.add_argument("submission", type=Path, metavar="SUBMISSION", help="a zip, or a folder such as .")
    at_home.add_argument("--csv", type=Path, metavar="FILE", help="mark a class: its points as a table")
    at_home.add_argument(
        "--roster", type=Path, metavar="FILE", help="Canvas's or Gradescope's list, for the table"
    )
    at_home.add_argument("--processes", type=int, metavar="N", help="submissions at once (default: one a core)")
    at_home.add_argument("--results", type=Path, metavar="FILE", help="write results.json here too")
    at_home.add_argument("--seed", type=int, metavar="N", help="draw the inputs again that a run with N drew")
    builder = commands.add_parser("build", help="make a Gradescope autograder")
    builder.add_argument("out", type=Path, metavar="OUT.zip")
    for command in (at_home, builder):
        parts = "style-transfer (default), all, or names of parts"
        command.add_argument("--parts", nargs="+", default=["style-transfer"], metavar="PART", help=parts)
    args = parser.parse_args(arguments)
    args.parts = choose_parts(args.parts)
    if args.command == "build":
        build(args.out, args.parts)
    else:
        if args.seed is not None and args.seed < 0:
            raise InputError(f"--seed must be 0 or more, not {args.seed}")
        if args.csv:
            sys.stdout.write(_mark_class(args))
            return
        with tempfile.TemporaryDirectory() as folder, Sandbox() as sandbox:
            skeleton = make_skeleton(Path(folder) / "skeleton")
            results = grade(
                args.submission, sandbox, skeleton, parts=args.parts, path=args.results, seed=args.seed
            )
            sys.stdout.write(results.table())
            sys.stderr.write(f"submissions run confined: {sandbox.description}\n")


def _mark_class(args):
    from course.classroom.marks import mark_class

    if not args.submission.is_dir():
        raise InputError(f"--csv marks a folder of submissions; '{args.submission}' is not a folder")
    options = {"seed": args.seed, "processes": args.processes, "roster": args.roster}
    return mark_class(args.submission, args.csv, parts=args.parts, **options)


if __name__ == "__main__":
    run(main)
