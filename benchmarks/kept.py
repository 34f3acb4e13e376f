"""The measurements that benchmarks/README.md keeps: a section a processor, and in it the latest of each group.

They stand between two marks in the page; before each group a mark says whose it is, so that a new measurement on
the same processor takes the old one's place and one on another goes beside it.
"""

import re
from pathlib import Path

from image_utils.writing import whole_file

PAGE = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- kept: begin -->\n", "<!-- kept: end -->\n"
MARK = re.compile(r"<!-- kept: (?P<processor>[^|\n]*) \| (?P<group>\w+) -->\n")


def keep(measured, facts, page=PAGE):
    """Put measurements into the page.

    Args:
        measured: dict from group to its tables, Markdown.
        facts: dict of what they depend on; "processor" is whose section they go to.
        page: file.
    """
    before, _, rest = page.read_text().partition(BEGIN)
    inside, _, after = rest.partition(END)
    kept, processor = _read(inside), facts["processor"]
    line = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "processor")
    for group, tables in measured.items():
        kept[processor, group] = f"{group}: {line}\n\n{tables.strip()}\n"
    with whole_file(page) as temporary:
        temporary.write_text(before + BEGIN + "".join(_write(kept)) + END + after)


def _read(inside):
    parts = MARK.split(inside)[1:]
    texts = (text.partition("\n### ")[0].strip() + "\n" for text in parts[2::3])
    return dict(zip(zip(parts[::3], parts[1::3], strict=True), texts, strict=True))


def _write(kept):
    heading = None
    for processor, group in sorted(kept):
        if processor != heading:
            heading = processor
            yield f"\n### {processor}\n\n"
        yield f"<!-- kept: {processor} | {group} -->\n{kept[processor, group]}\n"
