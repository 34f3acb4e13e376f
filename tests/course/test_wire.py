"""The message between grader and child: round trips, and bytes that an attacker would send."""

import json
import random
import struct

import numpy as np
import pytest

from course.autograder.wire import pack, unpack


def test_round_trip(rng):
    values = {
        "a": rng.normal(size=(2, 3, 4)).astype(np.float32),
        "empty": np.zeros((0, 3)),
        "scalar": np.asarray(2.5),
        "bytes": rng.integers(0, 256, (5, 5, 3), dtype=np.uint8).transpose(1, 0, 2),
        "flag": np.array([True, False]),
        "text": "é",
        "list": [1, 2.5, None, "x"],
    }
    found = unpack(pack(values))
    assert found.keys() == values.keys()
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            assert found[key].dtype == value.dtype and np.array_equal(found[key], value)
        else:
            assert found[key] == value


def message(header, body=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        struct.pack("<Q", 2**63),
        struct.pack("<Q", 10) + b"{}",
        message(b"not json"),
        message(b"[" * 100_000),
        message([]),
        message({"arrays": []}),
        message({"arrays": {}, "plain": {}}),
        message({"arrays": [], "plain": []}),
        message({"arrays": [], "plain": {}}, b"surplus"),
        message({"arrays": [["a", "float32", [2]]], "plain": {}}, b"1234"),
        message({"arrays": [["a", "object", [1]]], "plain": {}}, b"12345678"),
        message({"arrays": [["a", "float32", [-1]]], "plain": {}}, b"1234"),
        message({"arrays": [["a", "float32", [2**40]]], "plain": {}}),
        message({"arrays": [["a", "float32", [2**30] * 6]], "plain": {}}),
        message({"arrays": [["a", "float32", [1.0]]], "plain": {}}, b"1234"),
        message({"arrays": [["a", "float32", [True]]], "plain": {}}, b"1234"),
        message({"arrays": [["a", ["float32"], [1]]], "plain": {}}, b"1234"),
        message({"arrays": [["a", "float32"]], "plain": {}}),
        message({"arrays": [[1, "float32", [1]]], "plain": {}}, b"1234"),
        message({"arrays": [["a", "float32", [1] * 40]], "plain": {}}, b"1234"),
        message({"arrays": [["a", "float32", [0]]] * 5000, "plain": {}}),
    ],
)
def test_refuses_what_is_no_message(data):
    with pytest.raises(ValueError, match=r"."):
        unpack(data)


def test_damaged_messages_give_a_value_or_a_value_error():
    good, rnd = pack({"a": np.arange(5.0), "b": "x"}), random.Random(0)
    for _ in range(3000):
        data = bytearray(good)
        for _ in range(rnd.randint(1, 4)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        try:
            unpack(bytes(data[: rnd.randint(0, len(data))]))
        except ValueError:
            continue
