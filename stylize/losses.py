"""What a picture is judged by: content, style and total variation of an image, whole or tile by tile.

Gatys, Ecker, Bethge 2016 need the features of the whole image at once, 3.5 GB for SqueezeNet at 2048 pixels. But
with F_k the features at place k of n, the content loss and a Gram matrix G are sums over places,

    content = sum_k |F_k - P_k|^2,        G = 1/(C n) sum_k F_k F_k^T,

so one pass over tiles gives G, and with it dL/dG = 2 w (G - A) for the target A; a second pass gives, tile by
tile, the gradient of content + <dL/dG, G> by the image, which is that of the whole loss. Loss and gradient are
those of the whole image; Galerne et al., "Scaling Painting Style Transfer", arXiv 2212.13459, do this for VGG. The
total variation needs no network and is computed on the whole image.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from image_utils.errors import InputError
from stylize.features import check_sequential, extract_features
from stylize.regions import Regions, guide
from stylize.self_product import self_products
from stylize.solvers import Objective
from stylize.strength import weights_at
from stylize.tiles import shapes_of, tiles_of


@dataclass
class Losses:
    """The three losses with their layers and weights, checked; layers are counted from 0 afterwards.

    Attributes:
        cnn: nn.Sequential, the feature layers of a network.
        content_layer: index of the layer for the content loss.
        content_weight: weight of the content loss.
        style_layers: indices of the layers for the style loss.
        style_weights: their weights.
        tv_weight: weight of the total variation.
        content_loss: see `style_utils.style_transfer`, as the other two.
        style_loss: with `gram_matrix`.
        tv_loss: of the image itself.
        precision: of the network; see `networks.precision`.
    """

    cnn: nn.Sequential
    content_layer: int
    content_weight: float
    style_layers: Sequence[int]
    style_weights: Sequence[float]
    tv_weight: float
    content_loss: nn.Module
    style_loss: nn.Module
    tv_loss: nn.Module
    precision: str = "float32"

    def __post_init__(self):
        """Raise InputError for layers that the network does not have, or another number of weights."""
        check_sequential(self.cnn)
        for layer in (self.content_layer, *self.style_layers):
            if not -len(self.cnn) <= layer < len(self.cnn):
                raise InputError(f"there is no layer {layer}: the network has {len(self.cnn)}, counted from 0")
        if not len(self.style_weights) == len(self.style_layers) > 0:
            raise InputError(
                f"{len(self.style_layers)} style layers need as many weights, not {len(self.style_weights)}"
            )
        self.content_layer %= len(self.cnn)
        self.style_layers = [layer % len(self.cnn) for layer in self.style_layers]

    @property
    def settings(self) -> tuple:
        """Layers, weights and precision: all but the network and the functions."""
        return (
            *(self.content_layer, self.content_weight, tuple(self.style_layers), tuple(self.style_weights)),
            *(self.tv_weight, self.precision),
        )

    @property
    def deepest(self) -> int:
        """The last layer that a loss looks at."""
        return max(self.content_layer, *self.style_layers)

    def objective(
        self,
        content: torch.Tensor,
        styles: Sequence[torch.Tensor],
        shares: Sequence[float],
        strength: float | None = None,
        *,
        tile: int | None = None,
        regions: Regions | None = None,
    ) -> Objective:
        """Compute the targets, once, and return the function from an image to its losses by name.

        Mixing styles: sum_k a_k |G - A_k|^2 and |G - sum_k a_k A_k|^2 with sum_k a_k = 1 differ by a constant, so
        the mean Gram matrix is a target that any style loss takes.

        Args:
            content: Tensor (1, 3, H, W), the photograph.
            styles: Tensors (1, 3, h, w), the paintings.
            shares: of the paintings, summing to 1.
            strength: sets the weights in place of those given; see `stylize.strength`.
            tile: side of the tiles, pixels; the style loss is then w (G - A)^2 whatever `style_loss` computes.
                None takes every image whole.
            regions: of the photograph and the paintings, each with its own Gram matrices; see `stylize.regions`.
        """
        covers = regions.shares if regions else [1.0]
        guides = self._guides(content, regions.content if regions else None)
        of_styles = regions.styles if regions else [None] * len(styles)
        with torch.no_grad():
            target, grams = self._read(content, tile, guides)
            style_targets = self._style_targets(styles, shares, of_styles, tile)
            weights = self.content_weight, self.style_weights, self.tv_weight
            if strength is not None:
                fitted = [nn.functional.interpolate(s, content.shape[2:], mode="bilinear") for s in styles]
                apart = [self._distance(img, target, tile) for img in fitted]
                gaps = [float((a - b).square().sum()) for a, b in zip(grams, style_targets, strict=True)]
                n = len(self.style_layers)
                weights = weights_at(
                    strength,
                    sum(share * distance for share, distance in zip(shares, apart, strict=True)),
                    [sum(c * gap for c, gap in zip(covers, gaps[i::n], strict=True)) for i in range(n)],
                    max(float(self.tv_loss(img, 1.0)) for img in (content, *fitted)),
                )
                del fitted
        content_weight, style_weights, tv_weight = weights
        if regions:
            style_weights = [cover * weight for cover in covers for weight in style_weights]

        def objective(img):
            feats, layers = self._features(img), self.style_layers
            with self_products():
                loss = self.content_loss(content_weight, feats[self.content_layer], target)
                if regions:
                    feats = [feats[layer] * guided[layer] for guided in guides for layer in layers]
                    layers = range(len(feats))
                return {
                    "content": loss,
                    "style": self.style_loss(feats, layers, style_targets, style_weights),
                    "tv": self.tv_loss(img, tv_weight),
                }

        def objective_in_tiles(img):
            targets = _Targets(target, content_weight, style_targets, style_weights, tile, guides)
            content, style = _InTiles.apply(img, self, targets)
            return {"content": content, "style": style, "tv": self.tv_loss(img, tv_weight)}

        return objective if tile is None else objective_in_tiles

    def _guides(self, img, masks):
        """Return for each region its guide by style layer, or None where an image does not have it.

        Without masks there is one region, the whole, and nothing to guide.
        """
        if masks is None:
            return [{}]
        shapes = shapes_of(self.cnn, tuple(img.shape[2:]), self.deepest)
        return [
            None if mask is None else {layer: guide(mask, shapes[layer]) for layer in self.style_layers}
            for mask in masks
        ]

    def _style_targets(self, styles, shares, masks, tile):
        """Return the paintings' mean Gram matrices by region and layer; of those that have the region."""
        guides = [self._guides(*image) for image in zip(styles, masks, strict=True)]
        n, mean = len(self.style_layers), [0.0] * (len(guides[0]) * len(self.style_layers))
        for share, style, of_style in zip(shares, styles, guides, strict=True):
            for i, gram in enumerate(self._read(style, tile, of_style)[1]):
                has = [one[i // n] is not None for one in guides]
                whole = 1.0 if all(has) else sum(s for s, there in zip(shares, has, strict=True) if there)
                mean[i] = mean[i] + share / whole * gram
        return mean

    def _features(self, img):
        return extract_features(img, self.cnn, up_to=self.deepest, precision=self.precision)

    def _pieces(self, img, tile):
        """Go through the tiles of an image."""
        layers = {self.content_layer, *self.style_layers}
        return tiles_of(self.cnn, sorted(layers), tuple(img.shape[2:]), tile)

    def _read(self, img, tile, guides):
        """Return an image's content features, and its Gram matrices by region and layer."""
        kept, grams = None, [0.0] * (len(guides) * len(self.style_layers))
        for piece in self._pieces(img, tile):
            feats = self._features(img[piece.cut])
            if tile is None:
                kept = feats[self.content_layer].clone()
            else:
                if kept is None:
                    kept = img.new_empty(
                        shapes_of(self.cnn, tuple(img.shape[2:]), self.deepest)[self.content_layer]
                    )
                kept[piece.places[self.content_layer]] = self._own(feats, piece, self.content_layer)
            grams = self._add_grams(grams, feats, piece, guides)
            del feats  # before the next tile's are computed
        return kept, grams

    def _distance(self, img, target, tile):
        """Return the content loss of an image at weight 1."""
        apart, layer = 0.0, self.content_layer
        for piece in self._pieces(img, tile):
            own = self._own(self._features(img[piece.cut]), piece, layer)
            apart += float((own - target[piece.places[layer]]).square().sum())
        return apart

    def _add_grams(self, grams, feats, piece, guides):
        """Add a tile's part to each Gram matrix."""
        grams = list(grams)
        for i, (guided, layer) in enumerate(itertools.product(guides, self.style_layers)):
            if guided is not None and piece.share[layer]:
                own = self._own(feats, piece, layer)
                if layer in guided:
                    own = own * guided[layer][piece.places[layer]]
                grams[i] = grams[i] + piece.share[layer] * self.style_loss.gram_matrix(own)
        return grams

    @staticmethod
    def _own(feats, piece, layer):
        return feats[layer][piece.inside[layer]]


@dataclass(frozen=True)
class _Targets:
    content: torch.Tensor
    content_weight: float
    style: list
    style_weights: Sequence[float]
    tile: int
    guides: list


class _InTiles(torch.autograd.Function):
    """Content and style loss of an image in tiles: the first pass is the forward, the second the backward pass."""

    @staticmethod
    def forward(ctx, img, losses, targets):
        """Return both losses, scalar Tensors, of an image (1, 3, H, W)."""
        content, grams = img.new_zeros(()), [0.0] * len(targets.style)
        for piece in losses._pieces(img, targets.tile):
            feats = losses._features(img[piece.cut])
            content = content + _content(losses, targets, feats, piece)
            grams = losses._add_grams(grams, feats, piece, targets.guides)
            del feats  # before the next tile's are computed
        gaps = [gram - target for gram, target in zip(grams, targets.style, strict=True)]
        style = sum(w * gap.square().sum() for w, gap in zip(targets.style_weights, gaps, strict=True))
        ctx.save_for_backward(img, *(2 * w * gap for w, gap in zip(targets.style_weights, gaps, strict=True)))
        ctx.losses, ctx.targets = losses, targets
        return content, style

    @staticmethod
    def backward(ctx, of_content, of_style):
        """Return the gradient by the image."""
        img, *slopes = ctx.saved_tensors
        losses, targets = ctx.losses, ctx.targets
        gradient = torch.zeros_like(img)
        for piece in losses._pieces(img, targets.tile):
            with torch.enable_grad(), self_products():
                cut = img[piece.cut].detach().requires_grad_()
                feats = losses._features(cut)
                total = of_content * _content(losses, targets, feats, piece)
                grams = losses._add_grams([0.0] * len(slopes), feats, piece, targets.guides)
                total = total + of_style * sum(
                    (slope * gram).sum()
                    for slope, gram in zip(slopes, grams, strict=True)
                    if isinstance(gram, torch.Tensor)
                )
            gradient[piece.cut] += torch.autograd.grad(total, cut)[0]
            del feats, grams, total  # with the graph, before the next tile's is built
        return gradient, None, None


def _content(losses, targets, feats, piece):
    """Return a tile's part of the content loss."""
    layer = losses.content_layer
    if not piece.share[layer]:
        return 0.0
    return losses.content_loss(
        targets.content_weight, losses._own(feats, piece, layer), targets.content[piece.places[layer]]
    )
