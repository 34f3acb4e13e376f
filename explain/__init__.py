"""Attributions of whole folders of images, on one machine or on a Ray cluster.

python -m explain FOLDER --out OUT

from explain import read
heat = read("OUT", "cats/tabby.jpg", "gradcam")        # (224, 224)
"""

__all__ = ["read"]


def __getattr__(name):
    if name == "read":  # only when asked for: it takes pyarrow, and what runs without should
        from explain.storage import read

        return read
    raise AttributeError(f"module 'explain' has no attribute '{name}'")
