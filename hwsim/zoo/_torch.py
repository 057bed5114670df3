"""Weights out of a torch checkpoint of the form before 1.6, without torch and without unpickling.

Such a file is five pickles (magic, protocol, machine, the dictionary, storage keys) and the raw storages. The pickles
are walked by a small machine that knows only a few opcodes and names; it builds dictionaries, tuples and descriptions
of tensors, imports nothing and calls nothing. Anything else is an error.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hwsim.errors import ModelError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
MAX_STEPS = 1_000_000
_STORAGES = {"torch FloatStorage": "<f4", "torch HalfStorage": "<f2", "torch LongStorage": "<i8"}
_NAMES = {*_STORAGES, "torch._utils _rebuild_tensor_v2", "collections OrderedDict"}
_LITERALS = ("BININT", "BININT1", "BININT2", "LONG1", "BINUNICODE", "SHORT_BINUNICODE")
_FIXED = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}


@dataclass(frozen=True, slots=True)
class _Name:
    text: str


@dataclass(frozen=True, slots=True)
class _Storage:
    dtype: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read(data: bytes, where: str) -> dict[str, NDArray[np.float32]]:
    """The state dictionary: name -> float32 array (integer entries are left out).

    Raises:
        ModelError: another form, an opcode or name that is not allowed, or sizes that do not fit.
    """
    try:
        file = BytesIO(data)
        if (_unpack(file), _unpack(file)) != (MAGIC, PROTOCOL):
            raise ModelError("not a torch checkpoint of the form before 1.6", where=where)
        _unpack(file)
        state, keys = _unpack(file), _unpack(file)
        if not isinstance(state, dict) or not isinstance(keys, list):
            raise ModelError("expected a dictionary of tensors and a list of storages", where=where)
        found = {name: held for name, held in state.items() if isinstance(held, _Tensor)}
        kinds = {held.storage.key: held.storage for held in found.values()}
        storages = dict(_storages(data, file.tell(), keys, kinds))
        return {
            name: _view(storages[held.storage.key], held) for name, held in found.items() if held.storage.dtype != "<i8"
        }
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, UnicodeDecodeError, RecursionError) as err:
        raise ModelError(f"a damaged checkpoint: {type(err).__name__}: {err}", where=where) from None


def _unpack(file: BytesIO) -> Any:
    """What one pickle describes."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def marked() -> list[Any]:
        at = marks.pop()
        items = stack[at:]
        del stack[at:]
        return items

    for step, (op, arg, _) in enumerate(pickletools.genops(file)):
        if step > MAX_STEPS:
            raise ValueError("too many opcodes")
        if op.name in _LITERALS:
            stack.append(arg)
        elif op.name in _FIXED:
            stack.append(_FIXED[op.name])
        elif op.name == "GLOBAL":
            if arg not in _NAMES:
                raise ValueError(f"name {arg!r} is not allowed")
            stack.append(_Name(str(arg)))
        elif op.name in ("BINPUT", "LONG_BINPUT"):
            memo[int(str(arg))] = stack[-1]
        elif op.name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[int(str(arg))])
        elif op.name == "MARK":
            marks.append(len(stack))
        elif op.name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_TUPLE"):
            stack.append({"EMPTY_DICT": {}, "EMPTY_LIST": [], "EMPTY_TUPLE": ()}[op.name])
        elif op.name == "TUPLE":
            stack.append(tuple(marked()))
        elif op.name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(op.name[-1])
            stack[-size:] = [tuple(stack[-size:])]
        elif op.name in ("SETITEM", "SETITEMS"):
            items = marked() if op.name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            stack[-1].update(zip(items[0::2], items[1::2], strict=True))
        elif op.name == "APPENDS":
            items = marked()
            stack[-1].extend(items)
        elif op.name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif op.name == "REDUCE":
            arguments = stack.pop()
            stack.append(_made(stack.pop(), arguments))
        elif op.name == "BUILD":
            stack.pop()  # a dictionary's own attributes (torch notes versions there); not needed
        elif op.name == "STOP":
            return stack.pop()
        elif op.name != "PROTO":
            raise ValueError(f"opcode {op.name} is not allowed")
    raise ValueError("a pickle without an end")


def _storage(described: tuple[Any, ...]) -> _Storage:
    word, kind, key, _, count = described[:5]
    if word != "storage" or not isinstance(key, str) or type(count) is not int or count < 0:
        raise ValueError("not a storage")
    return _Storage(_STORAGES[kind.text], key, count)


def _made(name: _Name, arguments: tuple[Any, ...]) -> Any:
    if name.text == "collections OrderedDict":
        return {}
    if name.text != "torch._utils _rebuild_tensor_v2":
        raise ValueError(f"{name.text!r} is not called")
    storage, offset, shape, strides = arguments[:4]
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or any(type(n) is not int or n < 0 for n in numbers):
        raise ValueError("not a tensor")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _storages(
    data: bytes, at: int, keys: list[Any], kinds: dict[str, _Storage]
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    for key in keys:
        held = kinds[key]
        count, start = int.from_bytes(data[at : at + 8], "little"), at + 8
        at = start + count * np.dtype(held.dtype).itemsize
        if count != held.count or at > len(data):
            raise ValueError(f"storage {key} is not as large as declared")
        yield key, np.frombuffer(data, held.dtype, count, start).astype(np.float32)


def _view(storage: NDArray[np.float32], held: _Tensor) -> NDArray[np.float32]:
    last = held.offset + sum((d - 1) * stride for d, stride in zip(held.shape, held.strides, strict=True))
    if 0 in held.shape or last >= storage.size or prod(held.shape) > storage.size:
        raise ValueError(f"a tensor of shape {list(held.shape)} lies outside its storage")
    steps = tuple(stride * storage.itemsize for stride in held.strides)
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(storage[held.offset :], held.shape, steps))
