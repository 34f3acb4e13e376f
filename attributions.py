"""Every method of attribution by name, as the one function that comparisons take: (X, y, model) -> maps.

methods(["saliency", "gradcam", "deep_lift"], layer="features.12")        # dict from name to function

Ours come from `visualizers`, in the settings below; Captum's through one adapter. A map has one value a pixel,
higher where the pixel speaks for the class: contributions are summed over the channels, gradients, which say how
much but not in which direction, give their largest magnitude among the channels.
"""

import contextlib
import copy
import warnings
from collections.abc import Callable

import numpy as np
import torch

from captum_utils import compute_attributions, private_copy
from image_utils.errors import InputError
from networks.no_trace import untouched
from networks.seeding import seeded_globals
from visualizers import GradCam, SaliencyMap
from visualizers.cam_variants import hires_cam, layer_cam
from visualizers.integrated_gradients import integrated_gradients
from visualizers.occlusion import occlusion
from visualizers.rise import rise
from visualizers.smoothgrad import smoothgrad

Attribute = Callable[[torch.Tensor, torch.Tensor, torch.nn.Module], torch.Tensor | np.ndarray]

STEPS = 10  # of Integrated Gradients' path, and copies of SmoothGrad
WINDOW = 64  # side of occlusion's square in pixels; it moves by half of that
MASKS = 500  # of RISE
CAPTUM = {  # methods that take a network and images, with the arguments of their attribute()
    "input_x_gradient": ("InputXGradient", {}),
    "deep_lift": ("DeepLift", {}),
    "gradient_shap": ("GradientShap", {"n_samples": STEPS}),
    "lrp": ("LRP", {}),
}


class Product:
    """A method whose map is the magnitude of two others' product; whoever has these need not compute them again.

    Attributes:
        factors: these methods.
    """

    def __init__(self, *factors: Attribute):
        self.factors = factors

    def __call__(self, X, y, model) -> np.ndarray:
        """Compute the factors' maps, and from them this method's."""
        return self.combine(*(factor(X, y, model) for factor in self.factors))

    def combine(self, one: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Make this method's maps from those of the factors, all (N, H, W)."""
        return np.abs(one * other)


def _ours(layer):
    cam, where = GradCam(), {"layer": layer, "normalize": None}

    def guided_backprop(X, y, model):
        return np.abs(cam.guided_backprop(X, y, model, functional="guide")).max(-1)

    def gradcam(X, y, model):
        return cam.grad_cam(X, y, model, **where)

    return {
        "saliency": lambda X, y, model: SaliencyMap().compute_saliency_maps(X, y, model),
        "smoothgrad": lambda X, y, model: smoothgrad(X, y, model, samples=STEPS).abs().amax(1),
        "integrated_gradients": lambda X, y, model: integrated_gradients(X, y, model, steps=STEPS).sum(1),
        "guided_backprop": guided_backprop,
        "gradcam": gradcam,
        "hires_cam": lambda X, y, model: hires_cam(X, y, model, **where),
        "layer_cam": lambda X, y, model: layer_cam(X, y, model, **where),
        "guided_gradcam": Product(gradcam, guided_backprop),  # whose largest channel is that of the product
        "occlusion": lambda X, y, model: occlusion(X, y, model, window=WINDOW, stride=WINDOW // 2),
        "rise": lambda X, y, model: rise(X, y, model, count=MASKS),
    }


NAMES = (*_ours(None), *CAPTUM)


def methods(names, *, layer=None) -> dict[str, Attribute]:
    """Look methods up by name.

    Args:
        names: some of NAMES.
        layer: of the Grad-CAM family, dotted name; None for `networks.layers.default_layer`, looked for each time.

    Returns:
        dict from name to function (X, y, model) -> maps: float Tensor (N, C, H, W) normalised, int64 Tensor (N,)
        and network to Tensor or ndarray (N, H, W), in score units.

    Raises:
        InputError: no such method.
    """
    ours = _ours(layer)
    for name in names:
        if name not in NAMES:
            raise InputError(f"there is no method '{name}'; choose from {', '.join(NAMES)}")
    return {name: ours.get(name) or captum_attribute(name) for name in names}


def captum_attribute(name) -> Attribute:
    """Return one of Captum's methods as the function that comparisons take.

    The function raises InputError where Captum does not support the network.
    """
    from captum import attr  # here, since its import takes seconds that most uses need not spend

    kind, options = CAPTUM[name]

    def attribute(X, y, model):
        draws = kind == "GradientShap"
        more = {"baselines": torch.zeros_like(X)} if draws else {}
        seeded = seeded_globals() if draws else contextlib.nullcontext()  # threads take turns inside
        with untouched(model), seeded, warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Setting .* hooks")
            # LRP writes into the weights while it computes, so it gets weights of its own.
            method = getattr(attr, kind)(private_copy(copy.deepcopy(model) if kind == "LRP" else model))
            x = X.detach().clone().requires_grad_()
            try:
                return compute_attributions(method, x, target=y, **options, **more).detach().sum(1)
            except (RuntimeError, TypeError, AttributeError, AssertionError, ValueError) as problem:
                reason = str(problem).strip().split(". ")[0]
                raise InputError(f"Captum's {kind} does not work on this network: {reason}") from None

    return attribute
