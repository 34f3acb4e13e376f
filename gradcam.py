"""Guided backpropagation, Grad-CAM and their product, and beside them Captum's; three views of an early layer."""

import before_imports  # noqa: F401  (it must come first)

import contextlib
import sys
import warnings

import numpy as np
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
from image_utils.figures import brightness, colours, image_grid, overlay
from image_utils.pixels import rescale
from image_utils.writing import save_figure
from networks.blank import blank_reasons
from networks.layers import default_layer, early_layer, find_layer
from networks.relus import OutOfReach
from visualizers import GradCam, SaliencyMap
from visualizers.gradcam import fitted

EXAMPLES = """
writes into --out (default visualization/):
  gradcam.png                   where the class is seen, from Selvaraju et al. 2017
  layer_gradcam_captum.png      Captum's LayerGradCam of the early layer
  layer_conductance_captum.png  Captum's LayerConductance: what passes through the early layer
  layer_activation_captum.png   Captum's LayerActivation: what the early layer sees, whatever the class
  guided_backprop.png           which details speak for the class, from Springenberg et al. 2015
  guided_gradcam.png            the product of the two
  guided_backprop_captum.png    Captum's GuidedBackprop, with the largest difference between the two
  guided_gradcam_captum.png     Captum's GuidedGradCam, likewise
  overview.png                  photographs, saliency maps and the maps above, one below the other
Guided backpropagation needs a network whose ReLUs can be reached; for another the guided figures are left out and
a line says why.

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
    late, early = choose_layers(args, inputs)
    # Everything of ours first, so that what cannot be computed is known before a file is written.
    (late_maps, early_maps), blanks = grad_cams(inputs, (late, early))
    gc, model = GradCam(), inputs.model
    try:
        gbp_result = inputs.each(lambda x, y: gc.guided_backprop(x, y, model, functional="guide"))
    except OutOfReach as problem:
        gbp_result, reason = None, problem
    gradcam_result = sized(inputs, late_maps, normalize="image")
    heats = [overlay(x, cam) for x, cam in zip(inputs.X, gradcam_result, strict=True)]
    draw(inputs, heats, f"Grad-CAM, {late}", "gradcam.png", blanks)
    captum_layers(inputs, early, early_maps)
    details = pictures = None
    if gbp_result is None:
        sys.stderr.write(f"{parser.prog}: without the four guided figures: {reason}\n")
    else:
        details = [colours(d) for d in gbp_result]
        draw(inputs, details, "Guided backpropagation", "guided_backprop.png")
        pictures = guided_grad_cam(gradcam_result, gbp_result)
        draw(inputs, pictures, f"Guided Grad-CAM, {late}", "guided_gradcam.png")
        unstretched = sized(inputs, late_maps, upsampling="bilinear", normalize=None)
        products = [cam[..., None] * d for cam, d in zip(unstretched, gbp_result, strict=True)]
        captum_guided(inputs, late, gbp_result, products)
    overview(inputs, details, heats, pictures)
    if args.show:
        shown = ("gradcam",) if gbp_result is None else ("gradcam", "guided_backprop", "guided_gradcam")
        show_files(*(inputs.out / f"{name}.png" for name in shown))


def choose_layers(args, inputs):
    """Return the names of the two layers, given or chosen."""
    model, x = inputs.model, inputs.batches[0]
    for given in (args.layer, args.early_layer):
        if given is not None:
            find_layer(model, given)
    course = COURSE_EARLY_LAYER if args.network.startswith("squeezenet") else None
    return args.layer or default_layer(model, x), args.early_layer or course or early_layer(model, x)


def grad_cams(inputs, layers):
    """Compute Grad-CAM of each layer, in score units and at its own size; returns also why some maps are blank."""
    found, said = [], []
    for layer in layers:
        how = {"layer": layer, "upsampling": None, "normalize": None}
        with blank_reasons() as reasons:
            found.append(inputs.each(lambda x, y, how=how: GradCam().grad_cam(x, y, inputs.model, **how)))
        said += [f"{layer}: {reason}." for reason in reasons]
    return found, " ".join(said) or None


def sized(inputs, maps, **options):
    """Bring each photograph's map (h, w) to its size."""
    return [fitted(m[None], x.shape[:2], **options)[0] for m, x in zip(maps, inputs.X, strict=True)]


def guided_grad_cam(gradcam_result, gbp_result):
    """Multiply Grad-CAM (H, W) of each photograph with guided backpropagation (H, W, 3); returns pictures."""
    pictures = []
    for i in range(len(gradcam_result)):
        gbp_val = gbp_result[i]
        gradcam_val = np.expand_dims(gradcam_result[i], axis=2)
        # >>> Solution: img, the pointwise product of the two, and what brings it to [0, 1]
        img = gradcam_val * gbp_val
        img = colours(img)
        # <<< Solution
        pictures.append(rescale(img))
    return pictures


