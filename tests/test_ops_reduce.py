"""Reductions, norms, scans, order statistics, softmax: against PyTorch, then the corners (zeros, ties, NaN, empty,
0-d).
"""

import math

import numpy as np
import pytest

import chainrule as cr
import chainrule.nn.functional as F
from chainrule.errors import (
    ArgumentError,
    ArgumentValueError,
    ChainruleError,
    DTypeError,
    IndexRangeError,
    ShapeError,
)
from chainrule.primitive import primitives, raw, recorded

torch = pytest.importorskip("torch")

X = np.array([[0.3, -1.2, 2.1, 0.7], [1.9, 0.4, -0.6, -2.2], [-0.1, 1.1, 0.8, 3.0]])
P = np.abs(X) + 0.2

# name (a path under torch), input, positional arguments, keyword arguments
TABLE = [
    *[
        (n, X, a, k)
        for n in ("sum", "mean", "amax", "amin", "nansum", "nanmean")
        for a, k in (
            ((), {}),
            ((0,), {}),
            ((-1, True), {}),
            (((0, 1),), {}),
        )
    ],
    *[(n, X, a, k) for n in ("max", "min", "median", "nanmedian") for a, k in (((), {}), ((0,), {}), ((-1, True), {}))],
    *[(n, X, a, {}) for n in ("prod", "argmax", "argmin") for a in ((), (0,), (-1, True))],
    *[
        (n, X, a, k)
        for n in ("var", "std")
        for a, k in (
            ((), {}),
            ((0,), {}),
            ((1, True, True), {}),
            ((False,), {}),
            (((0, 1),), {"correction": 2}),
            ((1,), {"correction": 0}),
        )
    ],
    *[(n, X, (1,), {"keepdim": True}) for n in ("var_mean", "std_mean")],
    *[
        (n, X, a, {})
        for n in ("logsumexp", "softmax", "log_softmax", "cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
        for a in ((0,), (-1,))
    ],
    *[
        (n, X, (a,), {})
        for n in ("nn.functional.softmax", "nn.functional.log_softmax", "nn.functional.softmin")
        for a in (0, 1)
    ],
    ("logsumexp", X, ((0, 1), True), {}),
    ("aminmax", X, (), {}),
    ("aminmax", X, (), {"dim": 0}),
    ("mode", X.round(), (1,), {}),
    ("mode", X.round(), (0, True), {}),
    ("count_nonzero", X.round(), (1,), {}),
    *[("linalg.vector_norm", X, (p,), {"dim": d}) for p in (0.5, 1, 1.5, 2, 3, math.inf, -math.inf) for d in (None, 0)],
    *[("linalg.matrix_norm", X, (p,), {}) for p in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf)],
    ("linalg.norm", X, (), {}),
    ("linalg.norm", X, (2,), {"dim": 1, "keepdim": True}),
    ("linalg.norm", X, ("nuc",), {"keepdim": True}),
    ("norm", X, (), {}),
    ("norm", X, (1, 0), {}),
    ("norm", X, ("fro", (0, 1), True), {}),
    ("norm", X, ("nuc",), {}),
    *[
        ("quantile", X, (0.3, d, kd), {"interpolation": i})
        for d, kd in ((None, False), (1, True), (0, False))
        for i in ("linear", "lower", "higher", "midpoint", "nearest")
    ],
    ("quantile", X, (torch.tensor([0.1, 0.6], dtype=torch.float64), 1), {}),
    ("nanquantile", X, (torch.tensor([0.1, 0.6], dtype=torch.float64), 1, True), {}),
    ("diff", X, (), {}),
    ("diff", X, (2, 0), {}),
    ("trapezoid", X, (), {}),
    ("trapezoid", X, (), {"dx": 0.5, "dim": 0}),
    ("cumulative_trapezoid", X, (), {"dim": 0}),
    ("nn.functional.normalize", X, (), {}),
    ("nn.functional.normalize", X, (3.0, 0), {}),
]


def path(module, name):
    for part in name.split("."):
        module = getattr(module, part)
    return module


