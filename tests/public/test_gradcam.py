"""Guided backprop and Grad-CAM beside Captum, and Captum alone."""

import numpy as np
import pytest
import torch
from captum.attr import GuidedBackprop, LayerGradCam

import gradcam
from data import load_network
from visualizers.gradcam import CustomReLU, GradCam


def test_custom_relu_passes_positive_signals_through_positive_inputs():
    x = torch.tensor([-1.0, 2.0, 3.0, -4.0], requires_grad=True)
    y = CustomReLU.apply(x)
    assert y.tolist() == [0, 2, 3, 0]
    (gradient,) = torch.autograd.grad(y, x, torch.tensor([5.0, -6.0, 7.0, -8.0]))
    assert gradient.tolist() == [0, 0, 7, 0]


@pytest.mark.filterwarnings("ignore:Setting .* hooks")
def test_guided_backprop_equals_captum(network, images):
    X, y = images
    details = GradCam().guided_backprop(X, y, network)
    expected = GuidedBackprop(load_network()).attribute(X.clone().requires_grad_(), target=y)
    assert details.shape == (2, 128, 128, 3)
    assert torch.allclose(torch.as_tensor(details).permute(0, 3, 1, 2), expected, atol=1e-5)


def test_grad_cam_is_high_where_captum_is(network, images):
    X, y = images
    maps = torch.as_tensor(GradCam().grad_cam(X, y, network))
    assert maps.shape == (2, 128, 128) and maps.min() == 0 and maps.max() == 1
    coarse = LayerGradCam(network, network.features[12]).attribute(X, target=y, relu_attributions=True)
    expected = torch.nn.functional.interpolate(coarse, (128, 128), mode="bicubic")[:, 0].detach()
    assert torch.corrcoef(torch.stack([maps.flatten(), expected.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize(
    ("function", "layer", "figures"),
    [
        ("captum_guided", "features.12", ["guided_backprop_captum.png", "guided_gradcam_captum.png"]),
        ("captum_layers", "features.3", ["layer_gradcam_captum.png", "layer_conductance_captum.png"]),
    ],
)
def test_captum_functions_write_their_figures(inputs, function, layer, figures):
    getattr(gradcam, function)(inputs, layer)
    assert all((inputs.out / figure).is_file() for figure in figures)


def test_guided_grad_cam_is_the_product():
    cam, details = np.array([[0.0, 1.0]]), np.array([[[5.0, 5.0, 5.0], [-2.0, 0.0, 2.0]]])
    (picture,) = gradcam.guided_grad_cam([cam], [details])
    assert np.allclose(picture, [[[0.5, 0.5, 0.5], [0.0, 0.5, 1.0]]], atol=0.01)
