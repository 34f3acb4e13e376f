"""What a visitor of the page waits for, at the server: its start, the first maps, and those of another class.

A sample is chosen and classes are clicked over HTTP, by Gradio's own client, and the maps are fetched; what a
browser does besides is not in the figures. Beside it Captum computes the same three maps in a script, without
colouring them or sending them anywhere: with these methods no page can be faster by much.
"""

import importlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psutil

from benchmarks.measure import alone
from benchmarks.peers import installed
from data import load_network
from data.samples import load_sample_photographs
from image_utils.pixels import to_input

ROOT = Path(__file__).resolve().parent.parent
SAMPLE, CLASSES, LAYER = 3, 5, "features.12"
METHODS = ["saliency", "guided_backprop", "gradcam"]


def table(clicks=9):
    """Return the waits as Markdown; those for another class are medians."""
    if not installed("gradio"):
        return "The page is not measured without what requirements-page.txt names."
    (start, first, *others), (captum_first, *captum_others) = visit(clicks), alone(script, time.time(), clicks)[0]
    rows = {
        "`page.py`: start, until its address answers": [start],
        "`page.py`: first request, until the first three maps": [first],
        "`page.py`: a click, until three maps of another class": others,
        "Captum in a script: start, until the first three maps": [captum_first],
        "Captum in a script: three maps of another class": captum_others,
    }
    lines = ["| | seconds | processor seconds |", "|---|---|---|"]
    for name, waits in rows.items():
        seconds, of_processor = map(statistics.median, zip(*waits, strict=True))
        lines.append(f"| {name} | {seconds:.2f} | {of_processor:.2f} |")
    return "\n".join(lines)


def visit(clicks):
    """Start the page and use it; returns (seconds, processor seconds) of each wait."""
    client_of = importlib.import_module("gradio_client").Client
    with subprocess.Popen([sys.executable, ROOT / "page.py"], stdout=subprocess.PIPE, text=True) as page:
        lap = stopwatch(page.pid, time.time())
        try:
            address = re.search(r"http://\S+", page.stdout.readline())[0]
            urllib.request.urlopen(address).close()
            return [lap(), *use(address, client_of, clicks, lap)]
        finally:
            page.terminate()


def use(address, client_of, clicks, lap):
    """Choose a sample and click classes; returns what `lap` says after each."""
    with tempfile.TemporaryDirectory() as files:
        client = client_of(address, verbose=False, download_files=files, analytics_enabled=False)
        client.predict(SAMPLE, api_name="/layout_take")
        client.predict(METHODS, 1.0, api_name="/explain_begin")
        waits = [lap()]
        for i in range(clicks):
            client.predict((i + 1) % CLASSES, None, METHODS, LAYER, 1.0, api_name="/explain_pick")
            waits.append(lap())
        client.close()
    return waits


def script(started, clicks):
    """Do the same as a person would without the page; returns (seconds, processor seconds) of each wait."""
    lap, waits = stopwatch(os.getpid(), started), []
    attr = importlib.import_module("captum.attr")
    model, x = load_network(), to_input(load_sample_photographs()[0][[SAMPLE]]).requires_grad_()
    classes = model(x)[0].topk(CLASSES).indices.tolist()
    for i in range(clicks + 1):
        for method in (attr.Saliency(model), attr.GuidedBackprop(model)):
            method.attribute(x, target=classes[i % CLASSES])
        layer = attr.LayerGradCam(model, model.get_submodule(LAYER))
        maps = layer.attribute(x, target=classes[i % CLASSES], relu_attributions=True)
        attr.LayerAttribution.interpolate(maps, tuple(x.shape[2:]), "bicubic")
        waits.append(lap())
    return waits


def stopwatch(pid, started):
    """Return a function that tells the seconds, and a process's processor seconds, since it was last called."""
    process, last = psutil.Process(pid), (started, 0.0)

    def lap():
        nonlocal last
        before, last = last, (time.time(), sum(process.cpu_times()[:2]))
        return tuple(now - then for now, then in zip(last, before, strict=True))

    return lap
