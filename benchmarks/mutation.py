"""How many small mistakes the tests notice: one changed line at a time, against the tests of its module.

    python -m benchmarks.mutation                             a sample of 150 over all rooms: hours
    python -m benchmarks.mutation --rooms explain --num 30    some rooms or files, fewer mutants
    python -m benchmarks.mutation --seed 1                    another sample
    python -m benchmarks.mutation --budget 60                 the cheapest tests of each module only: a first look

Each mutant is one change in a copy of the tree: a comparison or an operation swapped, a number moved by one, a
truth value turned round, a condition negated, a call left out, a result replaced by None. The tests that import
the module run until one fails, the nearest and the cheapest first; a mutant under which all pass has survived. A
test that fails without its mutant, too, ends the run with its name. Nothing is done twice: results are kept in
--results, and the same command goes on where it was. Whether a survivor does harm is for a person to judge.
"""

import argparse
import ast
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = ("tests", "benchmarks", "docs", "distribution", "report")
SECONDS = 600  # of processor time for the tests of a mutant, which may have no end
FAILED = ".failed"  # files in the copied tree
COSTS = ".costs"
SWAPS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


@dataclass(frozen=True)
class Mutant:
    """One change: in a file, from a start to an end (line and column each, in bytes), to another text."""

    file: str
    start: tuple
    end: tuple
    before: str
    after: str

    def key(self):
        """Return what tells it from all others."""
        return json.dumps(asdict(self))

    def apply(self, source):
        """Return a file's content with the change."""
        lines = source.encode().splitlines(keepends=True)
        (top, left), (bottom, right) = self.start, self.end
        head = b"".join(lines[: top - 1]) + lines[top - 1][:left]
        tail = lines[bottom - 1][right:] + b"".join(lines[bottom:])
        return (head + self.after.encode() + tail).decode()


def mutants_of(file, source):
    """List the mutants of a file."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for other in changes(node):
            place = (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)
            before = ast.get_source_segment(source, node)
            if "\n" not in before and len(before) < 120:
                found.append(Mutant(file, *place, before, other))
    return sorted(set(found), key=lambda m: (m.start, m.end, m.after))


def changes(node):
    """Yield the texts that take a node's place."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield unparse(node, ops=[SWAPS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        yield unparse(node, op=SWAPS[type(node.op)]())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield f"({ast.unparse(node.operand)})"
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield repr(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield repr(node.value + 1)
    elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield "pass"
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "return None"
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) < 2:
        yield f"({ast.unparse(node.func.value)})"  # without the method: no clamp, no abs, no clone
    elif isinstance(node, ast.IfExp):
        yield f"({ast.unparse(node.body)})"


def unparse(node, **fields):
    """Write a node with some of its fields replaced."""
    others = {name: value for name, value in ast.iter_fields(node) if name not in fields}
    return f"({ast.unparse(ast.fix_missing_locations(type(node)(**others, **fields)))})"


def modules(rooms):
    """List the modules whose mutants are drawn, of all rooms or of some (folders or files)."""
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [name for name in listed.stdout.splitlines() if Path(name).parts[0] not in LEFT_OUT]
    return [name for name in files if not rooms or any(name == r or name.startswith(f"{r}/") for r in rooms)]


def tests_of(file, costs, budget):
    """List the test files of a module, the nearest first: those called like it, those that name it, the others.

    The others import its room, or lie in the room's folder of tests. Among equals the cheapest is first; a file
    that has not run yet costs nothing, so that its cost is soon known.

    Args:
        file: path of the module.
        costs: dict from test files to seconds of processor time.
        budget: seconds; the tests beyond it are left out.
    """
    module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    room, _, name = module.rpartition(".")
    words = {f"{module} ", f'"{module}"', f"from {room} import " if room else f'"{module}"'}
    mirrored, ranked = ROOT / "tests" / room.replace(".", "/"), []
    for test in (ROOT / "tests").rglob("test_*.py"):
        if test.stem == "test_ray" and name != "on_ray":  # minutes, for what other tests ask as well
            continue
        text, path = test.read_text(), str(test.relative_to(ROOT))
        own = test.stem.startswith(f"test_{name}") and (not room or room.split(".")[0] in test.parts)
        inside = bool(room) and test.parent == mirrored
        if own or inside or any(word in text for word in words):
            ranked.append((not own, name not in text, costs.get(path, 0), path))
    chosen = [path for *_, path in sorted(ranked)]
    spent = list(accumulate(costs.get(path, 0) for path in chosen))
    return [path for path, until in zip(chosen, spent, strict=True) if path == chosen[0] or until <= budget]


