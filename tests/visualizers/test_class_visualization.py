"""Class visualization by the course's recipe: the definition, SciPy, batches, seeds, and wrong solutions."""

import copy
import itertools
import textwrap

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import visualizers.class_visualization as module
from image_utils.errors import InputError
from image_utils.pixels import SQUEEZENET_MEAN, SQUEEZENET_STD, to_pixels
from networks.scores import climbable
from tests.no_trace import no_trace
from tests.oracles.class_visualization import ascend, random_numbers
from tests.pasted import pasted
from tests.small_networks import BreaksInBackward, random_images, tiny_net
from visualizers import ClassVisualization

CV = ClassVisualization()
NAMES = {i: f"class {i}" for i in range(1000)}
QUICK = {"num_iterations": 3, "size": 32, "generate_plots": False}


def test_jitter_is_the_courses_two_concatenations():
    X = random_images(2, 3, 7, 9)
    ox, oy = 4, 2
    left, right = X[:, :, :, :-ox], X[:, :, :, -ox:]
    shifted = torch.cat([right, left], dim=3)
    shifted = torch.cat([shifted[:, :, -oy:], shifted[:, :, :-oy]], dim=2)
    assert torch.equal(CV.jitter(X, ox, oy), shifted)
    assert torch.equal(CV.jitter(CV.jitter(X, ox, oy), -ox, -oy), X)
    assert torch.equal(CV.jitter(X, 0, 0), X)


SETTINGS = {"l2_reg": 0.02, "learning_rate": 2.0, "blur_every": 3}
SHAPE, STEPS, JITTER, TARGETS, SEED = (3, 8, 7), 5, 3, [2, 5], 11


@pytest.fixture(scope="module")
def expected():
    noise, shifts = random_numbers(SHAPE, STEPS, JITTER, SEED)
    constants = {"mean": SQUEEZENET_MEAN.astype(float), "std": SQUEEZENET_STD.astype(float)}
    model = tiny_net(smooth=True)
    return [ascend(model, target, noise, shifts, **SETTINGS, **constants) for target in TARGETS]


def ascent(class_, model, target, **settings):
    """The Steps of an ascent."""
    steps = []
    class_().create_class_visualizations([target], model, **settings, callback=steps.append)
    return steps


def largest_difference(class_, expected):
    """Between all steps of a class's ascent and the oracle's."""
    settings = SETTINGS | {"num_iterations": STEPS, "max_jitter": JITTER, "size": SHAPE[1:], "seed": SEED}
    model, differences = tiny_net(smooth=True), []
    for target, images in zip(TARGETS, expected, strict=True):
        steps = ascent(class_, model, target, dtype=torch.float64, **settings)
        differences += [np.abs(s.image[0].numpy() - e).max() for s, e in zip(steps, images, strict=True)]
    return max(differences)


def test_equals_the_definition_at_every_step(expected):
    assert largest_difference(ClassVisualization, expected) < 1e-5


def with_step(body):
    """The class with another step in its box."""
    bodies = {"ClassVisualization__create_class_visualization": textwrap.dedent(body)}
    return pasted("visualizers/class_visualization.py", **bodies).ClassVisualization


RIGHT_STEPS = {
    "img requires the gradient": """
        scores = model(img)
        loss = scores[0, target_y] - l2_reg * img.norm() ** 2
        loss.backward()
        with torch.no_grad():
            img += learning_rate * img.grad / img.grad.norm()
            img.grad.zero_()
    """,
    "img_var wraps img": """
        pred = model.forward(img_var)
        pred[0, target_y].backward()
        img_var.grad -= 2 * l2_reg * img_var
        img_var.data.add_(learning_rate * img_var.grad / torch.norm(img_var.grad))
        img_var.grad.fill_(0)
    """,
    "img itself is changed": """
        loss = model(img_var).gather(1, torch.LongTensor([[target_y]])).sum() - l2_reg * (img_var**2).sum()
        loss.backward()
        img += learning_rate * img_var.grad / img_var.grad.norm()
        img_var.grad.data.zero_()
    """,
    "img is bound anew": """
        (g,) = torch.autograd.grad(model(img)[:, target_y].sum() - l2_reg * (img * img).sum(), img)
        img_var.data = img_var.data + learning_rate * g / torch.sqrt((g**2).sum())
        img = img_var.data
    """,
}


