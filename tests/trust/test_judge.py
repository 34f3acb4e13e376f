"""Everything measured at once is what each measure says alone; batches one after another; controls."""

import math

import numpy as np
import pytest
import torch

import attributions
from image_utils.errors import InputError
from networks.masked import masked_scores
from tests.no_trace import no_trace
from tests.small_networks import random_images, tiny_net
from tests.trust.attributes import gradient_times_input, saliency
from trust import (
    class_sensitivity,
    deletion,
    efficient_mprt,
    insertion,
    max_sensitivity,
    mu_fidelity,
    randomised,
    weight_sensitivity,
)
from trust.controls import centred_gaussian, edges, make_controls
from trust.judge import MEASURES, joined, judge, maps_of
from trust.maps import as_maps
from trust.passes import counted
from trust.similarity import map_similarity
from visualizers import GradCam

FEW = {"steps": 3, "masks": 5, "samples": 2, "seed": 4}


def refuses(X, y, model):
    raise InputError("not for this network")


@pytest.fixture(scope="module")
def case():
    return tiny_net(), random_images(3, 3, 10, 13, dtype=torch.float64), torch.tensor([2, 0, 6])


@pytest.fixture(scope="module")
def judged(case):
    methods = {"saliency": saliency, "refuses": refuses, "product": gradient_times_input}
    with no_trace(*case):
        return judge(methods, *case, **FEW)


def test_each_number_is_what_its_measure_says_alone(case, judged):
    model, X, y = case
    _, upper = next(randomised(model, stages=2, order="top_down", seed=4))
    _, blank = next(randomised(model, stages=1, seed=4))
    assert judged.names == ["saliency", "product"] and set(judged.numbers) == set(MEASURES) - {"grid"}
    for m, attribute in enumerate((saliency, gradient_times_input)):
        one, half, none = (as_maps(attribute(X, y, network), X)[0] for network in (model, upper, blank))
        assert np.array_equal(judged.maps[m], one)
        alone = {
            "deletion": deletion(model, X, y, one[None], steps=3, seed=4)[0],
            "insertion": insertion(model, X, y, one[None], steps=3, seed=4)[0],
            "fidelity": mu_fidelity(model, X, y, one[None], count=5, seed=4)[0],
            "class": class_sensitivity(attribute, model, X, y),
            "upper": map_similarity(one, half),
            "weights": map_similarity(one, none),
            "entropy": efficient_mprt(one, none),
            "noise": max_sensitivity(attribute, model, X, y, samples=2, seed=4),
        }
        for name, wanted in alone.items():
            np.testing.assert_allclose(judged.numbers[name][m], wanted, rtol=1e-9, atol=1e-12, err_msg=name)


def test_the_weights_number_is_the_end_of_the_strip(case, judged):
    model, X, y = case
    strip = weight_sensitivity(saliency, model, X, y, stages=1, seed=4)
    np.testing.assert_allclose(judged.numbers["weights"][0], strip.similarity[-1], atol=1e-12)


def test_what_cannot_be_computed_is_named_and_the_seconds_are_of_the_others(judged):
    assert judged.failed == {"refuses": "not for this network"}
    assert len(judged.seconds) == 2 and all(seconds > 0 for seconds in judged.seconds)


def test_batches_are_put_one_after_another(case, judged):
    model, X, y = case
    other = judge({"product": gradient_times_input, "saliency": saliency}, model, X[:1], y[:1], **FEW)
    names, numbers, seconds, failed = joined([judged, other])
    assert names == ["saliency", "product"] and set(failed) == {"refuses"}
    for name, rows in numbers.items():
        assert np.array_equal(rows, np.concatenate([judged.numbers[name], other.numbers[name][::-1]], axis=1)), (
            name
        )
    for m, pair in enumerate(zip(judged.seconds, other.seconds[::-1], strict=True)):
        assert seconds[m] == pytest.approx((3 * pair[0] + pair[1]) / 4)


def test_a_product_is_computed_from_factors_that_are_there(squeezenet, photographs):
    """Equal to rounding with what the visualizer says, alone and beside its factors, which then run once."""
    X, y = (side[:2] for side in photographs)
    named = attributions.methods(["guided_gradcam", "gradcam", "guided_backprop"], layer="features.12")
    own = GradCam().guided_grad_cam(X, y, squeezenet, normalize=None)
    with counted(squeezenet) as alone:
        product = named["guided_gradcam"](X, y, squeezenet)
    with counted(squeezenet) as beside:
        found = maps_of(named, X, y, squeezenet)
    np.testing.assert_allclose(product, np.abs(own).max(-1), rtol=1e-6)
    np.testing.assert_allclose(found, np.stack([product, *(named[n](X, y, squeezenet) for n in list(named)[1:])]))
    assert beside.forward == alone.forward
    only = {name: named[name] for name in ("guided_gradcam", "gradcam")}
    np.testing.assert_allclose(maps_of(only, X, y, squeezenet)[0], product)


def test_images_that_follow_themselves_run_once(case):
    model, X, _ = case
    masks = random_images(5, 10, 13, dtype=torch.float64).abs().clamp(max=1)
    X, y = X[[0, 0, 0, 1, 0]], torch.tensor([1, 2, 2, 3, 4])
    with counted(model) as passes:
        scores = masked_scores(model, X, y, masks, batch=2)
    assert passes.forward == 3 * len(masks)
    for n in range(5):
        alone = masked_scores(model, X[n : n + 1], y[n : n + 1], masks)[0]
        np.testing.assert_allclose(scores[n], alone, rtol=1e-12)


def test_several_methods_at_once_are_these_one_by_one(case):
    model, X, y = case

    def both(X, y, model):
        return torch.stack([saliency(X, y, model), gradient_times_input(X, y, model)])

    for measure in (class_sensitivity, max_sensitivity):
        singles = [measure(attribute, model, X, y) for attribute in (saliency, gradient_times_input)]
        np.testing.assert_allclose(measure(both, model, X, y), singles, rtol=1e-12)


def test_maps_that_are_there_are_not_computed_anew(case, judged):
    model, X, y = case
    calls = []

    def attribute(X, y, model):
        calls.append(model)
        return saliency(X, y, model)

    whole = weight_sensitivity(attribute, model, X, y, stages=2, seed=4)
    calls.clear()
    ends = {"maps": judged.maps[0], "random_maps": judged.random_maps[0]}
    strip = weight_sensitivity(attribute, model, X, y, stages=2, seed=4, **ends)
    assert len(calls) == 1
    np.testing.assert_allclose(strip.maps, whole.maps)
    assert strip.layers == whole.layers


def test_nothing_to_measure_is_an_error(case):
    with pytest.raises(InputError, match="no method could be computed: not for this network"):
        judge({"refuses": refuses}, *case, **FEW)


def test_edges_of_a_batch_are_those_of_its_images():
    X = random_images(3, 3, 10, 13)
    np.testing.assert_array_equal(edges(X), np.concatenate([edges(x) for x in X.split(1)]))


def test_the_hill_is_the_gaussian_a_quarter_of_each_side_wide():
    (hill,) = centred_gaussian(torch.zeros(1, 3, 8, 12))
    for i in range(8):
        for j in range(12):
            exponent = ((i - 3.5) / 2) ** 2 / 2 + ((j - 5.5) / 3) ** 2 / 2
            assert hill[i, j] == pytest.approx(math.exp(-exponent), abs=1e-12)
    assert list(make_controls()) == ["random order", "edges", "centred Gaussian"]
