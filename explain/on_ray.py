"""Many machines: the same worker as a Ray Data actor, one a core, or two a GPU.

Ray carries the code to the nodes (runtime environment) and the network's weights (object store, once a node). The
images' folder and the output's must be the same path on all of them, as on a shared file system. What a lost node
was doing is done again elsewhere: a shard's files are moved into place whole, and its part last.
"""

import contextlib
import copy
import logging
import os
import re
import socket
import sys
from pathlib import Path

import torch

from explain.listing import Shard
from explain.local import cores
from explain.shared_pass import make_ready
from explain.worker import Done, Worker
from image_utils.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = (  # to every node
    *("explain", "visualizers", "networks", "trust", "image_utils", "data"),
    *("attributions.py", "captum_utils.py", "torchvision_cure.py"),
)
ACTORS_A_GPU = 2  # one computes while the other reads and stores
INSTALLED = __name__ != "explain.on_ray"  # by pip, as a part of one package, which every node has
SHADOWS = str(Path(__file__).with_name("shadows"))
READERS = 8  # threads with which an actor on a GPU reads its images; on a core one thread does all
SECONDS = 10  # for an address to answer
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # Ray Data's own actors make Ray warn of restarts, at every start
    "RAY_DEDUP_LOGS": "0",  # it keeps lines back, and prints them when standard output is free again
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


class Actor:
    """A worker in a process of its own, which loads the network once, with its first shard."""

    def __init__(self, device):
        """Take the device's name."""
        self.device = torch.device(device)
        self.worker = None
        torch.set_num_threads(1)  # as on one machine

    def __call__(self, batch, held):
        """Explain the shards of a batch, one; `held` is a list of the reference to (plan, network)."""
        import ray

        if self.worker is None:
            plan, model = ray.get(held[0])
            node = ray.get_runtime_context().get_node_id()
            readers = 1 if self.device.type == "cpu" else min(cores(), READERS)
            model = make_ready(copy.deepcopy(model), self.device)
            self.worker = Worker(plan, model, self.device, place=node, readers=readers)
        done = [self.worker.run(Shard.from_json(text)) for text in batch["shard"]]
        return {
            "number": [d.number for d in done],
            "files": [d.files for d in done],
            "errors": [d.errors for d in done],
            "place": [d.place for d in done],
        }


@contextlib.contextmanager
def shadowed():
    """Inside, this process and those it starts find the modules in `shadows` first; those find ours, too."""
    ours, before = () if INSTALLED else (str(ROOT),), os.environ.get("PYTHONPATH")
    sys.path.insert(0, SHADOWS)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (SHADOWS, *ours, before)))
    try:
        yield
    finally:
        sys.path.remove(SHADOWS)
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def load_ray(address=None):
    """Import Ray, and make sure that somebody answers at the address.

    Raises:
        InputError: ray is not installed, or nobody does.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        with shadowed():
            import ray
            import ray.data
    except ImportError:
        raise InputError("the package ray is not installed; pip install -r requirements-ray.txt") from None
    logging.getLogger("ray").setLevel(logging.ERROR)
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # an actor's error reaches us, and is told in a line
    if address is not None:
        _knock(address)
    return ray


@contextlib.contextmanager
def cluster(address=None):
    """Join a running cluster, or start one on this machine for the length of the block.

    Args:
        address: "auto", HOST:PORT or ray://HOST:PORT; None for what RAY_ADDRESS says, or to start one.

    Yields:
        The module ray.

    Raises:
        InputError: ray is not installed, or there is no cluster at the address.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    ray = load_ray(address)
    shipped = () if INSTALLED else SHIPPED
    code = {"py_modules": [str(ROOT / name) for name in shipped], "excludes": ["*.safetensors", "*.npz", "*.pyc"]}
    how = {"runtime_env": code} if address else {"include_dashboard": False}
    try:
        with shadowed():
            ray.init(address=address or "local", logging_level="ERROR", log_to_driver=False, **how)
    except Exception as problem:  # noqa: BLE001  (of a node that starts too slowly Ray says so by a bare Exception)
        where = f"no Ray cluster can be joined at '{address}'" if address else "Ray cannot be started"
        raise InputError(f"{where}: {' '.join(str(problem).split())[:200]}") from None
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where Ray reports a node that died
            yield ray
    finally:
        ray.shutdown()


def _knock(address):
    """Raise InputError if nobody answers at HOST:PORT; Ray itself would try for minutes."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(
            f"--ray-address '{address}' is none: give HOST:PORT (such as head:6379), ray://HOST:PORT or auto"
        )
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS).close()
    except (OSError, OverflowError) as problem:
        raise InputError(f"--ray-address '{address}': nothing answers there ({problem})") from None


def run_ray(ray, shards, worker, device="auto"):
    """Explain shards.

    Args:
        ray: what `cluster` yields.
        shards: iterable of explain.listing.Shard; all are held here.
        worker: explain.worker.Worker on the CPU, ready; the actors get its plan and its network.
        device: "cpu", "cuda", or "auto" for the cluster's GPUs where there are any.

    Yields:
        explain.worker.Done, in the order in which shards are finished.

    Raises:
        InputError: from an actor, or the cluster has no GPU though asked for.
    """
    rows = [{"shard": shard.to_json()} for shard in shards]
    if not rows:
        return
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
    if device.startswith("cuda") and not gpus:
        raise InputError("--device cuda: the Ray cluster has no GPU")
    on_gpu = gpus > 0 and device != "cpu"
    most = max(1, min(gpus * ACTORS_A_GPU if on_gpu else cpus, len(rows)))
    held = [ray.put((worker.plan, worker.model))]
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    work = ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
        Actor,
        batch_size=1,
        fn_constructor_kwargs={"device": "cuda" if on_gpu else "cpu"},
        fn_kwargs={"held": held},
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=most, initial_size=most),
        num_cpus=1,
        num_gpus=1 / ACTORS_A_GPU if on_gpu else 0,
    )
    try:
        for row in work.iter_rows():
            yield Done(**row)
    except ray.exceptions.RayError as problem:
        raise InputError(_reason(problem)) from None


def _reason(problem):
    """Find the sentence inside an error that has come through several processes: the innermost error's, if any."""
    lines, cause = [], problem
    while isinstance(cause, BaseException):  # the cause may say less than what wraps it, which quotes a traceback
        lines += [line.strip() for line in str(cause).splitlines() if line.strip()]
        cause = getattr(cause, "cause", None)
    for line in lines:
        if "InputError: " in line:
            return line.rpartition("InputError: ")[2]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception): ", line)]
    return f"the work on Ray failed: {(errors or lines or [type(problem).__name__])[0]}"