def survives(tree, mutant, costs, budget):
    """Run the tests of a mutant; returns whether they all passed, and notes in `costs` what each file took.

    Raises:
        SystemExit: the test that failed does so without the mutant, too, and so says nothing about it.
    """
    file, failed = tree / mutant.file, tree / FAILED
    source = file.read_text()
    failed.unlink(missing_ok=True)
    try:
        file.write_text(mutant.apply(source))
        if pass_in_a_process(tree, tests_of(mutant.file, costs, budget)):
            return True
    finally:
        file.write_text(source)
        if (tree / COSTS).exists():
            for test, spent in json.loads((tree / COSTS).read_text()).items():
                costs[test] = max(spent, costs.get(test, 0))  # less where a test failed
    test = failed.read_text() if failed.exists() else ""  # none where the process was ended from outside
    if test and not pass_in_a_process(tree, [test, *(() if "::" in test else ("--collect-only",))]):
        raise SystemExit(f"{test} fails without a mutant, too")
    return False


def pass_in_a_process(tree, arguments):
    """Run pytest in a process of its own; returns whether all passed."""
    child = os.fork()
    if child == 0:
        _run_tests(tree, arguments)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class _Witness:
    """A plugin of pytest: which test, or file that could not be collected, failed first; what each file cost."""

    def __init__(self, tree):
        self.failed, self.file = tree / FAILED, tree / COSTS
        self.costs, self.before = {}, 0

    def pytest_collectreport(self, report):
        """Called by pytest after each file."""
        if report.failed and not self.failed.exists():
            self.failed.write_text(report.nodeid)

    def pytest_runtest_logstart(self, nodeid, location):
        """Called by pytest before each test."""
        self.before = sum(os.times()[:4])

    def pytest_runtest_logreport(self, report):
        """Called by pytest after each phase of a test."""
        now, name = sum(os.times()[:4]), report.nodeid.partition("::")[0]
        self.costs[name] = self.costs.get(name, 0) + now - self.before
        self.before = now
        self.pytest_collectreport(report)

    def pytest_sessionfinish(self, session):
        """Called by pytest at the end."""
        self.file.write_text(json.dumps(self.costs))


def _run_tests(tree, tests):
    """Run tests until one fails, and end the process with pytest's exit status."""
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        os.chdir(tree)
        sys.path[:] = [str(tree), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
        for name in [name for name in sys.modules if name.split(".")[0] in ("benchmarks",)]:
            del sys.modules[name]
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider"]
        status = int(pytest.main([*options, *tests], plugins=[_Witness(tree)]))
    finally:
        os._exit(status)


def main():
    """Draw mutants, run their tests, print the score and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rooms", nargs="+", default=[], metavar="ROOM", help="folders or files (all)")
    parser.add_argument("--num", type=int, default=150, metavar="N", help="how many (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the sample (%(default)s)")
    parser.add_argument(
        "--results", type=Path, default=Path("mutants.jsonl"), metavar="FILE", help="(%(default)s)"
    )
    parser.add_argument(
        "--budget", type=float, default=float("inf"), metavar="S", help="of processor time for a mutant's tests"
    )
    args = parser.parse_args()
    every = [mutant for file in modules(args.rooms) for mutant in mutants_of(file, (ROOT / file).read_text())]
    drawn = random.Random(args.seed).sample(every, min(args.num, len(every)))
    known, costs = {}, {}
    if args.results.exists():
        known = dict(json.loads(line) for line in args.results.read_text().splitlines())
    import torch  # in this process, so that each mutant's has it without importing it again
    import torchvision  # noqa: F401

    torch.set_num_threads(1)
    os.environ.setdefault("COURSE_REFERENCE", str(ROOT.parent / "shared" / "reference"))
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, symlinks=True, ignore=shutil.ignore_patterns(".venv", ".git", "__pycache__"))
        for number, mutant in enumerate(drawn, start=1):
            if mutant.key() not in known:
                known[mutant.key()] = survives(tree, mutant, costs, args.budget)
                with args.results.open("a") as results:
                    results.write(json.dumps([mutant.key(), known[mutant.key()]]) + "\n")
            sys.stderr.write(f"{number} of {len(drawn)}\r")
    left = [mutant for mutant in drawn if known[mutant.key()]]
    sys.stdout.write(f"{len(drawn) - len(left)} of {len(drawn)} mutants killed, of {len(every):,} in all\n")
    for mutant in left:
        sys.stdout.write(f"{mutant.file}:{mutant.start[0]}: {mutant.before}  ->  {mutant.after}\n")


if __name__ == "__main__":
    main()
