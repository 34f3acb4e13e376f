"""What one worker does with one shard, wherever it runs: read, explain, store."""

import concurrent.futures
import functools
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from explain import storage
from explain.pictures import picture, save_picture
from explain.reading import read_photo, to_batch
from explain.shared_pass import LAYERED, explain_batch
from networks.blank import why_blank
from networks.copies import copy_on_same_weights

TOP = 5
FIRST = 100  # images that the index page shows


@dataclass(frozen=True)
class Plan:
    """What every worker must know.

    Attributes:
        folder: absolute path of the images.
        out: absolute path of the run's folder.
        methods: some of `explain.shared_pass.METHODS` and OTHERS.
        save: "maps", "overlays" or "both".
        batch_size: files in a forward pass.
        names: name of each class.
        layer: of Grad-CAM, dotted; None where no method needs one.
        trust: whether the maps are measured, and those of controls beside them.
    """

    folder: str
    out: str
    methods: tuple
    save: str
    batch_size: int
    names: list
    layer: str | None
    trust: bool = False

    @functools.cached_property
    def row_names(self) -> tuple:
        """Whose rows the manifest has of each image: the methods', and the controls' where maps are measured."""
        if not self.trust:
            return self.methods
        from trust import make_controls  # with its library of statistics, which takes time to import

        return (*self.methods, *make_controls())

    @functools.cached_property
    def columns(self) -> tuple:
        """The manifest's columns."""
        if not self.trust:
            return tuple(storage.SCHEMA.names)
        from trust.judge import MEASURES

        return (*storage.SCHEMA.names, *MEASURES)


@dataclass(frozen=True)
class Done:
    """What a worker reports of a shard: its number, its files, how many have an error, the worker's place."""

    number: int
    files: int
    errors: int
    place: str


class Stopped(Exception):
    """The run ends; the shard is left undone."""


class Worker:
    """Holds a network and explains shards with it.

    Args:
        plan: Plan.
        model: network that `explain.shared_pass.make_ready` has made ready; another thread takes a twin.
        device: torch.device.
        place: name of where the worker is.
        readers: threads that read a batch's images.
    """

    def __init__(self, plan, model, device, *, place="here", readers=1):
        self.plan = plan
        self.model = model
        self.device = device
        self.place = place
        self.readers = concurrent.futures.ThreadPoolExecutor(readers) if readers > 1 else None

    def twin(self):
        """Return a worker for another thread: modules of its own, the same weights in memory."""
        return Worker(self.plan, copy_on_same_weights(self.model), self.device)

    def run(self, shard, stopped=lambda: False):
        """Explain a shard and store what comes of it.

        Batches are consecutive files of the shard, so their composition depends on nothing but the folder.

        Args:
            shard: explain.listing.Shard.
            stopped: function that says whether to give up.

        Returns:
            Done.

        Raises:
            InputError: the output cannot be written.
            Stopped: `stopped` said so.
        """
        plan, rows = self.plan, []
        with storage.MapsWriter(plan.out, shard.number) as writer:
            for first in range(0, len(shard.paths), plan.batch_size):
                if stopped():
                    raise Stopped
                rows += self._explain(shard, slice(first, first + plan.batch_size), writer)
        storage.write_part(plan.out, shard.number, rows, self.place)
        errors = sum(row["error"] is not None for row in rows) // len(plan.row_names)
        return Done(shard.number, len(shard.paths), errors, self.place)

    def _explain(self, shard, part, writer):
        """Explain a part of a shard in one batch; return the manifest's rows."""
        paths = shard.paths[part]
        files = [Path(self.plan.folder) / path for path in paths]
        photos = self.readers.map(read_photo, files) if self.readers else map(read_photo, files)
        batch = list(enumerate(zip(paths, shard.labels[part], photos, strict=True), start=part.start))
        good = [(place, item) for place, item in batch if item[2].error is None and not isinstance(item[1], str)]
        results, seconds = {}, None
        if good:
            start = time.perf_counter()
            x = to_batch([photo for _, (_, _, photo) in good], self.device)
            y = torch.tensor([label for _, (_, label, _) in good], device=self.device)
            scores, labels, maps = explain_batch(self.model, x, y, self.plan.methods, self.plan.layer)
            seconds = (time.perf_counter() - start) / len(good)
            classes = _describe(scores, labels, self.plan.names)
            found = [self._why_blank(x[i : i + 1], labels[i : i + 1], maps, i) for i in range(len(good))]
            if self.plan.trust:
                self._judge(x, labels.to(self.device), found, shard.first + part.start)
            for i, (place, _) in enumerate(good):
                results[place] = classes[i], {m: maps[m][i] for m in maps}, found[i]
        rows = []
        for place, (path, label, photo) in batch:
            facts = {"path": printable(path), "sha256": photo.sha256, "width": photo.width, "height": photo.height}
            if place in results:
                described, maps, found = results[place]
                facts |= described | {"seconds": seconds}
                where = self._store(shard, place, facts["path"], photo, maps, writer)
                for name in self.plan.row_names:
                    rows.append(facts | {"method": name} | where.get(name, {}) | found.get(name, {}))
            else:
                facts["error"] = photo.error or label
                rows += [facts | {"method": name} for name in self.plan.row_names]
        return [dict.fromkeys(self.plan.columns) | row for row in rows]

    def _why_blank(self, x, y, maps, i):
        """Return for each method the manifest's column that says why image i's map is blank, if it is."""
        found = {}
        for method, heats in maps.items():
            layer = self.plan.layer if method in LAYERED else None
            found[method] = {"blank": why_blank(self.model, x, y, heats[i : i + 1], layer=layer)[0]}
        return found

    def _judge(self, x, y, found, position):
        """Add to what was found of each image, a dict from method to columns, the columns of the measures."""
        from explain.judging import judge_batch

        judged = judge_batch(self.model, x, y, self.plan.methods, self.plan.layer, position)
        for name, numbers in judged.items():
            for columns, more in zip(found, numbers, strict=True):
                columns.setdefault(name, {}).update(more)

    def _store(self, shard, place, path, photo, maps, writer):
        """Store an image's maps and pictures; return for each method a dict of the columns that say where."""
        plan, out = self.plan, Path(self.plan.out)
        where = {method: {} for method in maps}
        if plan.save != "overlays":
            row = writer.add(path, maps)
            for columns in where.values():
                columns |= {"shard": storage.maps_name(shard.number), "row": row}
        position = shard.first + place
        if position < FIRST:
            save_picture(photo.pixels, out / "index" / f"{position:03d}-photo.jpg")
        if plan.save != "maps" or position < FIRST:
            for method, heat in maps.items():
                drawn = picture(photo.pixels, heat, method)
                if position < FIRST:
                    save_picture(drawn, out / "index" / f"{position:03d}-{method}.jpg")
                if plan.save != "maps":
                    where[method]["overlay"] = storage.overlay_name(shard.number, place, method)
                    save_picture(drawn, out / where[method]["overlay"])
        return where


def printable(path):
    """Return a path as text that any table can hold: bytes that are no UTF-8 are written as backslash codes."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _describe(scores, labels, names):
    """Return for each image the manifest's columns about classes."""
    probabilities, classes = scores.softmax(dim=1).topk(min(TOP, scores.shape[1]), dim=1)
    return [
        {
            "label": label,
            "name": names[label],
            "top5": top,
            "top5_names": [names[i] for i in top],
            "top5_probabilities": chances,
        }
        for label, top, chances in zip(labels.tolist(), classes.tolist(), probabilities.tolist(), strict=True)
    ]
