"""Where a root script's time goes: from the interpreter's start to the first figure and to the end.

    python -m benchmarks.start_up saliency_map.py --num 5

Each script runs in fresh processes, as a person starts it. Some run untouched, for the total. Another runs under
the profiler, whose cumulative times are shared out to the stages; the profiler slows Python code, not the network,
so the shares are taken from it and the total from the others.
"""

import cProfile
import json
import pstats
import runpy
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = ("saliency_map", "gradcam", "fooling_image", "class_visualization", "style_transfer")
STAGES = {  # stage: functions whose cumulative time is its
    "loading": {("command_line.py", "load_inputs"), ("command_line.py", "load_named_network")},
    "library": {("captum_utils.py", "compute_attributions")},
    "drawing": {("figures.py", "image_grid"), ("writing.py", "save_figure"), ("writing.py", "save_image")},
}
BARE = "import torch, torchvision, captum, captum.attr, matplotlib.pyplot"


def measure_script(script, *arguments, rounds=3):
    """Measure one script.

    Args:
        script: name without .py.
        *arguments: its command-line arguments.
        rounds: fresh processes for the total.

    Returns:
        dict: seconds of imports, loading, ours, library (Captum), drawing, total, and until the first figure.
    """
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, __file__, "--inside", script, *arguments, "--out", out]
        runs = [_inside(command) for _ in range(rounds)]
        shares = _inside([*command[:2], "--profile", *command[3:]])
    found = {key: statistics.median(run[key] for run in runs) for key in ("imports", "first figure", "total")}
    computing = found["total"] - found["imports"]
    profiled = shares["total"] - shares["imports"]
    for stage in STAGES:
        found[stage] = shares[stage] * computing / profiled
    found["ours"] = computing - sum(found[stage] for stage in STAGES)
    return found


def bare_imports(rounds=3):
    """Return the median seconds a fresh process takes to import what the field's scripts import."""
    times = []
    for _ in range(rounds):
        start = time.time()
        subprocess.run([sys.executable, "-c", BARE], cwd=ROOT, check=True)
        times.append(time.time() - start)
    return statistics.median(times)


def table(rounds=3):
    """Return the stages of every script as Markdown."""
    lines = ["| script | imports | loading | ours | Captum | drawing | total | first figure |", "|---" * 8 + "|"]
    for script in SCRIPTS:
        if (ROOT / f"{script}.py").exists():
            found = measure_script(script, rounds=rounds)
            keys = ("imports", "loading", "ours", "library", "drawing", "total", "first figure")
            lines.append(f"| `{script}.py` | " + " | ".join(f"{found[key]:.1f} s" for key in keys) + " |")
    lines += ["", f"`{BARE}` takes {bare_imports(rounds):.1f} s."]
    return "\n".join(lines)


def _inside(command):
    started = time.time()
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, text=True
    )
    marks = json.loads(done.stdout.splitlines()[-1])
    for key in ("imports", "first figure", "total"):
        marks[key] -= started
    return marks


def _run_inside(mode, script, arguments):
    """In the child: import the script, run it, and print when what was done."""
    sys.path.insert(0, str(ROOT))
    sys.argv = [f"{script}.py", *arguments]
    module = runpy.run_path(str(ROOT / f"{script}.py"), run_name="timed")
    from image_utils import writing

    marks, whole_file = {"imports": time.time()}, writing.whole_file

    def noted(path):
        marks.setdefault("first figure", time.time())
        return whole_file(path)

    writing.whole_file = noted
    profiler = cProfile.Profile()
    if mode == "--profile":
        profiler.runcall(module["main"])
        stats = pstats.Stats(profiler).stats
        for stage, functions in STAGES.items():
            marks[stage] = sum(row[3] for key, row in stats.items() if (Path(key[0]).name, key[2]) in functions)
    else:
        module["main"]()
    marks["total"] = time.time()
    sys.stdout.write("\n" + json.dumps(marks) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] in (["--inside"], ["--profile"]):
        _run_inside(sys.argv[1], sys.argv[2], sys.argv[3:])
    elif len(sys.argv) > 1:
        sys.stdout.write(
            json.dumps(measure_script(sys.argv[1].removesuffix(".py"), *sys.argv[2:]), indent=2) + "\n"
        )
    else:
        sys.stdout.write(table() + "\n")
