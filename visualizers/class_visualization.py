"""Class visualization: which picture does the network take for the best example of a class?

Simonyan, Vedaldi, Zisserman: "Deep Inside Convolutional Networks: Visualising Image Classification Models and
Saliency Maps", ICLR workshop 2014, section 2: with the score S_y(I) of class y for an image I, find

    I* = arg max_I  S_y(I) - lambda ||I||^2

by gradient ascent from noise. Yosinski, Clune, Nguyen, Fuchs, Lipson: "Understanding Neural Networks Through Deep
Visualization", ICML workshop 2015, section 3: implicit regularisers, such as a blur every few steps, keep the
picture free of high frequencies; a random shift at each step (jitter) is from Mordvintsev et al. 2015.

This is the course's recipe. What the field has learnt since is in `visualizers.feature_visualization`, reached by
`recipe="modern"` with the same call.

    import torch
    from data import load_network
    from data.samples import imagenet_class_names
    from visualizers import ClassVisualization

    model, names = load_network(), imagenet_class_names()
    gorilla = ClassVisualization().create_class_visualization(366, names, model, torch.FloatTensor, seed=0)
    spider, gorilla = ClassVisualization().create_class_visualizations([76, 366], model, recipe="modern", seed=0)
"""

import difflib
import inspect
from pathlib import Path

import numpy as np
import torch

from image_utils.errors import InputError
from image_utils.figures import image_grid
from image_utils.pixels import deprocess, to_normalised
from image_utils.writing import save_figure
from networks.ascent import Start, at_least, class_index, is_shown, pass_last_relu
from networks.no_trace import as_leaf, untouched
from networks.precision import arithmetic
from networks.scores import class_scores
from visualizers.feature_visualization import ascend_spectrum

BLUR = 0.5  # standard deviation of the recipe's blur, pixels
TRUNCATE = 4.0  # standard deviations at which the Gaussian ends, as in SciPy


class ClassVisualization:
    """Pictures that a classification network takes for the best examples of its classes; the course's class."""

    def jitter(self, X, ox, oy):
        """Shift images, rolling what leaves at one edge in at the other.

        Args:
            X: Tensor (N, C, H, W); not changed.
            ox: pixels to the right.
            oy: pixels down.

        Returns:
            Tensor like X.
        """
        return shifted(X, ox, oy)

    def blur_image(self, X, sigma=1):
        """Blur images with a Gaussian, on their own device.

        The same as `scipy.ndimage.gaussian_filter1d` over rows and columns (mode "reflect", truncate 4).

        Args:
            X: floating-point Tensor (N, C, H, W); not changed.
            sigma: standard deviation in pixels; 0 changes nothing.

        Returns:
            Tensor like X. (The course's function wrote it into X as well.)

        Raises:
            InputError: sigma is negative or not finite.
        """
        return blurred(X, sigma)

    def create_class_visualization(
        self,
        target_y,
        class_names,
        model,
        dtype,
        *,
        recipe="course",
        seed=None,
        show_every=25,
        generate_plots=True,
        out="visualization",
        **kwargs,
    ):
        """Create a picture that the network scores as high as possible for one class.

        Args:
            target_y: class index.
            class_names: dict or list from class index to name, for the titles of the plots.
            model: classification network (N, 3, H, W) -> (N, C); left as it was; it sets the device.
            dtype: torch.FloatTensor, torch.cuda.FloatTensor or torch.float32: the type of the model's numbers.
            recipe: "course" or "modern".
            seed: integer for a repeatable picture; None draws one.
            show_every: a plot is written after the first step, after every so many, and after the last.
            generate_plots: whether plots are written at all, to OUT/class_visualization_iter_{iteration}.png.
            out: folder of the plots.
            **kwargs: settings of the recipe: for "course" l2_reg, learning_rate, num_iterations, blur_every,
                max_jitter, precision, size and callback, see `ascend_pixels`; for "modern" see `ascend_spectrum`.

        Returns:
            PIL image, RGB. The course's recipe stretches it to the full range of pixels.

        Raises:
            InputError: an argument is out of range; nothing has been written then.
            TypeError: no such keyword.

        Source:
            Simonyan et al. 2014, section 2; Yosinski et al. 2015, section 3.
        """
        at_least(1, show_every=show_every)
        target_y = class_index(target_y)
        if generate_plots:
            name, others = _name(class_names, target_y), kwargs.pop("callback", None)

            def plot(step):
                if is_shown(step.iteration, step.num_iterations, show_every):
                    picture = to_picture(step.images[:1], recipe)
                    file = Path(out) / f"class_visualization_iter_{step.iteration}.png"
                    save_figure(frame(picture, name, step.iteration, step.num_iterations), file)
                if others is not None:
                    others(step)

            kwargs["callback"] = plot
        return self.create_class_visualizations([target_y], model, dtype, recipe=recipe, seed=seed, **kwargs)[0]

    def create_class_visualizations(
        self, targets, model, dtype=torch.float32, *, recipe="course", seed=None, **settings
    ):
        """Create pictures of several classes in one batch.

        All classes start from the same noise and share the random numbers of each step, so with a given seed a
        class's picture does not depend on its company: for SqueezeNet on a CPU it is the same to the bit. Where a
        library rounds batches of different sizes differently (on GPUs, in linear layers), steps agree to rounding,
        which many of them amplify.

        Args:
            targets: N class indices.
            model: classification network; left as it was.
            dtype: as above.
            recipe: "course" or "modern".
            seed: integer, or None for a fresh one.
            **settings: of the recipe, as above.

        Returns:
            List of N PIL images.

        Raises:
            InputError: an argument is out of range.
            TypeError: no such setting.
        """
        engine = _engine(recipe, settings)
        with untouched(model):
            images = engine(model, targets, seed=seed, dtype=dtype, **settings)
        return [to_picture(image[None], recipe) for image in images]


