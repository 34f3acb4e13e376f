"""What the network says of an image when parts of it are covered."""

import itertools
from collections.abc import Iterable

import torch

from networks.no_trace import untouched
from networks.scores import check_images, class_scores

BATCH = 8  # masked images in a forward pass on a CPU, whose caches hold them


def memory_order(X: torch.Tensor) -> torch.memory_format:
    """Return the order in which images (N, C, H, W) lie in memory; CPUs compute faster with the channels last."""
    channels_last = X.is_contiguous(memory_format=torch.channels_last) and not X.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def masked_scores(
    model, X, y, masks: Iterable[torch.Tensor], *, baseline=0.0, softmax=False, batch=None
) -> torch.Tensor:
    """Score every image under every mask: the score of baseline + (x - baseline) * mask.

    An image that stands next to itself in the batch, for several classes, goes through the network once.

    Args:
        model: classification network (N, C, H, W) -> (N, classes); left as it was.
        X: float Tensor (N, C, H, W), normalised, on the model's device; the order of its memory is kept.
        y: int64 Tensor (N,), class indices.
        masks: Tensors (H, W), 1 where the image is kept and 0 where it is covered: a Tensor (K, H, W), or any
            iterable if there is one image, since these need not be in memory together.
        baseline: what covers the image: a number or a Tensor that broadcasts to (C, H, W). Zero, after
            normalisation, is the mean colour.
        softmax: whether the score is the class's probability instead of its score.
        batch: masks in one forward pass; None for what suits the device.

    Returns:
        Tensor (N, K), X's dtype and device.

    Raises:
        InputError: shapes, dtypes or labels do not fit.
    """
    check_images(X)
    order = memory_order(X)
    labels = torch.as_tensor(y, device=X.device)
    baseline = torch.as_tensor(baseline).to(X).expand(1, *X.shape[1:]).contiguous(memory_format=order)[0]
    batch = batch or (BATCH if X.device.type == "cpu" else 4 * BATCH)
    rows, before = [], None
    with untouched(model), torch.no_grad():
        for image, label in zip(X, labels, strict=True):
            if before is None or not torch.equal(image, before):
                before, outputs, rest = image, [], iter(masks)
                while some := list(itertools.islice(rest, batch)):
                    # At a mask of 0 or 1, lerp gives the baseline or the image to the last bit.
                    covered = torch.lerp(baseline, image, torch.stack(some)[:, None].to(X))
                    outputs.append(model(covered.contiguous(memory_format=order)))
                outputs = torch.cat(outputs)
                outputs = outputs.softmax(1) if softmax else outputs
            rows.append(class_scores(outputs, label.expand(len(outputs))))
    return torch.stack(rows)
