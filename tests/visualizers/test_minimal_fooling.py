"""The smallest change against exact optima: linear networks, where they are known."""

import numpy as np
import pytest
import torch

from tests.oracles.fooling import nearest_in_halfspaces, smallest_integers
from visualizers import minimal_fooling
from visualizers.minimal_fooling import change_of_norm, margin_and_gradient, smallest_change, target_margin

SHAPE = (3, 8, 8)
VALUES = 192
CLOSE = 1.03  # the promise is 1.1


def linear(classes, *, seed):
    """A network s = W x of levels x that does not see the mean level, and W (classes, VALUES)."""
    W = torch.randn(classes, VALUES, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    W -= W.mean(dim=1, keepdim=True)
    return (lambda x: x.flatten(1) @ W.T), W.numpy()


def halfspaces(W, x, target, margin):
    """A and b with: f(x + k) >= margin if and only if A k >= b."""
    others = [j for j in range(len(W)) if j != target]
    A = W[target] - W[others]
    return A, margin - A @ x


def start(level, *, spread=20, seed=0, batch=1):
    """Whole levels around one."""
    noise = torch.randint(-spread, spread + 1, (batch, *SHAPE), generator=torch.Generator().manual_seed(seed))
    return (level + noise).clamp(0, 255).double()


def solve(network, x, target, *, margin, steps=128):
    target = torch.as_tensor(target).reshape(-1)
    change, fools, _ = smallest_change(network, x, target, steps=steps, margin=margin)
    assert fools.all()
    assert torch.equal(change, change.round())
    assert (x + change).min() >= 0 and (x + change).max() <= 255
    assert (target_margin(network(x + change), target) >= margin).all()
    return change.flatten(1).numpy()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("margin", [1000.0, 8000.0])
def test_two_classes_reach_the_distance_to_the_hyperplane(seed, margin):
    network, W = linear(2, seed=seed)
    x = start(128, seed=seed)
    target = int(network(x).argmin())
    (a,), (b,) = halfspaces(W, x.flatten().numpy(), target, margin)
    optimum = b / np.linalg.norm(a)  # distance of a point from {k: a.k = b}
    k = solve(network, x, target, margin=margin)[0]
    assert optimum > 2 * VALUES**0.5  # two levels a value, so that whole levels are fine enough
    assert optimum - 1e-9 <= np.linalg.norm(k) <= CLOSE * optimum


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("classes", [3, 10, 50])
def test_many_classes_reach_the_nearest_point_where_the_target_wins(classes, seed):
    network, W = linear(classes, seed=seed)
    x = start(128, seed=seed)
    target, margin = seed % classes, 1500.0
    k = solve(network, x, target, margin=margin)[0]
    A, b = halfspaces(W, x.flatten().numpy(), target, margin)
    optimum = np.linalg.norm(nearest_in_halfspaces(A, b))
    assert optimum > 2 * VALUES**0.5
    assert optimum * (1 - 1e-6) <= np.linalg.norm(k) <= CLOSE * optimum


@pytest.mark.parametrize(("level", "margin"), [(0, 1000.0), (255, 1000.0), (128, 17000.0)])
def test_at_the_edge_of_the_valid_range(level, margin):
    network, W = linear(2, seed=5)
    x = start(level, spread=10)
    values = x.flatten().numpy()
    (a,), (b,) = halfspaces(W, values, 0, margin)
    optimum = np.linalg.norm(nearest_in_halfspaces(a[None], np.array([b]), low=-values, high=255 - values))
    k = solve(network, x, 0, margin=margin)[0]
    assert (k == -values).any() or (k == 255 - values).any()
    assert optimum * (1 - 1e-6) <= np.linalg.norm(k) <= CLOSE * optimum


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6])
def test_less_than_a_level_a_value_reaches_the_best_whole_numbers(share):
    """Rounding the real optimum gives nothing here; the whole-number optimum changes few values, by a level."""
    network, W = linear(2, seed=7)
    x = start(128)
    (a,), (b,) = halfspaces(W, x.flatten().numpy(), 0, 0.0)
    margin = share * np.abs(a).sum() * 0.5 - b  # so that a.k must reach this share of half of all values' gains
    wanted = b + margin
    best = smallest_integers(a, wanted)
    real = wanted / (a @ a) * a
    assert np.abs(best).max() == 1 and a @ np.round(real) < 0.9 * wanted
    found = solve(network, x, 0, margin=margin)[0]
    assert np.linalg.norm(found) <= 1.02 * np.linalg.norm(best)


def test_the_oracle_of_whole_numbers_is_exact_on_a_case_done_by_hand():
    assert smallest_integers(np.array([5.0, -2.0]), 7.0).tolist() == [1, -1]  # norm 1.41; (2, 0) has 2
    assert smallest_integers(np.array([5.0, -1.0]), 9.0).tolist() == [2, 0]


def test_the_oracle_of_halfspaces_is_exact_on_cases_done_by_hand():
    A, b = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([3.0, 8.0])
    assert nearest_in_halfspaces(A, b) == pytest.approx([3, 4])
    assert nearest_in_halfspaces(A[:1], b[:1]) == pytest.approx([3, 0])
    slanted, high = np.array([[2.0, 1.0]]), np.array([1.2, 9.0])
    assert nearest_in_halfspaces(slanted, np.array([4.0])) == pytest.approx([1.6, 0.8])
    assert nearest_in_halfspaces(slanted, np.array([4.0]), high=high) == pytest.approx([1.2, 1.6])


