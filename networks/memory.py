"""How much memory a computation will take, asked before it begins."""

from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from torch import nn

from image_utils.errors import InputError

CGROUP = Path("/sys/fs/cgroup")  # where a container's limit stands
SHARE = 0.8  # of what is free; the rest is for what the estimate leaves out


def free_memory(device: torch.device | None = None) -> int:
    """Return the bytes that are free on a device, the CPU by default; in a container what it may still take."""
    if device is not None and device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = psutil.virtual_memory().available
    try:
        limit, used = (int((CGROUP / name).read_text()) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # no such file, or "max"
        return free
    return min(free, limit - used)


def bytes_for_a_gradient(model: nn.Module, x: torch.Tensor) -> int:
    """Measure what the network keeps of one image, so that its score can be differentiated.

    Args:
        model: network in evaluation mode.
        x: float Tensor (1, C, H, W).

    Returns:
        Bytes, counted twice: the gradients of what is kept come on top of it.
    """
    kept: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    watched = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
    with torch.inference_mode(False), torch.enable_grad(), watched:
        model(x.detach().clone().requires_grad_(True).clone())
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    return 2 * sum(size for place, size in kept.items() if place not in weights)


def check_memory(
    option: str, needed: float, fits: Callable[[float], str], device: torch.device | None = None
) -> None:
    """Raise InputError, before any work, unless what is needed fits into the memory that is free.

    Args:
        option: what decides it, such as "--size 100000".
        needed: bytes.
        fits: says what would fit, given the share of `needed` that there is, less than 1.
        device: where it lies.
    """
    free = free_memory(device)
    if needed > SHARE * free:
        raise InputError(
            f"{option} needs about {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free; "
            f"{fits(max(0.0, SHARE * free / needed))} would fit"
        )
