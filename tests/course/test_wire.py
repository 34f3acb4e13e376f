"""The message between grader and child: round trips, and bytes that an attacker would send."""

import json
import random

import numpy as np
import pytest
from safetensors.numpy import save

from course.autograder.wire import ARRAY, TEXT, pack, unpack


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(same(*pair) for pair in zip(a, b, strict=True))
    return a == b


def test_round_trip(rng):
    values = {
        "a": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "empty": np.zeros((0, 3)),
        "scalar": np.asarray(2.5),
        "bytes": rng.integers(0, 256, (5, 5, 3), dtype=np.uint8).transpose(1, 0, 2),
        "flag": np.array([True, False]),
        "text": "é",
        "list": [1, 2.5, None, "x", {"inside": np.arange(3)}, [np.ones(2)]],
    }
    assert same(values, unpack(pack(values)))
    assert unpack(pack({})) == {}


def test_what_cannot_be_sent_is_an_error():
    with pytest.raises(TypeError, match="cannot send set"):
        pack({"a": {1}})


def message(text, **arrays):
    text = text if isinstance(text, bytes) else json.dumps(text).encode()
    return save({TEXT: np.frombuffer(text, np.uint8), **arrays})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 8,
        b"\x02" + b"\x00" * 7 + b"{}",
        save({"no text": np.zeros(2)}),
        message(b"not json"),
        message(b"[" * 100_000),
        message(b"\xff"),
        message([1]),
        message("text"),
        message({"a": {ARRAY: "absent"}}),
        message({"a": {ARRAY: []}}),
        message({"a": 1}) + b"surplus",
        message({"a": 1})[:-1],
        pack({"a": np.zeros(3)}).replace(b"[3]", b"[9]"),
        pack({"a": np.zeros(3)}).replace(b"F64", b"XXX"),
    ],
)
def test_refuses_what_is_not_a_message(data):
    with pytest.raises(ValueError, match="no readable message"):
        unpack(data)


def test_damaged_messages_give_a_dict_or_a_value_error():
    good, rnd = pack({"a": np.arange(5.0), "b": "x"}), random.Random(0)
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rnd.randint(1, 4)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        try:
            assert isinstance(unpack(bytes(data[: rnd.randint(0, len(data))])), dict)
        except ValueError:
            continue
