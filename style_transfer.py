"""Style transfer: check the three losses, then paint a photograph in three styles, or your own in any."""

import hashlib
import platform
import shlex
import sys
import time
from pathlib import Path

import PIL
import torch
import torchvision
from PIL import Image
from tqdm import tqdm

from command_line import (
    assignment_parser,
    check_aspect,
    check_folder,
    check_seed,
    load_named_network,
    named_weights,
    run,
    show_files,
)
from data import load_network
from data.samples import load_sample_photographs
from data.style_images import find_style_checks, stand_in, style_image
from image_utils.errors import InputError
from image_utils.loading import open_image
from image_utils.pixels import to_input
from image_utils.writing import save_json, whole_file
from networks.devices import choose_device
from networks.precision import PRECISIONS
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import as_photograph, extract_features, features_from_img, rel_error, style_transfer
from stylize.record import Diverged
from stylize.settings import COURSE_SETTINGS, VGG_LAYERS, vgg_settings
from stylize.solvers import STEPS, check_steps

EXAMPLES = """
prints the largest relative error of each loss against reference outputs, 0.000 if it is right; then writes into
--out (default styles_images/), for each of the three settings or for your own pair:
  NAME_before.png   the photograph and the style
  NAME.png          the photograph in that style
  NAME.json         arguments, losses, versions and seconds: enough to repeat it
  NAME_frames.gif   with --frames, how it came about

The images are styles_images/tubingen.jpg, composition_vii.jpg, the_scream.jpg and starry_night.jpg. As shipped,
other pictures stand in for the course's under these names; put the course's there and they are used. Its
style-transfer-checks.npz, put into data/, is used where its images are there and torchvision's weights are found.

examples:
  python style_transfer.py                                           the assignment
  python style_transfer.py --content cat.jpg --style waves.jpg       your own pair
  python style_transfer.py --content cat.jpg --style a.jpg b.jpg --mix 2 1 --solver lbfgs --preserve-color
  python style_transfer.py --content cat.jpg --style waves.jpg --size 512 --sizes 128 256 --solver lbfgs
  python style_transfer.py --content cat.jpg --style waves.jpg --network vgg19 --solver lbfgs
  python style_transfer.py --checks course.npz --weights squeezenet1_1.pth    the course's checks
"""
CHECK_SIZE = 192
FRAMES, FRAME_MS = 40, 80  # pictures of an animation, and how long each is shown
BEYOND = "several styles, --sizes or --preserve-color"  # what the course's loop does not do
OWN_PAIR = "starry_tubingen"  # the settings for a pair of one's own


def main():
    """Parse the arguments, check the losses, make the images."""
    args = parse_arguments()
    check_seed(args.seed)
    device = choose_device(args.device)
    check_folder(args.out)
    cnn = feature_layers(load_named_network(args), args.network).to(device)
    jobs = [job_for(name, args, cnn) for name in names_of_settings(args)]
    check_losses(args)
    written = [make_image(job, args, cnn) for job in jobs]
    if args.show:
        show_files(*written)


