"""Another rule for every ReLU of a network, for the length of a call; or the network refused.

Guided backpropagation is only what it says if the rule reaches every ReLU that runs. Modules are easy to replace;
a ReLU called as a function, scripted, or hidden in a custom autograd Function is not, and would pass the plain
gradient unnoticed. So the forward pass is watched: an operation whose output is its input with the negatives set
to zero is a ReLU, whatever it is called, and one that the rule did not compute is an error.

    with relus_replaced(model, CustomReLU):
        scores = model(x)  # and differentiate them here, inside the block
"""

import contextlib
import functools
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from image_utils.errors import InputError
from networks.no_trace import uncompiled

FUNCTIONS = {  # how a ReLU is called as a function, and where it levels off
    **dict.fromkeys((F.relu, torch.relu, torch.relu_, torch.Tensor.relu, torch.Tensor.relu_), None),
    F.relu6: 6.0,
}
IN_PLACE = (torch.relu_, torch.Tensor.relu_)
aten = torch.ops.aten
NAMED = (aten.relu, aten.relu_)  # operations that are a ReLU whatever they are given,
LOWEST_FIRST = (  # and those that are one if their lowest value is 0
    *(aten.clamp, aten.clamp_, aten.clamp_min, aten.clamp_min_),
    *(aten.hardtanh, aten.hardtanh_),
)
NO_RELU = (
    "the network runs no ReLU, so guided backpropagation would be its plain gradient; use saliency maps, "
    "SmoothGrad or Grad-CAM"
)


class OutOfReach(InputError):
    """A rule cannot be applied to a network: it has no ReLU, or one that cannot be replaced."""


@contextlib.contextmanager
def relus_replaced(
    model: nn.Module, rule: type[torch.autograd.Function], *, functional: str = "refuse"
) -> Iterator[None]:
    """Let `rule` compute every ReLU of a network inside the block, and what computed it before afterwards.

    ReLU6 is the rule followed by its ceiling. Activations that are no ReLU (leaky ReLU, GELU, hardswish, ...) keep
    their own derivative. Differentiate inside the block: checkpointed networks run again in the backward pass
    (ReLUs called as functions inside a checkpoint cannot be guided).

    Args:
        model: nn.Module; inside the block it and its ReLU modules have another `forward`.
        rule: autograd Function of one Tensor that computes max(x, 0) and saves x and that, such as `CustomReLU`.
            It need not know of ReLUs that write in place.
        functional: "refuse" a network that calls ReLUs as functions (F.relu, torch.relu, x.relu_(), F.relu6), or
            "guide" these too. Other tools replace modules only.

    Raises:
        OutOfReach: from the network's first call, if a ReLU ran that the rule did not compute, or if none ran.
    """
    if functional not in ("refuse", "guide"):
        raise InputError(f"functional must be 'refuse' or 'guide', not {functional!r}")
    watch = _Watch(rule)
    functions = _ReplaceFunctions(watch) if functional == "guide" else contextlib.nullcontext()
    with contextlib.ExitStack() as replaced:
        for module in model.modules():
            for ceiling in _ceilings(module):
                rectify = functools.partial(watch.rectify, ceiling=ceiling, inplace=module.inplace)
                replaced.enter_context(_other_forward(module, rectify))
        run = functools.partial(_run, model.forward, watch, functional)
        replaced.enter_context(_other_forward(model, run))
        with uncompiled(), functions:
            yield


@contextlib.contextmanager
def _other_forward(module, forward):
    """Give a module another `forward`, and back what it had, which may be none but its class's."""
    before = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        vars(module).pop("forward", None)
        if before is not None:
            module.forward = before


def _run(forward, watch, functional, x, *args, **kwargs):
    """Run the network; the first time, watch what it does with the first image."""
    if watch.satisfied:
        return forward(x, *args, **kwargs)
    # What runs for one image runs for all of a batch, and watching costs half as much as computing. It runs as it
    # will when it is differentiated: without a gradient nn.TransformerEncoderLayer, for one, takes another path.
    alone = len(x) == 1 and torch.is_grad_enabled() and x.requires_grad
    with watch, torch.enable_grad():
        first = x if alone else x[:1].detach().requires_grad_()
        outputs = forward(first.clone(), *args, **kwargs)
    if watch.missed:
        raise OutOfReach(_explain(watch.missed, functional))
    if not watch.replaced:
        raise OutOfReach(NO_RELU)
    watch.satisfied = True
    return outputs if alone else forward(x, *args, **kwargs)


