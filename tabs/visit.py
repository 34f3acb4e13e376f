"""What the tabs share: a visitor's own things, one computation at a time, errors as one sentence, and controls."""

import collections
import concurrent.futures
import functools
import html
import queue
import shlex
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
import numpy as np

from command_line import load_photograph
from data.networks import EMBEDDED_NAME, load_network
from data.samples import imagenet_class_names
from image_utils.errors import InputError
from image_utils.pixels import to_input
from networks.scores import first_scores

VISITORS = 100  # kept at a time; whoever was away longest is forgotten first
MAX_PHOTO, MAX_WEIGHTS = 30_000_000, 600_000_000  # bytes of a picture, and of a network's weights
# One thread computes for everybody, one job after another: threads keep memory of their own, and this one keeps it
# once. Gradio has a queue too, but what is cancelled there reaches the browser as an error now and then.
WORKER = concurrent.futures.ThreadPoolExecutor(1, "computation")
visits = collections.OrderedDict()  # by session
cached_network = functools.lru_cache(maxsize=2)(load_network)


class Cancelled(KeyboardInterrupt):
    """The visitor cancelled the computation, or left; what a script does at Ctrl-C is done."""


@dataclass
class Visit:
    """What one visitor brought and got. Nobody else is shown it, and it goes when the visitor does."""

    folder: Path  # of the visitor's files
    photograph: Path | None = None
    pixels: np.ndarray | None = None  # the photograph as the network sees it, uint8 (H, W, 3), shortest side 224
    painting: Path | None = None
    network: tuple = (EMBEDDED_NAME, "embedded")  # name and weights, as `load_network` takes them
    top: list = field(default_factory=list)  # class indices, most probable first
    maps: dict = field(default_factory=dict)  # by name, ndarrays
    curve: tuple = ()  # what the deletion slider goes through
    running: dict = field(default_factory=dict)  # from a job that runs or waits to the event that ends it
    recipes: dict = field(default_factory=dict)  # from a tab to the command lines and the Python lines

    def model(self):
        """Return the network chosen."""
        return cached_network(*self.network)

    def X(self):
        """Return the photograph as the network takes it, Tensor (1, 3, H, W)."""
        if self.pixels is None:
            raise InputError("there is no photograph yet; drop one, or pick a sample")
        return to_input(self.pixels[None])

    def seen(self, pixels, count):
        """Return the most probable classes of an image, uint8 (H, W, 3): dict from index to probability."""
        best = first_scores(self.model(), to_input(pixels[None]))[0].softmax(0).topk(count)
        return dict(zip(best.indices.tolist(), best.values.tolist(), strict=True))

    def show(self, file):
        """Take a photograph."""
        pixels = load_photograph(file)
        self.photograph, self.pixels, self.maps = file, pixels, {}

    def keep(self, file, most=MAX_PHOTO):
        """Copy an uploaded file into the visitor's folder; returns its path. What is offered stays in place."""
        if file is None:
            raise InputError("there is no file yet; drop one first")
        if isinstance(file, list):  # a sample
            return Path(*file)
        kept, size = self.folder / Path(file).name, Path(file).stat().st_size
        if size > most:
            raise InputError(
                f"'{kept.name}' has {size // 10**6} MB; at most {most // 10**6} MB can be dropped here"
            )
        return shutil.copy(file, kept)

    def said(self, text):
        """Return a text in which files of the visitor's go by their names alone."""
        return text.replace(f"{self.folder}/", "")

    def note(self, tab, commands, lines, **values):
        """Keep what gives the same: command lines and Python lines with gaps for the values."""
        values |= {"network": self.network[0], "weights": self.network[1], "photograph": str(self.photograph)}
        words = {name: shlex.join(map(str, v if isinstance(v, list) else [v])) for name, v in values.items()}
        python = {name: repr(v) for name, v in values.items()}
        self.recipes[tab] = self.said(commands.format(**words)), self.said(lines.format(**python))

    def cancel(self):
        """End what runs or waits."""
        for job, ended in list(self.running.items()):
            ended.set()
            job.cancel()


def visit_of(request):
    """Return the visit of a request; a new one where the visitor is new, or was forgotten."""
    key = request.session_hash
    if key not in visits:
        visits[key] = Visit(Path(tempfile.mkdtemp(prefix="visit-")))
        if len(visits) > VISITORS:
            forget(next(iter(visits)))
    visits.move_to_end(key)
    return visits[key]


def forget(key):
    """End what a visitor has running, and remove the files."""
    if visit := visits.pop(key, None):
        visit.cancel()
        shutil.rmtree(visit.folder, ignore_errors=True)


def streamed(function):
    """Turn `function(visit, tell, *inputs)` into a listener that has its turn, shows progress and can be ended.

    `tell(done, total)` moves the bar, `tell(done, total, outputs)` shows outputs too; what the function returns is
    shown last. Once the visitor has cancelled or left, the next `tell` raises Cancelled.
    """

    def listener(request: gr.Request, progress: gr.Progress = gr.Progress(), *inputs):  # noqa: B008  (Gradio's way)
        visit, told, ended = visit_of(request), queue.SimpleQueue(), threading.Event()

        def tell(done, total=None, outputs=None):
            if ended.is_set():
                raise Cancelled
            told.put((done, total, outputs))

        ahead = sum(len(other.running) for other in visits.values())
        job = WORKER.submit(function, visit, tell, *inputs)
        job.add_done_callback(lambda _: told.put(None))
        visit.running[job] = ended
        try:
            if ahead:
                progress(None, desc=f"Waiting for {ahead} before you")
                yield gr.skip()
            for done, total, outputs in iter(told.get, None):
                progress((done, total), unit="steps")
                yield gr.skip() if outputs is None else outputs
            yield job.result()
        except (Cancelled, concurrent.futures.CancelledError):
            yield gr.skip()
        except InputError as problem:
            raise gr.Error(html.escape(visit.said(str(problem))), duration=None, print_exception=False) from None
        finally:
            visit.running.pop(job)
            ended.set()
            job.cancel()

    # by which programs call the page's events
    listener.__name__ = f"{function.__module__.rpartition('.')[2]}_{function.__name__}"
    return listener


def drop_area(label, **options):
    """Make a place to drop or paste a picture; listeners get the path of the file, whatever it holds."""
    area = gr.Image(label=label, sources=["upload", "clipboard"], type="filepath", buttons=[], **options)
    # Gradio would open the file itself; here one loader opens all, and says in one sentence what is wrong.
    area.preprocess = lambda payload: payload and payload.path
    return area


def offer(label, files, **options):
    """Make a choice of pictures; listeners get a list of the one path."""
    samples = [[file] for file in files]
    return gr.Dataset(label=label, components=["image"], samples=samples, samples_per_page=len(files), **options)


def shown(label, elem_id, **options):
    """Make a place where pictures are shown, lossless: several in `columns`, or one, to be downloaded."""
    options |= {"label": label, "show_label": False, "elem_id": elem_id, "format": "png", "interactive": False}
    if "columns" in options:
        return gr.Gallery(object_fit="contain", height="auto", buttons=["fullscreen"], **options)
    return gr.Image(height=480, elem_classes="large", buttons=["download", "fullscreen"], **options)


def class_chooser(label, value=None, none=()):
    """Make a list of all classes that is searched as one types; its value is the class index."""
    classes = [(f"{name} ({index})", index) for index, name in imagenet_class_names().items()]
    return gr.Dropdown([*none, *classes], value=value, label=label)
