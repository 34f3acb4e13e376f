"""Reading one image of a data set: its bytes' hash, its size, and the square the network sees; or why not."""

import hashlib
import io
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from data.samples import SIZE, centre_crop
from image_utils.errors import InputError
from image_utils.loading import open_image, shorten
from image_utils.pixels import to_normalised

MAX_BYTES = 2**30  # of a file; a longer one would not be decoded anyway
MAX_ASPECT = 32  # the shortest side becomes 224 pixels before the crop; a ribbon's longest would fill the memory


@dataclass
class Photo:
    """An image file.

    Attributes:
        sha256: of its bytes, hexadecimal; None if these cannot be read.
        width: pixels, after EXIF rotation; None for what is no image.
        height: likewise.
        pixels: uint8 ndarray (SIZE, SIZE, 3), the centre of the image, its shortest side SIZE; None likewise.
        error: one line, or None.
    """

    sha256: str = None
    width: int = None
    height: int = None
    pixels: np.ndarray = None
    error: str = None


def read_photo(file) -> Photo:
    """Read an image file; whatever is wrong with it becomes the photo's error."""
    photo = Photo()
    try:
        status = Path(file).stat()
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would never end
            raise InputError("it is no ordinary file")
        if status.st_size > MAX_BYTES:
            raise InputError(f"the file has more than {MAX_BYTES:,} bytes")
        content = Path(file).read_bytes()
        photo.sha256 = hashlib.sha256(content).hexdigest()
        if not content:
            raise InputError("the file is empty")
        img = open_image(io.BytesIO(content))
        photo.width, photo.height = img.size
        if max(img.size) > MAX_ASPECT * min(img.size):
            raise InputError(f"the image is more than {MAX_ASPECT} times as long as it is wide")
        photo.pixels = np.array(centre_crop(shorten(img, SIZE), SIZE))
    except OSError as problem:
        photo.error = f"the file cannot be read: {problem.strerror or problem}"
    except Exception as problem:  # noqa: BLE001  (one damaged file, whatever it does to a decoder, ends no run)
        photo.error = " ".join(str(problem).split()) or type(problem).__name__
    return photo


def to_batch(photos, device):
    """Normalise photos for the network: float32 Tensor (N, 3, SIZE, SIZE), channels last, on the device."""
    X = torch.empty(len(photos), 3, SIZE, SIZE, device=device, memory_format=torch.channels_last)
    for x, photo in zip(X, photos, strict=True):  # alone, an image stays in the cache: a quarter of the time
        pixels = torch.from_numpy(photo.pixels).to(device)
        x.copy_(to_normalised((pixels.permute(2, 0, 1).float() / 255)[None])[0])
    return X
