"""Measure `python -m explain` at several sizes, on one machine and on Ray: the tables of docs/scale.md.

    python -m benchmarks.scale            all of it, some 20 minutes on two cores
    python -m benchmarks.scale --sizes 100 500 --engines local

Each run is a process of its own, so that its peak of memory is its own. The photographs are the samples, resized to
about 500 x 400 and recompressed, 2 % of the files broken.
"""

import argparse
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import alternate, machine
from data import load_network
from data.samples import load_sample_photographs
from explain.job import same_result
from explain.local import cores
from explain.shared_pass import METHODS, explain_batch, make_ready
from image_utils.pixels import to_input

ROOT = Path(__file__).resolve().parent.parent
BATCH = 16


def make_photographs(folder, count):
    """Write `count` JPEGs of some 60 KB, one in fifty of them cut short."""
    X, _, _ = load_sample_photographs()
    rng = np.random.default_rng(0)
    for i in range(count):
        width, height = (int(side) for side in rng.integers((450, 350), (550, 450)))
        data = io.BytesIO()
        img = Image.fromarray(X[i % len(X)]).resize((width, height), Image.BICUBIC)
        img.save(data, "jpeg", quality=int(rng.integers(80, 95)))
        content = data.getvalue() if i % 50 != 25 else data.getvalue()[:3000]
        file = folder / f"{i // 100:03d}" / f"{i:05d}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def limits(rounds=7):
    """Time the bare network on a batch, in its best memory order; two passes of it are what guided methods need.

    Returns:
        dict from label to images a second: the fastest rounds on all cores, and on one core times their number.
    """
    X, y, _ = load_sample_photographs()
    x = to_input(X[:BATCH]).contiguous(memory_format=torch.channels_last)
    y = torch.as_tensor(y[:BATCH])
    model = load_network().to(memory_format=torch.channels_last)

    def forward_and_gradient():
        leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
        return torch.autograd.grad(model(leaf).gather(1, y[:, None]).sum(), leaf)[0]

    ready = make_ready(load_network(), torch.device("cpu"))
    contestants = {
        "bare": forward_and_gradient,
        **{m: lambda m=m: explain_batch(ready, x, y, m.split("+"), "features.12") for m in ("saliency", "+".join(METHODS))},
    }
    return {label: BATCH / statistics.median(times) for label, times in alternate(contestants, rounds=rounds).items()}


def one_run(folder, out, methods, engine, workers=None):
    """Run the command; returns seconds of its work, images a second, peak memory in MB and what it said."""
    command = [sys.executable, "-m", "explain", folder, "--out", out, "--methods", ",".join(methods)]
    command += ["--engine", engine, "--batch-size", BATCH, "--device", "cpu"]
    command += ["--workers", workers] if workers else []
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), cwd=ROOT, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    whole = time.perf_counter() - start
    if status:
        raise SystemExit(said)
    rate = float(said.split("(")[-1].split(" images/s")[0])
    return {"images/s": rate, "whole seconds": whole, "peak MB": usage.ru_maxrss / 1024, "said": said.strip()}
