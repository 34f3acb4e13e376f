"""Class visualization by what the field has learnt since: pictures whose class survives turning and scaling.

Olah, Mordvintsev, Schubert: "Feature Visualization", Distill 2017 (distill.pub/2017/feature-visualization), and
the notebooks beside it. Three ideas, all without a learnt model of images:

1. Preconditioning ("Preconditioning and Parameterization"). The picture is made from its spectrum,

       picture = sigmoid(c C irfft2(z / f^a)),

   with f the spatial frequency and C the square root of the covariance of a photograph's colours. A step of Adam
   on z then changes low frequencies, and light and dark, as much more as photographs have more of them.
2. Transformation robustness ("The Enemy of Feature Visualization"): each step sees the picture shifted, turned
   and scaled at random, here also with noise, and with random channels dropped where the network has dropout
   layers. What works only at one place, in one size or through one channel does not add up.
3. The objective. The class score alone also grows with everything related classes share. Climbed here are the log
   odds of the class,

       log p_y / (1 - p_y) = s_y - log sum_{j != y} exp s_j,

   which never saturate as log p_y does; gradients ignore a ReLU that the scores end in (see `ascent`).
"""

import contextlib
import math

import torch
import torch.nn.functional as F
from torch import nn

from image_utils.errors import at_least
from image_utils.pixels import to_normalised
from networks.ascent import Start, report
from networks.no_trace import untouched
from networks.precision import memory_layout
from networks.scores import class_scores, first_scores, pass_last_relu

# C: eigenvectors of the colour covariance of the 20 sample photographs (RGB, 0 to 1), each times the root of its
# eigenvalue, all divided by the largest column's length. Columns: light and dark, blue against yellow, green.
COLOUR = (
    (-0.5542, 0.1769, 0.1074),
    (-0.5820, 0.0442, -0.1608),
    (-0.5951, -0.2080, 0.0572),
)
FALL = 1.0  # a: as in photographs; steeper spectra look smoother, but thin things such as oboes get lost
CONTRAST = 3.0  # c: how far from grey a spectrum of mean square 1 leads, before the sigmoid
FIRST_SPECTRUM = 0.01  # standard deviation of z at the start: nearly grey


def log_odds(scores, targets):
    """Compute log p_y / (1 - p_y) for class scores (N, C) and targets (N,): Tensor (N,)."""
    others = scores.scatter(1, targets.view(-1, 1), -torch.inf)
    return class_scores(scores, targets) - others.logsumexp(dim=1)


def inverse_frequency(height, width, *, device=None, dtype=torch.float32):
    """Compute 1 / f^a for each coefficient of `rfft2`, f limited from below to one period a picture.

    Returns:
        Tensor (height, width // 2 + 1), mean square 1.
    """
    fy = torch.fft.fftfreq(height, device=device, dtype=dtype).view(-1, 1)
    fx = torch.fft.rfftfreq(width, device=device, dtype=dtype).view(1, -1)
    scale = (fx.square() + fy.square()).sqrt().clamp(min=1 / max(height, width)).pow(-FALL)
    return scale / scale.square().mean().sqrt()


def picture_from_spectrum(z, scale, width):
    """Compute the picture: sigmoid(c C irfft2(z / f^a)).

    Args:
        z: Tensor (N, 3, H, W // 2 + 1, 2), real and imaginary parts; the channels are C's columns.
        scale: Tensor (H, W // 2 + 1), 1 / f^a.
        width: W.

    Returns:
        Tensor (N, 3, H, W) on the [0, 1] scale.

    Source:
        Olah et al. 2017, section "Preconditioning and Parameterization".
    """
    waves = torch.fft.irfft2(torch.view_as_complex(z) * scale, s=(z.shape[2], width), norm="ortho")
    colours = torch.as_tensor(COLOUR, dtype=z.dtype, device=z.device)
    mixed = [sum(colours[i, k] * waves[:, k] for k in range(3)) for i in range(3)]
    return torch.sigmoid(CONTRAST * torch.stack(mixed, dim=1))


