"""Random numbers that leave the global generators alone."""

import torch


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
