"""Class visualization by the course's recipe: the definition, SciPy, batches, seeds, and wrong solutions."""

import copy
import platform

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import visualizers.class_visualization as module
from image_utils.errors import InputError
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD, to_pixels
from tests.no_trace import no_trace
from tests.oracles.class_visualization import ascend, random_numbers, scipy_blur
from tests.small_networks import BreaksInBackward, random_images, tiny_net
from visualizers import ClassVisualization
from visualizers.class_visualization import ascend_pixels, gradient_step

CV = ClassVisualization()
NAMES = {i: f"class {i}" for i in range(1000)}
QUICK = {"num_iterations": 3, "size": 32, "generate_plots": False}


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 3, 5, 9), (1, 1, 1, 2)])
@pytest.mark.parametrize("sigma", [0.1, 0.5, 1, 2.3, 7])
def test_blur_equals_scipy_also_where_the_image_is_smaller_than_the_filter(shape, sigma):
    X = random_images(*shape)
    before = X.clone()
    blurred = CV.blur_image(X, sigma=sigma)
    expected = scipy_blur(X.double().numpy(), sigma) if sigma > 0.1 else X.numpy()  # SciPy's 0.1 is one tap, 1.0
    assert np.abs(blurred.numpy() - expected).max() < 1e-5
    assert torch.equal(X, before) and blurred.dtype == X.dtype and blurred.device == X.device


def test_blur_defaults_to_one_pixel_and_zero_is_nothing():
    X = random_images(1, 3, 8, 8)
    assert torch.equal(CV.blur_image(X), CV.blur_image(X, sigma=1))
    assert torch.equal(CV.blur_image(X, sigma=0), X)
    for wrong in (-1, float("nan"), float("inf")):
        with pytest.raises(InputError, match="sigma"):
            CV.blur_image(X, sigma=wrong)


def test_jitter_is_the_courses_two_concatenations():
    X = random_images(2, 3, 7, 9)
    ox, oy = 4, 2
    left, right = X[:, :, :, :-ox], X[:, :, :, -ox:]
    shifted = torch.cat([right, left], dim=3)
    shifted = torch.cat([shifted[:, :, -oy:], shifted[:, :, :-oy]], dim=2)
    assert torch.equal(CV.jitter(X, ox, oy), shifted)
    assert torch.equal(CV.jitter(CV.jitter(X, ox, oy), -ox, -oy), X)
    assert torch.equal(CV.jitter(X, 0, 0), X)


def test_a_step_climbs_the_score_minus_the_penalty():
    X, y = random_images(3, 3, 9, 7, dtype=torch.float64), torch.tensor([2, 0, 6])
    model = tiny_net()
    moved, scores = gradient_step(model, X, y, l2_reg=0.01, learning_rate=0.5)
    x = X.clone().requires_grad_()
    (model(x).gather(1, y[:, None]).sum() - 0.01 * (x**2).sum()).backward()
    for i in range(3):  # each image's own norm
        expected = X[i] + 0.5 * x.grad[i] / x.grad[i].norm()
        assert torch.allclose(moved[i], expected, atol=1e-12)
    assert torch.equal(scores, model(X))


SETTINGS = {"l2_reg": 0.02, "learning_rate": 2.0, "blur_every": 3}
SHAPE, STEPS, JITTER, TARGETS, SEED = (3, 8, 7), 5, 3, [2, 5], 11


@pytest.fixture(scope="module")
def expected():
    noise, shifts = random_numbers(SHAPE, STEPS, JITTER, SEED)
    constants = {"mean": SQUEEZENET_MEAN.astype(float), "std": SQUEEZENET_STD.astype(float)}
    model = tiny_net(smooth=True)
    return [ascend(model, target, noise, shifts, **SETTINGS, **constants) for target in TARGETS]


def largest_difference(expected):
    """Between all steps of the engine as it is now and the oracle's."""
    images = []
    ascend_pixels(
        tiny_net(smooth=True),
        TARGETS,
        **SETTINGS,
        num_iterations=STEPS,
        max_jitter=JITTER,
        size=SHAPE[1:],
        seed=SEED,
        dtype=torch.float64,
        callback=lambda step: images.append(step.images.numpy()),
    )
    return max(np.abs(images[t][n] - expected[n][t]).max() for t in range(STEPS) for n in range(len(TARGETS)))