@pytest.mark.parametrize("body", RIGHT_STEPS.values(), ids=RIGHT_STEPS)
def test_right_steps_in_other_words(expected, body):
    assert largest_difference(with_step(body), expected) < 1e-5


STEP = """
score = model(img)[0, target_y]
penalty = {penalty}
(g,) = torch.autograd.grad(score - l2_reg * penalty, img)
img = img + {step}
"""
SQUARES, UNIT = "img.square().sum()", "learning_rate * g / g.norm()"
WRONG_STEPS = {
    "penalty without gradient": STEP.format(penalty="img.detach().square().sum()", step=UNIT),
    "penalty rewarded": STEP.format(penalty="-" + SQUARES, step=UNIT),
    "norm not squared": STEP.format(penalty="img.norm()", step=UNIT),
    "downhill": STEP.format(penalty=SQUARES, step="-" + UNIT),
    "double": STEP.format(penalty=SQUARES, step="2 * " + UNIT),
    "not normalised": STEP.format(penalty=SQUARES, step="learning_rate * g"),
}


def test_the_step_of_the_mutants_is_right(expected):
    assert largest_difference(with_step(STEP.format(penalty=SQUARES, step=UNIT)), expected) < 1e-5


@pytest.mark.parametrize("body", WRONG_STEPS.values(), ids=WRONG_STEPS)
def test_a_wrong_step_is_caught(expected, body):
    assert largest_difference(with_step(body), expected) > 1e-2


def _blur_every_step(monkeypatch):
    monkeypatch.setitem(SETTINGS, "blur_every", 1)


def _never_blur(monkeypatch):
    monkeypatch.setattr(ClassVisualization, "blur_image", lambda self, X, sigma=1: X)


def _blur_by_one_pixel(monkeypatch):
    blur = ClassVisualization.blur_image
    monkeypatch.setattr(ClassVisualization, "blur_image", lambda self, X, sigma=1: blur(self, X, 1.0))


def _jitter_kept(monkeypatch):
    monkeypatch.setattr(
        ClassVisualization, "jitter", lambda self, X, ox, oy: X.roll((max(ox, 0), max(oy, 0)), (3, 2))
    )


def _jitter_swapped(monkeypatch):
    monkeypatch.setattr(ClassVisualization, "jitter", lambda self, X, ox, oy: X.roll((ox, oy), (2, 3)))


def _clipped_to_0_1(monkeypatch):
    monkeypatch.setattr(module, "to_normalised", lambda pixels: pixels)


@pytest.mark.parametrize(
    "mutant",
    [_blur_every_step, _never_blur, _blur_by_one_pixel, _jitter_kept, _jitter_swapped, _clipped_to_0_1],
)
def test_a_wrong_loop_is_caught(monkeypatch, expected, mutant):
    mutant(monkeypatch)
    assert largest_difference(ClassVisualization, expected) > 1e-2


def test_pixels_stay_in_range(squeezenet):
    settings = {"num_iterations": 2, "size": 48, "seed": 0, "blur_every": 5}
    pixels = to_pixels(ascent(ClassVisualization, squeezenet, 3, **settings)[-1].image)
    assert pixels.min() >= -1e-6 and pixels.max() <= 1 + 1e-6
    assert pixels.amax() > 0.99 and pixels.amin() < 0.01


def test_a_step_reports_what_the_network_saw(squeezenet):
    seen, settings = [], {"num_iterations": 3, "size": 48, "seed": 0, "max_jitter": 0, "blur_every": 100}
    steps = ascent(ClassVisualization, squeezenet, 3, **settings)
    for before, after in itertools.pairwise(steps):
        scores = squeezenet(before.image)[0].detach()
        seen.append(scores[3].item())
        assert after.score == pytest.approx(seen[-1], rel=1e-3)
        assert after.probability == pytest.approx(scores.softmax(0)[3].item(), rel=1e-2)


