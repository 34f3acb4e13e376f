"""What a script works on: the network, the photographs, and what the network says of these, computed once."""

import copy
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from image_utils.pixels import to_input
from networks.precision import memory_layout
from networks.scores import first_scores

BATCH = 16  # photographs in one pass; more need more memory and save no time


@dataclass
class Inputs:
    """What a script works on. What can be known of the photographs is computed when first asked for, and once.

    Attributes:
        model: classification network, eval mode, frozen, on `device`.
        X: N photographs, uint8 (H, W, 3) each, shortest side 224.
        y: int64 ndarray (N,), the classes to explain.
        class_names: dict from class index to name.
        device: torch.device.
        out: folder of the figures.
        seed: integer.
        files: of one's own photographs; empty for the samples.
    """

    model: torch.nn.Module
    X: list
    y: np.ndarray
    class_names: dict
    device: torch.device
    out: Path
    seed: int
    files: list = field(default_factory=list)

    @functools.cached_property
    def batches(self) -> list[torch.Tensor]:
        """The photographs in order, normalised once and on the device: Tensors (n, 3, H, W), n at most BATCH."""
        same = len({x.shape for x in self.X}) == 1
        step = BATCH if same else 1
        groups = [self.X[first : first + step] for first in range(0, len(self.X), step)]
        return [to_input(np.stack(group)).to(self.device) for group in groups]

    @functools.cached_property
    def scores(self) -> list[torch.Tensor]:
        """The network's class scores of each photograph, Tensors (C,) on the CPU.

        Raises:
            InputError: the network does not take such photographs.
        """
        return self.each(lambda x, _: first_scores(self.model, x).cpu())

    @functools.cached_property
    def channels_last(self) -> torch.nn.Module:
        """The network with weights of its own, the channels last where it takes that: on a CPU passes of many
        images then need 0.6 of the time. Sums run in another order, so results agree to rounding.
        """
        twin = copy.deepcopy(self.model)
        return twin.to(memory_format=memory_layout(self.model, self.batches[0][:1]))

    def each(self, function) -> list:
        """Apply `function(x, y)` to the batches and their labels; returns one result a photograph."""
        results = []
        for x in self.batches:
            y = torch.as_tensor(self.y[len(results) : len(results) + len(x)], device=self.device)
            results.extend(function(x.detach(), y))
        return results

    def tensors(self) -> tuple[torch.Tensor | list[torch.Tensor], torch.Tensor]:
        """Return X_tensor and y_tensor as the course's scripts have them.

        Returns:
            (float Tensor (N, 3, H, W) that requires a gradient, int64 Tensor (N,)); where photographs differ in
            size, a list of N Tensors (3, H, W) in the place of the first.
        """
        y_tensor = torch.as_tensor(self.y, device=self.device)
        if len({x.shape for x in self.X}) == 1:
            return torch.cat(self.batches).requires_grad_(), y_tensor
        return [x[0].detach().requires_grad_() for x in self.batches], y_tensor

    def names(self) -> list[str]:
        """Return the name of each photograph's class."""
        return [self.class_names[int(label)] for label in self.y]

    def titles(self) -> list[str]:
        """Say of each photograph its class and the network's probability of it."""
        chances = [s.softmax(0)[label].item() for s, label in zip(self.scores, self.y, strict=True)]
        return [f"{name}\n{percent(p)}" for name, p in zip(self.names(), chances, strict=True)]

    @functools.cached_property
    def top(self) -> list[tuple[int, float]]:
        """The class that the network sees in each photograph, and its probability."""
        best = [scores.softmax(0).max(0) for scores in self.scores]
        return [(int(index), float(value)) for value, index in best]

    def sights(self) -> Iterator[str]:
        """Say in a line for each photograph what the network sees, and which class is explained, if another."""
        for i, (seen, probability) in enumerate(self.top):
            name = self.files[i] if self.files else f"photograph {i}"
            line = f"{name}: {self.class_names[seen]}, {percent(probability)}"
            explained = int(self.y[i])
            yield line if explained == seen else f"{line}; explained: {self.class_names[explained]}"

    def gains(self) -> list[float]:
        """Return what each class score gains over that of the mean colour, which is zero after normalisation."""
        with torch.no_grad():
            grey = self.each(lambda x, _: self.model(torch.zeros_like(x[:1])).cpu().expand(len(x), -1))
        return [(s - g)[label].item() for s, g, label in zip(self.scores, grey, self.y, strict=True)]

    def one_by_one(self, function, title) -> list:
        """Apply `function(x, y)` to each photograph alone, for slow methods; a progress bar appears after 2 s."""
        progress = tqdm(total=len(self.X), desc=title, unit="image", delay=2, leave=False, disable=None)

        def counted(x, y):
            results = []
            for image, label in zip(x.split(1), y.split(1), strict=True):
                results.append(function(image, label)[0])
                progress.update()
            return results

        with progress:
            return self.each(counted)


def percent(probability: float) -> str:
    """Write a probability as a person reads it: 87 %, 0.3 %, under 0.1 %."""
    if probability < 0.001:
        return "under 0.1 %"
    return f"{100 * probability:.0f} %" if probability >= 0.0995 else f"{100 * probability:.1f} %"
