"""An image that a person takes for one thing and the network for another, as a figure and as a file that fools."""

import platform
import sys
import time

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from command_line import assignment_parser, load_inputs, run, show_files
from data.labels import find_class
from data.samples import load_sample_photographs
from image_utils.errors import InputError
from image_utils.figures import image_grid
from image_utils.loading import open_image
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD, to_input, to_normalised, to_pixels
from image_utils.writing import save_figure, save_image, save_json, whole_file
from visualizers import FoolingImage
from visualizers.fooling_image import judge, nearest_levels, to_images

EXAMPLES = """
writes into --out (default visualization/):
  fooling_image.png         the photograph, the fooling image, their difference, and ten times the difference
  fooling_image_exact.png   a plain image at the network's input size that still fools when it is opened again
  fooling_image_exact.json  its card: classes, probabilities, margin, size of the change, versions
  fooling_comparison.md     with --compare N: our two methods and Foolbox's DDN on N pairs of photograph and target

examples:
  python fooling_image.py                                    the assignment: photograph 0 as class 6
  python fooling_image.py --index 3 --target gorilla          another photograph, another class
  python fooling_image.py --images cat.jpg --target 281 --method minimal
  python fooling_image.py --verify visualization/fooling_image_exact.png
  python fooling_image.py --compare 10
"""
MAGNIFY = 10
TOP = 5  # classes that --verify lists
DDN_STEPS = 300


def main():
    """Parse the arguments, fool the network, write figure, image and card; or verify; or compare."""
    parser = assignment_parser(__doc__, epilog=EXAMPLES)
    group = parser.add_argument_group("fooling")
    group.add_argument("--target", default="6", metavar="CLASS", help="what the network shall see (%(default)s)")
    group.add_argument("--index", type=int, default=0, metavar="N", help="which photograph, from 0 (%(default)s)")
    group.add_argument(
        "--method", choices=("course", "minimal"), default="course", help="of the figure (%(default)s)"
    )
    group.add_argument("--verify", metavar="FILE", help="only say what the network sees in an image file")
    group.add_argument("--compare", type=int, metavar="N", help="only compare with Foolbox on N pairs (1 to 100)")
    args = parser.parse_args()
    inputs = load_inputs(args)
    if args.verify:
        verify(args.verify, inputs)
    elif args.compare is not None:
        write_comparison(args.compare, inputs)
    else:
        fool(args, inputs)


def fool(args, inputs):
    """Write the four panels and the exact image with its card."""
    if not 0 <= args.index < len(inputs.X):
        raise InputError(f"--index must be 0 to {len(inputs.X) - 1}, not {args.index}")
    target = find_class(args.target, inputs.class_names)
    photograph = inputs.X[args.index]
    X = to_input(photograph[None]).to(inputs.device)
    minimal = FoolingImage().make_minimal_fooling_image(X, target, inputs.model)
    if args.method == "course":
        fooling = FoolingImage().make_fooling_image(X, target, inputs.model)
    else:
        fooling = to_input(minimal.images).to(inputs.device)
    draw(photograph, fooling, inputs, inputs.out / "fooling_image.png")
    image = inputs.out / "fooling_image_exact.png"
    save_image(Image.fromarray(minimal.images[0]), image)
    save_json(card(photograph, target, minimal, inputs), inputs.out / "fooling_image_exact.json")
    if not minimal.success[0]:
        raise InputError(f"no fooling image for '{inputs.class_names[target]}' was found; {image} is the closest")
    if args.show:
        show_files(inputs.out / "fooling_image.png", image)


def draw(photograph, fooling, inputs, path):
    """Draw the course's four panels: differences as signed numbers around grey, so that nothing wraps around."""
    pixels = to_pixels(fooling)[0].permute(1, 2, 0).cpu().numpy()
    difference = pixels - photograph / 255
    panels = [photograph, np.clip(pixels, 0, 1), *(np.clip(0.5 + k * difference, 0, 1) for k in (1, MAGNIFY))]
    before, after = (seen(x, inputs)[0] for x in (to_input(photograph[None]).to(inputs.device), fooling))
    titles = [
        f"Photograph: {before[0]} ({before[1]:.0%})",
        f"Fooling image: {after[0]} ({after[1]:.0%})",
        "Difference",
        f"Difference x {MAGNIFY}",
    ]
    save_figure(image_grid([panels], column_titles=titles, cell=3.0), path)


@torch.no_grad()
def seen(x, inputs, top=1):
    """Return what the network sees in a normalised image (1, 3, H, W): the `top` names with probabilities."""
    values, classes = inputs.model(x).softmax(dim=1)[0].topk(top)
    return [(inputs.class_names[int(c)], v.item()) for v, c in zip(values, classes, strict=True)]


