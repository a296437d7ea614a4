"""Where watching meets autograd: three functions of the backward pass, exchanged while at least one watch is open.

``start`` knows the tensors that ``backward()`` was called on, ``topological`` the graph before anything in it is
released, ``accumulate`` the gradients before they are added to ``.grad``. Nothing is exchanged, and nothing is tested,
while nobody watches.
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from ..autograd import engine
from ..autograd.backward import accumulate as plain_accumulate
from ..autograd.backward import start as plain_start
from ..node import topological as plain_topological

# The name `autograd.backward` is taken by the function.
_backward: Any = sys.modules[plain_start.__module__]

watches: tuple[Any, ...] = ()
_lock = threading.Lock()


class _State(threading.local):
    """The backward pass that a thread is in."""

    outputs: Any = None
    fresh = False


_state = _State()


def _start(outputs: Any, gradients: Any, create_graph: bool, who: str) -> Any:
    roots = plain_start(outputs, gradients, create_graph, who)
    if who == "backward":
        _state.outputs, _state.fresh = outputs, True
    return roots


def _topological(roots: list) -> list:
    order = plain_topological(roots)
    if _state.fresh:
        _state.fresh = False
        for watch in watches:
            watch.saw_graph(_state.outputs, order)
    return order


def _accumulate(pending: dict, create_graph: bool) -> None:
    if _state.outputs is not None:
        _state.outputs = None
        for watch in watches:
            watch.saw_gradients(pending)
    plain_accumulate(pending, create_graph)


def attach(watch: Any) -> None:
    """From now on ``watch.saw_graph(outputs, order)`` and ``watch.saw_gradients(pending)`` are called."""
    global watches
    with _lock:
        if not watches:
            _backward.start, engine.topological, _backward.accumulate = _start, _topological, _accumulate
        watches = (*watches, watch)


def detach(watch: Any) -> None:
    """Undo ``attach``; with the last watch everything is as it was."""
    global watches
    with _lock:
        watches = tuple([w for w in watches if w is not watch])
        if not watches:
            _backward.start, engine.topological, _backward.accumulate = plain_start, plain_topological, plain_accumulate
