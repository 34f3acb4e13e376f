"""The measures of maps a second time, slowly, one image and one pixel at a time, from their definitions."""

import itertools
import math

import torch


def probability(model, x, label, *, softmax=True):
    """p_y or S_y of one image (C, H, W)."""
    with torch.no_grad():
        scores = model(x[None])[0]
    return (scores.softmax(0) if softmax else scores)[label].item()


def curve_area(model, first, last, label, heat, steps, *, softmax=True):
    """Area under the score while `first` becomes `last`, the pixels of the highest values first.

    Only for maps without equal values, and numbers of pixels that the steps divide.
    """
    height, width = heat.shape
    places = sorted(((heat[i, j].item(), i, j) for i in range(height) for j in range(width)), reverse=True)
    image, scores = first.clone(), [probability(model, first, label, softmax=softmax)]
    for step in range(steps):
        for _, i, j in places[step * len(places) // steps : (step + 1) * len(places) // steps]:
            image[:, i, j] = last[:, i, j]
        scores.append(probability(model, image, label, softmax=softmax))
    return sum((a + b) / 2 for a, b in itertools.pairwise(scores)) / steps


def ranks(values):
    """Rank from 1; equal values share the mean of their ranks."""
    return [sum(w < v for w in values) + (sum(w == v for w in values) + 1) / 2 for v in values]


def spearman(a, b):
    """Correlation of the ranks of two lists."""
    a, b = ranks(a), ranks(b)
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    top = sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True))
    return top / math.sqrt(sum((x - mean_a) ** 2 for x in a) * sum((y - mean_b) ** 2 for y in b))


def mu_fidelity(model, x, label, heat, masks):
    """Correlation, over sets of pixels, of the map's sum with what the score loses; baseline zero."""
    sums, losses = [], []
    for mask in masks:
        changed, total = x.clone(), 0.0
        for i in range(mask.shape[0]):
            for j in range(mask.shape[1]):
                if mask[i, j] == 0:
                    changed[:, i, j] = 0
                    total += heat[i, j].item()
        sums.append(total)
        before = probability(model, x, label, softmax=False)
        losses.append(before - probability(model, changed, label, softmax=False))
    return spearman(sums, losses)


def grid_share(heat, cell):
    """Share of the positive attribution that lies in cell 0 to 3 of a mosaic."""
    height, width = heat.shape
    inside = total = 0.0
    for i in range(height):
        for j in range(width):
            value = max(heat[i, j].item(), 0.0)
            total += value
            if 2 * i // height == cell // 2 and 2 * j // width == cell % 2:
                inside += value
    return inside / total


def largest_change(attribute, model, x, label, noise):
    """The largest ||Phi(x + d) - Phi(x)|| / ||Phi(x)|| over the draws of d."""
    heat = attribute(x[None], torch.tensor([label]), model)[0]
    changes = [attribute((x + d)[None], torch.tensor([label]), model)[0] - heat for d in noise]
    return max(math.sqrt((c**2).sum().item()) for c in changes) / math.sqrt((heat**2).sum().item())


def histogram_entropy(heat, bins=100):
    """Entropy, in nats, of the values' histogram over their range."""
    values = heat.flatten().tolist()
    low, high = min(values), max(values)
    counts = [0] * bins
    for value in values:
        counts[min(int((value - low) / (high - low) * bins), bins - 1)] += 1
    return -sum(c / len(values) * math.log(c / len(values)) for c in counts if c)
