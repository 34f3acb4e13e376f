"""python -m benchmarks: ours beside its peers, in turn.

python -m benchmarks                      all groups
python -m benchmarks attribution style    some; the groups take from one minute to forty
python -m benchmarks --json rows.json     also as a file
python -m benchmarks style --append       and into benchmarks/README.md, in this processor's section
"""

import argparse
import importlib
import sys
from pathlib import Path

from tqdm import tqdm

from benchmarks.kept import keep
from benchmarks.measure import machine
from command_line import run
from image_utils.writing import save_json
from networks.devices import choose_device

GROUPS = {
    "attribution": "benchmarks.attribution",
    "style": "benchmarks.style",
    "vgg19": "benchmarks.style_vgg19",
    "ascents": "benchmarks.ascents",
}
TABLES = {
    "fooling": ("benchmarks.fooling", "table"),
    "scaling": ("benchmarks.scaling", "table"),
    "memory": ("benchmarks.style", "memory_table"),
    "tiles": ("benchmarks.tiles", "table"),
    "page": ("benchmarks.page", "table"),
    "trust": ("benchmarks.trust", "table"),
    "start_up": ("benchmarks.start_up", "table"),
}


def main():
    """Parse the arguments, measure, print Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"of {', '.join([*GROUPS, *TABLES])} (all)")
    options = parser.add_argument_group(f"options of {', '.join(GROUPS)}")
    options.add_argument("--rounds", type=int, metavar="N", help="counted rounds (7)")
    options.add_argument("--device", help="auto, cpu or cuda (auto)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the rows as JSON, too")
    parser.add_argument("--append", action="store_true", help="keep the tables in benchmarks/README.md")
    args = parser.parse_args()
    names = args.groups or [*GROUPS, *TABLES]
    unknown = set(names) - set(GROUPS) - set(TABLES)
    if unknown:
        parser.error(f"no group {', '.join(sorted(unknown))}; there are {', '.join([*GROUPS, *TABLES])}")
    if not set(names) & set(GROUPS) and (args.rounds or args.device or args.json):
        parser.error(f"--rounds, --device and --json go with {', '.join(GROUPS)}")
    device = choose_device(args.device or "auto")
    facts = machine(device)
    say(", ".join(f"{key} {value}" for key, value in facts.items()) + "\n")
    records, measured = [], {}

    def tell(name, table):
        say(table)
        measured[name] = measured.get(name, "") + table + "\n"

    for name in tqdm(names, unit="group", disable=None):
        if name in TABLES:
            module, function = TABLES[name]
            tell(name, getattr(importlib.import_module(module), function)() + "\n")
            continue
        for row in importlib.import_module(GROUPS[name]).measure_rows(rounds=args.rounds or 7, device=device):
            tell(name, row.table())
            records.append(row.record())
    if args.append:
        keep(measured, facts)
    if args.json:
        save_json({"machine": facts, "rows": records}, args.json)


def say(text):
    """Print at once, around the progress bar."""
    tqdm.write(text, file=sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    run(main)
