"""vmap: a function of one sample over a batch, against the samples one by one and against PyTorch."""

import functools

import numpy as np
import pytest

import chainrule as cr
from chainrule.func import grad, hessian, jacrev, jvp, vjp, vmap

pt = pytest.importorskip("torch")
OPINFO = pytest.importorskip("derivative_modes")
from opinfo_run import entries, run_entry  # noqa: E402 (needs PyTorch)

RNG = np.random.default_rng(0)
A, B, C, V = (
    RNG.standard_normal((5, 3)),
    RNG.standard_normal((5, 3)),
    RNG.standard_normal((5, 3, 4)),
    RNG.standard_normal(3),
)


def flat(x):
    if isinstance(x, (tuple, list)):
        return [t for part in x for t in flat(part)]
    return [t for k in sorted(x) for t in flat(x[k])] if isinstance(x, dict) else [x]


def agree(program, rtol=1e-9):
    ours, theirs = flat(program(cr, cr.func)), flat(program(pt, pt.func))
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs)):
        assert tuple(a.shape) == tuple(b.shape), (i, a.shape, b.shape)
        assert a.requires_grad == b.requires_grad
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=1e-12, err_msg=str(i))


def T(lib, *arrays):
    made = [lib.tensor(a) for a in arrays]
    return made[0] if len(made) == 1 else made


