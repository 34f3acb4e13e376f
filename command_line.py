"""What the root scripts share: their common arguments, what these load, and how a script ends.

parser = assignment_parser("Saliency maps ...")
inputs = load_inputs(parser.parse_args())       # network, photographs, labels, names, device, folder
...
if __name__ == "__main__":
    run(main)
"""

import argparse
import functools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from data.networks import EMBEDDED_NAME, load_network
from data.samples import SIZE, load_imagenet_val
from image_utils.errors import InputError
from image_utils.loading import open_image, shorten
from image_utils.pixels import to_input
from networks.devices import choose_device
from networks.scores import first_scores

SAMPLES = 5  # photographs the assignment uses
BATCH = 16  # photographs in one pass; more need more memory and save no time
MAX_ASPECT = 8  # the shortest side becomes 224 pixels; a ribbon's longest would fill the memory


@dataclass
class Inputs:
    """What a script works on. What can be known of the photographs is computed when first asked for, and once.

    Attributes:
        model: classification network, eval mode, frozen, on `device`.
        X: N photographs, uint8 (H, W, 3) each, shortest side 224.
        y: int64 ndarray (N,), the classes to explain.
        class_names: dict from class index to name.
        device: torch.device.
        out: folder of the figures.
        seed: integer.
    """

    model: torch.nn.Module
    X: list
    y: np.ndarray
    class_names: dict
    device: torch.device
    out: Path
    seed: int

    @functools.cached_property
    def batches(self) -> list[torch.Tensor]:
        """The photographs in order, normalised once and on the device: Tensors (n, 3, H, W), n at most BATCH."""
        same = len({x.shape for x in self.X}) == 1
        step = BATCH if same else 1
        groups = [self.X[first : first + step] for first in range(0, len(self.X), step)]
        return [to_input(np.stack(group)).to(self.device) for group in groups]

    @functools.cached_property
    def scores(self) -> list[torch.Tensor]:
        """The network's class scores of each photograph, Tensors (C,) on the CPU.

        Raises:
            InputError: the network does not take such photographs.
        """
        return self.each(lambda x, _: first_scores(self.model, x).cpu())

    def each(self, function) -> list:
        """Apply `function(x, y)` to the batches and their labels; returns one result a photograph."""
        results = []
        for x in self.batches:
            y = torch.as_tensor(self.y[len(results) : len(results) + len(x)], device=self.device)
            results.extend(function(x.detach(), y))
        return results

    def tensors(self) -> tuple[torch.Tensor | list[torch.Tensor], torch.Tensor]:
        """Return X_tensor and y_tensor as the course's scripts have them.

        Returns:
            (float Tensor (N, 3, H, W) that requires a gradient, int64 Tensor (N,)); where photographs differ in
            size, a list of N Tensors (3, H, W) in the place of the first.
        """
        y_tensor = torch.as_tensor(self.y, device=self.device)
        if len({x.shape for x in self.X}) == 1:
            return torch.cat(self.batches).requires_grad_(), y_tensor
        return [x[0].detach().requires_grad_() for x in self.batches], y_tensor

    def names(self) -> list[str]:
        """Return the name of each photograph's class."""
        return [self.class_names[int(label)] for label in self.y]

    def titles(self) -> list[str]:
        """Say of each photograph its class and the network's probability of it."""
        chances = [s.softmax(0)[label].item() for s, label in zip(self.scores, self.y, strict=True)]
        return [f"{name}\n{percent(p)}" for name, p in zip(self.names(), chances, strict=True)]

    def gains(self) -> list[float]:
        """Return what each class score gains over that of the mean colour, which is zero after normalisation."""
        with torch.no_grad():
            grey = self.each(lambda x, _: self.model(torch.zeros_like(x[:1])).cpu().expand(len(x), -1))
        return [(s - g)[label].item() for s, g, label in zip(self.scores, grey, self.y, strict=True)]

    def one_by_one(self, function, title) -> list:
        """Apply `function(x, y)` to each photograph alone, for slow methods; a progress bar appears after 2 s."""
        progress = tqdm(total=len(self.X), desc=title, unit="image", delay=2, leave=False)

        def counted(x, y):
            results = []
            for image, label in zip(x.split(1), y.split(1), strict=True):
                results.append(function(image, label)[0])
                progress.update()
            return results

        with progress:
            return self.each(counted)


def percent(probability: float) -> str:
    """Write a probability as a person reads it: 87 %, 0.3 %, under 0.1 %."""
    if probability < 0.001:
        return "under 0.1 %"
    return f"{100 * probability:.0f} %" if probability >= 0.0995 else f"{100 * probability:.1f} %"


