"""Looking into a network and leaving it as it was."""

import contextlib
import sys

import torch


@contextlib.contextmanager
def untouched(model):
    """Put a model into the state that explaining it needs, and back again, whatever happens.

    Inside: evaluation mode (dropout off, batch statistics fixed), parameters frozen (no gradient is computed for
    or accumulated in them), gradients with respect to inputs enabled even if the caller switched them off.
    Afterwards, also after an exception: every module's training flag and every parameter's requires_grad flag is
    what it was. Parameters, buffers, hooks and .grad are never touched.

    Args:
        model: nn.Module; it may be shared, but not used by another thread meanwhile.
    """
    training = [(module, module.training) for module in model.modules()]
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        model.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, flag in training:
            module.training = flag
        for parameter in trainable:
            parameter.requires_grad_(True)


def as_leaf(X):
    """Copy a tensor into a fresh leaf that requires a gradient, so that the caller's tensor and its .grad stay.

    Args:
        X: floating-point Tensor of any shape and device.

    Returns:
        Tensor like X, outside every graph, requires_grad=True.
    """
    return X.detach().clone().requires_grad_(True)


def uncompiled():
    """Run what torch.compile compiled as it was written, so that replaced or watched modules are seen.

    Returns:
        Context manager; compiled code is kept and used again afterwards.
    """
    if "torch._dynamo" not in sys.modules:  # nothing is compiled, and loading the compiler takes seconds
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")
