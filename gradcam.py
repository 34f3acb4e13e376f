"""Guided backpropagation, Grad-CAM and their product, and beside them Captum's; three views of an early layer."""

import warnings

import numpy as np
import torch
from captum.attr import (
    GuidedBackprop,
    GuidedGradCam,
    LayerActivation,
    LayerAttribution,
    LayerConductance,
    LayerGradCam,
)

from captum_utils import compute_attributions, private_copy, visualize_attr_maps
from command_line import assignment_parser, load_inputs, run, show_files
from image_utils.figures import CLIP, colours, image_grid, overlay
from image_utils.pixels import rescale, to_input
from image_utils.writing import save_figure
from networks.layers import default_layer, early_layer, find_layer
from visualizers import GradCam, SaliencyMap

EXAMPLES = """
writes into --out (default visualization/):
  gradcam.png                   where the class is seen, from Selvaraju et al. 2017
  layer_gradcam_captum.png      Captum's LayerGradCam of the early layer
  layer_conductance_captum.png  Captum's LayerConductance: what passes through the early layer
  layer_activation_captum.png   Captum's LayerActivation: what the early layer sees, whatever the class
  guided_backprop.png           which details speak for the class, from Springenberg et al. 2015
  guided_gradcam.png            the product of the two
  overview.png                  photographs, saliency maps and these three, one below the other
  guided_backprop_captum.png    Captum's GuidedBackprop, with the largest difference between the two
  guided_gradcam_captum.png     Captum's GuidedGradCam, likewise
Guided backpropagation needs a network with ReLUs; one without gets the first four figures and a message.

examples:
  python gradcam.py                                      the assignment
  python gradcam.py --images cat.jpg dog.png             your photographs, explained for the top-1 class
  python gradcam.py --layer features.9                   Grad-CAM of an earlier layer: finer, less certain
  python gradcam.py --network resnet18 --layer layer3    another network, torchvision's weights
"""
COURSE_EARLY_LAYER = "features.3"
STEPS = 50  # of the conductance's integral; Captum's default
BATCH = 10  # images in one pass of a slow method; more costs memory and, on a CPU, time


def main():
    """Parse the arguments, compute, write the figures."""
    parser = assignment_parser(__doc__, epilog=EXAMPLES)
    group = parser.add_argument_group("layers", "dotted names; a wrong one lists the near")
    group.add_argument("--layer", metavar="NAME", help="of Grad-CAM (default: the last that makes maps)")
    group.add_argument(
        "--early-layer",
        metavar="NAME",
        help=f"of the three views (default: SqueezeNet's {COURSE_EARLY_LAYER}, else the last with large maps)",
    )
    args = parser.parse_args()
    inputs = load_inputs(args)
    layer, early = choose_layers(args, inputs)
    maps = grad_cam(inputs, layer)
    captum_layer_gradcam(inputs, early)
    captum_layer_conductance(inputs, early)
    captum_layer_activation(inputs, early)
    details = guided_backprop(inputs)
    products = guided_grad_cam(inputs, layer)
    overview(inputs, maps, details, products)
    captum_guided_backprop(inputs)
    captum_guided_gradcam(inputs, layer)
    if args.show:
        show_files(*(inputs.out / f"{name}.png" for name in ("gradcam", "guided_backprop", "guided_gradcam")))


def choose_layers(args, inputs):
    """Return the names of the two layers, given or chosen, once Grad-CAM has worked on both."""
    model = inputs.model
    x, y = to_input(inputs.X[0][None]).to(inputs.device), torch.as_tensor(inputs.y[:1])
    layer = args.layer or default_layer(model, x)
    course = COURSE_EARLY_LAYER if args.network.startswith("squeezenet") else None
    early = args.early_layer or course or early_layer(model, x)
    for name in (layer, early):
        GradCam().grad_cam(x, y, model, layer=name)
    return layer, early


def grad_cam(inputs, layer):
    """Grad-CAM, laid over the photographs; returns its maps."""
    maps = inputs.each(lambda x, y: GradCam().grad_cam(x, y, inputs.model, layer=layer, normalize="image"))
    draw(inputs, [overlay(x, m) for x, m in zip(inputs.X, maps, strict=True)], f"Grad-CAM, {layer}", "gradcam.png")
    return maps