def card(photograph, target, minimal, inputs):
    """Describe the exact image."""
    images = {"photograph": photograph, "fooling image": minimal.images[0]}
    looks = {name: seen(to_input(image[None]).to(inputs.device), inputs)[0] for name, image in images.items()}
    return {
        "fools": bool(minimal.success[0]),
        "target": {"class": target, "name": inputs.class_names[target]},
        "seen in": {name: {"name": look[0], "probability": look[1]} for name, look in looks.items()},
        "margin": float(minimal.margin[0]),
        "L2": {"of [0, 1]": float(minimal.l2[0]), "in 1/255": float(minimal.l2[0]) * 255},
        "Linf": {"of [0, 1]": float(minimal.linf[0]), "in 1/255": round(float(minimal.linf[0]) * 255)},
        "step": int(minimal.steps[0]),
        "size": {"width": photograph.shape[1], "height": photograph.shape[0]},
        "method": "minimal; deterministic, the seed plays no part",
        "seed": inputs.seed,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def verify(file, inputs):
    """Print what the network sees in an image file at its own size."""
    x = to_input(np.asarray(open_image(file))[None]).to(inputs.device)
    try:
        looks = seen(x, inputs, TOP)
    except RuntimeError as problem:
        raise InputError(f"'{file}': the network does not take it: {str(problem).splitlines()[0]}") from None
    sys.stdout.write(f"{file}: {x.shape[3]} x {x.shape[2]} pixels, seen as\n")
    sys.stdout.writelines(f"  {probability:7.2%}  {name}\n" for name, probability in looks)


def write_comparison(pairs, inputs):
    """Write the table of success, median L2 and seconds of our methods and Foolbox's."""
    if not 1 <= pairs <= 100:
        raise InputError(f"--compare must be 1 to 100, not {pairs}")
    rows = compare(inputs.model, pairs, inputs.device)
    lines = [
        f"{pairs} pairs of sample photograph and random target; L2 of pixels on the [0, 1] scale, after rounding.",
        "",
        "| method | fools | still fools as 8-bit image | median L2 | seconds an image |",
        "|---|---|---|---|---|",
        *(f"| {name} | {a} | {b} | {l2:.3f} | {seconds:.2f} |" for name, a, b, l2, seconds in rows),
    ]
    with whole_file(inputs.out / "fooling_comparison.md") as temporary:
        temporary.write_text("\n".join(lines) + "\n")


def compare(model, pairs, device="cpu"):
    """Put pairs of photograph and target through our two methods and Foolbox's DDN attack.

    The pairs are the 20 sample photographs with torch.randint(0, 1000, (20, 5), seed 0), photograph by photograph
    in each column of targets.

    Args:
        model: classification network on `device`.
        pairs: how many, 1 to 100.
        device: torch.device.

    Returns:
        List of (name, fooled, fooled after rounding to 8 bits, median L2 after rounding, seconds an image).
    """
    photographs, _, _ = load_sample_photographs()
    targets = torch.randint(0, 1000, (20, 5), generator=torch.Generator().manual_seed(0)).T.reshape(-1)[:pairs]
    X = to_input(photographs[np.arange(pairs) % 20]).to(device)
    y = targets.to(device)
    methods = {
        "course's recipe": lambda x, t: FoolingImage().make_fooling_image(x, t, model),
        "minimal": lambda x, t: to_input(FoolingImage().make_minimal_fooling_image(x, t, model).images).to(device),
        f"Foolbox DDN, {DDN_STEPS} steps": lambda x, t: foolbox_ddn(model, x, t, device),
    }
    rows = []
    for name, method in methods.items():
        started = time.perf_counter()
        batches = tqdm(
            list(zip(X.split(5), y.split(5), strict=True)), desc=name, unit="batch", delay=2, leave=False
        )
        found = torch.cat([method(x, t) for x, t in batches])
        seconds = (time.perf_counter() - started) / pairs
        with torch.no_grad():
            fooled = int((torch.cat([model(x).argmax(1) for x in found.split(1)]) == y).sum())
        images = to_images(nearest_levels(found))
        survived = int((judge(images, targets, model) > 0).sum())
        change = (images.astype(float) - photographs[np.arange(pairs) % 20]) / 255
        rows.append((name, fooled, survived, float(np.median(np.sqrt((change**2).sum((1, 2, 3))))), seconds))
    return rows


def foolbox_ddn(model, x, target, device):
    """Run Foolbox's DDN attack; normalised Tensors in and out."""
    import foolbox

    preprocessing = {"mean": SQUEEZENET_MEAN.tolist(), "std": SQUEEZENET_STD.tolist(), "axis": -3}
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), preprocessing=preprocessing, device=device)
    criterion = foolbox.criteria.TargetedMisclassification(target)
    attack = foolbox.attacks.DDNAttack(steps=DDN_STEPS)
    found, _, _ = attack(wrapped, to_pixels(x).clamp(0, 1), criterion, epsilons=None)
    return to_normalised(found)


if __name__ == "__main__":
    run(main)
