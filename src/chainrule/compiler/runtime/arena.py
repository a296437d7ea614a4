"""Aligned memory for a compiled step."""

import mmap

import numpy as np

LINE = 64  # what every buffer in an arena is aligned to
_HUGE = 2 << 20
GUARD = 4096  # bytes on each side of a guarded arena
_PATTERN = 0xA5


def round_up(n, to=LINE):
    """The least multiple of ``to`` that is at least ``n``."""
    return -(-n // to) * to


def aligned(nbytes, alignment=LINE):
    """A zeroed uint8 array of ``nbytes`` bytes whose address is a multiple of ``alignment``.

    >>> aligned(100).ctypes.data % 64
    0
    """
    raw = np.zeros(nbytes + alignment, np.uint8)
    skip = -raw.ctypes.data % alignment
    return raw[skip : skip + nbytes]


class Arena:
    """One piece of memory, cut up by the plan; ``nbytes`` long, 64-byte aligned, zero at first.

    From 2 MB on it is aligned for huge pages and asks for them. With ``guard=True`` there is a patterned zone on each
    side, and ``check()`` says whether something wrote there.
    """

    def __init__(self, nbytes, guard=False):
        self.nbytes = int(nbytes)
        if self.nbytes < 0:
            raise ValueError(f"Arena: nbytes must not be negative, got {nbytes}")
        margin = GUARD if guard else 0
        size = round_up(max(1, self.nbytes)) + 2 * margin
        self._map = None
        if size >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE") and not guard:
            self._map = mmap.mmap(-1, size + _HUGE)
            raw = np.frombuffer(self._map, np.uint8)
            skip = -raw.ctypes.data % _HUGE
            whole = raw[skip : skip + size]
            try:
                self._map.madvise(mmap.MADV_HUGEPAGE)
            except OSError:
                pass  # a kernel without huge pages
        else:
            whole = aligned(size)
        self.whole = whole
        self.bytes = whole[margin : margin + self.nbytes]
        self.address = whole.ctypes.data + margin
        self._zones = (whole[:margin], whole[size - margin :]) if margin else ()
        for zone in self._zones:
            zone[...] = _PATTERN

    def view(self, offset, shape, dtype):
        """The array of ``shape`` and ``dtype`` that lies ``offset`` bytes from the start."""
        dtype = np.dtype(dtype)
        n = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if offset < 0 or offset + n > self.nbytes:
            raise ValueError(f"Arena.view: {n} bytes at {offset} do not fit into an arena of {self.nbytes} bytes")
        return self.bytes[offset : offset + n].view(dtype).reshape(shape)

    def check(self):
        """Raise RuntimeError if something wrote into the zones before or behind a guarded arena."""
        for zone, place in zip(self._zones, ("before", "behind"), strict=False):
            at = np.flatnonzero(zone != _PATTERN)
            if len(at):
                raise RuntimeError(
                    f"Arena: {len(at)} bytes written {place} the arena, the first at {at[0]} of the guard zone"
                )