def guided_backprop(inputs):
    """Guided backpropagation in colour; returns its arrays."""
    details = inputs.each(lambda x, y: GradCam().guided_backprop(x, y, inputs.model, functional="guide"))
    draw(inputs, [colours(d) for d in details], "Guided backpropagation", "guided_backprop.png")
    return details


def guided_grad_cam(inputs, layer):
    """Guided Grad-CAM in colour; returns its arrays."""

    def product(x, y):
        return GradCam().guided_grad_cam(x, y, inputs.model, layer=layer, functional="guide", normalize="image")

    products = inputs.each(product)
    draw(inputs, [colours(p) for p in products], f"Guided Grad-CAM, {layer}", "guided_gradcam.png")
    return products


def overview(inputs, maps, details, products):
    """Stack photographs, saliency maps, guided backpropagation, Grad-CAM and guided Grad-CAM."""
    saliency = inputs.each(lambda x, y: SaliencyMap().compute_saliency_maps(x, y, inputs.model).cpu().numpy())
    rows = {
        "Photograph": inputs.X,
        "Saliency map": [np.minimum(m, np.percentile(m, CLIP)) for m in saliency],
        "Guided backpropagation": [colours(d) for d in details],
        "Grad-CAM": [overlay(x, m) for x, m in zip(inputs.X, maps, strict=True)],
        "Guided Grad-CAM": [colours(p) for p in products],
    }
    figure = image_grid(list(rows.values()), column_titles=inputs.names(), row_titles=list(rows))
    save_figure(figure, inputs.out / "overview.png")


def captum_guided_backprop(inputs):
    """Captum's GuidedBackprop: the same rule, for nn.ReLU modules only."""
    # >>> Solution: attributions of Captum's GuidedBackprop, drawn into guided_backprop_captum.png
    method = GuidedBackprop(private_copy(inputs.model))
    ours = inputs.each(lambda x, y: GradCam().guided_backprop(x, y, inputs.model, functional="guide"))
    theirs = inputs.each(lambda x, y: attribute(method, x.requires_grad_(), target=y))
    draw_captum(
        inputs,
        theirs,
        "Guided backpropagation",
        "guided_backprop_captum.png",
        f"Captum's GuidedBackprop, of nn.ReLU modules. {agreement(ours, theirs)} from guided_backprop.png before "
        "display, where every ReLU is guided; both channels last, RGB.",
    )
    # <<< Solution


def captum_guided_gradcam(inputs, layer):
    """Captum's GuidedGradCam: the same product, here upsampled bilinearly; Captum's default is nearest."""
    # >>> Solution: attributions of Captum's GuidedGradCam, drawn into guided_gradcam_captum.png
    model = private_copy(inputs.model)
    method = GuidedGradCam(model, find_layer(model, layer))
    options = {"layer": layer, "functional": "guide", "upsampling": "bilinear", "normalize": None}
    ours = inputs.each(lambda x, y: GradCam().guided_grad_cam(x, y, inputs.model, **options))
    theirs = inputs.each(lambda x, y: attribute(method, x.requires_grad_(), target=y, interpolate_mode="bilinear"))
    draw_captum(
        inputs,
        theirs,
        f"Guided Grad-CAM, {layer}",
        "guided_gradcam_captum.png",
        f"Captum's GuidedGradCam. {agreement(ours, theirs)} from ours, both upsampled bilinearly, the maps after "
        "their ReLU and in score units; guided_gradcam.png is bicubic and each map stretched to [0, 1].",
    )
    # <<< Solution


def captum_layer_gradcam(inputs, early):
    """Captum's LayerGradCam of the early layer."""
    # >>> Solution: attributions of Captum's LayerGradCam with relu_attributions, into layer_gradcam_captum.png
    model = private_copy(inputs.model)
    method = LayerGradCam(model, find_layer(model, early))
    options = {"layer": early, "upsampling": None, "normalize": None}
    ours = inputs.each(lambda x, y: GradCam().grad_cam(x, y, inputs.model, **options))
    theirs = inputs.each(lambda x, y: attribute(method, x, target=y, relu_attributions=True))
    draw_layer(
        inputs,
        [a[0] for a in theirs],
        f"LayerGradCam, {early}",
        "layer_gradcam_captum.png",
        f"Captum's LayerGradCam with relu_attributions, drawn bilinearly. {agreement(ours, theirs)} from our "
        "Grad-CAM of this layer, both after the ReLU, before upsampling.",
    )
    # <<< Solution


