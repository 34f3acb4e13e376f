"""The no-trace contract as a test helper: whatever runs inside must leave everything as it was.

with no_trace(model, X, y):
    technique(X, y, model)
with no_trace(model, X), pytest.raises(InputError):
    technique(X, wrong, model)
"""

import contextlib
import random

import matplotlib
import numpy as np
import torch

HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
    "_state_dict_hooks",
    "_load_state_dict_pre_hooks",
)


def _copy(value):
    return value.detach().clone() if isinstance(value, torch.Tensor) else value


def _tensor_facts(tensor):
    return {
        "value": _copy(tensor),
        "grad": _copy(tensor.grad) if tensor.is_leaf else None,
        "requires_grad": tensor.requires_grad,
        "shape": tuple(tensor.shape),
        "hooks": list((tensor._backward_hooks or {}).keys()),
    }


def snapshot(model, *tensors):
    """Everything the contract speaks of, as a flat dict."""
    facts = {}
    for name, module in model.named_modules():
        facts[f"module {name}"] = (id(module), type(module))
        facts[f"training {name}"] = module.training
        facts[f"attributes {name}"] = sorted(module.__dict__)
        facts[f"children {name}"] = [(key, id(child)) for key, child in module._modules.items()]
        for hooks in HOOKS:
            facts[f"{hooks} {name}"] = list(getattr(module, hooks).items())
    for kind in ("parameters", "buffers"):
        for name, tensor in getattr(model, f"named_{kind}")():
            facts[f"{kind} {name}"] = (id(tensor), _tensor_facts(tensor))
    for i, tensor in enumerate(tensors):
        facts[f"argument {i}"] = _tensor_facts(tensor) if isinstance(tensor, torch.Tensor) else np.array(tensor)
    facts["torch random state"] = torch.get_rng_state()
    if torch.cuda.is_available():
        facts["cuda random state"] = torch.cuda.get_rng_state()
    facts["numpy random state"] = np.random.get_state()  # noqa: NPY002  (the global state is what is watched)
    facts["python random state"] = random.getstate()
    facts["grad mode"] = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
    facts["defaults"] = (
        torch.get_default_dtype(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
    )
    facts["matplotlib"] = dict(matplotlib.rcParams)
    return facts


def same(a, b):
    """Deep equality over tensors, arrays and containers."""
    if isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor):
        return isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


@contextlib.contextmanager
def no_trace(model, *tensors):
    """Fail, naming what changed, unless the block leaves model, arguments and global state as they were."""
    before = snapshot(model, *tensors)
    try:
        yield
    finally:
        after = snapshot(model, *tensors)
        changed = sorted(
            key for key in before.keys() | after.keys() if not same(before.get(key), after.get(key, "gone"))
        )
    assert not changed, f"left a trace: {changed[:6]}"
