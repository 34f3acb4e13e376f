"""Why a map is blank: each reason on a network made for it."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from networks.blank import BlankMapWarning, blank_reasons, why_blank
from tests.no_trace import no_trace
from tests.small_networks import random_images
from visualizers import GradCam, SaliencyMap

X, Y = random_images(2, 3, 12, 16), torch.tensor([0, 1])
ZEROS = np.zeros((2, 12, 16), np.float32)


class Maps(nn.Module):
    """Two maps, then class scores from their means by a given matrix, then what is asked for."""

    def __init__(self, head, last=None, bias=0.0):
        super().__init__()
        self.maps, self.other = nn.Conv2d(3, 2, 1, bias=False), nn.Conv2d(3, 2, 1, bias=False)
        with torch.no_grad():
            for module in (self.maps, self.other):
                module.weight.copy_(torch.tensor([[1.0, 2, -1], [-1, 1, 1]]).view(2, 3, 1, 1))
        self.head, self.last, self.bias = nn.Parameter(torch.tensor(head)), last or nn.Identity(), bias
        self.eval()

    def forward(self, x):
        self.other(x)
        return self.last(self.maps(x).square().mean((2, 3)) @ self.head + self.bias)


GOOD = [[1.0, -1.0, 0.5], [0.5, 1.0, -2.0]]


def reasons(model, images=X, maps=ZEROS, **options):
    with no_trace(model, images):
        return why_blank(model, images, Y, maps, **options)


def test_a_good_map_has_no_reason_and_costs_no_pass():
    model = Maps(GOOD)
    model.register_forward_hook(lambda *_: pytest.fail("ran"))
    assert why_blank(model, X, Y, random_images(2, 12, 16)) == [None, None]


def test_a_score_of_zero_behind_a_final_relu():
    found = reasons(Maps(GOOD, nn.ReLU(), bias=-100.0))
    assert all("score is 0 behind a final ReLU" in one for one in found)


def test_a_last_layer_of_zeros_is_no_relu():
    found = reasons(Maps([[0.0] * 3] * 2))
    assert all("all scores are 0" in one and "ReLU" not in one for one in found)


def test_a_saturated_softmax():
    found = reasons(Maps([[90.0, -90, -90], [90.0, -90, -90]], nn.Softmax(1)))
    assert all("saturated" in one and "before the softmax" in one for one in found)
    assert "1.000000" in found[0] and "0.000000" in found[1]


def test_weighted_maps_below_zero():
    """The score falls with every map, and the maps behind a ReLU are at least zero."""
    model = Maps([[-1.0, -1.0], [-1.0, -1.0]])
    model.maps = nn.Sequential(model.maps, nn.ReLU())
    found = reasons(model, layer="maps")
    assert all("less than zero" in one for one in found)


def test_a_layer_that_the_score_ignores():
    assert all("does not depend on the layer" in one for one in reasons(Maps(GOOD), layer="other"))


def test_a_network_without_weights():
    model = Maps(GOOD, bias=1.0)
    with torch.no_grad():
        model.maps.weight.zero_()
    assert all("no gradient by any pixel" in one for one in reasons(model, layer="maps"))


def test_a_score_that_ignores_the_image():
    model = Maps(GOOD)
    model.forward = lambda x: torch.ones(len(x), 3)
    assert all("does not depend on the image" in one for one in why_blank(model, X, Y, ZEROS))


def test_an_image_of_one_colour_and_one_that_is_not():
    images = X.clone()
    images[0] = torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1)
    found = reasons(Maps(GOOD), images)
    assert "same colour" in found[0] and "none of the known reasons" in found[1]


def test_scores_and_maps_that_are_not_finite():
    assert all("scores are not finite" in one for one in reasons(Maps(GOOD, bias=float("inf"))))
    maps = ZEROS + np.nan
    assert all("the map is not" in one for one in reasons(Maps(GOOD), maps=maps))


def test_a_map_that_is_much_weaker_than_its_neighbour():
    maps = np.stack([np.eye(12, 16), 1e-6 * np.eye(12, 16)])
    found = reasons(Maps(GOOD), maps=maps)
    assert found[0] is None and "weaker" in found[1]


def test_techniques_warn_and_scripts_collect_what_they_say():
    model = Maps(GOOD, nn.ReLU(), bias=-100.0)
    with pytest.warns(BlankMapWarning, match="image 1 is blank: the class's score is 0"):
        SaliencyMap().compute_saliency_maps(X, Y, model)
    with pytest.warns(BlankMapWarning, match="final ReLU"):
        GradCam().grad_cam(X, Y, model, layer="maps")
    with blank_reasons() as found, warnings.catch_warnings():
        SaliencyMap().compute_saliency_maps(X, Y, model)
    assert len(found) == 2 and "image 0" in found[0] and "image 1" in found[1]


def test_other_warnings_pass():
    with pytest.warns(DeprecationWarning, match="old"), blank_reasons() as found:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert found == []


def test_good_maps_do_not_warn(squeezenet, photographs):
    images, y = (side[:2] for side in photographs)
    with blank_reasons() as found:
        SaliencyMap().compute_saliency_maps(images, y, squeezenet)
        GradCam().grad_cam(images, y, squeezenet)
    assert found == []
