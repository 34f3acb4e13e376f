"""Which map should I believe? Methods of attribution side by side, measured, with controls that know nothing."""

import before_imports  # noqa: F401  (it must come first)

import time

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

import attributions
from command_line import assignment_parser, load_inputs, run, show_files
from data.samples import SIZE, centre_crop, load_imagenet_val
from image_utils.errors import InputError
from image_utils.figures import image_grid, in_colour
from image_utils.pixels import to_input
from image_utils.writing import save_figure
from networks.layers import default_layer, find_layer
from networks.side_by_side import side_by_side
from trust import make_controls, make_mosaics, weight_sensitivity
from trust.judge import MEASURES, joined, judge, judge_mosaics
from trust.passes import counted
from trust.table import label, write_tables
from trust.verdict import verdicts

EXAMPLES = f"""
methods: {", ".join(attributions.NAMES)}

writes into --out (default visualization/):
  compare_maps.png                    photographs across, methods and controls down, each map with its numbers
  compare_maps_table.png, .csv, .json method x measure with intervals, and one sentence a method
  compare_maps_weights.png            the first photograph's maps while the network loses its weights

What each measure asks, and what it cannot tell: docs/trust.md. Controls stand beside every method; where a
method's interval overlaps a control's, the method is no better. Five photographs make wide intervals; give more.

examples:
  python compare_maps.py                                       the assignment's five photographs
  python compare_maps.py --num 20                              all samples: narrower intervals
  python compare_maps.py --images *.jpg --network resnet18     your photographs, another network
  python compare_maps.py --methods saliency gradcam deep_lift lrp
"""
DEFAULT = (
    "saliency",
    "smoothgrad",
    "integrated_gradients",
    "guided_backprop",
    "gradcam",
    "hires_cam",
    "guided_gradcam",
    "occlusion",
)
MOSAICS = 2  # of the grid game, eight photographs
SETTINGS = {"steps": 12, "masks": 64, "samples": 2}  # of trust.judge
STAGES = 3  # of the strip of maps while layers lose their weights
SHORT = {"deletion": "del", "insertion": "ins", "fidelity": "mu"}  # below each map


def main():
    """Parse the arguments, measure, write figures and tables."""
    parser = assignment_parser(__doc__, epilog=EXAMPLES)
    group = parser.add_argument_group("maps")
    group.add_argument("--methods", nargs="+", default=DEFAULT, metavar="NAME", help="(eight of those above)")
    group.add_argument(
        "--layer", metavar="NAME", help="of the Grad-CAM family (default: the last that makes maps)"
    )
    args = parser.parse_args()
    attributions.methods(args.methods)  # names are checked before anything is computed
    inputs = load_inputs(args)
    batches = photographs(inputs)
    if args.layer:
        find_layer(inputs.model, args.layer)
    layer = args.layer or chosen_layer(inputs.model, batches[0][0], args.methods)
    controls = make_controls(inputs.seed)
    methods = attributions.methods(args.methods, layer=layer) | controls
    start = time.perf_counter()
    with counted(inputs.model) as passes:
        judged, rows, failed, problem = measure(args, inputs, batches, methods, controls)
        strip = weights_strip(inputs, batches[0], judged[0], {row.name: methods[row.name] for row in rows})
    spent = time.perf_counter() - start
    notes = [f"{name} is missing: {why}." for name, why in failed.items()] + ([problem] if problem else [])
    notes.append(
        f"{len(inputs.X)} photographs in {spent:.0f} s; {passes.forward:,} forward passes of an image, "
        f"{passes.differentiated:,} of them with a backward pass."
    )
    draw_maps(inputs, judged, rows, notes)
    draw_strip(inputs, strip)
    write_table(inputs, args, layer, rows, notes, passes)
    if args.show:
        show_files(inputs.out / "compare_maps.png", inputs.out / "compare_maps_table.png")


def photographs(inputs):
    """Return the photographs as batches (X, y) of one size each; they and the network get their channels last.

    CPUs compute so in half the time. There, each photograph is a batch, and each thread computes one.
    """
    batches = []
    inputs.model.to(memory_format=torch.channels_last)

    def keep(x, y):
        x = x.contiguous(memory_format=torch.channels_last)
        size = 1 if x.device.type == "cpu" else len(x)
        batches.extend(zip(x.split(size), y.split(size), strict=True))
        return y

    inputs.each(keep)
    return batches


def chosen_layer(model, X, names):
    """Choose the layer of the Grad-CAM family, once for all; None where no method has one."""
    return default_layer(model, X) if any("cam" in name for name in names) else None