def _explain(missed, functional):
    count = f"{len(missed)} ReLU{'s' * (len(missed) > 1)} of the network ({', '.join(sorted(set(missed)))})"
    if functional == "refuse":
        return (
            f"{count} cannot be reached: called as functions (F.relu, torch.relu), not as nn.ReLU modules, they "
            "would pass plain gradients; use modules, or functional='guide'"
        )
    return (
        f"{count} cannot be reached: inside a custom autograd Function, in a scripted module or written by hand, "
        "they would pass plain gradients; use nn.ReLU or F.relu"
    )


def _ceilings(module):
    """Yield the height at which a ReLU module levels off (None: nowhere); nothing for any other module."""
    if "forward" in vars(module):
        return  # someone else's replacement: what it does will be seen as it runs
    forward = getattr(type(module), "forward", None)  # a scripted module has none to replace
    if forward is nn.ReLU.forward:
        yield None
    elif forward is nn.ReLU6.forward and module.min_val == 0:
        yield module.max_val


class _ReplaceFunctions(TorchFunctionMode):
    """While active, ReLUs called as functions are computed by the rule."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Compute a call that is a ReLU by the rule, and any other as it stands."""
        kwargs = kwargs or {}
        if func not in FUNCTIONS or self.watch.in_rule:
            return func(*args, **kwargs)
        inplace = kwargs.pop("inplace", args[1] if len(args) > 1 else False)
        x = args[0] if args else kwargs["input"]
        return self.watch.rectify(x, ceiling=FUNCTIONS[func], inplace=inplace or func in IN_PLACE)


class _InPlace(torch.autograd.Function):
    """A ReLU in the memory of its input whose backward pass is a rule's."""

    @staticmethod
    def forward(ctx, x, rule):
        """Compute max(x, 0), and save x and that for the rule."""
        ctx.rule, before = rule, x.clone()
        ctx.mark_dirty(x)
        output = x.clamp_(min=0)
        ctx.save_for_backward(before, output)
        return output

    @staticmethod
    def backward(ctx, dout):
        """Pass the signal on by the rule."""
        return ctx.rule.backward(ctx, dout), None


class _Watch(TorchDispatchMode):
    """Sees every operation that runs, and tells the ReLUs that the rule computed from those it did not."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule
        self.replaced = 0  # ReLUs computed by the rule
        self.missed = []  # operations that computed the others
        self.in_rule = False
        self.satisfied = False  # once a forward pass ran no ReLU but the rule's

    @classmethod
    def _should_skip_dynamo(cls):
        """Say no: torch's compiler, which has nothing to do here, would be imported to skip this."""
        return False

    def rectify(self, input, ceiling=None, inplace=False):
        """Compute a ReLU by the rule; `inplace` overwrites the input, as whoever else holds it expects."""
        self.in_rule = True
        try:
            self.replaced += 1
            if inplace and ceiling is None and not input._is_view():
                return _InPlace.apply(input, self.rule)
            output = self.rule.apply(input.clone() if inplace else input)
            if ceiling is not None:
                output = output.clamp(max=ceiling)
            return input.copy_(output) if inplace else output
        finally:
            self.in_rule = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Run an operation and look at what it did."""
        kwargs = kwargs or {}
        if self.in_rule:
            return func(*args, **kwargs)
        before = [arg for arg in args if isinstance(arg, torch.Tensor) and arg.is_floating_point()]
        if func._schema.is_mutable:
            before = [arg.clone() for arg in before[:1]]
        after = func(*args, **kwargs)
        if _is_relu(func, args, kwargs) or any(_rectified(arg, after) for arg in before):
            self.missed.append(str(func.overloadpacket))
        return after


def _is_relu(func, args, kwargs):
    """Whether an operation is a ReLU by its name; an image of no negatives would not show it."""
    lowest = kwargs.get("min", args[1] if len(args) > 1 else None)
    at_zero = isinstance(lowest, int | float) and lowest == 0
    return func.overloadpacket in NAMED or (func.overloadpacket in LOWEST_FIRST and at_zero)


def _rectified(before, after):
    """Whether `after` is `before` with the negatives set to zero, and perhaps a ceiling."""
    if not isinstance(after, torch.Tensor) or before.shape != after.shape or not after.numel():
        return False
    low, high = after.aminmax()
    if low < 0 or high <= 0 or not (before < 0).any():
        return False
    return torch.equal(after, before.clamp(min=0).clamp(max=high).to(after.dtype))
