"""What the tabs share: a visitor's own things, one computation at a time, and errors as one sentence."""

import collections
import concurrent.futures
import contextlib
import functools
import html
import itertools
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

VISITORS = 100  # kept at a time; whoever was away longest is forgotten first
MAX_PHOTO = 30_000_000  # bytes of a photograph
PATIENCE, MOMENT = 1.0, 0.2  # seconds until a visitor is told of the queue, and between two looks at it
QUICK = {"concurrency_limit": None, "show_progress": "hidden"}
LONG = {"concurrency_limit": None, "show_progress": "full"}  # together with `show_progress_on`
# One thread computes for everybody, one job after another: threads keep memory of their own, and this one keeps it
# once. Gradio has a queue too, but what is cancelled there reaches the browser as an error now and then.
WORKER = concurrent.futures.ThreadPoolExecutor(1, "computation")
line = []  # jobs that run or wait, in order
visits = collections.OrderedDict()


class Cancelled(Exception):
    """The visitor cancelled the computation, or left."""


@dataclass
class Visit:
    """What one visitor brought and got. Nobody else is shown it, and it goes when the visitor does.

    Attributes:
        folder: the visitor's files.
        photograph: file of the photograph; None before there is one.
        painting: file of the painting.
        pixels: the photograph as the network sees it, uint8 ndarray (H, W, 3), shortest side 224.
        network: name and weights, as `load_network` takes them.
        top: class indices, most probable first.
        maps: dict from method to ndarray.
        running: dict from a job that runs or waits to the event that ends it.
        recipes: dict from a tab to the command line and the Python lines that give what it shows.
    """

    folder: Path
    photograph: Path | None = None
    pixels: np.ndarray | None = None
    painting: Path | None = None
    network: tuple = (EMBEDDED_NAME, "embedded")
    top: list = field(default_factory=list)
    maps: dict = field(default_factory=dict)
    running: dict = field(default_factory=dict)
    recipes: dict = field(default_factory=dict)

    def model(self):
        """Return the network chosen."""
        return cached_network(*self.network)

    def X(self):
        """Return the photograph as the network takes it, Tensor (1, 3, H, W)."""
        if self.pixels is None:
            raise InputError("there is no photograph yet; drop one, or pick a sample")
        return to_input(self.pixels[None])

    def named(self, file):
        """Return what the visitor calls a file: an upload by its name alone, a sample by its path."""
        file = Path(file)
        return file.name if file.is_relative_to(self.folder) else str(file)

    def note(self, tab, commands, lines, *imports):
        """Keep the command lines and the Python lines that give what a tab shows.

        Args:
            tab: its name.
            commands: list of lists of words; the network's arguments are added.
            lines: Python lines that may use `model` and `X`, the photograph.
            *imports: what these lines import.
        """
        name, weights = self.network[0], self.named(self.network[1])
        network = ["--network", name, "--weights", weights]
        head = ["from data import load_network", *imports]
        body = [f"model = load_network({name!r}, {weights!r})", *lines]
        if "X" in "".join(lines):
            head += ["from image_utils.loading import load_image", "from image_utils.pixels import to_input"]
            body.insert(1, f"X = to_input(load_image({self.named(self.photograph)!r}, {SIZE})[None])")
        self.recipes[tab] = (
            "\n".join(shlex.join(["python", *map(str, words), *network]) for words in commands),
            "\n".join([*sorted(head), "", *body]),
        )

    def keep(self, upload, most=MAX_PHOTO):
        """Copy an uploaded file into the visitor's folder and return its path, or refuse it for its size."""
        file = self.folder / Path(upload).name
        size = Path(upload).stat().st_size
        if size > most:
            raise InputError(f"'{file}' has {size / 1e6:.0f} MB; at most {most / 1e6:.0f} MB can be dropped here")
        shutil.copy(upload, file)
        return file

    def show(self, file):
        """Take a photograph."""
        img = open_image(file)
        check_aspect(img, file)
        self.photograph, self.pixels, self.maps = file, np.array(shorten(img, SIZE)), {}


@functools.lru_cache(maxsize=2)
def cached_network(name, weights):
    """Load a network, or return it where it was among the last two."""
    return load_network(name, weights)