def label(row):
    name, _, args, kwargs = row
    return f"{name}{args if not any(isinstance(a, torch.Tensor) for a in args) else 'q'}{kwargs or ''}".replace(" ", "")


def both(x):
    return cr.tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)


def parts(result):
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("row", TABLE, ids=label)
def test_value_and_two_derivatives_are_pytorchs(row):
    name, x, args, kwargs = row
    a, b = both(x)
    mine = parts(
        path(cr, name)(a, *[cr.tensor(v.numpy()) if isinstance(v, torch.Tensor) else v for v in args], **kwargs)
    )
    theirs = parts(path(torch, name)(b, *args, **kwargs))
    assert len(mine) == len(theirs)
    for y, z in zip(mine, theirs, strict=True):
        assert str(y.dtype) == str(z.dtype) and tuple(y.shape) == tuple(z.shape)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
        assert y.requires_grad == z.requires_grad
        if not z.requires_grad:
            continue
        w = np.linspace(0.5, 1.5, z.numel()).reshape(tuple(z.shape))
        (g,) = cr.autograd.grad(y, a, cr.tensor(w), create_graph=True)
        (h,) = torch.autograd.grad(z, b, torch.tensor(w), create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), rtol=1e-8, atol=1e-10)
        s, t = (g * g).sum(), (h * h).sum()
        if t.requires_grad:
            (h2,) = torch.autograd.grad(t, b, allow_unused=True, retain_graph=True)
            (g2,) = cr.autograd.grad(s, a, allow_unused=True, retain_graph=True) if s.requires_grad else (None,)
            second = 0.0 if g2 is None else g2.numpy()
            np.testing.assert_allclose(second, 0.0 if h2 is None else h2.numpy(force=True), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("row", TABLE, ids=label)
def test_float32_stays_float32(row):
    name, x, args, kwargs = row
    a = cr.tensor(x.astype(np.float32), requires_grad=True)
    args = [cr.tensor(v.numpy().astype(np.float32)) if isinstance(v, torch.Tensor) else v for v in args]
    for y in parts(path(cr, name)(a, *args, **kwargs)):
        if not y.requires_grad:
            continue
        assert y.dtype == cr.float32
        for part in y.grad_fn.pull(raw, np.ones(y.shape, np.float32), y.grad_fn.edges):
            assert part is None or part.dtype == np.float32


@pytest.mark.parametrize(
    "name", ["sum", "prod", "mean", "all", "any", "amax", "argmax", "cumsum", "cumprod", "median", "std", "max"]
)
def test_dtypes_of_results(name):
    compared = 0
    for kind in ("bool", "uint8", "int32", "int64", "float16", "float32", "float64"):
        x = np.array([1, 0, 1, 1]).astype(kind)
        args = (0,) if name.startswith("cum") else ()
        try:
            want = getattr(torch, name)(torch.tensor(x), *args)
        except (RuntimeError, NotImplementedError):
            continue
        got = getattr(cr, name)(cr.tensor(x), *args)
        assert str(got.dtype) == str(want.dtype), kind
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=2e-3)
        compared += 1
    assert compared >= 3


def test_dtype_argument():
    x = cr.tensor([1, 2])
    assert cr.sum(x, dtype=cr.float32).dtype == cr.float32 and cr.mean(x, dtype=cr.float64).item() == 1.5
    assert cr.softmax(x, 0, dtype=cr.float64).dtype == cr.float64 and cr.cumsum(x, 0, dtype=cr.int32).dtype == cr.int32


def test_sums_of_float16_do_not_stop_at_2048():
    x = cr.ones(4096, dtype=cr.float16)
    assert x.sum().item() == 4096 and x.mean().item() == 1.0


# ---- zeros in products

ZEROS = [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 5.0, 0.0]]