def parse_arguments():
    """Parse the command line."""
    parser = assignment_parser(__doc__, epilog=EXAMPLES, images=False, out="styles_images")
    group = parser.add_argument_group("images")
    group.add_argument("--settings", nargs="+", choices=COURSE_SETTINGS, help="some of the three")
    group.add_argument("--content", metavar="FILE", help="your photograph")
    group.add_argument("--style", nargs="+", metavar="FILE", help="your style, or several to be mixed")
    group.add_argument("--mix", nargs="+", type=float, metavar="W", help="shares of several styles (equal)")
    group.add_argument("--name", help="of the files written for your pair (default CONTENT_STYLE)")
    group = parser.add_argument_group(
        "losses", "defaults: those of the settings; a pair of your own: starry_tubingen"
    )
    group.add_argument("--size", type=int, metavar="N", help="shortest side of the result, pixels")
    group.add_argument("--style-size", type=int, metavar="N", help="shortest side of the style image, pixels")
    group.add_argument("--content-layer", type=int, metavar="N")
    group.add_argument("--content-weight", type=float, metavar="W")
    group.add_argument("--style-layers", nargs="+", type=int, metavar="N")
    group.add_argument("--style-weights", nargs="+", type=float, metavar="W")
    group.add_argument("--tv-weight", type=float, metavar="W", help="of the total variation")
    group = parser.add_argument_group("optimisation")
    group.add_argument("--solver", choices=STEPS, help=f"(course; lbfgs with {BEYOND})")
    usual = ", ".join(f"{solver} {steps}" for solver, steps in STEPS.items())
    group.add_argument("--steps", type=int, metavar="N", help=f"at each size (default: {usual})")
    group.add_argument(
        "--sizes", nargs="+", type=int, default=[], metavar="N", help="coarser sizes to go through first"
    )
    group.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="float32",
        help="fast: a quarter less time, other rounding (%(default)s)",
    )
    group.add_argument("--init-random", action="store_true", help="start from noise, not from the photograph")
    group.add_argument("--preserve-color", action="store_true", help="keep the photograph's colours")
    group.add_argument("--frames", action="store_true", help="also write an animation")
    parser.add_argument_group("checks").add_argument(
        "--checks", metavar="FILE", help="the course's style-transfer-checks.npz, if it is not in data/"
    )
    return parser.parse_args()


def feature_layers(network, name):
    """Return the network's feature layers.

    Raises:
        InputError: it has none in a row, as ResNets.
    """
    layers = getattr(network, "features", None)
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


def job_for(setting, args, cnn):
    """Collect what `style_transfer` shall be called with, after checking that the images can be read."""
    photograph, painting = (
        "tubingen",
        {"composition_vii_tubingen": "composition_vii", "scream_tubingen": "the_scream"},
    )
    content = Path(args.content or style_image(photograph))
    styles = [Path(file) for file in args.style or [style_image(painting.get(setting, "starry_night"))]]
    for file in (content, *styles):
        check_aspect(open_image(file), file)
    solver = chosen_solver(args, styles)
    own_name = "_".join(file.stem for file in (content, *styles)) if args.content or args.style else setting
    return {
        "name": args.name or own_name,
        "content_image": str(content),
        "style_image": [str(file) for file in styles],
        **chosen_settings(setting, args, cnn),
        "init_random": args.init_random,
        "solver": solver,
        "steps": check_steps(solver, args.steps),
        "sizes": args.sizes,
        "preserve_color": args.preserve_color,
        "style_image_weights": args.mix,
        "precision": args.precision,
        "seed": args.seed,
    }


def chosen_solver(args, styles):
    """Return the solver asked for, or the course's where it can do what is asked for."""
    beyond = len(styles) > 1 or args.sizes or args.preserve_color or args.mix
    if beyond and args.solver == "course":
        raise InputError(f"--solver course does without {BEYOND}; choose lbfgs or adam")
    return args.solver or ("lbfgs" if beyond else "course")


def chosen_settings(setting, args, cnn):
    """Take the network's settings and put those of the command line over them."""
    given = {
        "image_size": args.size,
        "style_size": args.style_size,
        "content_layer": args.content_layer,
        "content_weight": args.content_weight,
        "style_layers": args.style_layers,
        "style_weights": args.style_weights,
        "tv_weight": args.tv_weight,
    }
    given = {key: value for key, value in given.items() if value is not None}
    usual = COURSE_SETTINGS[setting]
    depends_on_network = {"content_layer", "content_weight", "style_layers", "style_weights"}
    if depends_on_network <= given.keys():
        return {**usual, **given}
    if args.network in VGG_LAYERS:
        photographs = to_input(load_sample_photographs()[0][:5]).to(next(cnn.parameters()).device)
        with torch.no_grad():
            feats = extract_features(photographs, cnn)
        usual = vgg_settings(args.network, usual, lambda layer: feats[layer].mean().item())
    elif args.network != "squeezenet1_1":
        missing = ", ".join("--" + name.replace("_", "-") for name in sorted(depends_on_network - given.keys()))
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


