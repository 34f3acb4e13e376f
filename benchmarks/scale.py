"""Measure `python -m explain` at several sizes, on one machine and on Ray: the table of docs/scale.md.

    python -m benchmarks.scale                       all of it, some 15 minutes on two quiet cores
    python -m benchmarks.scale --write               and put the table into docs/scale.md
    python -m benchmarks.scale --sizes 100 --engines local

Each run is a process of its own, so that its peak of memory is its own. The photographs are the samples, resized
to about 500 x 400 and recompressed, one in fifty cut short.
"""

import argparse
import filecmp
import io
import math
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow.ipc
import torch
from PIL import Image

from benchmarks.measure import alternate, machine
from data import load_network
from data.samples import load_sample_photographs
from explain.shared_pass import METHODS
from explain.storage import read_manifest
from image_utils.pixels import to_input
from image_utils.writing import whole_file

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- measured: begin -->\n", "<!-- measured: end -->\n"
BATCH = 16
HEAD = (
    "| images | engine | methods | images/s | once started | of its bare passes | peak memory | whole command |\n"
    + "|---" * 8
    + "|\n"
)


def make_photographs(folder, count):
    """Write `count` JPEGs of some 60 KB, one in fifty of them cut short."""
    X, _, _ = load_sample_photographs()
    rng = np.random.default_rng(0)
    for i in range(count):
        size = tuple(int(side) for side in rng.integers((450, 350), (550, 450)))
        data = io.BytesIO()
        Image.fromarray(X[i % len(X)]).resize(size, Image.BICUBIC).save(data, "jpeg", quality=90)
        content = data.getvalue() if i % 50 != 25 else data.getvalue()[:3000]
        file = folder / f"{i // 100:03d}" / f"{i:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def bare_rate(backward, rounds=25):
    """Return the images a second of the bare network, a forward pass and gradients by the pixels, on all cores.

    Args:
        backward: number of backward passes: 1 for saliency, 2 for all four methods (guided backpropagation has its
            own, and what Grad-CAM needs is a part of the first).
        rounds: counted repetitions.
    """
    X, y, _ = load_sample_photographs()
    x = to_input(X[:BATCH]).contiguous(memory_format=torch.channels_last)
    y = torch.as_tensor(y[:BATCH])
    model = load_network().to(memory_format=torch.channels_last)

    def passes():
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        total = model(leaf).gather(1, y[:, None]).sum()
        return [torch.autograd.grad(total, leaf, retain_graph=left > 0) for left in reversed(range(backward))]

    return BATCH / statistics.median(alternate({"bare": passes}, rounds=rounds)["bare"])


def one_run(folder, out, methods, engine):
    """Run the command; return its images a second, its peak of memory in MB, and the seconds of the whole."""
    command = [sys.executable, "-m", "explain", folder, "--out", out, "--methods", ",".join(methods)]
    command += ["--engine", engine, "--batch-size", BATCH, "--device", "cpu"]
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    peak = [0.0]
    watch = threading.Thread(target=_watch, args=(process, peak))
    if engine == "ray":
        watch.start()
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if engine == "ray":
        watch.join()
    if process.returncode:
        raise SystemExit(said)
    memory = peak[0] if engine == "ray" else usage.ru_maxrss / 1024
    return float(said.rpartition(" images/s")[0].rpartition("(")[2]), memory, time.perf_counter() - start


def rate_once_started(out):
    """Return the images a second from the end of the first shard to the end of the last; nan where it is one."""
    ends = sorted(
        (file.stat().st_mtime, pyarrow.ipc.open_file(file).num_record_batches) for file in out.glob("maps/*")
    )
    seconds = ends[-1][0] - ends[0][0]
    return sum(count for _, count in ends[1:]) / seconds if seconds else math.nan


def _watch(process, peak):
    """Note the largest sum of what a process and all below it hold, shared memory counted once."""
    while process.returncode is None:
        parents, held = {}, 0.0
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has just ended
        for pid in parents:
            ancestor = pid
            while ancestor not in (process.pid, 0, None):
                ancestor = parents.get(ancestor)
            if ancestor == process.pid:
                held += _proportional(pid)
        peak[0] = max(peak[0], held)
        time.sleep(0.5)


def _proportional(pid):
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def same(a, b):
    """Return whether two runs left the same manifest, apart from times, and the same maps, byte for byte."""
    one, other = (read_manifest(out).drop_columns(["seconds"]) for out in (a, b))
    names = sorted(file.name for file in (a / "maps").iterdir())
    equal, _, _ = filecmp.cmpfiles(a / "maps", b / "maps", names, shallow=False)
    return one.equals(other) and sorted(equal) == names


def measure(sizes, engines, say):
    """Run every size on every engine.

    Yields:
        Lines of the table, in Markdown.
    """
    with tempfile.TemporaryDirectory() as place:
        place = Path(place)
        for size in sizes:
            make_photographs(place / str(size), size)
            for methods in [("saliency",)] + [METHODS] * (size == 1000):
                outs = [place / f"{size}-{engine}-{len(methods)}" for engine in engines]
                for engine, out in zip(engines, outs, strict=True):
                    backward = 1 if len(methods) == 1 else 2
                    before = bare_rate(backward)
                    rate, memory, whole = one_run(place / str(size), out, methods, engine)
                    bare = (before + bare_rate(backward)) / 2  # the machine's speed drifts
                    names = "saliency" if len(methods) == 1 else "all four"
                    line = (
                        f"| {size:,} | {engine} | {names} | {rate:.1f} | {rate_once_started(out):.1f} | "
                        f"{rate / bare:.2f} of {bare:.1f} | {memory:,.0f} MB | {whole:.0f} s |"
                    )
                    say(f"{line}   load {os.getloadavg()[0]:.1f}")
                    yield line
                if len(outs) > 1:
                    say(f"{size}, {len(methods)} methods: the same on both engines: {same(*outs)}")
                    if not same(*outs):
                        raise SystemExit("the engines disagree")


def main():
    """Measure, print, and with --write put the table into its place in the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 1000, 5000])
    parser.add_argument("--engines", nargs="+", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    facts = ", ".join(f"{name} {value}" for name, value in machine().items() if name not in ("captum", "foolbox"))
    load = os.getloadavg()[0]
    lines = list(measure(args.sizes, args.engines, lambda line: sys.stderr.write(line + "\n")))
    text = f"{HEAD}" + "\n".join(lines) + f"\n\nMeasured with {facts}; load before the first run {load:.1f}.\n"
    print(text)  # noqa: T201
    if args.write:
        before, _, rest = PAGE.read_text().partition(BEGIN)
        after = rest.partition(END)[2]
        with whole_file(PAGE) as temporary:
            temporary.write_text(before + BEGIN + text + END + after)


if __name__ == "__main__":
    main()
