"""Attributions, predictions and a table of every image in a folder; or of ten million, on a Ray cluster."""

import sys
import webbrowser
from pathlib import Path

from command_line import assignment_parser
from explain.shared_pass import METHODS, OTHERS
from image_utils.errors import InputError

EXAMPLES = f"""
methods: {", ".join(METHODS)} (these from one pass);
  {", ".join(OTHERS[:6])};
  Captum's {", ".join(OTHERS[6:])}

writes into --out:
  manifest.parquet   a row for each image and method: path, hash, size, classes, where its map is, error
  maps/              the maps, shard by shard; read one with explain.read(OUT, PATH, METHOD)
  overlays/          the maps as pictures, with --save overlays or both
  index.html         the first hundred images
  trust.png, .csv, .json   with --trust: method x measure with intervals, and one sentence a method
Stopped at any moment, the same command goes on where it was. Unreadable images are rows with an error.

examples:
  python -m explain photos --out explained                              for the network's own top-1
  python -m explain val --out explained --labels from-folder            val/CLASS/*.jpg
  python -m explain photos --out explained --methods gradcam --save overlays
  python -m explain photos --out explained --trust                      and which map to believe
  python -m explain photos --out explained --engine ray                 a process for each core
  python -m explain /shared/photos --out /shared/explained --engine ray --ray-address head:6379
"""
KNOWN = (*METHODS, *OTHERS)


def parse(arguments=None):
    """Parse and check the arguments.

    Raises:
        InputError: they contradict one another, or a number is out of range.
    """
    parser = assignment_parser(__doc__, epilog=EXAMPLES, images=False, seed=False, out="explained")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="with the images, however deep")
    group = parser.add_argument_group("what")
    group.add_argument("--methods", default=",".join(METHODS), metavar="A,B", help="(%(default)s)")
    group.add_argument(
        "--labels", default="top1", metavar="CSV", help="table path,label; or from-folder; or %(default)s"
    )
    group.add_argument("--save", choices=("maps", "overlays", "both"), default="maps", help="(%(default)s)")
    group.add_argument(
        "--trust", action="store_true", help="measure the maps, beside controls; takes a hundred times as long"
    )
    group.add_argument("--limit", type=int, metavar="N", help="only the first N images")
    group.add_argument("--strict", action="store_true", help="exit with 1 if an image is a row with an error")
    group = parser.add_argument_group("how")
    group.add_argument("--engine", choices=("local", "ray"), default="local", help="(%(default)s)")
    group.add_argument(
        "--ray-address", metavar="ADDRESS", help="join a cluster: HOST:PORT, ray://HOST:PORT or auto"
    )
    group.add_argument("--batch-size", type=int, default=16, metavar="N", help="images a pass (%(default)s)")
    group.add_argument("--shard-size", type=int, default=64, metavar="N", help="images a file (%(default)s)")
    group.add_argument(
        "--workers", type=int, metavar="N", help="threads of the local engine (one a core, at most 8)"
    )
    args = parser.parse_args(arguments)
    args.methods = _methods(args.methods)
    for name in ("limit", "batch_size", "shard_size", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} must be at least 1, not {value}")
    if args.ray_address and args.engine != "ray":
        raise InputError("--ray-address goes with --engine ray")
    if args.engine == "ray" and args.device not in ("auto", "cpu", "cuda"):
        raise InputError(f"--device with --engine ray is auto, cpu or cuda, not '{args.device}'")
    if args.workers and args.engine != "local":
        raise InputError("--workers goes with --engine local")
    return args


def _methods(text):
    named = [name.strip() for name in text.split(",") if name.strip()]
    for name in named:
        if name not in KNOWN:
            raise InputError(f"--methods: '{name}' is none of {', '.join(KNOWN)}")
    if not named:
        raise InputError(f"--methods: name some of {', '.join(KNOWN)}")
    return tuple(name for name in KNOWN if name in named)


def main(begin=lambda: None):
    """Explain a folder; the summary goes to standard error.

    Args:
        begin: called when everything is imported and the work begins.
    """
    args = parse()
    from explain.job import explain_folder

    begin()
    tally = explain_folder(args)
    sys.stderr.write(f"explain: {tally.sentence()}\n")
    if args.show:
        webbrowser.open((args.out / "index.html").resolve().as_uri())
    if args.strict and tally.errors:
        sys.exit(1)
