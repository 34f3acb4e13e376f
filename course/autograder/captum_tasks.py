"""The scripts' Captum functions, marked by what Captum returned to them and which figure they wrote."""

import functools

import torch
from torch.nn.functional import interpolate

from course.autograder import technique_references as refs
from course.autograder.judging import RIGHT, Verdict, close, compare
from course.autograder.tasks import Check, Task


def attribution_judge(base, method, figure, expected):
    """Make a judge of what Captum's `method` returned to a script's function."""

    def judge(inputs, answers):
        found = answers.get(method)
        if found is None:
            used = ", ".join(map(str, answers.get("methods", []))) or "none"
            return Verdict(0.0, f"Captum's {method} was not used (used: {used})")
        verdicts = [compare(found, e, {}) for e in expected(*base.tensors(inputs))]
        best = max(verdicts, key=lambda v: v.share)
        if best.share < 1:
            return Verdict(0.0, f"Captum's {method} was given another target, layer or option: {best.message}")
        written = figure in answers.get("written", [])
        return RIGHT if written else Verdict(0.5, f"the attributions are right, but {figure} was not written")

    return judge


def judge_conductance(base, inputs, answers):
    """Completeness: the conductances sum to what the score gains over the baseline's."""
    found = answers.get("LayerConductance")
    x, y = base.tensors(inputs)
    with torch.no_grad():
        gains = base.model(x) - base.model(torch.zeros_like(x))
        gain, top = (gains.gather(1, k[:, None])[:, 0] for k in (y, base.model(x).argmax(1)))
        shape = base.model.features[: refs.EARLY + 1](x).shape
    if found is None or found.shape != tuple(shape):
        return Verdict(0.0, f"Captum's LayerConductance of features[{refs.EARLY}] is wanted, {tuple(shape)}")
    total = torch.as_tensor(found).reshape(len(found), -1).sum(1)
    # 50 steps leave 2 % at the median, 5 % at most of 40 draws; what is nearer to the top class's gain is that.
    nearer_to_top = ((total - gain).abs() > (total - top).abs()).any()
    if not close(total, gain, 0.06) and (nearer_to_top or not close(total, gain, 0.2)):
        return Verdict(0.0, "the conductances do not sum to the gain in the class score: another target?")
    written = "layer_conductance_captum.png" in answers.get("written", [])
    return RIGHT if written else Verdict(0.5, "layer_conductance_captum.png was not written")


def tasks(judge):
    """List the tasks of the scripts' Captum functions, on the network of a `technique_tasks.Judge`."""

    def gradients(x, y):
        return [refs.input_gradient(judge.model, x, y).abs()]

    def guided(x, y):
        return [refs.input_gradient(refs.network_with_rule(judge.skeleton, "guided"), x, y)]

    def early_cam(x, y):
        A, dA = refs.layer_maps(judge.model, x, y, refs.EARLY)
        return [(dA.mean((2, 3), keepdim=True) * A).sum(1, keepdim=True).relu()]

    def activation(x, y):
        return [judge.model.features[: refs.EARLY + 1](x)]

    def product(x, y):
        A, dA = refs.layer_maps(judge.model, x, y, refs.LAYER)
        cam = (dA.mean((2, 3), keepdim=True) * A).sum(1, keepdim=True).relu()
        sizes = [{"mode": "bilinear", "align_corners": False}, {"mode": "nearest"}]
        return [guided(x, y)[0] * interpolate(cam, size=x.shape[2:], **options) for options in sizes]

    late, early = [f"features.{refs.LAYER}"], [f"features.{refs.EARLY}"]
    methods = [
        ("GuidedBackprop", "captum_guided", late, "guided_backprop_captum.png", guided),
        ("GuidedGradCam", "captum_guided", late, "guided_gradcam_captum.png", product),
        ("LayerGradCam", "captum_layers", early, "layer_gradcam_captum.png", early_cam),
        ("LayerActivation", "captum_layers", early, "layer_activation_captum.png", activation),
    ]
    judges = [(m, f, a, attribution_judge(judge, m, figure, expected)) for m, f, a, figure, expected in methods]
    judges.append(("LayerConductance", "captum_layers", early, functools.partial(judge_conductance, judge)))
    first = _task(
        judge, "saliency_map", "captum_saliency", [], "saliency_captum", "Saliency", 3,
        attribution_judge(judge, "Saliency", "saliency_captum.png", gradients),
    )  # fmt: skip
    return [first] + [
        _task(judge, "gradcam", function, arguments, "gradcam_captum", method, 1, of)
        for method, function, arguments, of in judges
    ]


def _task(judge, script, function, arguments, part, method, points, of):
    def make(rng):
        return {**judge.pixels(rng), "script": script, "function": function, "arguments": arguments}

    return Task("captum_script", make, (Check(part, f"Captum's {method}", points, of),), label=method, wall=120.0)
