"""Layers that return tokens: laid out as maps, for torchvision's vision transformers by themselves."""

import numpy as np
import pytest
import torch
from torch import nn
from torchvision import models

from explain.shared_pass import explain_batch
from image_utils.errors import InputError
from networks.layers import default_layer, grid_of
from tests.no_trace import no_trace
from tests.small_networks import random_images
from visualizers import GradCam
from visualizers.cam_variants import hires_cam, layer_cam

RAW = {"upsampling": None, "normalize": None}


class TokenNet(nn.Module):
    """Maps turned into tokens (N, T, C), a class token before them if wanted; scores from the tokens' mean."""

    def __init__(self, *, extra):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.maps, self.head = nn.Conv2d(3, 4, 2, stride=2), nn.Linear(4, 5)
        self.tokens, self.extra = nn.Identity(), extra
        self.eval()

    def forward(self, x):
        tokens = self.maps(x).flatten(2).movedim(2, 1)
        if self.extra:
            tokens = torch.cat([tokens.new_full((len(x), self.extra, 4), 9.0), tokens], dim=1)
        return self.head(self.tokens(tokens)[:, self.extra :].tanh().mean(1))


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("size", [(8, 8), (8, 12), (12, 8)])
def test_tokens_give_the_map_of_the_grid_that_they_are(extra, size):
    model, X, y = TokenNet(extra=extra), random_images(2, 3, *size), torch.tensor([1, 4])
    with no_trace(model, X):
        found = GradCam().grad_cam(X, y, model, layer="tokens", **RAW)
    assert found.shape == (2, size[0] // 2, size[1] // 2)
    np.testing.assert_allclose(found, GradCam().grad_cam(X, y, model, layer="maps", **RAW), rtol=1e-5, atol=1e-8)


def test_other_layouts_are_an_argument():
    model, X, y = TokenNet(extra=3), random_images(1, 3, 8, 8), torch.tensor([2])
    with pytest.raises(InputError, match="must return maps"):
        GradCam().grad_cam(X, y, model, layer="tokens")
    found = GradCam().grad_cam(
        X, y, model, layer="tokens", reshape=lambda t: t[:, 3:].movedim(1, 2).unflatten(2, (4, 4)), **RAW
    )
    np.testing.assert_allclose(found, GradCam().grad_cam(X, y, model, layer="maps", **RAW), rtol=1e-5, atol=1e-8)


def test_maps_stay_as_they_are_and_channels_come_first():
    X = torch.zeros(1, 3, 32, 48)
    grid, maps = grid_of(X), random_images(1, 5, 4, 6)
    assert grid(maps) is maps
    assert torch.equal(grid(maps.movedim(1, -1)), maps)
    assert torch.equal(grid(maps.flatten(2).movedim(2, 1)), maps)
    strange = torch.zeros(1, 9, 5)  # neither 9 nor 8 tokens make a grid of 2 : 3
    assert grid(strange) is strange


def tiny_vit():
    """Patches of 8 x 8 pixels of a square image of 32: 16 tokens behind a class token."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "mlp_dim": 12, "num_classes": 5}
        model = models.VisionTransformer(image_size=32, patch_size=8, **options)
        nn.init.normal_(model.heads.head.weight)  # torchvision begins with zeros
    return model.double().eval()


def tiny_swin():
    """Patches of 4 x 4 pixels, after the second stage halved once more."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        options = {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": [2, 2], "num_classes": 5}
        model = models.SwinTransformer(patch_size=[4, 4], **options)
    return model.double().eval()


TRANSFORMERS = [
    (tiny_vit, (32, 32), lambda tokens, h, w: tokens[:, 1:].reshape(len(tokens), h, w, -1), (4, 4)),
    (tiny_swin, (32, 48), lambda maps, h, w: maps, (4, 6)),
]


def test_the_layer_is_the_familys_own():
    images = [random_images(1, 3, *image, dtype=torch.float64) for _, image, _, _ in TRANSFORMERS]
    assert default_layer(tiny_vit(), images[0]) == "encoder.layers.encoder_layer_1.ln_1"  # of two blocks the last
    assert default_layer(tiny_swin(), images[1]) == "features.3"  # behind patches, a stage, the merging, a stage


def by_definition(model, x, label, layout, size):
    """A and dS/dA of one image, (h, w, K): the layer's output replaced by a leaf, which is differentiated by."""
    layer, kept = model.get_submodule(default_layer(model, x)), []

    def cut(module, args, output):
        kept.append(output.detach().requires_grad_())
        return kept[0]

    handle = layer.register_forward_hook(cut)
    model(x)[0, label].backward()
    handle.remove()
    return (layout(side, *size)[0].detach() for side in (kept[0], kept[0].grad))


@pytest.mark.parametrize(("make", "image", "layout", "size"), TRANSFORMERS)
def test_the_family_on_torchvisions_transformers_equals_the_definition(make, image, layout, size):
    model, X, y = make(), random_images(2, 3, *image, dtype=torch.float64), torch.tensor([3, 1])
    with no_trace(model, X, y):
        found = [f(X, y, model, **RAW) for f in (GradCam().grad_cam, hires_cam, layer_cam)]
    assert found[0].shape == (2, *size)
    for n in range(2):
        A, dA = by_definition(make(), X[n : n + 1], int(y[n]), layout, size)
        sums = np.zeros((3, *size))
        for i, j in np.ndindex(size):
            for k in range(A.shape[2]):
                sums[0, i, j] += A[i, j, k] * sum(dA[a, b, k] for a, b in np.ndindex(size)) / (size[0] * size[1])
                sums[1, i, j] += A[i, j, k] * dA[i, j, k]
                sums[2, i, j] += A[i, j, k] * max(dA[i, j, k], 0)
        for one, expected in zip(found, sums.clip(min=0), strict=True):
            assert expected.any()
            np.testing.assert_allclose(one[n], expected, rtol=1e-5, atol=1e-7 * expected.max())


@pytest.mark.parametrize(("make", "image", "layout", "size"), TRANSFORMERS)
def test_explains_single_pass_lays_tokens_out_in_the_same_way(make, image, layout, size):
    model, X, y = make(), random_images(2, 3, *image, dtype=torch.float64), torch.tensor([3, 1])
    layer = default_layer(model, X)
    _, _, maps = explain_batch(model, X, y, ("saliency", "gradcam"), layer)
    expected = GradCam().grad_cam(X, y, model, normalize="image")
    np.testing.assert_allclose(maps["gradcam"], expected, atol=1e-5)
    assert not np.array_equal(expected[0], expected[1])


def test_equals_pytorch_grad_cam():
    package = pytest.importorskip("pytorch_grad_cam")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    model, X = tiny_vit().float(), random_images(1, 3, 32, 32)
    layer = model.get_submodule(default_layer(model, X))
    method = package.GradCAM(
        model, [layer], reshape_transform=lambda t: t[:, 1:].movedim(1, 2).unflatten(2, (4, 4))
    )
    theirs = method(X, targets=[targets.ClassifierOutputTarget(3)])[0]
    ours = GradCam().grad_cam(X, torch.tensor([3]), model, upsampling="bilinear")[0]
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99  # the two upsample with different libraries


def test_guided_backprop_says_what_to_use_instead():
    model, X = tiny_vit(), random_images(1, 3, 32, 32, dtype=torch.float64)
    with pytest.raises(InputError, match=r"no ReLU.*use saliency maps"):
        GradCam().guided_backprop(X, torch.tensor([0]), model)
