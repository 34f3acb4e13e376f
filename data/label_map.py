"""Reading a pickled dict of int to str without running a pickle.

A pickle is a program for a small stack machine, and loading one can import and call anything. The machine here
knows only the instructions that NumPy needs to write such a dict, and only the six names that occur in it; these
build plain Python values. Nothing named in a file is ever imported.
"""

import pickletools
import re
from typing import Any

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
LITERALS = {"BININT", "BININT1", "BININT2", "BINUNICODE", "SHORT_BINUNICODE", "BINBYTES", "SHORT_BINBYTES"}
EMPTY = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
MARK = object()
ORDERS = {"<": "utf-32-le", ">": "utf-32-be"}


class Name(str):
    """What a pickle calls a function or class: "numpy.dtype"."""


class Dtype:
    """A stand-in for numpy.dtype, of objects ("O8") or of text ("U12")."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.order: Any = None


class Array:
    """A stand-in for a numpy array of no dimensions that holds one object."""

    content: Any = None


def read_label_map(content: bytes) -> dict[int, str]:
    """Read the pickle of a NumPy object array that holds one dict of int to str (or numpy.str_).

    Args:
        content: the pickle, of protocol 2 to 4, as numpy.save writes it.

    Returns:
        The dict, all values plain str.

    Raises:
        ValueError: anything else is in the pickle, or it is damaged.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(content):
            _step(opcode.name, argument, stack, memo)
        (array,) = stack
        return dict(array.content.items())
    except (AttributeError, LookupError, TypeError, ValueError) as problem:
        raise ValueError(f"label_map is not a plain dict of int to str: {problem}") from None


def _step(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    """Run one instruction of the pickle on the machine's stack and memory."""
    if name in LITERALS:
        stack.append(argument)
    elif name in CONSTANTS:
        stack.append(CONSTANTS[name])
    elif name in EMPTY:
        stack.append(EMPTY[name]())
    elif name == "MARK":
        stack.append(MARK)
    elif name in TUPLES:
        stack[-TUPLES[name] :] = [tuple(stack[-TUPLES[name] :])]
    elif name == "TUPLE":
        stack.append(tuple(_since_mark(stack)))
    elif name == "GLOBAL":
        stack.append(Name(argument.replace(" ", ".")))
    elif name == "STACK_GLOBAL":
        stack[-2:] = [Name(".".join(stack[-2:]))]
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name == "REDUCE":
        function, arguments = stack[-2:]
        stack[-2:] = [_call(function, arguments)]
    elif name == "BUILD":
        _set_state(stack[-2], stack.pop())
    elif name == "APPEND":
        _typed(stack[-2], list).append(stack.pop())
    elif name in ("SETITEM", "SETITEMS"):
        items = _since_mark(stack) if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
        _set_items(_typed(stack[-1], dict), items[::2], items[1::2])
    elif name not in ("PROTO", "FRAME", "STOP"):
        raise ValueError(f"it holds the instruction {name}")


def _since_mark(stack: list[Any]) -> list[Any]:
    items = []
    while (item := stack.pop()) is not MARK:
        items.append(item)
    return items[::-1]


def _typed(value: Any, kind: type) -> Any:
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} instead of {kind.__name__}")
    return value


def _set_items(target: dict[int, str], keys: list[Any], values: list[Any]) -> None:
    for key, value in zip(keys, values, strict=True):
        target[_typed(key, int)] = _typed(value, str)


def _call(function: Any, arguments: Any) -> Any:
    """Do what a function would that NumPy has in such a pickle, for the arguments it has there."""
    function = _typed(function, Name).replace("numpy._core.", "numpy.core.")
    if function == "_codecs.encode":  # how protocol 2 writes bytes
        text, encoding = arguments
        if _typed(encoding, str) == "latin1":
            return _typed(text, str).encode("latin1")
    elif function == "__builtin__.bytes":  # and how it writes none
        if arguments == ():
            return b""
    elif function == "numpy.dtype":
        code, align, copy = arguments
        if re.fullmatch(r"O8|U\d{1,4}", _typed(code, str)) and not align and copy in (0, 1):
            return Dtype(code)
    elif function == "numpy.core.multiarray.scalar":
        return _text(*arguments)
    elif function == "numpy.core.multiarray._reconstruct":
        kind, shape, code = arguments
        if _typed(kind, Name) == "numpy.ndarray" and shape == (0,) and code == b"b":
            return Array()
    raise ValueError(f"it calls {function[:60]!r}")


def _text(dtype: Any, raw: Any) -> str:
    """Decode numpy.str_: UTF-32 of the width in its dtype."""
    length = int(_typed(dtype, Dtype).code.removeprefix("U"))
    if len(_typed(raw, bytes)) != 4 * length:
        raise ValueError(f"it holds {len(raw)} bytes for a text of {length} characters")
    return raw.decode(ORDERS[dtype.order])


def _set_state(target: Any, state: Any) -> None:
    if type(target) is Dtype:  # (version, byte order, None, None, None, size, alignment, flags)
        version, target.order = state[:2]
        if version != 3 or len(state) != 8 or any(part is not None for part in state[2:5]):
            raise ValueError("it holds a dtype with fields")
    elif type(target) is Array:  # (version, shape, dtype, Fortran order, list of elements)
        version, shape, dtype, fortran, elements = state
        if version != 1 or shape != () or _typed(dtype, Dtype).code != "O8" or fortran:
            raise ValueError("it is not a single dict")
        (content,) = _typed(elements, list)
        target.content = _typed(content, dict)
    else:
        raise TypeError(f"a state for {type(target).__name__}")
