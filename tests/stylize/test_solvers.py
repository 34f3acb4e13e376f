"""The engine on a small problem: solvers, records, the guard, and what an interruption leaves."""

import itertools
import math

import pytest
import torch

from image_utils.errors import InputError
from stylize.record import Diverged
from stylize.solvers import optimise
from tests.no_trace import no_trace
from tests.small_networks import random_images

SOLVERS = ("adam", "lbfgs")
TARGET = 0.5 * random_images(1, 3, 9, 11, seed=5)
START = torch.zeros(1, 3, 9, 11)


def objective(img):
    """A steep bowl and a flat one; the minimum lies between 0 and the target."""
    return {"content": 100 * (img - TARGET).square().sum(), "tv": (img * img).sum()}


MINIMUM = sum(value.item() for value in objective(TARGET * 100 / 101).values())


def record(**arguments):
    steps = []
    image = optimise(objective=objective, start=START, callback=steps.append, **arguments)
    return image, steps


@pytest.mark.parametrize(("solver", "close"), [("adam", 0.05), ("lbfgs", 1e-3)])
def test_every_solver_finds_the_minimum(solver, close):
    image, _ = record(solver=solver)
    assert sum(value.item() for value in objective(image).values()) < MINIMUM * (1 + close) + 1e-4


@pytest.mark.parametrize("solver", SOLVERS)
def test_records_tell_the_losses_of_their_images(solver):
    image, steps = record(solver=solver, steps=12)
    assert [step.step for step in steps] == list(range(len(steps)))
    assert len(steps) == 12
    for step in steps:
        expected = {name: value.item() for name, value in objective(step.image).items()}
        assert step.losses == pytest.approx(expected, rel=1e-5)
        assert step.total == pytest.approx(sum(expected.values()), rel=1e-5)
        assert not step.image.requires_grad
    assert torch.equal(steps[0].image, START)
    assert torch.equal(image, min(steps, key=lambda step: step.total).image)


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_arguments_same_bytes_and_no_trace(solver):
    with no_trace(torch.nn.Identity(), START, TARGET):
        first, _ = record(solver=solver, steps=7)
        again, _ = record(solver=solver, steps=7)
    assert torch.equal(first, again)


@pytest.mark.parametrize("arguments", [{"solver": "sgd"}, {"steps": 0}, {"steps": -3}, {"steps": 2.5}])
def test_refuses_unusable_arguments(arguments):
    with pytest.raises(InputError):
        optimise(objective=objective, start=START, **arguments)


@pytest.mark.parametrize("solver", SOLVERS)
def test_refuses_losses_that_forget_the_image(solver):
    with pytest.raises(InputError, match="no gradient"):
        optimise(objective=lambda img: {"tv": (img.detach() ** 2).sum()}, start=START, solver=solver)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("solver", SOLVERS)
def test_stops_where_a_loss_is_no_number_and_keeps_the_best_image(solver, bad):
    steps = []

    def breaks(img):
        losses = objective(img)
        return losses if len(steps) < 5 else {**losses, "style": losses["tv"] * bad}

    with pytest.raises(Diverged, match=r"step 5: the style loss is (nan|inf)") as stopped:
        optimise(objective=breaks, start=START, solver=solver, callback=steps.append)
    assert stopped.value.step == 5
    assert torch.equal(stopped.value.image, min(steps, key=lambda step: step.total).image)


def test_stops_at_once_without_an_image():
    with pytest.raises(Diverged, match="no image to keep") as stopped:
        optimise(objective=lambda img: {"tv": img.sum() * math.nan}, start=START)
    assert stopped.value.image is None


def test_stops_where_the_loss_grows_out_of_proportion():
    scale = iter(10.0 ** (4 * k) for k in range(100))
    with pytest.raises(Diverged, match="grew from"):
        optimise(objective=lambda img: {"tv": next(scale) * (1 + img.square().sum())}, start=START, solver="adam")


def test_a_line_search_may_look_far_away_and_come_back():
    """Its first trial step lands on a wall a million times as high; the best image is returned all the same."""
    steps = []

    def with_a_wall(img):
        height = 1e9 if len(steps) == 1 else 1.0
        return {"tv": height * (img - TARGET).square().sum()}

    image = optimise(objective=with_a_wall, start=START, solver="lbfgs", steps=20, callback=steps.append)
    assert steps[1].total > 1e6 * steps[0].total
    assert torch.equal(image, min(steps, key=lambda step: step.total).image)
    assert (image - TARGET).norm() < 0.5 * TARGET.norm()


def test_adams_rate_falls_along_half_a_cosine():
    """On a slope Adam moves every pixel by its rate: 0.1 * (1 + cos(pi * t / steps)) / 2."""
    steps, slope = [], torch.ones_like(START)
    optimise(
        objective=lambda img: {"tv": (img * slope).sum()},
        start=START,
        solver="adam",
        steps=10,
        callback=steps.append,
    )
    moved = [(a.image - b.image).mean().item() for a, b in itertools.pairwise(steps)]
    assert moved == pytest.approx([0.05 * (1 + math.cos(math.pi * t / 10)) for t in range(9)], rel=1e-3)


class Enough(Exception):
    pass


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, Enough])
@pytest.mark.parametrize("solver", SOLVERS)
def test_what_the_callback_raises_ends_it(solver, interruption):
    seen = []

    def stop(step):
        seen.append(step.image)
        if step.step == 3:
            raise interruption

    with pytest.raises(interruption):
        optimise(objective=objective, start=START, solver=solver, callback=stop)
    assert len(seen) == 4
