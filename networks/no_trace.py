"""Looking into a network and leaving it as it was.

with untouched(model, X) as x:  # x: the images to differentiate by
    scores = model(x)
"""

import contextlib
import sys
import threading
import warnings
import weakref
from collections.abc import Iterator

import torch
from torch import nn

from networks.scores import check_images

_warned = weakref.WeakSet()  # networks of which was said that they came in training mode


@contextlib.contextmanager
def untouched(model: nn.Module, X: torch.Tensor | None = None) -> Iterator[torch.Tensor | None]:
    """Put a network into the state that explaining it needs, and back again, whatever happens.

    Inside: evaluation mode (dropout off, batch statistics fixed), parameters frozen (no gradient is computed for
    or accumulated in them), gradients with respect to inputs enabled even if the caller switched them off, and
    other threads that want the same network wait. Afterwards, also after an exception, every training flag and
    requires_grad flag is what it was. Parameters, buffers and .grad are never touched.

    Args:
        model: nn.Module. Blocks of one thread may be nested.
        X: float Tensor (N, C, H, W), images to explain; not changed. None where there are none.

    Yields:
        Copy of X: a leaf that requires a gradient, so that it is in `x.grad` after `backward()`. The network gets
        a copy at each call, so that one whose first layer writes in place does not overwrite it. Without X: None.

    Raises:
        InputError: X is not such a Tensor, or an image in it is not finite.
    """
    if X is not None:
        check_images(X)
    with _turns.taken(model):
        training = [module for module in model.modules() if module.training]
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        if X is not None and any(map(_acts_otherwise, training)):
            _warn_once(model)
        hook = model.register_forward_pre_hook(_copy_arguments)
        try:
            if training:
                model.eval()
            for parameter in trainable:
                parameter.requires_grad_(False)
            with torch.inference_mode(False), torch.enable_grad():
                yield None if X is None else X.detach().clone().requires_grad_(True)
        finally:
            hook.remove()
            for module in training:
                module.training = True
            for parameter in trainable:
                parameter.requires_grad_(True)


def variable(X: torch.Tensor, memory_format: torch.memory_format = torch.preserve_format) -> torch.Tensor:
    """Copy images for one step of an ascent: `backward()` leaves their gradient in `.grad`.

    It is no leaf, so that a step may be written into it (`x += step`) as well as beside it (`x = x + step`).

    Args:
        X: float Tensor (N, C, H, W); not changed.
        memory_format: of the copy.

    Returns:
        Tensor like X.
    """
    x = X.detach().requires_grad_().clone(memory_format=memory_format)
    x.retain_grad()
    return x


def _copy_arguments(module, args):
    return tuple(arg.clone() if isinstance(arg, torch.Tensor) else arg for arg in args)


def _acts_otherwise(module):
    """Whether a module in training mode computes something else than in evaluation mode, as far as one sees."""
    random = any(word in type(module).__name__ for word in ("Drop", "StochasticDepth"))
    return random or isinstance(module, nn.modules.batchnorm._NormBase)


def _warn_once(model):
    if model in _warned:
        return
    _warned.add(model)
    warnings.warn(
        "the network is in training mode; it is explained in evaluation mode and put back, so what you do with it "
        "next (Captum, asking for its choice) runs with dropout and batch statistics; call model.eval() first",
        UserWarning,
        stacklevel=5,  # whoever called the technique
    )


class _Turns:
    """Which thread works with which modules and parameters; other threads that want one of them wait.

    Networks may share modules, or only parameters, so these are taken, not networks. A thread takes all that it
    needs at once or waits, so that no two can wait for each other. Parameters count where they get frozen.
    """

    def __init__(self):
        self.changed = threading.Condition()
        self.owners = {}  # id of a module or parameter -> [thread, how many of its blocks hold it]

    @contextlib.contextmanager
    def taken(self, model):
        me, wanted = threading.get_ident(), []

        def free():
            held = [p for p in model.parameters() if p.requires_grad or id(p) in self.owners]
            wanted[:] = [id(part) for part in (*model.modules(), *held)]
            return all(self.owners.get(part, (me,))[0] == me for part in wanted)

        with self.changed:
            self.changed.wait_for(free)
            for part in wanted:
                self.owners.setdefault(part, [me, 0])[1] += 1
        try:
            yield
        finally:
            with self.changed:
                for part in wanted:
                    self.owners[part][1] -= 1
                    if self.owners[part][1] == 0:
                        del self.owners[part]
                self.changed.notify_all()


_turns = _Turns()


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
