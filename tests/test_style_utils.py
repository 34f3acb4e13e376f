"""Style transfer against the course's plain loop, and its promises: files, no trace, interruption, every layer."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from data import load_network
from data.style_images import style_image
from image_utils.errors import InputError
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_utils import (
    as_photograph,
    check_scipy,
    deprocess,
    extract_features,
    features_from_img,
    preprocess,
    rel_error,
    style_transfer,
)
from stylize.record import Diverged
from stylize.settings import COURSE_SETTINGS
from tests.no_trace import no_trace
from tests.oracles import style as oracle
from tests.stylize.pairs import LOSSES, SMALL, transfer

STARRY = COURSE_SETTINGS["starry_tubingen"]


class Enough(Exception):
    pass


@pytest.fixture(scope="module")
def double():
    """The network in float64, where twenty steps of 3.0 do not blow rounding up to a visible size."""
    return load_network().features.double()


@pytest.mark.parametrize("init_random", [False, True])
def test_the_first_20_steps_are_the_courses(double, init_random):
    files = style_image("tubingen", sample=True), style_image("starry_night", sample=True)
    content, style = (preprocess(Image.open(file), 192).double() for file in files)
    start = content
    if init_random:
        noise = torch.empty(content.shape).uniform_(0, 1, generator=torch.Generator().manual_seed(7))
        start = noise.double()
    expected, curve = oracle.course_loop(double, start, content, style, STARRY, steps=20)
    steps = []

    def until_20(step):
        steps.append(step)
        if step.step == 20:
            raise Enough

    choices = {**STARRY, "steps": 200, "init_random": init_random, "seed": 7, "callback": until_20}
    with pytest.raises(Enough):
        transfer(files, double, dtype=torch.float64, **choices)
    assert (steps[20].image - expected).abs().max() <= 1e-6
    assert [step.total for step in steps[:20]] == pytest.approx(curve, rel=1e-9)


def whole_schedule(pair, cnn, **mistake):
    content, style = preprocess(Image.open(pair[0]), 48).double(), preprocess(Image.open(pair[1]), 40).double()
    expected, curve = oracle.course_loop(
        cnn, content, content, style, SMALL, steps=20, decay_at=18, clamp_until=19, **mistake
    )
    steps = []
    found = transfer(pair, cnn, dtype=torch.float64, steps=20, callback=steps.append)
    return (found - expected).abs().max(), [step.total for step in steps], curve


def test_the_whole_schedule_is_the_courses_in_proportion(pair, double):
    difference, found, expected = whole_schedule(pair, double)
    assert difference <= 1e-6
    assert found == pytest.approx(expected, rel=1e-9)


def test_the_oracle_catches_a_compounding_decay(pair, double):
    difference, _, _ = whole_schedule(pair, double, compounding=True)
    assert difference > 0.05


def test_the_course_takes_200_steps(pair, cnn):
    steps = []
    tiny = {**SMALL, "image_size": 24, "style_size": 24}
    transfer(pair, cnn, **tiny, steps=None, callback=lambda step: steps.append(step.image.abs().max().item()))
    assert len(steps) == 200
    assert max(steps[:190]) <= 1.5 < max(steps[190:])


@pytest.mark.parametrize("dtype", [torch.FloatTensor, torch.float32, "torch.FloatTensor"])
def test_features_from_img(pair, cnn, dtype):
    feats, img = features_from_img(str(pair[0]), 48, cnn, dtype)
    assert img.shape == (1, 3, 48, 67)
    assert img.dtype == torch.float32
    assert isinstance(feats, list) and len(feats) == len(cnn)
    x = img
    for layer, feature in zip(cnn, feats, strict=True):
        x = layer(x.clone())
        assert torch.equal(feature, x)


def test_features_in_double_precision(pair, double):
    feats, img = features_from_img(pair[0], 48, double, torch.DoubleTensor)
    assert img.dtype == feats[7].dtype == torch.float64
    with pytest.raises(InputError, match="dtype"):
        features_from_img(pair[0], 48, double, torch.FloatTensor)


def test_no_trace_also_on_a_trainable_network(pair):
    network = load_network().features.requires_grad_(True)
    network[12].train()
    with no_trace(network):
        transfer(pair, network, init_random=True)
    with no_trace(network), pytest.raises(Diverged):
        transfer(pair, network, tv_weight=math.nan)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_only_the_layers_that_losses_need_are_computed(pair, cnn):
    class Never(nn.Module):
        def forward(self, x):
            raise AssertionError("computed in vain")

    shortened = nn.Sequential(*cnn[:8], Never())
    assert torch.equal(transfer(pair, shortened), transfer(pair, cnn))


def test_targets_are_computed_once(pair, cnn):
    class Counting(nn.Module):
        calls = 0

        def forward(self, x):
            Counting.calls += 1
            return x

    transfer(pair, nn.Sequential(Counting(), *cnn), content_layer=4, style_layers=[2, 5], style_weights=[1, 1])
    assert Counting.calls == 2 + 3  # targets, steps


def test_a_style_loss_may_look_at_every_layer(pair, double):
    """Its gradient must be right too, so the image moves as that of a plain loop."""

    class Everything(StyleLoss):
        def forward(self, feats, style_layers, style_targets, style_weights):
            assert len(feats) == len(double)
            return sum(feature.square().sum() for feature in feats)

    steps = []
    nothing = {"content_weight": 0.0, "tv_weight": 0.0, "style_loss": Everything(), "dtype": torch.float64}
    transfer(pair, double, **nothing, steps=2, callback=steps.append)
    x = steps[0].image.clone().requires_grad_()
    feats, y = [], x
    for layer in double:
        y = layer(y.clone())
        feats.append(y)
    sum(feature.square().sum() for feature in feats).backward()
    expected = (x.detach() - 3.0 * x.grad / (x.grad.abs() + 1e-8)).clamp(-1.5, 1.5)
    assert torch.allclose(steps[1].image, expected, atol=1e-6)


def test_same_arguments_same_bytes(pair, cnn):
    changes = {"init_random": True}
    assert torch.equal(transfer(pair, cnn, **changes), transfer(pair, cnn, **changes))
    first, second = (transfer(pair, cnn, init_random=True, seed=seed) for seed in (0, 1))
    assert not torch.equal(first, second)


def test_negative_layers_count_from_the_end(pair, cnn):
    expected = transfer(pair, cnn, content_layer=3, style_layers=[1, 12], style_weights=[1, 1])
    found = transfer(pair, cnn, content_layer=-10, style_layers=[-12, -1], style_weights=[1, 1])
    assert torch.equal(found, expected)


class PlainContent(nn.Module):
    def forward(self, content_weight, content_current, content_original):
        return content_weight * torch.sum((content_current - content_original) ** 2)


class PlainStyle(nn.Module):
    def gram_matrix(self, features, normalize=True):
        N, C, H, W = features.size()
        gram = torch.bmm(features.view(N, C, -1), features.view(N, C, -1).permute(0, 2, 1))
        return gram / (C * H * W) if normalize else gram

    def forward(self, feats, style_layers, style_targets, style_weights):
        loss = 0
        for i, layer in enumerate(style_layers):
            loss += style_weights[i] * torch.sum((self.gram_matrix(feats[layer]) - style_targets[i]) ** 2)
        return loss


class PlainVariation(nn.Module):
    def forward(self, img, tv_weight):
        down = (img[:, :, 1:, :] - img[:, :, :-1, :]).pow(2).sum()
        return tv_weight * (down + (img[:, :, :, 1:] - img[:, :, :, :-1]).pow(2).sum())


def test_works_with_a_students_losses(pair, double):
    plain = {"content_loss": PlainContent(), "style_loss": PlainStyle(), "tv_loss": PlainVariation()}
    ours, theirs = (transfer(pair, double, dtype=torch.float64, **losses) for losses in (LOSSES, plain))
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_writes_result_and_sources(pair, cnn, tmp_path):
    out = tmp_path / "out"
    assert transfer(pair, cnn, testing=False, out=out) is None
    assert sorted(file.name for file in out.iterdir()) == ["name.png", "name_before.png"]
    with Image.open(out / "name.png") as img:
        assert img.size == (67, 48)
        assert np.array_equal(np.asarray(img), np.asarray(deprocess(transfer(pair, cnn))))
    with Image.open(out / "name_before.png") as img:
        assert img.width > 300


def test_testing_writes_nothing(pair, cnn, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert transfer(pair, cnn).shape == (1, 3, 48, 67)
    assert sorted(tmp_path.iterdir()) == before


def test_an_interruption_leaves_the_image_so_far(pair, cnn, tmp_path):
    seen = []

    def stop(step):
        seen.append(step.image)
        if step.step == 2:
            raise KeyboardInterrupt

    with no_trace(cnn), pytest.raises(KeyboardInterrupt):
        transfer(pair, cnn, testing=False, out=tmp_path / "out", callback=stop)
    with Image.open(tmp_path / "out/name.png") as img:
        assert np.array_equal(np.asarray(img), np.asarray(deprocess(seen[-1])))


class BreaksLater(TotalVariationLoss):
    """Not a number from the fifth evaluation on, after four that get worse and worse."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, img, tv_weight):
        self.calls += 1
        return super().forward(img, math.nan if self.calls > 4 else tv_weight) + 1e9 * self.calls


