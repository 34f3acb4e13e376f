"""Classic wrong update rules; 10 points for `update`."""

from tests.mutants import Mutant

UPDATE = ("style_modules/optimise.py", "course_update")


def update(name, body, points, says):
    return Mutant(name, {UPDATE: body}, {"update": points, "tv": 10}, says)


HEAD = "optimizer.zero_grad()\nobjective(image).backward()\n"
DECAY = "if t == decay_at:\n    optimizer = torch.optim.Adam([image], lr=DECAYED_RATE)\n"
TAIL = "optimizer.step()\nreturn optimizer"

UPDATES = [
    update("update_nothing", "objective(image).backward()\nreturn optimizer", 0, "never updated"),
    update("update_twice", HEAD + DECAY + "optimizer.step()\n" + TAIL, 1, "two updates"),
    update("update_without_zero_grad", "objective(image).backward()\n" + DECAY + TAIL, 1, "add up"),
    update("update_climbs", "optimizer.zero_grad()\n(-objective(image)).backward()\n" + DECAY + TAIL, 0, "climbs"),
    update(
        "update_plain_descent",
        HEAD + "image.data -= (3.0 if t < decay_at else DECAYED_RATE) * image.grad\nreturn optimizer",
        0,
        "plain gradient descent",
    ),
    update(
        "update_one_step_too_late",
        HEAD + DECAY.replace("decay_at:", "decay_at + 1:") + TAIL,
        6,
        "one step too late",
    ),
    update("update_rate_never_falls", HEAD + TAIL, 6, "never falls"),
    update("update_new_optimizer_each_step", HEAD + DECAY.replace("==", ">=") + TAIL, 6, ">= instead of =="),
    update(
        "update_keeps_the_old_adam",
        HEAD + "if t == decay_at:\n    optimizer.param_groups[0]['lr'] = DECAYED_RATE\n" + TAIL,
        6,
        "old Adam kept",
    ),
    update(
        "update_decay_compounding",
        HEAD + "if t >= decay_at:\n    optimizer.param_groups[0]['lr'] *= 0.1\n" + TAIL,
        6,
        "180",
    ),
    update(
        "update_clears_too_late",
        "objective(image).backward()\noptimizer.zero_grad()\n" + DECAY + TAIL,
        0,
        "never updated",
    ),
]
