"""A card imitated: what would fail on a GPU fails here.

Inside `OneCard()` every tensor counts as one on the card, unless it was made on the host: made or drawn without a
device, read from NumPy, or moved by `.cpu()`. Refused are a tensor of host values in an operation with one of the
card, a generator of the CPU together with a device, and `.numpy()` of what lies on the card.
"""

import sys

import torch
from torch.overrides import TorchFunctionMode

ROOMS = ("image_utils", "networks", "visualizers", "style_modules", "stylize", "trust", "explain", "style_utils")
MADE = {getattr(torch, name) for name in ("zeros", "ones", "full", "empty", "arange", "linspace", "eye", "tensor")}
MADE |= {torch.as_tensor, torch.from_numpy}
DRAWN = {getattr(torch, name) for name in ("rand", "randn", "randint", "randperm", "normal", "bernoulli")}
TO_NUMPY = {torch.Tensor.numpy, torch.Tensor.__array__}
MOVES = {torch.Tensor.to, torch.Tensor.type_as}
PLACES = (str, torch.device, torch.Tensor)  # what a tensor is moved to; to another type it stays where it is
MIXES = {torch.Tensor.copy_, torch.Tensor.__getitem__, torch.Tensor.__setitem__, torch.Tensor.set_}


INDEXED = {torch.Tensor.__getitem__, torch.Tensor.__setitem__}


class WouldFailOnACard(AssertionError):
    """An operation that mixes host and card."""


def tensors_in(values):
    """Every tensor among arguments, also inside lists and dicts."""
    for value in values.values() if isinstance(values, dict) else values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple | dict):
            yield from tensors_in(value)


class OneCard(TorchFunctionMode):
    """See the module."""

    def __enter__(self):
        for name, module in list(sys.modules.items()):
            if name.split(".")[0] in ROOMS:
                for value in vars(module).values():
                    if isinstance(value, torch.Tensor):
                        value.on_host = True  # a constant of a module, made when that was imported
        return super().__enter__()

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        given = [t for t in (*tensors_in(args), *tensors_in(kwargs)) if t.ndim > 0]
        host = [t for t in given if getattr(t, "on_host", False)]
        name = getattr(func, "__name__", str(func))
        if kwargs.get("generator") is not None and kwargs.get("device") is not None:
            raise WouldFailOnACard(f"{name}: a generator of the CPU, and a device")
        if func in TO_NUMPY and not host and args[0].ndim > 0:
            raise WouldFailOnACard(f"{name} of a tensor that is not known to lie on the host")
        if host and len(host) < len(given) and func not in MOVES | MIXES:
            shapes = [tuple(t.shape) for t in given]
            raise WouldFailOnACard(f"{name} mixes host and card: {shapes}")
        if func in INDEXED and args[0].ndim > 0:
            _check_index(*args)
        found = func(*args, **kwargs)
        if func in MOVES:
            where = [value for value in (*args[1:], *kwargs.values()) if isinstance(value, PLACES)]
            on_host = (
                bool(host) if not where else where[0] == "cpu"
            )  # a torch.device was asked of the card's tensor
        elif func is torch.Tensor.cpu:
            on_host = True
        elif (func in MADE and not (func is torch.as_tensor and given)) or func in DRAWN:
            on_host = kwargs.get("device") is None
        else:
            on_host = getattr(args[0], "on_host", False) if func in MIXES else bool(host)
        for tensor in tensors_in([found]):
            tensor.on_host = on_host
        return found


def _check_index(tensor, index, value=None):
    """Indices may lie on the host whatever they index; values that indices put somewhere lie where that is."""
    here = getattr(tensor, "on_host", False)
    indices = list(tensors_in([index]))
    if here and not all(getattr(each, "on_host", False) for each in indices if each.ndim > 0):
        raise WouldFailOnACard("a tensor of the host is indexed by one of the card")
    if indices and isinstance(value, torch.Tensor) and value.ndim > 0 and getattr(value, "on_host", False) != here:
        raise WouldFailOnACard("values of one place are put by indices into a tensor of another")