def gradient_step(model, X, targets, *, l2_reg, learning_rate, precision="float32"):
    """Make one step up the regularised score: X + learning_rate g / ||g||, g = d (s_y - l2_reg ||X||^2) / dX.

    Norms are taken for each image. Where the score's own gradient is zero because the class map lies below the
    network's last ReLU everywhere, the gradient of the map's average before that ReLU takes its place (see
    `pass_last_relu`); an image whose g is zero all the same stays as it is.

    Args:
        model: classification network in the state `untouched` gives it.
        X: Tensor (N, 3, H, W), normalised.
        targets: int64 Tensor (N,).
        l2_reg: lambda.
        learning_rate: length of the step, in the norm of normalised pixels.
        precision: of the network; see `networks.precision`.

    Returns:
        (Tensor like X, class scores (N, C) before the step).

    Source:
        Simonyan et al. 2014, section 2, equation 1.
    """
    # >>> Solution: the gradient of the score minus the penalty with respect to the pixels, and a step along it
    x = as_leaf(X)
    with arithmetic(precision, x) as images:
        scores = model(images).to(x.dtype)
    wanted = class_scores(scores, targets)
    pass_last_relu(scores, only_dead=True)
    (g,) = torch.autograd.grad((wanted - l2_reg * x.square().sum(dim=(1, 2, 3))).sum(), x)
    tiny = torch.finfo(g.dtype).tiny
    g = g / g.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=tiny)  # else the squares of a small g vanish
    norm = g.flatten(1).norm(dim=1).clamp(min=tiny).view(-1, 1, 1, 1)
    return X + learning_rate * g / norm, scores.detach()
    # <<< Solution


