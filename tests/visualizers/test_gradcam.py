"""Guided backpropagation and Grad-CAM against the papers, Captum, the course's steps, and wrong solutions."""

import warnings

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop, GuidedGradCam, LayerGradCam
from PIL import Image
from torch import nn

from data import load_network
from image_utils.errors import InputError
from networks.blank import BlankMapWarning
from networks.layers import find_layer
from tests.no_trace import no_trace
from tests.oracles import gradcam as oracle
from tests.small_networks import BreaksInBackward, FailingBackward, random_images
from tests.visualizers import gradcam_mutants as mutants
from tests.visualizers.gradcam_checks import (
    CHECKS,
    cam_has_the_images_shape,
    cam_is_the_papers,
    course_steps,
    flat_is_zero,
    guided_is_the_papers,
    net13,
    nothing_is_left,
)
from visualizers import CustomReLU, GradCam

RAW = {"upsampling": None, "normalize": None}
LAYERS = {"squeezenet1_1": "features.12", "resnet18": "layer4"}


@pytest.fixture(scope="module")
def networks():
    return {"squeezenet1_1": load_network(), "resnet18": load_network("resnet18", "random")}


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("solution", [GradCam, mutants.Student])
def test_a_right_solution_passes(solution, check):
    check(solution())


@pytest.mark.parametrize(
    ("mutant", "check"),
    [
        (mutants.NoReLUOnTheMap, cam_is_the_papers),
        (mutants.MeanOverChannels, cam_is_the_papers),
        (mutants.MeanOverTheBatch, cam_is_the_papers),
        (mutants.MapsNotWeighted, cam_is_the_papers),
        (mutants.MapsOverwrittenInPlace, cam_is_the_papers),
        (mutants.OfTheTopClass, cam_is_the_papers),
        (mutants.OfTheTopClass, guided_is_the_papers),
        (mutants.WidthAndHeightSwapped, cam_has_the_images_shape),
        (mutants.DividesByZero, flat_is_zero),
        (mutants.LeavesHooks, nothing_is_left),
        (mutants.DropoutActive, nothing_is_left),
        (mutants.StaysInEvaluationMode, nothing_is_left),
        (mutants.AccumulatesInX, nothing_is_left),
        (mutants.AccumulatesInParameters, nothing_is_left),
        (mutants.LeavesCustomReLUs, nothing_is_left),
        (mutants.PlainGradient, guided_is_the_papers),
        (mutants.Deconvnet, guided_is_the_papers),
        (mutants.FirstReLUOnly, guided_is_the_papers),
    ],
)
def test_the_classic_mistake_is_caught(mutant, check):
    with pytest.raises(AssertionError):
        check(mutant())


# The rule and the steps.


def test_custom_relu_lets_positive_signals_of_positive_inputs_pass():
    x = torch.tensor([-1.0, 0.0, 2.0, 3.0, -4.0], requires_grad=True)
    out = CustomReLU.apply(x)
    assert out.tolist() == [0, 0, 2, 3, 0]
    out.backward(torch.tensor([5.0, 5.0, 5.0, -5.0, -5.0]))
    assert x.grad.tolist() == [0, 0, 5, 0, 0]


def test_relu6_follows_the_rule_below_its_ceiling():
    model, X = net13(ceiling=0.2), random_images(1, 3, 9, 11, dtype=torch.float64)
    parts = model.features[0], model.features[12], model.head
    expected = oracle.guided_backprop(X[0], 2, *parts, ceiling=0.2)
    assert np.abs(expected - oracle.guided_backprop(X[0], 2, *parts)).max() > 0.1 * expected.max()
    result = GradCam().guided_backprop(X, torch.tensor([2]), model)[0]
    np.testing.assert_allclose(result, expected, atol=1e-5 * expected.max())


