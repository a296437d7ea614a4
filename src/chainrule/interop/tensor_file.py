"""The safetensors format: named arrays and a text, in one file that holds no code.

Layout (https://github.com/huggingface/safetensors#format): eight bytes with the header's length, a JSON header that
gives each array's dtype, shape and place, then the arrays' bytes without gaps. It is written and read here directly,
array by array, so that neither needs a second copy of the data in memory; the tests check both directions against the
safetensors package.
"""

from __future__ import annotations

import json
import math
import mmap
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import FileFormatError

# The limit that the format sets against headers made to exhaust memory.
MAX_HEADER = 100_000_000

_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
}
_NAMES = {code: name for name, code in _CODES.items()}


def storable(dtype: np.dtype) -> bool:
    return dtype.name in _CODES


def _raw(array: np.ndarray) -> memoryview:
    """The array's bytes, little-endian, without a copy where possible."""
    array = np.ascontiguousarray(array)
    if sys.byteorder == "big":
        array = array.byteswap()
    return memoryview(array.reshape(-1).view(np.uint8))


def write(stream: Any, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays of storable dtypes and a map of texts to a binary stream."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    # Wide dtypes first: then every array is aligned to its own width.
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    end = 0
    for name in names:
        array = arrays[name]
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER:
        raise FileFormatError(
            f"save: the description of the object takes {len(text)} bytes, the format allows {MAX_HEADER}; "
            "put long lists of numbers into tensors"
        )
    stream.write(len(text).to_bytes(8, "little"))
    stream.write(text)
    for name in names:
        stream.write(_raw(arrays[name]))


class Header:
    """A checked header: ``metadata``, and for each name dtype, shape and place among the data bytes."""

    def __init__(self, text: bytes, source: str) -> None:
        self.source = source
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise self.damaged(f"its header is not JSON ({error})") from None
        if not isinstance(content, dict):
            raise self.damaged("its header is not a JSON object")
        metadata = content.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise self.damaged("its metadata is not a map of texts")
        self.metadata: dict[str, str] = metadata
        self.entries: dict[str, tuple[np.dtype, tuple[int, ...], int, int]] = {}
        for name, entry in content.items():
            self.entries[name] = self._entry(name, entry)
        self.size = 0
        for name, (_, _, start, end) in sorted(self.entries.items(), key=lambda item: item[1][2:]):
            if start != self.size:
                raise self.damaged(f"the bytes of tensor {name!r} do not follow those of the tensor before it")
            self.size = end

    def _entry(self, name: str, entry: Any) -> tuple[np.dtype, tuple[int, ...], int, int]:
        try:
            code, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            numbers = (*shape, start, end)
            sound = all(type(n) is int and n >= 0 for n in numbers)
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise self.damaged(f"the description of tensor {name!r} is not valid")
        if code not in _NAMES:
            raise FileFormatError(
                f"load: {self.source}: tensor {name!r} has the dtype {code}, which chainrule does not have; "
                f"convert it to one of {', '.join(_NAMES)} first"
            )
        dtype = getattr(dtypes, _NAMES[code]).np
        if end - start != math.prod(shape) * dtype.itemsize:
            raise self.damaged(f"tensor {name!r}: {end - start} bytes cannot hold shape {list(shape)} of dtype {code}")
        return dtype, shape, start, end

    def damaged(self, what: str) -> FileFormatError:
        return FileFormatError(f"load: {self.source} is damaged or not a safetensors file: {what}")


def read_header(prefix: bytes, stream: Any, source: str) -> Header:
    """Read the header; ``prefix`` is what was read already, the first eight bytes."""
    length = int.from_bytes(prefix, "little")
    if len(prefix) < 8 or length > MAX_HEADER:
        raise FileFormatError(f"load: {source} is damaged or not a safetensors file: its first bytes are no header")
    text = stream.read(length)
    if len(text) < length:
        raise FileFormatError(f"load: {source} is truncated: it ends within the header")
    return Header(text, source)


def read_arrays(header: Header, stream: Any) -> dict[str, np.ndarray]:
    """Read the arrays that follow the header; each gets memory of its own."""
    arrays = {}
    for name, (dtype, shape, start, end) in sorted(header.entries.items(), key=lambda item: item[1][2:]):
        array = np.empty(shape, dtype)
        view = memoryview(array.reshape(-1).view(np.uint8))
        done = 0
        while done < end - start:
            count = _read_into(stream, view[done:])
            if not count:
                raise FileFormatError(
                    f"load: {header.source} is truncated: it ends within tensor {name!r} "
                    f"({start + done} of {header.size} data bytes)"
                )
            done += count
        arrays[name] = array.byteswap() if sys.byteorder == "big" else array
    return {name: arrays[name] for name in header.entries}


def _read_into(stream: Any, view: memoryview) -> int:
    if hasattr(stream, "readinto"):
        return stream.readinto(view) or 0
    data = stream.read(len(view))
    view[: len(data)] = data
    return len(data)


def map_arrays(header: Header, stream: Any) -> dict[str, np.ndarray]:
    """Arrays over the file's pages, read when touched; writing to them changes memory only, never the file."""
    start = stream.tell()
    if not header.size:
        return {name: np.empty(shape, dtype) for name, (dtype, shape, _, _) in header.entries.items()}
    pages = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)
    arrays = {}
    for name, (dtype, shape, a, _) in header.entries.items():
        count = math.prod(shape)
        flat = np.frombuffer(pages, dtype, count, start + a) if count else np.empty(0, dtype)
        arrays[name] = flat.reshape(shape)
    return arrays
