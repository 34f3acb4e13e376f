"""Several computations with one network at once: on a CPU, an image alone keeps a second core hardly half busy."""

import contextlib
import contextvars
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any

import torch
from torch import nn

from networks.copies import copy_on_same_weights

Callback = Callable[[Any], None] | None


def side_by_side(work: Callable[[Any, nn.Module, Callable], Any], items: Sequence, model: nn.Module) -> list:
    """Call `work(item, network, in_turn)` for each item, as many at once as torch has threads.

    Each thread has a copy of the network on the same weights, and its share of torch's threads. The items go one
    after the other, with the network itself, where threads would have to wait for each other or would not know
    something: parameters that have to be frozen, another device, training mode, autocast, a network that cannot be
    copied.

    Args:
        work: computes an item, and calls what `in_turn` made of a callback, or of None, at each of its steps.
            `in_turn` returns a function of one argument that runs the callback in one thread at a time, and ends
            the work by an exception after Ctrl-C, or an error, elsewhere.
        items: of any kind.
        model: nn.Module.

    Returns:
        List of the results, in the order of the items.
    """
    threads = torch.get_num_threads()
    together = min(threads, len(items))
    elsewhere = any(p.requires_grad or p.device.type != "cpu" for p in model.parameters())
    training = any(module.training for module in model.modules())
    networks = []
    if together > 1 and not (elsewhere or training or torch.is_autocast_enabled("cpu")):
        with contextlib.suppress(RuntimeError, TypeError):  # deepcopy's, of what it does not copy
            networks = [copy_on_same_weights(model) for _ in items]
    if not networks:
        return [work(item, model, lambda callback: callback) for item in items]
    one_at_a_time, over = threading.Lock(), threading.Event()

    def in_turn(callback: Callback) -> Callable[[Any], None]:
        def call(step):
            with one_at_a_time:
                if over.is_set():
                    raise CancelledError
                if callback is not None:
                    callback(step)

        return call

    with ThreadPoolExecutor(together, "item", torch.set_num_threads, (threads // together,)) as pool:
        try:
            started = [
                pool.submit(contextvars.copy_context().run, work, item, network, in_turn)
                for item, network in zip(items, networks, strict=True)
            ]
            return [one.result() for one in started]
        finally:
            over.set()  # reached with work still going on after an error or Ctrl-C only
            pool.shutdown(cancel_futures=True)
            torch.set_num_threads(threads)  # what torch gives to threads that start later
