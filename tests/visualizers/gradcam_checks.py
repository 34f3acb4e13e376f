"""What every solution of guided backpropagation and Grad-CAM is held to.

Each check takes an object with the course's two methods and raises AssertionError where it is wrong.
"""

import warnings

import numpy as np
import torch
from PIL import Image
from torch import nn

from networks.blank import BlankMapWarning
from tests.no_trace import no_trace
from tests.oracles import gradcam as oracle
from tests.small_networks import TinyNet, random_images
from visualizers import GradCam


class Net13(TinyNet):
    """TinyNet with its second convolution at features[12], where the course looks, and separate ReLUs.

    With `ceiling` its rectifiers level off there.
    """

    def __init__(self, ceiling=None):
        super().__init__()
        first, _, second, _ = self.features
        self.features = nn.Sequential(first, self.rectifier(ceiling), *(nn.Identity() for _ in range(10)), second)
        self.act = self.rectifier(ceiling)

    @staticmethod
    def rectifier(ceiling):
        return nn.ReLU(inplace=True) if ceiling is None else nn.Hardtanh(0, ceiling)

    def forward(self, x):
        return self.head(self.drop(self.act(self.features(x)).mean((2, 3))))

    def above(self, maps):
        return self.head(self.act(maps.clone()).mean((2, 3)))


def net13(dtype=torch.float64, **options):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return Net13(**options).to(dtype).eval()


def guided_is_the_papers(solution):
    model, X, y = net13(), random_images(2, 3, 9, 11, dtype=torch.float64), torch.tensor([2, 5])
    parts = model.features[0], model.features[12], model.head
    expected = np.stack([oracle.guided_backprop(x, int(k), *parts) for x, k in zip(X, y, strict=True)])
    assert expected.any()
    np.testing.assert_allclose(solution.guided_backprop(X, y, model), expected, atol=1e-5 * expected.max())


def cam_is_the_papers(solution):
    model, X, y = net13(), random_images(2, 3, 13, 13, dtype=torch.float64), torch.tensor([1, 2])
    maps = model.features(X)
    cams = [
        oracle.grad_cam(A, lambda a, k=int(k): model.above(a[None])[0, k].item())
        for A, k in zip(maps, y, strict=True)
    ]
    assert all(cam.min() == 0 < cam.max() for cam in cams)  # the ReLU has something to do
    np.testing.assert_allclose(solution.grad_cam(X, y, model), course_steps(np.stack(cams), 13, 13), atol=1e-5)


def cam_has_the_images_shape(solution):
    model, X, y = net13(torch.float32), random_images(2, 3, 12, 20), torch.tensor([2, 6])
    expected = GradCam().grad_cam(X.transpose(2, 3), y, transposed(model)).transpose(0, 2, 1)
    result = solution.grad_cam(X, y, model)
    assert result.shape == (2, 12, 20)
    np.testing.assert_allclose(result, expected, atol=1e-5)


def flat_is_zero(solution):
    model, X, y = net13(torch.float32), random_images(1, 3, 12, 12), torch.tensor([0])
    model.head.weight.data.zero_()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", BlankMapWarning)  # which says why, and is right here
        try:
            assert np.array_equal(solution.grad_cam(X, y, model), np.zeros((1, 12, 12)))
        except RuntimeWarning as warning:
            raise AssertionError("warns") from warning


def nothing_is_left(solution):
    model, y = net13(torch.float32).train(), torch.tensor([2, 5])
    X = random_images(2, 3, 12, 12).requires_grad_()
    with no_trace(model, X, y):
        first = solution.guided_backprop(X, y, model), solution.grad_cam(X, y, model)
    with no_trace(model, X, y):
        second = solution.grad_cam(X, y, model), solution.guided_backprop(X, y, model)
    assert first[0].tobytes() == second[1].tobytes() and first[1].tobytes() == second[0].tobytes()


def transposed(model):
    """The same network for images mirrored on their diagonal."""
    turned = net13(torch.float32)
    for old, new in zip(model.parameters(), turned.parameters(), strict=True):
        new.data = old.data.transpose(2, 3).clone() if old.ndim == 4 else old.data.clone()
    return turned


def course_steps(cams, height, width):
    """What the course's reference does with the maps: resize each with Pillow, then stretch them all together."""
    large = []
    for cam in cams:
        image = Image.fromarray(cam.astype(np.float32))
        large.append(np.array(image.resize((width, height), Image.BICUBIC)))
    large = np.array(large)
    large -= large.min()
    large /= large.max()
    return large


CHECKS = [guided_is_the_papers, cam_is_the_papers, cam_has_the_images_shape, flat_is_zero, nothing_is_left]
