"""The smallest change of 8-bit pixels that makes a network see another class.

A fooling image that is saved consists of whole pixel levels, so the search goes over these: for a photograph x of
levels 0 to 255, class scores s and a target class t,

    minimise ||k||  where  f(x + k) >= m,  f = s_t - max_{j != t} s_j,  k integer,  0 <= x + k <= 255.

Where f is linear, with gradient g, the Lagrangian ||k||^2 - 2 lambda g.k falls apart into single values, and

    k = round(lambda g)

is its exact minimiser: rounding is no loss that comes afterwards, it is the solution, in which only those values
change whose gradient is worth a whole level. The network is linear in small pieces only, so the solution is
repeated, with g an average over the last steps, and with lambda chosen for a norm r = ||k||, which follows
Newton's rule along the ray:

    f(a k) ~ f + (a - 1) g.k = m,  so  r <- r (1 + (m - f) / g.k).

Direction and norm on their own, both with ever smaller steps, are the idea of Rony, Hafemann, Oliveira, Ben
Ayed, Sabourin, Granger: "Decoupling Direction and Norm for Efficient Gradient-Based L2 Adversarial Attacks and
Defenses", CVPR 2019. Fooling as such: Szegedy et al., "Intriguing properties of neural networks", ICLR 2014.
"""

import math

import torch

from image_utils.errors import InputError
from networks.scores import class_scores

LEVELS = 255
# First and last step's value of
BLEND = (0.35, 0.03)  # the newest gradient's share in the direction; a cosine between
NORM_STEP = (0.1, 0.01)  # the largest relative change of the norm; geometric between
SOFTNESS = (0.2, 0.002)  # T, see margin_and_gradient, as a share of the margin missing at first; likewise
SAMPLE = 8192  # how many of an image's values lambda is found on
HALVINGS = 16  # of the interval for lambda
TINY = 1e-20


def target_margin(scores, target):
    """Compute by how much each target class leads: f = s_t - max_{j != t} s_j.

    Args:
        scores: Tensor (N, C), at least two classes.
        target: int64 Tensor (N,).

    Returns:
        Tensor (N,), positive where the target is the network's choice.

    Raises:
        InputError: shapes or classes do not fit.
    """
    return class_scores(scores, target) - _others(scores, target).amax(dim=1)


def _others(scores, target):
    """Put the target's score out of the running: Tensor (N, C) with -inf there."""
    if scores.shape[1] < 2:
        raise InputError("the network tells a single class; fooling needs at least two")
    return scores.scatter(1, target.view(-1, 1), -torch.inf)


def margin_and_gradient(network, x, target, softness):
    """Compute the margin, and the gradient of a smooth one.

    The smooth margin s_t - T log sum_{j != t} exp(s_j / T) tends to f as T goes to 0. Its gradient lowers all
    classes near the top at once, not just the one that happens to lead, which finds the better region; f itself
    finds the smaller change there. Neither gradient is zero where the target's score alone has none.

    Args:
        network: function from levels (N, 3, H, W) to class scores (N, C).
        x: Tensor (N, 3, H, W), levels.
        target: int64 Tensor (N,).
        softness: Tensor (N,), T in score units, positive.

    Returns:
        (f, gradient): Tensors (N,) and (N, 3, H, W).
    """
    x = x.detach().clone().requires_grad_()
    scores = network(x)
    others = _others(scores, target) / softness.view(-1, 1)
    smooth = class_scores(scores, target) - softness * others.logsumexp(dim=1)
    (gradient,) = torch.autograd.grad(smooth.sum(), x)
    return target_margin(scores, target).detach(), gradient


