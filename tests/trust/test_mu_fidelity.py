"""Mu-fidelity against the definition, and its closed form on a linear network."""

import numpy as np
import pytest
import torch

from image_utils.errors import InputError
from image_utils.masks import random_masks
from networks.seeding import make_generator
from tests.no_trace import no_trace
from tests.oracles import trust as oracle
from tests.small_networks import LinearNet, random_images, tiny_net
from tests.trust.attributes import constant, gradient_times_input, saliency
from trust import mu_fidelity
from trust.similarity import rank_correlation

DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def tiny():
    return tiny_net(), random_images(2, 3, 10, 13, **DOUBLE), torch.tensor([2, 6])


def some_masks(count, size, **options):
    return random_masks(count, size, make_generator(1), **options)


def test_equals_the_definition(tiny):
    model, X, y = tiny
    maps, masks = saliency(X, y, model), some_masks(30, (10, 13), cells=5, keep=0.7)
    expected = [oracle.mu_fidelity(model, x, int(t), m, masks) for x, t, m in zip(X, y, maps, strict=True)]
    np.testing.assert_allclose(mu_fidelity(model, X, y, maps, masks=masks), expected, atol=1e-12)


def test_rank_correlation_equals_the_definition(rng):
    a, b = rng.integers(0, 6, 40), rng.integers(0, 6, 40)
    assert rank_correlation(a, b) == pytest.approx(oracle.spearman(a.tolist(), b.tolist()), abs=1e-12)
    assert np.isnan(rank_correlation(a, np.ones(40)))


def test_contributions_have_1_on_a_linear_network_and_their_inverse_minus_1():
    model, X, y = LinearNet((3, 12, 18)), random_images(2, 3, 12, 18, **DOUBLE), torch.tensor([0, 3])
    best = gradient_times_input(X, y, model)
    found = mu_fidelity(model, X, y, torch.stack([best, -best, 5 * best + 0.01]), count=50, cells=6)
    np.testing.assert_allclose(found, [[1, 1], [-1, -1], [1, 1]], atol=1e-12)


def test_maps_share_masks_and_passes(tiny):
    model, X, y = tiny
    maps = torch.stack([saliency(X, y, model), -saliency(X, y, model), X.mean(1)])
    seen = []
    handle = model.register_forward_hook(lambda module, args, output: seen.append(len(args[0])))
    together = mu_fidelity(model, X, y, maps, count=20, cells=4)
    handle.remove()
    assert sum(seen) == 2 * 21
    alone = np.stack([mu_fidelity(model, X, y, m, count=20, cells=4) for m in maps])
    np.testing.assert_array_equal(together, alone)


def test_a_constant_map_has_no_order_of_regions(tiny):
    model, X, y = tiny
    assert np.isnan(mu_fidelity(model, X, y, constant(X, y, model), cells=4)).all()


def test_two_images_give_what_each_gives(tiny):
    model, X, y = tiny
    maps = saliency(X, y, model)
    singles = [mu_fidelity(model, X[n : n + 1], y[n : n + 1], maps[n : n + 1], cells=4)[0] for n in range(2)]
    np.testing.assert_allclose(mu_fidelity(model, X, y, maps, cells=4), singles, atol=1e-12)


def test_same_seed_same_numbers(tiny):
    model, X, y = tiny
    maps = saliency(X, y, model)
    first, same, other = (mu_fidelity(model, X, y, maps, cells=4, seed=seed) for seed in (3, 3, 4))
    assert (first == same).all() and (first != other).any()


def test_leaves_no_trace(tiny):
    model, X, y = tiny
    maps = saliency(X, y, model)
    model.train()
    with no_trace(model, X, y, maps):
        mu_fidelity(model, X, y, maps, count=4, cells=4)


def test_refuses_masks_that_do_not_fit(tiny):
    model, X, y = tiny
    maps = saliency(X, y, model)
    for masks in (torch.ones(5, 13, 10), torch.ones(1, 10, 13), torch.ones(10, 13)):
        with pytest.raises(InputError, match="masks must"):
            mu_fidelity(model, X, y, maps, masks=masks)
    with pytest.raises(InputError, match="cells must be"):
        mu_fidelity(model, X, y, maps, cells=11)


def test_masks_keep_the_same_number_of_cells():
    masks = some_masks(40, (14, 21), cells=7, keep=0.8)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    assert set(masks.sum((1, 2)).tolist()) == {39.0 * 6}  # 39 of 49 cells of 2 x 3 pixels
    smooth = some_masks(400, (14, 21), cells=7, keep=0.5, smooth=True)
    assert smooth.shape == (400, 14, 21) and smooth.min() >= 0 and smooth.max() <= 1
    assert abs(smooth.mean() - 24 / 49) < 0.01
    spread = smooth.mean(0)
    assert (spread - spread.mean()).abs().max() < 0.1  # every place is open as often, up to 400 draws' scatter
