"""Operators that look at values, compiled: where eager branches, both ways; errors; and what can't be captured."""

import itertools
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import CaptureError, LinAlgError, ShapeError

pytest.importorskip("llvmlite")
F = cr.nn.functional
X = np.arange(12.0).reshape(3, 4)


def random(*shape, seed=0):
    return cr.tensor(np.random.default_rng(seed).standard_normal(shape))


def parts(result):
    return result if isinstance(result, tuple) else (result,)


def same(function, *args, compiled=None):
    """Eager and compiled results, and what became of the arguments, are the same."""
    mine, theirs = [[a.clone() for a in args] for _ in range(2)]
    compiled = cr.compile(function) if compiled is None else compiled
    pairs = [*zip(parts(compiled(*mine)), parts(function(*theirs)), strict=True), *zip(mine, theirs, strict=True)]
    for a, b in pairs:
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-12, atol=1e-12)
    return compiled


def test_scipy_never_sees_symbols():
    """Its wrappers give back a dtype that is not theirs before they refuse an object, until the interpreter crashes."""
    a, b, dtype = random(3, 3), random(3, 2), np.dtype(np.float64)
    before = sys.getrefcount(dtype)
    for _ in range(30):
        cr.compile(lambda a, b: cr.linalg.solve_triangular(a, b, upper=True))(a, b)
    assert sys.getrefcount(dtype) > before - 20


REGULAR = np.stack([np.eye(3) * 2, np.eye(3) + 0.1])
SINGULAR = np.stack([np.eye(3), np.diag([1.0, -1.0, 0.0])])


@pytest.mark.parametrize(
    "function",
    [cr.linalg.cholesky_ex, cr.linalg.inv_ex, cr.linalg.lu_factor_ex, lambda a: cr.linalg.solve_ex(a, cr.ones_like(a))],
    ids=["cholesky_ex", "inv_ex", "lu_factor_ex", "solve_ex"],
)
def test_infos(function):
    """Captured with matrices that have the factor, called with one that has not."""
    compiled = same(function, cr.tensor(REGULAR))
    same(function, cr.tensor(SINGULAR), compiled=compiled)


@pytest.mark.parametrize(
    "function, text",
    [
        (cr.linalg.lu_factor, "torch.linalg.lu_factor: .*is zero and using it on lu_solve"),
        (lambda a: cr.linalg.inv_ex(a, check_errors=True), r"linalg.inv_ex: .*singular"),
        (lambda a: cr.linalg.lu_factor_ex(a, check_errors=True), r"linalg.lu_factor_ex: .*singular"),
        (lambda a: cr.linalg.cholesky_ex(a, check_errors=True), "is not positive-definite"),
    ],
)
def test_singular(function, text):
    compiled = same(function, cr.tensor(REGULAR))
    for f in (compiled, function):
        with pytest.raises(LinAlgError, match=text):
            f(cr.tensor(SINGULAR))


def test_least_squares_without_full_rank():
    a, b, ones = random(4, 2), random(4, 1), cr.ones(4, 2, dtype=cr.float64)
    residuals = same(lambda a, b: cr.linalg.lstsq(a, b, driver="gelsd").residuals, a, b)
    with pytest.raises(CaptureError, match=r"linalg.lstsq: a matrix has not full rank.*driver='gelsy'"):
        residuals(ones, b)
    solution = same(lambda a, b: cr.linalg.lstsq(a, b, driver="gelsd").solution, a, b)
    same(lambda a, b: cr.linalg.lstsq(a, b, driver="gelsd").solution, ones, b, compiled=solution)


def test_tolerances_are_operands():
    rank = same(lambda a, tol: cr.linalg.matrix_rank(a, atol=tol), cr.tensor(SINGULAR), cr.tensor(0.5))
    same(lambda a, tol: cr.linalg.matrix_rank(a, atol=tol), cr.tensor(SINGULAR), cr.tensor(2.0), compiled=rank)


def put(x, mask, value):
    x = x * 1
    x[mask] = value
    return x


def put_in_columns(x, mask, value):
    x = x * 1
    x[:, mask] = value
    return x


def add(x, mask, value):
    return cr.index_put(x, (mask,), value, accumulate=True)


WRITES = [
    (put, X > 4, [7.5]),
    (put, X > 4, range(7)),
    (put, X.sum(1) > 6, X[:2]),
    (put, X.sum(1) > 6, [[1.0], [2.0]]),
    (put, X.sum(1) > 6, range(4)),
    (put_in_columns, X[0] > 1, [1.0, 2.0]),
    (put_in_columns, X[0] > 1, X[:, :2]),
    (add, X > 4, range(7)),
    (add, X.sum(1) > 6, range(4)),
    (cr.masked_scatter, X > 4, range(9)),
]