@pytest.mark.parametrize("recipe", ["course", "modern"])
def test_several_classes_are_what_each_is_alone(squeezenet, recipe, two_threads):
    settings = {"num_iterations": 3, "size": (64, 80), "seed": 5, "recipe": recipe}
    together = CV.create_class_visualizations([366, 76], squeezenet, **settings)
    torch.set_num_threads(1)  # as each of the two had
    alone = [CV.create_class_visualizations([target], squeezenet, **settings)[0] for target in (366, 76)]
    assert [picture.tobytes() for picture in together] == [picture.tobytes() for picture in alone]
    assert together[0].size == (80, 64) and together[0].tobytes() != together[1].tobytes()


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


def gradient(model, X, targets):
    """The gradient of the class scores of images, as the course's recipe gets it."""
    x = X.clone().requires_grad_()
    with climbable(model):
        model(x).gather(1, targets[:, None]).sum().backward()
    return x.grad


def test_a_dead_score_is_climbed_before_its_relu():
    model, X, targets = dead_end(-50.0), random_images(2, 3, 12, 12), torch.tensor([1, 3])
    assert model(X).abs().max() == 0
    with no_trace(model):
        g = gradient(model, X, targets)
    before, after = model[0](X).mean((2, 3)), model[0](X + g / g.norm()).mean((2, 3))
    assert (after - before)[0, 1] > 0.01 and (after - before)[1, 3] > 0.01


def test_the_recipe_revives_a_dead_score():
    steps = ascent(ClassVisualization, dead_end(-2.0), 1, num_iterations=10, size=12, seed=0)
    assert steps[0].score == 0 and steps[-1].score > 0


def test_a_living_score_keeps_its_own_gradient():
    """Images are told apart: the dead one's neighbour is not changed by the rescue."""
    model, X, targets = dead_end(-0.4), random_images(2, 3, 12, 12), torch.tensor([1, 1])
    X[1] = -20 * model[0].weight[1].sign().mean((1, 2), keepdim=True)
    assert model(X)[0, 1] > 0 and model(X)[1, 1] == 0
    found = gradient(model, X, targets)
    x = X.clone().requires_grad_()
    (g,) = torch.autograd.grad(model(x)[:, 1].sum(), x)
    assert torch.equal(found[0], g[0])
    assert g[1].abs().max() == 0 and found[1].norm() > 0


class Flat(nn.Module):
    """Scores that depend on no pixel."""

    def forward(self, x):
        return 0 * x.sum((2, 3))


def test_no_gradient_at_all_leaves_the_image():
    settings = {"l2_reg": 0, "max_jitter": 0, "blur_every": 9, "size": 8, "seed": 0, "num_iterations": 3}
    first, _, last = ascent(ClassVisualization, Flat(), 1, **settings)
    assert torch.equal(first.image, last.image) and first.image.isfinite().all()


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
        (7, {"recipe": "modern"}, "labels"),
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


class Other(nn.Module):
    """Returns something else than class scores."""

    def __init__(self, wrap):
        super().__init__()
        self.inner, self.wrap = tiny_net(dtype=torch.float32), wrap

    def forward(self, x):
        return self.wrap(self.inner(x))


@pytest.mark.parametrize("recipe", ["course", "modern"])
@pytest.mark.parametrize(
    ("model", "word"),
    [
        (Other(lambda scores: {"out": scores}), "class scores"),
        (Other(lambda scores: (scores, scores)), "class scores"),
        (Other(lambda scores: scores[:, 0]), "class scores"),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), "does not take"),
    ],
)
def test_refuses_networks_that_do_not_fit(model, word, recipe, tmp_path):
    with no_trace(model), pytest.raises(InputError, match=word):
        CV.create_class_visualization(
            3, NAMES, model, torch.FloatTensor, recipe=recipe, size=16, num_iterations=2, out=tmp_path
        )
    assert not list(tmp_path.iterdir())


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
    assert all(step.image.shape == (1, 3, 24, 24) and 0 < step.probability < 1 for step in steps)
    assert steps[-1].score > steps[0].score


def test_without_plots_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    CV.create_class_visualization(3, NAMES, tiny_net(dtype=torch.float32), torch.FloatTensor, **QUICK)
    assert not list(tmp_path.iterdir())
