"""What the measures of `trust` say of a batch, and the table that they give for the folder.

The numbers of a photograph are those of compare_maps.py. The grid pointing game is played with the mosaics that a
batch gives; a photograph that is in none, since the network is not sure of it or the batch holds too few classes,
has no number there.
"""

from pathlib import Path

import numpy as np

import attributions
from explain import storage
from image_utils.errors import InputError
from trust import make_controls
from trust.grid_pointing import confident, mosaics_of
from trust.judge import MEASURES, judge, judge_mosaics
from trust.table import write_tables
from trust.verdict import verdicts


def judge_batch(model, x, y, methods, layer, position) -> dict[str, list[dict]]:
    """Measure the methods, and the controls beside them, on a batch.

    Args:
        model: classification network; left as it was.
        x: float Tensor (N, 3, H, W), normalised, on the model's device.
        y: int64 Tensor (N,), the classes explained.
        methods: names, some of `attributions.NAMES`.
        layer: dotted name of the Grad-CAM family's layer.
        position: of the first image in the folder; the seed of the control "random order".

    Returns:
        dict from each method and control to N dicts of the manifest's columns; without a method that failed.
    """
    chosen = attributions.methods(methods, layer=layer) | make_controls(position)
    judged = judge(chosen, model, x, y)
    numbers = judged.numbers | {"grid": np.full(judged.maps.shape[:2], np.nan)}
    try:
        places, classes = confident(model, x)
    except InputError:
        pass  # too few classes for a mosaic
    else:
        playing = {name: chosen[name] for name in judged.names}
        shares = judge_mosaics(playing, model, mosaics_of(x, places, shrink=True), classes)
        numbers["grid"][:, places.flatten().cpu()] = shares
    return {
        name: [{measure: _or_none(numbers[measure][m, n]) for measure in MEASURES} for n in range(len(x))]
        for m, name in enumerate(judged.names)
    }


def _or_none(value):
    return float(value) if np.isfinite(value) else None


def write_table(out, settings) -> None:
    """Write trust.png, trust.csv and trust.json from the manifest.

    Args:
        out: folder of a run with --trust whose manifest is there.
        settings: of the run, as in run.json.
    """
    controls = tuple(make_controls())
    names = (*settings["methods"], *controls)
    read = storage.read_manifest(out, columns=list(MEASURES))
    columns = {name: read[name].to_numpy().astype(float).reshape(-1, len(names)).T for name in MEASURES}
    known = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    if not known:  # not one image could be read
        return
    notes = [f"{int(np.isfinite(columns['deletion']).any(0).sum()):,} photographs of {settings['folder']}."]
    if "grid" not in known:
        notes.append("Without the grid game: no batch held four classes that the network is sure of.")
    rows = verdicts(names, known, controls)
    facts = {name: settings[name] for name in ("folder", "network", "layer", "labels")}
    write_tables(Path(out) / "trust", rows, notes, facts)
