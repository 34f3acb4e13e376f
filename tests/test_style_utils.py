"""Style transfer against the course's plain loop, and its promises: files, colours, mixing, interruption."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from data import load_network
from data.style_images import style_image
from image_utils.errors import InputError
from image_utils.pixels import to_pixels
from style_modules import ContentLoss, StyleLoss, TotalVariationLoss
from style_modules.optimise import Diverged
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
from stylize.colour import luminance
from stylize.settings import COURSE_SETTINGS
from tests.no_trace import no_trace
from tests.oracles import style as oracle

LOSSES = {"content_loss": ContentLoss(), "style_loss": StyleLoss(), "tv_loss": TotalVariationLoss()}
STARRY = COURSE_SETTINGS["starry_tubingen"]
SMALL = {**STARRY, "image_size": 48, "style_size": 40}


@pytest.fixture(scope="module")
def cnn(squeezenet):
    return squeezenet.features


@pytest.fixture
def pair(tmp_path, rng):
    """A photograph and a painting that are not square, as files."""
    files = tmp_path / "content.png", tmp_path / "style.png"
    for file, size in zip(files, ((60, 84), (70, 55)), strict=True):
        noise = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        noise.resize(size[::-1], Image.BICUBIC).save(file)
    return files


def transfer(pair, cnn, **changes):
    arguments = {**SMALL, **LOSSES, "cnn": cnn, "dtype": torch.FloatTensor, "testing": True, "steps": 3, **changes}
    return style_transfer(
        "name", *changes.pop("files", pair), **{k: v for k, v in arguments.items() if k != "files"}
    )


class Enough(Exception):
    pass


@pytest.mark.parametrize("init_random", [False, True])
def test_the_first_20_steps_are_the_courses(cnn, init_random):
    files = style_image("tubingen", sample=True), style_image("starry_night", sample=True)
    content, style = (preprocess(Image.open(file), 192) for file in files)
    start = content
    if init_random:
        start = torch.empty(content.shape).uniform_(0, 1, generator=torch.Generator().manual_seed(7))
    expected, curve = oracle.course_loop(cnn, start, content, style, STARRY, steps=20)
    steps = []

    def until_20(step):
        steps.append(step)
        if step.step == 20:
            raise Enough

    with pytest.raises(Enough):
        transfer(files, cnn, **STARRY, steps=200, init_random=init_random, seed=7, callback=until_20)
    assert (steps[20].image - expected).abs().max() <= 1e-3
    assert [step.total for step in steps[:20]] == pytest.approx(curve, rel=1e-4)


def whole_schedule(pair, cnn, **mistake):
    content, style = preprocess(Image.open(pair[0]), 48), preprocess(Image.open(pair[1]), 40)
    expected, curve = oracle.course_loop(
        cnn, content, content, style, SMALL, steps=20, decay_at=18, clamp_until=19, **mistake
    )
    steps = []
    found = transfer(pair, cnn, steps=20, callback=steps.append)
    return (found - expected).abs().max(), [step.total for step in steps[:20]], curve


def test_the_whole_schedule_is_the_courses_in_proportion(pair, cnn):
    difference, found, expected = whole_schedule(pair, cnn)
    assert difference <= 1e-3
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_oracle_catches_a_compounding_decay(pair, cnn):
    difference, _, _ = whole_schedule(pair, cnn, compounding=True)
    assert difference > 0.05


@pytest.mark.parametrize(
    ("name", "style"), [("composition_vii_tubingen", "composition_vii"), ("scream_tubingen", "the_scream")]
)
def test_lbfgs_needs_a_tenth_of_the_courses_steps(cnn, name, style):
    """At half the size, to be quick; benchmarks/style_curves.py measures all three settings at the full one."""
    files = style_image("tubingen", sample=True), style_image(style, sample=True)
    settings = COURSE_SETTINGS[name]
    settings = {**settings, "image_size": 96, "style_size": settings["style_size"] // 2}
    totals = {"course": [], "lbfgs": []}
    for solver, steps in (("course", 200), ("lbfgs", 20)):
        curve = totals[solver].append
        transfer(files, cnn, **settings, solver=solver, steps=steps, callback=lambda s, c=curve: c(s.total))
    assert len(totals["lbfgs"]) == 20
    assert min(totals["lbfgs"]) <= totals["course"][-1]


@pytest.mark.parametrize("dtype", [torch.FloatTensor, torch.float32, "torch.FloatTensor"])
def test_features_from_img(pair, cnn, dtype):
    feats, img = features_from_img(str(pair[0]), 48, cnn, dtype)
    assert img.shape == (1, 3, 48, 67)
    assert img.dtype == torch.float32
    assert len(feats) == len(cnn)
    x = img
    for layer, feature in zip(cnn, feats, strict=True):
        x = layer(x.clone())
        assert torch.equal(feature, x)


def test_features_in_double_precision(pair):
    double = load_network().features.double()
    feats, img = features_from_img(pair[0], 48, double, torch.DoubleTensor)
    assert img.dtype == feats[7].dtype == torch.float64
    with pytest.raises(InputError, match="dtype"):
        features_from_img(pair[0], 48, double, torch.FloatTensor)


def test_features_are_not_aliased_by_in_place_layers(cnn):
    x = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    assert extract_features(x, cnn)[0].min() < 0
    inner = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)))
    assert torch.equal(extract_features(x, inner)[0], inner[0](x))


def test_features_stop_where_asked_and_let_gradients_through(cnn):
    x = torch.randn(1, 3, 40, 40, generator=torch.Generator().manual_seed(0)).requires_grad_()
    feats = extract_features(x, cnn, wanted={4})
    assert len(feats) == 5
    feats[4].sum().backward()
    assert x.grad.abs().sum() > 0
    with torch.no_grad():
        assert not extract_features(x, cnn)[1].requires_grad


def test_no_trace_also_on_a_trainable_network(pair):
    network = load_network().features.train().requires_grad_(True)
    with no_trace(network):
        transfer(pair, network, init_random=True)
        transfer(pair, network, solver="lbfgs", preserve_color=True)
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
    assert Counting.calls == 2 + 3 + 1  # targets, steps, the last image


def test_same_arguments_same_bytes(pair, cnn):
    for changes in ({"init_random": True}, {"solver": "lbfgs", "sizes": (32,)}):
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


def test_works_with_a_students_losses(pair, cnn):
    plain = {"content_loss": PlainContent(), "style_loss": PlainStyle(), "tv_loss": PlainVariation()}
    curves = [], []
    for losses, curve in zip((plain, LOSSES), curves, strict=True):
        assert (
            transfer(pair, cnn, **losses, solver="lbfgs", callback=lambda s, c=curve: c.append(s.total))
            is not None
        )
    assert curves[0] == pytest.approx(curves[1], rel=1e-4)


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


def test_a_divergence_leaves_the_best_image(pair, cnn, tmp_path):
    calls = []

    class BreaksLater(TotalVariationLoss):
        def forward(self, img, tv_weight):
            calls.append(1)
            return super().forward(img, math.nan if len(calls) > 3 else tv_weight)

    with pytest.raises(Diverged, match="tv loss is nan") as stopped:
        transfer(pair, cnn, tv_loss=BreaksLater(), testing=False, out=tmp_path / "out", solver="adam")
    with Image.open(tmp_path / "out/name.png") as img:
        assert np.array_equal(np.asarray(img), np.asarray(as_photograph(stopped.value.image, "adam")))


def test_coarse_to_fine(pair, cnn):
    sizes = []
    result = transfer(pair, cnn, sizes=(24, 32), callback=lambda step: sizes.append(step.image.shape[2]))
    assert sizes == [24] * 4 + [32] * 4 + [48] * 4
    assert result.shape == (1, 3, 48, 67)


@pytest.mark.parametrize("solver", ["course", "lbfgs"])
def test_preserved_colours_are_the_contents(pair, cnn, solver):
    result = to_pixels(transfer(pair, cnn, preserve_color=True, solver=solver))
    content = to_pixels(preprocess(Image.open(pair[0]), 48))
    assert torch.allclose(result - luminance(result), content - luminance(content), atol=1e-5)
    assert (result - content).abs().max() > 0.05


def test_mixing_styles(pair, cnn):
    content, style = pair
    one = transfer(pair, cnn)
    assert torch.allclose(transfer((content, [style, style]), cnn), one, atol=1e-3)
    assert torch.allclose(transfer((content, [style, content]), cnn, style_image_weights=[5, 0]), one, atol=1e-3)
    assert not torch.allclose(transfer((content, [style, content]), cnn), one, atol=1e-2)


def test_a_mixed_style_loss_has_the_gradient_of_the_sum():
    loss, layers = StyleLoss(), [0]
    feats = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
    a, b = (torch.randn(1, 3, 3, generator=torch.Generator().manual_seed(k)).double() for k in (1, 2))
    parts = 0.3 * loss([feats], layers, [a], [2.0]) + 0.7 * loss([feats], layers, [b], [2.0])
    mixed = loss([feats], layers, [0.3 * a + 0.7 * b], [2.0])
    (expected,), (found,) = torch.autograd.grad(parts, feats), torch.autograd.grad(mixed, feats)
    assert torch.allclose(found, expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": ("missing.png", "missing.png")},
        {"content_layer": 13},
        {"style_layers": [1, 4, 6, 99]},
        {"style_weights": [1.0]},
        {"image_size": 5},
        {"image_size": 0},
        {"style_size": 1},
        {"sizes": (48,)},
        {"sizes": (32, 24)},
        {"solver": "sgd"},
        {"steps": 0},
        {"style_image_weights": [1, 2]},
        {"style_image_weights": [-1]},
        {"style_image_weights": [0]},
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
        style_transfer(
            "content", *pair, **SMALL, **LOSSES, cnn=cnn, dtype=torch.float32, out=pair[0].parent, steps=1
        )
    assert pair[0].read_bytes() == before


def test_small_helpers():
    assert rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0])) == 0
    assert rel_error([1.0], [3.0]) == pytest.approx(0.5)
    assert rel_error([0.0], [0.0]) == 0
    assert preprocess(Image.new("RGB", (30, 20))).shape == (1, 3, 512, 768)
    check_scipy()
