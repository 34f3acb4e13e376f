"""What the root scripts share: their common arguments, what these load, and how a script ends.

parser = assignment_parser("Saliency maps ...")
inputs = load_inputs(parser.parse_args())       # network, photographs, labels, names, device, folder
...
if __name__ == "__main__":
    run(main)
"""

import argparse
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data.labels import find_class, names_for
from data.networks import EMBEDDED_NAME, load_network
from data.samples import SIZE, centre_crop, load_imagenet_val
from image_utils.errors import InputError
from image_utils.loading import open_image, shorten
from image_utils.writing import noting_files
from inputs import Inputs
from networks.devices import choose_device

SAMPLES = 5  # photographs the assignment uses
MAX_ASPECT = 8  # the shortest side becomes 224 pixels; a ribbon's longest would fill the memory
MAX_PHOTOGRAPHS = 100  # in a figure that a person can look at
SAMPLE_CLASSES = 1000  # the samples' labels are ImageNet's
LISTED = 12  # files that a script names in each folder
NUMBER = re.compile(r"-(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|-inf|-nan", re.IGNORECASE)


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating the usage."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # argparse takes -1e9 and -inf for options, not for the numbers that they are; it offers no public way.
        self._negative_number_matcher = re.compile(f"^({NUMBER.pattern})$", re.IGNORECASE)

    def error(self, message):
        """Print what is wrong, and exit with status 2."""
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def folder(text: str) -> Path:
    """Understand the name of a folder; an empty one, as an unset variable of a shell gives it, is refused."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the folder's name is empty; this folder is .")
    return Path(text)


def assignment_parser(description, *, epilog=None, images=True, seed=True, out="visualization"):
    """Make a parser with the arguments common to all root scripts.

    Args:
        description: what the script does, for --help.
        epilog: examples, for --help; line breaks are kept.
        images: whether the script takes photographs (FILE ..., --images, --labels, --num, --crop).
        seed: whether it draws random numbers (--seed).
        out: default folder of what is written.
    """
    parser = OneLineParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if images:
        group = parser.add_argument_group("photographs", "without any of these: the assignment's five")
        group.add_argument("photographs", nargs="*", metavar="FILE", help="your own, any format Pillow reads")
        group.add_argument("--images", nargs="+", metavar="FILE", help="the same")
        group.add_argument(
            "--labels",
            nargs="+",
            metavar="CLASS",
            help="their classes, number or name; default: the network's top-1",
        )
        group.add_argument("--num", type=int, metavar="N", help=f"how many of the samples (default {SAMPLES})")
        group.add_argument(
            "--crop", choices=("none", "center"), default="none", help="center: cut out a square, as a ViT needs"
        )
    group = parser.add_argument_group("network")
    group.add_argument(
        "--network",
        default=EMBEDDED_NAME,
        metavar="NAME",
        help="torchvision classification network (%(default)s)",
    )
    group.add_argument(
        "--weights",
        metavar="W",
        help="embedded, torchvision, random, or a .pth or .safetensors file "
        f"(default: embedded for {EMBEDDED_NAME}, torchvision for others)",
    )
    group.add_argument(
        "--num-classes", type=int, metavar="N", help="of a network of your own, with --weights FILE"
    )
    group.add_argument("--classes", dest="names", metavar="FILE", help="their names: one a line, or .json")
    for name in ("mean", "std"):
        group.add_argument(
            f"--{name}",
            nargs=3,
            type=float,
            metavar="X",
            help="of its pixels in [0, 1], RGB (default: ImageNet's)",
        )
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (%(default)s)")
    group = parser.add_argument_group("output")
    group.add_argument("--out", type=folder, default=Path(out), metavar="DIR", help="folder (%(default)s)")
    if seed:
        group.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (%(default)s)")
    group.add_argument("--show", action="store_true", help="open the figures when they are written")
    group.add_argument("--quiet", action="store_true", help="say nothing when all is well")
    return parser


def load_inputs(args) -> Inputs:
    """Load what the arguments name.

    Raises:
        InputError: a file, label, network, device or number is unusable; nothing has been written then.
    """
    check_seed(args.seed)
    device = choose_device(args.device)
    check_folder(args.out)
    files = chosen_files(args)
    if files and args.num is not None:
        raise InputError("--num chooses samples; it does not go with photographs of your own")
    if not files and getattr(args, "labels", None):
        raise InputError("--labels go with photographs of your own (--images)")
    model = load_named_network(args).to(device)
    inputs = Inputs(model, [], np.zeros(0, np.int64), {}, device, args.out, args.seed, files)
    if files:
        inputs.X = [load_photograph(file, args.crop) for file in files]
        inputs.y = np.zeros(len(files), dtype=np.int64)
    else:
        X, inputs.y, inputs.class_names = _samples(getattr(args, "num", None))
        inputs.X = list(X)
    _look(args, inputs)
    report(inputs.sights() if hasattr(args, "photographs") else (), quiet=args.quiet)
    return inputs


def chosen_files(args) -> list:
    """Return the files of one's own photographs that the arguments name, wherever they stand in the command."""
    files = [*(getattr(args, "photographs", None) or ()), *(getattr(args, "images", None) or ())]
    if len(files) > MAX_PHOTOGRAPHS:
        raise InputError(
            f"--images: {len(files)} photographs; at most {MAX_PHOTOGRAPHS} fit into a figure, and "
            "python -m explain takes whole folders"
        )
    return files


def check_seed(seed):
    """Raise InputError for a seed that the generators do not take."""
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed must be 0 or more and less than 2^63, not {seed}")