PROGRAMS = {
    "default": lambda lib, F: F.vmap(lib.sin)(T(lib, A)),
    "two arguments": lambda lib, F: F.vmap(lib.dot)(*T(lib, A, B)),
    "in_dims": lambda lib, F: F.vmap(lib.dot, in_dims=(0, None))(*T(lib, A, V)),
    "in_dims of the last": lambda lib, F: F.vmap(lambda x, y: x * y, in_dims=(1, -1))(*T(lib, A, B)),
    "in_dims nested": lambda lib, F: F.vmap(
        lambda d, p: d["a"] * p[0] + p[1], in_dims=({"a": 0, "b": None}, (0, None))
    )({"a": T(lib, A), "b": T(lib, V)}, (T(lib, B), T(lib, V))),
    "out_dims": lambda lib, F: F.vmap(lambda x: (x, x * 2), out_dims=(1, -1))(T(lib, C)),
    "out_dims of an unbatched result": lambda lib, F: F.vmap(lambda x: lib.ones(2, dtype=lib.float64))(T(lib, A)),
    "kwargs": lambda lib, F: F.vmap(lambda x, *, y: x + y)(T(lib, A), y=T(lib, B)),
    "nested": lambda lib, F: F.vmap(F.vmap(lambda x, y: (x * y).sum(), (0, None)), (None, 0))(*T(lib, A, B)),
    "nested over other dims": lambda lib, F: F.vmap(F.vmap(lambda x: x.cumsum(0), 1, 1), 2, 0)(T(lib, C)),
    "three levels": lambda lib, F: F.vmap(F.vmap(F.vmap(lambda x: x.exp() + 1)))(T(lib, C)),
    "chunks": lambda lib, F: F.vmap(lambda x: (x.sin(), x.sum()), out_dims=(1, 0), chunk_size=2)(T(lib, A)),
    "matrix products": lambda lib, F: [
        F.vmap(lambda x: x @ x.t())(T(lib, C)),
        F.vmap(lambda x: T(lib, V) @ x)(T(lib, C)),
        F.vmap(lambda x, m: m.t() @ x)(*T(lib, A, C)),
        F.vmap(lambda x: lib.outer(x, T(lib, V)))(T(lib, A)),
        F.vmap(lambda x, m: lib.einsum("i,ij->j", x, m))(*T(lib, A, C)),
        F.vmap(lambda x: lib.mv(T(lib, C)[0].t(), x))(T(lib, A)),
        F.vmap(lambda x: lib.bmm(x[None], x.t()[None]))(T(lib, C)),
        F.vmap(lambda m: lib.addmm(T(lib, np.eye(3)), m, m.t()))(T(lib, C)),
    ],
    "indexing": lambda lib, F: [
        F.vmap(lambda x: x[1:])(T(lib, A)),
        F.vmap(lambda x: x[:, ::2])(T(lib, C)),
        F.vmap(lambda x: x[-1])(T(lib, A)),
        F.vmap(lambda x: x[None, ..., 0])(T(lib, C)),
        F.vmap(lambda x: x[lib.tensor([2, 0])])(T(lib, A)),
        F.vmap(lambda x: x.gather(0, lib.tensor([0, 0, 2])))(T(lib, A)),
        F.vmap(lambda x: x.index_select(1, lib.tensor([1])))(T(lib, C)),
        F.vmap(lambda x, i: x.gather(0, i))(T(lib, A), lib.tensor([[0], [1], [2], [0], [1]])),
        F.vmap(lambda x: x.flip(0).roll(1, 0))(T(lib, A)),
    ],
    "reductions": lambda lib, F: [
        F.vmap(f)(T(lib, C))
        for f in (
            lambda x: x.sum(),
            lambda x: x.mean(0),
            lambda x: x.amax((0, 1)),
            lambda x: x.max(1).values,
            lambda x: x.argmax(),
            lambda x: x.std(-1, keepdim=True),
            lambda x: x.logsumexp(0),
            lambda x: x.prod(),
            lambda x: x.softmax(0),
            lambda x: x.norm(),
            lambda x: x.sort(0).values,
            lambda x: x.topk(2, 1).indices,
            lambda x: x.cumprod(1),
            lambda x: lib.linalg.vector_norm(x, dim=0),
        )
    ],
    "shapes": lambda lib, F: [
        F.vmap(f)(T(lib, C))
        for f in (
            lambda x: x.reshape(2, -1),
            lambda x: x.view(12),
            lambda x: x.permute(1, 0),
            lambda x: x.unsqueeze(0).expand(2, 3, 4),
            lambda x: x.flatten(),
            lambda x: x.transpose(0, 1).contiguous().view(6, 2),
            lambda x: lib.cat([x, x * 2]),
            lambda x: lib.stack([x, x], -1),
            lambda x: x.split(2, 1)[1],
            lambda x: x.chunk(2, 1)[0],
            lambda x: x.unbind(0)[1],
            lambda x: x.diagonal(),
            lambda x: x.tril(),
            lambda x: x.repeat(2, 1),
            lambda x: x.squeeze(),
            lambda x: x.unfold(1, 2, 1),
        )
    ],
    "creation": lambda lib, F: [
        F.vmap(f)(T(lib, A))
        for f in (
            lambda x: lib.zeros_like(x) + 1,
            lambda x: x + lib.arange(3),
            lambda x: x * lib.eye(3, dtype=lib.float64),
            lambda x: x.new_zeros(2) + x[:2],
            lambda x: lib.full((2,), 0.5, dtype=lib.float64) * x[0],
            lambda x: lib.ones_like(x).cumsum(0),
        )
    ],
    "in place": lambda lib, F: [F.vmap(f)(T(lib, A)) for f in (changed, assigned, view_changed, filled)],
    "comparison and where": lambda lib, F: F.vmap(lambda x: lib.where(x > 0, x.sqrt(), -x))(T(lib, A)),
    "mixed dtypes": lambda lib, F: F.vmap(lambda x, i: x * i)(T(lib, A), lib.arange(5)),
    "per-sample gradients": lambda lib, F: F.vmap(F.grad(lambda w, x: (x @ w).sin().sum()), (None, 0))(
        T(lib, C[0].copy()), T(lib, A)
    ),
    "gradient of vmap": lambda lib, F: F.grad(lambda w: F.vmap(lambda x: (x * w).sum().sin())(T(lib, A)).sum())(
        T(lib, V)
    ),
    "vjp in vmap": lambda lib, F: F.vmap(lambda x, g: F.vjp(lib.sin, x)[1](g)[0])(*T(lib, A, B)),
    "vmap of a vjp": lambda lib, F: F.vmap(F.vjp(lib.sin, T(lib, V))[1])(T(lib, A)),
    "jvp in vmap": lambda lib, F: F.vmap(lambda x, t: F.jvp(lib.tanh, (x,), (t,)))(*T(lib, A, B)),
    "hessian in vmap": lambda lib, F: F.vmap(F.hessian(lambda x: x.sin().prod()))(T(lib, A)),
    "jacrev in vmap": lambda lib, F: F.vmap(F.jacrev(lambda x: x.cumsum(0).exp()))(T(lib, A)),
    "batch of one": lambda lib, F: F.vmap(lambda x: x.softmax(0))(T(lib, A[:1].copy())),
    "convolution and normalisation": lambda lib, F: [
        F.vmap(lambda x: lib.nn.functional.conv1d(x[None], lib.ones(2, 3, 2, dtype=lib.float64)))(T(lib, C)),
        F.vmap(lambda w: lib.nn.functional.conv1d(T(lib, C)[:, :, :], w[None, :, None]))(T(lib, A)),
        F.vmap(lambda x: lib.nn.functional.layer_norm(x, (4,)))(T(lib, C)),
        F.vmap(lambda x: lib.nn.functional.cross_entropy(x[None], lib.tensor([1])))(T(lib, A)),
        F.vmap(lambda x, i: lib.nn.functional.cross_entropy(x[None], i[None]))(T(lib, A), lib.tensor([0, 1, 2, 0, 1])),
    ],
}


