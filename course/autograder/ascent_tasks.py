"""Fooling images and class visualizations, marked step by step on the real network."""

import itertools

import numpy as np
import torch

from course.autograder import technique_references as refs
from course.autograder.judging import RIGHT, Verdict
from course.autograder.tasks import Check, Task

FEW_STEPS = 15
FAR = 10 * FEW_STEPS + 50  # normalised pixels; a step is 10 long. Noise is some 270 away from a photograph
NO_PENALTY = (
    "the L2 penalty has no gradient, or next to none: is it part of what is differentiated, as a Tensor, "
    "and the sum of squares rather than the norm?"
)
MAX_SEEN = 40  # images that come back of those shown to the network
TIE = 1e-2  # score units; a lead this small may be rounding


class Ascent:
    """Inputs and judgements, on the network of a `technique_tasks.Judge`."""

    def __init__(self, judge):
        self.judge = judge

    def fooling_inputs(self, rng):
        """A photograph, and a target that takes some steps to reach, but not many."""
        given = self.judge.images(rng, n=1)
        x = torch.from_numpy(given["X"])
        with torch.no_grad():
            ranked = self.judge.model(x)[0].argsort(descending=True).tolist()
        for target in rng.permutation(ranked[10:200])[:20]:
            if 3 <= len(refs.fool(self.judge.model, x, int(target), steps=FEW_STEPS)) <= FEW_STEPS:
                break
        return {**given, "target": int(target)}

    def fools(self, inputs, answers):
        """The network sees the target, and the original is as it was."""
        image = answers.get("image")
        if image is None or image.shape != inputs["X"].shape or not np.isfinite(image).all():
            return Verdict(0.0, "an image like X is wanted, all values finite")
        if np.linalg.norm(image - inputs["X"]) > FAR:
            return Verdict(0.0, "the image has nothing to do with X: start from X and take steps of length 10")
        with torch.no_grad():
            scores = self.judge.model(torch.from_numpy(image))[0]
        if scores[inputs["target"]] < scores.max() - TIE:
            return Verdict(
                0.0, f"the network sees class {int(scores.argmax())}, not the target {inputs['target']}"
            )
        return RIGHT if answers.get("kept") is True else Verdict(0.5, "X itself was changed; work on a copy")

    def recipe(self, inputs, answers):
        """Each image follows from the one before by the course's step, until the network is fooled."""
        seen, last, target = answers.get("images"), answers.get("image"), inputs["target"]
        shape = inputs["X"].shape
        if last is None or last.shape != shape or seen is None or seen.shape[1:] != shape[1:] or len(seen) == 0:
            return Verdict(0.0, "an image like X is wanted, found by asking the network")
        images = [x for i, x in enumerate(seen) if i == 0 or not np.array_equal(x, seen[i - 1])]
        if len(seen) < MAX_SEEN and not np.array_equal(images[-1], last[0]):
            images.append(last[0])
        finite = list(itertools.takewhile(lambda x: np.isfinite(x).all(), images))
        images, all_finite = finite, len(finite) == len(images)
        if not images or not _near(images[0], inputs["X"][0]):
            return Verdict(0.0, "it does not start from X")
        if len(images) == 1:
            return Verdict(0.0, "no step was taken")

        def follow(**options):
            for before, after in itertools.pairwise(images):
                expected = refs.fool_step(self.judge.model, torch.from_numpy(before[None]), target, **options)[0]
                if not _near(after - before, expected.numpy() - before):
                    return False
            return True

        if not follow():
            mistakes = {
                "the target's score falls: add the step, do not subtract it": {"sign": -1},
                "every step is taken twice": {"times": 2},
                "the gradient is not divided by its norm": {"normalise": False},
                "the step is 1, not 10, times the normalised gradient": {"rate": 1.0},
            }
            named = [message for message, options in mistakes.items() if follow(**options)]
            return Verdict(0.0, named[0] if named else "the steps are not 10 g / |g|")
        with torch.no_grad():
            scores = self.judge.model(torch.from_numpy(np.stack(images)))
        best = scores[:-1].topk(2)
        fooled = (best.indices[:, 0] == target) & (best.values[:, 0] > best.values[:, 1] + TIE)
        if fooled.any():
            return Verdict(0.0, "it does not stop when the network is fooled")
        if not all_finite:
            return Verdict(0.0, "the image is not finite")
        if scores[-1, target] < scores[-1].max() - TIE:
            return Verdict(0.0, "it stops before the network is fooled")
        return RIGHT

    def visualization_inputs(self, rng):
        """A class, and keywords under which every step can be followed: no jitter, no blur but at first.

        The class is one that the network sees in noise: where a score is zero it has no gradient.
        """
        keywords = {
            "l2_reg": float(rng.uniform(0.02, 0.06)),
            "learning_rate": float(rng.uniform(5, 15)),
            "num_iterations": 6,
            "blur_every": 1000,
            "max_jitter": 0,
            "show_every": 1000,
        }
        noise = torch.from_numpy(rng.standard_normal((1, 3, 224, 224)).astype(np.float32))
        with torch.no_grad():
            ranked = self.judge.model(noise)[0].argsort(descending=True)
        return {"target": int(ranked[rng.integers(0, 20)]), "keywords": keywords}

    def steps(self, penalty_only):
        """Make a judge of the steps: their direction, or (`penalty_only`) the part of the L2 penalty in it."""

        def judge(inputs, answers):
            images, n = answers.get("images"), inputs["keywords"]["num_iterations"]
            if not isinstance(images, np.ndarray) or images.shape[1:] != (3, 224, 224) or len(images) < n:
                return Verdict(0.0, f"the network was not shown {n} images (1, 3, 224, 224)")
            target, l2, rate = inputs["target"], inputs["keywords"]["l2_reg"], inputs["keywords"]["learning_rate"]

            def follows(**options):
                for before, after in itertools.pairwise(images[1:n]):
                    x = torch.from_numpy(before[None])
                    expected = refs.climb(self.judge.model, x, target, l2, rate, **options)[0].numpy()
                    expected = np.clip(expected, (0 - refs.MEAN) / refs.STD, (1 - refs.MEAN) / refs.STD)
                    if not _near(after - before, torch.from_numpy(expected - before)):
                        return False
                return True

            if follows():
                return RIGHT
            without = {
                NO_PENALTY: {"penalty": "none"},
                "the L2 penalty has the wrong sign: it is subtracted from the score": {"penalty": "rewarded"},
            }
            for message, options in without.items():
                if follows(**options):
                    return Verdict(0.0, message) if penalty_only else RIGHT
            mistakes = {
                "the class score falls: add the step, do not subtract it": {"sign": -1},
                "every step is taken twice": {"times": 2},
                "the gradient is not divided by its norm": {"normalise": False},
            }
            for message, options in mistakes.items():
                if any(follows(**options, penalty=penalty) for penalty in ("squares", "none")):
                    return Verdict(0.0, message)
            return Verdict(
                0.0, "the steps are not learning_rate * g / |g| with g of score - l2_reg * sum of squares"
            )

        return judge


def _near(found, expected):
    """Say whether a change of an image is the expected one, by the norm of the difference."""
    found, expected = torch.as_tensor(np.asarray(found)), torch.as_tensor(np.asarray(expected))
    return bool((found - expected).norm() <= 0.03 * expected.norm() + 1e-6)


def tasks(judge):
    """List the tasks of what climbs a score."""
    ascent = Ascent(judge)
    return [
        Task(
            "fooling",
            ascent.fooling_inputs,
            (
                Check("fooling", "Fooling image: fools", 4, ascent.fools),
                Check("fooling", "Fooling image: the course's steps", 3, ascent.recipe),
            ),
        ),
        Task(
            "class_visualization",
            ascent.visualization_inputs,
            (
                Check("classvis", "Class visualization: steps uphill", 5, ascent.steps(False)),
                Check("classvis", "Class visualization: L2 penalty", 3, ascent.steps(True)),
            ),
        ),
    ]
