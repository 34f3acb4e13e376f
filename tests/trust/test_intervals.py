"""Means, bootstrap intervals and controls."""

import numpy as np
import pytest
import torch

from trust import intervals, make_controls, mean_intervals
from trust.intervals import Interval


def test_means_are_the_plain_means_of_what_is_defined():
    values = np.array([[1.0, 2, 3, 4, 5, np.nan], [0, 0, 0, 0, 0, 0], [np.nan] * 6])
    first, second, third = mean_intervals(values)
    assert (first.mean, first.count) == (3.0, 5) and first.low < 3 < first.high
    assert (second.mean, second.count) == (0.0, 6)
    assert np.isnan(third.mean) and third.count == 0


def test_photographs_that_differ_do_not_hide_methods_that_differ(rng):
    """Levels 100 times as far apart as the methods; the difference of the methods is always the same."""
    level = 100 * rng.random(8)
    one, other = mean_intervals(np.stack([level, level + 1]))
    assert other.above(one) and one.below(other) and not one.above(other)
    alone = mean_intervals(level[None])[0]
    assert alone.high - alone.low > 10


def test_methods_that_do_not_differ_overlap(rng):
    level = 100 * rng.random(8)
    noise = rng.normal(size=(2, 8))
    one, other = mean_intervals(level + noise - noise.mean(1, keepdims=True))
    assert not one.above(other) and not one.below(other)


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    """Percentile coverage of a mean of 20 numbers; 300 trials of 95 % have a standard deviation of 1.3 %."""
    rng = np.random.default_rng(3)
    hits = 0
    for trial in range(300):
        (interval,) = mean_intervals(rng.normal(size=(1, 20)), seed=trial)
        hits += interval.low <= 0 <= interval.high
    assert 0.87 < hits / 300 < 0.99


def test_too_few_photographs_have_no_interval_and_are_better_than_nothing():
    few = mean_intervals(np.array([[9.0, 9.1, 9.2, 9.3], [0, 0, 0, 0]]))
    assert all(np.isnan(i.low) and np.isnan(i.high) for i in few)
    assert not few[0].above(few[1]) and not few[1].below(few[0])


def test_equal_numbers_have_an_interval_of_no_width():
    assert mean_intervals(np.full((1, 7), 0.25))[0] == Interval(0.25, 0.25, 0.25, 7)


def test_same_seed_same_interval(rng):
    values = rng.random((3, 9))
    assert mean_intervals(values) == mean_intervals(values) != mean_intervals(values, seed=1)


@pytest.mark.parametrize("name", list(make_controls()))
def test_controls_know_nothing_of_the_network(name, rng):
    X = torch.as_tensor(rng.normal(size=(2, 3, 20, 30)))
    maps = make_controls()[name](X, torch.tensor([0, 1]), None)
    assert np.shape(maps) == (2, 20, 30) and np.isfinite(np.asarray(maps)).all()
    again = make_controls()[name](X, torch.tensor([5, 6]), "another network")
    assert np.array_equal(np.asarray(maps), np.asarray(again))


def test_edges_lie_at_edges_and_the_hill_in_the_middle():
    X = torch.zeros(1, 3, 20, 30)
    X[..., 15:] = 1
    controls = make_controls()
    found = controls["edges"](X)[0]
    assert (found[:, 14:16] > 0).all() and (found[:, :13] == 0).all() and (found[:, 17:] == 0).all()
    hill = controls["centred Gaussian"](X)[0]
    assert np.unravel_index(hill.argmax(), hill.shape) in [(9, 14), (9, 15), (10, 14), (10, 15)]
    random = controls["random order"]
    assert not torch.equal(random(X), random(X))


def test_of_many_photographs_the_normal_interval_is_the_bootstraps(rng, monkeypatch):
    values = rng.exponential(size=(2, intervals.MANY))
    normal = mean_intervals(values)
    monkeypatch.setattr(intervals, "MANY", 10**9)
    for one, other in zip(normal, mean_intervals(values), strict=True):
        width = one.high - one.low
        assert one.mean == other.mean and one.count == values.shape[1]
        assert abs(one.low - other.low) < 0.1 * width and abs(one.high - other.high) < 0.1 * width
