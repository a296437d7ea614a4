"""One recurrent layer in one direction: the input projection of all steps at once, then a loop over time.

Per step there remain few operators: for a plain RNN one fused multiply-add and one activation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ... import ops
from .. import functional as F

State = tuple  # (h,) or (h, c)


def rnn_layer(x: Any, state: State, weights: Sequence, activation: Callable, **scan: Any) -> tuple[list, State]:
    """h' = activation(W_ih x + b_ih + W_hh h + b_hh)."""
    w_ih, w_hh, b_ih, b_hh, _ = weights
    projected = F.linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
    w = w_hh.t()

    def step(p: Any, state: State) -> State:
        return (activation(ops.addmm(p, state[0], w)),)

    return _scan(step, projected, state, **scan)


def lstm_layer(x: Any, state: State, weights: Sequence, **scan: Any) -> tuple[list, State]:
    """i, f, o = σ(...), g = tanh(...); c' = f·c + i·g; h' = o·tanh(c') (projected by W_hr if there is one)."""
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    projected = F.linear(x, w_ih, None if b_ih is None else b_ih + b_hh)
    w = w_hh.t()

    def step(p: Any, state: State) -> State:
        return lstm_step(ops.addmm(p, state[0], w), state[1], w_hr)

    return _scan(step, projected, state, **scan)


def lstm_step(gates: Any, c: Any, w_hr: Any = None) -> State:
    """The new (h, c) from the four gates before activation and the old c."""
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if w_hr is None else F.linear(h, w_hr)), c


def gru_layer(x: Any, state: State, weights: Sequence, **scan: Any) -> tuple[list, State]:
    """r, z = σ(...); n = tanh(W_in x + b_in + r·(W_hn h + b_hn)); h' = (1 - z)·n + z·h."""
    w_ih, w_hh, b_ih, b_hh, _ = weights

    def step(p: Any, state: State) -> State:
        return (gru_step(p, F.linear(state[0], w_hh, b_hh), state[0]),)

    return _scan(step, F.linear(x, w_ih, b_ih), state, **scan)


def gru_step(from_input: Any, from_hidden: Any, h: Any) -> Any:
    """The new h from both projections of all three gates and the old h."""
    size = h.shape[-1]
    x_rz, x_n = from_input.split([2 * size, size], -1)
    h_rz, h_n = from_hidden.split([2 * size, size], -1)
    r, z = (x_rz + h_rz).sigmoid().chunk(2, -1)
    n = (x_n + r * h_n).tanh()
    return n + z * (h - n)


def _scan(
    step: Callable, projected: Any, state: State, batch_sizes: list[int] | None = None, reverse: bool = False
) -> tuple[list, State]:
    """Run `step` over time: outputs in the order of time, and the last state.

    `projected` is (time, batch, gates), or with `batch_sizes` the rows of a packed sequence: at time t only the
    first batch_sizes[t] sequences go on.
    """
    inputs = projected.unbind(0) if batch_sizes is None else projected.split(batch_sizes, 0)
    outputs: list[Any] = [None] * len(inputs)
    times = range(len(inputs) - 1, -1, -1) if reverse else range(len(inputs))
    if batch_sizes is None:
        for t in times:
            state = step(inputs[t], state)
            outputs[t] = state[0]
        return outputs, state
    if reverse:
        start = state
        state = tuple(s[: batch_sizes[-1]] for s in start)
        for t in times:
            size, running = batch_sizes[t], state[0].shape[0]
            if size > running:  # sequences that end here join in
                state = tuple(ops.cat([s, s0[running:size]]) for s, s0 in zip(state, start, strict=True))
            state = step(inputs[t], state)
            outputs[t] = state[0]
        return outputs, state
    ended: list[State] = []
    for t in times:
        size = batch_sizes[t]
        if size < state[0].shape[0]:  # shorter sequences have ended
            ended.append(tuple(s[size:] for s in state))
            state = tuple(s[:size] for s in state)
        state = step(inputs[t], state)
        outputs[t] = state[0]
    ended.append(state)
    return outputs, tuple(ops.cat(parts[::-1]) for parts in zip(*ended, strict=True))
