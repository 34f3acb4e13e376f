"""Integrated Gradients, occlusion, SmoothGrad and RISE a second time, slowly, from their papers' definitions."""

import numpy as np
import torch

from tests.oracles.saliency import input_gradient


@torch.no_grad()
def score(model, x, label):
    """S_y of one image (C, H, W)."""
    return model(x[None])[0, label].item()


def integrated_gradients(model, x, label, baseline, steps=200):
    """(x - x') times the mean gradient on the straight path, by the midpoint rule and central differences."""
    total = np.zeros(tuple(x.shape))
    for k in range(steps):
        point = baseline + (k + 0.5) / steps * (x - baseline)
        total += input_gradient(lambda z: score(model, z, label), point)
    return (x - baseline).numpy() * total / steps


def occlusion(model, x, label, window, stride):
    """The mean, over the squares that cover a pixel, of what the score loses under a square of zeros."""
    _, height, width = x.shape
    loss, times = np.zeros((height, width)), np.zeros((height, width))
    top = 0
    while True:
        left = 0
        while True:
            covered = x.clone()
            covered[:, top : top + window, left : left + window] = 0
            place = (slice(top, top + window), slice(left, left + window))
            loss[place] += score(model, x, label) - score(model, covered, label)
            times[place] += 1
            if left + window >= width:
                break
            left += stride
        if top + window >= height:
            break
        top += stride
    return loss / times


def smoothgrad(model, x, label, sigma, noise):
    """The mean gradient, by central differences, over x + sigma * noise."""
    gradients = [input_gradient(lambda z: score(model, z, label), x + sigma * one) for one in noise]
    return sum(gradients) / len(gradients)


@torch.no_grad()
def rise(model, x, label, masks):
    """1 / (E[M] K) * sum_k p(x * M_k) M_k, place by place."""
    _, height, width = x.shape
    p = [model((x * mask)[None]).softmax(1)[0, label].item() for mask in masks]
    heat = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            heat[i, j] = sum(p[k] * masks[k, i, j].item() for k in range(len(masks)))
    return heat / (masks.mean().item() * len(masks))
