"""What the tabs share: a visitor's own things, one computation at a time, and errors as one sentence."""

import collections
import concurrent.futures
import functools
import html
import os
import queue
import shlex
import shutil
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
import numpy as np

from command_line import check_aspect
from data.networks import EMBEDDED_NAME, load_network
from data.samples import SIZE, imagenet_class_names
from image_utils.errors import InputError
from image_utils.loading import open_image, shorten
from image_utils.pixels import to_input
from networks.scores import first_scores

VISITORS = 100  # kept at a time; whoever was away longest is forgotten first
MAX_PHOTO = 30_000_000  # bytes of a picture
# One thread computes for everybody, one job after another: threads keep memory of their own, and this one keeps it
# once. Gradio has a queue too, but what is cancelled there reaches the browser as an error now and then.
WORKER = concurrent.futures.ThreadPoolExecutor(1, "computation")
visits = collections.OrderedDict()  # by session


class Cancelled(Exception):
    """The visitor cancelled the computation, or left."""


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
        img = open_image(file)
        check_aspect(img, file)
        self.photograph, self.pixels, self.maps, self.top = file, np.array(shorten(img, SIZE)), {}, []

    def keep(self, file, most=MAX_PHOTO):
        """Copy an uploaded file into the visitor's folder; returns its path. What is offered stays in place."""
        if isinstance(file, list):  # picked from what `offer` made
            return Path(*file)
        kept, size = self.folder / Path(file).name, Path(file).stat().st_size
        if size > most:
            raise InputError(
                f"'{kept.name}' has {size / 1e6:.0f} MB; at most {most / 1e6:.0f} MB can be dropped here"
            )
        shutil.copy(file, kept)
        return kept

    def named(self, file):
        """Return what the visitor calls a file: an upload by its name alone."""
        return Path(file).name if Path(file).is_relative_to(self.folder) else str(file)

    def note(self, tab, commands, lines, photograph=True):
        """Keep what gives the same: command lines, as lists of words, and Python that has model and X."""
        name, weights = self.network[0], self.named(self.network[1])
        words = [["python", *map(str, words), "--network", name, "--weights", weights] for words in commands]
        head = ["from data import load_network", "", f"model = load_network({name!r}, {weights!r})"]
        if photograph:
            head.append(f"X = to_input(load_image({self.named(self.photograph)!r}, {SIZE})[None])")
            head[1:1] = "from image_utils.loading import load_image", "from image_utils.pixels import to_input"
        self.recipes[tab] = "\n".join(map(shlex.join, words)), "\n".join(head) + lines

    def cancel(self):
        """End what runs or waits."""
        for job, ended in list(self.running.items()):
            ended.set()
            job.cancel()


@functools.lru_cache(maxsize=2)
def cached_network(name, weights):
    """Load a network, or return it where it was among the last two."""
    return load_network(name, weights)


def visit_of(request):
    """Return the visit of a request; a new one where the visitor is new, or was forgotten."""
    key = request.session_hash
    if key not in visits:
        visits[key] = Visit(Path(tempfile.mkdtemp(prefix="visit-", dir=os.environ.get("GRADIO_TEMP_DIR"))))
        if len(visits) > VISITORS:
            shutil.rmtree(visits.popitem(last=False)[1].folder, ignore_errors=True)
    visits.move_to_end(key)
    return visits[key]


def leave(request: gr.Request):
    """Forget a visitor who has closed the page."""
    visit = visit_of(request)
    visit.cancel()
    shutil.rmtree(visits.pop(request.session_hash).folder, ignore_errors=True)


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
            sentence = html.escape(str(problem).replace(f"{visit.folder}/", ""))
            raise gr.Error(sentence, duration=None, print_exception=False) from None
        finally:
            visit.running.pop(job)
            ended.set()
            job.cancel()

    return listener


def drop_area(label, **options):
    """Make a place to drop or paste a picture; listeners get the path of the file, whatever it holds."""
    area = gr.Image(label=label, sources=["upload", "clipboard"], type="filepath", buttons=[], **options)
    # Gradio would open the file itself; here one loader opens all, and says in one sentence what is wrong.
    area.preprocess = lambda payload: payload and payload.path
    return area


def offer(label, files, elem_id):
    """Make a choice of pictures; listeners get a list of the one path."""
    samples = {"samples": [[file] for file in files], "samples_per_page": len(files)}
    return gr.Dataset(label=label, components=["image"], elem_id=elem_id, **samples)


def shown(label, elem_id, **options):
    """Make a place where pictures are shown, lossless: several in `columns`, or one, to be downloaded."""
    options |= {"label": label, "elem_id": elem_id, "format": "png", "interactive": False}
    if "columns" in options:
        return gr.Gallery(object_fit="contain", height="auto", buttons=["fullscreen"], **options)
    return gr.Image(height=480, elem_classes="large", buttons=["download", "fullscreen"], **options)


def class_chooser(label, value=None, none=None):
    """Make a list of all classes that is searched as one types; its value is the class index."""
    classes = [(f"{name} ({index})", index) for index, name in imagenet_class_names().items()]
    return gr.Dropdown([(none, None), *classes] if none else classes, value=value, label=label)
