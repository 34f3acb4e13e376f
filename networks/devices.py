"""Where tensors live."""

import torch

from image_utils.errors import InputError


def choose_device(name="auto") -> torch.device:
    """Choose the device to compute on.

    Args:
        name: "cpu", "cuda" (or "cuda:1"), "mps", or "auto": the first present of cuda, mps, cpu.

    Raises:
        InputError: the device is not present, or no such device.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(kind for kind, there in present.items() if there))
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"there is no device '{name}'; choose auto, cpu, cuda or mps") from None
    if not present.get(device.type, False):
        raise InputError(f"the device '{name}' is not present here; --device cpu always is")
    if device.type == "cuda" and device.index is not None and device.index >= torch.cuda.device_count():
        raise InputError(f"the device '{name}' is not present; there are {torch.cuda.device_count()} GPUs")
    return device
