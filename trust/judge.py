"""All measures of all methods on a batch of photographs, what they share computed once.

The maps of a method are computed once for the measures that take maps. Deletion and insertion share the first and
the last image of their curves, mu-fidelity its masks and passes, among all methods; class and weights their
runner-up and their random network; efficient MPRT takes the maps of the last stage of the weights. A method that
is the product of others (guided Grad-CAM) gets its maps from theirs; its seconds are those of the map alone.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from image_utils.errors import InputError
from trust.class_sensitivity import class_sensitivity
from trust.curves import deletion, insertion
from trust.grid_pointing import grid_pointing
from trust.maps import Attribute, as_maps
from trust.max_sensitivity import max_sensitivity
from trust.mu_fidelity import mu_fidelity
from trust.similarity import map_similarity
from trust.weight_sensitivity import efficient_mprt, randomised


@dataclass(frozen=True)
class Measure:
    """How a measure's numbers are read.

    Attributes:
        title: for tables.
        better: 1 where larger is better, -1 where smaller is; 0 for one that says what a map is, not how good.
        range: between which its means can lie.
        asks: the question it answers.
    """

    title: str
    better: int
    range: tuple[float, float]
    asks: str


MEASURES = {
    "deletion": Measure("deletion", -1, (0, 1), "does the class go with the map's best pixels?"),
    "insertion": Measure("insertion", 1, (0, 1), "does the class come with the map's best pixels?"),
    "fidelity": Measure("mu-fidelity", 1, (-1, 1), "do the regions that the map points at cost the score most?"),
    "grid": Measure("grid game", 1, (0, 1), "does it point at the right one of four photographs?"),
    "class": Measure("runner-up's map", 0, (-1, 1), "is the map for another class the same?"),
    "upper": Measure("upper half random", 0, (-1, 1), "is the map the same when the upper layers know nothing?"),
    "weights": Measure("all random", 0, (-1, 1), "is the map the same when no layer knows anything?"),
    "entropy": Measure(
        "entropy rise", 0, (-1, np.inf), "does it lose its structure when no layer knows anything?"
    ),
    "noise": Measure("max-sensitivity", 0, (0, np.inf), "does it change when the image hardly does?"),
}
FAITHFUL = tuple(name for name, measure in MEASURES.items() if measure.better)


def _silent(what):
    pass


@dataclass(frozen=True)
class Judged:
    """What the measures say of a batch.

    Attributes:
        names: M names of the methods that could be computed.
        maps: float64 ndarray (M, N, H, W).
        random_maps: float64 ndarray (M, N, H, W), of the network without any of its weights.
        numbers: for each measure an ndarray (M, N), one number a photograph.
        seconds: M floats, seconds a photograph for the map alone.
        failed: for the methods that could not be computed, why.
    """

    names: list[str]
    maps: np.ndarray
    random_maps: np.ndarray
    numbers: dict[str, np.ndarray]
    seconds: list[float]
    failed: dict[str, str]


def judge(
    methods: dict[str, Attribute], model, X, y, *, steps=12, masks=64, samples=2, seed=0, tell: Callable = _silent
) -> Judged:
    """Measure methods on photographs; `judge_mosaics` adds the grid pointing game.

    Args:
        methods: functions (X, y, model) -> maps (N, H, W) by name, controls among them.
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes to explain.
        steps: of deletion and insertion.
        masks: of mu-fidelity.
        samples: of max-sensitivity.
        seed: of all random numbers.
        tell: called with a few words whenever something new begins.

    Returns:
        Judged, without "grid".

    Raises:
        InputError: shapes, dtypes or labels do not fit, or no method could be computed.
    """
    maps, seconds, failed = {}, [], {}
    for name, attribute in methods.items():
        tell(name)
        start = time.perf_counter()
        try:
            maps[name] = as_maps(attribute(X, y, model), X)[0]
        except InputError as problem:
            failed[name] = str(problem)
        else:
            seconds.append((time.perf_counter() - start) / len(X))
    if not maps:
        raise InputError(f"no method could be computed: {'; '.join(failed.values())}")
    stacked, chosen = np.stack(list(maps.values())), {name: methods[name] for name in maps}
    numbers = {}
    for name, measure, options in (
        ("deletion", deletion, {"steps": steps}),
        ("insertion", insertion, {"steps": steps}),
        ("fidelity", mu_fidelity, {"count": masks}),
    ):
        tell(name)
        numbers[name] = measure(model, X, y, stacked, seed=seed, **options)

    def together(X, y, model):
        return maps_of(chosen, X, y, model)

    common = {"model": model, "X": X, "y": y, "maps": stacked}
    tell("class")
    numbers["class"] = class_sensitivity(together, **common)
    tell("weights")
    _, upper = next(randomised(model, stages=2, order="top_down", seed=seed))
    numbers["upper"] = map_similarity(stacked, together(X, y, upper))
    _, random = next(randomised(model, stages=1, seed=seed))
    random_maps = together(X, y, random)
    numbers["weights"] = map_similarity(stacked, random_maps)
    numbers["entropy"] = np.stack([efficient_mprt(*pair) for pair in zip(stacked, random_maps, strict=True)])
    tell("noise")
    numbers["noise"] = max_sensitivity(together, **common, samples=samples, seed=seed)
    return Judged(list(maps), stacked, random_maps, numbers, seconds, failed)


def maps_of(methods: dict[str, Attribute], X, y, model) -> np.ndarray:
    """Compute the maps of several methods; what one is made from, and is among them too, is computed once.

    Args:
        methods: functions (X, y, model) -> maps (N, H, W) by name. One that makes its maps from those of others
            has these functions as `factors`, and does it by `combine`.
        X: float Tensor (N, C, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes to explain.
        model: classification network.

    Returns:
        float64 ndarray (M, N, H, W).
    """
    found = {}

    def compute(attribute):
        if attribute not in found:
            factors = getattr(attribute, "factors", ())
            if factors and all(factor in methods.values() for factor in factors):
                found[attribute] = attribute.combine(*map(compute, factors))
            else:
                found[attribute] = as_maps(attribute(X, y, model), X)[0]
        return found[attribute]

    return np.stack([compute(attribute) for attribute in methods.values()])


def joined(parts: list[Judged]) -> tuple[list[str], dict[str, np.ndarray], list[float], dict[str, str]]:
    """Put the numbers of several batches one after another.

    Args:
        parts: what `judge` returned, with the same methods.

    Returns:
        (names, numbers, seconds, failed), as in Judged; methods that failed on any batch are left out of the first
        three.
    """
    failed = {name: why for part in parts for name, why in part.failed.items()}
    names = [name for name in parts[0].names if name not in failed]
    rows = [[part.names.index(name) for name in names] for part in parts]
    numbers = {
        measure: np.concatenate(
            [part.numbers[measure][row] for part, row in zip(parts, rows, strict=True)], axis=1
        )
        for measure in parts[0].numbers
    }
    photographs = [part.maps.shape[1] for part in parts]
    each = [np.take(part.seconds, row) for part, row in zip(parts, rows, strict=True)]
    return names, numbers, np.average(each, axis=0, weights=photographs).tolist(), failed


def judge_mosaics(methods: dict[str, Attribute], model, mosaics, classes, *, tell: Callable = _silent):
    """Play the grid pointing game with every method.

    Args:
        methods: as in `judge`; all of them must be computable.
        model: as in `judge`.
        mosaics: as `trust.make_mosaics` returns them.
        classes: likewise.
        tell: as in `judge`.

    Returns:
        float64 ndarray (M, 4 G), one number a photograph of a mosaic.
    """
    tell("grid game")
    return grid_pointing(lambda *call: maps_of(methods, *call), model, mosaics, classes)