def changed(x):
    y = x * 2
    y.add_(1).mul_(x)
    return y


def assigned(x):
    y = x.clone()
    y[1:] = x[:-1] * 3
    return y


def view_changed(x):
    y = x.clone()
    y.view(3, 1)[0].zero_()
    return y


def filled(x):
    return x.clone().masked_fill_(x > 0, 2.0)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_as_pytorch(name):
    agree(PROGRAMS[name])


def test_in_place_gradients_inside():
    for f in (changed, assigned, view_changed, filled):
        batch = vmap(grad(lambda x, f=f: (f(x) * x).sum()))(cr.tensor(A))
        for row, x in zip(batch, cr.tensor(A)):
            np.testing.assert_allclose(row.numpy(), grad(lambda x, f=f: (f(x) * x).sum())(x).numpy())


def test_variables_from_outside_collect_gradients_of_all_samples():
    w = cr.tensor(V, requires_grad=True)
    cr.vmap(lambda x: (x * w).sum().exp())(cr.tensor(A)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), (A * np.exp(A @ V)[:, None]).sum(0))
    w.grad = None
    cr.vmap(lambda x: cr.vmap(lambda wi: wi * x.sum())(w))(cr.tensor(A)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), np.full(3, A.sum()))


def test_graphs_from_a_batch_are_differentiated_inside_another():
    def f(x):
        return vmap(lambda r: (r * r).sum().sin())(x)

    x = cr.tensor(A)
    expected = np.stack([jacrev(lambda r: (r * r).sum().sin())(r).numpy() for r in x])
    got = jacrev(f)(x).numpy()
    for i in range(5):
        np.testing.assert_allclose(got[i, i], expected[i])
    np.testing.assert_allclose(hessian(lambda x: f(x).sum())(x).numpy().sum((2, 3)), hessian_sums(A), rtol=1e-9)


def hessian_sums(a):
    return np.stack([hessian(lambda r: (r * r).sum().sin())(cr.tensor(r)).numpy().sum(1) for r in a])


def test_randomness():
    x = cr.zeros(4, 3)
    with pytest.raises(RuntimeError, match="randomness error mode. Please either use the 'same' or 'different'"):
        vmap(lambda x: x + cr.rand(3))(x)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda x: cr.nn.functional.dropout(x + 1))(x)
    same = vmap(lambda x: x + cr.rand(3), randomness="same")(x)
    assert (same == same[0]).all()
    different = vmap(lambda x: x + cr.rand(3), randomness="different")(x)
    assert len({tuple(r) for r in different.tolist()}) == 4
    assert vmap(lambda x: x, randomness="different", out_dims=1)(x).shape == (3, 4)
    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(lambda x: vmap(lambda y: y + cr.rand(()))(x))(x)
    cr.rand(1)  # the mode ends with the vmap


