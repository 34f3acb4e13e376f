"""A fooling image by the course's recipe, and the smallest one as a PNG that really fools when reopened."""

import before_imports  # noqa: F401  (it must come first)

import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from command_line import assignment_parser, load_inputs, load_named_network, named_weights, run, show_files
from data.labels import find_class, names_for
from data.samples import SIZE
from image_utils.errors import InputError
from image_utils.figures import image_grid, magnified
from image_utils.loading import load_image
from image_utils.pixels import to_input, to_pixels
from image_utils.writing import save_figure, save_image, save_json
from inputs import percent
from networks.devices import choose_device
from networks.no_trace import untouched
from visualizers import FoolingImage
from visualizers.fooling_image import judge, nearest_levels, to_images
from visualizers.minimal_fooling import LEVELS, target_margin

EXAMPLES = """
writes into --out (default visualization/):
  fooling_image.png          photograph, fooling image, and their difference, magnified
  fooling_image_exact.png    the smallest change of 8-bit pixels that fools, at the network's input size, lossless;
                             by the minimal method, whichever the figure shows
  fooling_image_exact.json   what the network sees in it, and how small the change is
  fooling_comparison.csv     with --compare: ours beside Foolbox's L2 attacks, a row a method
  fooling_comparison.png     with --compare: how many are fooled within which change

examples:
  python fooling_image.py                                    the assignment: photograph 0, target 6
  python fooling_image.py --index 2 --target gorilla         another photograph, another class
  python fooling_image.py --method minimal                   the minimal method in the figure, too
  python fooling_image.py --verify visualization/fooling_image_exact.png
  python fooling_image.py --compare 5                        five pairs through five methods; some minutes
"""
STEPS = 72  # of the minimal method
MARGIN = 0.05  # score units by which the exact image fools
SHOWN = 3  # classes that --verify names
PACKAGES = ("torch", "torchvision", "numpy", "pillow")  # that have a say in what the network sees


def main():
    """Parse the arguments, fool the network, write the figure and the exact image; or verify a file."""
    args = make_parser().parse_args()
    if args.verify:
        verify(args)
        return
    inputs = load_inputs(args)
    check(args, inputs)
    target = find_class(args.target, inputs.class_names)
    x = to_input(inputs.X[args.index][None]).to(inputs.device)
    found = FoolingImage().make_minimal_fooling_image(
        x, target, inputs.model, steps=args.steps, margin=args.margin
    )
    if not found.success[0]:
        raise InputError(
            f"--target {args.target}: no 8-bit image found in {args.steps} steps that is seen so by a margin of "
            f"{args.margin} (closest: {found.margin[0]:.3g}); try more --steps"
        )
    draw(args, inputs, x, target, found)
    write_exact(args, inputs, x, target, found)
    if args.compare:
        compare_with_foolbox(args, inputs)
    if args.show:
        show_files(inputs.out / "fooling_image.png")


def make_parser():
    """Make the parser: the common arguments, and what is to be seen in which photograph."""
    parser = assignment_parser(__doc__, epilog=EXAMPLES)
    group = parser.add_argument_group("fooling")
    group.add_argument(
        "--target", default="6", metavar="CLASS", help="class to be seen, number or name (%(default)s)"
    )
    group.add_argument("--index", type=int, default=0, metavar="N", help="which photograph (%(default)s)")
    group.add_argument(
        "--method", choices=("course", "minimal"), default="course", help="what the figure shows (%(default)s)"
    )
    group.add_argument("--steps", type=int, default=STEPS, metavar="N", help="of the minimal method (%(default)s)")
    group.add_argument(
        "--margin", type=float, default=MARGIN, metavar="M", help="of the target's score in the PNG (%(default)s)"
    )
    group.add_argument(
        "--verify", type=Path, metavar="FILE", help="say what the network sees in an image, no more"
    )
    group.add_argument(
        "--compare",
        type=int,
        nargs="?",
        const=10,
        metavar="PAIRS",
        help="run Foolbox's attacks too, on at least so many pairs (%(const)s)",
    )
    return parser


def check(args, inputs):
    """Raise InputError unless the numbers fit the photographs."""
    if not 0 <= args.index < len(inputs.X):
        raise InputError(f"--index must be 0 to {len(inputs.X) - 1}, not {args.index}")
    if args.compare is not None and args.compare < 1:
        raise InputError(f"--compare needs at least 1 pair, not {args.compare}")


def draw(args, inputs, x, target, found):
    """Write the three panels, the first two with what the network sees in them."""
    if args.method == "course":
        fooling = FoolingImage().make_fooling_image(x, target, inputs.model)
        how = "the course's recipe, steps of length 10"
    else:
        fooling = to_input(found.images).to(x)
        how = "the minimal method, whole 8-bit levels"
    photograph, fooled = (to_pixels(images)[0].permute(1, 2, 0).cpu().numpy() for images in (x, fooling))
    difference = fooled - photograph
    shown, factor = magnified(difference)
    titles = [titled(image, inputs) for image in (x, fooling)]
    seen_first, label = seen(x, inputs.model)["class"], int(inputs.y[args.index])
    known = "" if seen_first == label else f" The photograph's label: {inputs.class_names[label]}."
    figure = image_grid(
        [[photograph.clip(0, 1), fooled.clip(0, 1), shown]],
        column_titles=[*titles, f"difference x {factor}"],
        caption=f"By {how}: L2 {np.linalg.norm(difference):.2f}, at most "
        f"{LEVELS * np.abs(difference).max():.0f} levels. Grey: no change.{known}",
    )
    save_figure(figure, inputs.out / "fooling_image.png")


