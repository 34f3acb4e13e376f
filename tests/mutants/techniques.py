"""Classic wrong visualizers. Full points: saliency 8, saliency_captum 3, guided 10, gradcam 9."""

from tests.mutants import Mutant

SALIENCY = ("visualizers/saliency_map.py", "SaliencyMap.compute_saliency_maps")
RELU = ("visualizers/gradcam.py", "CustomReLU.backward")
CAM = ("visualizers/gradcam.py", "GradCam.grad_cam")
CAPTUM = ("saliency_map.py", "captum_saliency")

GRADIENT = """
scores = model(X_var)
(gradient,) = torch.autograd.grad({score}, X_var)
saliency = {result}
"""
OF_Y = "scores.gather(1, y.view(-1, 1)).sum()"
MAXIMUM = "gradient.abs().amax(dim=1)"


def saliency(name, says, score=OF_Y, result=MAXIMUM, points=0):
    body = GRADIENT.format(score=score, result=result)
    return Mutant(f"saliency_{name}", {SALIENCY: body}, {"saliency": points}, says)


def relu(name, says, mask, guided):
    body = f"x, output = ctx.saved_tensors\nreturn {mask}"
    return Mutant(f"relu_{name}", {RELU: body}, {"guided": guided}, says)


CAM_HEAD = """
scores = gc_model(X_tensor)
scores.gather(1, y_tensor.view(-1, 1)).sum().backward()
A, dA = self.activation_value.detach(), self.gradient_value
"""


def cam(name, says, body, product=False):
    """A wrong Grad-CAM; the point for its product with guided backprop, which is right, is counted once."""
    without = () if product else ("script",)
    return Mutant(f"gradcam_{name}", {CAM: CAM_HEAD + body}, {"gradcam": int(product)}, says, without=without)


SALIENCY_OF = "compute_attributions(Saliency(model), X_tensor, target={})"
ALPHA = "alpha = dA.mean(dim=(2, 3), keepdim=True)\n"
TECHNIQUES = [
    saliency("of_the_top_class", "network's own best class", score="scores.amax(1).sum()"),
    saliency("of_all_classes", "sum of all scores", score="scores.sum()"),
    saliency("of_the_loss", "the loss was explained", score=OF_Y.replace("scores", "scores.log_softmax(1)")),
    saliency("mean_over_channels", "mean over channels", result="gradient.abs().mean(dim=1)"),
    saliency("sum_over_channels", "sum over channels", result="gradient.abs().sum(dim=1)"),
    saliency("without_magnitude", "magnitude is missing", result="gradient.amax(dim=1)"),
    saliency("all_channels", "take their maximum", result="gradient.abs()"),
    saliency(
        "mean_of_the_scores",
        "mean of the scores",
        score="scores.gather(1, y.view(-1, 1)).mean()",
        points=2,  # right for one image
    ),
    relu("plain", "signals must be positive too", "dout * (output > 0)", 0),
    relu("deconvnet", "inputs must be positive too", "dout.clamp(min=0)", 0),
    relu("passes_everything", "everything passes", "dout", 0),
    relu("magnitude", "negative signals are stopped", "dout.abs() * (output > 0)", 0),
    relu("sign", "not 1", "((dout > 0) & (output > 0)).to(dout.dtype)", 0),
    cam("without_relu", "ReLU is missing", ALPHA + "cam = (alpha * A).sum(dim=1)", product=True),
    cam("relu_too_early", "after the sum", ALPHA + "cam = (alpha * A).clamp(min=0).sum(dim=1)"),
    cam("magnitude", "a ReLU is", ALPHA + "cam = (alpha * A).sum(dim=1).abs()"),
    cam(
        "mean_over_channels",
        "not over the channels",
        "alpha = dA.mean(dim=1, keepdim=True)\ncam = (alpha * A).sum(dim=1).clamp(min=0)",
    ),
    cam("not_averaged", "must be averaged", "cam = (dA * A).sum(dim=1).clamp(min=0)"),
    cam("unweighted", "not weighted", "cam = A.sum(dim=1).clamp(min=0)"),
    Mutant(
        "captum_of_another_class",
        {CAPTUM: SALIENCY_OF.format("y_tensor * 0")},
        {"saliency_captum": 0, "saliency": 8},
        "another target",
    ),
    Mutant(
        "captum_without_a_figure",
        {CAPTUM: SALIENCY_OF.format("y_tensor")},
        {"saliency_captum": 1.5, "saliency": 8},
        "no figure was written",
    ),
    Mutant("captum_not_used", {CAPTUM: "return None"}, {"saliency_captum": 0, "saliency": 8}, "was not used"),
]
