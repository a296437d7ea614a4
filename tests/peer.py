"""One expression, evaluated in PyTorch and in chainrule: same values, dtypes, views, gradients, grad_fn names and
errors."""

import re

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")

SHAPES = {"x": (2, 3, 4), "m": (3, 3), "w": (5, 3), "v": (4,), "u": (4,), "s": (), "e": (0, 3), "img": (2, 4, 3, 4)}


def inputs(module, grad=True):
    """Named tensors, the same numbers for every module."""
    rng = np.random.default_rng(0)
    scope = {"T": module, "F": module.nn.functional, "np": np, "I": lambda *a: module.tensor(a), "B": module.tensor}
    for name, shape in SHAPES.items():
        t = module.tensor(rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.float64) / 4 - 1)
        scope[name] = t.requires_grad_() if grad else t
    return scope


def outputs(result):
    if isinstance(result, (tuple, list)):
        return [r for part in result for r in outputs(part)]
    return [result]


def array(t):
    return t.detach().numpy()


def check(text, names=True, views=True):
    """Compare everything that an expression in x, m, w, v, u, s, e, img gives."""
    peer, own = inputs(torch), inputs(cr)
    expected, got = outputs(eval(text, peer)), outputs(eval(text, own))
    assert len(got) == len(expected)
    for p, q in zip(expected, got, strict=True):
        if not isinstance(p, torch.Tensor):
            assert p == q
            continue
        assert tuple(q.shape) == tuple(p.shape), text
        assert str(q.dtype) == str(p.dtype)
        np.testing.assert_array_equal(array(q), array(p), err_msg=text)
        assert q.requires_grad == p.requires_grad
        if views:
            assert (q._base is not None) == p._is_view(), f"{text}: view {q._base is not None}, PyTorch {p._is_view()}"
        if names and p.grad_fn is not None:
            assert type(q.grad_fn).__name__ == type(p.grad_fn).__name__, text
    differentiable = [k for k, p in enumerate(expected) if isinstance(p, torch.Tensor) and p.requires_grad]
    if not differentiable:
        return
    total_p = total_q = 0
    for k in differentiable:
        weight = np.cos(np.arange(expected[k].numel(), dtype=np.float64) + k).reshape(tuple(expected[k].shape))
        total_p = total_p + (expected[k] * torch.tensor(weight)).sum()
        total_q = total_q + (got[k] * cr.tensor(weight)).sum()
    total_p.backward()
    total_q.backward()
    for name in SHAPES:
        p, q = peer[name].grad, own[name].grad
        assert (p is None) == (q is None), f"{text}: gradient of {name}"
        if p is not None:
            np.testing.assert_allclose(
                array(q), array(p), rtol=1e-12, atol=1e-12, err_msg=f"{text}: gradient of {name}"
            )


def check_error(text, message):
    """Both raise; ours is of PyTorch's kind and says ``message`` (a part of PyTorch's text, unless it starts with a
    star)."""
    with pytest.raises(Exception) as peer:
        eval(text, inputs(torch))
    star = message.startswith("*")
    if not star:
        assert message in str(peer.value), f"PyTorch says: {peer.value}"
    with pytest.raises(cr.errors.ChainruleError) as own:
        eval(text, inputs(cr))
    assert message.lstrip("*") in str(own.value)
    if not star:
        assert isinstance(own.value, peer.type), f"{type(own.value).__mro__} is no {peer.type}"


def check_second_order(text, *names):
    """gradgradcheck of the expression's sum of squares in the named inputs."""
    scope = inputs(cr)
    leaves = [scope[n] for n in names]

    def f(*args):
        return eval(text, {**scope, **dict(zip(names, args, strict=True))})

    assert cr.autograd.gradcheck(f, leaves)
    assert cr.autograd.gradgradcheck(f, leaves)


def as_function(text):
    """``(f, its arguments)``: the expression as a function of the float tensors it names, giving its float64
    outputs."""
    names = [name for name in SHAPES if re.search(rf"\b{name}\b", text)]
    scope = inputs(cr, grad=False)

    def f(*args):
        found = outputs(eval(text, {**scope, **dict(zip(names, args, strict=True))}))
        return tuple(t for t in found if t.dtype == cr.float64)

    return f, tuple(scope[name] for name in names)


def check_forward(text):
    """Forward and reverse mode are each other's transpose: <w, J v> = <Jᵀ w, v>."""
    f, xs = as_function(text)
    rng = np.random.default_rng(1)
    vs = tuple(cr.tensor(rng.standard_normal(tuple(x.shape))) for x in xs)
    ys, tangents = cr.func.jvp(f, xs, vs)
    ws = tuple(cr.tensor(rng.standard_normal(tuple(y.shape))) for y in ys)
    grads = cr.func.vjp(f, *xs)[1](ws)
    forward = sum((w * t).sum().item() for w, t in zip(ws, tangents, strict=True))
    reverse = sum((v * g).sum().item() for v, g in zip(vs, grads, strict=True))
    assert forward == pytest.approx(reverse, abs=1e-9), text


def check_vmap(text):
    """A batch of three gives what a loop over its samples gives."""
    f, xs = as_function(text)
    rng = np.random.default_rng(2)
    batch = [cr.tensor(rng.standard_normal((3, *x.shape))) for x in xs]
    expected = [f(*[t[k] for t in batch]) for k in range(3)]
    got = cr.func.vmap(f)(*batch)
    for j, t in enumerate(got):
        np.testing.assert_array_equal(array(t), np.stack([array(e[j]) for e in expected]), err_msg=text)