def view(images, *, angle, scale, shift):
    """Look at images turned, scaled and shifted about their centre; what lies beyond the edge is mirrored.

    Args:
        images: Tensor (N, C, H, W).
        angle: degrees.
        scale: 2 shows everything twice as large.
        shift: (x, y), in half widths and half heights.

    Returns:
        Tensor like images, bilinear.
    """
    height, width = images.shape[2:]
    cos, sin = (function(math.radians(angle)) / scale for function in (math.cos, math.sin))
    # grid_sample measures both sides from -1 to 1, so turning a picture that is not square needs its aspect.
    theta = [[cos, -sin * height / width, shift[0]], [sin * width / height, cos, shift[1]]]
    theta = torch.tensor(theta, device=images.device, dtype=images.dtype).expand(len(images), 2, 3)
    grid = F.affine_grid(theta, images.shape, align_corners=False)
    return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)


@contextlib.contextmanager
def channels_dropped(model, start):
    """Inside, every dropout layer drops whole channels at its own rate, the same ones for all images.

    Args:
        model: nn.Module in evaluation mode; hooked inside the block only.
        start: ascent.Start, whose random numbers are used.
    """

    def drop(module, args, output):
        if not isinstance(output, torch.Tensor) or output.ndim < 2 or not 0 < module.p < 1:
            return None
        kept = torch.rand(output.shape[1], generator=start.generator) >= module.p
        factor = (kept / (1 - module.p)).to(device=output.device, dtype=output.dtype)
        return output * factor.view(1, -1, *[1] * (output.ndim - 2))

    handles = [m.register_forward_hook(drop) for m in model.modules() if isinstance(m, nn.Dropout)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def ascend_spectrum(
    model: nn.Module,
    target_y: int,
    start: Start,
    *,
    num_iterations: int = 150,
    learning_rate: float = 0.03,
    max_angle: float = 15,
    max_scale: float = 1.4,
    max_shift: float = 0.1,
    noise: float = 0.1,
    callback=None,
) -> torch.Tensor:
    """Climb the log odds of a class in the spectrum of its picture.

    Args:
        model: classification network; left as it was.
        target_y: class index.
        start: ascent.Start: the picture's size and kind of numbers, and the random numbers.
        num_iterations: steps of Adam. The learning rate is constant in the first half and falls linearly in the
            second, which averages over the last views.
        learning_rate: of Adam, in units of z.
        max_angle: largest random rotation, degrees, either way.
        max_scale: largest random magnification; also the largest reduction.
        max_shift: largest random shift, in half widths and half heights, either way.
        noise: standard deviation of the noise on each view, in normalised pixels.
        callback: function of an `ascent.Step`, called after each step.

    Returns:
        Tensor (1, 3, H, W), normalised; as pixels it lies in [0, 1].

    Raises:
        InputError: an argument is out of range, or the network does not fit.
    """
    at_least(1, num_iterations=num_iterations, max_scale=max_scale)
    at_least(0, learning_rate=learning_rate, max_angle=max_angle, max_shift=max_shift, noise=noise)
    height, width = start.height, start.width
    single = torch.promote_types(start.like["dtype"], torch.float32)  # Fourier transforms take no shorter numbers
    with untouched(model, torch.zeros(1, 3, height, width, **start.like)) as grey:
        class_scores(first_scores(model, grey), [target_y])  # before any work: does the network fit?
        layout = memory_layout(model, grey.detach())
    with untouched(model), channels_dropped(model, start):
        target = torch.tensor([target_y], device=start.like["device"])
        scale = inverse_frequency(height, width, device=start.like["device"], dtype=single)
        z = (FIRST_SPECTRUM * start.noise(3, height, width // 2 + 1, 2).to(single)).requires_grad_()
        adam = torch.optim.Adam([z], lr=learning_rate)
        image = to_normalised(picture_from_spectrum(z, scale, width))
        for t in range(num_iterations):
            seen = view(
                image,
                angle=start.uniform(-max_angle, max_angle),
                scale=max_scale ** start.uniform(-1, 1),
                shift=(start.uniform(-max_shift, max_shift), start.uniform(-max_shift, max_shift)),
            )
            seen = (seen + noise * start.noise(3, height, width)).to(**start.like)
            scores = model(seen.contiguous(memory_format=layout)).to(single)
            pass_last_relu(scores)
            adam.zero_grad()
            (-log_odds(scores, target)).sum().backward()
            adam.param_groups[0]["lr"] = learning_rate * min(1.0, 2 * (1 - t / num_iterations))
            adam.step()
            image = to_normalised(picture_from_spectrum(z, scale, width))
            report(callback, t + 1, num_iterations, image, scores, target_y)
    return image.detach().to(**start.like)
