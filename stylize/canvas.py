"""Where a picture comes about: its sources as the network takes them, and the files that show them and it."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from image_utils.errors import InputError
from image_utils.figures import image_grid, show_in_notebook
from image_utils.loading import open_image
from image_utils.pixels import deprocess, preprocess, to_normalised, to_pixels
from image_utils.writing import save_figure, save_image
from networks.seeding import make_generator
from stylize.colour import with_luminance_of
from stylize.features import check_sequential
from stylize.record import Diverged, Record

Source = str | Path | Image.Image


def open_source(source: Source) -> Image.Image:
    """Open an image file, or take a PIL image, as RGB."""
    return source.convert("RGB") if isinstance(source, Image.Image) else open_image(source)


def load_source(source: Source, size: int, cnn: nn.Sequential, dtype: object) -> torch.Tensor:
    """Load an image as the network takes it.

    Args:
        source: image file, or PIL image.
        size: shortest side after resizing, pixels.
        cnn: nn.Sequential whose device the image goes to.
        dtype: torch.FloatTensor, torch.cuda.FloatTensor or another such type, or a torch.dtype.

    Returns:
        Tensor (1, 3, H, W), normalised.

    Raises:
        InputError: no such image, a cnn that is not an nn.Sequential, or one of another dtype.
    """
    check_sequential(cnn)
    if size < 1:
        raise InputError(f"the size of an image must be at least 1 pixel, not {size}")
    photograph = open_source(source)
    weights = next(cnn.parameters(), torch.empty(0))
    img = preprocess(photograph, size).type(dtype).to(weights.device)
    if img.dtype != weights.dtype:
        raise InputError(f"dtype {dtype} does not fit a network of {weights.dtype}; convert with cnn.type(dtype)")
    return img


def noise_like(img: torch.Tensor, seed: int) -> torch.Tensor:
    """Draw uniform noise in [0, 1] of an image's shape, the same for a seed on every device."""
    return torch.empty(img.shape).uniform_(0, 1, generator=make_generator(seed)).to(img)


def as_photograph(img: torch.Tensor, solver: str = "course", preserve_color: bool = False) -> Image.Image:
    """Turn a result into a photograph.

    The course's schedule keeps pixels in a narrow range, which the course's `deprocess` stretches to the full one.
    The other solvers bound nothing; as in Gatys et al. 2016 what no photograph can hold is clipped, since a few
    extreme pixels would leave a stretched picture grey. Clipping also keeps colours that must be preserved.

    Args:
        img: Tensor (1, 3, H, W), normalised.
        solver: what made it.
        preserve_color: whether it has the content image's colours.

    Returns:
        PIL image, W x H.
    """
    return deprocess(img, should_rescale=solver == "course" and not preserve_color)


class Canvas:
    """The files of a picture: OUT/NAME_before.png, the sources side by side, and OUT/NAME.png, the result.

    In a notebook both are shown as they are written. Where the picture is only tried (`testing`), nothing is.
    """

    def __init__(
        self,
        name: str,
        out: str | Path,
        sources: Sequence[Source],
        *,
        testing: bool = False,
        solver: str = "course",
        colours_of: torch.Tensor | None = None,
    ):
        """Check that the files would not overwrite a source.

        Args:
            name: of the files.
            out: their folder.
            sources: what the picture is made from; files among them are kept safe.
            testing: write and show nothing.
            solver: what makes the picture; see `as_photograph`.
            colours_of: Tensor (1, 3, H, W), normalised, the image whose colours the result gets.

        Raises:
            InputError: a file would overwrite a source.
        """
        self.result, self.before = Path(out) / f"{name}.png", Path(out) / f"{name}_before.png"
        self.testing, self.solver, self.colours_of = testing, solver, colours_of
        taken = {Path(source).resolve() for source in sources if isinstance(source, str | Path)}
        for target in () if testing else (self.result, self.before):
            if target.resolve() in taken:
                raise InputError(f"the result would overwrite its source '{target}'; choose another name")

    def show_sources(self, content: torch.Tensor, styles: Sequence[torch.Tensor], caption: str | None) -> None:
        """Write the sources, Tensors (1, 3, H, W), side by side, and below them what is to be said of them."""
        if self.testing:
            return
        images = [np.asarray(deprocess(img, should_rescale=False)) for img in (content, *styles)]
        titles = ["Content source", *["Style source"] * len(styles)]
        figure = image_grid([images], column_titles=titles, caption=caption, cell=3.2)
        save_figure(figure, self.before)
        show_in_notebook(figure)

    def finish(self, img: torch.Tensor) -> torch.Tensor | None:
        """Write the result, Tensor (1, 3, H, W); when testing, return it instead."""
        img = self.coloured(img.detach())
        if self.testing:
            return img
        picture = as_photograph(img, self.solver, preserve_color=self.colours_of is not None)
        save_image(picture, self.result)
        show_in_notebook(picture)
        return None

    def coloured(self, img: torch.Tensor) -> torch.Tensor:
        """Give an image, Tensor (1, 3, H, W), the colours that it should have."""
        if self.colours_of is None:
            return img
        source = nn.functional.interpolate(self.colours_of, img.shape[2:], mode="bilinear", antialias=True)
        return to_normalised(with_luminance_of(to_pixels(source), to_pixels(img)))

    @contextlib.contextmanager
    def kept(self, record: Record) -> Iterator[None]:
        """Write what there is when the work inside breaks off: the last image, or after a divergence the best."""
        try:
            yield
        except Diverged as stop:
            if stop.image is not None:
                self.finish(stop.image)
            raise
        except KeyboardInterrupt:
            if record.last is not None:
                self.finish(record.last.image)
            raise