def test_equals_the_courses_steps_on_photographs(squeezenet, photographs):
    X, y = photographs
    seen = []
    handle = squeezenet.features[12].register_forward_hook(lambda m, i, out: seen.append(out))
    scores = squeezenet(X.clone().requires_grad_())
    handle.remove()
    (gradient,) = torch.autograd.grad(scores.gather(1, y[:, None]).sum(), seen[0])
    weights = gradient.numpy().mean(axis=(2, 3))
    maps = seen[0].detach().numpy()
    cams = [np.maximum(sum(w * a for w, a in zip(weights[n], maps[n], strict=True)), 0) for n in range(len(X))]
    result = GradCam().grad_cam(X, y, squeezenet)
    np.testing.assert_allclose(result, course_steps(cams, 224, 224), atol=1e-6)
    assert result.dtype == np.float32 and result.min() == 0 and result.max() == 1


def test_upsampling_and_normalize(squeezenet, photographs):
    X, y = photographs[0][:2, :, :160], photographs[1][:2]
    cam = GradCam().grad_cam
    small = cam(X, y, squeezenet, **RAW)
    for name, filter in (("nearest", Image.NEAREST), ("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
        large = cam(X, y, squeezenet, upsampling=name, normalize=None)
        assert np.array_equal(large[1], np.array(Image.fromarray(small[1]).resize((224, 160), filter)))
    each = cam(X, y, squeezenet, normalize="image")
    assert [m.min() for m in each] == [0, 0] and [m.max() for m in each] == [1, 1]
    assert [m.max() for m in cam(X, y, squeezenet)] != [1, 1]


# Captum.


def captum_guided(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces its hooks
        return GuidedBackprop(model).attribute(X.clone().requires_grad_(), target=y).permute(0, 2, 3, 1).numpy()


def captum_cam(model, X, y, layer):
    result = LayerGradCam(model, find_layer(model, layer)).attribute(X, target=y, relu_attributions=True)
    return result[:, 0].detach().numpy()


def assert_equals_captum(model, X, y, layer):
    guided, cams = captum_guided(model, X, y), captum_cam(model, X, y, layer)
    assert guided.any() and cams.any()
    assert np.abs(GradCam().guided_backprop(X, y, model) - guided).max() <= 1e-6
    assert np.abs(GradCam().grad_cam(X, y, model, layer=layer, **RAW) - cams).max() <= 1e-6


@pytest.mark.parametrize("name", LAYERS)
def test_equals_captum_on_photographs(networks, photographs, name):
    assert_equals_captum(networks[name], *photographs, LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [(1, 3, 224, 224), (2, 3, 160, 256)])
def test_equals_captum_on_one_and_on_non_square(networks, name, shape):
    X, y = random_images(*shape), torch.arange(shape[0]) + 5
    y = networks[name](X).argmax(1)
    assert_equals_captum(networks[name], X, y, LAYERS[name])
    assert GradCam().grad_cam(X, y, networks[name], layer=LAYERS[name]).shape == (shape[0], *shape[2:])


def test_the_product_equals_captums_guided_grad_cam(squeezenet, photographs):
    X, y = photographs[0][:2, :, :160], photographs[1][:2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        method = GuidedGradCam(squeezenet, squeezenet.features[12])
        theirs = method.attribute(X.clone().requires_grad_(), target=y, interpolate_mode="bilinear")
    ours = GradCam().guided_grad_cam(X, y, squeezenet, upsampling="bilinear", normalize=None)
    theirs = theirs.detach().permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6 * np.abs(theirs).max())


# Properties.


def test_guided_grad_cam_is_the_product(squeezenet, photographs):
    X, y = photographs[0][:2], photographs[1][:2]
    product = GradCam().guided_backprop(X, y, squeezenet) * GradCam().grad_cam(X, y, squeezenet)[..., None]
    assert np.array_equal(GradCam().guided_grad_cam(X, y, squeezenet), product)


def test_batch_equals_single_images(precise_squeezenet, photographs):
    X, y = photographs[0].double(), photographs[1]
    methods = [
        lambda x, k: GradCam().guided_backprop(x, k, precise_squeezenet),
        lambda x, k: GradCam().grad_cam(x, k, precise_squeezenet, normalize="image"),
        lambda x, k: GradCam().guided_grad_cam(x, k, precise_squeezenet, normalize="image"),
    ]
    for method in methods:
        together = method(X, y)
        alone = np.concatenate([method(X[i : i + 1], y[i : i + 1]) for i in range(len(X))])
        np.testing.assert_allclose(together, alone, rtol=1e-6, atol=1e-6 * np.abs(together).max())


def test_all_negative_and_constant_maps_give_zeros(recwarn):
    """Zeros, not NaN; and the only warnings are those that say why, one for each map."""
    model, y = net13(torch.float32), torch.tensor([0])
    model.head.weight.data.abs_().neg_()
    assert not GradCam().grad_cam(random_images(1, 3, 12, 12), y, model, layer="act").any()
    model.head.weight.data.abs_()
    constant = torch.ones(1, 3, 24, 24)
    assert GradCam().grad_cam(constant, y, model, layer="act", **RAW).max() > 0
    for normalize in ("batch", "image"):
        assert not GradCam().grad_cam(constant, y, model, layer="act", normalize=normalize).any()
    assert [warning.category for warning in recwarn.list] == 3 * [BlankMapWarning]


def test_a_score_without_gradient_gives_zeros():
    model, X, y = net13(torch.float32), random_images(1, 3, 12, 12), torch.tensor([0])
    model.head.weight.data.zero_()
    assert not GradCam().guided_backprop(X, y, model).any()


def test_below_the_layer_nothing_is_differentiated():
    class Below(nn.Module):
        def forward(self, x):
            return FailingBackward.apply(x)

    model, X, y = net13(torch.float32), random_images(2, 3, 12, 12), torch.tensor([1, 2])
    expected = GradCam().grad_cam(X, y, model)
    model.features[5] = Below()
    assert np.array_equal(GradCam().grad_cam(X.requires_grad_(), y, model.requires_grad_()), expected)
    with pytest.raises(RuntimeError, match="on purpose"):
        GradCam().guided_backprop(X, y, model)


@pytest.mark.parametrize("method", ["guided_backprop", "grad_cam"])
def test_leaves_no_trace_after_an_exception(method):
    options = {"layer": "inner.features.2"} if method == "grad_cam" else {}
    model, X, y = BreaksInBackward(), random_images(2, 3, 9, 9).requires_grad_(), torch.tensor([0, 1])
    with no_trace(model, X, y), pytest.raises(RuntimeError, match="on purpose"):
        getattr(GradCam(), method)(X, y, model, **options)
    model = net13(torch.float32).train()
    with no_trace(model, X, y), pytest.raises(InputError, match="labels"):
        getattr(GradCam(), method)(X, y + 6, model)
    with no_trace(model, X, y), pytest.raises(RuntimeError):
        getattr(GradCam(), method)(X[:, :2], y, model)  # raises in the forward pass


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_works_where_gradients_are_off(mode):
    model, X, y = net13(torch.float32), random_images(2, 3, 12, 12), torch.tensor([0, 4])
    expected = GradCam().guided_grad_cam(X, y, model)
    with mode():
        assert np.array_equal(GradCam().guided_grad_cam(X.clone(), y, model), expected)


def test_a_network_that_begins_in_place():
    model, X, y = net13(torch.float32), random_images(1, 3, 12, 12), torch.tensor([1])
    both = nn.Sequential(nn.ReLU(inplace=True), model)
    with no_trace(both, X, y):
        guided = GradCam().guided_backprop(X, y, both)
        cam = GradCam().grad_cam(X, y, both, layer="1.features.12")
    rectified = X.clamp(min=0)
    expected = GradCam().guided_backprop(rectified, y, model)
    np.testing.assert_allclose(guided, expected.clip(0) * (rectified > 0).permute(0, 2, 3, 1).numpy(), atol=1e-7)
    assert np.array_equal(cam, GradCam().grad_cam(rectified, y, model))


def test_any_number_may_be_explained():
    model, X = net13(torch.float32), random_images(2, 3, 12, 12)
    y = torch.tensor([2, 2])
    for method in (GradCam().guided_backprop, GradCam().grad_cam, GradCam().guided_grad_cam):
        expected = method(X, y, model)
        assert np.array_equal(method(X, None, model, target=lambda scores: scores[:, 2]), expected)
        assert not np.array_equal(method(X, y, model, target=lambda s: s[:, 2] - s[:, 3]), expected)
        with pytest.raises(InputError, match="one number an image"):
            method(X, y, model, target=lambda scores: scores)
        with pytest.raises(InputError, match="float"):
            method(X, y, model, target=lambda scores: 1.0)


def test_other_outputs_than_class_scores():
    class Dictionary(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net13(torch.float32)

        def forward(self, x):
            return {"out": self.net(x)}

    model, X, y = Dictionary(), random_images(1, 3, 12, 12), torch.tensor([2])
    expected = GradCam().grad_cam(X, y, model.net)
    result = GradCam().grad_cam(
        X, None, model, layer=model.net.features[12], target=lambda found: found["out"][:, 2]
    )
    assert np.array_equal(result, expected)
    with pytest.raises(InputError, match="class scores"):
        GradCam().guided_backprop(X, y, model)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"layer": "features.13"}, "features.12"),
        ({"layer": nn.Conv2d(3, 3, 1)}, "not part of the network"),
        ({"layer": "head"}, r"maps \(N, C, h, w\)"),
        ({"upsampling": "cubic"}, "upsampling"),
        ({"normalize": True}, "normalize"),
        ({"normalize": "all"}, "'batch', 'image', None"),
    ],
)
def test_unusable_keywords_are_refused(options, word):
    with pytest.raises(InputError, match=word):
        GradCam().grad_cam(random_images(1, 3, 12, 12), torch.tensor([0]), net13(torch.float32), **options)


