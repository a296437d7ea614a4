"""Where watching meets autograd: three functions of the backward pass, exchanged while at least one watch is open.

``start`` knows the tensors that ``backward()`` was called on, ``topological`` the graph before anything in it is
released, ``accumulate`` the gradients before they are added to ``.grad``. Nothing is exchanged, and nothing is tested,
while nobody watches. A watch that looks at every so many steps only sleeps in between: it is told of losses alone.
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
sleepers: tuple[Any, ...] = ()
_lock = threading.Lock()


class _State(threading.local):
    """The backward pass that a thread is in."""

    outputs: Any = None
    fresh = False


_state = _State()


def _start(outputs: Any, gradients: Any, create_graph: bool, who: str) -> Any:
    roots = plain_start(outputs, gradients, create_graph, who)
    if who == "backward":
        if sleepers:
            for watch in sleepers:
                watch.saw_loss(outputs, roots)
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
    _set((*[w for w in watches if w is not watch], watch), tuple([w for w in sleepers if w is not watch]))


def sleep(watch: Any) -> None:
    """From now on only ``watch.saw_loss(outputs, roots)`` is called, until ``attach``."""
    _set(tuple([w for w in watches if w is not watch]), (*[w for w in sleepers if w is not watch], watch))


def detach(watch: Any) -> None:
    """Undo ``attach``; with the last watch everything is as it was."""
    _set(tuple([w for w in watches if w is not watch]), tuple([w for w in sleepers if w is not watch]))


def _set(awake: tuple, asleep: tuple) -> None:
    global watches, sleepers
    with _lock:
        watches, sleepers = awake, asleep
        _backward.start = _start if awake or asleep else plain_start
        engine.topological = _topological if awake else plain_topological
        _backward.accumulate = _accumulate if awake else plain_accumulate