class _OneLineParser(argparse.ArgumentParser):
    """Says what is wrong in one line, without repeating the usage."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (see --help)\n")


def assignment_parser(description, *, epilog=None, images=True, seed=True, out="visualization"):
    """Make a parser with the arguments common to all root scripts.

    Args:
        description: what the script does, for --help.
        epilog: examples, for --help; line breaks are kept.
        images: whether the script takes photographs (--images, --labels, --num).
        seed: whether it draws random numbers (--seed).
        out: default folder of what is written.
    """
    parser = _OneLineParser(
        description=description, epilog=epilog, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if images:
        group = parser.add_argument_group("photographs", "without any of these: the assignment's five")
        group.add_argument("--images", nargs="+", metavar="FILE", help="your own, any format Pillow reads")
        group.add_argument(
            "--labels",
            nargs="+",
            type=int,
            metavar="N",
            help="their class indices; default: the network's top-1",
        )
        group.add_argument("--num", type=int, metavar="N", help=f"how many of the samples (default {SAMPLES})")
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
    group.add_argument("--device", default="auto", help="auto, cpu, cuda or mps (%(default)s)")
    group = parser.add_argument_group("output")
    group.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help="folder (%(default)s)")
    if seed:
        group.add_argument("--seed", type=int, default=0, metavar="N", help="of all random numbers (%(default)s)")
    group.add_argument("--show", action="store_true", help="open the figures when they are written")
    return parser


def load_inputs(args) -> Inputs:
    """Load what the arguments name.

    Raises:
        InputError: a file, label, network, device or number is unusable; nothing has been written then.
    """
    check_seed(args.seed)
    device = choose_device(args.device)
    check_folder(args.out)
    model = load_named_network(args).to(device)
    inputs = Inputs(model, [], np.zeros(0, np.int64), {}, device, args.out, args.seed)
    if getattr(args, "images", None):
        if args.num is not None:
            raise InputError("--num chooses samples; it does not go with --images")
        inputs.X = [_photograph(file) for file in args.images]
        inputs.class_names = load_imagenet_val(1)[2]
        inputs.y = _labels(args.labels, inputs)
    else:
        if getattr(args, "labels", None):
            raise InputError("--labels go with --images")
        X, inputs.y, inputs.class_names = _samples(getattr(args, "num", None))
        inputs.X = list(X)
    return inputs


def check_seed(seed):
    """Raise InputError for a seed that the generators do not take."""
    if not 0 <= seed < 2**63:
        raise InputError(f"--seed must be 0 or more and less than 2^63, not {seed}")


def named_weights(args):
    """Return what --weights says, or what it means where it is not given."""
    return args.weights or ("embedded" if args.network == EMBEDDED_NAME else "torchvision")


def load_named_network(args):
    """Load the network that --network and --weights name."""
    return load_network(args.network, named_weights(args))


def check_folder(folder):
    """Raise InputError where `folder` is there and is no folder, before any work is done for it."""
    for part in (folder, *folder.parents):
        try:
            in_the_way = part.exists() and not part.is_dir()
        except OSError as problem:  # a folder above may not be read, or a name is too long
            raise InputError(f"--out '{folder}': {problem.strerror}") from None
        if in_the_way:
            raise InputError(f"--out '{folder}': '{part}' is a file, not a folder")


def _photograph(file):
    img = open_image(file)
    check_aspect(img, file)
    return np.array(shorten(img, SIZE))


def check_aspect(img, file):
    """Raise InputError for a PIL image so long that it would fill the memory, once brought to size."""
    if max(img.size) > MAX_ASPECT * min(img.size):
        raise InputError(f"'{file}' is more than {MAX_ASPECT} times as long as it is wide; cut out a part of it")


def _samples(num):
    num = SAMPLES if num is None else num
    X, y, class_names = load_imagenet_val()
    if not 1 <= num <= len(X):
        raise InputError(f"--num must be 1 to {len(X)}, not {num}")
    return X[:num], y[:num], class_names


def _labels(given, inputs):
    """Check the labels given, or take the network's own top-1."""
    inputs.y = np.zeros(len(inputs.X), dtype=np.int64)
    scores = inputs.scores
    if given is None:
        return np.array([int(s.argmax()) for s in scores], dtype=np.int64)
    if len(given) != len(inputs.X):
        raise InputError(f"--labels: {len(given)} labels for {len(inputs.X)} images")
    for label in given:
        if not 0 <= label < len(scores[0]):
            raise InputError(f"--labels: {label} is not a class index from 0 to {len(scores[0]) - 1}")
    return np.array(given, dtype=np.int64)


def show_files(*paths):
    """Open written figures with the desktop's viewer."""
    for path in paths:
        Image.open(path).show(title=str(path))


def run(main):
    """Run a script's main function and end the process as the house does.

    Exit status 0; 2 and one line on standard error for unusable input; 130 after Ctrl-C.
    """
    try:
        main()
    except InputError as problem:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: error: {problem}\n")
        sys.exit(2)
    except KeyboardInterrupt:
        sys.stderr.write(f"{Path(sys.argv[0]).name}: interrupted\n")
        sys.exit(130)
