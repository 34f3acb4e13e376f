"""Whether every technique gives in this checkout what it gave in another, on torchvision's networks.

    git worktree add /tmp/before v1.0.0
    python -m benchmarks.compare_states /tmp/before                      a good subset
    python -m benchmarks.compare_states /tmp/before --networks resnet18 vit_b_16

Random weights from a fixed seed, small random images, float64, so that another order of adding shows in the last
digits only. Each network is computed in a fresh process for each checkout, by the techniques' public calls alone.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from command_line import run
from image_utils.errors import InputError

HERE = Path(__file__).resolve().parent.parent
NETWORKS = {  # name to the side of the images, pixels
    **dict.fromkeys(("alexnet", "squeezenet1_0", "squeezenet1_1", "resnet18", "resnet34", "resnext50_32x4d"), 64),
    **dict.fromkeys(("wide_resnet50_2", "vgg11", "vgg11_bn", "vgg13", "densenet121", "densenet161"), 64),
    **dict.fromkeys(("mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large", "mnasnet0_5", "mnasnet1_0"), 64),
    **dict.fromkeys(("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "efficientnet_b0", "regnet_y_400mf"), 64),
    **dict.fromkeys(("regnet_x_400mf", "convnext_tiny", "googlenet", "swin_t"), 64),
    "inception_v3": 96,
    "vit_b_16": 224,
}
CODE = """
import sys
import numpy as np, torch
from data import load_network
from visualizers import ClassVisualization, FoolingImage, GradCam, SaliencyMap
name, side, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
torch.manual_seed(0)
from torchvision import models
special = {"googlenet": {"init_weights": False, "aux_logits": False},
           "inception_v3": {"init_weights": False, "aux_logits": False}}
model = models.get_model(name, weights=None, **special.get(name, {})).double().eval().requires_grad_(False)
X = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
scores = model(X)
y = scores.argsort(1, descending=True)[:, 1]
gc = GradCam()
calls = {
    "saliency": lambda: SaliencyMap().compute_saliency_maps(X, y, model),
    "guided_backprop": lambda: gc.guided_backprop(X, y, model, functional="guide"),
    "grad_cam": lambda: gc.grad_cam(X, y, model),
    "grad_cam, raw": lambda: gc.grad_cam(X, y, model, upsampling=None, normalize=None),
    "guided_grad_cam": lambda: gc.guided_grad_cam(X, y, model, functional="guide"),
    "fooling": lambda: FoolingImage().make_fooling_image(X[:1], int(y[0]), model),
    "minimal fooling": lambda: FoolingImage().make_minimal_fooling_image(
        X[:1], int(y[0]), model, steps=4, margin=1e-6).images,
    "class visualization": lambda: np.stack([np.asarray(ClassVisualization().create_class_visualizations(
        [int(y[0])], model, torch.float64, recipe=recipe, num_iterations=3, size=side, seed=0)[0]).astype(float)
        for recipe in ("course", "modern")]),
}
found = {}
for technique, call in calls.items():
    try:
        found[technique] = np.asarray(call(), dtype=np.float64)
    except ValueError as refused:
        found["refused " + technique] = np.array(1.0)
np.savez(file, **found)
"""


def main():
    """Parse the arguments, compute in both checkouts, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path, help="the other checkout")
    parser.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS), metavar="NAME")
    args = parser.parse_args()
    if not (args.other / "visualizers").is_dir():
        raise InputError(f"'{args.other}' is not a checkout: it has no folder visualizers")
    unequal = 0
    for name in args.networks:
        before, now = (compute(root, name) for root in (args.other, HERE))
        differences = compare(before, now)
        unequal += any(difference > 0 for difference in differences.values())
        shown = ", ".join(f"{technique} {d:.0e}" for technique, d in differences.items() if d > 0)
        sys.stdout.write(f"{name}: {len(differences)} compared, {shown or 'all equal to the bit'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(args.networks)} networks, {unequal} with any difference\n")


def compute(root, name):
    """Compute every technique of one network in a checkout: dict from technique to array."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "found.npz"
        environment = os.environ | {"PYTHONPATH": str(root)}
        command = [sys.executable, "-W", "ignore", "-c", CODE, name, str(NETWORKS[name]), str(file)]
        subprocess.run(command, cwd=root, env=environment, check=True)
        with np.load(file) as found:
            return {key: found[key] for key in found.files}


def compare(before, now):
    """Return each technique's largest difference, relative to the largest value; infinite if one is missing."""
    differences = {}
    for key in sorted(before.keys() | now.keys()):
        a, b = before.get(key), now.get(key)
        if a is None or b is None or a.shape != b.shape:
            differences[key] = np.inf
        else:
            differences[key] = float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-300))
    return differences


if __name__ == "__main__":
    run(main)
