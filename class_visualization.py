"""What SqueezeNet takes for a tarantula, a tick, a Yorkshire terrier, an oboe, a gorilla and an hourglass."""

import before_imports  # noqa: F401  (it must come first)

import itertools
import re

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from tqdm import tqdm

from command_line import assignment_parser, load_inputs, run, show_files
from data.labels import find_class
from image_utils.errors import InputError
from image_utils.figures import image_grid
from image_utils.pixels import to_input
from image_utils.writing import save_figure, save_image, whole_file
from networks.memory import bytes_for_a_gradient, check_memory
from visualizers import ClassVisualization
from visualizers.class_visualization import RECIPES, frame, to_picture

EXAMPLES = """
writes into --out (default visualization/); PREFIX is class_visualization, or class_visualization_modern:
  PREFIX_iter_N.png             the pictures after N steps: N = 1, every 25th and the last
  PREFIX_steps.webp             the ascent as an animation
  PREFIX_curves.png             the class's score and probability at each step
  class_visualization.png       all classes, a row for each recipe
  class_visualization/          each picture alone (INDEX_NAME_RECIPE.png, lossless, at the network's size) and,
                                for several classes, the frames of each (INDEX_NAME_RECIPE_iter_N.png)

examples:
  python class_visualization.py                              the assignment's six classes, by both recipes
  python class_visualization.py --class gorilla              one class; numbers do as well
  python class_visualization.py --recipe course --steps 200  the course's recipe alone, longer
  python class_visualization.py --network resnet18 --class goldfish "tabby"
"""
CLASSES = ("76", "78", "187", "683", "366", "604")
SHOW_EVERY = 25  # the course's
FILM_FRAMES = 25  # at most
FILM_SECONDS = 5.0
COLUMNS = 3  # of the curves
FILM_HOLD = 2.0  # seconds that the last frame stays


def main():
    """Parse the arguments, climb, write the figures."""
    args = parser().parse_args()
    inputs = load_inputs(args)
    if args.steps is not None and args.steps < 1:
        raise InputError(f"--steps must be at least 1, not {args.steps}")
    classes = list(dict.fromkeys(find_class(text, inputs.class_names) for text in args.classes))
    each = bytes_for_a_gradient(inputs.model, to_input(inputs.X[0][None]).to(inputs.device))
    count = len(classes)
    check_memory(f"--class with {count}", count * each, lambda s: f"{int(s * count)} at once", inputs.device)
    names = [inputs.class_names[index] for index in classes]
    recipes = list(RECIPES) if args.recipe == "both" else [args.recipe]
    rows = []
    for recipe in recipes:
        record = Record(recipe, args.steps, classes)
        try:
            rows.append(record.make(inputs))
        except KeyboardInterrupt:
            keep(record, names, inputs.out)
            raise
        write_record(record, names, inputs.out)
    titles = [f"{r} recipe".capitalize() for r in recipes]
    grid = image_grid(rows, column_titles=names, row_titles=titles, per_row=len(CLASSES))
    save_figure(grid, inputs.out / "class_visualization.png")
    if args.show:
        show_files(inputs.out / "class_visualization.png")


def parser():
    """Make the parser: the common arguments and the classes, recipe and steps."""
    made = assignment_parser(__doc__, epilog=EXAMPLES, images=False)
    group = made.add_argument_group("pictures")
    group.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        default=CLASSES,
        metavar="NAME",
        help="classes by name or number (default: the assignment's six)",
    )
    group.add_argument(
        "--recipe", choices=[*RECIPES, "both"], default="both", help="how to climb (default: %(default)s)"
    )
    group.add_argument("--steps", type=int, metavar="N", help="of the ascent (default: 100 course, 150 modern)")
    return made