def test_equals_the_definition_at_every_step(expected):
    assert largest_difference(expected) < 1e-5


def _without_penalty_gradient(model, X, targets, *, l2_reg, learning_rate, precision="float32"):
    return gradient_step(model, X, targets, l2_reg=0, learning_rate=learning_rate)


def _downhill(model, X, targets, *, l2_reg, learning_rate, precision="float32"):
    return gradient_step(model, X, targets, l2_reg=l2_reg, learning_rate=-learning_rate)


def _penalty_rewarded(model, X, targets, *, l2_reg, learning_rate, precision="float32"):
    return gradient_step(model, X, targets, l2_reg=-l2_reg, learning_rate=learning_rate)


def _double(model, X, targets, **settings):
    X, _ = gradient_step(model, X, targets, **settings)
    return gradient_step(model, X, targets, **settings)


def _norm_not_squared(model, X, targets, *, l2_reg, learning_rate, precision="float32"):
    x = X.clone().requires_grad_()
    scores = model(x)
    penalty = l2_reg * x.flatten(1).norm(dim=1)
    (g,) = torch.autograd.grad((scores.gather(1, targets[:, None])[:, 0] - penalty).sum(), x)
    return X + learning_rate * g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1), scores.detach()


def _one_norm_for_the_batch(model, X, targets, *, l2_reg, learning_rate, precision="float32"):
    x = X.clone().requires_grad_()
    scores = model(x)
    (g,) = torch.autograd.grad((scores.gather(1, targets[:, None]).sum() - l2_reg * (x**2).sum()), x)
    return X + learning_rate * g / g.norm(), scores.detach()


def _not_normalised(model, X, targets, *, l2_reg, learning_rate, precision="float32"):
    x = X.clone().requires_grad_()
    scores = model(x)
    (g,) = torch.autograd.grad((scores.gather(1, targets[:, None]).sum() - l2_reg * (x**2).sum()), x)
    return X + learning_rate * g, scores.detach()


WRONG_STEPS = [
    _without_penalty_gradient,
    _downhill,
    _penalty_rewarded,
    _double,
    _norm_not_squared,
    _one_norm_for_the_batch,
    _not_normalised,
]


@pytest.mark.parametrize("mutant", WRONG_STEPS)
def test_a_wrong_step_is_caught(monkeypatch, expected, mutant):
    monkeypatch.setattr(module, "gradient_step", mutant)
    assert largest_difference(expected) > 1e-2


def _blur_every_step(monkeypatch):
    monkeypatch.setitem(SETTINGS, "blur_every", 1)


def _never_blur(monkeypatch):
    monkeypatch.setattr(module, "blurred", lambda X, sigma: X)


def _blur_by_one_pixel(monkeypatch):
    monkeypatch.setattr(module, "BLUR", 1.0)


def _jitter_kept(monkeypatch):
    monkeypatch.setattr(module, "shifted", lambda X, ox, oy: X.roll((max(ox, 0), max(oy, 0)), (3, 2)))


def _jitter_swapped(monkeypatch):
    monkeypatch.setattr(module, "shifted", lambda X, ox, oy: X.roll((ox, oy), (2, 3)))


def _clipped_to_0_1(monkeypatch):
    monkeypatch.setattr(module, "to_normalised", lambda pixels: pixels)


@pytest.mark.parametrize(
    "mutant",
    [_blur_every_step, _never_blur, _blur_by_one_pixel, _jitter_kept, _jitter_swapped, _clipped_to_0_1],
)
def test_a_wrong_loop_is_caught(monkeypatch, expected, mutant):
    mutant(monkeypatch)
    assert largest_difference(expected) > 1e-2


