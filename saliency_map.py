"""Saliency maps of five photographs, and beside them Captum's: gradient and perturbation methods."""

import before_imports  # noqa: F401  (it must come first)

import numpy as np
import torch
from captum.attr import IntegratedGradients, Occlusion, Saliency

from captum_utils import compute_attributions, visualize_attr_maps
from command_line import assignment_parser, load_inputs, run, show_files
from image_utils.writing import save_figure
from visualizers import SaliencyMap
from visualizers.saliency_map import saliency_figure

EXAMPLES = """
writes into --out (default visualization/):
  saliency_map.png         the maps written out here, from Simonyan et al. 2014
  saliency_captum.png      Captum's Saliency, with the largest difference between the two
  int_grads_captum.png     Captum's Integrated Gradients, with how completely it explains the scores
  occlusion_captum.png     Captum's Occlusion: what the score loses where a patch is covered

examples:
  python saliency_map.py                                  the assignment
  python saliency_map.py --images cat.jpg dog.png         your photographs, explained for the top-1 class
  python saliency_map.py --images cat.jpg --labels 281    the same, for the class "tabby"
  python saliency_map.py --network resnet18               another network, torchvision's weights
"""
STEPS = 50  # of the integral; Captum's default
BATCH = 10  # images in one pass of a slow method; more costs memory and, on a CPU, time
WINDOW, STRIDE = 32, 16  # the covering square and its step, pixels of the network's input


def main():
    """Parse the arguments, compute, write the figures."""
    args = assignment_parser(__doc__, epilog=EXAMPLES).parse_args()
    inputs = load_inputs(args)
    maps = inputs.each(lambda x, y: SaliencyMap().compute_saliency_maps(x, y, inputs.model))
    maps = [m.cpu().numpy() for m in maps]
    save_figure(saliency_figure(inputs.X, maps, inputs.titles()), inputs.out / "saliency_map.png")
    captum_saliency(inputs, maps)
    captum_integrated_gradients(inputs)
    captum_occlusion(inputs)
    if args.show:
        show_files(*(inputs.out / name for name in ("saliency_map.png", "saliency_captum.png")))


def captum_saliency(inputs, maps=None):
    """Captum's Saliency: the same gradient. It keeps the three channels, so their maximum is taken for display."""
    model, out = inputs.model, inputs.out
    X, y, class_names = inputs.X, inputs.y, inputs.class_names
    X_tensor, y_tensor = inputs.tensors()
    # >>> Solution: Captum's Saliency of X_tensor for y_tensor, by visualize_attr_maps into saliency_captum.png
    attributions = compute_attributions(Saliency(model), X_tensor, target=y_tensor)
    visualize_attr_maps(
        out / "saliency_captum.png",
        X,
        y,
        class_names,
        [attributions],
        ["Captum's Saliency"],
        attr_preprocess=largest_channel,
        cmap="gray",
        alpha=1.0,
        standardise=False,
        caption=agreement(attributions, maps),
    )
    # <<< Solution


def largest_channel(attribution):
    """Reduce an attribution (C, H, W) to the map that is shown, the largest of its channels: ndarray (H, W)."""
    return attribution.detach().amax(0).cpu().numpy()


def agreement(attributions, maps):
    """Say how far Captum's attributions, the largest channel of each, are from our maps."""
    if maps is None:
        return None
    difference = max(np.abs(largest_channel(a) - m).max() for a, m in zip(attributions, maps, strict=True))
    return (
        f"Captum's Saliency: absolute gradient, maximum over channels. Largest difference from saliency_map.png: "
        f"{difference:.1e} (the largest value is {max(m.max() for m in maps):.2g})."
    )


def captum_integrated_gradients(inputs):
    """Captum's Integrated Gradients: the gradient averaged on the straight path from a baseline, times the path.

    The baseline, zero after normalisation, is ImageNet's mean colour. An image's attributions should sum to what
    its score gains over the baseline's.
    """
    method = IntegratedGradients(inputs.channels_last)

    def attribute(x, y):
        return compute_attributions(method, x, target=y, n_steps=STEPS, internal_batch_size=BATCH).detach()

    maps = inputs.one_by_one(attribute, "Integrated Gradients")
    gap = max(abs(a.sum().item() - g) for a, g in zip(maps, inputs.gains(), strict=True))
    draw(
        inputs,
        maps,
        "Integrated Gradients",
        "int_grads_captum.png",
        f"Captum's IntegratedGradients, {STEPS} steps from the mean colour, magnitudes summed over channels. "
        f"Completeness: each map sums to the gain in its class score within {gap:.2g}.",
        to_map=lambda a: a.abs().sum(0),
        cmap="gray",
    )


def captum_occlusion(inputs):
    """Captum's Occlusion: slide a square of the mean colour over the image and note what the score loses."""
    method = Occlusion(inputs.channels_last)

    def attribute(x, y):
        window, step = (x.shape[1], WINDOW, WINDOW), (x.shape[1], STRIDE, STRIDE)
        return compute_attributions(
            method,
            x,
            target=y,
            sliding_window_shapes=window,
            strides=step,
            perturbations_per_eval=BATCH,
        )

    with torch.no_grad():
        maps = inputs.one_by_one(attribute, "Occlusion")
    draw(
        inputs,
        maps,
        "Occlusion",
        "occlusion_captum.png",
        f"Captum's Occlusion, a {WINDOW} x {WINDOW} mean-coloured square every {STRIDE} pixels. Bright: covering "
        f"the place lowers the class score. Largest loss: {max(a.max().item() for a in maps):.2g}.",
        to_map=lambda a: a.mean(0),
        cmap="viridis",
    )


def draw(inputs, maps, title, name, caption, *, to_map, cmap):
    """Write one Captum figure; `to_map` reduces an attribution (C, H, W) to what is shown, (H, W)."""
    visualize_attr_maps(
        inputs.out / name,
        inputs.X,
        inputs.y,
        inputs.class_names,
        [maps],
        [title],
        attr_preprocess=lambda a: to_map(a.detach()).cpu().numpy(),
        cmap=cmap,
        alpha=1.0,
        caption=caption,
    )


if __name__ == "__main__":
    run(main)
