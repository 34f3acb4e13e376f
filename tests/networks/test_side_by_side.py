"""Several computations with one network at once: results as one after the other, and an end after Ctrl-C."""

import threading

import pytest
import torch

from networks.side_by_side import side_by_side
from tests.small_networks import tiny_net


def scores_of(X):
    return lambda i, network, in_turn: network(X[i : i + 1])


def test_results_come_in_order_and_are_those_of_one_after_the_other(two_threads):
    model, X = tiny_net(dtype=torch.float64).requires_grad_(False), torch.randn(7, 3, 8, 8, dtype=torch.float64)
    together = side_by_side(scores_of(X), range(7), model)
    assert torch.equal(torch.cat(together), torch.cat([model(x[None]) for x in X]))
    assert torch.get_num_threads() == 2


def test_two_run_at_once_each_with_a_network_of_its_own_on_the_same_weights(two_threads):
    model, meeting = tiny_net(dtype=torch.float64).requires_grad_(False), threading.Barrier(2)
    networks = []

    def work(item, network, in_turn):
        networks.append(network)
        meeting.wait(timeout=60)  # broken unless a second thread comes while this one is here
        return torch.get_num_threads()

    assert side_by_side(work, [0, 1], model) == [1, 1]
    assert len({id(n) for n in [model, *networks]}) == 3
    for network in networks:
        assert all(a is b for a, b in zip(network.parameters(), model.parameters(), strict=True))


def alone(change):
    """A small network after a change of it, or of the number of threads, with which threads gain nothing."""
    model = tiny_net(dtype=torch.float64).requires_grad_(False)
    return change(model) or model


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.requires_grad_(True),
        lambda m: m.train(),
        lambda m: torch.set_num_threads(1),
        lambda m: setattr(m, "lock", threading.Lock()),
    ],
    ids=["parameters to freeze", "training mode", "one thread", "what cannot be copied"],
)
def test_where_threads_would_wait_for_each_other_there_are_none(two_threads, change):
    model = alone(change)
    callback, here = (lambda step: None), threading.get_ident()

    def work(item, network, in_turn):
        return network is model, in_turn(callback) is callback, threading.get_ident() == here

    assert side_by_side(work, range(3), model) == [(True, True, True)] * 3


def test_autocast_reaches_the_work(two_threads):
    model = tiny_net(dtype=torch.float32).requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        (found, _) = side_by_side(scores_of(torch.randn(2, 3, 8, 8)), [0, 1], model)
    assert found.dtype == torch.bfloat16


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_ends_what_still_runs_and_what_has_not_begun(two_threads, error):
    model, begun, called = tiny_net(dtype=torch.float64).requires_grad_(False), [], []

    def work(item, network, in_turn):
        begun.append(item)
        if item == 0:
            raise error
        step = in_turn(called.append)
        while True:  # ended by the callback alone
            step(item)

    with pytest.raises(error):
        side_by_side(work, range(6), model)
    assert len(begun) < 6 and torch.get_num_threads() == 2
    assert set(called) <= set(begun)


def test_callbacks_do_not_meet(two_threads):
    model, inside, met = tiny_net(dtype=torch.float64).requires_grad_(False), threading.Lock(), []

    def callback(step):
        met.append(not inside.acquire(blocking=False))
        threading.Event().wait(0.001)
        inside.release()

    def work(item, network, in_turn):
        for step in range(20):
            in_turn(callback)(step)

    side_by_side(work, range(2), model)
    assert len(met) == 40 and not any(met)
