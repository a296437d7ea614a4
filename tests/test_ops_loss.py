"""Losses against PyTorch: every reduction, weights, ignored targets, errors."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentValueError, DomainError, DTypeError, IndexRangeError, ShapeError, UnsupportedError
from chainrule.primitive import primitives, recorded
from peer_calls import compare, fails, normal, positive

torch = pytest.importorskip("torch")

REDUCTIONS = ["mean", "sum", "none"]


def loss(name, **how):
    return lambda lib, *args: getattr(lib.nn.functional, name)(*args, **how)


def constant_target(name, **how):
    return lambda lib, x, t, *rest: getattr(lib.nn.functional, name)(x, t.detach(), *rest, **how)


def signs(*shape):
    return np.where(normal(*shape, seed=9) > 0, 1.0, -1.0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
class TestNumbers:
    @pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
    def test_differences(self, name, reduction):
        compare(loss(name, reduction=reduction), normal(5, 3), normal(5, 3, seed=1))
        compare(loss(name, reduction=reduction), normal(), normal(seed=1))
        with pytest.warns(UserWarning, match="that is different to the input size"):
            compare(loss(name, reduction=reduction), normal(5, 3), normal(3))

    def test_parameters(self, reduction):
        compare(loss("smooth_l1_loss", beta=0.3, reduction=reduction), normal(5, 3), normal(5, 3, seed=1))
        compare(loss("smooth_l1_loss", beta=0.0, reduction=reduction), normal(5, 3), normal(5, 3, seed=1))
        compare(loss("huber_loss", delta=0.3, reduction=reduction), normal(5, 3), normal(5, 3, seed=1))
        for name in ("mse_loss", "l1_loss", "huber_loss"):
            f = lambda lib, x, y, w, n=name: getattr(lib.nn.functional, n)(x, y, weight=w, reduction=reduction)  # noqa: E731
            compare(f, normal(5, 3), normal(5, 3, seed=1), positive(5, 3))

    def test_two_classes(self, reduction):
        compare(loss("binary_cross_entropy", reduction=reduction), positive(5, 3), positive(5, 3, seed=1))
        compare(loss("binary_cross_entropy_with_logits", reduction=reduction), normal(5, 3) * 5, positive(5, 3))

        def weighted(lib, x, t, w, p):
            f = lib.nn.functional
            return (
                f.binary_cross_entropy(x.sigmoid(), t, w.detach(), reduction=reduction),
                f.binary_cross_entropy_with_logits(x, t, w.detach(), reduction=reduction, pos_weight=p.detach()),
            )

        compare(weighted, normal(5, 3), positive(5, 3), positive(5, 3, seed=1), positive(3))

    def test_distributions(self, reduction):
        for log_target in (False, True):
            with pytest.warns(UserWarning, match="batchmean") if reduction == "mean" else _nothing():
                compare(loss("kl_div", log_target=log_target, reduction=reduction), normal(5, 3), positive(5, 3))
        for log_input in (True, False):
            for full in (True, False):
                f = constant_target("poisson_nll_loss", log_input=log_input, full=full, reduction=reduction)
                compare(f, positive(5, 3), positive(5, 3, seed=1) * 4)
        for shape in ((5, 3), (5, 1), (5,)):
            compare(
                loss("gaussian_nll_loss", full=True, reduction=reduction),
                normal(5, 3),
                normal(5, 3, seed=1),
                positive(*shape),
            )

    def test_margins(self, reduction):
        compare(constant_target("hinge_embedding_loss", margin=0.7, reduction=reduction), normal(5, 3), signs(5, 3))
        compare(constant_target("soft_margin_loss", reduction=reduction), normal(5, 3) * 9, signs(5, 3))
        compare(
            constant_target("multilabel_soft_margin_loss", reduction=reduction), normal(5, 3), (signs(5, 3) + 1) / 2
        )

        def ranked(lib, a, b, t):
            return lib.nn.functional.margin_ranking_loss(a, b, t.detach(), margin=0.1, reduction=reduction)

        compare(ranked, normal(5, 3), normal(5, 3, seed=1), signs(5, 3))

    def test_embeddings(self, reduction):
        def cosine(lib, a, b, t):
            return lib.nn.functional.cosine_embedding_loss(a, b, t.detach(), margin=0.1, reduction=reduction)

        compare(cosine, normal(5, 3), normal(5, 3, seed=1), signs(5))
        compare(cosine, normal(3), normal(3, seed=1), signs())
        three = [normal(5, 3, seed=i) for i in range(3)]
        for swap in (False, True):
            compare(loss("triplet_margin_loss", swap=swap, p=3, reduction=reduction), *three)
            compare(loss("triplet_margin_with_distance_loss", swap=swap, reduction=reduction), *three)

    def test_several_classes_with_margins(self, reduction):
        t = np.array([0, 1, 2, 1, 0])
        for p in (1, 2):
            compare(loss("multi_margin_loss", p=p, margin=0.8, reduction=reduction), normal(5, 3), t, order=1)
            compare(loss("multi_margin_loss", p=p, reduction=reduction), normal(3), np.array(1), order=1)
        weight = np.array([1.0, 2.0, 0.5])
        f = lambda lib, x, t: lib.nn.functional.multi_margin_loss(x, t, weight=lib.tensor(weight), reduction=reduction)  # noqa: E731
        compare(f, normal(5, 3), t, order=1)
        labels = np.array([[0, 2, -1], [-1, 1, 2], [0, 1, 2], [1, -1, 0]])
        compare(loss("multilabel_margin_loss", reduction=reduction), normal(4, 3), labels, order=1)
        compare(loss("multilabel_margin_loss", reduction=reduction), normal(3), np.array([0, -1, 2]), order=1)


class _nothing:
    def __enter__(self):
        return self

    def __exit__(self, *exc):
        return False


# ---- classes

SHAPES = [(5, 3), (5, 3, 2), (5, 3, 2, 2), (3,)]


def targets(shape, ignored):
    t = np.abs(normal(*shape[:1], *shape[2:], seed=3) * 10).astype(np.int64) % 3
    if len(shape) == 1:
        return np.array(1)
    t[0] = ignored
    return t


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("ignored", [-100, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
class TestClasses:
    def how(self, lib, weighted, ignored, reduction):
        weight = lib.tensor(positive(3)) if weighted else None
        return {"weight": weight, "ignore_index": ignored, "reduction": reduction}

    def test_nll_loss(self, shape, ignored, weighted, reduction):
        compare(
            lambda lib, x, t: lib.nn.functional.nll_loss(x, t, **self.how(lib, weighted, ignored, reduction)),
            normal(*shape),
            targets(shape, ignored),
        )

    @pytest.mark.parametrize("smoothing", [0.0, 0.2])
    def test_cross_entropy(self, shape, ignored, weighted, reduction, smoothing):
        def f(lib, x, t):
            return lib.nn.functional.cross_entropy(
                x, t, label_smoothing=smoothing, **self.how(lib, weighted, ignored, reduction)
            )

        compare(f, normal(*shape), targets(shape, ignored))
        if ignored == -100:
            compare(f, normal(*shape), positive(*shape))


def test_cross_entropy_of_large_logits_and_of_nothing():
    compare(loss("cross_entropy"), normal(5, 3) * 300, np.array([0, 1, 2, 1, 0]))
    compare(loss("cross_entropy", reduction="sum"), normal(0, 3), np.zeros(0, np.int64))
    compare(loss("cross_entropy"), normal(5, 3), np.array([0, 1, 2, 1, 0]), dtype=np.float32, rtol=1e-5, atol=1e-5)


def test_all_targets_ignored_is_not_a_number_as_in_pytorch():
    compare(loss("cross_entropy"), normal(2, 3), np.array([-100, -100]), order=0)
    compare(loss("nll_loss"), normal(2, 3), np.array([-100, -100]), order=0)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weight", [None, positive(3)], ids=["plain", "weighted"])
def test_the_fused_cross_entropy_is_its_definition(reduction, weight):
    how = {"ignore_index": -100, "reduction": reduction}
    w = None if weight is None else cr.tensor(weight)
    t = cr.tensor(np.array([[0, 1], [2, -100], [1, 1]]))
    a, b = (cr.tensor(normal(3, 3, 2)).requires_grad_() for _ in range(2))
    y, z = recorded.cross_entropy(a, t, w, **how), primitives["cross_entropy"].define(recorded, b, t, w, **how)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-12)
    (y * y).sum().backward()
    (z * z).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-12, atol=1e-15)


def test_the_fused_squared_error_is_its_definition():
    how = {"reduction": "mean"}
    (a, b), (c, d) = ([cr.tensor(normal(4, 3, seed=i)).requires_grad_() for i in range(2)] for _ in range(2))
    y, z = recorded.mse_loss(a, b, **how), primitives["mse_loss"].define(recorded, c, d, **how)
    y.backward()
    z.backward()
    assert y.item() == pytest.approx(z.item(), rel=1e-14)
    np.testing.assert_allclose(a.grad.numpy(), c.grad.numpy(), rtol=1e-12)
    np.testing.assert_allclose(b.grad.numpy(), d.grad.numpy(), rtol=1e-12)


def test_the_short_way_through_cross_entropy_gives_the_same_node():
    x, t = cr.tensor(normal(5, 3)).requires_grad_(), cr.tensor(np.array([0, 1, 2, 1, 0]))
    short = cr.nn.functional.cross_entropy(x, t)
    with cr.autograd.set_detect_anomaly(True):
        long = cr.nn.functional.cross_entropy(x, t)
    assert type(short.grad_fn) is type(long.grad_fn)
    assert short.grad_fn.name() == "NllLossBackward0"
    assert (short.grad_fn.edges, short.grad_fn.shapes, short.grad_fn.params) == (
        long.grad_fn.edges,
        long.grad_fn.shapes,
        long.grad_fn.params,
    )
    assert [v is None for v in short.grad_fn.values] == [v is None for v in long.grad_fn.values]


# ---- sequences

CTC = [((12, 12, 12), (4, 4, 4)), ((12, 7, 5), (4, 2, 3)), ((12, 2, 5), (4, 4, 0))]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("steps", "lengths"), CTC)
def test_ctc(steps, lengths, reduction):
    labels = np.abs(normal(3, 4) * 10).astype(np.int64) % 4 + 1
    together = np.concatenate([row[:k] for row, k in zip(labels, lengths, strict=True)])

    def f(lib, x, t):
        fn = lib.nn.functional
        return fn.ctc_loss(
            fn.log_softmax(x, 2), t, lib.tensor(steps), lib.tensor(lengths), reduction=reduction, zero_infinity=True
        )

    for t in (labels, together):
        compare(f, normal(12, 3, 5), t, order=1)


def test_ctc_of_one_sequence_and_of_an_impossible_one():
    def f(lib, x, t):
        fn = lib.nn.functional
        return fn.ctc_loss(fn.log_softmax(x, 1), t, (12,), (4,), blank=4, reduction="none")

    compare(f, normal(12, 5), np.array([0, 1, 1, 3]), order=1)
    long = cr.tensor(np.array([[1, 1, 1]]))
    assert cr.nn.functional.ctc_loss(cr.zeros(3, 1, 2), long, (3,), (3,), reduction="none").item() == math.inf


def test_ctc_has_no_second_derivative_and_says_so():
    x = cr.zeros(4, 1, 3, requires_grad=True)
    y = cr.nn.functional.ctc_loss(x, cr.tensor([[1, 2]]), (4,), (2,))
    (g,) = cr.autograd.grad(y, x, create_graph=True)
    with pytest.raises(UnsupportedError, match=r"ctc_loss\(\): the second derivative is not implemented"):
        g.sum().backward()


# ---- distances


@pytest.mark.parametrize("p", [0.0, 1.0, 2.0, 3.0, math.inf])
def test_distances_between_all_pairs(p):
    compare(lambda lib, x, y: lib.cdist(x, y, p=p), normal(2, 4, 3), normal(2, 5, 3, seed=1), order=1)
    compare(lambda lib, x, y: lib.cdist(x, y, p=p), normal(30, 3), normal(5, 3), order=1)
    compare(lambda lib, x: lib.pdist(x, p=p), normal(4, 3), order=1)


def test_equal_rows_have_distance_and_gradient_zero():
    x = cr.tensor(normal(3, 2)).requires_grad_()
    d = cr.cdist(x, x.detach())
    assert d.diagonal().tolist() == [0, 0, 0]
    d.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_the_second_derivative_of_distances():
    x, y = (cr.tensor(normal(4, 3, seed=i)).requires_grad_() for i in range(2))
    assert cr.autograd.gradgradcheck(lambda a, b: cr.cdist(a, b), [x, y])


# ---- what is said when something is wrong

ERRORS = [
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 3])),
        IndexRangeError,
        "Target 3 is out of bounds",
    ),
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, -1])),
        IndexRangeError,
        "Target -1 is out of bounds",
    ),
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1, 1])),
        ArgumentValueError,
        "Expected input batch_size (2) to match target batch_size (3).",
    ),
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([[0], [1]])),
        ShapeError,
        "0D or 1D target tensor expected, multi-target not supported",
    ),
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0.0, 1.0])),
        DTypeError,
        "class numbers are integers, convert with .long()",
    ),
    (
        lambda t: t.nn.functional.cross_entropy(t.ones(2, 3), t.tensor([0, 1]), label_smoothing=2.0),
        Exception,
        "label_smoothing must be between 0.0 and 1.0. Got: 2.0",
    ),
    (
        lambda t: t.nn.functional.nll_loss(t.ones(2, 3), t.tensor([0, 1]), t.ones(2)),
        ShapeError,
        "weight tensor should be defined either for all 3 classes or no classes but got weight tensor of shape: [2]",
    ),
    (
        lambda t: t.nn.functional.mse_loss(t.ones(2), t.ones(2), reduction="x"),
        ArgumentValueError,
        "'x' is not a valid value for reduction; use one of 'none', 'mean', 'sum'",
    ),
    (
        lambda t: t.nn.functional.binary_cross_entropy(t.ones(2) * 2, t.ones(2)),
        DomainError,
        "all elements of input should be between 0 and 1",
    ),
    (
        lambda t: t.nn.functional.binary_cross_entropy(t.ones(2), t.ones(3)),
        ArgumentValueError,
        "Using a target size (torch.Size([3])) that is different to the input size (torch.Size([2])) is deprecated",
    ),
    (
        lambda t: t.nn.functional.binary_cross_entropy_with_logits(t.ones(2), t.ones(3)),
        ArgumentValueError,
        "Target size (torch.Size([3])) must be the same as input size (torch.Size([2]))",
    ),
    (
        lambda t: t.nn.functional.gaussian_nll_loss(t.ones(2), t.ones(2), -t.ones(2)),
        ArgumentValueError,
        "var has negative entry/entries",
    ),
    (
        lambda t: t.nn.functional.huber_loss(t.ones(2), t.ones(2), delta=0),
        DomainError,
        "non-positive values for delta, got 0",
    ),
    (
        lambda t: t.nn.functional.triplet_margin_loss(t.ones(2), t.ones(2), t.ones(2), margin=0),
        ArgumentValueError,
        "margin must be greater than 0",
    ),
    (
        lambda t: t.nn.functional.ctc_loss(t.ones(3, 1, 2), t.tensor([[1]]), (9,), (1,)),
        ShapeError,
        "Expected input_lengths to have value at most 3",
    ),
    (
        lambda t: t.cdist(t.ones(2, 3), t.ones(2, 4)),
        ShapeError,
        "X1 and X2 must have the same number of columns. X1: 3 X2: 4",
    ),
    (
        lambda t: t.cdist(t.ones(2, 3), t.ones(2, 3), p=-1),
        ShapeError,
        "cdist only supports non-negative p values, got -1",
    ),
]


@pytest.mark.parametrize(("f", "error", "text"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors(f, error, text):
    fails(f, error, text, same_kind=error is not Exception)


def test_the_old_spelling_of_reduction_works_with_a_warning():
    x = cr.tensor([1.0, 2.0])
    for old, new in (({"size_average": False}, "sum"), ({"reduce": False}, "none"), ({"size_average": True}, "mean")):
        with pytest.warns(UserWarning, match=f"please use reduction='{new}' instead"):
            y = cr.nn.functional.mse_loss(x, x + 1, **old)
        assert y.tolist() == cr.nn.functional.mse_loss(x, x + 1, reduction=new).tolist()


def test_linear_and_cross_entropy_in_one():
    def f(lib, x, w, b, t):
        return lib.nn.functional.linear_cross_entropy(x, w, t, linear_bias=b, label_smoothing=0.1)

    compare(f, normal(5, 4), normal(3, 4), normal(3), np.array([0, 1, 2, 1, 0]))
    compare(f, normal(5, 4), normal(3, 2, 4), normal(3, 2), np.array([[0, 1], [1, 1], [2, 1], [1, 0], [0, 2]]))