@pytest.mark.parametrize("solver", ["course", "adam"])
def test_a_divergence_leaves_the_best_image(pair, cnn, tmp_path, solver):
    seen = []
    choices = {"testing": False, "out": tmp_path / "out", "steps": 20, "callback": seen.append, "solver": solver}
    with pytest.raises(Diverged, match="tv loss is nan; the best image, of step 0") as stopped:
        transfer(pair, cnn, tv_loss=BreaksLater(), **choices)
    assert torch.equal(stopped.value.image, seen[0].image)
    with Image.open(tmp_path / "out/name.png") as img:
        assert np.array_equal(np.asarray(img), np.asarray(as_photograph(seen[0].image, solver)))


def test_losses_that_grow_without_bounds_are_stopped(pair, cnn):
    class Explodes(TotalVariationLoss):
        weight = 1.0

        def forward(self, img, tv_weight):
            self.weight *= 1e4
            return super().forward(img, self.weight)

    with pytest.raises(Diverged, match="grew from"):
        transfer(pair, cnn, tv_loss=Explodes())


def test_losses_that_forget_the_image_are_refused(pair, cnn):
    class Detached(nn.Module):
        def gram_matrix(self, features, normalize=True):
            return features.mean((2, 3))

        def forward(self, *arguments):
            return torch.zeros(())

    losses = {name: Detached() for name in LOSSES}
    with pytest.raises(InputError, match="no gradient"):
        transfer(pair, cnn, **losses)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": ("missing.png", "missing.png")},
        {"content_layer": 13},
        {"style_layers": [1, 4, 6, 99]},
        {"style_weights": [1.0]},
        {"style_layers": [], "style_weights": []},
        {"image_size": 5},
        {"image_size": 0},
        {"style_size": 1},
        {"sizes": (32,)},
        {"preserve_color": True},
        {"files": ("missing.png", ["a.png", "b.png"])},
        {"solver": "sgd"},
        {"steps": 0},
        {"precision": "fp8"},
        {"dtype": torch.float64},
        {"cnn": nn.Conv2d(3, 3, 1)},
    ],
)
def test_refuses_what_does_not_fit_and_writes_nothing(pair, cnn, tmp_path, changes):
    files = changes.get("files", pair)
    others = {key: value for key, value in changes.items() if key != "files"}
    with pytest.raises(InputError):
        transfer(files, others.pop("cnn", cnn), testing=False, out=tmp_path / "out", **others)
    assert not (tmp_path / "out").exists()


def test_refuses_to_overwrite_its_source(pair, cnn):
    before = pair[0].read_bytes()
    with pytest.raises(InputError, match="overwrite"):
        style_transfer("cat", *pair, **SMALL, **LOSSES, cnn=cnn, dtype=torch.float32, out=pair[0].parent, steps=1)
    assert pair[0].read_bytes() == before


def test_small_helpers():
    assert rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert rel_error([1.0], [3.0]) == pytest.approx(0.5)
    assert rel_error([0.0], [0.0]) == 0
    assert preprocess(Image.new("RGB", (30, 20))).shape == (1, 3, 512, 768)
    assert extract_features(torch.zeros(1, 3, 4, 4), nn.Sequential()) == []
    assert ContentLoss()(1.0, torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)) == 1
    check_scipy()
