"""Check what is handed in, then zip it: assignment_3_submission.zip with the root, style and visualizer code."""

import argparse
import sys
from pathlib import Path

from command_line import run
from course.collect.archive import NAME, write_submission
from course.collect.checks import all_findings

EXAMPLES = """
checks, each finding with its file and line:
  the files are there and import in a clean process
  function definitions and imports are as handed out; nothing is printed that is not asked for
  the total-variation loss has no loop
  the public checks (tests/public) pass

exit status: 0 if all is well, 1 if a rule is broken, 2 if something cannot be read or written
"""


def main():
    """Parse the arguments, check, zip."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--force", action="store_true", help="zip it even if a rule is broken")
    parser.add_argument("--out", type=Path, default=Path(NAME), metavar="FILE", help="the zip (%(default)s)")
    args = parser.parse_args()
    root = Path(__file__).resolve().parent
    findings = all_findings(root)
    for finding in findings:
        sys.stderr.write(f"{finding}\n")
    if findings and not args.force:
        count = f"{len(findings)} finding{'s' * (len(findings) > 1)}"
        sys.stderr.write(f"{count}; nothing was zipped. Mend them, or zip anyway with --force.\n")
        sys.exit(1)
    names = write_submission(root, args.out)
    sys.stderr.write(f"{args.out}: {len(names)} files, ready to be handed in\n")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    run(main)
