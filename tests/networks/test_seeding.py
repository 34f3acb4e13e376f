"""Random numbers of libraries: as if each had the global generators to itself."""

import threading

import numpy as np
import torch

from networks.seeding import seeded_globals


def draw():
    return [*torch.rand(3).tolist(), *np.random.rand(3).tolist()]  # noqa: NPY002


def test_the_same_seed_draws_the_same_and_the_generators_go_on_as_before():
    state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with seeded_globals(3):
        first = draw()
    with seeded_globals(3):
        assert draw() == first
    with seeded_globals(4):
        assert draw() != first
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numpy_state)  # noqa: NPY002


def test_threads_take_turns():
    with seeded_globals(3):
        alone = draw()
    found = []

    def elsewhere():
        with seeded_globals(3):
            found.append(draw())

    other = threading.Thread(target=elsewhere)
    with seeded_globals(3):
        other.start()
        other.join(timeout=0.05)  # time enough to disturb, if it could
        assert found == [] and draw() == alone
    other.join()
    assert found == [alone]