def captum_guided(inputs, late, gbp_result=None, products=None):
    """Captum's GuidedBackprop, the same rule for nn.ReLU modules only, and its GuidedGradCam.

    In the latter, Grad-CAM is upsampled bilinearly; Captum's default is nearest.
    """
    model, out = private_copy(inputs.model), inputs.out
    X, y, class_names = inputs.X, inputs.y, inputs.class_names
    X_tensor, y_tensor = inputs.tensors()
    conv_module = find_layer(model, late)
    # >>> Solution: Captum's GuidedBackprop and GuidedGradCam (of conv_module), each drawn into its figure
    with quiet():
        attr = compute_attributions(GuidedBackprop(model), X_tensor, target=y_tensor)
        product = compute_attributions(
            GuidedGradCam(model, conv_module), X_tensor, target=y_tensor, interpolate_mode="bilinear"
        )
    visualize_attr_maps(
        out / "guided_backprop_captum.png",
        X,
        y,
        class_names,
        [attr],
        ["Captum's guided backpropagation"],
        caption=f"Captum's GuidedBackprop, of nn.ReLU modules. {agreement(gbp_result, attr)} from "
        "guided_backprop.png before display, where every ReLU is guided; both channels last, RGB.",
    )
    visualize_attr_maps(
        out / "guided_gradcam_captum.png",
        X,
        y,
        class_names,
        [product],
        [f"Captum's guided Grad-CAM, {late}"],
        caption=f"Captum's GuidedGradCam. {agreement(products, product)} from ours, both upsampled bilinearly, "
        "after the ReLU and in score units; guided_gradcam.png is bicubic and each map stretched to [0, 1].",
    )
    # <<< Solution


def captum_layers(inputs, early, early_maps=None):
    """Three views of the early layer by Captum.

    LayerActivation is what the layer sees, whatever the class. LayerConductance is the part of Integrated
    Gradients that flows through each unit: from the mean colour, zero after normalisation, all units together
    should sum to what an image's score gains over the baseline's.
    """
    # The names of the course's skeleton, for its students:
    out, X, y, class_names = inputs.out, inputs.X, inputs.y, inputs.class_names  # noqa: F841
    X_tensor, y_tensor = inputs.tensors()
    model, swift = private_copy(inputs.model), private_copy(inputs.channels_last)  # swift: for many passes
    layer, same_layer = find_layer(model, early), find_layer(swift, early)
    with quiet():
        layer_act = LayerActivation(model, layer)
        layer_act_attr = compute_attributions(layer_act, X_tensor)
    draw_layer(
        inputs,
        [a.mean(0) for a in layer_act_attr],
        f"LayerActivation, {early}",
        "layer_activation_captum.png",
        f"Captum's LayerActivation: the mean of the layer's {len(layer_act_attr[0])} maps, whatever the class.",
    )
    # >>> Solution: Captum's LayerGradCam (relu_attributions) and LayerConductance, each drawn into its figure
    with quiet():
        cam = compute_attributions(LayerGradCam(model, layer), X_tensor, target=y_tensor, relu_attributions=True)
        conductance = compute_attributions(
            LayerConductance(swift, same_layer),
            X_tensor,
            target=y_tensor,
            n_steps=STEPS,
            internal_batch_size=BATCH,
        )
    gains = inputs.gains()
    gap = max(abs(a.sum().item() - g) for a, g in zip(conductance, gains, strict=True))
    draw_layer(
        inputs,
        [a[0] for a in cam],
        f"LayerGradCam, {early}",
        "layer_gradcam_captum.png",
        f"Captum's LayerGradCam with relu_attributions, drawn bilinearly. {agreement(early_maps, cam)} from our "
        "Grad-CAM of this layer, both after the ReLU, before upsampling.",
    )
    draw_layer(
        inputs,
        [a.sum(0).clamp(min=0) for a in conductance],
        f"LayerConductance, {early}",
        "layer_conductance_captum.png",
        f"Captum's LayerConductance, {STEPS} steps from the mean colour, summed over channels; drawn is what "
        f"raises the score. Completeness: all units together sum to the gain in the class score within {gap:.2g} "
        f"(largest gain {max(gains):.2g}).",
    )
    # <<< Solution


def overview(inputs, details, heats, pictures):
    """Write the photographs and, below, saliency maps and the pictures of this script; None leaves a row out."""
    with blank_reasons() as reasons:
        saliency = inputs.each(lambda x, y: SaliencyMap().compute_saliency_maps(x, y, inputs.model))
    rows = {
        "Photograph": inputs.X,
        "Saliency map": [brightness(m.cpu().numpy()) for m in saliency],
        "Guided backpropagation": details,
        "Grad-CAM": heats,
        "Guided Grad-CAM": pictures,
    }
    rows = {title: row for title, row in rows.items() if row is not None}
    caption = " ".join(reasons) or None
    figure = image_grid(list(rows.values()), column_titles=inputs.titles(), row_titles=list(rows), caption=caption)
    save_figure(figure, inputs.out / "overview.png")


@contextlib.contextmanager
def quiet():
    """Inside, Captum does not announce that it sets hooks or asks for gradients."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting .* hooks")
        yield


def agreement(ours, theirs):
    """Say how far Captum's attributions (C, H, W) are from our arrays, (H, W, C) or (H, W)."""
    if ours is None:
        return "Not compared"
    theirs = [np.squeeze(np.moveaxis(a.detach().cpu().numpy(), 0, -1)) for a in theirs]
    difference = max(np.abs(np.squeeze(a) - b).max() for a, b in zip(ours, theirs, strict=True))
    return f"Largest difference {difference:.1e} (largest value {max(np.abs(a).max() for a in ours):.2g})"


def draw(inputs, images, title, name, caption=None):
    """Write the photographs and a row of images below them."""
    rows = [inputs.X, images]
    figure = image_grid(rows, column_titles=inputs.titles(), row_titles=["Photograph", title], caption=caption)
    save_figure(figure, inputs.out / name)


def draw_layer(inputs, maps, title, name, caption):
    """Lay maps (h, w), stretched to [0, 1] but for a few extremes, over the photographs."""
    images = []
    for x, small in zip(inputs.X, maps, strict=True):
        large = LayerAttribution.interpolate(small.detach()[None, None], x.shape[:2], "bilinear")[0, 0]
        images.append(overlay(x, brightness(large.cpu().numpy())))
    draw(inputs, images, title, name, caption)


if __name__ == "__main__":
    run(main)
