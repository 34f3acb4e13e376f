"""python -m benchmarks.trust: the measures beside their peers', and what they say of the embedded network.

Same measure, same input, same number: on a small network of one channel, where the definitions agree; and the case
that shows it where they do not. Quantus, Captum and pytorch-grad-cam are called as their documentation does; those
that are not installed (requirements-bench.txt) are left out. The numbers of docs/trust.md come from here.
"""

import argparse
import copy
import importlib
import sys
import time

import numpy as np
import torch
from captum.metrics import sensitivity_max
from torch import nn

import attributions
from benchmarks.peers import installed
from command_line import run
from compare_maps import DEFAULT, MOSAICS, SETTINGS
from data import load_network
from data.samples import load_sample_photographs
from image_utils.pixels import to_input
from networks.seeding import seeded_globals
from trust import (
    class_sensitivity,
    efficient_mprt,
    make_controls,
    make_mosaics,
    max_sensitivity,
    mu_fidelity,
    weight_sensitivity,
)
from trust.curves import deletion, score_curves
from trust.grid_pointing import share_of_cells
from trust.judge import MEASURES, joined, judge, judge_mosaics
from trust.verdict import verdicts

SIDE, STEPS, SETS, IN_SET = 12, 12, 40, 30  # pixels, steps of deletion, random sets, pixels in a set
PLAIN = {"abs": False, "normalise": False, "disable_warnings": True}  # of Quantus: the map as it is


class Small(nn.Module):
    """A network of one channel: (N, 1, H, W) -> (N, classes)."""

    def __init__(self, classes=2):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layers = (nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
            self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(24, classes))
        self.eval()

    def forward(self, x):
        """Compute class scores."""
        return self.layers(x)


def gradient(X, y, model):
    """The map that is measured: the gradient's magnitude."""
    return attributions.methods(["saliency"])["saliency"](X, y, model)


def explained(model, inputs, targets, **kwargs):
    """The same as Quantus calls it; it wants the channel back."""
    return gradient(torch.as_tensor(inputs), torch.as_tensor(targets), model)[:, None].numpy()


def agreement() -> str:
    """Compare every measure with its peers; returns Markdown."""
    model, X, y = Small(), torch.randn(3, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)), None
    y = model(X).argmax(1)
    rows = [_captum(model, X, y)]
    if installed("quantus"):
        rows += _quantus(importlib.import_module("quantus"), model, X, y)
    if installed("pytorch_grad_cam"):
        rows.append(_road())
    head = "| measure | peer | what is compared | ours | theirs |\n|---|---|---|---|---|"
    return "\n".join([head, *("| " + " | ".join(row) + " |" for row in rows)])


def _captum(model, X, y):
    noise = torch.empty(4, *X.shape[1:]).uniform_(-0.02, 0.02, generator=torch.Generator().manual_seed(1))

    def perturbed(repeated):
        return repeated + noise

    def attribute(inputs, target):
        (x,) = inputs if isinstance(inputs, tuple) else (inputs,)
        return (gradient(x, target.expand(len(x)), model),)

    theirs = [
        sensitivity_max(attribute, X[n : n + 1], perturb_func=perturbed, n_perturb_samples=4, target=y[n : n + 1])
        for n in range(len(X))
    ]
    ours = max_sensitivity(gradient, model, X, y, noise=noise)
    return "max-sensitivity", "Captum", "the same 4 draws", *_pair(ours, torch.cat(theirs).numpy())


