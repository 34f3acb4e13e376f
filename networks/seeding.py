"""Random numbers that leave the global generators alone."""

import contextlib
import threading

import numpy as np
import torch

_turn = threading.RLock()  # of `seeded_globals`


def make_generator(seed=None, device="cpu") -> torch.Generator:
    """Make a generator of its own for a computation.

    Args:
        seed: integer for a repeatable computation; None draws a fresh one from the operating system.
        device: where the random tensors shall lie. Draw on the CPU and move for the same numbers everywhere.

    Returns:
        torch.Generator; the global random state is neither read nor changed.
    """
    generator = torch.Generator(device=device)
    if seed is None:
        generator.seed()
    else:
        generator.manual_seed(int(seed))
    return generator


@contextlib.contextmanager
def seeded_globals(seed=0):
    """Let a library draw from the global generators, torch's and NumPy's, and put these back afterwards.

    Threads take turns, so that each draws what it would alone.

    Args:
        seed: integer that both start from inside.
    """
    with _turn:
        state = np.random.get_state()  # noqa: NPY002  (the global generator is what the library draws from)
        try:
            with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
                torch.manual_seed(seed)
                np.random.seed(seed % 2**32)  # noqa: NPY002
                yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