def test_pixels_stay_in_range(squeezenet):
    pixels = to_pixels(ascend_pixels(squeezenet, [3], num_iterations=2, size=48, seed=0, blur_every=5))
    assert pixels.min() >= -1e-6 and pixels.max() <= 1 + 1e-6
    assert pixels.amax() > 0.99 and pixels.amin() < 0.01


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_batch_equals_single_classes(squeezenet, recipe):
    engine = module.RECIPES[recipe]
    settings = {"num_iterations": 6, "size": (64, 80), "seed": 5}
    together = engine(squeezenet, [366, 76, 187], **settings)
    alone = torch.cat([engine(squeezenet, [target], **settings) for target in (366, 76, 187)])
    assert together.shape == (3, 3, 64, 80)
    if platform.machine() in ("x86_64", "AMD64"):
        assert torch.equal(together, alone)
    else:
        assert torch.allclose(together, alone, atol=1e-2)
    assert (together[0] - together[1]).abs().max() > 0.1  # and classes differ


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_same_seed_same_bytes_and_another_seed_another_picture(squeezenet, recipe):
    def make(seed):
        return CV.create_class_visualization(
            9, NAMES, squeezenet, torch.FloatTensor, recipe=recipe, seed=seed, **QUICK
        )

    assert make(1).tobytes() == make(1).tobytes()
    assert make(1).tobytes() != make(2).tobytes()
    assert make(None).tobytes() != make(None).tobytes()
    (batched,) = CV.create_class_visualizations([9], squeezenet, recipe=recipe, seed=1, num_iterations=3, size=32)
    assert batched.tobytes() == make(1).tobytes()


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_leaves_no_trace(recipe, squeezenet):
    model = copy.deepcopy(squeezenet).train().requires_grad_(True)  # SqueezeNet, for its dropout layer
    with no_trace(model):
        first = CV.create_class_visualization(3, NAMES, model, torch.float32, recipe=recipe, seed=0, **QUICK)
    with torch.no_grad(), no_trace(model):
        again = CV.create_class_visualization(3, NAMES, model, torch.float32, recipe=recipe, seed=0, **QUICK)
    with torch.inference_mode():
        inside = CV.create_class_visualization(3, NAMES, model, torch.float32, recipe=recipe, seed=0, **QUICK)
    assert first.tobytes() == again.tobytes() == inside.tobytes()


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_leaves_no_trace_after_an_exception(recipe, squeezenet):
    broken = BreaksInBackward()
    with no_trace(broken), pytest.raises(RuntimeError, match="on purpose"):
        CV.create_class_visualization(3, NAMES, broken, torch.float32, recipe=recipe, **QUICK)

    def stop(step):
        raise KeyboardInterrupt

    model = copy.deepcopy(squeezenet).train()
    with no_trace(model), pytest.raises(KeyboardInterrupt):
        CV.create_class_visualization(3, NAMES, model, torch.float32, recipe=recipe, callback=stop, **QUICK)


def dead_end(bias):
    """A network that ends as SqueezeNet does: class map, ReLU, average."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    nn.init.constant_(net[0].bias, bias)
    return net.eval().requires_grad_(False)


def test_a_dead_score_is_climbed_before_its_relu():
    model, X = dead_end(-50.0), random_images(2, 3, 12, 12)
    assert model(X).abs().max() == 0
    moved, _ = gradient_step(model, X, torch.tensor([1, 3]), l2_reg=0, learning_rate=1.0)
    before, after = model[0](X).mean((2, 3)), model[0](moved).mean((2, 3))
    assert (after - before)[0, 1] > 0.01 and (after - before)[1, 3] > 0.01


def test_the_recipe_revives_a_dead_score():
    model, scores = dead_end(-2.0), []
    ascend_pixels(
        model, [1], num_iterations=10, size=12, seed=0, callback=lambda step: scores.append(step.scores.item())
    )
    assert scores[0] == 0 and scores[-1] > 0


def test_a_living_score_keeps_its_own_gradient():
    """Images are told apart: the dead one's neighbour is not changed by the rescue."""
    model, X = dead_end(-0.4), random_images(2, 3, 12, 12)
    X[1] = -20 * model[0].weight[1].sign().mean((1, 2), keepdim=True)
    assert model(X)[0, 1] > 0 and model(X)[1, 1] == 0
    moved, _ = gradient_step(model, X, torch.tensor([1, 1]), l2_reg=0, learning_rate=1.0)
    x = X.clone().requires_grad_()
    (g,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    assert torch.allclose(moved[0], X[0] + g[0] / g[0].norm(), atol=1e-6)
    assert g[1].abs().max() == 0 and (moved[1] - X[1]).norm().item() == pytest.approx(1, abs=1e-3)


class Flat(nn.Module):
    """Scores that depend on no pixel."""

    def forward(self, x):
        return 0 * x.sum((2, 3))


def test_no_gradient_at_all_leaves_the_image():
    X = random_images(2, 3, 8, 8)
    moved, _ = gradient_step(Flat(), X, torch.tensor([0, 1]), l2_reg=0, learning_rate=25.0)
    assert torch.equal(moved, X)
    tiny = gradient_step(lambda x: 1e-30 * x.sum((2, 3)), X, torch.tensor([0, 1]), l2_reg=0, learning_rate=25.0)[0]
    assert (tiny - X).flatten(1).norm(dim=1).tolist() == pytest.approx([25, 25], rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.FloatTensor, torch.cuda.FloatTensor, torch.float32])