@pytest.mark.parametrize("name", ["prod", "cumprod"])
@pytest.mark.parametrize("zeros", ZEROS)
def test_products_with_zeros_have_two_right_derivatives(name, zeros):
    a, b = both(np.array(zeros))
    args = (0,) if name == "cumprod" else ()
    y, z = getattr(cr, name)(a, *args), getattr(torch, name)(b, *args)
    w = np.arange(1.0, z.numel() + 1).reshape(tuple(z.shape))
    (plain,) = cr.autograd.grad(y, a, cr.tensor(w), retain_graph=True)
    (g,) = cr.autograd.grad(y, a, cr.tensor(w), create_graph=True)
    (h,) = torch.autograd.grad(z, b, torch.tensor(w), create_graph=True)
    np.testing.assert_allclose(plain.numpy(), h.detach().numpy())
    np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy())
    v = [1.0, -2.0, 0.5]
    (g2,) = cr.autograd.grad((g * cr.tensor(v, dtype=cr.float64)).sum(), a)
    (h2,) = torch.autograd.grad((h * torch.tensor(v, dtype=torch.float64)).sum(), b)
    np.testing.assert_allclose(g2.numpy(), h2.numpy())


def test_prod_of_0d_and_empty():
    x = cr.tensor(3.0, requires_grad=True)
    x.prod().backward()
    assert x.grad.item() == 1.0 and x.detach().prod(0).shape == () and cr.ones(0).prod().item() == 1.0


# ---- ties


@pytest.mark.parametrize("name", ["amax", "amin", "max", "min", "median"])
def test_ties_share_the_gradient_as_in_pytorch(name):
    a, b = both(np.array([1.0, 2.0, 2.0, 1.0, 1.0]))
    getattr(cr, name)(a).backward()
    getattr(torch, name)(b).backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy())


def test_max_along_a_dimension_gives_one_index_the_gradient():
    x = cr.tensor([[2.0, 2.0], [1.0, 3.0]], requires_grad=True)
    result = x.max(1)
    assert result.indices.tolist() == [0, 1] and type(result.values.grad_fn).__name__ == "MaxBackward0"
    result.values.sum().backward()
    assert x.grad.tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert repr(x.detach().max(1)) == "torch.return_types.max(\nvalues=tensor([2., 3.]),\nindices=tensor([0, 1]))"
    values, indices = x.max(dim=0, keepdim=True)
    assert values.shape == (1, 2) and indices.tolist() == [[0, 1]]


def test_max_of_two_tensors_and_axis():
    x, y = cr.tensor([1.0, 5.0]), cr.tensor([3.0, 2.0])
    assert cr.max(x, y).tolist() == cr.max(x, other=y).tolist() == [3.0, 5.0]
    assert cr.max(x, axis=0).values.item() == 5.0 and cr.sum(x, axis=0, keepdims=True).tolist() == [6.0]
    out = cr.empty(0)
    cr.amax(x, 0, out=out)
    assert out.item() == 5.0


# ---- NaN, infinities, empty


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin", "median", "nanmedian", "cummax", "cummin", "mode"])
def test_nan_is_treated_as_in_pytorch(name):
    x = np.array([[1.0, np.nan, 3.0], [2.0, 0.0, 2.0]])
    for y, z in zip(
        parts(getattr(cr, name)(cr.tensor(x), 1)), parts(getattr(torch, name)(torch.tensor(x), 1)), strict=True
    ):
        np.testing.assert_array_equal(y.numpy(), z.numpy())


def test_nan_in_quantiles_and_sums():
    x = cr.tensor([[1.0, math.nan, 3.0], [2.0, 0.0, 4.0]])
    assert math.isnan(cr.quantile(x, 0.5, 1)[0].item()) and cr.nanquantile(x, 0.5, 1).tolist() == [2.0, 2.0]
    assert cr.nansum(x).item() == 10.0 and cr.nanmean(x, 1).tolist() == [2.0, 2.0]


def test_logsumexp_and_softmax_at_infinities():
    x = np.array([[-np.inf, -np.inf], [np.inf, 0.0], [1e4, 1e4], [-np.inf, 0.0]])
    for f in ("logsumexp", "softmax", "log_softmax", "logcumsumexp"):
        a, b = getattr(cr, f)(cr.tensor(x), 1).numpy(), getattr(torch, f)(torch.tensor(x), 1).numpy()
        np.testing.assert_array_equal(a, b, err_msg=f)
    a, b = both(np.array([-np.inf, 0.5, -np.inf, 1.0]))
    cr.logcumsumexp(a, 0)[1:].sum().backward()
    torch.logcumsumexp(b, 0)[1:].sum().backward()
    assert a.grad[0].item() == 0.0  # PyTorch: NaN
    np.testing.assert_allclose(a.grad[1:].numpy(), b.grad[1:].numpy())


