"""Classic wrong fooling images (7 points) and class visualizations (8 points)."""

from tests.mutants import Mutant

FOOLING = ("visualizers/fooling_image.py", "FoolingImage.make_fooling_image")
STEP = ("visualizers/class_visualization.py", "ClassVisualization.create_class_visualization")

LOOP = """
scores = model(X_fooling)
{stop}
(g,) = torch.autograd.grad(scores[0, target_y], X_fooling)
X_fooling = X_fooling.detach() + {step}
"""
STOP = "if scores.argmax() == target_y:\n    break"
CLIMB = """
score = model(img)[0, target_y]
penalty = {penalty}
(g,) = torch.autograd.grad(score - l2_reg * penalty, img)
img = img + {step}
"""
SQUARES = "img.square().sum()"
ANYWHERE = "X_fooling = torch.randn(X_fooling.shape, requires_grad=True)\n"


def fooling(name, says, points, stop=STOP, step="10 * g / g.norm()"):
    return Mutant(f"fooling_{name}", {FOOLING: LOOP.format(stop=stop, step=step)}, {"fooling": points}, says)


def climb(name, says, points, penalty=SQUARES, step="learning_rate * g / g.norm()"):
    return Mutant(f"classvis_{name}", {STEP: CLIMB.format(penalty=penalty, step=step)}, {"classvis": points}, says)


ASCENTS = [
    fooling("written_plainly", "", 7),
    fooling("never_stops", "does not stop", 0, stop="pass"),
    fooling("wrong_sign", "add the step", 0, step="-10 * g / g.norm()"),
    fooling("double_step", "twice", 4, step="20 * g / g.norm()"),
    fooling("small_steps", "1, not 10", 4, step="g / g.norm()"),
    fooling("nothing", "no step", 0, stop="break"),
    fooling("stops_too_early", "before the network is fooled", 0, stop="if it == 1:\n    break"),
    fooling("turns_nan", "not finite", 0, step="(10 * g / g.norm() if it == 0 else float('nan') * g)"),
    # Right, and only asked more often than need be.
    fooling("asks_three_times", "", 7, stop="model(X_fooling.detach()), model(X_fooling.detach())\n" + STOP),
    Mutant(
        "fooling_starts_anywhere",
        {
            FOOLING: "X_fooling = torch.randn(X_fooling.shape, requires_grad=True)\n"
            + LOOP.format(stop=STOP, step="10 * g / g.norm()")
        },
        {"fooling": 0},
        "nothing to do with X",
    ),
    climb("written_plainly", "", 8),
    Mutant(
        "classvis_asks_twice",
        {
            STEP: CLIMB.format(penalty=SQUARES, step="learning_rate * g / g.norm()").replace(
                "score -", "model(img)[0, target_y] -"
            )
        },
        {"classvis": 8},
    ),
    climb("penalty_without_gradient", "no gradient", 5, penalty="img.detach().square().sum()"),
    climb("penalty_rewarded", "wrong sign", 5, penalty="-img.square().sum()"),
    climb("penalty_is_the_norm", "rather than the norm", 5, penalty="img.norm()"),
    climb("double_step", "twice", 0, step="2 * learning_rate * g / g.norm()"),
    climb("wrong_sign", "add the step", 0, step="-learning_rate * g / g.norm()"),
]