def ascend_pixels(
    model,
    targets,
    *,
    l2_reg=1e-3,
    learning_rate=25,
    num_iterations=100,
    blur_every=10,
    max_jitter=16,
    precision="float32",
    size=224,
    seed=None,
    dtype=torch.float32,
    callback=None,
):
    """Climb by the course's recipe: shift, step, shift back, clip to the range of pixels, blur now and then.

    Args:
        model: classification network in the state `untouched` gives it.
        targets: N class indices.
        l2_reg: weight of the penalty on the squared norm.
        learning_rate: length of a step.
        num_iterations: steps.
        blur_every: a slight blur follows the first step and every so many.
        max_jitter: largest random shift in pixels, each way.
        precision: of the network, "float32", or "fast" or "bf16"; see `networks.precision`.
        size: height and width in pixels, or (height, width).
        seed: integer, or None for a fresh one.
        dtype: torch.float32 or torch.FloatTensor.
        callback: function of an `ascent.Step`, called after each step.

    Returns:
        Tensor (N, 3, H, W), normalised.

    Raises:
        InputError: an argument is out of range.
    """
    at_least(1, num_iterations=num_iterations, blur_every=blur_every)
    at_least(0, l2_reg=l2_reg, learning_rate=learning_rate, max_jitter=max_jitter)
    start = Start(model, targets, size=size, seed=seed, dtype=dtype)
    images = start.noise(3, start.height, start.width)
    low, high = (to_normalised(torch.full((1, 3, 1, 1), level, **start.like)) for level in (0.0, 1.0))
    for t in range(num_iterations):
        ox, oy = start.integer(max_jitter), start.integer(max_jitter)
        images = shifted(images, ox, oy)
        images, scores = gradient_step(
            model, images, start.targets, l2_reg=l2_reg, learning_rate=learning_rate, precision=precision
        )
        images = shifted(images, -ox, -oy).clamp(low, high)
        if t % blur_every == 0:
            images = blurred(images, BLUR)
        start.report(callback, t + 1, num_iterations, images, scores)
    return images[: start.wanted]


RECIPES = {"course": ascend_pixels, "modern": ascend_spectrum}


def shifted(X, ox, oy):
    """Roll images by ox pixels to the right and oy down."""
    return X.roll((ox, oy), dims=(3, 2))


def blurred(X, sigma):
    """Blur images with a Gaussian along rows and columns; see `ClassVisualization.blur_image`."""
    at_least(0, sigma=sigma)
    weights = gaussian_weights(sigma)
    for dim in (2, 3):
        X = _filter(X, weights, dim)
    return X


def gaussian_weights(sigma):
    """Compute a normalised Gaussian at whole pixels up to TRUNCATE standard deviations: list, odd length."""
    radius = int(TRUNCATE * sigma + 0.5)
    if radius == 0:
        return [1.0]
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    return (weights / weights.sum()).tolist()


def _filter(X, weights, dim):
    """Correlate along one dimension; beyond the edges the image goes on as its mirror image, edges included."""
    length, radius = X.shape[dim], len(weights) // 2
    places = torch.arange(-radius, length + radius, device=X.device) % (2 * length)
    padded = X.index_select(dim, torch.minimum(places, 2 * length - 1 - places))
    return sum(weight * padded.narrow(dim, k, length) for k, weight in enumerate(weights))


def to_picture(image, recipe="course"):
    """Turn what a recipe made, Tensor (1, 3, H, W), into the PIL image the class returns."""
    return deprocess(image, should_rescale=recipe == "course")


def frame(picture, name, iteration, num_iterations):
    """Draw the course's plot of one iteration: the picture, its class, how far it is. Returns a Figure."""
    return image_grid(
        [[picture]], column_titles=[name], caption=f"Iteration {iteration} / {num_iterations}", cell=4
    )


def _name(class_names, target):
    try:
        return class_names[target]
    except (KeyError, IndexError):
        raise InputError(f"class_names has no name for class {target}") from None


def _engine(recipe, settings):
    if recipe not in RECIPES:
        raise InputError(f"there is no recipe {recipe!r}; choose {' or '.join(RECIPES)}")
    engine = RECIPES[recipe]
    known = [name for name, p in inspect.signature(engine).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"the {recipe} recipe takes no keyword '{name}'; {hint}")
    return engine