def named_weights(args):
    """Return what --weights says, or what it means where it is not given."""
    return args.weights or ("embedded" if args.network == EMBEDDED_NAME else "torchvision")


def load_named_network(args):
    """Load the network that --network, --weights, --num-classes, --mean and --std describe."""
    weights = named_weights(args)
    if args.num_classes is not None and (args.num_classes < 2 or weights in ("embedded", "torchvision")):
        raise InputError(
            f"--num-classes must be 2 or more and goes with --weights FILE, not {args.num_classes} with {weights}"
        )
    for name in ("mean", "std"):
        values = getattr(args, name)
        if values and not (np.isfinite(values).all() and (name == "mean" or min(values) > 0)):
            raise InputError(f"--{name} must be three numbers{' above 0' * (name == 'std')}, not {values}")
    return load_network(args.network, weights, num_classes=args.num_classes, mean=args.mean, std=args.std)


def check_folder(folder):
    """Raise InputError where `folder` is there and is no folder, before any work is done for it."""
    for part in (folder, *folder.parents):
        try:
            in_the_way = part.exists() and not part.is_dir()
        except OSError as problem:  # a folder above may not be read, or a name is too long
            raise InputError(f"--out '{folder}': {problem.strerror}") from None
        if in_the_way:
            raise InputError(f"--out '{folder}': '{part}' is a file, not a folder")


def load_photograph(file, crop="none"):
    """Load a photograph at the size that networks take: uint8 ndarray (H, W, 3), the shortest side SIZE.

    Args:
        file: path.
        crop: "none", or "center" for the central square.

    Raises:
        InputError: it cannot be read, or is a ribbon (and not cropped).
    """
    img = open_image(file)
    if crop == "center":
        if max(img.size) > MAX_ASPECT * min(img.size):
            img = centre_crop(img, min(img.size))  # before the rest of a ribbon fills the memory
        return np.array(centre_crop(shorten(img, SIZE), SIZE))
    check_aspect(img, file)
    return np.array(shorten(img, SIZE))


def check_aspect(img, file):
    """Raise InputError for a PIL image so long that it would fill the memory, once brought to size."""
    if max(img.size) > MAX_ASPECT * min(img.size):
        raise InputError(
            f"'{file}' is more than {MAX_ASPECT} times as long as it is wide; cut out a part of it, or give "
            "--crop center"
        )


def _samples(num):
    num = SAMPLES if num is None else num
    X, y, class_names = load_imagenet_val()
    if not 1 <= num <= len(X):
        raise InputError(f"--num must be 1 to {len(X)}, not {num}")
    return X[:num], y[:num], class_names


def _look(args, inputs):
    """Run the network once: how many classes it has, what it sees, and which classes are explained."""
    given = getattr(args, "labels", None)
    if given and len(given) != len(inputs.X):
        raise InputError(f"--labels needs one for each image: {len(inputs.X)}, not {len(given)}")
    try:
        classes = len(inputs.scores[0])
    except InputError as problem:
        raise InputError(f"{problem}; --crop center makes the photographs square") from None
    if args.names or not inputs.class_names or classes != len(inputs.class_names):
        inputs.class_names = names_for(classes, args.names)
    if given:
        inputs.y = np.array([_label(text, inputs.class_names) for text in given], dtype=np.int64)
    elif inputs.files or classes != SAMPLE_CLASSES:  # a network of one's own does not know the samples' classes
        inputs.y = np.array([seen for seen, _ in inputs.top], dtype=np.int64)


def _label(text, class_names):
    try:
        return find_class(text, class_names)
    except InputError as problem:
        raise InputError(f"--labels: {problem}") from None


def show_files(*paths):
    """Open written figures with the desktop's viewer; say so where there is no desktop."""
    if sys.platform.startswith("linux") and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        sys.stderr.write(f"--show: there is no display here; open {', '.join(map(str, paths))} yourself\n")
        return
    for path in paths:
        Image.open(path).show(title=str(path))


@dataclass
class _Report:
    """What a script says when it has ended well: lines of its own, the files it wrote, and the time it took."""

    lines: list | None = None
    quiet: bool = False


_report = _Report()


def report(lines=(), *, quiet=False) -> None:
    """Have `run` end with what the script did.

    Args:
        lines: said first, such as what the network sees in each photograph.
        quiet: say nothing after all.
    """
    _report.lines, _report.quiet = [*(_report.lines or ()), *lines], quiet


def _summary(files, seconds):
    """Say which files were written, a line for each folder, and how long it took."""
    folders: dict[Path, list[str]] = {}
    for file in dict.fromkeys(file for file in files if file.exists()):  # a checkpoint has gone by then
        folders.setdefault(file.parent, []).append(file.name)
    for place, names in folders.items():
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        yield f"wrote into {place}/: {', '.join(names[:LISTED])}{more}"
    yield f"{seconds:.1f} s"


def run(main: Callable[[], Any]) -> None:
    """Run a script's main function and end the process as the house does.

    Exit status 0; 2 and one line on standard error for unusable input; 130 after Ctrl-C.
    """
    started, name = time.perf_counter(), Path(sys.argv[0]).name
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # see before_imports.py
    _report.lines, _report.quiet = None, False
    try:
        with noting_files() as files:
            main()
        if _report.lines is not None and not _report.quiet:
            said = [*_report.lines, *_summary(files, time.perf_counter() - started)]
            sys.stderr.write("".join(f"{line}\n" for line in said))
    except InputError as problem:
        sys.stderr.write(f"{name}: error: {problem}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write(f"{name}: interrupted\n")
        sys.exit(130)
