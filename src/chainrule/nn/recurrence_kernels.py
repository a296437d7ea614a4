"""Recurrent layers on arrays: forward over time, and backward through time.

Shapes: p (T, B, gates·H) is the projected input, w (gates·H, H) the recurrent weight, h and c (B, H). Everything that
does not depend on the state is computed for all times at once; a step of the backward loop is one product with w.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def _order(length: int, reverse: bool) -> range:
    return range(length - 1, -1, -1) if reverse else range(length)


def _before(y: np.ndarray, start: np.ndarray, reverse: bool) -> np.ndarray:
    """The state before each step."""
    return np.concatenate([y[1:], start[None]]) if reverse else np.concatenate([start[None], y[:-1]])


def _weight_gradient(d: np.ndarray, before: np.ndarray) -> np.ndarray:
    return d.reshape(-1, d.shape[-1]).T @ before.reshape(-1, before.shape[-1])


def rnn(p: np.ndarray, h: np.ndarray, w: np.ndarray, *, relu: bool, reverse: bool) -> np.ndarray:
    """All states y_t = tanh(p_t + y_{t-1} Wᵀ), or relu."""
    y = np.empty_like(p)
    wt = np.ascontiguousarray(w.T)
    for t in _order(len(p), reverse):
        out = y[t]
        np.matmul(h, wt, out=out)
        out += p[t]
        if relu:
            np.maximum(out, 0, out=out)
        else:
            np.tanh(out, out=out)
        h = out
    return y


def rnn_backward(
    g: np.ndarray, y: np.ndarray, p: Any, h: np.ndarray, w: np.ndarray, *, needs: tuple, relu: bool, reverse: bool
) -> tuple:
    """The gradients of p, h and w."""
    slope = (y > 0).astype(y.dtype) if relu else 1 - y * y
    d = np.empty_like(y)
    carried = np.zeros_like(h)
    for t in _order(len(y), not reverse):
        out = d[t]
        np.add(g[t], carried, out=out)
        out *= slope[t]
        carried = np.matmul(out, w)
    return d, carried, _weight_gradient(d, _before(y, h, reverse)) if needs[2] else None


def lstm(p: np.ndarray, h: np.ndarray, c: np.ndarray, w: np.ndarray, *, reverse: bool) -> tuple:
    """All states h and c, and the activated gates (T, B, 4, H)."""
    steps, batch, size = p.shape[0], p.shape[1], w.shape[1]
    gates = np.empty((steps, batch, 4, size), p.dtype)
    hs = np.empty((steps, batch, size), p.dtype)
    cs = np.empty_like(hs)
    # σ(x) = (tanh(x/2) + 1)/2: with i, f, o halved in advance one tanh serves all four gates.
    half = np.array([0.5, 0.5, 1.0, 0.5], p.dtype)
    scale = np.repeat(half, size)
    wt = np.ascontiguousarray(w.T) * scale
    p = p * scale
    factor, offset = half[:, None], np.array([0.5, 0.5, 0.0, 0.5], p.dtype)[:, None]
    for t in _order(steps, reverse):
        out = gates[t]
        flat = out.reshape(batch, 4 * size)
        np.matmul(h, wt, out=flat)
        flat += p[t]
        np.tanh(flat, out=flat)
        out *= factor
        out += offset
        new = cs[t]
        np.multiply(out[:, 1], c, out=new)
        new += out[:, 0] * out[:, 2]
        c = new
        h = hs[t]
        np.tanh(c, out=h)
        h *= out[:, 3]
    return hs, cs, gates


def lstm_backward(
    g: tuple, y: tuple, p: Any, h: np.ndarray, c: np.ndarray, w: np.ndarray, *, needs: tuple, reverse: bool
) -> tuple:
    """The gradients of p, h, c and w."""
    (gh, gc, _), (hs, cs, gates) = g, y
    i, f, n, o = (gates[:, :, k] for k in range(4))
    tanh_c = np.tanh(cs)
    through = o * (1 - tanh_c * tanh_c)  # ∂h/∂c
    slope = np.empty_like(gates)  # of c (i, f, g) and of h (o) in the gates before activation
    slope[:, :, 0] = n * i * (1 - i)
    slope[:, :, 1] = _before(cs, c, reverse) * f * (1 - f)
    slope[:, :, 2] = i * (1 - n * n)
    slope[:, :, 3] = tanh_c * o * (1 - o)
    d = np.empty_like(gates)
    dh, dc = np.zeros_like(h), np.zeros_like(c)
    for t in _order(len(hs), not reverse):
        dh = dh + gh[t]
        dc = dc + gc[t]
        dc += dh * through[t]
        out = d[t]
        np.multiply(slope[t, :, :3], dc[:, None], out=out[:, :3])
        np.multiply(slope[t, :, 3], dh, out=out[:, 3])
        dh = np.matmul(out.reshape(len(h), -1), w)
        dc *= f[t]
    d = d.reshape(*d.shape[:2], -1)
    return d, dh, dc, _weight_gradient(d, _before(hs, h, reverse)) if needs[3] else None


def gru(p: np.ndarray, h: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, *, reverse: bool) -> tuple:
    """All states h, and (T, B, 4, H) of r, z, n and W_hn h + b_hn."""
    steps, batch, size = p.shape[0], p.shape[1], w.shape[1]
    kept = np.empty((steps, batch, 4, size), p.dtype)
    hs = np.empty((steps, batch, size), p.dtype)
    wt = np.ascontiguousarray(w.T)
    for t in _order(steps, reverse):
        out, x = kept[t], p[t].reshape(batch, 3, size)
        from_h = np.matmul(h, wt)
        if b is not None:
            from_h += b
        from_h = from_h.reshape(batch, 3, size)
        rz = out[:, :2]
        np.add(x[:, :2], from_h[:, :2], out=rz)
        rz *= 0.5
        np.tanh(rz, out=rz)
        rz *= 0.5
        rz += 0.5
        out[:, 3] = from_h[:, 2]
        n = out[:, 2]
        np.multiply(out[:, 0], from_h[:, 2], out=n)
        n += x[:, 2]
        np.tanh(n, out=n)
        new = hs[t]
        np.subtract(h, n, out=new)
        new *= out[:, 1]
        new += n
        h = new
    return hs, kept


def gru_backward(
    g: tuple, y: tuple, p: Any, h: np.ndarray, w: np.ndarray, b: Any, *, needs: tuple, reverse: bool
) -> tuple:
    """The gradients of p, h, w and b."""
    gh, (hs, kept) = g[0], y
    before = _before(hs, h, reverse)
    r, z, n, hn = (kept[:, :, k] for k in range(4))
    slope = np.empty_like(kept)  # of h in: r, z, the input's n, the hidden state's n, all before activation
    slope[:, :, 2] = (1 - z) * (1 - n * n)
    slope[:, :, 3] = slope[:, :, 2] * r
    slope[:, :, 0] = slope[:, :, 3] * hn * (1 - r)
    slope[:, :, 1] = (before - n) * z * (1 - z)
    d = np.empty_like(slope)
    from_h = np.empty((*hs.shape[:2], 3, hs.shape[2]), hs.dtype)
    dh = np.zeros_like(h)
    for t in _order(len(hs), not reverse):
        dh = dh + gh[t]
        np.multiply(slope[t], dh[:, None], out=d[t])
        from_h[t, :, :2] = d[t, :, :2]
        from_h[t, :, 2] = d[t, :, 3]
        dh *= z[t]
        dh += np.matmul(from_h[t].reshape(len(h), -1), w)
    from_h = from_h.reshape(*from_h.shape[:2], -1)
    return (
        d[:, :, :3].reshape(from_h.shape),
        dh,
        _weight_gradient(from_h, before) if needs[2] else None,
        from_h.sum((0, 1)) if needs[3] else None,
    )
