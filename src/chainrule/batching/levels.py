"""Which batches are open. Each has a level of its own; one opened later, so further inside, has a higher one."""

import itertools
import threading
from contextlib import contextmanager

from .array import sizes_of
from .crossing import lift_batch

_next_level = itertools.count(1).__next__


class _State(threading.local):
    open = ()  # (level, size) of the batches that are open, outermost first


_state = _State()


@contextmanager
def open_batch(size):
    """Open a batch; gives its level, to be used in ``enter_batch`` and ``exit_batch``."""
    before, level = _state.open, _next_level()
    _state.open = (*before, (level, size))
    try:
        yield level
    finally:
        _state.open = before


def lift_all(x):
    """A variable made inside open batches belongs to every sample of each of them."""
    own = sizes_of(x._data)
    for level, n in _state.open:
        if level not in own:
            x = lift_batch(x, level=level, size=n)
    return x
