"""Sensitivity to the class, to the weights and to noise, against definitions and known cases."""

import numpy as np
import pytest
import torch
from torch import nn

from image_utils.errors import InputError
from tests.no_trace import no_trace
from tests.oracles import trust as oracle
from tests.small_networks import LinearNet, random_images, tiny_net
from tests.trust.attributes import constant, gradient_times_input, saliency
from trust import class_sensitivity, efficient_mprt, max_sensitivity, randomised, weight_sensitivity
from trust.class_sensitivity import runners_up
from trust.controls import edges
from trust.maps import is_flat
from visualizers import GradCam, SaliencyMap

DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def tiny():
    return tiny_net(), random_images(3, 3, 10, 13, **DOUBLE), torch.tensor([2, 0, 6])


# ---- the class


def test_class_sensitivity_equals_the_definition(tiny):
    model, X, y = tiny
    found = class_sensitivity(saliency, model, X, y)
    for n in range(3):
        scores = model(X[n : n + 1])[0].tolist()
        runner_up = max((c for c in range(7) if c != y[n]), key=lambda c: scores[c])
        pair = [saliency(X[n : n + 1], torch.tensor([c]), model)[0] for c in (int(y[n]), runner_up)]
        assert found[n] == pytest.approx(oracle.spearman(*(m.flatten().tolist() for m in pair)), abs=1e-12)


def test_a_network_of_two_classes_has_one_runner_up():
    model = LinearNet((3, 5, 6), classes=2)
    X = random_images(4, 3, 5, 6, **DOUBLE)
    assert runners_up(model, X, torch.tensor([0, 1, 1, 0])).tolist() == [1, 0, 0, 1]
    opposed = LinearNet((3, 5, 6), classes=2)
    opposed.weight.data[1] = -opposed.weight.data[0]
    y = torch.zeros(4, dtype=torch.int64)
    np.testing.assert_allclose(class_sensitivity(saliency, opposed, X, y), 1)
    np.testing.assert_allclose(class_sensitivity(gradient_times_input, opposed, X, y), -1)


def test_a_network_of_one_class_is_refused():
    model = LinearNet((3, 5, 6), classes=1)
    with pytest.raises(InputError, match="one class"):
        class_sensitivity(saliency, model, random_images(1, 3, 5, 6, **DOUBLE), torch.tensor([0]))


def test_flat_is_what_differs_by_no_more_than_rounding():
    third = np.full((5, 6), 1 / 3)
    almost, tiny_slope, step = third.copy(), 1e-30 * np.arange(30).reshape(5, 6), third.copy()
    almost[2, 3], step[2, 3] = np.nextafter(1 / 3, 1), 0.334
    assert is_flat(np.stack([[0 * third, third], [-third, almost]])).all()
    assert not is_flat(np.stack([tiny_slope, step, -step])).any()


def test_flat_maps_have_no_similarity(tiny):
    assert np.isnan(class_sensitivity(constant, *tiny)).all()


def test_guided_backprop_hardly_changes_with_the_class_and_the_others_do(squeezenet, photographs):
    X, y = (side[:3] for side in photographs)

    def guided(X, y, model):
        return np.abs(GradCam().guided_backprop(X, y, model)).max(-1)

    def grad_cam(X, y, model):
        return GradCam().grad_cam(X, y, model, normalize=None)

    def gradient(X, y, model):
        return SaliencyMap().compute_saliency_maps(X, y, model)

    similar = {f: class_sensitivity(f, squeezenet, X, y) for f in (guided, grad_cam, gradient)}
    assert similar[guided].min() > 0.95
    assert similar[grad_cam].mean() < 0.85 and similar[gradient].mean() < 0.85
    # the upper half of the layers without weights: guided backprop still shows the same
    upper = {}
    for f in similar:
        strip = weight_sensitivity(f, squeezenet, X, y, stages=2, order="top_down")
        upper[f] = strip.similarity[0].mean()
    assert upper[guided] > 0.75 and upper[gradient] < 0.65 and upper[grad_cam] < 0.4


# ---- the weights


def test_layers_lose_their_weights_one_after_the_other():
    model = tiny_net()
    names = [name for name, module in model.named_modules() if list(module.parameters(recurse=False))]
    original = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    def changed(network):
        return {n.rpartition(".")[0] for n, p in network.named_parameters() if not torch.equal(p, original[n])}

    stages = [(name, changed(network)) for name, network in randomised(model)]
    assert stages == [(name, set(names[: i + 1])) for i, name in enumerate(names)]
    reverse = [(name, changed(network)) for name, network in randomised(model, order="top_down")]
    assert reverse == [(name, set(names[-i - 1 :])) for i, name in enumerate(names[::-1])]
    assert [name for name, _ in randomised(model, stages=2)] == [names[1], names[-1]]
    assert [name for name, _ in randomised(model, stages=1)] == [names[-1]]
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, original[name])


