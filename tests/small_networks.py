"""Small networks for oracles, and networks that misbehave on purpose."""

import torch
from torch import nn


class TinyNet(nn.Module):
    """Two convolutions, in-place and repeated ReLU, pooling, dropout and a linear layer: (N, 3, H, W) -> (N, 7).

    ELU instead of ReLU (`smooth=True`) makes it differentiable everywhere, for finite differences.
    """

    def __init__(self, *, smooth=False):
        super().__init__()
        self.act = nn.ELU() if smooth else nn.ReLU(inplace=True)
        self.features = nn.Sequential(nn.Conv2d(3, 5, 3), self.act, nn.Conv2d(5, 6, 3, stride=2), self.act)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(6, 7)

    def forward(self, x):
        x = self.features(x)
        return self.head(self.drop(x.mean((2, 3))))


def tiny_net(seed=0, *, smooth=False, dtype=torch.float64):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyNet(smooth=smooth).to(dtype).eval()


def random_images(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


class FailingBackward(torch.autograd.Function):
    """Passes its input through and raises in the backward pass."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        raise RuntimeError("the backward pass fails on purpose")


class BreaksInBackward(nn.Module):
    """A network whose backward pass raises, in training mode and with trainable parameters."""

    def __init__(self):
        super().__init__()
        self.inner = tiny_net(dtype=torch.float32).train()

    def forward(self, x):
        return FailingBackward.apply(self.inner(x))


class LinearNet(nn.Module):
    """Class scores that are linear in the pixels: (N, C, H, W) -> (N, classes), so measures have closed forms."""

    def __init__(self, shape, classes=4, *, seed=0, dtype=torch.float64):
        super().__init__()
        weight = random_images(classes, *shape, seed=seed, dtype=dtype)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(torch.arange(classes, dtype=dtype))

    def forward(self, x):
        return torch.einsum("nchw,kchw->nk", x, self.weight) + self.bias
