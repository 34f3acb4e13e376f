"""The Gaussian blur against SciPy's."""

import numpy as np
import pytest
import torch

from image_utils import blur_image
from image_utils.errors import InputError
from tests.oracles.class_visualization import scipy_blur
from tests.small_networks import random_images
from visualizers import ClassVisualization


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 3, 5, 9), (1, 1, 1, 2)])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1, 2.3, 7])
def test_blur_equals_scipy_also_where_the_image_is_smaller_than_the_filter(shape, sigma):
    X = random_images(*shape)
    before = X.clone()
    blurred = blur_image(X, sigma=sigma)
    expected = scipy_blur(X.double().numpy(), sigma) if sigma > 0.1 else X.numpy()  # SciPy's 0.1 is one tap, 1.0
    assert np.abs(blurred.numpy() - expected).max() < 1e-5
    assert torch.equal(X, before) and blurred.dtype == X.dtype and blurred.device == X.device


def test_blur_defaults_to_one_pixel_and_zero_is_nothing():
    X = random_images(1, 3, 8, 8)
    assert torch.equal(blur_image(X), blur_image(X, sigma=1))
    assert torch.equal(blur_image(X, sigma=0), X)
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="sigma"):
            blur_image(X, sigma=wrong)
    assert torch.equal(ClassVisualization().blur_image(X, sigma=2), blur_image(X, 2))
