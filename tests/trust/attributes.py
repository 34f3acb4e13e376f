"""Maps for the tests of the measures, as functions (X, y, model) -> (N, H, W)."""

import torch


def gradient_times_input(X, y, model):
    """sum_c x dS_y/dx: on a linear network exactly what each pixel contributes."""
    x = X.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(model(x).gather(1, y.view(-1, 1)).sum(), x)
    return (gradient * X).sum(1).detach()


def saliency(X, y, model):
    """max_c |dS_y/dx|."""
    x = X.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(model(x).gather(1, y.view(-1, 1)).sum(), x)
    return gradient.abs().amax(1)


def constant(X, y, model):
    """The same everywhere."""
    return torch.full((len(X), *X.shape[2:]), 0.3, dtype=X.dtype)