def test_each_image_has_its_own_result():
    network, _ = linear(10, seed=3)
    x, target = start(128, batch=4), torch.tensor([1, 2, 3, 4])
    together = smallest_change(network, x, target, steps=40, margin=500.0)
    for i in range(4):
        alone = smallest_change(network, x[i : i + 1], target[i : i + 1], steps=40, margin=500.0)
        for a, b in zip(alone, together, strict=True):
            assert torch.equal(a[0], b[i])


def test_scores_in_other_units_give_the_same_change():
    network, _ = linear(10, seed=3)
    small, x = (lambda z: 2.0**-12 * network(z)), start(128)
    a = smallest_change(network, x, torch.tensor([1]), steps=30, margin=512.0)
    b = smallest_change(small, x, torch.tensor([1]), steps=30, margin=0.125)
    assert torch.equal(a[0], b[0])


def test_without_success_the_closest_attempt_is_kept():
    network, _ = linear(3, seed=3)
    x = start(128)
    change, fools, found = smallest_change(network, x, torch.tensor([0]), steps=3, margin=1e9)
    assert not fools.any() and found > 0
    before, after = (target_margin(network(z), torch.tensor([0])) for z in (x, x + change))
    assert after > before


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_margin_sharpens_from_the_first_step_to_the_last(monkeypatch, steps):
    network, seen = linear(3, seed=3)[0], []

    def watched(network, x, target, softness):
        seen.append(softness.item())
        return margin_and_gradient(network, x, target, softness)

    monkeypatch.setattr(minimal_fooling, "margin_and_gradient", watched)
    x, target = start(128), torch.tensor([0])
    smallest_change(network, x, target, steps=steps, margin=500.0)
    missing = 500.0 - target_margin(network(x), target).item()
    assert seen == pytest.approx(missing * np.geomspace(*minimal_fooling.SOFTNESS, steps))


def test_change_of_norm_is_the_largest_multiple_that_fits():
    d = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    low, high = torch.full_like(d, -2.0), torch.full_like(d, 3.0)
    norm = torch.tensor([0.0, 5.0, 25.0], dtype=torch.float64)
    k = change_of_norm(d, norm, low, high)
    reached = k.flatten(1).norm(dim=1)
    assert (reached <= norm).all() and (reached[1:] >= 0.97 * norm[1:]).all()
    assert not k[0].any()
    assert torch.equal(k, k.round()) and k.min() >= -2 and k.max() <= 3
    assert (k * d >= 0).all()  # uphill
    ones = k[1].abs() == 1
    assert d[1].abs()[ones].min() > d[1].abs()[k[1] == 0].max()  # the largest gradients first


def test_the_smooth_margin_against_its_formula_and_limit():
    network, W = linear(5, seed=1)
    x, target = start(128, batch=2), torch.tensor([3, 0])
    T = torch.tensor([50.0, 1e-6], dtype=torch.float64)
    f, gradient = margin_and_gradient(network, x, target, T)
    for i in range(2):
        s, t = W @ x[i].flatten().numpy(), int(target[i])
        others = np.array([j for j in range(5) if j != t])
        weights = np.exp((s[others] - s[others].max()) / float(T[i]))
        expected = W[t] - (weights / weights.sum()) @ W[others]
        assert float(f[i]) == pytest.approx(s[t] - s[others].max())
        assert gradient[i].flatten().numpy() == pytest.approx(expected)


# Wrong solutions, which the exact optima above must tell apart


def _rounds_afterwards(a, b):
    return np.round(b / (a @ a) * a)


def _rounds_up(a, b):
    k = b / (a @ a) * a
    return np.sign(k) * np.ceil(np.abs(k))


def _signs(a, b):
    return np.sign(a) * np.ceil(b / np.abs(a).sum())


@pytest.mark.parametrize("mutant", [_rounds_afterwards, _rounds_up, _signs])
def test_the_optimum_catches_the_classic_mistake(mutant):
    _, W = linear(2, seed=7)
    a = W[0] - W[1]
    wanted = 0.15 * np.abs(a).sum()
    k = mutant(a, wanted)
    best = np.linalg.norm(smallest_integers(a, wanted))
    assert a @ k < wanted or np.linalg.norm(k) > 1.1 * best


@pytest.mark.parametrize("mutant", ["wrong sign", "not whole", "leaves the range", "keeps the first norm"])
def test_the_optimum_catches_a_broken_search(monkeypatch, mutant):
    def broken(direction, norm, low, high):
        if mutant == "wrong sign":
            return change_of_norm(-direction, norm, low, high)
        if mutant == "leaves the range":
            return change_of_norm(direction, norm, low - 999, high + 999)
        return (direction * (norm / direction.flatten(1).norm(dim=1)).view(-1, 1, 1, 1)).clamp(low, high)

    if mutant == "keeps the first norm":
        monkeypatch.setattr(minimal_fooling, "NORM_STEP", (1e-9, 1e-9))
    else:
        monkeypatch.setattr(minimal_fooling, "change_of_norm", broken)
    with pytest.raises(AssertionError):
        test_at_the_edge_of_the_valid_range(128, 17000.0)
        test_less_than_a_level_a_value_reaches_the_best_whole_numbers(0.05)
