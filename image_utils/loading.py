"""Reading any image a person has, or saying in one line why not."""

import io
import stat
import struct
import urllib.error
import urllib.request
import warnings
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from image_utils.errors import InputError

MAX_PIXELS = 100_000_000  # a 10,000 x 10,000 photograph; more is taken for a decompression bomb
MAX_DOWNLOAD = 50_000_000  # bytes
DRAWINGS = ("EPS", "WMF", "EMF")  # programs to be run by another program, not pixels


def open_image(source: str | Path | BinaryIO) -> Image.Image:
    """Read an image file of any format Pillow knows as upright RGB.

    EXIF rotation is applied, transparency is laid over white, grey, palette, CMYK and 16-bit images are
    converted, and of an animation the first frame is taken.

    Args:
        source: path, or binary file object.

    Returns:
        PIL image in mode RGB, fully decoded; the file is closed.

    Raises:
        InputError: missing, not an ordinary file, not an image, a vector drawing, truncated, or larger than
            MAX_PIXELS.
    """
    name = f"'{source}'" if isinstance(source, str | Path) else "the image"
    try:
        if isinstance(source, str | Path):
            check_file(source)
        with warnings.catch_warnings():
            # Pillow's own limit is lower and only warns; the check below is the rule here.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(source) as img:
                if img.width * img.height > MAX_PIXELS:
                    raise InputError(f"{name} has {img.width} x {img.height} pixels; at most {MAX_PIXELS:,}")
                if img.format in DRAWINGS:
                    raise InputError(f"{name} is a drawing ({img.format}), not an image of pixels")
                return _to_rgb(_upright(img))
    except InputError:
        raise
    except Image.DecompressionBombError:
        raise InputError(f"{name} has more than {MAX_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise InputError(f"{name} is not an image that Pillow can read") from None
    except (OSError, SyntaxError, ValueError, EOFError, MemoryError, RuntimeError, struct.error) as problem:
        # Pillow's decoders raise any of these on damaged data.
        reason = str(problem).splitlines()[0] if str(problem) else type(problem).__name__
        raise InputError(f"{name} cannot be read: {reason}") from None


def check_file(path: str | Path) -> None:
    """Raise InputError unless `path` is an ordinary file; reading a pipe or a device may never end."""
    try:
        kind = Path(path).stat().st_mode
    except FileNotFoundError:
        raise InputError(f"'{path}' does not exist") from None
    except (OSError, ValueError) as problem:  # a folder that may not be read, a name too long, or one with a NUL
        raise InputError(f"'{path}' cannot be read: {getattr(problem, 'strerror', None) or problem}") from None
    if stat.S_ISDIR(kind):
        raise InputError(f"'{path}' is a directory, not a file")
    if not stat.S_ISREG(kind):
        raise InputError(f"'{path}' is a pipe or a device, not an ordinary file")


def _upright(img: Image.Image) -> Image.Image:
    """Turn an image as its EXIF says; EXIF that cannot be read turns nothing, as in a viewer."""
    try:
        return ImageOps.exif_transpose(img)
    except (AttributeError, KeyError, SyntaxError, TypeError, ValueError, struct.error):
        img.load()  # what is wrong with the pixels themselves is raised here
        return img


def _to_rgb(img: Image.Image) -> Image.Image:
    if img.mode in ("I", "I;16", "I;16L", "I;16B", "F"):
        return Image.fromarray(_to_eight_bits(img)).convert("RGB")
    if img.has_transparency_data:
        img = img.convert("RGBA")
        background = Image.new("RGBA", img.size, "white")
        return Image.alpha_composite(background, img).convert("RGB")
    return img.convert("RGB")


def _to_eight_bits(img: Image.Image) -> np.ndarray:
    """Scale grey images with deeper pixels; Pillow's own conversion would clip them at 255."""
    values = np.asarray(img).astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError("the image holds values that are not finite")
    if img.mode.startswith("I;16") or (img.mode == "I" and values.max() > 255):
        return np.clip(values / 257.0, 0, 255).round().astype(np.uint8)
    if img.mode == "F" and values.min() >= 0 and values.max() <= 1:
        values = values * 255
    return np.clip(values, 0, 255).round().astype(np.uint8)


def shorten(img: Image.Image, size: int) -> Image.Image:
    """Resize so that the shortest side is `size` pixels, bilinear; the aspect ratio is kept."""
    width, height = img.size
    scale = size / min(width, height)
    return img.resize((max(size, int(width * scale)), max(size, int(height * scale))), Image.Resampling.BILINEAR)


def load_image(filename: str | Path, size: int | None = None) -> np.ndarray:
    """Load and resize an image from disk.

    Args:
        filename: path.
        size: length of the shortest side after resizing, or None.

    Returns:
        uint8 ndarray (H, W, 3).

    Raises:
        InputError: see `open_image`.
    """
    img = open_image(filename)
    return np.array(img if size is None else shorten(img, size))


def image_from_url(url: str, *, timeout: float = 10.0, max_bytes: int = MAX_DOWNLOAD) -> np.ndarray:
    """Read an image from the web.

    Args:
        url: an http or https address.
        timeout: seconds without an answer before giving up.
        max_bytes: a longer answer is refused.

    Returns:
        uint8 ndarray (H, W, 3).

    Raises:
        InputError: another scheme, no answer, too long an answer, or no image.
    """
    _check_scheme(url)
    opener = urllib.request.build_opener(_WebOnlyRedirects)
    try:
        with opener.open(url, timeout=timeout) as answer:
            content = answer.read(max_bytes + 1)
    except InputError:
        raise
    except (urllib.error.URLError, OSError, ValueError) as problem:
        raise InputError(f"'{url}' cannot be fetched: {getattr(problem, 'reason', problem)}") from None
    if len(content) > max_bytes:
        raise InputError(f"'{url}' sends more than {max_bytes:,} bytes")
    return np.array(open_image(io.BytesIO(content)))


class _WebOnlyRedirects(urllib.request.HTTPRedirectHandler):
    """A web page must not redirect the reader to a local file."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check_scheme(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_scheme(url: str) -> None:
    if urlsplit(str(url)).scheme not in ("http", "https"):
        raise InputError(f"'{url}' is not an http or https address")