def test_empty_inputs():
    e = cr.ones(0, 3)
    assert e.sum().item() == 0 and math.isnan(e.mean().item()) and e.sum(0).tolist() == [0.0] * 3
    assert cr.logsumexp(e, 0).tolist() == [-math.inf] * 3 and cr.cumsum(e, 0).shape == (0, 3)
    assert e.all().item() is True and e.any().item() is False and math.isnan(cr.ones(0).median().item())
    assert cr.softmax(e, 0).shape == (0, 3) and e.amax(1).shape == (0,)


def test_0d_inputs():
    x = cr.tensor(2.0, requires_grad=True)
    for f in (cr.sum, cr.mean, cr.amax, cr.max, cr.logsumexp, cr.cumsum, cr.cumprod, cr.softmax):
        y = f(x, 0) if f in (cr.logsumexp, cr.cumsum, cr.cumprod, cr.softmax) else f(x)
        assert y.shape == (), f.__name__
        (g,) = cr.autograd.grad(y, x)
        assert g.item() == (0.0 if f is cr.softmax else 1.0), f.__name__
    values, indices = cr.max(x, 0)
    assert values.item() == 2.0 and indices.item() == 0 and cr.argmax(x).item() == 0 and cr.mode(x).values.item() == 2.0


# ---- norms at zero


def test_norm_of_order_zero_counts_and_has_no_slope():
    x = cr.tensor([0.0, 2.0, -1.0], requires_grad=True)
    y = cr.linalg.vector_norm(x, 0)
    y.backward()
    assert y.item() == 2.0 and x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("p", [0.5, 1, 1.5, 2, 3, math.inf])
def test_norm_at_zero_has_the_gradient_zero(p):
    a, b = both(np.zeros(3))
    cr.linalg.vector_norm(a, p).backward()
    torch.linalg.vector_norm(b, p).backward()
    np.testing.assert_array_equal(a.grad.numpy(), b.grad.numpy())


def test_std_of_equal_elements_has_the_gradient_zero():
    x = cr.ones(3, requires_grad=True)
    x.std().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


# ---- distances


def test_distances_are_pytorchs():
    y = X[::-1].copy() + 0.3
    for name, args in (
        ("dist", ()),
        ("dist", (1,)),
        ("nn.functional.cosine_similarity", (1,)),
        ("nn.functional.pairwise_distance", (3.0,)),
    ):
        (a, b), (c, d) = both(X), both(y)
        r, s = path(cr, name)(a, c, *args), path(torch, name)(b, d, *args)
        np.testing.assert_allclose(r.detach().numpy(), s.detach().numpy(), rtol=1e-9)
        r.sum().backward()
        s.sum().backward()
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8)
        np.testing.assert_allclose(c.grad.numpy(), d.grad.numpy(), rtol=1e-8)


# ---- diff and trapezoid


def test_diff_joins_and_trapezoid_takes_points():
    for a, b in ((cr, torch),):
        x, y = cr.tensor(X), torch.tensor(X)
        np.testing.assert_allclose(
            a.diff(x, prepend=x[:, :1], append=x).numpy(), b.diff(y, prepend=y[:, :1], append=y).numpy()
        )
        points = [0.0, 0.5, 2.0, 2.2]
        np.testing.assert_allclose(
            a.trapezoid(x, cr.tensor(points)).numpy(), b.trapezoid(y, torch.tensor(points)).numpy(), rtol=1e-6
        )
    assert cr.diff(cr.tensor([True, False, False])).tolist() == [True, False]


# ---- statistics


