"""From numbers to words: a table of methods, and one plain sentence a method.

A method is better than a control in a measure where their intervals do not overlap; where they do, it is no
better. It hardly changes with the class, or with the weights, where its maps stay as alike as ALIKE on average. Single
photographs are not ranked.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from trust.intervals import FEWEST, Interval, mean_intervals
from trust.judge import FAITHFUL, MEASURES

ALIKE = 0.8  # similarity from which on a map is said to stay the same


@dataclass(frozen=True)
class Row:
    """What is said of a method.

    Attributes:
        name: of the method.
        control: whether it is a control.
        intervals: by measure, means over the photographs with their intervals; see `trust.intervals`.
        seconds: a photograph, for the map; NaN where it is not known.
        sentence: in plain words.
    """

    name: str
    control: bool
    intervals: dict[str, Interval]
    seconds: float
    sentence: str


def verdicts(names, numbers, controls: Iterable[str], seconds=None, *, seed=0) -> list[Row]:
    """Average the numbers and say in words what they mean.

    Args:
        names: M names of methods.
        numbers: by measure, some of `trust.judge.MEASURES`, an array (M, N): one number a photograph.
        controls: which of the names are controls.
        seconds: M floats, seconds a photograph, or None.
        seed: of the resampling.

    Returns:
        M Rows.
    """
    controls = [name for name in names if name in set(controls)]
    columns = {measure: mean_intervals(values, seed=seed) for measure, values in numbers.items()}
    table = {name: {measure: column[m] for measure, column in columns.items()} for m, name in enumerate(names)}
    seconds = [np.nan] * len(names) if seconds is None else seconds
    return [
        Row(name, name in controls, table[name], spent, _sentence(name, table, controls))
        for name, spent in zip(names, seconds, strict=True)
    ]


def better(measure, one: Interval, other: Interval) -> bool:
    """Say whether one mean is better than another in a measure beyond the overlap of their intervals."""
    return one.above(other) if MEASURES[measure].better > 0 else one.below(other)


def _sentence(name, table, controls):
    parts = [_changes(table[name])]
    if name in controls:
        parts.append("a control that knows nothing of the network")
    elif controls:
        parts += _against(name, table, controls)
    return "; ".join(part for part in parts if part)


def _changes(intervals):
    """Say whether the map changes with the class and with the weights of the upper half of the layers."""
    alike = {
        what: intervals[measure].mean
        for what, measure in (("class", "class"), ("weights", "upper"))
        if measure in intervals and np.isfinite(intervals[measure].mean)
    }
    changes = [what for what, similarity in alike.items() if similarity < ALIKE]
    hardly = [what for what, similarity in alike.items() if similarity >= ALIKE]
    parts = ["changes with the " + " and the ".join(changes)] if changes else []
    return ", ".join(parts + (["hardly changes with the " + " or the ".join(hardly)] if hardly else []))


def _against(name, table, controls):
    """Compare a method with the controls, measure by measure."""
    measures = [measure for measure in FAITHFUL if measure in table[name]]
    known = [m for m in measures if all(np.isfinite(table[row][m].low) for row in (name, *controls))]
    wins = {m: [c for c in controls if better(m, table[name][m], table[c][m])] for m in known}
    parts = []
    clear = [m for m in known if len(wins[m]) == len(controls)]
    if clear:
        margins = [f"{MEASURES[m].title} by {_margin(m, name, table, controls):.2g}" for m in clear]
        parts.append(f"better than every control in {_and(margins)}")
    for m in known:
        rest = [c for c in controls if c not in wins[m]]
        if rest and m not in clear:
            parts.append(f"no better than {_and(rest)} in {MEASURES[m].title}")
    if unknown := [MEASURES[m].title for m in measures if m not in known]:
        parts.append(f"fewer than {FEWEST} numbers, too few to tell from the controls, in {_and(unknown)}")
    return parts


def _margin(measure, name, table, controls):
    """Return the distance of a mean from that of the nearest control."""
    return min(abs(table[name][measure].mean - table[c][measure].mean) for c in controls)


def _and(words):
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
