"""Guided backpropagation and Grad-CAM as students write them: a right solution, and one for each classic mistake.

`Student` is right, so that what makes a mutant fail is its mistake and nothing else.
"""

import contextlib

import numpy as np
import torch
from PIL import Image

from visualizers import CustomReLU


@contextlib.contextmanager
def prepared(model):
    """Evaluation mode and CustomReLU in every ReLU-holding child; both undone."""
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, flag in training:
            module.training = flag


@contextlib.contextmanager
def custom_relus(model, rule):
    places = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent._modules.items()
        if isinstance(child, torch.nn.ReLU)
    ]
    for _, _, child in places:
        child.forward = rule
    try:
        yield
    finally:
        for _, _, child in places:
            vars(child).pop("forward", None)


class Student:
    rule = staticmethod(CustomReLU.apply)
    prepare = staticmethod(prepared)
    replace = staticmethod(custom_relus)

    def guided_backprop(self, X, y, model):
        with self.prepare(model), self.replace(model, self.rule):
            x = X.detach().clone().requires_grad_()
            (gradient,) = torch.autograd.grad(self.score(model(x), y), x)
        return gradient.permute(0, 2, 3, 1).numpy()

    def grad_cam(self, X, y, model):
        seen = []

        def keep(module, args, output):
            seen.append(output)
            return self.hand_on(output)

        handle = model.features[12].register_forward_hook(keep)
        try:
            with self.prepare(model):
                score = self.score(model(X.detach().clone().requires_grad_()), y)
                (gradient,) = torch.autograd.grad(score, seen[0])
        finally:
            self.clean_up(handle)
        cams = self.combine(seen[0].detach(), gradient).float().numpy()
        cams = np.stack([np.array(Image.fromarray(cam).resize(self.size(X), Image.BICUBIC)) for cam in cams])
        return self.scale(cams)

    def score(self, scores, y):
        return scores.gather(1, y[:, None]).sum()

    def hand_on(self, output):
        return output.clone()

    def combine(self, A, dA):
        return (dA.mean((2, 3), keepdim=True) * A).sum(1).clamp(min=0)

    def size(self, X):
        return X.shape[3], X.shape[2]

    def scale(self, cams):
        cams = cams - cams.min()
        return cams / cams.max() if cams.max() > 0 else cams

    def clean_up(self, handle):
        handle.remove()


class NoReLUOnTheMap(Student):
    def combine(self, A, dA):
        return (dA.mean((2, 3), keepdim=True) * A).sum(1)


class MeanOverChannels(Student):
    def combine(self, A, dA):
        return (dA.mean(1, keepdim=True) * A).sum(1).clamp(min=0)


class MeanOverTheBatch(Student):
    def combine(self, A, dA):
        return (dA.mean((0, 2, 3), keepdim=True) * A).sum(1).clamp(min=0)


class MapsNotWeighted(Student):
    def combine(self, A, dA):
        return (dA * A).sum(1).clamp(min=0)


class MapsOverwrittenInPlace(Student):
    def hand_on(self, output):
        return output


class WidthAndHeightSwapped(Student):
    def size(self, X):
        return X.shape[2], X.shape[3]


class DividesByZero(Student):
    def scale(self, cams):
        cams = cams - cams.min()
        return cams / cams.max()


class LeavesHooks(Student):
    def clean_up(self, handle):
        pass


class DropoutActive(Student):
    prepare = staticmethod(lambda model: contextlib.nullcontext())


class StaysInEvaluationMode(Student):
    @staticmethod
    def prepare(model):
        model.eval()
        return contextlib.nullcontext()


class OfTheTopClass(Student):
    def score(self, scores, y):
        return scores.amax(1).sum()


class AccumulatesInX(Student):
    def guided_backprop(self, X, y, model):
        with self.prepare(model), self.replace(model, self.rule):
            self.score(model(X), y).backward()
        return X.grad.permute(0, 2, 3, 1).numpy().copy()


class AccumulatesInParameters(Student):
    def guided_backprop(self, X, y, model):
        with self.prepare(model), self.replace(model, self.rule):
            x = X.detach().clone().requires_grad_()
            self.score(model(x), y).backward()
        return x.grad.permute(0, 2, 3, 1).numpy()


class LeavesCustomReLUs(Student):
    @staticmethod
    def replace(model, rule):
        custom_relus(model, rule).__enter__()
        for module in model.modules():
            if isinstance(module, torch.nn.ReLU):
                module.forward = rule
        return contextlib.nullcontext()


class PlainGradient(Student):
    rule = staticmethod(torch.relu)


class Deconvnet(Student):
    """Lets positive signals pass whatever the input was."""

    class Rule(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clamp(min=0)

        @staticmethod
        def backward(ctx, dout):
            return dout.clamp(min=0)

    rule = staticmethod(Rule.apply)


class FirstReLUOnly(Student):
    @staticmethod
    def replace(model, rule):
        return custom_relus(model.features[:3], rule)