def test_covariance_with_weights_and_gradient_along_coordinates():
    (a, b), f, w = both(X), np.array([1, 2, 1, 3]), np.array([0.2, 0.5, 1.0, 0.3])
    y = cr.cov(a, fweights=cr.tensor(f), aweights=cr.tensor(w))
    z = torch.cov(b, fweights=torch.tensor(f), aweights=torch.tensor(w))
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-8)
    np.testing.assert_allclose(cr.corrcoef(cr.tensor(X)).numpy(), torch.corrcoef(torch.tensor(X)).numpy(), rtol=1e-9)
    points = [0.0, 0.5, 2.0, 2.2]
    for order in (1, 2):
        (y,) = cr.gradient(cr.tensor(X), spacing=[cr.tensor(points, dtype=cr.float64)], dim=1, edge_order=order)
        np.testing.assert_allclose(y.numpy(), np.gradient(X, points, axis=1, edge_order=order), rtol=1e-9)


def test_renorm_limits_each_slice():
    x = cr.tensor(X, requires_grad=True)
    y = x.renorm(2, 0, 1.5)
    np.testing.assert_allclose(y.detach().numpy(), torch.tensor(X).renorm(2, 0, 1.5).numpy(), rtol=1e-9)
    with pytest.raises(ShapeError, match="input needs at least 2 dimensions, got 1"):
        cr.ones(2).renorm(2, 0, 1.0)


# ---- what is composed and what is written by hand


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_handwritten_equals_its_definition(name):
    x = cr.tensor(X, requires_grad=True)
    fast, slow = getattr(cr, name)(x, 1), primitives[name].define(recorded, x, dim=-1)
    w = cr.tensor(P)
    np.testing.assert_allclose(fast.detach().numpy(), slow.detach().numpy(), rtol=1e-12)
    (g,), (h,) = (cr.autograd.grad(y, x, w, create_graph=True) for y in (fast, slow))
    np.testing.assert_allclose(g.detach().numpy(), h.detach().numpy(), rtol=1e-10, atol=1e-12)
    (g,), (h,) = (cr.autograd.grad((d * w).sum(), x) for d in (g, h))
    np.testing.assert_allclose(g.numpy(), h.numpy(), rtol=1e-9, atol=1e-12)


def test_softmax_without_dim_warns():
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax has been deprecated"):
        y = F.softmax(cr.ones(2, 2))
    assert y.tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_node_names():
    x = cr.randn(2, 3, requires_grad=True)
    made = {
        "SumBackward0": x.sum(),
        "SumBackward1": x.sum(0),
        "MeanBackward0": x.mean(),
        "MeanBackward1": x.mean(1),
        "MaxBackward1": x.max(),
        "AmaxBackward0": x.amax(0),
        "ProdBackward0": x.prod(),
        "ProdBackward1": x.prod(0),
        "VarBackward0": x.var(),
        "StdBackward0": x.std(),
        "LogsumexpBackward0": x.logsumexp(0),
        "SoftmaxBackward0": x.softmax(0),
        "LogSoftmaxBackward0": x.log_softmax(0),
        "LinalgVectorNormBackward0": x.norm(),
        "CumsumBackward0": x.cumsum(0),
        "CumprodBackward0": x.cumprod(0),
        "MedianBackward0": x.median(),
        "MedianBackward1": x.median(0).values,
        "ModeBackward0": x.mode(0).values,
        "CummaxBackward0": x.cummax(0).values,
        "LogcumsumexpBackward0": x.logcumsumexp(0),
    }
    wrong = {want: type(t.grad_fn).__name__ for want, t in made.items() if type(t.grad_fn).__name__ != want}
    assert not wrong


