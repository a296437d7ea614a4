"""What stands for the operands of a schedule's tasks."""

import ctypes
import sys
from dataclasses import dataclass

import numpy as np

from ...errors import UnsupportedError
from .layout import PIECE


@dataclass(frozen=True)
class At:
    """A buffer in the arena, ``offset`` bytes from its start."""

    offset: int
    nbytes: int | None = None  # for bounds checks; None: up to the arena's end


@dataclass(frozen=True)
class External:
    """A buffer that comes with each call as a NumPy array of exactly this layout."""

    shape: tuple
    dtype: object
    strides: tuple | None = None  # bytes; None: C-contiguous
    writable: bool = False

    @property
    def extent(self):
        """Bytes from the first element's start to the last one's end."""
        if 0 in self.shape:
            return 0
        item = np.dtype(self.dtype).itemsize
        if self.strides is None:
            return item * int(np.prod(self.shape, dtype=np.int64))
        return item + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))


@dataclass(frozen=True)
class Callout:
    """In a task the place of a kernel: a Python function called from inside the step with arrays over its operands."""

    call: object
    operands: tuple  # (shape, dtype) or (shape, dtype, strides in bytes) for each buffer
    name: str = "callout"
    title: str = ""


@dataclass(frozen=True)
class Copy:
    """In a task the place of a kernel: the first operand's ``bytes`` go to the second."""

    nbytes: int
    name = title = "copy"
    entry = "cr.copy"  # the runtime's function
    operands = 2
    flops = scratch = 0

    @property
    def bytes(self):
        return 2 * self.nbytes

    @property
    def chunks(self):
        return -(-self.nbytes // PIECE)


@dataclass(frozen=True)
class Check:
    """In a task the place of a kernel: the run ends with CheckError(numbers[k]) if operand k, one byte, is the first
    that is not zero."""

    numbers: tuple
    name = title = "check"
    entry = "cr.verify"
    flops = bytes = scratch = 0

    @property
    def operands(self):
        return len(self.numbers)

    chunks = operands


_interpreter = []


def check_interpreter():
    """Raise UnsupportedError if arrays and tuples are not laid out in memory as the native side reads them."""
    if _interpreter:
        return
    a = np.arange(6.0).reshape(2, 3)
    t = (a, None)
    ok = sys.implementation.name == "cpython" and object.__basicsize__ == 16 and sys.maxsize > 2**32
    if ok:
        raw = (ctypes.c_int64 * 10).from_address(id(a))
        pair = (ctypes.c_int64 * (tuple.__basicsize__ // 8 + 2)).from_address(id(t))
        ok = (
            raw[1] == id(np.ndarray)
            and raw[2] == a.ctypes.data
            and raw[3] & 0xFFFFFFFF == 2
            and list((ctypes.c_int64 * 2).from_address(raw[4])) == [2, 3]
            and list((ctypes.c_int64 * 2).from_address(raw[5])) == [24, 8]
            and raw[7] == id(a.dtype)
            and raw[8] & 0x501 == 0x501
            and pair[2] == 2
            and pair[tuple.__basicsize__ // 8] == id(a)
        )
    if not ok:
        raise UnsupportedError(
            "chainrule.compile needs the standard 64-bit CPython (with its global lock) and NumPy 2, "
            f"this is {sys.implementation.name} {sys.version.split()[0]} with NumPy {np.__version__}"
        )
    _interpreter.append(True)