ERRORS = {
    "no batch": (lambda x: vmap(cr.sin, in_dims=None)(x), ValueError, "at least one input must be batched"),
    "sizes differ": (lambda x: vmap(cr.add)(x, x[:2]), ValueError, r"got sizes \[5, 2\] for the mapped dimension"),
    "in_dim out of range": (
        lambda x: vmap(cr.sin, in_dims=2)(x),
        ValueError,
        "in_dim=2 for an input with 2 dimensions",
    ),
    "in_dim of a number": (
        lambda x: vmap(cr.add, in_dims=(0, 0))(x, 3),
        ValueError,
        "in_dim=0 for an input that is a int",
    ),
    "structure": (
        lambda x: vmap(cr.add, in_dims=(0,))(x, x),
        ValueError,
        "in_dims is not compatible with the structure",
    ),
    "out_dims structure": (
        lambda x: vmap(lambda x: (x, x), out_dims=(0,))(x),
        ValueError,
        "out_dims is not compatible",
    ),
    "out_dims None": (
        lambda x: vmap(cr.sin, out_dims=None)(x),
        ValueError,
        "out_dims is None for a result that is batched",
    ),
    "no tensor": (lambda x: vmap(lambda x: 3)(x), TypeError, "must only return Tensors, got type int"),
    "branch": (
        lambda x: vmap(lambda x: x if x.sum() > 0 else -x)(x),
        RuntimeError,
        "write torch.where instead of a branch",
    ),
    "item": (
        lambda x: vmap(lambda x: x * x[0].item())(x),
        RuntimeError,
        "the values of a batched tensor were asked for",
    ),
    "unbatched target in place": (
        lambda x: vmap(lambda x: cr.zeros(3, dtype=cr.float64).add_(x))(x),
        RuntimeError,
        "can't take batched values in place",
    ),
    "chunk_size": (lambda x: vmap(cr.sin, chunk_size=0), ValueError, "chunk_size should be None or greater than 0"),
    "randomness": (
        lambda x: vmap(cr.sin, randomness="some"),
        ValueError,
        "randomness must be 'error', 'different' or 'same'",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors(name):
    call, kind, text = ERRORS[name]
    with pytest.raises(kind, match=text):
        call(cr.tensor(A))


def test_an_error_inside_closes_the_batch():
    with pytest.raises(ZeroDivisionError):
        vmap(lambda x: 1 / 0)(cr.tensor(A))
    assert vmap(cr.sin)(cr.tensor(A)).shape == (5, 3)
    (g,), y = vjp(cr.sin, cr.tensor(V))[1](cr.tensor(V)), jvp(cr.sin, (cr.tensor(V),), (cr.tensor(V),))[1]
    np.testing.assert_allclose(g.numpy(), y.numpy())


# ---- every way to differentiate, over PyTorch's samples of some operators; opinfo_run.py --all --modes runs all of
# them

QUICK = """
__getitem__ add mul div pow matmul mv dot cat stack where clamp maximum sum mean prod amax cumsum cumprod std norm
logsumexp softmax sort topk gather
index_add index_put scatter_add take_along_dim permute reshape expand diagonal tril unfold flip roll linalg.inv
linalg.det linalg.cholesky linalg.solve
nn.functional.conv2d nn.functional.layer_norm nn.functional.cross_entropy nn.functional.gelu nn.functional.max_pool2d
nn.functional.pad
nn.functional.embedding var logcumsumexp atan2 hypot xlogy lerp einsum
""".split()


@functools.cache
def chosen():
    return entries(QUICK)


def test_all_quick_entries_exist():
    assert {op.name for op in chosen().values()} == set(QUICK)


@pytest.mark.parametrize("mode", sorted(OPINFO.MODES))
@pytest.mark.parametrize("name", QUICK)
@pytest.mark.filterwarnings("ignore")
def test_samples(name, mode):
    for full_name, op in chosen().items():
        if op.name == name:
            passed, failed, _, first = run_entry(op, False, OPINFO.MODES[mode], limit=6)
            assert failed == 0 and passed > 0, f"{full_name}: {first}"
