"""Arrays and plain values as bytes that can be read without trusting whoever wrote them, by safetensors and JSON.

Runs on both sides, also where nothing else of the project can be imported.
"""

import json

import numpy as np
from safetensors.numpy import load, save

TEXT, ARRAY = "text", "array"


def pack(values):
    """Turn a dict of what JSON holds, with ndarrays anywhere in it, into bytes."""
    arrays = {}

    def name_of(value):
        if not isinstance(value, np.ndarray):
            raise TypeError(f"cannot send {type(value).__name__}")
        arrays[str(len(arrays))] = np.asarray(value, order="C")
        return {ARRAY: str(len(arrays) - 1)}

    text = json.dumps(values, default=name_of).encode()
    return save(arrays | {TEXT: np.frombuffer(text, np.uint8)})


def unpack(data):
    """Read what `pack` wrote, or whatever somebody else wrote in its place.

    Raises:
        ValueError: the bytes are not a whole message.
    """
    try:
        arrays = load(data)
        text = arrays.pop(TEXT).tobytes()
        return dict(json.loads(text, object_hook=lambda d: arrays[d[ARRAY]] if list(d) == [ARRAY] else d))
    except Exception as problem:  # noqa: BLE001  (the reader's own kinds, by what is wrong with the bytes)
        raise ValueError(f"no readable message ({type(problem).__name__})") from None
