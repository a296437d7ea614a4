"""Which batches are open: every running ``vmap`` has a level, the innermost the highest."""

import threading
from contextlib import contextmanager

from .array import BatchedArray
from .crossing import lift_batch


class _State(threading.local):
    """The sizes of the batches that are open, outermost first; the level of the k-th is k + 1."""

    sizes = ()


_state = _State()


@contextmanager
def open_batch(size):
    """Open a batch; gives its level, to be used in ``enter_batch`` and ``exit_batch``."""
    before = _state.sizes
    _state.sizes = (*before, size)
    try:
        yield len(before) + 1
    finally:
        _state.sizes = before


def lift_all(x):
    """A variable made inside open batches belongs to every sample of each of them."""
    for k, n in enumerate(_state.sizes):
        a = x._data
        levels = set()
        while type(a) is BatchedArray:
            levels.add(a.level)
            a = a.data
        if k + 1 not in levels:
            x = lift_batch(x, level=k + 1, size=n)
    return x
