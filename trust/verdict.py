"""From numbers to words: a table of methods, and one plain sentence a method.

A method is better than a control in a measure where their intervals do not overlap; where they do, it is no
better. It hardly changes with the class, or with the weights, where its maps stay as alike as ALIKE on average.
Single photographs are not ranked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from trust.intervals import Interval, mean_intervals
from trust.judge import FAITHFUL, MEASURES

ALIKE = 0.85  # similarity from which on a map is said to stay the same


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
    columns = {measure: _column(measure, np.asarray(values), seed) for measure, values in numbers.items()}
    table = {name: {measure: column[m] for measure, column in columns.items()} for m, name in enumerate(names)}
    seconds = [np.nan] * len(names) if seconds is None else seconds
    return [
        Row(name, name in controls, table[name], spent, _sentence(name, table, controls))
        for name, spent in zip(names, seconds, strict=True)
    ]


def _column(measure, values, seed):
    """Average a measure's numbers: against the controls' where it is to be compared, each by itself otherwise."""
    facts = MEASURES[measure]
    if facts.better:
        found = mean_intervals(values, seed=seed)
    else:
        found = [mean_intervals(row[None], seed=seed)[0] for row in values]
    ends = ([float(np.clip(end, *facts.range)) for end in (one.low, one.high)] for one in found)
    return [replace(one, low=low, high=high) for one, (low, high) in zip(found, ends, strict=True)]


def better(measure, one: Interval, other: Interval) -> bool:
    """Say whether one mean is better than another in a measure beyond the overlap of their intervals."""
    return one.above(other) if MEASURES[measure].better > 0 else one.below(other)


def _sentence(name, table, controls):
    if name in controls:
        return "a control: knows nothing of the network"
    parts = [_changes(table[name]), *(_against(name, table, controls) if controls else [])]
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
    rows = table[name]
    known = [m for m in FAITHFUL if m in rows and all(np.isfinite(table[c][m].low) for c in (name, *controls))]
    wins = {m: [c for c in controls if better(m, rows[m], table[c][m])] for m in known}
    clear = [
        f"{MEASURES[m].title} by {_margin(m, name, table, controls):.2g}" for m in known if wins[m] == controls
    ]
    parts = [f"better than every control in {_and(clear)}"] if clear else []
    lost = {}
    for m in known:
        if rest := [c for c in controls if c not in wins[m]]:
            lost.setdefault("any control" if rest == controls else _and(rest, "or"), []).append(MEASURES[m].title)
    if lost:
        parts.append("no better than " + ", than ".join(f"{who} in {_and(what)}" for who, what in lost.items()))
    if few := [MEASURES[m].title for m in FAITHFUL if m in rows and m not in known]:
        parts.append(f"too few photographs to tell in {_and(few)}")
    return parts


def _margin(measure, name, table, controls):
    """Return the distance of a mean from that of the nearest control."""
    return min(abs(table[name][measure].mean - table[c][measure].mean) for c in controls)


def _and(words, last="and"):
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"