class Record:
    """Makes the pictures of several classes, and keeps what the figures need.

    Attributes:
        recipe: its name.
        steps: number of steps, None for the recipe's own until the first is done.
        shown: dict from iteration to a dict from class to picture, for the course's frames.
        film: the same, for the animation.
        scores: dict from class to the list of its score at each step.
        probabilities: the same.
        pictures: the result, list of PIL images.
        last: dict from class to the Step that came last.
    """

    def __init__(self, recipe, steps, classes):
        self.recipe, self.steps, self.classes = recipe, steps, classes
        self.shown, self.film, self.pictures, self.last = {}, {}, [], {}
        self.scores, self.probabilities = {c: [] for c in classes}, {c: [] for c in classes}

    def make(self, inputs):
        """Create the pictures; returns them."""
        settings = {} if self.steps is None else {"num_iterations": self.steps}
        settings |= {"recipe": self.recipe, "seed": inputs.seed, "callback": self.note}
        create = ClassVisualization().create_class_visualizations
        with tqdm(desc=f"{self.recipe} recipe", unit="step", delay=2, leave=False, disable=None) as self.progress:
            self.pictures = create(self.classes, inputs.model, **settings)
        return self.pictures

    def note(self, step):
        """Keep what a step gives."""
        self.last[step.target] = step
        self.steps, self.progress.total = step.num_iterations, len(self.classes) * step.num_iterations
        self.progress.update()
        self.scores[step.target].append(step.score)
        self.probabilities[step.target].append(step.probability)
        shown, filmed = step.is_shown(SHOW_EVERY), step.is_shown(-(-self.steps // FILM_FRAMES))
        picture = to_picture(step.image, self.recipe) if shown or filmed else None
        for wanted, kept in ((shown, self.shown), (filmed, self.film)):
            if wanted:
                kept.setdefault(step.iteration, {})[step.target] = picture

    def in_order(self, kept):
        """List (iteration, pictures in the order of the classes) of `shown` or `film`."""
        return [(iteration, [kept[iteration][c] for c in self.classes]) for iteration in sorted(kept)]


def single_files(record, names, out):
    """Name the file of each class's picture alone, without its ending: dict from class to path."""
    plain = [re.sub(r"[^a-z0-9]+", "_", name.lower()) for name in names]
    parts = zip(record.classes, plain, strict=True)
    return {c: out / "class_visualization" / f"{c}_{name}_{record.recipe}" for c, name in parts}


def keep(record, names, out):
    """After an interruption, write each picture, the unfinished ones with the step that they reached."""
    for c, file in single_files(record, names, out).items():
        if (step := record.last.get(c)) is not None:
            reached = "" if step.iteration == step.num_iterations else f"_step_{step.iteration}"
            save_image(to_picture(step.image, record.recipe), file.with_name(f"{file.name}{reached}.png"))


def write_record(record, names, out):
    """Write the frames, the film, the curves and the pictures of one recipe."""
    prefix = "class_visualization" if record.recipe == "course" else f"class_visualization_{record.recipe}"
    files = list(single_files(record, names, out).values())
    for iteration, pictures in record.in_order(record.shown):
        frames = [frame(p, name, iteration, record.steps) for p, name in zip(pictures, names, strict=True)]
        if len(names) == 1:
            together = frames[0]
        else:
            for file, single in zip(files, frames, strict=True):
                save_figure(single, file.with_name(f"{file.name}_iter_{iteration}.png"))
            caption = f"Iteration {iteration} / {record.steps}"
            together = image_grid([pictures], column_titles=names, caption=caption, per_row=len(CLASSES) // 2)
        save_figure(together, out / f"{prefix}_iter_{iteration}.png")
    for file, picture in zip(files, record.pictures, strict=True):
        save_image(picture, file.with_name(f"{file.name}.png"))
    save_film([pictures for _, pictures in record.in_order(record.film)], out / f"{prefix}_steps.webp")
    save_figure(curves(record, names), out / f"{prefix}_curves.png")


def save_film(film, path):
    """Write an animated WebP: the pictures of all classes side by side, in rows."""
    columns = -(-len(film[0]) // max(1, round((len(film[0]) / 1.5) ** 0.5)))
    frames = [Image.fromarray(mosaic(pictures, columns)) for pictures in film]
    durations = [round(1000 * FILM_SECONDS / len(frames))] * (len(frames) - 1) + [round(1000 * FILM_HOLD)]
    with whole_file(path) as temporary:
        frames[0].save(
            temporary, save_all=True, append_images=frames[1:], duration=durations, loop=0, quality=60, method=4
        )


def mosaic(pictures, columns):
    """Lay pictures of one size side by side: uint8 ndarray (H, W, 3), what is left over is white."""
    arrays = [np.asarray(picture) for picture in pictures]
    arrays += [np.full_like(arrays[0], 255)] * (-len(arrays) % columns)
    return np.concatenate([np.concatenate(arrays[i : i + columns], 1) for i in range(0, len(arrays), columns)])


def curves(record, names):
    """Draw each class's score and probability over the steps, a panel a class. Returns a Figure."""
    columns = min(COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(3.4 * columns, 2.1 * rows + 0.9), layout="constrained")
    steps = np.arange(1, record.steps + 1)
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True).flat
    scores, probabilities = ([kept[c] for c in record.classes] for kept in (record.scores, record.probabilities))
    for i, (axis, name) in enumerate(itertools.zip_longest(panels, names)):
        if name is None:
            axis.set_axis_off()
            continue
        right = axis.twinx()
        (score,) = axis.plot(steps, scores[i], color="tab:blue", linewidth=1.2)
        (probability,) = right.plot(steps, probabilities[i], color="tab:orange", linewidth=1.2)
        right.set_ylim(-0.02, 1.02)
        right.tick_params(labelright=(i + 1) % columns == 0 or i + 1 == len(names))
        axis.set_title(name, fontsize=10)
        for one in (axis, right):
            one.spines["top"].set_visible(False)
    figure.legend(
        [score, probability], ["class score", "probability"], loc="outside lower center", ncols=2, frameon=False
    )
    figure.suptitle(f"The {record.recipe} recipe: what the network sees before each step")
    return figure


if __name__ == "__main__":
    run(main)
