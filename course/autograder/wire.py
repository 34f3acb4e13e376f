"""Arrays and plain values as bytes, readable without trusting the sender.

A length, a JSON header, then the arrays' raw bytes. Reading checks every length before it uses it and builds
nothing but numbers, text, lists and dicts: no pickle, no compressed data, no code.

Runs on both sides, also where nothing else of the project can be imported.
"""

import json
import struct

import numpy as np

KINDS = ("float32", "float64", "int64", "uint8", "bool")
MAX_HEADER = 1_000_000  # bytes
MAX_ARRAYS = 2000
MAX_DIMENSIONS = 6


def pack(values):
    """Turn a dict of arrays and plain values into bytes.

    Args:
        values: dict from str to ndarray of one of KINDS, or to anything JSON holds.
    """
    arrays = {key: np.asarray(value, order="C") for key, value in values.items() if isinstance(value, np.ndarray)}
    layout = [[key, array.dtype.name, list(array.shape)] for key, array in arrays.items()]
    plain = {key: value for key, value in values.items() if key not in arrays}
    header = json.dumps({"arrays": layout, "plain": plain}).encode()
    return b"".join([struct.pack("<Q", len(header)), header, *(array.tobytes() for array in arrays.values())])


def unpack(data):
    """Read what `pack` wrote, or whatever somebody else wrote in its place.

    Args:
        data: bytes.

    Returns:
        dict of ndarrays and plain values.

    Raises:
        ValueError: the bytes are not a whole message; nothing larger than they are was allocated.
    """
    if len(data) < 8:
        raise ValueError("no message")
    (length,) = struct.unpack_from("<Q", data)
    if length > min(MAX_HEADER, len(data) - 8):
        raise ValueError("the header is cut off or too long")
    try:
        header = json.loads(data[8 : 8 + length])
        layout, plain = header["arrays"], header["plain"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError("the header is not readable") from None
    if not isinstance(plain, dict) or not isinstance(layout, list) or len(layout) > MAX_ARRAYS:
        raise ValueError("the header is not as agreed")
    values, position = dict(plain), 8 + length
    for entry in layout:
        key, dtype, shape = _checked(entry)
        count = 1
        for side in shape:
            count *= side
        size = count * np.dtype(dtype).itemsize
        if size > len(data) - position:
            raise ValueError("an array is cut off")
        values[key] = np.frombuffer(data, dtype, count, position).reshape(shape).copy()
        position += size
    if position != len(data):
        raise ValueError("something follows the last array")
    return values


def _checked(entry):
    if not isinstance(entry, list) or len(entry) != 3:
        raise ValueError("an array's entry is not as agreed")
    key, dtype, shape = entry
    sides = isinstance(shape, list) and len(shape) <= MAX_DIMENSIONS
    if not isinstance(key, str) or dtype not in KINDS or not sides:
        raise ValueError("an array's entry is not as agreed")
    if not all(type(side) is int and 0 <= side < 2**31 for side in shape):
        raise ValueError("an array's shape is not as agreed")
    return key, dtype, shape
