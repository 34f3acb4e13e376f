"""Folders of images for the tests: the sample photographs, resized and recompressed into as many as needed."""

import io

import numpy as np
from PIL import Image

from data.samples import load_sample_photographs

BROKEN = {
    "empty": lambda jpeg: b"",
    "text": lambda jpeg: b"this is no photograph, whatever it is called\n",
    "truncated": lambda jpeg: jpeg[: len(jpeg) // 2],
    "header": lambda jpeg: jpeg[:20] + bytes(len(jpeg) - 20),
}


def make_folder(folder, count, *, broken=0, size=160):
    """Write `count` files: photographs of several shapes in nested folders, every so often one that is broken.

    Returns:
        List of the broken ones' paths.
    """
    X, _, _ = load_sample_photographs()
    rng = np.random.default_rng(0)
    bad, step = [], count // broken if broken else 0
    for i in range(count):
        width, height = rng.integers(size, size * 3 // 2, 2)
        img = Image.fromarray(X[i % len(X)]).resize((int(width), int(height)), Image.BILINEAR)
        name = f"{'käfer' if i % 3 else 'two words'}/{i % 7}/{i:05d}.jpg"
        data = io.BytesIO()
        img.save(data, "jpeg", quality=int(rng.integers(60, 95)))
        content = data.getvalue()
        if broken and i % step == step // 2 and len(bad) < broken:
            content = list(BROKEN.values())[len(bad) % len(BROKEN)](content)
            bad.append(name)
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return bad