def captum_layer_conductance(inputs, early):
    """Captum's LayerConductance: the part of Integrated Gradients that flows through each unit of the layer.

    The baseline, zero after normalisation, is ImageNet's mean colour. The conductances of all units should sum to
    what an image's score gains over the baseline's.
    """
    # >>> Solution: attributions of Captum's LayerConductance, drawn into layer_conductance_captum.png
    model = private_copy(inputs.model)
    method = LayerConductance(model, find_layer(model, early))
    maps = inputs.one_by_one(
        lambda x, y: attribute(method, x, target=y, n_steps=STEPS, internal_batch_size=BATCH), "Conductance"
    )
    gains = inputs.gains()
    gap = max(abs(a.sum().item() - g) for a, g in zip(maps, gains, strict=True))
    draw_layer(
        inputs,
        [a.sum(0).clamp(min=0) for a in maps],
        f"LayerConductance, {early}",
        "layer_conductance_captum.png",
        f"Captum's LayerConductance, {STEPS} steps from the mean colour, summed over channels; drawn is what "
        f"raises the score. Completeness: all units together sum to the gain in the class score within {gap:.2g} "
        f"(largest gain {max(gains):.2g}).",
    )
    # <<< Solution


def captum_layer_activation(inputs, early):
    """Captum's LayerActivation: the layer's output itself."""
    # >>> Solution: attributions of Captum's LayerActivation, drawn into layer_activation_captum.png
    model = private_copy(inputs.model)
    method = LayerActivation(model, find_layer(model, early))
    maps = inputs.each(lambda x, y: attribute(method, x))
    draw_layer(
        inputs,
        [a.mean(0) for a in maps],
        f"LayerActivation, {early}",
        "layer_activation_captum.png",
        f"Captum's LayerActivation: the mean of the layer's {len(maps[0])} maps, the same for every class.",
    )
    # <<< Solution


def attribute(method, x, **kwargs):
    """Run a Captum method without its announcement that it sets hooks; returns a Tensor outside the graph."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting .* hooks")
        return compute_attributions(method, x, **kwargs).detach()


def agreement(ours, theirs):
    """Say how far Captum's attributions (C, H, W) are from our arrays, (H, W, C) or (H, W)."""
    theirs = [np.squeeze(np.moveaxis(a.cpu().numpy(), 0, -1)) for a in theirs]
    difference = max(np.abs(np.squeeze(a) - b).max() for a, b in zip(ours, theirs, strict=True))
    return f"Largest difference {difference:.1e} (largest value {max(np.abs(a).max() for a in ours):.2g})"


def draw(inputs, images, title, name, caption=None):
    """Write the photographs and a row of images below them."""
    rows = [inputs.X, images]
    figure = image_grid(rows, column_titles=inputs.names(), row_titles=["Photograph", title], caption=caption)
    save_figure(figure, inputs.out / name)


def draw_layer(inputs, maps, title, name, caption):
    """Lay maps (h, w), stretched to [0, 1] but for a few extremes, over the photographs."""
    images = []
    for x, small in zip(inputs.X, maps, strict=True):
        large = LayerAttribution.interpolate(small[None, None], x.shape[:2], "bilinear")[0, 0].cpu().numpy()
        images.append(overlay(x, rescale(np.minimum(large, np.percentile(large, CLIP)))))
    draw(inputs, images, title, name, caption)


def draw_captum(inputs, attributions, title, name, caption):
    """Write attributions in colour as the course does, standardised."""
    visualize_attr_maps(
        inputs.out / name, inputs.X, inputs.y, inputs.class_names, [attributions], [title], caption=caption
    )


if __name__ == "__main__":
    run(main)