@pytest.mark.parametrize("function, mask, value", WRITES)
def test_writing_through_a_mask(function, mask, value):
    def gradients(x, mask, value):
        x, value = x.detach().requires_grad_(), value.detach().requires_grad_()
        y = function(x, mask, value)
        return y, *cr.autograd.grad((y * y).sum(), (x, value))

    value = np.array(value, np.float64)
    compiled = same(gradients, cr.tensor(X), cr.tensor(mask), cr.tensor(value))
    turned = np.flip(mask).copy()  # as many places, but others
    same(gradients, cr.tensor(X), cr.tensor(turned), cr.tensor(value), compiled=compiled)


def test_a_value_that_does_not_fit_the_mask():
    compiled = cr.compile(put)
    compiled(cr.tensor(X), cr.tensor(X > 4), cr.tensor(np.arange(7.0)))
    with pytest.raises(ShapeError, match=r"value tensor of shape \[7\] does not have as many elements as the mask"):
        compiled(cr.tensor(X), cr.tensor(X > 8), cr.tensor(np.arange(7.0)))
    scatter = cr.compile(cr.masked_scatter)
    with pytest.raises(ShapeError, match="Number of elements of source < number of ones in mask: 2"):
        scatter(cr.tensor(X), cr.tensor(X > 4), cr.tensor(np.arange(2.0)))


def test_embedding_that_scales_its_rows():
    weight, ids = random(5, 3) * 10, cr.tensor([1, 3, 1])
    compiled = same(lambda i, w: F.embedding(i, w, max_norm=1.0), ids, weight)
    same(lambda i, w: F.embedding(i, w, max_norm=1.0), cr.tensor([0, 4, 2]), weight, compiled=compiled)


OPTIONS = [
    (mode, by_count, padding, last, weighted)
    for mode, by_count, padding, last, weighted in itertools.product(
        ("sum", "mean", "max"), (False, True), (None, 2), (False, True), (False, True)
    )
    if not (weighted and mode != "sum") and not (by_count and mode == "max")
]


@pytest.mark.parametrize("mode, by_count, padding, last, weighted", OPTIONS)
def test_embedding_bag(mode, by_count, padding, last, weighted):
    def step(ids, weight, offsets, factors=None):
        weight = weight.detach().requires_grad_()
        y = F.embedding_bag(
            ids, weight, offsets, mode=mode, scale_grad_by_freq=by_count, padding_idx=padding,
            include_last_offset=last, per_sample_weights=factors,
        )  # fmt: skip
        return y, *cr.autograd.grad((y * cr.arange(y.numel()).reshape(y.shape)).sum(), (weight,))

    ids = cr.tensor(np.random.default_rng(1).integers(0, 5, 9))
    more = (random(9),) if weighted else ()
    compiled = None
    for offsets in ([0, 0, 3, 4, 8], [0, 2, 2, 2, 6]) if last else ([0, 2, 2, 5], [0, 0, 1, 9]):
        compiled = same(step, ids, random(5, 3), cr.tensor(offsets), *more, compiled=compiled)


@pytest.mark.parametrize(
    "offsets, text",
    [([1, 2], r"offsets\[0\] has to be 0"), ([0, 5, 3], "must not decrease"), ([0, 20], "can not be greater than")],
)
def test_offsets_that_are_no_bags(offsets, text):
    compiled = cr.compile(lambda i, w, o: F.embedding_bag(i, w, o))
    with pytest.raises(ShapeError, match=text):
        compiled(cr.zeros(9, dtype=cr.int64), random(5, 3), cr.tensor(offsets))


def test_ctc_loss_of_other_lengths():
    logs = cr.log_softmax(random(6, 3, 4), 2)
    labels = np.random.default_rng(2).integers(1, 4, (3, 4))

    def loss(logs, targets, steps, lengths):
        return F.ctc_loss(logs, targets, steps, lengths, reduction="none")

    for targets in (labels, labels.reshape(-1)):
        compiled = None
        for steps, lengths in (([6, 5, 6], [3, 2, 3]), ([6, 6, 4], [2, 4, 1])):
            args = logs, cr.tensor(targets), cr.tensor(steps), cr.tensor(lengths)
            compiled = same(loss, *args, compiled=compiled)
    with pytest.raises(ShapeError, match="input_lengths to have value at most 6"):
        compiled(logs, cr.tensor(targets), cr.tensor([7, 6, 6]), cr.tensor([1, 1, 1]))
    with pytest.raises(ShapeError, match="targets hold 12 labels, but target_lengths add up to more"):
        compiled(logs, cr.tensor(targets), cr.tensor([6, 6, 6]), cr.tensor([9, 9, 9]))


