"""Fooling images from their definitions: the course's recipe by finite differences, and exact smallest changes."""

import numpy as np
import torch

from tests.oracles.saliency import input_gradient


@torch.no_grad()
def course_recipe(model, x, target):
    """One image (C, H, W): at most 100 times, stop if fooled, else add 10 g / ||g||."""
    x = x.clone()
    for _ in range(100):
        scores = model(x[None])[0]
        if int(scores.argmax()) == target:
            break
        g = input_gradient(lambda z: model(z[None])[0, target].item(), x)
        x = x + torch.from_numpy(10 * g / np.sqrt((g**2).sum()))
    return x


def nearest_in_halfspaces(A, b, *, low=-np.inf, high=np.inf, rounds=20_000):
    """The real k of smallest L2 norm with A k >= b and low <= k <= high (Dykstra's alternating projections).

    Args:
        A: (rows, values), b: (rows,).
        low: number or (values,); high likewise.
    """
    k = np.zeros(A.shape[1])
    corrections = np.zeros((len(A) + 1, A.shape[1]))
    for _ in range(rounds):
        before = k.copy()
        for row in range(len(A)):
            z = k + corrections[row]
            k = z + max(0.0, b[row] - A[row] @ z) / (A[row] @ A[row]) * A[row]
            corrections[row] = z - k
        z = k + corrections[-1]
        k = np.clip(z, low, high)
        corrections[-1] = z - k
        if np.abs(k - before).max() < 1e-10:
            break
    return k


def smallest_integers(g, c):
    """Whole numbers k with g.k >= c and small ||k||: raise the value that gains most for its price, and so on.

    Raising |k_i| from j to j + 1 costs 2 j + 1 and gains |g_i|. Taken in this order the result is the exact
    optimum for the gain that it reaches, and at most one step more than needed.
    """
    k = np.zeros(len(g))
    while g @ k < c:
        best = np.argmax(np.abs(g) / (2 * np.abs(k) + 1))
        k[best] += np.sign(g[best])
    return k
