"""The dial: its definition, its ends, and that it means the same for every network and size."""

import pytest
import torch
from PIL import Image
from torch import nn

from image_utils.errors import InputError
from style_utils import preprocess
from stylize.strength import TOTAL, weights_at
from tests.oracles import style as oracle
from tests.stylize.pairs import LOSSES, transfer


def steps_of(pair, cnn, **changes):
    steps = []
    transfer(pair, cnn, **{"solver": "lbfgs", "steps": 1, "callback": steps.append, **changes})
    return steps


def test_odds_are_the_square_root_of_ten_a_step():
    for strength in (1, 4, 5, 8.5):
        content, style, _ = weights_at(strength, 2.0, [3.0, 5.0], 7.0)
        odds = (style[0] * 3 + style[1] * 5) / (content * 2)
        assert odds == pytest.approx(5 * 10 ** ((strength - 5) / 2))
        assert content * 2 + style[0] * 3 + style[1] * 5 == pytest.approx(TOTAL)
        assert style[0] * 3 == pytest.approx(style[1] * 5)
    assert weights_at(0, 2.0, [3.0], 7.0)[1] == [0.0] and weights_at(10, 2.0, [3.0], 7.0)[0] == 0.0


@pytest.mark.parametrize("strength", [-0.1, 10.1, float("nan")])
def test_refuses_what_is_not_on_the_dial(strength):
    with pytest.raises(InputError, match="strength"):
        weights_at(strength, 1.0, [1.0], 1.0)


def test_the_photograph_costs_the_styles_share_whatever_network_and_size(pair, cnn):
    other = nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 8, 3)).requires_grad_(False)
    layers = {"content_layer": 2, "style_layers": [0, 1], "style_weights": [1, 1]}
    for strength, share in ((5, 5 / 6), (3, 1 / 3), (10, 1.0), (0, 0.0)):
        for network, changes in ((cnn, {}), (cnn, {"image_size": 80, "style_size": 64}), (other, layers)):
            (first,) = steps_of(pair, network, strength=strength, **changes)
            assert first.losses["content"] == 0
            assert first.losses["style"] == pytest.approx(TOTAL * share, rel=1e-4)
            assert 0 < first.losses["tv"] <= 0.01 * TOTAL * (1 + 1e-4)


def test_the_weights_are_those_of_the_sources_own_losses(pair):
    """From the definition, slowly: each loss with the other source in its place."""
    cnn = nn.Sequential(nn.Conv2d(3, 4, 3)).double().requires_grad_(False)
    start = {"content_layer": 0, "style_layers": [0], "style_weights": [1], "image_size": 12, "style_size": 10}
    start |= {"dtype": torch.float64, "strength": 6}
    content, style = (preprocess(Image.open(f), n).double() for f, n in zip(pair, (12, 10), strict=True))
    fitted = nn.functional.interpolate(style, content.shape[2:], mode="bilinear")
    of = {name: cnn(img).numpy() for name, img in (("content", content), ("style", style), ("fitted", fitted))}
    gram = oracle.gram_matrix(of["style"])
    expected = weights_at(
        6,
        oracle.content_loss(1.0, of["fitted"], of["content"]),
        [oracle.style_loss([of["content"]], [0], [gram], [1.0])],
        max(oracle.total_variation(img.numpy(), 1.0) for img in (content, fitted)),
    )
    given = {}

    def noting(name, loss):
        class Noting(type(loss)):
            def forward(self, *arguments):
                given[name] = arguments
                return super().forward(*arguments)

        return Noting()

    losses = {name: noting(name, loss) for name, loss in LOSSES.items()}
    steps_of(pair, cnn, **start, **losses)
    assert given["content_loss"][0] == pytest.approx(expected[0])
    assert given["style_loss"][3] == pytest.approx(expected[1])
    assert given["tv_loss"][1] == pytest.approx(expected[2])


def test_more_strength_goes_further_from_the_photograph(pair, cnn):
    content = preprocess(Image.open(pair[0]), 48)
    moved = [(transfer(pair, cnn, solver="lbfgs", steps=12, strength=s) - content).norm() for s in (0, 2, 5, 8)]
    assert moved == sorted(moved)


def test_sources_that_do_not_differ_leave_nothing_to_do(pair, cnn):
    same = pair[0], pair[0]
    result = transfer(same, cnn, solver="lbfgs", strength=5, style_size=48)
    assert torch.isfinite(result).all()


def test_mixed_styles_have_a_strength_too(pair, cnn):
    both = pair[0], [pair[1], pair[0]]
    (first,) = steps_of(both, cnn, strength=5, style_image_weights=[3, 1])
    assert first.losses["style"] == pytest.approx(TOTAL * 5 / 6, rel=1e-4)
