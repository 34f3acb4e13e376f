"""The label map's reader: what NumPy writes is read, and every other pickle is refused before it does anything."""

import os
import pickle
import struct

import numpy as np
import pytest

from data.label_map import read_label_map

NAMES = {0: "tench, Tinca tinca", 1: "", 998: "émeu \N{OCTOPUS}", 7: "crane"}
CORE = "numpy.core.multiarray" if np.__version__ < "2" else "numpy._core.multiarray"


def array(content, protocol):
    """The pickle that numpy.save writes of a dict."""
    return pickle.dumps(np.array(content, dtype=object), protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", [str, np.str_])
@pytest.mark.parametrize("count", [0, 1, 4, 2500])
def test_reads_what_numpy_writes(protocol, kind, count):
    names = NAMES if count == 4 else {i: f"class {i}" for i in range(count)}
    written = array({key: kind(value) for key, value in names.items()}, protocol)
    found = read_label_map(written)
    assert found == names == pickle.loads(written).item()  # noqa: S301
    assert all(type(key) is int and type(value) is str for key, value in found.items())


def test_reads_text_of_either_byte_order_and_either_name_of_numpys_room():
    written = array({3: np.str_("crane")}, 2)
    swapped = written.replace(b"X\x01\x00\x00\x00<", b"X\x01\x00\x00\x00>")
    swapped = swapped.replace(
        "".join(f"{c}\0\0\0" for c in "crane").encode(), "".join(f"\0\0\0{c}" for c in "crane").encode()
    )
    assert swapped != written and read_label_map(swapped) == {3: "crane"}
    old = written.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert read_label_map(old) == read_label_map(old.replace(b"numpy.core", b"numpy._core")) == {3: "crane"}


def test_reads_the_courses_file(reference):
    with np.load(
        reference / "imagenet_val_25.npz", allow_pickle=True
    ) as archive:  # our own copy: it is trusted here
        array = archive["label_map"]
    found = read_label_map(pickle.dumps(array, 2))
    assert found == array.item() and len(found) == 999 and 134 not in found


class Runs:
    """Pickled as a call of any function with any arguments."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class RunsAsDict(dict):
    def __reduce__(self):
        return exec, ("open('ran', 'w').close()",)


class HasState:
    pass


class Other(dict):
    pass


def state_of(target):
    """An object whose state is set when it is read."""
    thing = HasState()
    thing.x = target
    return thing


def opcodes(*parts):
    """A pickle of an array of one dict, whose one value is what the parts leave on the stack."""
    written = array({0: "VALUE"}, 2)
    value = b"X\x05\x00\x00\x00VALUE"
    start = written.index(value)
    assert written[start + len(value) : start + len(value) + 1] == b"q"  # a memo number of one byte follows
    return written[:start] + b"".join(parts) + written[start + len(value) + 2 :]


def deep(levels):
    return b")" + b"\x85" * levels


def text(content):
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def scalar(code, raw, order="<"):
    """The pickle of a numpy.str_ with another dtype or other bytes."""
    return b"".join(
        (
            f"c{CORE}\nscalar\n".encode(),
            b"cnumpy\ndtype\n" + text(code) + b"K\x00K\x01\x87R(K\x03" + text(order) + b"NNNK\x04K\x04K\x08tb",
            b"c_codecs\nencode\n" + text(raw) + text("latin1") + b"\x86R\x86R",
        )
    )


TOUCH = "open('ran', 'w').close()"
HOSTILE = {
    "exec instead of the array": pickle.dumps(Runs(exec, TOUCH), 2),
    "exec instead of the dict": array(RunsAsDict(), 2),
    "exec as a value": array({0: Runs(exec, TOUCH)}, 4),
    "exec as a key": array({0: "a", Runs(exec, TOUCH): "b"}, 2),
    "os.system": array({0: Runs(os.system, "touch ran")}, 3),
    "eval by an old instruction": opcodes(b"(" + text(TOUCH) + b"ibuiltins\neval\n"),
    "eval by another": opcodes(b"(cbuiltins\neval\n" + text(TOUCH) + b"o"),
    "a class made without its __init__": opcodes(b"cnumpy\nndarray\n)\x81"),
    "numpy's own loader": opcodes(b"cnumpy\nload\n" + text("other.npy") + b"\x85R"),
    "numpy's pickle module": opcodes(b"cnumpy._core._multiarray_umath\nloads\n" + text("x") + b"\x85R"),
    "getattr": opcodes(b"cbuiltins\ngetattr\ncnumpy\nndarray\n" + text("tofile") + b"\x86R"),
    "an attribute in a dotted name": opcodes(b"\x8c\x05numpy\x8c\x0endarray.tofile\x93)R"),
    "numpy.ndarray called": opcodes(b"cnumpy\nndarray\nJ\xff\xff\xff\x7f\x85\x85R"),
    "another codec": opcodes(b"c_codecs\nencode\n" + text("x") + text("rot13") + b"\x86R"),
    "a state for a string": opcodes(text("x") + b"}b"),
    "a state for a name": opcodes(b"cnumpy\ndtype\nN}" + text("__call__") + text("x") + b"s\x86b"),
    "an object's state": array({0: state_of("x")}, 2),
    "a dict subclass": array(Other({0: "a"}), 2),
    "an array in the dict": array({0: np.zeros(3)}, 2),
    "bytes": array({0: b"a"}, 3),
    "a number": array({0: np.float64(1)}, 2),
    "a truth value as a key": array({True: "a"}, 2),
    "a list": array({0: ["a"]}, 2),
    "a persistent object": opcodes(b"Pfile\n"),
    "an extension": opcodes(b"\x82\x01"),
    "tuples too deep to hash": opcodes(deep(50_000)),
    "tuples too deep to compare": deep(50_000) + deep(50_000) + b"\x86.",
    "text of another length": opcodes(scalar("U2", "a\0\0\0")),
    "text that is no UTF-32": opcodes(scalar("U1", "\xff\xff\xff\xff")),
    "text of no byte order": opcodes(scalar("U1", "a\0\0\0", "|")),
    "an integer as text": opcodes(scalar("i4", "a\0\0\0")),
    "a dtype of records": opcodes(scalar("V4", "a\0\0\0")),
    "two arrays": array({0: "a"}, 2)[:-1] + array({0: "a"}, 2)[2:],
    "a plain dict": pickle.dumps({0: "a"}, 2),
    "nothing": b"",
    "no end": array({0: "a"}, 2)[:-1],
    "half": array(NAMES, 2)[:150],
    "another shape": pickle.dumps(np.array([{0: "a"}, {1: "b"}], dtype=object), 2),
    "one in a row": pickle.dumps(np.array([{0: "a"}], dtype=object), 2),
    "protocol 0": array({0: "a"}, 0),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_refuses_everything_else_and_runs_nothing(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="label_map is not a plain dict of int to str"):
        read_label_map(HOSTILE[name])
    assert not list(tmp_path.iterdir())
