"""Speed for the same formula: another memory order, and shorter numbers.

"float32" computes with the tensors as they come. "fast" lays the images out channels last, which convolution and
pooling on CPUs (and tensor cores) prefer; the arithmetic is float32 as before, in another order, so results agree
to rounding except where rounding decides a ReLU or the winner of a max-pool. "bf16" computes the forward pass, and
with it the backward pass, in bfloat16 (8 significant bits) and every reduction written in this package in float32.
"""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from image_utils.errors import InputError, one_of

PRECISIONS = ("float32", "fast", "bf16")


@contextlib.contextmanager
def arithmetic(precision: str, X: torch.Tensor) -> Iterator[torch.Tensor]:
    """Compute a block in the precision asked for.

    Args:
        precision: one of PRECISIONS.
        X: Tensor (N, C, H, W) that the block starts from.

    Yields:
        Copy of X in the memory order that the precision wants, differentiable by X; a network that begins in place
        may overwrite it.

    Raises:
        InputError: no such precision, or a network that reshapes maps by view().
    """
    one_of(PRECISIONS, precision=precision)
    if precision == "float32":
        yield X.clone()
        return
    try:
        with torch.autocast(X.device.type, torch.bfloat16, enabled=precision == "bf16"):
            yield X.clone(memory_format=torch.channels_last)
    except RuntimeError as problem:
        if "view size is not compatible" not in str(problem):
            raise
        raise InputError(
            f"the network reshapes its maps by view(), which precision={precision!r} does not allow; "
            "use reshape() or flatten() there, or precision='float32'"
        ) from None


@torch.no_grad()
def memory_layout(model: nn.Module, x: torch.Tensor) -> torch.memory_format:
    """Choose the memory layout of images: on a CPU, convolutions are half as fast again with the channels last.

    Args:
        model: network; it runs once, unless the answer is known.
        x: Tensor (N, C, H, W) that it takes.
    """
    if x.device.type != "cpu":
        return torch.contiguous_format
    try:
        model(x.contiguous(memory_format=torch.channels_last))
    except RuntimeError:  # a network that reshapes its maps with view() cannot take it
        return torch.contiguous_format
    return torch.channels_last
