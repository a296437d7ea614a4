"""Other ways to differentiate, over PyTorch's OpInfo samples: used by opinfo_run.py ``--modes``.

forward: the tangent from forward mode against the reverse mode's Jacobian.  second: second derivatives against
PyTorch's.
vmap: a batch against its samples one by one, values and gradients.
"""

import numpy as np
import torch

import chainrule as cr
from chainrule.autograd.forward import push_forward
from opinfo_run import RANDOM, Unsupported, arr, compare, convert, flat


def setting(op, mine, sample):
    """chainrule's arguments for a sample, and its leaves as pairs (PyTorch's, ours)."""
    if any(r in op.name for r in RANDOM):
        raise Unsupported("random")
    leaves = {}
    args = convert([sample.input, *sample.args], leaves)
    kwargs = convert(dict(sample.kwargs), leaves)
    pairs = [(t, m) for t, m in leaves.values() if t.requires_grad and t.is_leaf]
    if not pairs:
        raise Unsupported("nothing to differentiate")
    return args, kwargs, pairs


def differentiable(result):
    return [y for y in flat(result) if isinstance(y, cr.Tensor) and y.requires_grad]


def random_like(rng, t):
    return np.asarray(rng.standard_normal(tuple(t.shape)))


def forward(op, mine, sample):
    """⟨v, J t⟩ from forward mode equals ⟨vᵀJ, t⟩ from reverse mode, for random t and v."""
    args, kwargs, pairs = setting(op, mine, sample)
    rng = np.random.default_rng(0)
    outputs = differentiable(mine(*args, **kwargs))
    if not outputs:
        raise Unsupported("no differentiable result")
    xs = [m for _, m in pairs]
    ts = [random_like(rng, x).astype(arr(x).dtype) for x in xs]
    vs = [random_like(rng, y).astype(arr(y).dtype) for y in outputs]
    moved = push_forward(xs, [cr.tensor(t) for t in ts], outputs)
    for y, t in zip(outputs, moved):
        assert t is None or t.shape == y.shape, f"tangent of shape {t.shape} for a result of shape {y.shape}"
        assert t is None or t.dtype == y.dtype, f"tangent of dtype {t.dtype} for a result of dtype {y.dtype}"
    grads = cr.autograd.grad(outputs, xs, [cr.tensor(v) for v in vs], allow_unused=True)
    left = [arr(t) * v for t, v in zip(moved, vs) if t is not None]
    right = [arr(g) * t for g, t in zip(grads, ts) if g is not None]
    scale = 1 + sum(np.abs(p).sum() for p in left)
    coarse = any(arr(y).dtype != np.float64 for y in outputs)
    compare(
        "forward against reverse",
        np.float64(sum(p.sum() for p in left) / scale),
        np.float64(sum(p.sum() for p in right) / scale),
        1e-2 if coarse else 1e-7,
        1e-3 if coarse else 1e-9,
    )


def second(op, mine, sample):
    """Second derivatives, with respect to the inputs and to the gradient that the first pass starts with."""
    if not op.supports_gradgrad:
        raise Unsupported("no second derivative in PyTorch")
    args, kwargs, pairs = setting(op, mine, sample)
    theirs = [
        y
        for y in flat(op.op(sample.input, *sample.args, **sample.kwargs))
        if isinstance(y, torch.Tensor) and y.requires_grad
    ]
    if any(y.dtype.is_complex for y in theirs):
        raise Unsupported("complex")
    ours = differentiable(mine(*args, **kwargs))
    xs_t, xs_m = [t for t, _ in pairs], [m for _, m in pairs]
    g_t, starts_t = first_order(torch, theirs, xs_t)
    g_m, starts_m = first_order(cr, ours, xs_m)
    again_t = [g for g in g_t if g is not None and g.requires_grad]
    if not again_t:
        return
    # Only gradients that both libraries can differentiate again; one that is constant is zero to the other.
    both = [
        (a, b) for a, b in zip(g_t, g_m) if a is not None and b is not None and (a.requires_grad or b.requires_grad)
    ]
    weights = [np.random.default_rng(i).standard_normal(tuple(a.shape)) for i, (a, _) in enumerate(both)]
    h_t = gradient_of(torch, [a for a, _ in both], weights, xs_t + starts_t)
    h_m = gradient_of(cr, [b for _, b in both], weights, xs_m + starts_m)
    for i, (m, t) in enumerate(zip(h_m, h_t)):
        if m is None or t is None:
            other = t if m is None else m
            assert other is None or not arr(other).any(), f"second[{i}]: {m}, PyTorch {t}"
            continue
        compare(f"second[{i}]", m, t, 1e-6, 1e-7)


