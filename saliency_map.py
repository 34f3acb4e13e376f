"""Saliency maps of five photographs, and beside them Captum's: gradient and perturbation methods."""

import torch
from captum.attr import IntegratedGradients, Occlusion, Saliency

from captum_utils import compute_attributions, visualize_attr_maps
from command_line import assignment_parser, load_inputs, run, show_files
from visualizers import SaliencyMap

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
    SaliencyMap().show_saliency_maps(inputs.X, inputs.y, inputs.class_names, inputs.model, out=inputs.out)
    captum_saliency(inputs)
    captum_integrated_gradients(inputs)
    captum_occlusion(inputs)
    if args.show:
        show_files(*(inputs.out / name for name in ("saliency_map.png", "saliency_captum.png")))


def captum_saliency(inputs):
    """Captum's Saliency: the same gradient. It keeps the three channels, so their maximum is taken here."""
    # >>> Solution: attributions of Captum's Saliency, drawn with visualize_attr_maps into saliency_captum.png
    model = inputs.model
    ours = inputs.each(lambda x, y: SaliencyMap().compute_saliency_maps(x, y, model))
    theirs = inputs.each(lambda x, y: compute_attributions(Saliency(model), x.requires_grad_(), target=y))
    difference = max((a - b.amax(0)).abs().max().item() for a, b in zip(ours, theirs, strict=True))
    draw(
        inputs,
        theirs,
        "Saliency",
        "saliency_captum.png",
        f"Captum's Saliency: absolute gradient, maximum over channels. Largest difference from saliency_map.png: "
        f"{difference:.1e} (the largest value is {max(a.max().item() for a in ours):.2g}).",
        to_map=lambda a: a.amax(0),
        cmap="gray",
    )
    # <<< Solution


def captum_integrated_gradients(inputs):
    """Captum's Integrated Gradients: the gradient averaged on the straight path from a baseline, times the path.

    The baseline, zero after normalisation, is ImageNet's mean colour. An image's attributions should sum to what
    its score gains over the baseline's.
    """
    model = inputs.model

    def attribute(x, y):
        method = IntegratedGradients(model)
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
    model = inputs.model

    def attribute(x, y):
        window, step = (x.shape[1], WINDOW, WINDOW), (x.shape[1], STRIDE, STRIDE)
        return compute_attributions(
            Occlusion(model),
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
