"""torch.func: transforms, their nesting, and what they close over, beside PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    stack_module_state,
    value_and_grad,
    vjp,
    vmap,
)
from test_vmap import agree

pt = pytest.importorskip("torch")

RNG = np.random.default_rng(0)
X, W, S = RNG.uniform(0.3, 1.2, 3), RNG.standard_normal((3, 2)), np.array(0.7)


def T(lib, *arrays, **kw):
    made = [lib.tensor(a, **kw) for a in arrays]
    return made[0] if len(made) == 1 else made


def f(x):
    return (x.sin() * x).sum().exp()


def g(x, w):
    return (x @ w).tanh().prod() * x.sum()


PROGRAMS = {
    "grad": lambda lib, F: F.grad(f)(T(lib, X)),
    "argnums": lambda lib, F: [F.grad(g, n)(*T(lib, X, W)) for n in (0, 1, -1, (0, 1), (1, 0))],
    "has_aux": lambda lib, F: F.grad(lambda x: (f(x), {"doubled": x * 2}), has_aux=True)(T(lib, X)),
    "grad_and_value": lambda lib, F: [
        F.grad_and_value(g, (0, 1))(*T(lib, X, W)),
        F.grad_and_value(lambda x: (f(x), x * 2), has_aux=True)(T(lib, X)),
    ],
    "pytree": lambda lib, F: F.grad(lambda p: (p["a"] * p["b"][0]).sum() * p["b"][1].prod())(
        {"a": T(lib, X), "b": (T(lib, X * 2), T(lib, X))}
    ),
    "kwargs": lambda lib, F: F.grad(lambda x, *, k: (x**k).sum())(T(lib, X), k=3),
    "vjp": lambda lib, F: (lambda y, pull: (y, pull(T(lib, W[:2]))))(
        *F.vjp(lambda x, w: lib.outer(w[0] * x[0], x[:2]), *T(lib, X, W))
    ),
    "vjp of a tree": lambda lib, F: F.vjp(lambda x: {"a": x.sin(), "b": (x * 2, x.sum())}, T(lib, X))[1](
        {"a": T(lib, X), "b": (T(lib, X), T(lib, S))}
    ),
    "vjp with aux": lambda lib, F: (lambda y, pull, aux: (y, aux, pull(T(lib, X))))(
        *F.vjp(lambda x: (x.sin(), x * 3), T(lib, X), has_aux=True)
    ),
    "vjp twice": lambda lib, F: (lambda y, pull: (pull(T(lib, X)), pull(T(lib, X * 2))))(*F.vjp(lib.exp, T(lib, X))),
    "jvp": lambda lib, F: F.jvp(g, tuple(T(lib, X, W)), tuple(T(lib, X * 2, W * 3))),
    "jvp of a tree": lambda lib, F: F.jvp(
        lambda p: {"y": p[0] * p[1]}, ((T(lib, X), T(lib, X)),), ((T(lib, X), T(lib, X * 2)),)
    ),
    "jvp with aux": lambda lib, F: F.jvp(lambda x: (x.sin(), x * 3), (T(lib, X),), (T(lib, X),), has_aux=True),
    "linearize": lambda lib, F: (lambda y, push: (y, push(T(lib, X)), push(T(lib, X * 2))))(
        *F.linearize(lib.sin, T(lib, X))
    ),
    "jacrev": lambda lib, F: [
        F.jacrev(g, (0, 1))(*T(lib, X, W)),
        F.jacrev(lambda x: (x.exp(), x.sum()))(T(lib, X)),
        F.jacrev(lambda x: (x * 2, x.sum()), has_aux=True)(T(lib, X)),
        F.jacrev(lib.exp, chunk_size=2)(T(lib, X)),
    ],
    "jacfwd": lambda lib, F: [
        F.jacfwd(g, (0, 1))(*T(lib, X, W)),
        F.jacfwd(lambda x: (x.exp(), x.sum()))(T(lib, X)),
        F.jacfwd(lambda x: (x * 2, x.sum()), has_aux=True)(T(lib, X)),
    ],
    "hessian": lambda lib, F: [F.hessian(f)(T(lib, X)), F.hessian(g, (0, 1))(*T(lib, X, W))],
    "third order": lambda lib, F: [
        F.grad(F.grad(F.grad(lambda x: x.sin().exp())))(T(lib, S)),
        F.jacfwd(F.jacrev(F.grad(f)))(T(lib, X)),
        F.jacrev(F.jacfwd(F.grad(f)))(T(lib, X)),
    ],
    "a closure": lambda lib, F: F.grad(lambda x: F.grad(lambda y: (x * y).sum() ** 2)(T(lib, X)).sum())(T(lib, X * 2)),
    "perturbations are kept apart": lambda lib, F: F.jvp(
        lambda x: x * F.jvp(lambda y: x + y, (T(lib, S),), (lib.ones((), dtype=lib.float64),))[1],
        (T(lib, S),),
        (lib.ones((), dtype=lib.float64),),
    ),
    "grad over jvp": lambda lib, F: F.grad(lambda x: F.jvp(f, (x,), (T(lib, X),))[1])(T(lib, X)),
    "jvp over grad": lambda lib, F: F.jvp(F.grad(f), (T(lib, X),), (T(lib, X),)),
    "outer variable": lambda lib, F: with_outer(lib, F),
    "no_grad inside": lambda lib, F: F.grad(lambda x: partly(lib, x))(T(lib, X)),
    "no_grad outside": lambda lib, F: under_no_grad(lib, F),
    "integer result of aux": lambda lib, F: F.grad(lambda x: (f(x), x.argmax()), has_aux=True)(T(lib, X)),
    "unused argument": lambda lib, F: F.grad(lambda x, w: x.sum(), (0, 1))(*T(lib, X, W)),
    "constant": lambda lib, F: [
        F.jacrev(lambda x: lib.ones(2, dtype=lib.float64))(T(lib, X)),
        F.jacfwd(lambda x: x.detach() * 2)(T(lib, X)),
    ],
    "in place inside": lambda lib, F: F.grad(lambda x: x.clone().mul_(x).add_(1).prod())(T(lib, X)),
    "zero size": lambda lib, F: [
        F.grad(lambda x: x.exp().sum())(lib.zeros(0, 3)),
        F.jacrev(lib.exp)(lib.zeros(0)),
        F.jacfwd(lib.exp)(lib.zeros(0)),
    ],
}


def with_outer(lib, F):
    w = T(lib, X, requires_grad=True)
    y = F.grad(lambda x: (x * w).sum().exp())(T(lib, X))
    (h,) = lib.autograd.grad(y.sum(), w)
    return y, h


def partly(lib, x):
    with lib.no_grad():
        c = x * 2
    return (x * c).sum()


def under_no_grad(lib, F):
    w = T(lib, X, requires_grad=True)
    with lib.no_grad():
        return (
            F.grad(lambda x: (x * w).sum().exp())(T(lib, X)),
            F.vjp(lib.sin, w)[1](T(lib, X)),
            F.jvp(lib.sin, (w,), (T(lib, X),)),
        )


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node:UserWarning")
def test_as_pytorch(name):
    if name == "zero size":
        ours = PROGRAMS[name](cr, cr.func)  # PyTorch's jacrev has no zero-sized outputs
        assert [tuple(t.shape) for t in ours] == [(0, 3), (0, 0), (0, 0)]
        return
    agree(PROGRAMS[name])


# ---- any nesting gives the same numbers

UNARY = {
    "sin": lambda x: x.sin(),
    "exp": lambda x: (x * 0.3).exp(),
    "square": lambda x: x * x,
    "tanh": lambda x: x.tanh(),
    "cumsum": lambda x: x.cumsum(0),
    "softmax": lambda x: x.softmax(0),
    "prod": lambda x: x * x.prod(),
    "matmul": lambda x: x @ (x[:, None] * x),
    "where": lambda x: cr.where(x > 0, x * x, x),
    "sort": lambda x: x.sort().values * x,
    "norm": lambda x: x / (x.norm() + 1),
    "index": lambda x: x[[1, 0, 2]] * x,
    "logsumexp": lambda x: x - x.logsumexp(0),
    "sigmoid": lambda x: x.sigmoid(),
    "flip": lambda x: x.flip(0) * x,
    "view": lambda x: x.view(3, 1).expand(3, 3).t().sum(0) * x,
}


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(UNARY)), min_size=1, max_size=4), st.integers(0, 1000))
def test_all_nestings_agree(names, seed):
    x = cr.tensor(np.random.default_rng(seed).uniform(0.2, 1.0, 3) * [1, -1, 0.7])
    t = cr.tensor(np.random.default_rng(seed + 1).standard_normal(3))

    def h(x):
        for n in names:
            x = UNARY[n](x)
        return x

    def scalar(x):
        return h(x).sum()

    j = jacrev(h)(x).numpy()
    same(jacfwd(h)(x), j)
    same(jvp(h, (x,), (t,))[1], j @ t.numpy())
    same(vjp(h, x)[1](t)[0], t.numpy() @ j)
    same(grad(scalar)(x), j.sum(0))
    second = jacrev(jacrev(scalar))(x).numpy()
    for outer in (jacrev, jacfwd):
        for inner in (jacrev, jacfwd):
            same(outer(inner(scalar))(x), second)
    same(jvp(grad(scalar), (x,), (t,))[1], second @ t.numpy())
    same(grad(lambda x: jvp(scalar, (x,), (t,))[1])(x), second @ t.numpy())
    same(vmap(hessian(scalar))(cr.stack([x, x * 0.5]))[0], second)
    np.testing.assert_allclose(second, second.T, rtol=1e-7, atol=1e-9)
    third = jacfwd(jacfwd(jacrev(scalar)))(x).numpy()
    same(jacrev(jacrev(jacrev(scalar)))(x), third)


def same(ours, expected):
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-7, atol=1e-9)


# ---- chainrule's own order, modules, errors


def test_value_and_grad_is_jaxs_order():
    x = cr.tensor(X)
    value, gradient = value_and_grad(f)(x)
    g_, v_ = grad_and_value(f)(x)
    assert cr.equal(value, v_) and cr.equal(gradient, g_)


def test_results_leave_without_a_graph():
    x = cr.tensor(X, requires_grad=True)
    for y in (
        grad(f)(x.detach()),
        hessian(f)(x.detach()),
        jvp(f, (x.detach(),), (x.detach(),))[1],
        vmap(grad(cr.sin))(x.detach()),
    ):
        assert not y.requires_grad and y.grad_fn is None
    y = grad(f)(x)
    assert y.requires_grad  # x is somebody's variable: PyTorch keeps that graph too
    y.sum().backward()
    same(x.grad, hessian(f)(x.detach()).sum(0).numpy())


def test_linearize_keeps_the_graph_for_many_tangents():
    y, push = linearize(lambda x: x.sin() * 2, cr.tensor(X))
    same(y, np.sin(X) * 2)
    for k in (1.0, 3.0):
        same(push(cr.tensor(X * k)), np.cos(X) * 2 * X * k)


def test_modules():
    def ensemble(lib, F):
        lib.manual_seed(0)
        model = lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.Tanh(), lib.nn.Linear(4, 1)).double()
        with lib.no_grad():
            for i, p in enumerate(model.parameters()):
                p.copy_(lib.tensor(np.random.default_rng(i).standard_normal(tuple(p.shape))))
        params = {k: v.detach() for k, v in model.named_parameters()}
        batch = T(lib, np.stack([X, X * 2]))

        def loss(p, x):
            return F.functional_call(model, p, (x,)).sum()

        stacked, buffers = F.stack_module_state([model, model])
        return [
            F.grad(loss)(params, batch),
            F.vmap(F.grad(loss), (None, 0))(params, batch),
            F.functional_call(model, params, batch),
            F.vmap(lambda p, x: F.functional_call(model, p, (x,)), (0, None))(
                {k: v.detach() for k, v in stacked.items()}, batch
            ),
        ]

    agree(ensemble)
    assert functional_call is cr.func.functional_call and stack_module_state is cr.func.stack_module_state


ERRORS = {
    "not a scalar": (
        lambda: grad(cr.sin)(cr.ones(2)),
        RuntimeError,
        r"grad: expected the function to return a scalar tensor, got shape \(2,\)",
    ),
    "not a tensor": (
        lambda: grad(lambda x: 3.0)(cr.ones(2)),
        TypeError,
        "expected the function to return a tensor, got float",
    ),
    "integer result": (
        lambda: grad(lambda x: x.argmax())(cr.ones(2)),
        RuntimeError,
        "return a floating-point tensor, got torch.int64",
    ),
    "argnums": (lambda: grad(f, 1)(cr.ones(2)), ValueError, "got argnum=1, but only 1 positional inputs"),
    "argnums twice": (
        lambda: grad(g, (0, 0))(cr.ones(3), cr.ones(3, 2)),
        ValueError,
        "argnums elements must be unique",
    ),
    "aux": (lambda: grad(f, has_aux=True)(cr.ones(2)), TypeError, r"expected to return \(output, aux\)"),
    "tangent shape": (
        lambda: jvp(cr.sin, (cr.ones(2),), (cr.ones(3),)),
        RuntimeError,
        r"one shape, got \(2,\) and \(3,\)",
    ),
    "no tuple": (
        lambda: jvp(cr.sin, cr.ones(2), cr.ones(2)),
        TypeError,
        r"tuples of one length, as in jvp\(f, \(x,\), \(t,\)\)",
    ),
    "cotangents": (
        lambda: vjp(lambda x: (x, x), cr.ones(2))[1](cr.ones(2)),
        ValueError,
        r"one cotangent per output \(2\), got 1",
    ),
    "jacobian of a number": (
        lambda: jacrev(lambda x: 3.0)(cr.ones(2)),
        TypeError,
        "jacrev: expected the function to return tensors, got float",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call()


@pytest.mark.parametrize("name", ["eigh", "svd", "qr"])
def test_forward_mode_through_decompositions_is_reverse_mode(name):
    """Their rules treat 0 / 0 apart, which forward mode must not run into."""
    rng = np.random.default_rng(0)
    a, t = (cr.tensor(rng.standard_normal((4, 4))) for _ in range(2))
    weights = [cr.tensor(rng.standard_normal((4, 4))) for _ in range(3)]

    def f(x):
        x = x + x.T if name == "eigh" else x
        parts = getattr(cr.linalg, name)(x)
        # Squares, so that the sign of a vector makes no difference.
        return sum((p * p * (w if p.ndim == 2 else w[0])).sum() for p, w in zip(parts, weights))

    forward = jvp(f, (a,), (t,))[1]
    reverse = (grad(f)(a) * t).sum()
    assert forward.item() == pytest.approx(reverse.item(), rel=1e-9)
    assert forward.item() != 0
