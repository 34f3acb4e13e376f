"""Copies of a network on the same weights, and layers that write in place told not to."""

import contextlib
import copy
import itertools
from collections.abc import Iterator

from torch import nn


def copy_on_same_weights(model: nn.Module) -> nn.Module:
    """Copy a network: modules of its own, for hooks or another thread, and the same weights in memory.

    Args:
        model: nn.Module; not changed.

    Returns:
        nn.Module with the model's own parameters and buffers.
    """
    shared = itertools.chain(model.parameters(), model.buffers())
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def write_elsewhere(model: nn.Module) -> list[nn.Module]:
    """Tell modules that would overwrite their input, such as in-place ReLUs, to write elsewhere.

    Args:
        model: nn.Module; its modules' `inplace` is changed.

    Returns:
        List of the modules that were changed.
    """
    changed = [module for module in model.modules() if getattr(module, "inplace", False) is True]
    for module in changed:
        module.inplace = False
    return changed


@contextlib.contextmanager
def out_of_place(model: nn.Module) -> Iterator[None]:
    """Inside, modules that would overwrite their input write elsewhere; cheaper than to copy it first."""
    changed = write_elsewhere(model)
    try:
        yield
    finally:
        for module in changed:
            module.inplace = True