def visit_of(request):
    """Return the visit of a request; a new one where the visitor is new, or was forgotten."""
    key = request.session_hash
    if key not in visits:
        visits[key] = Visit(Path(tempfile.mkdtemp(prefix="visit-")))
        if len(visits) > VISITORS:
            _forget(visits.popitem(last=False)[1])
    visits.move_to_end(key)
    return visits[key]


def leave(request: gr.Request):
    """Forget a visitor who has closed the page."""
    if request.session_hash in visits:
        cancel(request)
        _forget(visits.pop(request.session_hash))


def _forget(visit):
    shutil.rmtree(visit.folder, ignore_errors=True)


def answered(function):
    """Turn `function(visit, *inputs)` into a listener for what takes a moment."""

    def listener(request: gr.Request, *inputs):
        visit = visit_of(request)
        job = _submit(function, visit, *inputs)
        concurrent.futures.wait([job], timeout=PATIENCE)
        if job in line and (ahead := line.index(job)):
            gr.Info(f"Waiting for {ahead} before you.")
        return _result(job, visit)

    return listener


def streamed(function):
    """Turn `function(visit, tell, *inputs)` into a listener with progress, pictures as they form, and an end.

    `tell(done, total)` moves the bar, `tell(done, total, outputs)` shows outputs as well; what the function returns
    is shown last. Once the visitor has cancelled or left, the next `tell` raises Cancelled.
    """

    def listener(request: gr.Request, progress: gr.Progress = gr.Progress(), *inputs):  # noqa: B008  (Gradio's way)
        visit, told, cancelled = visit_of(request), queue.SimpleQueue(), threading.Event()

        def tell(done, total, outputs=None):
            if cancelled.is_set():
                raise Cancelled
            told.put((done, total, outputs))

        job = _submit(function, visit, tell, *inputs)
        visit.running[job] = cancelled
        try:
            while not (job.done() and told.empty()):
                with contextlib.suppress(queue.Empty):
                    done, total, outputs = told.get(timeout=MOMENT)
                    progress((min(done, total), total), unit="steps")
                    yield gr.skip() if outputs is None else outputs
                    continue
                if job in line and (ahead := line.index(job)):
                    progress(None, desc=f"Waiting for {ahead} before you")
                yield gr.skip()  # Gradio sees whether the visitor is still there
            yield _result(job, visit)
        finally:
            del visit.running[job]
            cancelled.set()
            job.cancel()

    return listener


def cancel(request: gr.Request):
    """End what a visitor has running or waiting."""
    for job, cancelled in list(visit_of(request).running.items()):
        cancelled.set()
        job.cancel()


def _submit(function, *arguments):
    job = WORKER.submit(function, *arguments)
    line.append(job)
    job.add_done_callback(line.remove)
    return job


def _result(job, visit):
    try:
        return job.result()
    except (Cancelled, concurrent.futures.CancelledError):
        return gr.skip()
    except InputError as problem:
        sentence = str(problem).replace(f"{visit.folder}/", "")
        raise gr.Error(html.escape(sentence), duration=None, print_exception=False) from None


@contextlib.contextmanager
def passes_told(model, tell, total):
    """Tell of each forward pass of a network inside the block; cancelling ends the block at the next one."""
    count = itertools.count(1)
    handle = model.register_forward_pre_hook(lambda *_: tell(next(count), total))
    try:
        yield
    finally:
        handle.remove()


def drop_area(label, **options):
    """Make a place to drop or paste a picture; listeners get the path of the file, whatever it holds."""
    area = gr.Image(label=label, sources=["upload", "clipboard"], type="filepath", buttons=[], **options)
    # Gradio would open the file itself; here one loader opens all, and says in one sentence what is wrong.
    area.preprocess = lambda payload: payload and payload.path
    return area


def picture_shown(label, **options):
    """Make a place where a picture is shown as large as there is room."""
    options |= {"format": "png", "height": 480, "interactive": False, "buttons": ["fullscreen"]}
    with gr.Column(scale=3, min_width=300):
        return gr.Image(label=label, elem_classes="large", **options)


def class_chooser(label, value=None, none=None):
    """Make a list of all classes that is searched as one types; the value is the class index."""
    classes = [(f"{name} ({index})", index) for index, name in imagenet_class_names().items()]
    return gr.Dropdown([(none, None), *classes] if none else classes, value=value, label=label)