def _quantus(quantus, model, X, y):
    x, labels, maps = X.numpy(), y.numpy(), gradient(X, y, model)
    heats, call = maps[:, None].numpy(), {"model": model, "softmax": False, "device": "cpu"}
    one = {"x_batch": x[:1], "y_batch": labels[:1], "a_batch": heats[:1]}
    every = {"x_batch": x, "y_batch": labels, "a_batch": heats}
    explain = {"explain_func": explained}

    flipping = quantus.PixelFlipping(features_in_step=SIDE**2 // STEPS, perturb_baseline=0.0, **PLAIN)
    ours = score_curves(model, X, torch.zeros_like(X), y, maps, steps=STEPS)[0, :, 1:]
    yield (
        "deletion",
        "Quantus, PixelFlipping",
        "the curve",
        *_pair(ours, flipping(**call | {"softmax": True}, **every)),
    )

    with seeded_globals(0):
        sets = [np.random.choice(SIDE**2, IN_SET, replace=False) for _ in range(SETS)]  # noqa: NPY002
    masks = torch.ones(SETS, SIDE**2)
    for mask, pixels in zip(masks, sets, strict=True):
        mask[pixels] = 0
    measure = quantus.FaithfulnessCorrelation(
        nr_runs=SETS,
        subset_size=IN_SET,
        perturb_baseline=0.0,
        return_aggregate=False,
        similarity_func=quantus.similarity_func.correlation_spearman,
        **PLAIN,
    )
    with seeded_globals(0):
        theirs = measure(**call, **one)
    ours = mu_fidelity(model, X[:1], y[:1], maps[:1], masks=masks.view(SETS, SIDE, SIDE))
    yield "mu-fidelity", "Quantus, FaithfulnessCorrelation", "the same sets, Spearman", *_pair(ours, theirs)

    with seeded_globals(0):
        noise = np.random.uniform(-0.02, 0.02, (4, 1, SIDE, SIDE))  # noqa: NPY002
    measure = quantus.MaxSensitivity(nr_samples=4, lower_bound=0.02, **PLAIN)
    with seeded_globals(0):
        theirs = measure(**call, **one, **explain)
    ours = max_sensitivity(gradient, model, X[:1], y[:1], noise=torch.as_tensor(noise).float())
    yield "max-sensitivity", "Quantus, MaxSensitivity", "the same 4 draws", *_pair(ours, theirs)

    measure = quantus.RandomLogit(
        num_classes=2, similarity_func=quantus.similarity_func.correlation_spearman, **PLAIN
    )
    ours = class_sensitivity(gradient, model, X, y)
    yield "class", "Quantus, RandomLogit", "two classes", *_pair(ours, measure(**call, **every, **explain))

    yield from _weights(quantus, model, X, y, call, every | explain)
    yield from _localisation(quantus, call, maps, x, labels)


def _weights(quantus, model, X, y, call, data):
    wrapped = quantus.helpers.model.pytorch_model.PyTorchModel(copy.deepcopy(model), channel_first=True)
    stages = [(n, copy.deepcopy(m)) for n, m in wrapped.get_random_layer_generator(order="bottom_up", seed=42)]
    options = {
        "layer_order": "bottom_up",
        "similarity_func": quantus.similarity_func.correlation_spearman,
        **PLAIN,
    }
    theirs = quantus.MPRT(**options)(**call, **data)
    strip = weight_sensitivity(gradient, model, X, y, networks=stages)
    own = np.array([theirs[name] for name, _ in stages])
    yield "weights", "Quantus, MPRT", "each layer, their random networks", *_pair(strip.similarity, own)
    average = quantus.MPRT(return_average_correlation=True, **options)(**call, **data)
    yield "weights", "Quantus, MPRT", "mean over the layers", *_pair(strip.similarity.mean(0), average)
    measure = quantus.EfficientMPRT(layer_order="bottom_up", **PLAIN)
    theirs = measure(**call | {"softmax": True}, **data)  # which it needs for a number that is not used here
    ours = efficient_mprt(strip.maps[0], strip.maps[-1])
    yield "entropy", "Quantus, EfficientMPRT", "their random network", *_pair(ours, theirs)


def _localisation(quantus, call, maps, x, labels):
    cell = np.zeros(x.shape)
    cell[..., : SIDE // 2, : SIDE // 2] = 1
    signed = maps - maps.mean((1, 2), keepdim=True)
    data = {"x_batch": x, "y_batch": labels, "a_batch": signed[:, None].numpy(), "s_batch": cell}
    measure = quantus.AttributionLocalisation(positive_attributions=True, **PLAIN)
    ours = share_of_cells(signed.numpy())[:, 0]
    yield "grid game", "Quantus, AttributionLocalisation", "share in a cell", *_pair(ours, measure(**call, **data))
    alone = {key: value[:1] for key, value in data.items()}
    with np.errstate(all="ignore"):
        three, one = (
            float(
                quantus.AttributionLocalisation(positive_attributions=True, weighted=True, **PLAIN)(**call, **d)[0]
            )
            for d in (data, alone)
        )
    yield (
        *("grid game", "Quantus, AttributionLocalisation, weighted", "the first image in a batch of 3, and alone"),
        *("a batch = its images", f"{three:.3g}, {one:.3g}"),
    )
    nothing = data | {"s_batch": np.zeros_like(cell)}
    try:
        hits = quantus.PointingGame(**PLAIN)(**call, **nothing)
        said = ", ".join(str(bool(hit)) for hit in hits)
    except (AssertionError, ValueError) as problem:
        said = str(problem).strip().splitlines()[0]
    yield "grid game", "Quantus, PointingGame", "a mask of nothing", "not a number", f"hit: {said}"


def _road():
    removal = importlib.import_module("pytorch_grad_cam.metrics.perturbation_confidence")
    heat = torch.zeros(1, SIDE, SIDE)
    heat[:, :4, :6] = 1 + torch.rand(1, 4, 6, generator=torch.Generator().manual_seed(0))
    kept = removal.RemoveMostRelevantFirst(50, lambda image, mask: mask.expand_as(image))(
        torch.ones(1, SIDE, SIDE), heat[0]
    )
    removed = 1 - float(torch.as_tensor(kept).float().mean())
    return (
        *("deletion", "pytorch-grad-cam, ROAD", "share removed at 50 %, map with 83 % zeros"),
        *("0.50: equal values in random order", f"{removed:.2f}"),
    )


def _pair(ours, theirs):
    ours, theirs = (np.asarray(side, dtype=float) for side in (ours, theirs))
    texts = (", ".join(f"{value:.4f}" for value in side.ravel()[:3]) for side in (ours, theirs))
    return next(texts), f"{next(texts)}; largest difference {np.abs(ours - theirs).max():.1g}"


def cost() -> str:
    """Compare processor time a photograph, one thread, with Quantus; returns Markdown."""
    if not installed("quantus"):
        return "Quantus is not installed."
    quantus, model = importlib.import_module("quantus"), load_network()
    X, y, _ = load_sample_photographs()
    X, y = to_input(X[:1]).to(memory_format=torch.channels_last), torch.as_tensor(y[:1])
    controls = make_controls()
    maps = torch.stack([torch.as_tensor(control(X)).float() for control in controls.values()])
    call = {"model": model, "x_batch": X.numpy(), "y_batch": y.numpy(), "softmax": True, "device": "cpu"}
    step = 3 * X.shape[2] * X.shape[3] // 12
    flipping = quantus.PixelFlipping(features_in_step=step, perturb_baseline=0.0, **PLAIN)
    faithful = quantus.FaithfulnessCorrelation(
        nr_runs=64, subset_size=30_000, perturb_baseline=0.0, return_aggregate=False, **PLAIN
    )
    rows = ["| measure, 3 maps of a photograph | ours | Quantus | theirs / ours |", "|---|---|---|---|"]
    for name, ours, theirs in (
        ("deletion, 12 steps", lambda: deletion(model, X, y, maps, steps=12), flipping),
        ("mu-fidelity, 64 sets", lambda: mu_fidelity(model, X, y, maps, count=64), faithful),
    ):
        mine = _processor_seconds(ours)
        their = _processor_seconds(lambda: [theirs(**call, a_batch=one[:, None].numpy()) for one in maps])  # noqa: B023
        rows.append(f"| {name} | {mine:.2f} s | {their:.2f} s | {their / mine:.1f} |")
    return "\n".join(rows)


def _processor_seconds(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def squeezenet(num=20) -> str:
    """Measure the default methods of compare_maps.py on the sample photographs; returns Markdown."""
    model, controls = load_network(), make_controls(0)
    X, y, _ = load_sample_photographs()
    x, y = to_input(X).to(memory_format=torch.channels_last), torch.as_tensor(y)
    methods = attributions.methods(DEFAULT, layer="features.12") | controls
    parts = [judge(methods, model, x[i : i + 5], y[i : i + 5], **SETTINGS) for i in range(0, num, 5)]
    names, numbers, _, _ = joined(parts)
    mosaics, classes = make_mosaics(model, x, most=MOSAICS, shrink=True)
    numbers["grid"] = judge_mosaics(methods, model, mosaics, classes)
    rows = verdicts(names, {name: numbers[name] for name in MEASURES}, controls)
    head = ["method", *(MEASURES[name].title for name in MEASURES)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        cells = [f"{i.mean:.2f} ({i.low:.2f} to {i.high:.2f})" for i in row.intervals.values()]
        lines.append("| " + " | ".join([row.name.replace("_", " "), *cells]) + " |")
    return "\n".join([*lines, "", *(f"- {row.name.replace('_', ' ')}: {row.sentence}" for row in rows)])


def table() -> str:
    """All of it, for `python -m benchmarks trust`."""
    return "\n\n".join([agreement(), cost(), squeezenet()])


def main():
    """Parse the arguments, measure, print Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.trust",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parts = {"agreement": agreement, "cost": cost, "squeezenet": squeezenet}
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(parts)} (all)")
    chosen = parser.parse_args().parts or list(parts)
    if unknown := set(chosen) - set(parts):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(parts)}")
    for name in chosen:
        sys.stdout.write(parts[name]() + "\n\n")
        sys.stdout.flush()


if __name__ == "__main__":
    run(main)
