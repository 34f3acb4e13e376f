"""Make a classic mistake on purpose, and see the right picture and the wrong one side by side."""

import argparse
import sys
from pathlib import Path

from command_line import check_folder, run, show_files
from course import broken
from course.breaks import BREAKS, find_break
from image_utils.writing import save_figure

EXAMPLES = "mistakes:\n" + "\n".join(f"  {b.name:28} {b.title}" for b in BREAKS)


def main():
    """Parse the arguments, run both, write the figure."""
    parser = argparse.ArgumentParser(
        prog="python -m course.break",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", metavar="NAME", help="one of the mistakes below")
    parser.add_argument(
        "--out", type=Path, default=Path("visualization"), metavar="DIR", help="folder (%(default)s)"
    )
    parser.add_argument("--show", action="store_true", help="open the figure when it is written")
    args = parser.parse_args()
    mistake = find_break(args.name)
    check_folder(args.out)
    wrong = broken.solution(broken.mutant(mistake.name))
    figure = broken.compare(mistake.shows(broken.solution()), mistake.shows(wrong))
    path = args.out / f"broken_{mistake.name}.png"
    save_figure(figure, path)
    sys.stderr.write(f"{mistake.title}: {mistake.wrong_line()}\n{mistake.happens}\n")
    sys.stderr.write(f"{path} shows both; exposed by {mistake.test}\n")
    if args.show:
        show_files(path)


if __name__ == "__main__":
    run(main)