ERRORS = [
    (
        lambda: cr.ones(2).sum(1),
        IndexRangeError,
        r"Dimension out of range \(expected to be in range of \[-1, 0\], but got 1\)",
    ),
    (lambda: cr.tensor([1]).mean(), DTypeError, r"mean\(\): could not infer output dtype. .*Got: torch.int64"),
    (lambda: cr.tensor([1]).softmax(0), DTypeError, r"softmax\(\): not implemented for torch.int64"),
    (lambda: cr.tensor([1]).var(), DTypeError, r"var\(\): only floating point dtypes are supported, got torch.int64"),
    (lambda: cr.ones(0).max(), ShapeError, r"max\(\): Expected reduction dim to be specified for input.numel\(\) == 0"),
    (lambda: cr.ones(0, 2).amax(0), ShapeError, r"amax\(\): Expected reduction dim 0 to have non-zero size"),
    (lambda: cr.ones(2).max("0"), ArgumentError, r"max\(\): argument 'dim' must be int or Tensor, not str"),
    (lambda: cr.ones(2).quantile(1.5), ArgumentValueError, r"quantile\(\): q values must be in the range \[0, 1\]"),
    (lambda: cr.ones(2).quantile(0.5, interpolation="x"), ArgumentValueError, "interpolation must be one of linear"),
    (lambda: cr.tensor([1]).quantile(0.5), DTypeError, "input tensor must be either float or double dtype"),
    (lambda: cr.linalg.vector_norm(cr.tensor([1])), DTypeError, "Expected a floating point or complex tensor as input"),
    (
        lambda: cr.linalg.vector_norm(cr.ones(0), math.inf),
        ShapeError,
        "cannot compute the inf norm on an empty dimension",
    ),
    (lambda: cr.linalg.matrix_norm(cr.ones(2, 2), 3), ArgumentValueError, "Order 3.0 not supported"),
    (lambda: cr.linalg.matrix_norm(cr.ones(2)), ShapeError, "must have at least 2 dimensions"),
    (lambda: cr.linalg.norm(cr.ones(1, 1, 1), 2), ShapeError, "the input must be 1D or 2D. Got 3D"),
    (lambda: cr.norm(cr.ones(2), "x"), ArgumentValueError, "p must be a number, 'fro' or 'nuc', got 'x'"),
    (lambda: cr.diff(cr.tensor(1.0)), ShapeError, "diff expects input to be at least one-dimensional"),
    (lambda: cr.trapezoid(cr.ones(3), cr.ones(2)), ShapeError, "There must be one `x` value for each sample point"),
    (lambda: cr.var(cr.ones(2), 0, True, correction=1), ArgumentError, "give 'unbiased' or 'correction', not both"),
    (lambda: cr.sum([1.0]), ArgumentError, r"sum\(\): argument 'input' must be Tensor, not list"),
    (
        lambda: F.cosine_similarity(cr.tensor([[1]]), cr.ones(1, 1)),
        DTypeError,
        "expected common dtype to be floating point",
    ),
    (lambda: F.cosine_similarity(cr.ones(2), cr.ones(3), dim=0), ShapeError, "do not broadcast"),
]


@pytest.mark.parametrize(("call", "error", "text"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors_say_what_is_wrong(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call()
    assert isinstance(caught.value, ChainruleError)


# ---- transforms


def test_batched_and_forward_mode_agree_with_plain_calls():
    rows = cr.tensor(X)
    for f in (
        cr.sum,
        cr.prod,
        cr.amax,
        cr.median,
        lambda x: cr.max(x, 0).values,
        lambda x: cr.softmax(x, 0),
        lambda x: cr.cumprod(x, 0),
        lambda x: cr.cummax(x, 0).values,
        lambda x: cr.logcumsumexp(x, 0),
        lambda x: cr.quantile(x, 0.3),
        cr.norm,
        cr.std,
    ):
        batched = cr.func.vmap(f)(rows)
        np.testing.assert_allclose(batched.numpy(), np.stack([f(r).numpy() for r in rows]), rtol=1e-12)
        tangent = cr.tensor([0.1, -0.3, 0.7, 0.2], dtype=cr.float64)
        _, push = cr.func.jvp(f, (rows[0],), (tangent,))
        x = rows[0].clone().requires_grad_()
        y = f(x)
        pulled = [(cr.autograd.grad(c, x, retain_graph=True)[0] * tangent).sum().item() for c in y.reshape(-1)]
        np.testing.assert_allclose(push.numpy().reshape(-1), pulled, rtol=1e-9, atol=1e-12)
