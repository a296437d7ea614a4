"""Nested plain data as a JSON text, with the tensors taken out and named by their path.

A JSON value stands for itself if it is null, a bool, an int, a finite float, a string or a list; everything else is an
object with one entry, ``{kind: content}``. Nothing in the text can name a class or a function to be called.
"""

from __future__ import annotations

import base64
import math
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..devices import Size, device
from ..errors import ArgumentError, FileFormatError
from ..handle import Tensor
from ..nn.parameter import Buffer, Parameter
from ..ops.random import Generator
from .tensor_file import storable

_DICTS: dict[type, str] = {dict: "dict", OrderedDict: "OrderedDict", Counter: "Counter"}
_TENSORS: dict[type, str] = {Tensor: "tensor", Parameter: "parameter", Buffer: "buffer"}


class Encoder:
    """Turns an object into JSON data; the arrays found on the way are collected in ``arrays``."""

    def __init__(self) -> None:
        self.arrays: dict[str, np.ndarray] = {}
        self._names: dict[tuple, str] = {}  # memory -> name: tensors that share memory are stored once
        self._keep: list[np.ndarray] = []  # keeps memory alive, so that an address is not used twice
        self._open: set[int] = set()  # containers around the present one

    def encode(self, value: Any, path: tuple = ()) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": str(value)}
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if kind in _DICTS or kind in (list, tuple, set, frozenset):
            if id(value) in self._open:
                raise ArgumentError(f"save: {show(path)} contains itself; break the cycle before saving")
            self._open.add(id(value))
            try:
                return self._container(value, kind, path)
            finally:
                self._open.discard(id(value))
        if kind is Size:
            return {"size": list(value)}
        if kind is np.ndarray:
            return {"ndarray": self._store(value, path)}
        if kind is bytes:
            return {"bytes": base64.b64encode(value).decode()}
        if kind is complex:
            return {"complex": [str(value.real), str(value.imag)]}
        if kind is dtypes.dtype:
            return {"dtype": str(value).removeprefix("torch.")}
        if kind is device:
            return {"device": str(value)}
        if kind is Generator:
            return {"generator": self._store(value.get_state()._data, path)}
        if isinstance(value, np.generic) and storable(value.dtype):
            return {"scalar": self._store(np.asarray(value), path)}
        raise not_plain(value, path)

    def _container(self, value: Any, kind: type, path: tuple) -> Any:
        if kind in _DICTS:
            items = [[self.encode(k, (*path, f"key {k!r}")), self.encode(v, (*path, k))] for k, v in value.items()]
            content: dict[str, Any] = {_DICTS[kind]: items}
            # Module.state_dict() keeps the modules' versions in this attribute.
            extra = getattr(value, "_metadata", None) if kind is OrderedDict else None
            if extra is not None:
                content["_metadata"] = self.encode(extra, (*path, "_metadata"))
            return content
        items = [self.encode(v, (*path, i)) for i, v in enumerate(value)]
        return items if kind is list else {kind.__name__: items}

    def _tensor(self, value: Tensor, path: tuple) -> Any:
        kind = _TENSORS.get(type(value))
        if kind is None or type(value._data) is not np.ndarray:
            raise not_plain(value, path)
        content: dict[str, Any] = {kind: self._store(value._data, path)}
        if value._requires_grad != (kind == "parameter"):
            content["requires_grad"] = bool(value._requires_grad)
        return content

    def _store(self, array: np.ndarray, path: tuple) -> str:
        if not storable(array.dtype):
            raise ArgumentError(
                f"save: {show(path)} has the dtype {array.dtype}, which the file format cannot hold; convert it first, "
                "or write save(obj, f, pickle=True)"
            )
        memory = (array.__array_interface__["data"][0], array.dtype, array.shape, array.strides)
        name = self._names.get(memory) if array.size else None
        if name is None:
            name = self._unused(".".join(str(part) for part in path) or "value")
            self._names[memory] = name
            self.arrays[name] = array
            self._keep.append(array)
        return name

    def _unused(self, name: str) -> str:
        if name == "__metadata__":
            name = "__metadata__#0"
        base, n = name, 1
        while name in self.arrays:
            n += 1
            name = f"{base}#{n}"
        return name


class Decoder:
    """The way back, given the arrays."""

    def __init__(self, arrays: dict[str, np.ndarray], damaged: Callable[[str], FileFormatError]) -> None:
        self._arrays, self._damaged = arrays, damaged
        self._cells: dict[str, Any] = {}
        self._first: dict[str, Tensor] = {}

    def decode(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.decode(v) for v in value]
        if not isinstance(value, dict):
            return value
        try:
            return self._tagged(value)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, StopIteration, RecursionError) as error:
            raise self._damaged(f"its description cannot be understood ({type(error).__name__}: {error})") from None

    def _tagged(self, value: dict) -> Any:
        kind = next(iter(value))
        content = value[kind]
        for made, name in _DICTS.items():
            if kind == name:
                result = made()
                for k, v in content:
                    result[self.decode(k)] = self.decode(v)
                if "_metadata" in value:
                    result._metadata = self.decode(value["_metadata"])
                return result
        for made, name in _TENSORS.items():
            if kind == name:
                return self.tensor(content, made, value.get("requires_grad", name == "parameter"))
        if kind in ("tuple", "set", "frozenset"):
            return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](self.decode(v) for v in content)
        if kind == "float":
            return float(content)
        if kind == "complex":
            return complex(float(content[0]), float(content[1]))
        if kind == "size":
            return Size(content)
        if kind == "bytes":
            return base64.b64decode(content)
        if kind == "dtype":
            found = getattr(dtypes, content)
            if not isinstance(found, dtypes.dtype):
                raise ValueError(content)
            return found
        if kind == "device":
            return device(content)
        if kind == "ndarray":
            return self._arrays[content]
        if kind == "scalar":
            return self._arrays[content][()]
        if kind == "generator":
            return Generator().set_state(Tensor._wrap(self._arrays[content]))
        raise ValueError(f"unknown kind {kind!r}, perhaps written by a newer version")

    def tensor(self, name: str, made: type, requires_grad: bool) -> Tensor:
        """A tensor over the named array; tensors that shared memory when they were saved share it again."""
        result = object.__new__(made)
        result._data = self._arrays[name]
        if name in self._first:
            result._cell = self._first[name]._shared_cell()
        else:
            self._first[name] = result
        if requires_grad:
            result._requires_grad = True
        return result


def show(path: tuple) -> str:
    """The place of a value as the user would write it: ``obj['model'][0]``."""
    text = "obj"
    for part in path:
        text += f".{part}" if part == "_metadata" else f"[{part!r}]"
    return text


def not_plain(value: Any, path: tuple) -> ArgumentError:
    """The error for something that is not plain data: what, where, and what to write instead."""
    where, kind = show(path), type(value).__name__
    if callable(getattr(value, "state_dict", None)):
        advice = f"Save {where}.state_dict() instead, and load it with load_state_dict()."
    elif isinstance(value, tuple):
        advice = f"Save tuple({where}) or {where}._asdict() instead."
    elif isinstance(value, dict):
        advice = f"Save dict({where}) instead."
    elif callable(value):
        advice = "A function cannot be saved as data; save the numbers it needs."
    else:
        advice = "Save the tensors, numbers, strings, lists and dicts it is made of instead."
    return ArgumentError(
        f"save: {where} is a {kind}, which is not plain data. {advice} To write a pickle, which runs code when it is "
        "loaded, ask for it: save(obj, f, pickle=True)."
    )
