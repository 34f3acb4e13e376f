"""Fooling images: the course's recipe to the letter, the minimal change beside known optima, files that fool."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from image_utils.errors import InputError
from image_utils.pixels import to_input, to_normalised
from image_utils.writing import save_image
from tests.networks import BreaksInBackward, random_images, tiny_net
from tests.no_trace import no_trace
from visualizers import FoolingImage
from visualizers.fooling_image import judge
from visualizers.minimal_fooling import change_of_norm

fool = FoolingImage().make_fooling_image
fool_minimally = FoolingImage().make_minimal_fooling_image


class Linear(nn.Module):
    """Class scores linear in the normalised pixels; `dead` makes the score of a class constant."""

    def __init__(self, classes=3, size=16, seed=0, dead=None):
        super().__init__()
        W = torch.randn(classes, 3, size, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        self.weight = nn.Parameter(0.05 * W)
        self.bias = nn.Parameter(torch.zeros(classes, dtype=torch.float64))
        self.dead = dead

    def forward(self, x):
        scores = torch.einsum("nchw,kchw->nk", x, self.weight) + self.bias
        if self.dead is not None:
            alive = torch.ones_like(scores)
            alive[:, self.dead] = 0
            scores = scores * alive
        return scores


def by_the_book(X, target, model, step=10.0, sign=1.0, limit=100, stop=True):
    """The course's recipe, written down as its text says, for one image; the keywords make mutants."""
    X = X.clone()
    for _ in range(limit):
        x = X.clone().requires_grad_()
        scores = model(x)
        if stop and int(scores.argmax()) == target:
            break
        (g,) = torch.autograd.grad(scores[0, target], x)
        X = X + sign * step * g / g.norm()
    return X


def grey_images(n, size=16):
    """Mid-grey photographs with a little structure, normalised float64."""
    levels = np.random.default_rng(0).integers(100, 156, (n, size, size, 3), dtype=np.uint8)
    return to_input(levels).double()


def test_courses_recipe_to_the_letter(squeezenet, photographs):
    X = photographs[0][:1]
    found, expected = fool(X, 6, squeezenet), by_the_book(X, 6, squeezenet)
    torch.testing.assert_close(found, expected)
    assert int(squeezenet(found).argmax()) == 6


@pytest.mark.parametrize(
    "mutant",
    [{"step": 20.0}, {"stop": False, "limit": 15}, {"sign": -1.0, "limit": 15}, {"limit": 1}],
    ids=["double step", "no early stop", "wrong sign", "one step"],
)
def test_mutants_differ(squeezenet, photographs, mutant):
    X = photographs[0][:1]
    assert (fool(X, 6, squeezenet) - by_the_book(X, 6, squeezenet, **mutant)).abs().max() > 0.1


def test_a_batch_stops_image_by_image():
    model, X = tiny_net(), random_images(4, 3, 12, 12, dtype=torch.float64)
    target = (model(X).argmax(1) + 1) % 7
    target[2] = model(X).argmax(1)[2]
    together = fool(X, target, model)
    alone = torch.cat([fool(X[i : i + 1], int(target[i]), model) for i in range(4)])
    torch.testing.assert_close(together, alone)
    assert torch.equal(together[2], X[2])  # was seen as its target already
    one = fool(X, 3, model)
    assert torch.equal(one[:1], fool(X[:1], 3, model))


def test_a_target_without_gradient_lowers_the_others():
    model = Linear(dead=2)
    X = grey_images(1)
    X = X if int(model(X).argmax()) != 2 else -X
    found = fool(X, 2, model)
    assert torch.isfinite(found).all() and int(model(found).argmax()) == 2
    nowhere = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)).double()
    nn.init.zeros_(nowhere[1].weight)
    target = (int(nowhere(X).argmax()) + 1) % 3
    assert torch.equal(fool(X, target, nowhere), X)  # no gradient anywhere: it stays, and is finite


@pytest.mark.parametrize("target", [1, 2])
def test_minimal_change_of_a_linear_network_is_nearly_the_optimum(target):
    model, X = Linear(classes=3), grey_images(4)
    with torch.no_grad():
        model.bias[0] = 15  # far from the border, or whole levels could not come near the optimum
    found = fool_minimally(X, target, model, steps=60, margin=1e-3)
    scale = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(3, 1, 1)
    for i in range(4):
        optimum = nearest_point(model, X[i], target, scale)
        assert found.success[i]
        assert found.l2[i] <= 1.1 * optimum


