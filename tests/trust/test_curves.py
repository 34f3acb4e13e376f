"""Deletion and insertion against the definition, and their closed forms on a linear network."""

import numpy as np
import pytest
import torch

from image_utils.errors import InputError
from tests.no_trace import no_trace
from tests.oracles import trust as oracle
from tests.small_networks import LinearNet, random_images, tiny_net
from tests.trust.attributes import constant, gradient_times_input, saliency
from trust import deletion, insertion
from trust.curves import blurred, score_curves, turn_numbers
from trust.grid_pointing import mosaics_of
from visualizers import SaliencyMap

SHAPE = (3, 6, 8)  # 48 pixels
DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def tiny():
    return tiny_net(), random_images(3, 3, 12, 16, **DOUBLE), torch.tensor([2, 0, 6])


def test_deletion_equals_the_definition(tiny):
    model, X, y = tiny
    maps = saliency(X, y, model)
    areas = [
        oracle.curve_area(model, x, torch.zeros_like(x), int(t), m, 16) for x, t, m in zip(X, y, maps, strict=True)
    ]
    np.testing.assert_allclose(deletion(model, X, y, maps, steps=16), areas, rtol=1e-12)


def test_insertion_equals_the_definition(tiny):
    model, X, y = tiny
    maps = saliency(X, y, model)
    start = blurred(X)
    areas = [
        oracle.curve_area(model, b, x, int(t), m, 8, softmax=False)
        for b, x, t, m in zip(start, X, y, maps, strict=True)
    ]
    np.testing.assert_allclose(insertion(model, X, y, maps, steps=8, softmax=False), areas, rtol=1e-12)


def test_the_blur_keeps_the_mean_colour_of_a_plain_image_and_takes_detail_away():
    plain = torch.full((1, 3, 40, 60), 0.7)
    assert torch.allclose(blurred(plain), plain)
    noise = random_images(1, 3, 40, 60)
    assert blurred(noise).std() < 0.3 * noise.std()


def linear_case():
    model, X, y = LinearNet(SHAPE), random_images(2, *SHAPE, **DOUBLE), torch.tensor([1, 3])
    return model, X, y, gradient_times_input(X, y, model)


def test_closed_form_on_a_linear_network():
    """The score falls by each pixel's contribution: after t pixels by the sum of the first t."""
    model, X, y, contributions = linear_case()
    scores = model(X).gather(1, y[:, None]).detach().numpy()[:, 0]
    falling = np.sort(contributions.numpy().reshape(2, -1), axis=1)[:, ::-1]
    curves = scores[:, None] - np.concatenate([np.zeros((2, 1)), np.cumsum(falling, axis=1)], axis=1)
    areas = ((curves[:, 1:] + curves[:, :-1]) / 2).mean(1)
    found = deletion(model, X, y, contributions, steps=48, softmax=False)
    np.testing.assert_allclose(found, areas, rtol=1e-10)
    # Insertion from the mean colour runs the other way: the score lacks what is not yet there.
    risen = insertion(model, X, y, contributions, baseline=0.0, steps=48, softmax=False)
    np.testing.assert_allclose(risen, scores + (scores - falling.sum(1)) - areas, rtol=1e-10)


@pytest.mark.parametrize("measure", [deletion, insertion])
def test_contributions_are_best_on_a_linear_network_and_their_inverse_worst(measure, rng):
    model, X, y, contributions = linear_case()
    others = [torch.as_tensor(rng.normal(size=contributions.shape)) for _ in range(20)]
    maps = torch.stack([contributions, *others, -contributions])
    sign = 1 if measure is deletion else -1
    areas = sign * measure(model, X, y, maps, baseline=0.0, steps=48, softmax=False)
    assert (areas[0] < areas[1:-1]).all() and (areas[1:-1] < areas[-1]).all()


def test_equal_values_come_in_the_order_of_the_seed(tiny):
    model, X, y = tiny
    maps = constant(X, y, model)
    first, same, other = (deletion(model, X, y, maps, seed=seed) for seed in (0, 0, 1))
    assert (first == same).all() and (first != other).all()
    zeros = np.zeros((1, 4, 5))
    assert (turn_numbers(zeros, 20, 3) == turn_numbers(zeros + 7, 20, 3)).all()


def test_every_pixel_has_one_turn_and_the_highest_the_first(rng):
    maps = rng.normal(size=(2, 7, 9))
    turns = turn_numbers(maps, 10, 0)
    for one, turn in zip(maps, turns, strict=True):
        counts = np.bincount(turn.ravel())[1:]
        assert counts.sum() == 63 and set(counts) == {6, 7}
        for step in range(1, 10):
            assert one[turn <= step].min() > one[turn > step].max()


def test_curves_begin_and_end_with_the_images(tiny):
    model, X, y = tiny
    maps = torch.stack([saliency(X, y, model), constant(X, y, model)])
    curves = score_curves(model, X, torch.zeros_like(X), y, maps, steps=5)
    assert curves.shape == (2, 3, 6)
    for n in range(3):
        assert curves[:, n, 0] == pytest.approx(oracle.probability(model, X[n], int(y[n])))
        assert curves[:, n, -1] == pytest.approx(oracle.probability(model, 0 * X[n], int(y[n])))


def test_saliency_beats_random_order_on_photographs(squeezenet, photographs, rng):
    """A known fact, on average over photographs; a single one may say otherwise."""
    X, y = (side[:3] for side in photographs)
    maps = SaliencyMap().compute_saliency_maps(X, y, squeezenet)
    orders = rng.random((2, *maps.shape))
    ours = deletion(squeezenet, X, y, maps, steps=10)
    random = deletion(squeezenet, X, y, orders, steps=10).mean(0)
    assert ours.mean() < 0.8 * random.mean()


@pytest.mark.parametrize("maps", [torch.zeros(3, 16, 12), torch.zeros(2, 12, 16), torch.zeros(12, 16)])
def test_refuses_maps_of_another_shape(tiny, maps):
    model, X, y = tiny
    with pytest.raises(InputError, match="maps must have shape"):
        deletion(model, X, y, maps)


def test_refuses_maps_that_are_not_finite(tiny):
    model, X, y = tiny
    maps = saliency(X, y, model)
    maps[1, 0, 0] = torch.nan
    with pytest.raises(InputError, match="image 1 "):
        deletion(model, X, y, maps)


def test_refuses_no_steps_and_a_baseline_that_does_not_fit(tiny):
    model, X, y = tiny
    with pytest.raises(InputError, match="steps"):
        deletion(model, X, y, saliency(X, y, model), steps=0)
    with pytest.raises(InputError, match="baseline"):
        deletion(model, X, y, saliency(X, y, model), baseline=torch.zeros(3, 5, 5))


def test_leaves_no_trace(tiny):
    model, X, y = tiny
    model.train()
    maps = saliency(X, y, model)
    with no_trace(model, X, y, maps):
        deletion(model, X, y, maps)
        insertion(model, X, y, maps)


def test_what_is_made_of_images_lies_in_memory_as_they_do():
    """Pooling is several times as fast with the channels last; a copy in the other order loses that."""
    X = random_images(4, 3, 8, 10)
    last = X.contiguous(memory_format=torch.channels_last)
    for make in (blurred, lambda X: mosaics_of(X, torch.arange(4).view(1, 4).repeat(2, 1), shrink=True)):
        assert torch.allclose(make(last), make(X), atol=1e-6)
        assert make(X).is_contiguous() and make(last).is_contiguous(memory_format=torch.channels_last)
