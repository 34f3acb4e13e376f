"""What the course's loop does not do: other solvers, coarse to fine, kept colours, mixed styles."""

import numpy as np
import pytest
import torch
from PIL import Image

from data.style_images import style_image
from image_utils.errors import InputError
from image_utils.pixels import deprocess, to_pixels
from style_modules import StyleLoss
from style_utils import preprocess
from stylize.colour import grey, luminance, match_grey, with_luminance_of
from stylize.settings import COURSE_SETTINGS
from tests.no_trace import no_trace
from tests.stylize.pairs import transfer


@pytest.mark.parametrize(
    ("name", "style"), [("composition_vii_tubingen", "composition_vii"), ("scream_tubingen", "the_scream")]
)
def test_lbfgs_passes_in_20_evaluations_what_the_course_reaches_in_60(cnn, name, style):
    """At half the size, to be quick; benchmarks/style_curves.py measures all three settings at the full one."""
    files = style_image("tubingen", sample=True), style_image(style, sample=True)
    settings = COURSE_SETTINGS[name]
    settings = {**settings, "image_size": 96, "style_size": settings["style_size"] // 2}
    totals = {"course": [], "lbfgs": []}
    for solver, steps in (("course", 200), ("lbfgs", 20)):
        curve = totals[solver].append
        transfer(files, cnn, **settings, solver=solver, steps=steps, callback=lambda s, c=curve: c(s.total))
    assert len(totals["lbfgs"]) == 20
    assert min(totals["lbfgs"]) < min(totals["course"][:60])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_same_arguments_same_bytes_and_no_trace(pair, cnn, solver):
    with no_trace(cnn):
        first, again = (transfer(pair, cnn, solver=solver, sizes=(32,), preserve_color=True) for _ in range(2))
    assert torch.equal(first, again)


def test_every_solver_begins_where_it_is_told(pair, cnn):
    for init_random in (False, True):
        starts = []
        for solver in ("course", "adam", "lbfgs"):
            note = starts.append
            transfer(
                pair, cnn, solver=solver, steps=1, init_random=init_random, callback=lambda s, n=note: n(s.image)
            )
        assert torch.equal(starts[0], starts[1].clamp(-1.5, 1.5))
        assert torch.equal(starts[1], starts[2])


def test_coarse_to_fine(pair, cnn):
    images = []
    result = transfer(pair, cnn, solver="adam", sizes=(24, 32), callback=lambda step: images.append(step.image))
    assert [img.shape[2] for img in images] == [24] * 3 + [32] * 3 + [48] * 3
    assert result.shape == (1, 3, 48, 67)
    enlarged = torch.nn.functional.interpolate(images[5], (48, 67), mode="bicubic")
    assert (images[6] - enlarged).norm() < 0.5 * (images[6] - preprocess(Image.open(pair[0]), 48)).norm()


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_preserved_colours_are_the_contents(pair, cnn, solver):
    steps = []
    choices = {"preserve_color": True, "solver": solver, "steps": 10}
    result = to_pixels(transfer(pair, cnn, callback=steps.append, **choices))
    content = to_pixels(preprocess(Image.open(pair[0]), 48))
    for img in (result, to_pixels(steps[-1].image)):
        assert torch.allclose(img - luminance(img), content - luminance(content), atol=1e-5)
        assert (img - content).abs().max() > 0.01


def test_preserved_colours_are_clipped_and_not_stretched(pair, cnn, tmp_path):
    """Stretching would shift every colour; the file must hold what the tensor says."""
    choices = {"preserve_color": True, "solver": "adam", "steps": 8}
    transfer(pair, cnn, testing=False, out=tmp_path / "out", **choices)
    expected = deprocess(transfer(pair, cnn, **choices), should_rescale=False)
    with Image.open(tmp_path / "out/name.png") as img:
        assert np.array_equal(np.asarray(img), np.asarray(expected))


def test_an_interruption_at_a_coarse_size_leaves_it_in_the_contents_colours(pair, cnn, tmp_path):
    def stop(step):
        if step.step == 1:
            raise KeyboardInterrupt

    choices = {"preserve_color": True, "solver": "adam", "sizes": (24,), "callback": stop}
    with pytest.raises(KeyboardInterrupt):
        transfer(pair, cnn, testing=False, out=tmp_path / "out", **choices)
    with Image.open(tmp_path / "out/name.png") as img:
        assert img.size == (33, 24)
        assert np.ptp(np.asarray(img).astype(int), axis=2).max() > 20  # not grey


def test_mixing_styles(pair, cnn):
    content, style = pair
    choices = {"solver": "adam"}
    one = transfer(pair, cnn, **choices)
    assert torch.equal(transfer((content, [style, style]), cnn, **choices), one)
    twice = transfer((content, [style, content]), cnn, style_image_weights=[5, 0], **choices)
    assert torch.equal(twice, one)
    assert not torch.allclose(transfer((content, [style, content]), cnn, **choices), one, atol=1e-2)


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
        {"sizes": (48,)},
        {"sizes": (32, 24)},
        {"sizes": (0,)},
        {"style_image_weights": [1, 2]},
        {"style_image_weights": [-1]},
        {"style_image_weights": [0]},
    ],
)
def test_refuses_what_does_not_fit_and_writes_nothing(pair, cnn, tmp_path, changes):
    with pytest.raises(InputError):
        transfer(pair, cnn, solver="adam", testing=False, out=tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_luminance_transfer():
    photograph, painting = torch.rand(2, 1, 3, 6, 7, generator=torch.Generator().manual_seed(0)).double()
    assert luminance(photograph)[0, 0, 2, 3] == pytest.approx(
        (photograph[0, :, 2, 3] * torch.tensor([0.299, 0.587, 0.114]).double()).sum().item()
    )
    assert torch.allclose(luminance(grey(photograph)), luminance(photograph))
    matched = match_grey(grey(painting), grey(photograph))
    assert matched.mean() == pytest.approx(grey(photograph).mean().item())
    assert matched.std() == pytest.approx(grey(photograph).std().item())
    result = with_luminance_of(photograph, painting)
    assert torch.allclose(luminance(result), luminance(painting))
    # I and Q depend on differences of channels alone, and these stay.
    assert torch.allclose(result[:, 0] - result[:, 1], photograph[:, 0] - photograph[:, 1])
    assert torch.allclose(result[:, 2] - result[:, 1], photograph[:, 2] - photograph[:, 1])


def test_a_flat_style_has_no_spread_to_match():
    content = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    matched = match_grey(torch.zeros(1, 3, 5, 4), grey(content))
    assert torch.allclose(matched, grey(content).mean().expand(1, 3, 5, 4))