def change_of_norm(direction, norm, low, high):
    """Compute k = round(lambda d), kept within bounds, with the lambda that gives it a norm.

    Args:
        direction: Tensor (N, 3, H, W), d.
        norm: Tensor (N,), the norm ||k|| wanted, in levels; reached within a few percent from below.
        low: Tensor (N, 3, H, W), smallest change allowed, at most 0.
        high: the same, largest, at least 0.

    Returns:
        Tensor (N, 3, H, W) of whole numbers.
    """
    # In a large image every so many values stand for all: sorting or summing all of them would cost more than the
    # network's own pass, and the norm that results is measured anyway.
    stride = max(1, direction[0].numel() // SAMPLE)
    d, lows, highs = (values.flatten(1)[:, ::stride] for values in (direction, low, high))
    square = norm**2 * d.shape[1] / direction[0].numel()
    largest = d.abs().amax(dim=1).clamp(min=TINY)
    below, above = 0.5 / largest, 1e6 / largest  # nothing changes; all that counts changes as far as it can
    for _ in range(HALVINGS):
        middle = (below * above).sqrt()
        k = (middle.view(-1, 1) * d).round().clamp(lows, highs)
        fits = k.square().sum(dim=1) <= square
        below, above = torch.where(fits, middle, below), torch.where(fits, above, middle)
    return (_per_image(below) * direction).round().clamp(low, high)


def smallest_change(network, x, target, *, steps, margin):
    """Search the smallest integer change of each image for which the network sees the target.

    Args:
        network: function from levels (N, 3, H, W) to class scores (N, C), differentiable.
        x: floating-point Tensor (N, 3, H, W), whole numbers from 0 to 255.
        target: int64 Tensor (N,).
        steps: how often the network and its gradient are computed, at most.
        margin: m, positive, in score units.

    Returns:
        (change, fools, found): Tensor (N, 3, H, W) of whole numbers, the smallest change seen that fools by the
        margin or, where none does, the one with the largest margin; bool Tensor (N,); int64 Tensor (N,), the step
        at which it was seen.
    """
    change, low, high = torch.zeros_like(x), -x, LEVELS - x
    best = _Best(x)
    with torch.no_grad():
        missing = (margin - target_margin(network(x), target)).abs().clamp(min=TINY)
    for step in range(steps):
        progress = step / max(steps - 1, 1)
        f, gradient = margin_and_gradient(network, x + change, target, missing * _geometric(SOFTNESS, progress))
        best.update(change, f, margin, step)
        if step == steps - 1:
            break
        if step == 0:
            direction = _unit(gradient)
            norm = (margin - f).clamp(min=0) / _norm(gradient).clamp(min=TINY)
        else:
            direction = torch.lerp(direction, _unit(gradient), _cosine(BLEND, progress))
            limit = _geometric(NORM_STEP, progress)
            gain = (gradient * change).flatten(1).sum(dim=1)
            wanted = torch.where(gain > 0, (margin - f) / gain.clamp(min=TINY), (margin - f).sign())
            norm = norm * (1 + wanted.clamp(-limit, limit))
        change = change_of_norm(direction, norm, low, high)
    return best.change, best.fools, best.step


class _Best:
    """For each image the smallest change that fools, or until there is one the change with the largest margin."""

    def __init__(self, x):
        self.change = torch.zeros_like(x)
        self.fools = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        self.rank = torch.full((len(x),), -torch.inf, dtype=x.dtype, device=x.device)
        self.step = torch.zeros(len(x), dtype=torch.int64, device=x.device)

    def update(self, change, f, margin, step):
        """Compare with the change (N, 3, H, W) seen at this step and its margins f (N,)."""
        fools = f >= margin
        rank = torch.where(fools, -_norm(change), f)  # among those that fool the norm decides, else the margin
        better = (fools & ~self.fools) | ((fools == self.fools) & (rank > self.rank))
        self.change[better] = change[better]
        self.rank = torch.where(better, rank, self.rank)
        self.step[better] = step
        self.fools |= fools


def _cosine(ends, progress):
    return ends[1] + (ends[0] - ends[1]) * (1 + math.cos(math.pi * progress)) / 2


def _geometric(ends, progress):
    return ends[0] * (ends[1] / ends[0]) ** progress


def _norm(values):
    return values.flatten(1).norm(dim=1)


def _unit(values):
    return values / _per_image(_norm(values).clamp(min=TINY))


def _per_image(values):
    return values.view(-1, 1, 1, 1)
