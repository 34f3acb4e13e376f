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
    spider = ClassVisualization().create_class_visualization(76, names, model, torch.FloatTensor, recipe="modern")
"""

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure
from PIL import Image
from torch import nn

from image_utils.blur import blur_image
from image_utils.errors import InputError, at_least, check_keywords, one_of
from image_utils.figures import image_grid
from image_utils.pixels import deprocess, to_normalised
from image_utils.writing import save_figure
from networks.ascent import Start, Step, report
from networks.no_trace import untouched, variable
from networks.precision import memory_layout
from networks.scores import class_index, class_scores, climbable, first_scores
from networks.side_by_side import side_by_side
from visualizers.feature_visualization import ascend_spectrum

RECIPES = ("course", "modern")


class ClassVisualization:
    """Pictures that a classification network takes for the best examples of its classes; the course's class."""

    def jitter(self, X: torch.Tensor, ox: int, oy: int) -> torch.Tensor:
        """Shift images, rolling what leaves at one edge in at the other.

        Args:
            X: Tensor (N, C, H, W); not changed.
            ox: pixels to the right.
            oy: pixels down.

        Returns:
            Tensor like X.
        """
        return X.roll((ox, oy), dims=(3, 2))

    def blur_image(self, X: torch.Tensor, sigma: float = 1) -> torch.Tensor:
        """Blur images with a Gaussian; see `image_utils.blur`.

        Args:
            X: floating-point Tensor (N, C, H, W); not changed.
            sigma: standard deviation in pixels; 0 changes nothing.

        Returns:
            Tensor like X. (The course's function wrote it into X as well.)
        """
        return blur_image(X, sigma)

    def create_class_visualization(
        self,
        target_y: int,
        class_names: Mapping[int, str] | Sequence[str],
        model: nn.Module,
        dtype: object,
        *,
        recipe: str = "course",
        size: int | tuple[int, int] = 224,
        seed: int | None = None,
        callback=None,
        out: str | Path = "visualization",
        **kwargs,
    ) -> Image.Image:
        """Create a picture that the network scores as high as possible for one class.

        Args:
            target_y: class index.
            class_names: dict or list from class index to name, for the titles of the plots.
            model: classification network (N, 3, H, W) -> (N, C); left as it was; it sets the device.
            dtype: torch.FloatTensor, torch.cuda.FloatTensor or torch.float32: the type of the model's numbers.
            recipe: "course" or "modern".
            size: height and width in pixels, or (height, width).
            seed: integer for a repeatable picture; None draws one.
            callback: function of an `ascent.Step`, called after each step.
            out: folder of the plots.
            **kwargs: show_every (25): a plot is written after the first step, after every so many, and after the
                last; generate_plots (True): whether plots are written at all, to
                OUT/class_visualization_iter_{iteration}.png; of the course's recipe, l2_reg (1e-3): weight of the
                penalty on the squared norm; learning_rate (25): length of a step in normalised pixels;
                num_iterations (100): steps; blur_every (10): a slight blur follows the first step and every so
                many; max_jitter (16): largest random shift in pixels, each way. Those of the modern recipe:
                see `ascend_spectrum`.

        Returns:
            PIL image, RGB. The course's recipe stretches it to the full range of pixels.

        Raises:
            InputError: an argument is out of range or the network does not fit; nothing has been written then.
            TypeError: no such keyword.

        Source:
            Simonyan et al. 2014, section 2, equation 1; Yosinski et al. 2015, section 3.
        """
        show_every = kwargs.pop("show_every", 25)
        generate_plots = kwargs.pop("generate_plots", True)
        at_least(1, show_every=show_every)
        one_of(RECIPES, recipe=recipe)
        target_y = class_index(target_y)
        start = Start(model, size=size, seed=seed, dtype=dtype)
        if generate_plots:
            callback = plotting(callback, class_names, target_y, show_every, recipe, Path(out))
        if recipe == "modern":
            check_keywords(f"the {recipe} recipe", kwargs, keyword_only(ascend_spectrum))
            return to_picture(ascend_spectrum(model, target_y, start, callback=callback, **kwargs), recipe)
        l2_reg = kwargs.pop("l2_reg", 1e-3)
        learning_rate = kwargs.pop("learning_rate", 25)
        num_iterations = kwargs.pop("num_iterations", 100)
        blur_every = kwargs.pop("blur_every", 10)
        max_jitter = kwargs.pop("max_jitter", 16)
        check_keywords(f"the {recipe} recipe", kwargs, COURSE_KEYWORDS)
        at_least(1, num_iterations=num_iterations, blur_every=blur_every)
        at_least(0, l2_reg=l2_reg, learning_rate=learning_rate, max_jitter=max_jitter)

        noise = start.noise(3, start.height, start.width)
        low, high = (to_normalised(torch.full((1, 3, 1, 1), level, **start.like)) for level in (0.0, 1.0))
        with untouched(model, noise) as img, climbable(model) as last:
            class_scores(first_scores(model, img), [target_y])  # before any work: does the network fit?
            layout = memory_layout(model, img.detach())
            for t in range(num_iterations):
                ox, oy = start.integer(max_jitter), start.integer(max_jitter)
                img = img_var = variable(self.jitter(img, ox, oy), layout)  # one image, both names of the skeleton
                # >>> Solution: a step of length learning_rate up the score less l2_reg times the squared norm
                score = class_scores(model(img_var), [target_y])
                (score - l2_reg * img_var.square().sum()).backward()
                g = img_var.grad
                img = img + learning_rate * g / g.norm().clamp(min=1e-12)
                # <<< Solution
                img = self.jitter(img.detach(), -ox, -oy).clamp(low, high)
                if t % blur_every == 0:
                    img = self.blur_image(img, sigma=0.5)
                report(callback, t + 1, num_iterations, img, last.scores, target_y)
        return to_picture(img, recipe)

    def create_class_visualizations(
        self, targets: Sequence[int], model: nn.Module, dtype: object = torch.float32, *, callback=None, **settings
    ) -> list[Image.Image]:
        """Create pictures of several classes, without plots: on a CPU as many at once as torch has threads.

        With a given seed all classes start from the same noise and see the same shifts, and each picture is what
        its class gives alone.

        Args:
            targets: N class indices.
            model: classification network; left as it was.
            dtype: as above.
            callback: as above; called from several threads, never from two at once. `Step.target` is the class.
            **settings: recipe, size, seed and keywords of the recipe, as above.

        Returns:
            List of N PIL images.

        Raises:
            InputError: an argument is out of range, or there are no targets.
            TypeError: no such setting.
        """
        if len(targets) == 0:
            raise InputError("no classes to visualize")

        def create(target, network, in_turn):
            own = settings | {"generate_plots": False, "callback": in_turn(callback)}
            return self.create_class_visualization(target, {}, network, dtype, **own)

        return side_by_side(create, targets, model)


