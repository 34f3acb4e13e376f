"""The engine on a small problem: solvers, records, the guard, and what an interruption leaves."""

import math

import pytest
import torch

from image_utils.errors import InputError
from style_modules.optimise import SOLVERS, Diverged, optimise
from stylize.colour import grey, luminance, match_grey, with_luminance_of
from tests.no_trace import no_trace
from tests.small_networks import random_images

TARGET = 0.5 * random_images(1, 3, 9, 11, seed=5)
START = torch.zeros(1, 3, 9, 11)


def objective(img):
    """A steep bowl and a flat one; the minimum lies between 0 and the target."""
    return {"content": 100 * (img - TARGET).square().sum(), "tv": (img * img).sum()}


MINIMUM = sum(value.item() for value in objective(TARGET * 100 / 101).values())


def record(**arguments):
    steps = []
    image = optimise(objective, START, callback=steps.append, **arguments)
    return image, steps


@pytest.mark.parametrize(("solver", "close"), [("course", 3.0), ("adam", 0.05), ("lbfgs", 1e-3)])
def test_every_solver_finds_the_minimum(solver, close):
    image, _ = record(solver=solver)
    assert sum(value.item() for value in objective(image).values()) < MINIMUM * (1 + close) + 1e-4


@pytest.mark.parametrize("solver", SOLVERS)
def test_records_tell_the_losses_of_their_images(solver):
    image, steps = record(solver=solver, steps=12)
    assert [step.step for step in steps] == list(range(len(steps)))
    assert len(steps) == (12 if solver == "lbfgs" else 13)
    for step in steps:
        expected = {name: value.item() for name, value in objective(step.image).items()}
        assert step.losses == pytest.approx(expected, rel=1e-5)
        assert step.total == pytest.approx(sum(expected.values()), rel=1e-5)
        assert not step.image.requires_grad
    assert torch.equal(steps[0].image, START.clamp(-1.5, 1.5))
    best = min(steps, key=lambda step: step.total)
    assert torch.equal(image, steps[-1].image if solver == "course" else best.image)


@pytest.mark.parametrize("solver", SOLVERS)
def test_same_arguments_same_bytes_and_no_trace(solver):
    with no_trace(torch.nn.Identity(), START, TARGET):
        first, _ = record(solver=solver, steps=7)
        again, _ = record(solver=solver, steps=7)
    assert torch.equal(first, again)


@pytest.mark.parametrize("arguments", [{"solver": "sgd"}, {"steps": 0}, {"steps": -3}, {"steps": 2.5}])
def test_refuses_unusable_arguments(arguments):
    with pytest.raises(InputError):
        optimise(objective, START, **arguments)


@pytest.mark.parametrize("solver", SOLVERS)
def test_refuses_losses_that_forget_the_image(solver):
    with pytest.raises(InputError, match="no gradient"):
        optimise(lambda img: {"tv": (img.detach() ** 2).sum()}, START, solver=solver)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("solver", SOLVERS)
def test_stops_where_a_loss_is_no_number_and_keeps_the_best_image(solver, bad):
    steps = []

    def breaks(img):
        losses = objective(img)
        return losses if len(steps) < 5 else {**losses, "style": losses["tv"] * bad}

    with pytest.raises(Diverged, match=r"step 5: the style loss is (nan|inf)") as stopped:
        optimise(breaks, START, solver=solver, callback=steps.append)
    assert stopped.value.step == 5
    assert torch.equal(stopped.value.image, min(steps, key=lambda step: step.total).image)


def test_stops_at_once_without_an_image():
    with pytest.raises(Diverged, match="no image to keep") as stopped:
        optimise(lambda img: {"tv": img.sum() * math.nan}, START)
    assert stopped.value.image is None


@pytest.mark.parametrize("solver", ["course", "adam"])
def test_stops_where_the_loss_grows_out_of_proportion(solver):
    scale = iter(10.0 ** (4 * k) for k in range(100))
    with pytest.raises(Diverged, match="grew from"):
        optimise(lambda img: {"tv": next(scale) * (1 + img.square().sum())}, START, solver=solver)


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
        optimise(objective, START, solver=solver, callback=stop)
    assert len(seen) == 4


def test_luminance_transfer():
    photograph, painting = torch.rand(2, 1, 3, 6, 7, generator=torch.Generator().manual_seed(0)).double()
    assert luminance(photograph)[0, 0, 2, 3] == pytest.approx(
        (photograph[0, :, 2, 3] * torch.tensor([0.299, 0.587, 0.114]).double()).sum().item()
    )
    assert torch.allclose(luminance(grey(photograph)), luminance(photograph))
    matched = match_grey(grey(painting), grey(photograph))
    assert matched.mean() == pytest.approx(grey(photograph).mean().item())
    assert matched.std() == pytest.approx(grey(photograph).std().item())
    assert torch.isfinite(match_grey(torch.full_like(painting, 0.3), grey(photograph))).all()
    result = with_luminance_of(photograph, painting)
    assert torch.allclose(luminance(result), luminance(painting))
    # I and Q depend on differences of channels alone, and these stay.
    assert torch.allclose(result[:, 0] - result[:, 1], photograph[:, 0] - photograph[:, 1])
    assert torch.allclose(result[:, 2] - result[:, 1], photograph[:, 2] - photograph[:, 1])
