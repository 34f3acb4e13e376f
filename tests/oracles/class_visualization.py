"""The course's recipe from its definition: NumPy, float64, one image, one partial derivative at a time."""

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from tests.oracles.saliency import input_gradient


def random_numbers(shape, steps, max_jitter, seed):
    """The numbers a seed stands for: noise (C, H, W), then two shifts a step."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(1, *shape, generator=generator)[0].double().numpy()
    shifts = [
        [int(torch.randint(0, max_jitter + 1, (), generator=generator)) for _ in range(2)] for _ in range(steps)
    ]
    return noise, shifts


def scipy_blur(X, sigma):
    """Images (N, C, H, W), as the course blurs them."""
    return gaussian_filter1d(gaussian_filter1d(X, sigma, axis=2), sigma, axis=3)


@torch.no_grad()
def ascend(model, target, noise, shifts, *, l2_reg, learning_rate, blur_every, mean, std):
    """All images of an ascent: list of (C, H, W), one a step."""
    image, images = noise, []
    for t, (ox, oy) in enumerate(shifts):
        image = np.roll(np.roll(image, oy, axis=1), ox, axis=2)

        def objective(x):
            return model(x[None])[0, target].item() - l2_reg * (x.numpy() ** 2).sum()

        g = input_gradient(objective, torch.from_numpy(image.copy()))
        image = image + learning_rate * g / np.sqrt((g**2).sum())
        image = np.roll(np.roll(image, -oy, axis=1), -ox, axis=2)
        for c in range(3):
            image[c] = np.clip(image[c], -mean[c] / std[c], (1 - mean[c]) / std[c])
        if t % blur_every == 0:
            image = scipy_blur(image[None], 0.5)[0]
        images.append(image)
    return images