def test_a_product_needs_maps_of_the_images_size():
    with pytest.raises(InputError, match="upsampling"):
        GradCam().guided_grad_cam(
            random_images(1, 3, 12, 12), torch.tensor([0]), net13(torch.float32), upsampling=None
        )


@pytest.mark.parametrize("method", [GradCam().guided_backprop, GradCam().grad_cam])
@pytest.mark.parametrize(
    ("X", "y"),
    [
        (torch.zeros(3, 12, 12), torch.tensor([0])),
        (torch.zeros(0, 3, 12, 12), torch.zeros(0, dtype=torch.int64)),
        (torch.zeros(1, 3, 12, 12, dtype=torch.uint8), torch.tensor([0])),
        (np.zeros((1, 3, 12, 12), np.float32), torch.tensor([0])),
        (torch.zeros(2, 3, 12, 12), torch.tensor([0])),
        (torch.zeros(1, 3, 12, 12), torch.tensor([7])),
        (torch.zeros(1, 3, 12, 12), torch.tensor([0.5])),
    ],
)
def test_refuses_what_does_not_fit(method, X, y):
    with pytest.raises(InputError):
        method(X, y, net13(torch.float32))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    model, X, y = net13(torch.float32), random_images(2, 3, 12, 12), torch.tensor([1, 5])
    expected = GradCam().guided_grad_cam(X, y, model)
    result = GradCam().guided_grad_cam(X.cuda(), y.cuda(), model.cuda())
    np.testing.assert_allclose(result, expected, atol=1e-5 * np.abs(expected).max())


def test_nothing_is_recorded_below_the_layer():
    model, recorded = net13(torch.float32), []
    handles = [
        m.register_forward_hook(lambda m, x, out: recorded.append(out.requires_grad)) for m in model.features
    ]
    GradCam().grad_cam(random_images(2, 3, 12, 12), torch.tensor([1, 5]), model, layer="features.2")
    for handle in handles:
        handle.remove()
    assert recorded == [False] * 3 + [True] * (
        len(recorded) - 3
    )  # the layer itself is seen before its maps are cut off


def test_numbers_that_are_not_finite_are_no_black_map():
    model, X = net13(torch.float32), random_images(2, 3, 12, 12)
    X[1, 0, 5, 5] = float("nan")
    with pytest.raises(InputError, match="not finite"):
        GradCam().grad_cam(X, torch.tensor([0, 1]), model)
