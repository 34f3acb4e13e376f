"""Guided backpropagation and Grad-CAM from their definitions: explicit loops in float64, no autograd.

Guided backpropagation is done for networks like tests.small_networks.TinyNet: convolution, ReLU, strided conv.,
ReLU, mean over space, linear layer. Grad-CAM takes the part of any network above the layer as a function and
differentiates it by central differences.
"""

import numpy as np
import torch


def _numbers(tensor):
    return tensor.detach().double().numpy()


def convolve(x, kernel, bias, stride):
    """Convolve (C, H, W) with (K, C, a, b), no padding: out(k, i, j) = bias(k) + sum x * kernel(k)."""
    K, _, a, b = kernel.shape
    height, width = (x.shape[1] - a) // stride + 1, (x.shape[2] - b) // stride + 1
    out = np.zeros((K, height, width))
    for k, i, j in np.ndindex(*out.shape):
        window = x[:, i * stride : i * stride + a, j * stride : j * stride + b]
        out[k, i, j] = bias[k] + (window * kernel[k]).sum()
    return out


def convolve_backwards(signal, kernel, stride, shape):
    """Hand every output's signal back to the inputs in its window, each times its weight in the kernel."""
    result = np.zeros(shape)
    _, _, a, b = kernel.shape
    for k, i, j in np.ndindex(*signal.shape):
        result[:, i * stride : i * stride + a, j * stride : j * stride + b] += signal[k, i, j] * kernel[k]
    return result


def guided_relu(signal, before, ceiling=np.inf):
    """Springenberg et al. 2015, section 3.4: R' = (f > 0) (R > 0) R; a ReLU6 is flat above its ceiling."""
    result = np.zeros_like(signal)
    for place in np.ndindex(*signal.shape):
        if 0 < before[place] < ceiling and signal[place] > 0:
            result[place] = signal[place]
    return result


def guided_backprop(x, label, first, second, head, ceiling=np.inf):
    """Guided gradient of score `label` for one image.

    Args:
        x: Tensor (3, H, W).
        label: class index.
        first, second: nn.Conv2d; head: nn.Linear.
        ceiling: where the rectifiers level off.

    Returns:
        ndarray (H, W, 3).
    """
    x = _numbers(x)
    w1, b1, w2, b2 = (_numbers(t) for t in (first.weight, first.bias, second.weight, second.bias))
    before1 = convolve(x, w1, b1, first.stride[0])
    after1 = np.clip(before1, 0, ceiling)
    before2 = convolve(after1, w2, b2, second.stride[0])
    places = before2.shape[1] * before2.shape[2]
    signal = np.zeros_like(before2) + _numbers(head.weight)[label][:, None, None] / places  # linear, then mean
    signal = guided_relu(signal, before2, ceiling)
    signal = convolve_backwards(signal, w2, second.stride[0], after1.shape)
    signal = guided_relu(signal, before1, ceiling)
    return convolve_backwards(signal, w1, first.stride[0], x.shape).transpose(1, 2, 0)


@torch.no_grad()
def grad_cam(maps, score, step=1e-6):
    """Class activation map of one image (Selvaraju et al. 2017, equations 1 and 2).

    Args:
        maps: Tensor (K, h, w), float64, the layer's output A.
        score: function maps -> number, what the network makes of them.

    Returns:
        ndarray (h, w).
    """
    K, height, width = maps.shape
    result = np.zeros((height, width))
    for k in range(K):
        alpha = 0.0
        for i in range(height):
            for j in range(width):
                up, down = maps.clone(), maps.clone()
                up[k, i, j] += step
                down[k, i, j] -= step
                alpha += (score(up) - score(down)) / (2 * step) / (height * width)
        for i in range(height):
            for j in range(width):
                result[i, j] += alpha * maps[k, i, j].item()
    return np.maximum(result, 0)
