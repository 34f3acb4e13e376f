"""Make hw3_writeup.pdf: a cover, every figure, the answers of report/answers.md, the notebook executed now."""

import argparse
import sys
from pathlib import Path

from command_line import run
from course.writeup.notebook import check_findings, execute
from course.writeup.report import WORDS, read_report
from course.writeup.typeset import typeset

ROOT = Path(__file__).resolve().parent.parent.parent
ANSWERS, NOTEBOOK, NAME = Path("report", "answers.md"), "test_style_transfer.ipynb", "hw3_writeup.pdf"
EXAMPLES = """
names what is missing, with what to do, and then writes nothing:
  a figure, with the script that makes it
  a name, a signature, an unanswered question, an answer over its limit of words
  a loss check that is not 0.000, or a notebook that does not run to its end

exit status: 0 if all is well, 1 if something is missing, 2 if something cannot be read or written
"""


def main():
    """Parse the arguments, look for what is missing, write the PDF."""
    parser = argparse.ArgumentParser(
        prog="python -m course.writeup",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--force", action="store_true", help="write it even if something is missing")
    parser.add_argument("--words", type=int, default=WORDS, metavar="N", help="limit of an answer (%(default)s)")
    parser.add_argument("--out", type=Path, default=ROOT / NAME, metavar="FILE", help=f"the PDF ({NAME})")
    args = parser.parse_args()
    report = read_report(ROOT / ANSWERS, ROOT)
    findings = report.findings(args.words)
    notebook = None
    if not findings or args.force:
        sys.stderr.write(f"running {NOTEBOOK} ...\n")
        notebook = execute(ROOT / NOTEBOOK)
        findings += check_findings(notebook, NOTEBOOK)
    for finding in findings:
        sys.stderr.write(f"{finding}\n")
    if findings and not args.force:
        count = f"{len(findings)} finding{'s' * (len(findings) > 1)}"
        later = "" if notebook else "; the notebook is checked once the rest is complete"
        sys.stderr.write(f"{count}; nothing was written{later}. Complete it, or write it anyway with --force.\n")
        sys.exit(1)
    typeset(report, notebook, args.out)
    sys.stderr.write(f"{args.out}: look through it before you hand it in\n")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    run(main)