def test_takes_the_courses_types(dtype):
    model = tiny_net(dtype=torch.float32)
    picture = CV.create_class_visualization(3, NAMES, model, dtype, seed=0, **QUICK)
    assert picture.size == (32, 32) and picture.mode == "RGB"


@pytest.mark.parametrize(
    ("target", "keywords", "word"),
    [
        (7, {}, "labels"),
        (-1, {}, "labels"),
        (1.0, {}, "index"),
        (True, {}, "index"),
        ("gorilla", {}, "index"),
        (3, {"num_iterations": 0}, "num_iterations"),
        (3, {"blur_every": 0}, "blur_every"),
        (3, {"show_every": 0}, "show_every"),
        (3, {"max_jitter": -1}, "max_jitter"),
        (3, {"l2_reg": -1}, "l2_reg"),
        (3, {"l2_reg": float("nan")}, "l2_reg"),
        (3, {"learning_rate": float("inf")}, "learning_rate"),
        (3, {"size": 0}, "height"),
        (3, {"size": (32, -1)}, "width"),
        (3, {"recipe": "modren"}, "modren"),
        (3, {"recipe": "modern", "max_scale": 0.5}, "max_scale"),
        (3, {"recipe": "modern", "noise": -1}, "noise"),
    ],
)
def test_refuses_what_does_not_fit(tmp_path, target, keywords, word):
    model = tiny_net(dtype=torch.float32)
    keywords = {"size": 16, "num_iterations": 2, "out": tmp_path, **keywords}
    with no_trace(model), pytest.raises(InputError, match=word):
        CV.create_class_visualization(
            target, dict.fromkeys(range(-9, 9), ""), model, torch.FloatTensor, **keywords
        )
    assert not list(tmp_path.iterdir())


def test_refuses_other_types_classes_and_names():
    model = tiny_net(dtype=torch.float32)
    for dtype in (torch.float64, torch.LongTensor, "float", None):
        with pytest.raises(InputError, match="dtype"):
            CV.create_class_visualization(3, NAMES, model, dtype, **QUICK)
    with pytest.raises(InputError, match="no classes"):
        CV.create_class_visualizations([], model)
    with pytest.raises(InputError, match="no name for class 3"):
        CV.create_class_visualization(3, {0: "zero"}, model, torch.FloatTensor)
    with pytest.raises(TypeError, match="did you mean blur_every"):
        CV.create_class_visualization(3, NAMES, model, torch.FloatTensor, blur_evry=3, **QUICK)
    with pytest.raises(TypeError, match="modern recipe takes no keyword 'l2_reg'"):
        CV.create_class_visualizations([3], model, recipe="modern", l2_reg=1)


def test_writes_the_courses_frames_and_tells_the_callback(tmp_path):
    model, steps = tiny_net(dtype=torch.float32), []
    CV.create_class_visualization(
        np.int64(3), NAMES, model, torch.FloatTensor, num_iterations=7, show_every=3, size=24, seed=0,
        out=tmp_path / "figures", callback=steps.append,
    )  # fmt: skip
    written = sorted(file.name for file in (tmp_path / "figures").iterdir())
    assert written == [f"class_visualization_iter_{t}.png" for t in (1, 3, 6, 7)]
    with Image.open(tmp_path / "figures" / written[0]) as figure:
        assert min(figure.size) > 200
    assert [step.iteration for step in steps] == [1, 2, 3, 4, 5, 6, 7]
    assert all(step.images.shape == (1, 3, 24, 24) and step.scores.shape == (1,) for step in steps)
    assert all(0 < step.probabilities.item() < 1 for step in steps)
    assert steps[-1].scores.item() > steps[0].scores.item()


def test_without_plots_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CV.create_class_visualization(3, NAMES, tiny_net(dtype=torch.float32), torch.FloatTensor, **QUICK)
    assert not list(tmp_path.iterdir())
