"""What a run of style transfer says of itself: a progress bar, an animation, and a card by which to repeat it."""

import hashlib
import platform
import shlex
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from PIL import Image
from tqdm import tqdm

from image_utils.writing import whole_file
from stylize.canvas import as_photograph
from stylize.record import Step

FRAMES, FRAME_MS = 40, 80  # pictures of an animation, and how long each is shown


class Watcher:
    """Shows the losses while an image is made, and keeps what the card and the animation need."""

    def __init__(self, job: dict[str, Any], frames: bool):
        """Begin; `job` is what `style_transfer` is called with, `frames` asks for an animation."""
        steps = (len(job["sizes"]) + 1) * job["steps"]
        self.bar = tqdm(total=steps, desc=job["name"], unit="step", delay=2, leave=False, disable=None)
        self.every = max(1, steps // FRAMES) if frames else 0
        self.shown_as = job["solver"], job["preserve_color"]
        self.count = 0  # the bar's own count stays at 0 where bars are switched off
        self.first = self.last = None
        self.images = []
        self.started = time.perf_counter()

    def __call__(self, step: Step) -> None:
        """Take one `Step`."""
        if self.every and self.count % self.every == 0:
            self.images.append(as_photograph(step.image, *self.shown_as))
        self.first, self.last = self.first or step, step
        shown = ", ".join(f"{name} {value:.0f}" for name, value in step.losses.items())
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update()
        self.count += 1

    def seconds(self) -> float:
        """Return the seconds since the start, to a tenth."""
        return round(time.perf_counter() - self.started, 1)

    def write_frames(self, path: Path) -> None:
        """Write the animation, every picture at the size of the last, which stays for a while."""
        pictures = [picture.resize(self.images[-1].size, Image.BICUBIC) for picture in self.images]
        durations = [FRAME_MS] * (len(pictures) - 1) + [20 * FRAME_MS]
        with whole_file(path) as temporary:
            pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def card(job: dict[str, Any], network: dict[str, Any], watcher: Watcher, ended: str) -> dict[str, Any]:
    """Describe a run: what it was called with, what came of it, and the command that repeats it.

    Args:
        job: what `style_transfer` was called with.
        network: its name, weights and device, as the command line calls them.
        watcher: what it was watched by.
        ended: how it ended.

    Returns:
        Plain values for JSON.
    """
    files = [job["content_image"], *job["style_image"]]
    return {
        "command": command(job, network),
        "arguments": {**job, **network},
        "sha256": {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files},
        "ended": ended,
        "evaluations": watcher.count,
        "losses": {"first": watcher.first.losses, "last": watcher.last.losses},
        "total": {"first": watcher.first.total, "last": watcher.last.total},
        "seconds": watcher.seconds(),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in ("torch", "torchvision", "pillow")},
    }


def command(job: dict[str, Any], network: dict[str, Any]) -> str:
    """Write the command line that repeats a run, every setting spelled out."""
    options = {
        "content": [job["content_image"]],
        "style": job["style_image"],
        "mix": job["style_image_weights"] or [],
        "name": [job["name"]],
        "size": [job["image_size"]],
        "steps": [job["steps"]],
        "solver": [job["solver"]],
        "precision": [job["precision"]],
        "seed": [job["seed"]],
        "mask": job.get("masks") or [],
        "memory": [job["memory"]] if job.get("memory") else [],
        **{name: [value] for name, value in network.items()},
        "style-size": [job["style_size"]],
        "content-layer": [job["content_layer"]],
        "style-layers": job["style_layers"],
    }
    if "strength" in job:
        options["strength"] = [job["strength"]]
    else:
        options |= {"content-weight": [job["content_weight"]], "style-weights": job["style_weights"]}
        options["tv-weight"] = [job["tv_weight"]]
    words = [word for name, values in options.items() if values for word in (f"--{name}", *map(str, values))]
    words += [f"--{name.replace('_', '-')}" for name in ("init_random", "preserve_color") if job[name]]
    if job["solver"] != "course":
        words += ["--sizes", *map(str, job["sizes"])]
    return shlex.join(["python", "style_transfer.py", *words])
