"""All measures of all methods on a batch of photographs, what they share computed once.

The maps of a method are computed once for the measures that take maps. Deletion and insertion share the first and
the last image of their curves, mu-fidelity its masks and passes, among all methods; class and weights their
runner-up and their random network; efficient MPRT takes the maps of the last stage of the weights.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from image_utils.errors import InputError
from trust.class_sensitivity import class_sensitivity, runners_up
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
        numbers: for each measure an ndarray (M, N), one number a photograph.
        seconds: M floats, seconds a photograph for the map alone.
        failed: for the methods that could not be computed, why.
    """

    names: list[str]
    maps: np.ndarray
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
    numbers |= _sensitivities(chosen, stacked, model, X, y, samples, seed, tell)
    return Judged(list(maps), stacked, numbers, seconds, failed)


def _sensitivities(methods, maps, model, X, y, samples, seed, tell):
    """Compute what needs the maps anew: for another class, other weights, other pixels."""
    other = runners_up(model, X, y)
    _, upper = next(randomised(model, stages=2, order="top_down", seed=seed))
    _, random = next(randomised(model, stages=1, seed=seed))
    numbers = {name: [] for name in ("class", "upper", "weights", "entropy", "noise")}
    for (name, attribute), one in zip(methods.items(), maps, strict=True):
        tell(f"sensitivity of {name}")
        numbers["class"].append(class_sensitivity(attribute, model, X, y, maps=one, other=other))
        half, none = (as_maps(attribute(X, y, network), X)[0] for network in (upper, random))
        numbers["upper"].append(map_similarity(one, half))
        numbers["weights"].append(map_similarity(one, none))
        numbers["entropy"].append(efficient_mprt(one, none))
        numbers["noise"].append(max_sensitivity(attribute, model, X, y, maps=one, samples=samples, seed=seed))
    return {name: np.stack(rows) for name, rows in numbers.items()}


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
    shares = []
    for name, attribute in methods.items():
        tell(f"grid game, {name}")
        shares.append(grid_pointing(attribute, model, mosaics, classes))
    return np.stack(shares)