def measure(args, inputs, batches, methods, controls):
    """Measure all methods on all photographs; returns what the figures and the table need."""
    games, problem = grid_games(args, inputs)
    steps = len(batches) * (len(methods) + 6) + len(games)
    with tqdm(total=steps, desc="compare", delay=2, leave=False, disable=None) as progress:

        def tell(what):
            progress.set_description(what)
            progress.update()

        def judge_batch(batch, model, in_turn):
            return judge(methods, model, *batch, **SETTINGS, seed=inputs.seed, tell=in_turn(tell))

        judged = side_by_side(judge_batch, batches, inputs.model)
        names, numbers, seconds, failed = joined(judged)
        chosen = {name: methods[name] for name in names}

        def judge_mosaic(mosaic, model, in_turn):
            return judge_mosaics(chosen, model, *mosaic, tell=in_turn(tell))

        if games:
            numbers["grid"] = np.concatenate(side_by_side(judge_mosaic, games, inputs.model), axis=1)
    ordered = {name: numbers[name] for name in MEASURES if name in numbers}
    return judged, verdicts(names, ordered, controls, seconds, seed=inputs.seed), failed, problem


def grid_games(args, inputs):
    """Make the mosaics of the grid game; returns ([(mosaic, its classes), ...], why there are none or None)."""
    try:
        made = make_mosaics(inputs.model, mosaic_pool(args, inputs), most=MOSAICS, shrink=True, seed=inputs.seed)
    except InputError as reason:
        return [], f"Without the grid game: {reason}."
    return list(zip(*(side.split(1) for side in made), strict=True)), None


def mosaic_pool(args, inputs):
    """Return the photographs that mosaics are made of: the user's own, or all samples; squares of one size."""
    X = inputs.X if inputs.files else load_imagenet_val()[0]
    squares = [np.asarray(centre_crop(Image.fromarray(x), SIZE)) for x in X]
    return to_input(np.stack(squares)).to(inputs.device, memory_format=torch.channels_last)


def weights_strip(inputs, batch, judged, methods):
    """Compute for each method the first photograph's maps while the network loses its weights.

    The first and the last column are there already.
    """
    x, y = (side[:1] for side in batch)
    with tqdm(total=len(methods), desc="weights", delay=2, leave=False, disable=None) as progress:

        def strip(name, model, in_turn):
            m = judged.names.index(name)
            ends = {"maps": judged.maps[m, :1], "random_maps": judged.random_maps[m, :1]}
            found = weight_sensitivity(methods[name], model, x, y, **ends, stages=STAGES, seed=inputs.seed)
            in_turn(progress.update)(1)
            return found

        return dict(zip(methods, side_by_side(strip, list(methods), inputs.model), strict=True))


def draw_maps(inputs, judged, rows, notes):
    """Draw the photographs, and below them the maps of each method, each with its numbers."""
    cells, texts = [list(inputs.X)], [[]]
    for row in rows:
        texts.append([])
        cells.append(in_colour([one for part in judged for one in part.maps[part.names.index(row.name)]]))
        for part in judged:
            m = part.names.index(row.name)
            for n in range(part.maps.shape[1]):
                known = {short: part.numbers[name][m, n] for name, short in SHORT.items()}
                texts[-1].append("  ".join(f"{short} {value:.2f}" for short, value in known.items()))
    figure = image_grid(
        cells,
        column_titles=inputs.names(),
        row_titles=["photograph", *(label(row) for row in rows)],
        notes=texts,
        caption="Grey: maps of one sign, black is 0. Red and blue: for and against the class, white is 0. "
        "del: deletion, smaller is better; ins: insertion and mu: mu-fidelity, larger is better. "
        "Single photographs are noise: the table has means and intervals. " + " ".join(notes),
        cell=1.8,
    )
    save_figure(figure, inputs.out / "compare_maps.png")


def draw_strip(inputs, strips):
    """Draw the first photograph's maps while the network loses its weights, with the similarity of each stage."""
    first = next(iter(strips.values()))
    figure = image_grid(
        [in_colour(strip.maps[:, 0]) for strip in strips.values()],
        column_titles=["the network", *(f"random up to {short_name(name)}" for name in first.layers)],
        row_titles=[name.replace("_", " ") for name in strips],
        notes=[
            ["", *(f"similarity {value:.2f}" for value in strip.similarity[:, 0])] for strip in strips.values()
        ],
        caption="Layer after layer, from the image up, gets random weights. A map that stays the same does not "
        "explain the weights. Similarity: rank correlation with the first column.",
        cell=1.8,
    )
    save_figure(figure, inputs.out / "compare_maps_weights.png")


def short_name(layer):
    """Return the first two parts of a layer's dotted name."""
    return ".".join(layer.split(".")[:2])


def write_table(inputs, args, layer, rows, notes, passes):
    """Write the table as a picture, for spreadsheets and for programs."""
    photographs = [{"class": int(y), "name": name} for y, name in zip(inputs.y, inputs.names(), strict=True)]
    facts = {
        "network": args.network,
        "layer": layer,
        "photographs": photographs,
        "passes": {"forward": passes.forward, "with a backward pass": passes.differentiated},
        "seed": inputs.seed,
    }
    write_tables(inputs.out / "compare_maps_table", rows, notes, facts)


if __name__ == "__main__":
    run(main)