def test_repeats_of_a_known_sum():
    def repeat(x, repeats):
        return cr.repeat_interleave(x, repeats, 0, output_size=5)

    compiled = same(repeat, random(3, 2), cr.tensor([2, 0, 3]))
    same(repeat, random(3, 2), cr.tensor([0, 5, 0]), compiled=compiled)
    with pytest.raises(ShapeError, match="output_size=5"):
        compiled(random(3, 2), cr.tensor([1, 1, 1]))


PLACES = [
    lambda x: cr.as_strided(x, (2, 2), (1, 2), 1),
    lambda x: cr.as_strided(x.t()[1:], (2, 2), (1, 2)),
    lambda x: cr.as_strided((x + 1)[1:], (2, 2), (1, 2), 0),
    lambda x: cr.as_strided(cr.as_strided(x, (2, 2), (1, 2), 1), (6,), (2,), 0),
    lambda x: cr.as_strided(x.split(2, 1)[1], (2, 2), (1, 2)),
    lambda x: cr.as_strided(x.expand(2, 3, 4), (2, 2), (1, 2)),
    lambda x: cr.as_strided(x.expand(2, 3, 4) + 1, (20,), (1,)),
    lambda x: cr.as_strided_scatter(x[1:] + 0, cr.zeros(2, 2), (2, 2), (1, 2)),
    lambda x: cr.as_strided_scatter((x + 0).t(), cr.zeros(2, 2), (2, 2), (1, 2)),
]


@pytest.mark.parametrize("function", PLACES)
def test_as_strided(function):
    same(function, cr.tensor(X))


def test_as_strided_is_a_view():
    def step(x):
        y = x + 0
        cr.as_strided(y, (2, 2), (1, 2)).mul_(3)
        z = y.t()
        y.add_(1)
        return y, cr.as_strided(z, (3, 2), (1, 2))

    same(step, cr.tensor(X))


def test_as_strided_of_part_of_the_memory():
    compiled = cr.compile(lambda x: cr.as_strided(x, (2, 2), (1, 2), 0))
    compiled(cr.arange(4.0))
    with pytest.raises(CaptureError, match=r"as_strided at .*part of a larger one, or not in order. Give it .clone"):
        compiled(cr.arange(6.0)[2:])  # eager would begin at the 0
    assert compiled(cr.arange(6.0)[2:].clone()).tolist() == [[2, 4], [3, 5]]
    with pytest.raises(ShapeError, match="out of bounds for storage of size 16"):
        cr.compile(lambda x: cr.as_strided(x, (3, 2), (1, 2), 0))(cr.arange(4.0))


REFUSALS = [
    (lambda x: x[x > 4], r"x\[mask\] at .*depends on values. Write torch.where"),
    (lambda x: cr.masked_select(x, x > 4), "masked_select at .*depends on values. Write torch.where"),
    (lambda x: cr.argwhere(x), "argwhere at .*depends on values. Write torch.where"),
    (lambda x: cr.narrow(x, 0, x.argmax() * 0, 2), r"narrow at .*depends on values. Write torch.index_select"),
    (lambda x: cr.tensor_split(x, x[0].long()), "tensor_split at .*depends on values. Pass ints"),
    (lambda x: cr.repeat_interleave(x, x[:, 0].long(), 0), "repeat_interleave at .*values. Pass output_size="),
    (lambda x: F.one_hot(x.long()), "one_hot at .*depends on values. Pass num_classes="),
    (lambda x: cr.unique(x), "unique at .*depends on values. Write torch.sort"),
    (lambda x: cr.bincount(x[0].long()), r"bincount at .*depends on values. Write torch.zeros\(n\).index_add"),
    (lambda x: cr.equal(x, x + 1), r"equal at .*depends on values. Write \(a == b\).all"),
    (lambda x: cr.allclose(x, x + 1), r"allclose at .*depends on values. Write torch.isclose"),
    (lambda x: cr.select(x, 0, x.argmax()), "select at .*index, a tensor, depends on values. Pass an int"),
]


@pytest.mark.parametrize("function, text", REFUSALS)
def test_what_cannot_be_captured_says_what_to_write(function, text):
    with pytest.raises(CaptureError, match=text):
        cr.compile(function)(cr.tensor(X))


@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial_draws_what_eager_draws(replacement):
    def draw(p):
        return cr.multinomial(p, 3, replacement)

    drawn = []
    for function in (cr.compile(draw), draw):
        cr.manual_seed(3)
        drawn.append(function(cr.tensor(X + 1)).tolist())
    assert drawn[0] == drawn[1]
    with pytest.raises(cr.errors.DomainError, match="element < 0"):
        cr.compile(draw)(cr.tensor(-X))