def nearest_point(model, x, target, scale):
    """Distance, pixels on [0, 1], to the region where the target leads by 1e-3: the smallest norm z with A z >= b.

    With two other classes the optimum lies on one hyperplane or on the edge of both, so all cases are tried.
    """
    scores = model(x[None])[0].detach()
    others = [k for k in range(len(scores)) if k != target]
    A = torch.stack([(model.weight[target] - model.weight[k]).detach() / scale for k in others]).flatten(1)
    b = torch.stack([scores[k] - scores[target] + 1e-3 for k in others])
    best = np.inf
    for rows in ([0], [1], [0, 1]):
        z = torch.linalg.lstsq(A[rows], b[rows, None]).solution[:, 0]
        if (A @ z >= b - 1e-9).all():
            best = min(best, z.norm().item())
    return best


def test_minimal_images_fool_after_saving(tmp_path, squeezenet, photographs):
    X = photographs[0][:3]
    targets = [6, 6, 340]
    with no_trace(squeezenet, X):
        found = fool_minimally(X, targets, squeezenet, steps=40)
    assert found.success.all()
    for i, target in enumerate(targets):
        save_image(Image.fromarray(found.images[i]), tmp_path / f"{i}.png")
        with Image.open(tmp_path / f"{i}.png") as opened:
            again = np.asarray(opened)
        assert np.array_equal(again, found.images[i])
        with torch.no_grad():
            assert int(squeezenet(to_input(again[None])).argmax()) == target
    assert (found.l2 < 2).all() and (judge(found.images, targets, squeezenet) > 0).all()
    again = fool_minimally(X, targets, squeezenet, steps=40)
    assert np.array_equal(found.images, again.images)


def test_minimal_batch_equals_singles_and_keeps_what_fools_already():
    model, X = tiny_net(), grey_images(3, size=12)
    target = (model(X).argmax(1) + 1) % 7
    target[1] = model(X).argmax(1)[1]
    together = fool_minimally(X, target, model, steps=25, margin=1e-4)
    for i in range(3):
        alone = fool_minimally(X[i : i + 1], target[i : i + 1], model, steps=25, margin=1e-4)
        assert np.array_equal(alone.images[0], together.images[i])
    assert together.l2[1] == 0 and together.steps[1] == 0
    assert together.images.dtype == np.uint8


def test_what_cannot_be_fooled_is_marked():
    constant = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3)).double()
    nn.init.zeros_(constant[1].weight)
    X = grey_images(1)
    target = (int(constant(X).argmax()) + 1) % 3
    found = fool_minimally(X, target, constant, steps=5)
    assert not found.success[0] and found.margin[0] < 0


def test_change_of_norm_is_whole_within_bounds_and_of_the_norm():
    direction = random_images(2, 3, 20, 20, dtype=torch.float64)
    norm = torch.tensor([30.0, 100.0], dtype=torch.float64)
    low, high = torch.full_like(direction, -4), torch.full_like(direction, 4)
    k = change_of_norm(direction, norm, low, high)
    assert torch.equal(k, k.round()) and k.abs().max() <= 4
    found = k.flatten(1).norm(dim=1)
    assert ((found <= 1.05 * norm) & (found >= 0.85 * torch.minimum(norm, (4 * 1200**0.5) * torch.ones(2)))).all()


def test_leaves_no_trace():
    model, X = tiny_net(dtype=torch.float32).train(), random_images(2, 3, 12, 12).requires_grad_()
    with no_trace(model, X):
        first = fool(X, 3, model)
        assert torch.equal(fool(X, 3, model), first)
        fool_minimally(X, 3, model, steps=3)
    broken = BreaksInBackward()
    for method in (fool, fool_minimally):
        with no_trace(broken, X), pytest.raises(RuntimeError, match="on purpose"):
            method(X, 3, broken)


@pytest.mark.parametrize("target", [7, -1, 1000, 0.5, True, [1, 2, 3], "hen", None])
def test_bad_targets_are_refused(target):
    model, X = tiny_net(dtype=torch.float32), random_images(2, 3, 12, 12)
    for method in (fool, fool_minimally):
        with no_trace(model, X), pytest.raises(InputError):
            method(X, target, model)


@pytest.mark.parametrize("settings", [{"steps": 0}, {"margin": 0.0}, {"margin": float("nan")}, {"batch_size": 0}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(InputError):
        fool_minimally(to_normalised(torch.rand(1, 3, 12, 12)), 3, tiny_net(dtype=torch.float32), **settings)