def test_every_layer_has_a_seed_of_its_own_whatever_the_order():
    model = nn.Sequential(LinearNet((1, 40, 40), 1), LinearNet((1, 40, 40), 1)).requires_grad_(False)
    for module in model:
        del module.bias
    *_, (_, up) = randomised(model, seed=5)
    up = [p.clone() for p in up.parameters()]
    *_, (_, down) = randomised(model, seed=5, order="top_down", stages=1)
    assert all(torch.equal(a, b) for a, b in zip(up, down.parameters(), strict=True))
    a, b = ((p - p.mean()) / p.std() for p in up)
    assert abs((a * b).mean()) < 0.1  # the same seed for both layers would give 1
    for ours, theirs in zip(up, model.parameters(), strict=True):
        assert ours.std() == pytest.approx(theirs.std().item(), rel=0.1)


def test_a_network_of_one_layer():
    """Its gradient is its weight: the map of the random network is |random weight|, whatever the image."""
    model = LinearNet((1, 30, 40), classes=2)
    X, y = random_images(2, 1, 30, 40, **DOUBLE), torch.tensor([0, 1])
    strip = weight_sensitivity(saliency, model, X, y)
    assert strip.layers == ["LinearNet"] and strip.maps.shape == (2, 2, 30, 40)
    ((_, network),) = randomised(model)
    np.testing.assert_array_equal(strip.maps[1], network.weight.detach().abs().numpy()[:, 0])
    for n in range(2):
        pair = (strip.maps[i, n].ravel().tolist() for i in range(2))
        assert strip.similarity[0, n] == pytest.approx(oracle.spearman(*pair), abs=1e-12)
    assert np.abs(strip.similarity).max() < 0.15  # independent numbers, 1200 of them


def test_a_map_that_ignores_the_weights_keeps_similarity_1(tiny):
    strip = weight_sensitivity(edges, *tiny)
    np.testing.assert_allclose(strip.similarity, 1)


def test_efficient_mprt_equals_the_definition(tiny):
    model, X, y = tiny
    strip = weight_sensitivity(saliency, model, X, y, stages=1)
    before, after = ([oracle.histogram_entropy(torch.as_tensor(m)) for m in side] for side in strip.maps)
    expected = [(b - a) / a for a, b in zip(before, after, strict=True)]
    np.testing.assert_allclose(efficient_mprt(*strip.maps), expected, rtol=1e-9)
    assert np.isnan(efficient_mprt(np.ones((1, 4, 4)), strip.maps[0, :1, :4, :4])).all()


def test_refuses_networks_without_weights_and_unknown_orders(tiny):
    with pytest.raises(InputError, match="no weights"):
        next(randomised(nn.Flatten()))
    with pytest.raises(InputError, match="order"):
        next(randomised(tiny[0], order="sideways"))
    with pytest.raises(InputError, match="stages"):
        next(randomised(tiny[0], stages=0))


# ---- noise


def test_max_sensitivity_equals_the_definition(tiny):
    model, X, y = tiny
    noise = 0.1 * random_images(3, 3, 10, 13, seed=4, **DOUBLE)
    expected = [oracle.largest_change(saliency, model, x, int(t), noise) for x, t in zip(X, y, strict=True)]
    np.testing.assert_allclose(max_sensitivity(saliency, model, X, y, noise=noise), expected, rtol=1e-12)


def test_the_gradient_of_a_linear_network_is_stable_and_its_product_with_the_input_is_not():
    model, X, y = LinearNet((3, 5, 6)), random_images(2, 3, 5, 6, **DOUBLE), torch.tensor([0, 3])
    np.testing.assert_allclose(max_sensitivity(saliency, model, X, y), 0, atol=1e-12)
    assert (max_sensitivity(gradient_times_input, model, X, y) > 1e-3).all()


def test_the_noise_is_drawn_on_both_sides_and_the_same_for_all_images(tiny):
    model, X, y = tiny
    seen = []
    max_sensitivity(
        lambda X, y, model: seen.append(X) or X[:, 0], model, X, y, maps=X[:, 0], radius=0.5, samples=7
    )
    noise = torch.stack(seen) - X
    assert len(noise) == 7 and (noise - noise[:, :1]).abs().max() < 1e-12
    assert -0.5 <= noise.min() < -0.45 and 0.45 < noise.max() <= 0.5 and noise.mean().abs() < 0.03


def test_a_map_of_zeros_has_no_relative_change(tiny):
    assert np.isnan(max_sensitivity(lambda X, y, model: X[:, 0] * 0, *tiny)).all()


# ---- all


@pytest.mark.parametrize("measure", [class_sensitivity, max_sensitivity, weight_sensitivity])
def test_contract(tiny, measure):
    model, X, y = tiny
    model.train()

    def numbers(X, y, **options):
        found = measure(saliency_in_eval, model, X, y, **options)
        return found.similarity if measure is weight_sensitivity else found[None]

    def saliency_in_eval(X, y, model):
        return SaliencyMap().compute_saliency_maps(X, y, model)

    with no_trace(model, X, y):
        together = numbers(X, y)
    singles = np.concatenate([numbers(X[n : n + 1], y[n : n + 1]) for n in range(3)], axis=1)
    np.testing.assert_allclose(together, singles, atol=1e-10)
    np.testing.assert_array_equal(together, numbers(X, y))
    maps = SaliencyMap().compute_saliency_maps(X, y, model)
    np.testing.assert_array_equal(together, numbers(X, y, maps=maps))
