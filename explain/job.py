"""A run from its arguments to its summary: check, agree, explain what is missing, assemble."""

import hashlib
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from command_line import load_named_network
from data.labels import names_for
from data.samples import SIZE
from explain import runs, storage
from explain.index_page import write_index
from explain.labels import label_source
from explain.listing import list_files, make_shards, require_images
from explain.local import run_local, threads
from explain.on_ray import cluster, load_ray, run_ray
from explain.shared_pass import make_ready, try_out
from explain.worker import Plan, Worker, printable
from image_utils.errors import InputError
from networks.devices import choose_device
from networks.memory import bytes_for_a_gradient, check_memory


@dataclass
class Tally:
    """What a run has to say at its end.

    Attributes:
        files: in the run.
        others: passed over, since their names are no images'.
        errors: files that could not be explained.
        before: files finished by earlier runs of the same command.
        seconds: that the rest took.
        nodes: names of the Ray nodes that took part.
    """

    files: int = 0
    others: int = 0
    errors: int = 0
    before: int = 0
    seconds: float = 0.0
    nodes: set = field(default_factory=set)

    def sentence(self):
        """Return the summary in one line."""
        now = self.files - self.before
        parts = [f"{_count(self.files, 'image')}, {self.errors:,} with an error"]
        if self.before:
            parts.append(f"{self.before:,} done before")
        if now:
            where = f" on {len(self.nodes)} Ray nodes" if len(self.nodes) > 1 else ""
            parts.append(f"{now:,} now in {self.seconds:.1f} s ({now / self.seconds:.1f} images/s){where}")
        if self.others:
            parts.append(f"{_count(self.others, 'other file')} passed over")
        return "; ".join(parts)


def _count(number, noun):
    return f"{number:,} {noun}{'s' * (number != 1)}"


def _check_batches(args, model, device):
    """Raise InputError where the batches of all threads together do not fit into the memory."""
    images = min(args.batch_size, args.shard_size)
    each = bytes_for_a_gradient(model, torch.zeros(1, 3, SIZE, SIZE, device=device))
    passes = threads(args.workers) if args.engine == "local" else 1
    option = f"--batch-size {args.batch_size}" + f" with {passes} threads" * (passes > 1)
    check_memory(option, passes * images * each, lambda share: f"{int(images * share)}", device)


def explain_folder(args):
    """Do what the command line asks; see `python -m explain --help`.

    Args:
        args: as `explain.__main__.parse` returns them.

    Returns:
        Tally.

    Raises:
        InputError: anything given is unusable, or the output cannot be written.
    """
    try:
        folder, out = args.folder.resolve(), args.out.resolve()
        _check_folders(folder, out)
    except (OSError, RuntimeError) as problem:  # not to be entered, a name too long, a link that leads to itself
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise InputError(f"'{args.folder}' or --out '{args.out}' cannot be reached: {reason}") from None
    if args.engine == "ray":
        load_ray(args.ray_address)
    device = choose_device("cpu" if args.engine == "ray" else args.device)
    model = load_named_network(args)
    weights = _digest(model)
    reasons, layer, classes = try_out(make_ready(model, device), args.methods, SIZE)
    _check_batches(args, model, device)
    for reason in dict.fromkeys(reasons.values()):
        without_it = ", ".join(method for method in reasons if reasons[method] == reason)
        sys.stderr.write(f"explain: without {without_it}: {reason}\n")
    methods = tuple(method for method in args.methods if method not in reasons)
    names = list(names_for(classes, args.names).values())
    labels = label_source(args.labels, folder, names, without=out)
    require_images(folder, without=out)
    table = args.labels not in ("top1", "from-folder")
    settings = {
        "folder": printable(folder),
        "network": args.network,  # before what follows from it: the first that differs is named
        "weights": weights,
        "limit": args.limit,
        "methods": list(methods),
        "layer": layer,
        **{name: getattr(args, name) for name in ("mean", "std", "num_classes", "names") if getattr(args, name)},
        "labels": hashlib.sha256(Path(args.labels).read_bytes()).hexdigest() if table else args.labels,
        "save": args.save,
        "trust": args.trust,
        "batch_size": args.batch_size,
        "shard_size": args.shard_size,
    }
    plan = Plan(str(folder), str(out), methods, args.save, args.batch_size, names, layer, args.trust)
    with runs.locked(out):
        runs.agree(out, settings)
        runs.sweep(out)
        tally = Tally(*list_files(out, folder, limit=args.limit, without=out))
        in_manifest = storage.count_images(out, plan.row_names)
        if in_manifest:
            tally.before, tally.errors = in_manifest, storage.count_errors(out)
        if tally.before < tally.files:
            shards = make_shards(out, labels, shard_size=args.shard_size)
            new = (shard for shard in shards if shard.first >= in_manifest)
            numbers = _work(args, new, Worker(plan, model, device), tally)
            storage.assemble(out, numbers)
        if args.trust:
            from explain.judging import write_table

            write_table(out, settings)
        write_index(out, settings, tally.files, len(plan.row_names))
        runs.discard_parts(out)
        runs.sweep(out)
    return tally


def _work(args, shards, worker, tally):
    """Explain the shards that are not finished, and count; returns the numbers of all."""
    numbers = []

    def missing():
        for shard in shards:
            numbers.append(shard.number)
            done = storage.finished(worker.plan.out, shard.number, map(printable, shard.paths))
            if done is None:
                yield shard
            else:
                tally.before += done[0]
                tally.errors += done[1]
                progress.update(done[0])

    start = time.perf_counter()
    progress = tqdm(total=tally.files, desc="explain", unit="image", delay=2, leave=False, disable=None)
    with progress:
        if args.engine == "local":
            _follow(run_local(missing(), worker, args.workers), progress, tally)
        else:
            with cluster(args.ray_address) as ray:
                start = time.perf_counter()
                _follow(run_ray(ray, missing(), worker, args.device), progress, tally)
    tally.seconds = time.perf_counter() - start
    return numbers


def _follow(work, progress, tally):
    for done in work:
        tally.errors += done.errors
        tally.nodes.add(done.place)
        progress.update(done.files)


def _check_folders(folder, out):
    if not folder.is_dir():
        raise InputError(f"'{folder}' {'is a file, not a folder' if folder.exists() else 'does not exist'}")
    if printable(out) != str(out):
        raise InputError(f"--out '{printable(out)}' is no UTF-8; name another folder")
    if out == folder or out in folder.parents:
        raise InputError(f"--out '{out}' holds the images themselves; name a folder of its own")
    for part in (out, *out.parents):
        if part.exists():
            if not part.is_dir():
                raise InputError(f"--out '{out}': '{part}' is a file, not a folder")
            if not os.access(part, os.W_OK):
                raise InputError(f"--out '{out}' cannot be written to: '{part}' is read-only")
            break


def _digest(model):
    """Return the sha256 of a network's weights."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + np.ascontiguousarray(tensor.cpu().numpy()).tobytes())
    return digest.hexdigest()
