"""Counting how often a network runs."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch


@dataclass
class Passes:
    """How many images went through a network, and how many of them so that a gradient could be computed.

    Attributes:
        forward: images, in whatever batches.
        differentiated: of these, how many ran with gradients enabled.
    """

    forward: int = 0
    differentiated: int = 0


@contextlib.contextmanager
def counted(model, tell: Callable[[int], object] | None = None) -> Iterator[Passes]:
    """Count the images that go through a network, and through copies made of it, inside the block.

    Args:
        model: nn.Module; left as it was.
        tell: called with the count before each pass; what it raises ends the computation.

    Yields:
        Passes, counting.
    """
    passes, one_at_a_time = Passes(), threading.Lock()

    def note(module, args):
        images = len(args[0])
        with one_at_a_time:
            passes.forward += images
            passes.differentiated += images * torch.is_grad_enabled()
        if tell is not None:
            tell(passes.forward)

    handle = model.register_forward_pre_hook(note)
    try:
        yield passes
    finally:
        handle.remove()
