"""Classic wrong update rules; 10 points for `update`."""

from tests.mutants import Mutant

UPDATE = ("style_utils.py", "style_transfer")


def update(name, body, points, says):
    return Mutant(name, {UPDATE: body}, {"update": points}, says)


LOSS = (
    "loss = content_loss(content_weight, feats[content_layer], content_target)\n"
    "loss = loss + style_loss(feats, style_layers, style_targets, style_weights) + tv_loss(img, tv_weight)\n"
)
HEAD = LOSS + "optimizer.zero_grad()\nloss.backward()\n"
DECAY = "if t == decay_lr_at:\n    optimizer = torch.optim.Adam([img], lr=decayed_lr)\n"
STEP = "optimizer.step()"

UPDATES = [
    update("update_nothing", LOSS + "loss.backward()", 0, "never updated"),
    update("update_twice", HEAD + DECAY + "optimizer.step()\n" + STEP, 1, "two updates"),
    update("update_without_zero_grad", LOSS + "loss.backward()\n" + DECAY + STEP, 1, "add up"),
    update("update_climbs", LOSS + "optimizer.zero_grad()\n(-loss).backward()\n" + DECAY + STEP, 0, "climbs"),
    update(
        "update_plain_descent",
        HEAD + "img.data -= (initial_lr if t < decay_lr_at else decayed_lr) * img.grad",
        0,
        "plain gradient descent",
    ),
    update(
        "update_two_steps_too_late",
        HEAD + DECAY.replace("decay_lr_at:", "decay_lr_at + 2:") + STEP,
        6,
        "too late",
    ),
    update("update_rate_never_falls", HEAD + STEP, 6, "never falls"),
    update("update_new_optimizer_each_step", HEAD + DECAY.replace("==", ">=") + STEP, 6, ">= instead of =="),
    update(
        "update_decay_compounding",
        HEAD + "if t >= decay_lr_at:\n    optimizer.param_groups[0]['lr'] *= 0.1\n" + STEP,
        6,
        "180",
    ),
    update(
        "update_clears_too_late",
        LOSS + "loss.backward()\noptimizer.zero_grad()\n" + DECAY + STEP,
        0,
        "never updated",
    ),
]
