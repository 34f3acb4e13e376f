"""`untouched`: threads take turns, images must be finite, a network in training mode is named."""

import concurrent.futures
import copy
import threading
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from image_utils.errors import InputError
from networks.copies import copy_on_same_weights
from networks.no_trace import untouched, variable
from tests.no_trace import no_trace
from tests.small_networks import random_images, tiny_net
from visualizers import ClassVisualization, FoolingImage, GradCam, SaliencyMap

X, Y = random_images(2, 3, 12, 12, dtype=torch.float64), torch.tensor([1, 5])
SHARED = GradCam()  # one object for all threads
METHODS = {
    "saliency": lambda model: SaliencyMap().compute_saliency_maps(X, Y, model),
    "guided_backprop": lambda model: SHARED.guided_backprop(X, Y, model),
    "grad_cam": lambda model: SHARED.grad_cam(X, Y, model, layer="features.2"),
    "guided_grad_cam": lambda model: SHARED.guided_grad_cam(X, Y, model, layer="features.2"),
    "fooling": lambda model: FoolingImage().make_fooling_image(X, Y, model),
}


def test_four_threads_get_what_one_gets():
    model = tiny_net().train().requires_grad_()
    expected = {name: np.asarray(method(model)) for name, method in METHODS.items()}
    names, wrong = list(METHODS), []

    def work(first):
        for i in range(100):
            name = names[(first + i) % len(names)]
            if not np.array_equal(np.asarray(METHODS[name](model)), expected[name]):
                wrong.append(name)

    with no_trace(model, X), concurrent.futures.ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(work, first) for first in range(4)]:
            done.result()
    assert not wrong


def other_network(model):
    """Networks that share something with a model: its modules, or only its parameters."""
    return {
        "modules": nn.Sequential(model.features, nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        "parameters": copy_on_same_weights(model),
    }


@pytest.mark.parametrize("share", ["modules", "parameters"])
def test_networks_that_share_wait_for_each_other(share):
    model = tiny_net().requires_grad_()
    other, inside, order = other_network(model)[share], threading.Event(), []

    def second():
        inside.wait()
        with untouched(other):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with untouched(model):
        inside.set()
        thread.join(0.2)  # not a limit: the order below is what is judged
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_frozen_copies_do_not_wait():
    model = tiny_net().requires_grad_(False)
    other, order = copy_on_same_weights(model), []

    def second():
        with untouched(other):
            order.append("second")

    thread = threading.Thread(target=second)
    with untouched(model):
        thread.start()
        thread.join()
        order.append("first")
    assert order == ["second", "first"]


def test_blocks_nest_and_the_last_out_puts_the_flags_back():
    model = tiny_net().train().requires_grad_()
    with no_trace(model), untouched(model):
        with untouched(model.features):
            assert not any(module.training for module in model.modules())
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())


TAKING_IMAGES = METHODS | {
    "minimal fooling": lambda model: FoolingImage().make_minimal_fooling_image(X, Y, model, steps=2),
}


@pytest.mark.parametrize("name", TAKING_IMAGES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_images_that_are_not_finite_are_refused(monkeypatch, name, value):
    wrong = X.clone()
    wrong[1, 0, 5, 5] = value
    monkeypatch.setitem(globals(), "X", wrong)
    with no_trace(model := tiny_net()), pytest.raises(InputError, match="image 1 holds NaN or infinite"):
        TAKING_IMAGES[name](model)


def test_inference_tensors_are_explained():
    model = tiny_net()
    expected = FoolingImage().make_fooling_image(X, Y, model)
    with torch.inference_mode():
        made_there = X.clone()
        assert torch.equal(FoolingImage().make_fooling_image(made_there, Y, model), expected)
        assert torch.equal(METHODS["saliency"](model), SaliencyMap().compute_saliency_maps(made_there, Y, model))


def test_a_network_in_training_mode_is_named_once():
    model = tiny_net().train()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for method in METHODS.values():
            method(model)
        METHODS["saliency"](tiny_net())  # in evaluation mode
        METHODS["saliency"](nn.Sequential(nn.Conv2d(3, 6, 12), nn.Flatten()).double().train())  # nothing follows
    assert [warning.category for warning in seen] == [UserWarning]
    assert "training mode" in str(seen[0].message) and "eval()" in str(seen[0].message)
    assert seen[0].filename == __file__
    with pytest.warns(UserWarning, match="training mode"):
        ClassVisualization().create_class_visualizations(
            [1], tiny_net().train(), torch.float64, size=12, num_iterations=1
        )


@pytest.mark.parametrize("step", ["in place", "beside"])
def test_a_variable_takes_a_step_either_way(step):
    x = variable(X)
    (x**2).sum().backward()
    assert torch.equal(x.grad, 2 * X)
    if step == "in place":
        x += x.grad
    else:
        x = x + x.grad
    assert torch.equal(x.detach(), 3 * X)
    assert torch.equal(copy.deepcopy(X), X)
