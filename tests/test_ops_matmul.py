"""Products against PyTorch: values, first and second derivatives, errors."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, ShapeError
from peer_calls import compare, fails, normal

torch = pytest.importorskip("torch")

MATMUL = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 4)),
    ((2, 3), (3, 4)),
    ((5, 2, 3), (3, 4)),
    ((5, 2, 3), (3,)),
    ((3,), (5, 3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (5, 3, 4)),
    ((5, 2, 3), (1, 3, 4)),
    ((6, 1, 2, 3), (5, 3, 4)),
    ((0, 3), (3, 2)),
    ((2, 0), (0, 4)),
    ((0, 2, 3), (0, 3, 4)),
    ((2, 0, 3), (3, 4)),
]


@pytest.mark.parametrize(("a", "b"), MATMUL)
def test_matmul(a, b):
    compare(lambda lib, x, y: lib.matmul(x, y), normal(*a), normal(*b, seed=1))
    compare(lambda lib, x, y: x @ y, normal(*a), normal(*b, seed=1), dtype=np.float32, rtol=1e-4, atol=1e-4)


LINEAR = [
    ((5, 3), (4, 3), (4,)),
    ((2, 5, 3), (4, 3), (4,)),
    ((3,), (4, 3), (4,)),
    ((5, 3), (3,), None),
    ((2, 5, 3), (4, 3), None),
    ((0, 3), (4, 3), (4,)),
    ((5, 3), (4, 3), None),
    ((5, 3), (4, 3), (1,)),
    ((2, 1, 3), (1, 3), (1,)),
]


@pytest.mark.parametrize(("x", "w", "b"), LINEAR)
def test_linear(x, w, b):
    arrays = [normal(*x), normal(*w, seed=1)] + ([] if b is None else [normal(*b, seed=2)])
    compare(lambda lib, *args: lib.nn.functional.linear(*args), *arrays)


def test_the_short_way_through_linear_gives_the_same_node():
    """The spelled-out call records what the primitive does, so that every derivative of it is the same."""
    x, w, b = (cr.tensor(normal(*s)).requires_grad_() for s in ((5, 3), (4, 3), (4,)))
    short = cr.nn.functional.linear(x, w, b)
    with cr.autograd.set_detect_anomaly(True):
        long = cr.nn.functional.linear(x, w, b)
    assert type(short.grad_fn) is type(long.grad_fn)
    assert short.grad_fn.edges == long.grad_fn.edges
    assert short.grad_fn.shapes == long.grad_fn.shapes
    assert [v is None for v in short.grad_fn.values] == [v is None for v in long.grad_fn.values]
    np.testing.assert_array_equal(short.detach().numpy(), long.detach().numpy())


def test_linear_saves_only_what_its_gradients_need():
    x, w = cr.tensor(normal(5, 3)), cr.tensor(normal(4, 3))
    assert cr.nn.functional.linear(x.requires_grad_(), w).grad_fn.values[1] is None
    assert cr.nn.functional.linear(x.detach(), w.requires_grad_()).grad_fn.values[2] is None


SCALED = [(1, 1), (0.5, 2.0), (0, 3.0), (1, -1)]


@pytest.mark.parametrize(("beta", "alpha"), SCALED)
def test_products_added_to_something(beta, alpha):
    how = {"beta": beta, "alpha": alpha}
    for bias in ((4,), (5, 4), (1,), (), (5, 1)):
        compare(lambda lib, c, a, b: lib.addmm(c, a, b, **how), normal(*bias), normal(5, 3), normal(3, 4))
    compare(lambda lib, c, a, v: lib.addmv(c, a, v, **how), normal(5), normal(5, 3), normal(3))
    compare(lambda lib, c, u, v: lib.addr(c, u, v, **how), normal(5, 3), normal(5, seed=1), normal(3))
    compare(lambda lib, c, a, b: lib.baddbmm(c, a, b, **how), normal(5, 4), normal(2, 5, 3), normal(2, 3, 4))
    compare(lambda lib, c, a, b: lib.addbmm(c, a, b, **how), normal(5, 4), normal(2, 5, 3), normal(2, 3, 4))


def test_beta_zero_ignores_what_is_added():
    bad = np.full((2, 2), np.nan)
    compare(lambda lib, c, a, b: lib.addmm(c.detach(), a, b, beta=0), bad, normal(2, 3), normal(3, 2))


PRODUCTS = {
    "mm": (lambda lib, a, b: lib.mm(a, b), (2, 3), (3, 4)),
    "bmm": (lambda lib, a, b: lib.bmm(a, b), (5, 2, 3), (5, 3, 4)),
    "mv": (lambda lib, a, b: lib.mv(a, b), (2, 3), (3,)),
    "dot": (lambda lib, a, b: lib.dot(a, b), (3,), (3,)),
    "vdot": (lambda lib, a, b: lib.vdot(a, b), (3,), (3,)),
    "outer": (lambda lib, a, b: lib.outer(a, b), (5,), (3,)),
    "ger": (lambda lib, a, b: lib.ger(a, b), (5,), (3,)),
    "inner": (lambda lib, a, b: lib.inner(a, b), (5, 3), (2, 4, 3)),
    "inner of vectors": (lambda lib, a, b: lib.inner(a, b), (3,), (3,)),
    "inner with a number": (lambda lib, a, b: lib.inner(a, b), (), (3,)),
    "vecdot": (lambda lib, a, b: lib.linalg.vecdot(a, b, dim=0), (5, 3), (5, 3)),
    "cross": (lambda lib, a, b: lib.cross(a, b, dim=1), (5, 3, 2), (5, 3, 2)),
    "linalg.cross broadcasts": (lambda lib, a, b: lib.linalg.cross(a, b), (5, 3), (1, 3)),
    "tensordot lists": (lambda lib, a, b: lib.tensordot(a, b, dims=([1, 0], [0, 2])), (5, 3, 2), (3, 4, 5)),
    "tensordot number": (lambda lib, a, b: lib.tensordot(a, b, dims=2), (5, 3, 2), (3, 2, 4)),
    "tensordot none": (lambda lib, a, b: lib.tensordot(a, b, dims=0), (5, 3), (3, 4)),
    "tensordot of size one": (lambda lib, a, b: lib.tensordot(a, b, dims=([1], [0])), (5, 1), (3, 4)),
    "kron": (lambda lib, a, b: lib.kron(a, b), (5, 3), (2, 3, 4)),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products(name):
    f, a, b = PRODUCTS[name]
    compare(f, normal(*a), normal(*b, seed=1))


@pytest.mark.filterwarnings("ignore:Using torch.cross without specifying the dim arg")
def test_cross_takes_the_first_dimension_of_size_3():
    compare(lambda lib, a, b: lib.cross(a, b), normal(2, 3, 3), normal(2, 3, 3, seed=1))


@pytest.mark.parametrize("lead", [(5,), (), (2, 3)])
def test_bilinear(lead):
    compare(
        lambda lib, a, b, w, c: lib.nn.functional.bilinear(a, b, w, c),
        normal(*lead, 3),
        normal(*lead, 4),
        normal(2, 3, 4),
        normal(2),
    )


@pytest.mark.parametrize(
    "shapes", [((3,), (3, 4), (4, 7), (7, 2)), ((3,), (3, 4), (4,)), ((3, 5), (5, 4), (4, 7), (7, 2))]
)
def test_multi_dot(shapes):
    compare(lambda lib, *x: lib.linalg.multi_dot(x), *[normal(*s) for s in shapes])


def test_chain_matmul():
    matrices = [cr.tensor(normal(*s)) for s in ((3, 5), (5, 4), (4, 7))]
    expected = np.linalg.multi_dot([t.numpy() for t in matrices])
    np.testing.assert_allclose(cr.chain_matmul(*matrices).numpy(), expected, rtol=1e-12)


EINSUM = [
    ("ij,jk", (2, 3), (3, 4)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("ii->i", (3, 3)),
    ("ii", (3, 3)),
    ("ij->ji", (2, 3)),
    ("i,j->ij", (2,), (3,)),
    ("...ij,...jk->...ik", (5, 2, 3), (6, 5, 3, 4)),
    ("bn,anm,bm->ba", (2, 5), (3, 5, 4), (2, 4)),
    ("ijk,jk->i", (2, 3, 4), (3, 4)),
    ("i,i->", (3,), (3,)),
    ("ij,ij->ij", (3, 2), (3, 2)),
    ("i...->...", (3, 4)),
    ("ab,bc,cd,de->ae", (2, 3), (3, 4), (4, 5), (5, 6)),
    ("ij,jk->ik", (2, 1), (3, 4)),
    ("iij,jk->ki", (3, 3, 2), (2, 4)),
    ("...i,...i->...", (4, 3), (3,)),
    ("bhqd,bhkd->bhqk", (2, 3, 4, 5), (2, 3, 6, 5)),
    ("ij->", (2, 3)),
    ("...", (2, 3)),
    ("i j , j k", (2, 3), (3, 4)),
    ("aB,Bc->ca", (2, 3), (3, 4)),
]


@pytest.mark.parametrize("case", EINSUM, ids=lambda c: c[0])
def test_einsum(case):
    equation, *shapes = case
    compare(lambda lib, *x: lib.einsum(equation, *x), *[normal(*s, seed=i) for i, s in enumerate(shapes)])


def test_einsum_with_sublists():
    compare(lambda lib, x, y: lib.einsum(x, [0, 1], y, [1, 2], [2, 0]), normal(2, 3), normal(3, 4))
    compare(lambda lib, x, y: lib.einsum(x, [..., 30, 1], y, [1, 2]), normal(5, 2, 3), normal(3, 4))


def test_einsum_contracts_the_cheap_pair_first():
    """(1000 x 2) (2 x 1000) (1000 x 1): from the left that would make a million elements."""
    a, b, c = (cr.tensor(normal(*s)) for s in ((1000, 2), (2, 1000), (1000, 1)))
    a.requires_grad_()
    node = cr.einsum("ij,jk,kl->il", a, b, c).grad_fn
    sizes = []
    while node is not None and hasattr(node, "shapes") and node.shapes:
        sizes += [math.prod(s) for s in node.shapes if s is not None]
        node = next((e for e in node.edges if hasattr(e, "shapes")), None)
    assert sizes
    assert max(sizes) <= 2000


@pytest.mark.parametrize("dtype", ["int64", "int32", "float16"])
def test_other_dtypes(dtype):
    a, b = np.arange(6).reshape(2, 3), np.arange(12).reshape(3, 4)
    for f in (lambda lib, x, y: x @ y, lambda lib, x, y: x @ y[:, 0], lambda lib, x, y: x[0] @ y[:, 0]):
        ours = f(cr, *(cr.tensor(x).to(getattr(cr, dtype)) for x in (a, b)))
        theirs = f(torch, *(torch.tensor(x).to(getattr(torch, dtype)) for x in (a, b)))
        assert str(ours.dtype) == str(theirs.dtype)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_names_of_nodes():
    x, w = cr.ones(2, 3, requires_grad=True), cr.ones(3, 4)
    names = [
        (x @ w, "MmBackward0"),
        (cr.addmm(cr.ones(4), x, w), "AddmmBackward0"),
        (x @ cr.ones(3), "MvBackward0"),
        (cr.nn.functional.linear(x, w.t(), cr.ones(4)), "AddmmBackward0"),
        (cr.dot(x[0], cr.ones(3)), "DotBackward0"),
        (cr.bmm(x[None], w[None]), "BmmBackward0"),
    ]
    assert [t.grad_fn.name() for t, _ in names] == [n for _, n in names]


ERRORS = [
    (lambda t: t.ones(2, 3) @ t.ones(2, 3), ShapeError, "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)"),
    (
        lambda t: t.ones(2, 3) @ t.ones(3, 2).double(),
        DTypeError,
        "expected all tensors to have the same dtype, but got: float != double",
    ),
    (
        lambda t: t.matmul(t.ones(()), t.ones(3)),
        ShapeError,
        "both arguments to matmul need to be at least 1D, but they are 0D and 1D",
    ),
    (lambda t: t.matmul(t.ones(3), t.ones(4)), ShapeError, "inconsistent tensor size, expected tensor [3] and src [4]"),
    (lambda t: t.matmul(t.ones(2, 2, 3), t.ones(3, 3, 2)), ShapeError, "batch dimensions [2] and [3] do not broadcast"),
    (lambda t: t.mm(t.ones(2, 3), t.ones(3)), ShapeError, "mm(): mat2 must be a 2-D tensor, got shape [3]"),
    (
        lambda t: t.bmm(t.ones(2, 3, 4), t.ones(2, 3, 4)),
        ShapeError,
        "Expected size for first two dimensions of batch2 tensor to be: [2, 4] but got: [2, 3].",
    ),
    (lambda t: t.mv(t.ones(2, 3), t.ones(2)), ShapeError, "size mismatch, got input (2), mat (2x3), vec (2)"),
    (lambda t: t.dot(t.ones(2), t.ones(3)), ShapeError, "inconsistent tensor size, expected tensor [2] and src [3]"),
    (lambda t: t.dot(t.ones(2, 2), t.ones(2, 2)), ShapeError, "1D tensors expected, but got 2D and 2D tensors"),
    (lambda t: t.outer(t.ones(2, 2), t.ones(3)), ShapeError, "Expected 1-D argument input, but got 2-D"),
    (
        lambda t: t.inner(t.ones(2), t.ones(3)),
        ShapeError,
        "the last dimension must match on both input tensors but got shapes [2] and [3]",
    ),
    (
        lambda t: t.addmm(t.ones(3), t.ones(2, 3), t.ones(3, 4)),
        ShapeError,
        "addmm(): The expanded size of the tensor [2, 4]",
    ),
    (
        lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 5)),
        ShapeError,
        "mat1 and mat2 shapes cannot be multiplied (2x3 and 5x4): input has 3 features (shape [2, 3])",
    ),
    (
        lambda t: t.nn.functional.linear(t.ones(2, 3), t.ones(4, 3), t.ones(5)),
        ShapeError,
        "bias of shape [5] does not broadcast",
    ),
    (
        lambda t: t.nn.functional.linear(t.ones(2, 3), None),
        ArgumentError,
        "linear(): argument 2 must be Tensor, not NoneType",
    ),
    (
        lambda t: t.nn.functional.bilinear(t.ones(2, 3), t.ones(2, 4), t.ones(5, 3, 3)),
        ShapeError,
        "weight must be (out_features, 3, 4)",
    ),
    (lambda t: t.linalg.cross(t.ones(2), t.ones(2)), ShapeError, "inputs dimension -1 must have length 3. Got 2 and 2"),
    (lambda t: t.linalg.multi_dot([t.ones(2)]), ShapeError, "multi_dot(): expected at least 2 tensors but got 1"),
    (
        lambda t: t.linalg.multi_dot([t.ones(2, 3), t.ones(2, 3)]),
        ShapeError,
        "tensors 0 and 1 with shapes [2, 3] and [2, 3] cannot be multiplied",
    ),
    (
        lambda t: t.tensordot(t.ones(2, 3), t.ones(4, 5), dims=([1], [0])),
        ShapeError,
        "contracted dimensions need to match, but first has size 3 in dim 1 and second has size 4 in dim 0",
    ),
    (
        lambda t: t.einsum("ij,jk", t.ones(2, 3), t.ones(4, 4)),
        ShapeError,
        "subscript j has size 4 for operand 1 which does not broadcast with previously seen size 3",
    ),
    (
        lambda t: t.einsum("ij,jk", t.ones(2, 3)),
        ShapeError,
        "fewer operands were provided than specified in the equation",
    ),
    (lambda t: t.einsum("i1", t.ones(2, 3)), ShapeError, "invalid subscript given at operand 0"),
    (lambda t: t.einsum("ij->ik", t.ones(2, 3)), ShapeError, "output subscript k does not appear in the equation"),
    (lambda t: t.einsum("ij->ii", t.ones(2, 3)), ShapeError, "output subscript i appears more than once in the output"),
    (
        lambda t: t.einsum("ii", t.ones(2, 3)),
        ShapeError,
        "subscript i is repeated for operand 0 but the sizes don't match, 3 != 2",
    ),
]


@pytest.mark.parametrize(("f", "error", "text"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors(f, error, text):
    fails(f, error, text)