def titled(x, inputs):
    """Say what the network sees in an image (1, 3, H, W), and how surely."""
    sight = seen(x, inputs.model)
    return f"{inputs.class_names[sight['class']]}\n{percent(sight['probabilities'][sight['class']].item())}"


def write_exact(args, inputs, x, target, found):
    """Write the PNG and its card, once the reopened PNG has fooled the network."""
    image = found.images[0]
    save_image(Image.fromarray(image), inputs.out / "fooling_image_exact.png")
    reopened = load_image(inputs.out / "fooling_image_exact.png")
    if not np.array_equal(reopened, image) or judge(reopened[None], target, inputs.model)[0] <= 0:
        raise InputError(f"'{inputs.out / 'fooling_image_exact.png'}' does not fool when reopened")
    save_json(card(args, inputs, x, target, found), inputs.out / "fooling_image_exact.json")


def card(args, inputs, x, target, found):
    """Describe the exact image in plain values."""
    names, true = inputs.class_names, int(inputs.y[args.index])
    before, after = seen(x, inputs.model), seen(to_input(found.images).to(x), inputs.model)
    change = found.images[0].astype(int) - to_images(nearest_levels(x))[0].astype(int)

    def described(sight):
        probabilities = sight["probabilities"]
        return {
            "class": sight["class"],
            "name": names[sight["class"]],
            "probability": probabilities[sight["class"]].item(),
            "probability_of_target": probabilities[target].item(),
            "probability_of_label": probabilities[true].item(),
        }

    return {
        "file": "fooling_image_exact.png",
        "method": "minimal",
        "network": args.network,
        "weights": named_weights(args),
        "photograph": str(inputs.files[args.index]) if inputs.files else f"sample {args.index}",
        "label": {"class": true, "name": names[true]},
        "target": {"class": target, "name": names[target]},
        "seen_in_photograph": described(before),
        "seen_in_fooling_image": described(after),
        "margin": {"wanted": args.margin, "reached": float(found.margin[0])},
        "l2": {"pixels_0_to_1": float(found.l2[0]), "levels": float(found.l2[0] * LEVELS)},
        "linf": {"pixels_0_to_1": float(found.linf[0]), "levels": round(float(found.linf[0] * LEVELS))},
        "values_changed": {"number": int((change != 0).sum()), "of": change.size},
        "steps": {"found_at": int(found.steps[0]), "of": args.steps},
        "seed": args.seed,
        "versions": {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}},
    }


def seen(x, model):
    """Return what the network sees in an image (1, 3, H, W): class, probabilities (C,), margin over the second."""
    with untouched(model), torch.no_grad():
        scores = model(x)
    top = scores.argmax(dim=1)
    return {
        "class": top.item(),
        "probabilities": scores.softmax(dim=1)[0],
        "margin": target_margin(scores, top).item(),
    }


def verify(args):
    """Print what the network sees in an image file, pixel for pixel as it is."""
    device = choose_device(args.device)
    model = load_named_network(args).to(device)
    image = load_image(args.verify)
    try:
        sight = seen(to_input(image[None]).to(device), model)
    except (RuntimeError, AssertionError, ValueError) as problem:
        raise InputError(
            f"'{args.verify}': the network does not take it: {str(problem).splitlines()[0]}"
        ) from None
    names = names_for(len(sight["probabilities"]), args.names)
    height, width = image.shape[:2]
    size = "" if min(height, width) == SIZE else f", judged at this size, not brought to {SIZE} as photographs are"
    print(f"{args.verify}: {width} x {height} pixels{size}, margin {sight['margin']:.3f}")  # noqa: T201
    shown = min(SHOWN, len(names))
    for probability, index in zip(*sight["probabilities"].topk(shown), strict=True):
        print(f"{100 * probability:7.2f} %  {index:4d}  {names[index.item()]}")  # noqa: T201


def compare_with_foolbox(args, inputs):
    """Write the table and the curves of ours beside Foolbox's, on the first photographs and random targets."""
    import foolbox_utils as peers  # Foolbox takes a while to import, and only this needs it

    photographs = inputs.X[: args.compare]
    each = -(-args.compare // len(photographs))
    targets = peers.random_targets(len(photographs), each, len(inputs.class_names), seed=args.seed)
    outcomes = peers.compare(peers.methods(steps=args.steps), photographs, targets, inputs.model)
    peers.write_comparison(outcomes, inputs.out)


if __name__ == "__main__":
    run(main)
