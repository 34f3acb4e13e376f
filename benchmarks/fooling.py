"""The minimal fooling images beside Foolbox's and adversarial-library's DDN: fooled as PNG, median L2, seconds.

    python -m benchmarks.fooling                   20 photographs x 5 random targets; an hour on two cores
    python -m benchmarks.fooling --photographs 4   the same in a fifth of the time

The methods take turns, photograph by photograph, in one process, so what else the machine does strikes all alike.
Foolbox's DDN appears twice: as it is, and on a network that rounds its input to 8 bits, so that what it finds can
be saved. adversarial-library (package adv-lib, where it is installed) rounds by itself.
"""

import argparse

from benchmarks.peers import adversarial_library, installed
from command_line import run
from data import load_network
from data.samples import load_sample_photographs
from foolbox_utils import STEPS, as_text, compare, methods, random_targets, summarise
from image_utils.errors import InputError
from image_utils.pixels import to_normalised, to_pixels
from networks.devices import choose_device
from networks.no_trace import untouched
from visualizers.fooling_image import nearest_levels, to_images

CLASSES = 1000


def main():
    """Parse the arguments, measure, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog="benchmarks.fooling"
    )
    parser.add_argument("--photographs", type=int, default=20, metavar="N", help="of the samples (%(default)s)")
    parser.add_argument("--targets", type=int, default=5, metavar="N", help="for each (%(default)s)")
    parser.add_argument("--steps", type=int, default=72, metavar="N", help="of our method (%(default)s)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="methods whose names contain one of these")
    parser.add_argument("--device", default="cpu", help="auto, cpu, cuda or mps (%(default)s)")
    args = parser.parse_args()
    X = load_sample_photographs()[0]
    if not 1 <= args.photographs <= len(X) or args.targets < 1:
        raise InputError(f"--photographs must be 1 to {len(X)} and --targets at least 1")
    contestants = contestants_with(args.steps)
    if args.only:
        contestants = {n: f for n, f in contestants.items() if any(word in n for word in args.only)}
    if not contestants:
        raise InputError(f"--only: the methods are {', '.join(contestants_with(args.steps))}")
    # All targets are drawn, so that a photograph keeps its own however many are measured.
    targets = random_targets(len(X), args.targets, CLASSES)[: args.photographs]
    model = load_network().to(choose_device(args.device))
    print(as_text(summarise(compare(contestants, X[: args.photographs], targets, model))))  # noqa: T201


def contestants_with(steps):
    """Return what `foolbox_utils.methods` does and, where it is installed, adversarial-library's DDN."""
    if not installed("adv_lib"):
        return methods(steps=steps)
    ddn = adversarial_library().ddn

    def peer(X, target, model):
        with untouched(model):
            pixels = to_pixels(X).clamp(0, 1)
            found = ddn(lambda p: model(to_normalised(p)), pixels, target.to(X.device), targeted=True, steps=STEPS)
        return to_images(nearest_levels(to_normalised(found)))

    return {**methods(steps=steps), "adv-lib DDN": peer}


def table(photographs=2, targets=5, steps=72):
    """Measure on the first photographs and return the table as Markdown."""
    X = load_sample_photographs()[0]
    some = random_targets(len(X), targets, CLASSES)[:photographs]
    return as_text(summarise(compare(contestants_with(steps), X[:photographs], some, load_network())))


if __name__ == "__main__":
    run(main)