COURSE_KEYWORDS = ("l2_reg", "learning_rate", "num_iterations", "blur_every", "max_jitter")


def to_picture(image: torch.Tensor, recipe: str = "course") -> Image.Image:
    """Turn what a recipe made, Tensor (1, 3, H, W), into the PIL image the class returns."""
    return deprocess(image, should_rescale=recipe == "course")


def frame(picture: Image.Image, name: str, iteration: int, num_iterations: int) -> Figure:
    """Draw the course's plot of one iteration: the picture, its class, how far it is."""
    return image_grid(
        [[picture]], column_titles=[name], caption=f"Iteration {iteration} / {num_iterations}", cell=4
    )


def plotting(callback, class_names, target_y, show_every, recipe, out):
    """Make a callback that writes the course's plots, and then calls the caller's."""
    try:
        name = class_names[target_y]
    except (KeyError, IndexError):
        raise InputError(f"class_names has no name for class {target_y}") from None

    def plot(step: Step) -> None:
        if step.is_shown(show_every):
            figure = frame(to_picture(step.image, recipe), name, step.iteration, step.num_iterations)
            save_figure(figure, out / f"class_visualization_iter_{step.iteration}.png")
        if callback is not None:
            callback(step)

    return plot


def keyword_only(function) -> tuple[str, ...]:
    """List a function's keyword-only arguments but `callback`."""
    parameters = inspect.signature(function).parameters.items()
    return tuple(name for name, p in parameters if p.kind is p.KEYWORD_ONLY and name != "callback")