class Watcher:
    """Shows the losses while an image is made, and keeps what the card and the animation need."""

    def __init__(self, job, frames):
        steps = (len(job["sizes"]) + 1) * job["steps"]
        self.bar = tqdm(total=steps, desc=job["name"], unit="step", delay=2, leave=False, disable=None)
        self.every = max(1, steps // FRAMES) if frames else 0
        self.shown_as = job["solver"], job["preserve_color"]
        self.count = 0  # the bar's own count stays at 0 where bars are switched off
        self.first = self.last = None
        self.images = []
        self.started = time.perf_counter()

    def __call__(self, step):
        """Take one `Step`."""
        if self.every and self.count % self.every == 0:
            self.images.append(as_photograph(step.image, *self.shown_as))
        self.first, self.last = self.first or step, step
        shown = ", ".join(f"{name} {value:.0f}" for name, value in step.losses.items())
        self.bar.set_postfix_str(shown, refresh=False)
        self.bar.update()
        self.count += 1

    def seconds(self):
        """Return the seconds since the start, to a tenth."""
        return round(time.perf_counter() - self.started, 1)

    def write_frames(self, path):
        """Write the animation, every picture at the size of the last, which stays for a while."""
        pictures = [picture.resize(self.images[-1].size, Image.BICUBIC) for picture in self.images]
        durations = [FRAME_MS] * (len(pictures) - 1) + [20 * FRAME_MS]
        with whole_file(path) as temporary:
            pictures[0].save(temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def make_image(job, args, cnn):
    """Make one image with its card and animation, also of what there is when it is interrupted."""
    losses = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
    watcher = Watcher(job, args.frames)
    ended = "finished"
    call = dict(job)
    if job["solver"] == "course":
        call["style_image"] = job["style_image"][0]
        for option in ("sizes", "preserve_color", "style_image_weights"):
            del call[option]
    try:
        style_transfer(**call, **losses, cnn=cnn, dtype=torch.float32, callback=watcher, out=args.out)
    except (KeyboardInterrupt, Diverged) as stop:
        ended = str(stop) or "interrupted"
        raise
    finally:
        watcher.bar.close()
        if watcher.last is not None:
            save_json(card(job, args, watcher, ended), args.out / f"{job['name']}.json")
        if watcher.images:
            watcher.write_frames(args.out / f"{job['name']}_frames.gif")
    return args.out / f"{job['name']}.png"


def card(job, args, watcher, ended):
    """Describe a run: what it was called with, what came of it, and the command that repeats it."""
    files = [job["content_image"], *job["style_image"]]
    return {
        "command": command(job, args),
        "arguments": {**job, "network": args.network, "weights": named_weights(args), "device": args.device},
        "sha256": {file: hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files},
        "stand_ins": {file: shows for file in files if (shows := stand_in(file))},
        "ended": ended,
        "evaluations": watcher.count,
        "losses": {"first": watcher.first.losses, "last": watcher.last.losses},
        "total": {"first": watcher.first.total, "last": watcher.last.total},
        "seconds": watcher.seconds(),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "pillow": PIL.__version__,
        },
    }


def command(job, args):
    """Write the command line that repeats a run, every setting spelled out."""
    options = {
        "content": [job["content_image"]],
        "style": job["style_image"],
        "mix": job["style_image_weights"] or [],
        "name": [job["name"]],
        "size": [job["image_size"]],
        "sizes": job["sizes"],
        "steps": [job["steps"]],
        "solver": [job["solver"]],
        "precision": [job["precision"]],
        "seed": [job["seed"]],
        "network": [args.network],
        "weights": [args.weights] if args.weights else [],
        "device": [args.device],
        "style-size": [job["style_size"]],
        "content-layer": [job["content_layer"]],
        "content-weight": [job["content_weight"]],
        "style-layers": job["style_layers"],
        "style-weights": job["style_weights"],
        "tv-weight": [job["tv_weight"]],
    }
    words = [word for name, values in options.items() if values for word in (f"--{name}", *map(str, values))]
    words += [f"--{name.replace('_', '-')}" for name in ("init_random", "preserve_color") if job[name]]
    return shlex.join(["python", "style_transfer.py", *words])


if __name__ == "__main__":
    run(main)
