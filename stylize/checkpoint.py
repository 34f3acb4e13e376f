"""A run that is killed goes on where it was: its whole state, written beside the picture once a minute."""

import hashlib
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch

from image_utils.errors import InputError
from image_utils.writing import whole_file

EVERY = 60.0  # seconds between two checkpoints


def checkpoint_file(out: str | Path, name: str) -> Path:
    """Return where the checkpoint of a picture lies."""
    return Path(out) / f"{name}.checkpoint"


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint, running no code from it.

    Raises:
        InputError: there is none, or the file is another or damaged.
    """
    if not path.is_file():
        raise InputError(
            f"'{path}' does not exist; only a run that was broken off after a minute or more leaves one"
        )
    try:
        state = torch.load(path, weights_only=True)
        if {"of", "command", "plans", "stage", "start", "solver"} == set(state):
            return state
    except Exception:  # noqa: BLE001  (torch raises many kinds on a damaged file)
        pass
    raise InputError(f"'{path}' is not a checkpoint of style transfer, or it is damaged")


def fingerprint(*parts: Any) -> str:
    """Compute what tells one run from another: SHA-256 of Tensors' values and of the text of all else."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        else:
            digest.update(repr(part).encode())
    return digest.hexdigest()


class Checkpoint:
    """The checkpoint of one run: read if the run goes on, written once a minute, removed at the end.

    Attributes:
        plans: for each size the side of the tiles and the pairs that L-BFGS remembers: what a machine with more
            or less memory would choose is another sum, rounded otherwise. None for a new run.
        stage: number of the size at which the run goes on; 0 for a new one.
        start: Tensor (1, 3, H, W), the image that this size began with, or None for a new run.
        solver: state to go on from; see `stylize.solvers.optimise`.
    """

    def __init__(
        self, path: Path | None, of: str, *, command: str = "", resume: bool = False, every: float = EVERY
    ):
        """Begin; nothing is written yet.

        Args:
            path: of the file; None keeps nothing.
            of: fingerprint of the run.
            command: by which a person would go on.
            resume: read the file and go on from there.
            every: seconds between two checkpoints.

        Raises:
            InputError: resume, and the file is missing, damaged or of another run.
        """
        self.path, self.of, self.command, self.every = path, of, command, every
        self.plans, self.stage, self.start, self.solver = None, 0, None, None
        self.last, self.failed = time.monotonic(), False
        if resume:
            state = read_checkpoint(path)
            if state["of"] != of:
                raise InputError(f"'{path}' belongs to other images, settings or weights; go on with those")
            self.plans, self.stage = state["plans"], state["stage"]
            self.start, self.solver = state["start"], state["solver"]

    def begin(self, stage: int, start: torch.Tensor) -> None:
        """Note which size is being painted, and from which image, Tensor (1, 3, H, W)."""
        self.stage, self.start = stage, start

    def keep(self, state: Callable[[], dict]) -> None:
        """Write the state if it is time to; where it cannot be written say so once and go on."""
        if self.path is None or time.monotonic() - self.last < self.every:
            return
        record = {name: getattr(self, name) for name in ("of", "command", "plans", "stage", "start")}
        record["solver"] = state()
        try:
            with whole_file(self.path) as temporary:
                torch.save(record, temporary)
        except (InputError, RuntimeError) as problem:  # torch says RuntimeError where the disk is full
            if not self.failed:
                reason = str(problem).partition("\n")[0]
                warnings.warn(
                    f"no checkpoint could be written, the picture goes on without: {reason}", stacklevel=2
                )
            self.failed = True
        self.last = time.monotonic()

    def remove(self) -> None:
        """Remove the file: the picture is finished."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def weights_of(cnn: torch.nn.Module) -> Iterable[torch.Tensor]:
    """Return all numbers of a network, for its fingerprint."""
    return [value for _, value in sorted(cnn.state_dict().items())]