def first_order(lib, outputs, xs):
    starts = [
        lib.tensor(np.random.default_rng(k).standard_normal(tuple(y.shape)).astype(arr(y).dtype))
        for k, y in enumerate(outputs)
    ]
    for s in starts:
        s.requires_grad_()
    return lib.autograd.grad(outputs, xs, starts, create_graph=True, allow_unused=True), starts


def gradient_of(lib, grads, weights, wrt):
    chosen = [(g, lib.tensor(w.astype(arr(g).dtype))) for g, w in zip(grads, weights) if g.requires_grad]
    if not chosen:
        return [None] * len(wrt)
    return lib.autograd.grad([g for g, _ in chosen], wrt, [w for _, w in chosen], allow_unused=True)


def vmap(op, mine, sample):
    """``vmap`` of the operator over [x, 0.9 x] against both alone, and the gradients likewise."""
    args, kwargs, pairs = setting(op, mine, sample)
    xs = [m for _, m in pairs]
    batches = [cr.tensor(np.stack([arr(x), 0.9 * arr(x)])).requires_grad_() for x in xs]
    seen = {id(x): k for k, x in enumerate(xs)}

    def place(value, values):
        if isinstance(value, cr.Tensor):
            return values[seen[id(value)]] if id(value) in seen else value
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return type(value)(*[place(v, values) for v in value])
        if isinstance(value, (list, tuple)):
            return type(value)(place(v, values) for v in value)
        if isinstance(value, dict):
            return {k: place(v, values) for k, v in value.items()}
        return value

    def call(*values):
        result = mine(*place(args, values), **place(kwargs, values))
        return tuple([y for y in flat(result) if isinstance(y, cr.Tensor)])

    singles = [call(*[b[i] for b in batches]) for i in range(2)]
    if any(a.shape != b.shape for a, b in zip(*singles)):
        raise Unsupported("shape depends on values")
    try:
        together = cr.vmap(call)(*batches)
    except cr.errors.GradientError as error:
        if "values of a batched tensor" in str(error) or "randomness error mode" in str(error):
            raise Unsupported("needs the values") from None
        raise
    expected = [cr.stack(list(column)) for column in zip(*singles)]
    assert len(together) == len(expected)
    for i, (a, b) in enumerate(zip(together, expected)):
        compare(f"vmap[{i}]", a.detach(), b.detach(), 1e-7, 1e-9)
    pairs = [(a, b) for a, b in zip(together, expected) if b.requires_grad]
    if not pairs:
        return
    starts = [
        cr.tensor(np.random.default_rng(k).standard_normal(tuple(b.shape)).astype(arr(b).dtype))
        for k, (_, b) in enumerate(pairs)
    ]
    got = cr.autograd.grad([a for a, _ in pairs], batches, starts, allow_unused=True)
    want = cr.autograd.grad([b for _, b in pairs], batches, starts, allow_unused=True)
    for i, (a, b) in enumerate(zip(got, want)):
        if a is None or b is None:
            other = b if a is None else a
            assert other is None or not arr(other).any(), f"vmap gradient[{i}]: one side is missing"
            continue
        compare(f"vmap gradient[{i}]", a, b, 1e-6, 1e-8)


MODES = {"forward": forward, "second": second, "vmap": vmap}
