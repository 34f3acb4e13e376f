"""Looking into a network and leaving it as it was."""

import contextlib
import sys
import threading

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
        if any(was_training for _, was_training in training):
            model.eval()
        for parameter in trainable:
            parameter.requires_grad_(False)
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        for module, was_training in training:
            if module.training != was_training:  # to set what is set already would cost more than to look
                module.training = was_training
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


class _Uncompiled:
    """The compiler's stance, which all threads share: the first in changes it, the last out restores it.

    Were each to restore what it found, of two threads that overlap the second would find, and leave, the first's.
    """

    def __init__(self):
        self.lock, self.inside, self.stance = threading.Lock(), 0, None

    @contextlib.contextmanager
    def __call__(self):
        with self.lock:
            # Where nothing is compiled there is nothing to do, and loading the compiler takes seconds.
            if self.stance is None and "torch._dynamo" in sys.modules:
                self.stance = torch.compiler.set_stance("force_eager")
                self.stance.__enter__()
            self.inside += 1
        try:
            yield
        finally:
            with self.lock:
                self.inside -= 1
                if self.inside == 0 and self.stance is not None:
                    self.stance.__exit__(None, None, None)
                    self.stance = None


# `with uncompiled():` runs compiled networks as written, so that replaced modules are seen.
uncompiled = _Uncompiled()
