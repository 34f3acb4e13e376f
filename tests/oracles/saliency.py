"""Saliency from its definition: the derivative of the class score by central differences, pixel by pixel."""

import numpy as np
import torch


def input_gradient(score, x, step=1e-6):
    """d score / d x for one image x, float64 (C, H, W), by central differences."""
    gradient = np.zeros(tuple(x.shape))
    for index in np.ndindex(*x.shape):
        up, down = x.clone(), x.clone()
        up[index] += step
        down[index] -= step
        gradient[index] = (score(up) - score(down)) / (2 * step)
    return gradient


@torch.no_grad()
def saliency_map(model, x, label):
    """M(i, j) = max_c |dS_label / dx(c, i, j)| for one image (C, H, W), as ndarray (H, W)."""
    gradient = input_gradient(lambda z: model(z[None])[0, label].item(), x)
    channels, height, width = gradient.shape
    result = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            result[i, j] = max(abs(gradient[c, i, j]) for c in range(channels))
    return result
