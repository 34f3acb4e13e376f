"""Saliency, guided backprop, Grad-CAM and guided Grad-CAM beside Captum, pytorch-grad-cam and torch-cam.

All see the same 20 photographs, float32, frozen parameters. The limit is the network itself in its best memory
order: a bare forward pass for Grad-CAM, a forward pass and the gradient by the pixels for the others. Grad-CAM
needs the gradient above its layer as well; forward pass and that are timed too. "Channels last" is the caller's
choice: images and a copy of the network in that memory order, and under torch.autocast where bfloat16 is named.
"""

import copy
import importlib

import numpy as np
import torch
from captum.attr import GuidedBackprop, GuidedGradCam, LayerGradCam, Saliency
from torch.nn import functional as F

from benchmarks.measure import Row, alternate
from benchmarks.peers import installed
from data import load_network
from data.samples import load_sample_photographs
from image_utils.pixels import to_input
from visualizers import GradCam, SaliencyMap

LAYER = "features.12"


def measure_rows(*, rounds=7, device="cpu", num=20):
    """Measure the four techniques.

    Args:
        rounds: counted rounds of each contestant.
        device: torch.device or name.
        num: photographs, at most 20.

    Yields:
        benchmarks.measure.Row.
    """
    X, y, _ = load_sample_photographs()
    x, y = to_input(X[:num]).to(device), torch.as_tensor(y[:num], device=device)
    model = load_network().to(device)
    for name, contestants in _techniques(model, x, y).items():
        results = {label: function() for label, function in contestants.items()}
        notes = {label: _agreement(name, label, result, results) for label, result in results.items()}
        times = alternate(contestants, rounds=rounds, device=device)
        yield Row(f"{name}, {num} photographs, {torch.device(device).type}", times, notes)


def _techniques(model, x, y):
    fast = {"memory_format": torch.channels_last}
    limit_model = copy.deepcopy(model).to(**fast)
    gc, saliency = GradCam(), SaliencyMap()
    layer = model.get_submodule(LAYER)
    size = x.shape[2:]

    @torch.no_grad()
    def forward():
        return limit_model(x.to(**fast))

    def forward_and_gradient():
        leaf = x.to(**fast).requires_grad_()
        return torch.autograd.grad(limit_model(leaf).gather(1, y[:, None]).sum(), leaf)[0]

    def forward_and_gradient_above():
        with torch.no_grad():
            maps = limit_model.features(x.to(**fast))
        maps.requires_grad_()
        scores = limit_model.classifier(maps).flatten(1)
        return torch.autograd.grad(scores.gather(1, y[:, None]).sum(), maps)[0]

    def variants(function):
        def shorter():
            with torch.autocast(x.device.type, torch.bfloat16):
                return function(x.to(**fast), limit_model)

        yield "ours", lambda: function(x, model)
        yield "ours, channels last", lambda: function(x.to(**fast), limit_model)
        yield "ours, channels last, bfloat16", shorter

    rows = {
        "saliency": {
            **dict(variants(lambda x, model: saliency.compute_saliency_maps(x, y, model))),
            "Captum": lambda: Saliency(model).attribute(x.clone().requires_grad_(), target=y).amax(1),
            "limit": forward_and_gradient,
        },
        "guided backprop": {
            **dict(variants(lambda x, model: gc.guided_backprop(x, y, model))),
            "Captum": lambda: _image_last(GuidedBackprop(model).attribute(x.clone().requires_grad_(), target=y)),
            "limit": forward_and_gradient,
        },
        "Grad-CAM": {
            **dict(variants(lambda x, model: gc.grad_cam(x, y, model, normalize=None))),
            "Captum": lambda: _upsampled(
                LayerGradCam(model, layer).attribute(x, target=y, relu_attributions=True), size
            ),
            "forward and gradient above the layer": forward_and_gradient_above,
            "limit": forward,
        },
        "guided Grad-CAM": {
            **dict(variants(lambda x, model: gc.guided_grad_cam(x, y, model, normalize=None))),
            "Captum": lambda: _image_last(
                GuidedGradCam(model, layer).attribute(x.clone().requires_grad_(), target=y)
            ),
            "limit": forward_and_gradient,
        },
    }
    if installed("pytorch_grad_cam"):
        _add_grad_cam_package(rows, model, x, y)
    if installed("torchcam"):
        _add_torchcam(rows, model, x, y)
    return {name: {**_limit_last(contestants)} for name, contestants in rows.items()}


def _limit_last(contestants):
    limit = contestants.pop("limit")
    return {**contestants, "limit: the bare network": limit}


def _add_grad_cam_package(rows, model, x, y):
    package = importlib.import_module("pytorch_grad_cam")
    targets_module = importlib.import_module("pytorch_grad_cam.utils.model_targets")
    peer = copy.deepcopy(model)
    targets = [targets_module.ClassifierOutputTarget(int(label)) for label in y]

    def grad_cam():
        with package.GradCAM(model=peer, target_layers=[peer.get_submodule(LAYER)]) as cam:
            return cam(input_tensor=x.clone().requires_grad_(), targets=targets)

    def guided():
        method = package.GuidedBackpropReLUModel(model=peer, device=x.device)  # takes one image at a time
        return np.stack([method(x[i : i + 1].clone(), int(y[i])) for i in range(len(x))])

    rows["Grad-CAM"]["pytorch-grad-cam"] = grad_cam
    rows["guided backprop"]["pytorch-grad-cam"] = guided


def _add_torchcam(rows, model, x, y):
    methods = importlib.import_module("torchcam.methods")
    peer, labels = copy.deepcopy(model), y.tolist()

    def grad_cam():
        with methods.GradCAM(peer, LAYER) as extractor:
            scores = peer(x.clone().requires_grad_())
            (maps,) = extractor(class_idx=labels, scores=scores)
        return _upsampled(maps[:, None], x.shape[2:])

    rows["Grad-CAM"]["torch-cam"] = grad_cam


def _upsampled(maps, size):
    return F.interpolate(maps.detach(), size, mode="bicubic", align_corners=False)[:, 0].cpu().numpy()


def _image_last(attribution):
    return attribution.detach().permute(0, 2, 3, 1).cpu().numpy()


def _agreement(name, label, result, results):
    """Say how a contestant's maps compare with the first's."""
    if label == next(iter(results)) or label.startswith(("limit", "forward")):
        return ""
    ours, theirs = (torch.as_tensor(np.asarray(_host(r))).double().flatten(1) for r in (results["ours"], result))
    ours, theirs = (v / v.abs().amax(1, keepdim=True).clamp(min=1e-30) for v in (ours, theirs))
    error = ((ours - theirs).norm(dim=1) / ours.norm(dim=1)).sort().values
    correlation = np.median([np.corrcoef(a, b)[0, 1] for a, b in zip(ours.numpy(), theirs.numpy(), strict=True)])
    return (
        f"relative difference median {error[len(error) // 2]:.1g}, {int((error < 1e-5).sum())} of {len(error)} "
        f"below 1e-5; correlation {correlation:.4f}"
    )


def _host(result):
    return result.cpu() if isinstance(result, torch.Tensor) else result
