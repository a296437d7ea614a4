"""Recurrent layers in one direction: the input projection of all steps at once, then a loop over time.

Each loop exists twice. `rnn_steps`, `lstm_steps` and `gru_steps` are written in operators: they define the layers,
carry second derivatives, packed sequences and batched or traced arrays. On plain arrays one primitive per layer
(`recurrence_kernels`) does the same without a graph node per step.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import ops
from ..autograd.backward import grad
from ..config import enable_grad
from ..ops import nn_functional as F
from ..primitive import primitive
from . import recurrence_kernels as kernels

State = tuple  # (h,) or (h, c)


def rnn_steps(p: Any, h: Any, w: Any, *, relu: bool = False, **scan: Any) -> tuple[list, State]:
    """h' = tanh(p_t + W_hh h), or relu."""
    w = w.t()

    def step(p: Any, state: State) -> State:
        total = ops.addmm(p, state[0], w)
        return (total.relu() if relu else total.tanh(),)

    return _scan(step, p, (h,), **scan)


def lstm_steps(p: Any, h: Any, c: Any, w: Any, w_hr: Any = None, **scan: Any) -> tuple[list, State]:
    """The gates are p_t + W_hh h; see `lstm_step`."""
    w = w.t()

    def step(p: Any, state: State) -> State:
        return lstm_step(ops.addmm(p, state[0], w), state[1], w_hr)

    return _scan(step, p, (h, c), **scan)


def lstm_step(gates: Any, c: Any, w_hr: Any = None) -> State:
    """i, f, o = σ(...), g = tanh(...); c' = f·c + i·g; h' = o·tanh(c'), projected by W_hr if there is one."""
    i, f, g, o = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()
    return (h if w_hr is None else F.linear(h, w_hr)), c


def gru_steps(p: Any, h: Any, w: Any, b: Any = None, **scan: Any) -> tuple[list, State]:
    """The gates are p_t and W_hh h + b_hh; see `gru_step`."""

    def step(p: Any, state: State) -> State:
        return (gru_step(p, F.linear(state[0], w, b), state[0]),)

    return _scan(step, p, (h,), **scan)


def gru_step(from_input: Any, from_hidden: Any, h: Any) -> Any:
    """r, z = σ(...); n = tanh(W_in x + b_in + r·(W_hn h + b_hn)); h' = (1 - z)·n + z·h."""
    size = h.shape[-1]
    x_rz, x_n = from_input.split([2 * size, size], -1)
    h_rz, h_n = from_hidden.split([2 * size, size], -1)
    r, z = (x_rz + h_rz).sigmoid().chunk(2, -1)
    n = (x_n + r * h_n).tanh()
    return n + z * (h - n)


def _scan(
    step: Callable, projected: Any, state: State, batch_sizes: list[int] | None = None, reverse: bool = False
) -> tuple[list, State]:
    """Run `step` over time: the states in the order of time, and the last one.

    `projected` is (time, batch, gates), or with `batch_sizes` the rows of a packed sequence: at time t only the
    first batch_sizes[t] sequences go on.
    """
    inputs = projected.unbind(0) if batch_sizes is None else projected.split(batch_sizes, 0)
    states: list[Any] = [None] * len(inputs)
    times = range(len(inputs) - 1, -1, -1) if reverse else range(len(inputs))
    if batch_sizes is None:
        for t in times:
            states[t] = state = step(inputs[t], state)
        return states, state
    if reverse:
        start = state
        state = tuple(s[: batch_sizes[-1]] for s in start)
        for t in times:
            size, running = batch_sizes[t], state[0].shape[0]
            if size > running:  # sequences that end here join in
                state = tuple(ops.cat([s, s0[running:size]]) for s, s0 in zip(state, start, strict=True))
            states[t] = state = step(inputs[t], state)
        return states, state
    ended: list[State] = []
    for t in times:
        size = batch_sizes[t]
        if size < state[0].shape[0]:  # shorter sequences have ended
            ended.append(tuple(s[size:] for s in state))
            state = tuple(s[:size] for s in state)
        states[t] = state = step(inputs[t], state)
    ended.append(state)
    return states, tuple(ops.cat(parts[::-1]) for parts in zip(*ended, strict=True))


# ---- the same as primitives


def _rule(steps: Callable, backward: Callable, states: int) -> Callable:
    """The joint rule of a scan: on arrays the kernel, recorded the gradient of its definition."""

    def rule(o: Any, g: Any, s: Any, y: Any, *xs: Any, needs: tuple, **params: Any) -> Any:
        if not o.recorded:
            return backward(g, y, *xs, needs=needs, **params)
        with enable_grad():
            # Aliases: the inputs may depend on each other further up, and only this operator is meant.
            xs = tuple(None if x is None else x.view_as(x) for x in xs)
            found, _ = steps(*xs, **params)
            outputs = [ops.stack([state[i] for state in found]) for i in range(states)]
            wanted = [x for x, n in zip(xs, needs, strict=True) if n]
            g = (g,) if states == 1 and not isinstance(g, (tuple, list)) else g
            grads = iter(grad(outputs, wanted, list(g[:states]), create_graph=True, allow_unused=True))
        return tuple(next(grads) if n else None for n in needs)

    return rule


_rnn = primitive("rnn_scan", kernels.rnn, vjp=_rule(rnn_steps, kernels.rnn_backward, 1))
_lstm = primitive("lstm_scan", kernels.lstm, vjp=_rule(lstm_steps, kernels.lstm_backward, 2), outputs=3)
_gru = primitive("gru_scan", kernels.gru, vjp=_rule(gru_steps, kernels.gru_backward, 1), outputs=2)


# ---- whole layers


def run_layer(
    mode: str, x: Any, state: State, weights: Sequence, batch_sizes: list[int] | None = None, reverse: bool = False
) -> tuple[Any, State]:
    """One layer in one direction: outputs (time, batch, features), or packed rows, and the last state.

    `mode` is RNN_TANH, RNN_RELU, LSTM or GRU; `weights` are (w_ih, w_hh, b_ih, b_hh, w_hr), None for what is missing.
    """
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    gru = mode == "GRU"
    p = F.linear(x, w_ih, b_ih if gru or b_ih is None else b_ih + b_hh)
    inputs = (p, *state, w_hh)
    if gru:
        inputs += (b_hh,)
    fused = batch_sizes is None and w_hr is None and all(t is None or type(t._data) is np.ndarray for t in inputs)
    params = {"relu": mode == "RNN_RELU"} if mode.startswith("RNN") else {}
    if fused:
        last = 0 if reverse else -1
        if mode == "LSTM":
            h, c, _ = _lstm(*inputs, reverse=reverse)
            return h, (h[last], c[last])
        h = _gru(*inputs, reverse=reverse)[0] if gru else _rnn(*inputs, reverse=reverse, **params)
        return h, (h[last],)
    if mode == "LSTM":
        inputs += (w_hr,)
    steps = gru_steps if gru else lstm_steps if mode == "LSTM" else rnn_steps
    states, final = steps(*inputs, batch_sizes=batch_sizes, reverse=reverse, **params)
    outputs = [s[0] for s in states]
    return (ops.stack(outputs) if batch_sizes is None else ops.cat(outputs)), final
