"""Classic wrong fooling images (7 points) and class visualizations (8 points)."""

from tests.mutants import Mutant

FOOLING = ("visualizers/fooling_image.py", "climb")
STEP = ("visualizers/class_visualization.py", "gradient_step")

LOOP = """
x = x.detach().clone()
for _ in range(100):
    x.requires_grad_(True)
    scores = model(x)
    {stop}
    (g,) = torch.autograd.grad(scores[0, target[0]], x)
    x = x.detach() + {step}
return x.detach()
"""
STOP = "if scores.argmax() == target[0]:\n        break"
CLIMB = """
x = as_leaf(X)
scores = model(x)
wanted = class_scores(scores, targets).sum()
penalty = {penalty}
(g,) = torch.autograd.grad(wanted - l2_reg * penalty, x)
norm = g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
return X + {step}, scores.detach()
"""
SQUARES = "x.square().sum()"


def fooling(name, says, points, stop=STOP, step="10 * g / g.norm()"):
    return Mutant(f"fooling_{name}", {FOOLING: LOOP.format(stop=stop, step=step)}, {"fooling": points}, says)


def climb(name, says, points, penalty=SQUARES, step="learning_rate * g / norm"):
    return Mutant(f"classvis_{name}", {STEP: CLIMB.format(penalty=penalty, step=step)}, {"classvis": points}, says)


ASCENTS = [
    fooling("written_plainly", "", 7),
    fooling("never_stops", "does not stop", 0, stop="pass"),
    fooling("wrong_sign", "add the step", 0, step="-10 * g / g.norm()"),
    fooling("double_step", "twice", 4, step="20 * g / g.norm()"),
    fooling("small_steps", "1, not 10", 4, step="g / g.norm()"),
    fooling("nothing", "no step", 0, stop="break"),
    fooling("stops_too_early", "before the network is fooled", 0, stop="if _ == 1:\n        break"),
    fooling("turns_nan", "not finite", 0, step="(10 * g / g.norm() if _ == 0 else float('nan') * g)"),
    # Right, and only asked more often than need be.
    fooling("asks_three_times", "", 7, stop="model(x.detach()), model(x.detach())\n    " + STOP),
    Mutant(
        "fooling_starts_anywhere",
        {FOOLING: "x = torch.randn(x.shape)\n" + LOOP.format(stop=STOP, step="10 * g / g.norm()")},
        {"fooling": 0},
        "nothing to do with X",
    ),
    climb("written_plainly", "", 8),
    Mutant(
        "classvis_asks_twice",
        {STEP: CLIMB.format(penalty=SQUARES, step="learning_rate * g / norm").replace("scores.d", "model(X).d")},
        {"classvis": 8},
    ),
    climb("penalty_without_gradient", "no gradient", 5, penalty="x.detach().square().sum()"),
    climb("penalty_rewarded", "wrong sign", 5, penalty="-x.square().sum()"),
    climb("penalty_is_the_norm", "rather than the norm", 5, penalty="x.norm()"),
    climb("double_step", "twice", 0, step="2 * learning_rate * g / norm"),
    climb("wrong_sign", "add the step", 0, step="-learning_rate * g / norm"),
]
