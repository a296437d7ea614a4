"""Sorting and searching against PyTorch."""

import numpy as np
import pytest

import chainrule as cr
from peer import check, check_error, check_forward, check_second_order, check_vmap

torch = pytest.importorskip("torch")

SORTED = """
x.sort()
x.sort(1)
x.sort(0, descending=True)
x.sort(dim=-1, descending=True, stable=True)
s.sort()
x.argsort(1)
x.argsort(0, descending=True)
s.argsort()
x.msort()
x.topk(2)
x.topk(2, 1, largest=False)
x.topk(0)
s.topk(1)
x.kthvalue(2)
x.kthvalue(3, 1, keepdim=True)
s.kthvalue(1)
I(3, 1, 2).sort()
I(True, False, True, False).sort(stable=True)
B([2.0, float("nan"), -1.0, float("inf")]).sort()
B([2.0, float("nan"), -1.0, float("inf")]).sort(descending=True)
B([2.0, float("nan"), -1.0, float("inf")]).topk(2)
B([2.0, float("nan"), -1.0, float("inf")]).kthvalue(4)
I(1, 0, 1, 0, 1, 0, 1, 0).sort(stable=True)
I(1, 0, 1, 0, 1, 0, 1, 0).sort(descending=True, stable=True)
""".strip().splitlines()

SEARCHED = """
T.unique(I(3, 1, 3, 2))
T.unique(B([[3, 1], [3, 2]]), return_inverse=True)
T.unique(B([[3, 1], [3, 2]]), return_inverse=True, return_counts=True)
T.unique(B([[1, 2], [0, 5], [1, 2]]), dim=0, return_inverse=True, return_counts=True)
T.unique(B([[1, 2, 1], [0, 5, 0]]), dim=1, return_counts=True)
B([float("nan"), float("nan"), 1.0]).unique(return_counts=True)
e.detach().unique()
T.unique_consecutive(I(1, 1, 2, 2, 1))
T.unique_consecutive(I(1, 1, 2, 2, 1), return_inverse=True, return_counts=True)
T.unique_consecutive(B([[1, 2], [1, 2], [0, 5]]), dim=0, return_inverse=True, return_counts=True)
T.unique_consecutive(B([[1, 1, 2], [2, 2, 3]]), dim=1)
T.searchsorted(I(1, 3, 5, 5, 7), I(3, 5, 0, 9))
T.searchsorted(I(1, 3, 5, 5, 7), I(3, 5, 0, 9), right=True)
T.searchsorted(I(1, 3, 5, 5, 7), I(5), side="right", out_int32=True)
T.searchsorted(I(1, 3, 5), 4)
T.searchsorted(I(1, 3, 5), I(2.5, 5.0))
T.searchsorted(B([[1, 3, 5], [2, 4, 6]]), B([[3, 6], [3, 6]]))
T.searchsorted(I(5, 1, 3), I(3, 4), sorter=I(1, 2, 0))
T.bucketize(I(1, 4, 9), I(3, 6))
T.bucketize(x, v.sort()[0].detach(), right=True)
T.bucketize(4, I(3, 4, 6))
T.bincount(I(0, 1, 1, 5))
T.bincount(I(0, 1, 1), weights=B([1.0, 2.0, 3.0]), minlength=5)
T.bincount(T.zeros(0, dtype=T.int64))
T.histc(x.detach(), 4)
T.histc(x.detach(), bins=5, min=0, max=2)
T.histc(T.zeros(3), 3)
T.isin(I(1, 2, 3), I(2, 5))
T.isin(I(1, 2, 3), 2, invert=True)
T.isin(2, I(1, 2))
T.isin(x.detach(), v.detach())
T.unravel_index(B([[4, 1], [-2, 3]]), (3, 2))
T.unravel_index(I(4), 6)
T.nonzero_static(B([[1, 0], [2, 3]]), size=2)
T.nonzero_static(I(1, 0, 2), size=4, fill_value=7)
T.histogram(x.detach(), 4)
T.histogram(x.detach(), B([0.0, 1.0, 2.0], dtype=T.float64))
""".strip().splitlines()


@pytest.mark.parametrize("text", SORTED + SEARCHED)
def test_values_and_gradients(text):
    check(text, names=False, views=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [("x.sort()[0]", "SortBackward0"), ("x.topk(2)[0]", "TopkBackward0"), ("x.kthvalue(2)[0]", "KthvalueBackward0")],
)
def test_node_names(text, name):
    from peer import inputs

    assert type(eval(text.replace("kthvalue(2)", "kthvalue(2, keepdim=True)"), inputs(cr)).grad_fn).__name__ == name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x.sort(3)", "Dimension out of range (expected to be in range of [-3, 2], but got 3)"),
        ("x.topk(5)", "selected index k out of range"),
        ("x.topk(-1)", "selected index k out of range"),
        ("x.kthvalue(5)", "selected number k out of range for dimension 2"),
        ("x.kthvalue(0)", "selected number k out of range for dimension 2"),
        ("T.bincount(I(-1))", "bincount only supports 1-d non-negative integral inputs."),
        ("T.bincount(I(0, 1), weights=I(1))", "weights should be 1-d and have the same length as input"),
        ("T.histc(x.detach(), 4, 3, 1)", "torch.histc: max must be larger than min"),
        ("T.searchsorted(I(1, 2), I(1), right=True, side='left')", "side and right can't be set to opposites"),
        ("T.searchsorted(I(1, 2), I(1), side='middle')", "side can only be 'left' or 'right' but got middle"),
        ("T.unravel_index(I(1.0), 3)", "expected 'indices' to be integer dtype, but got torch.float32"),
        ("T.histogram(x.detach(), 0)", "torch.histogram(): bins must be > 0, but got 0"),
        ("T.bucketize(I(1), B([[1]]))", "boundaries tensor must be 1 dimension, but got dim(2)"),
    ],
)
def test_errors(text, message):
    check_error(text, message)


@pytest.mark.parametrize(
    ("text", "names"), [("x.sort(1)[0] ** 2", "x"), ("x.topk(2, 1)[0] ** 2", "x"), ("x.kthvalue(2, 0)[0] ** 2", "x")]
)
def test_second_order(text, names):
    check_second_order(text, *names)


def test_histogram_density():
    def run(module):
        a, w = module.tensor([1.0, 2.0, 1.0, 9.0]), module.tensor([1.0, 2.0, 4.0, 8.0])
        return module.histogram(a, 4, range=(0.0, 3.0), weight=w, density=True)

    for p, q in zip(run(torch), run(cr), strict=True):
        np.testing.assert_allclose(q.numpy(), p.numpy(), rtol=1e-6)


def test_results_are_named():
    result = cr.tensor([3, 1, 2]).sort()
    assert repr(result) == repr(torch.tensor([3, 1, 2]).sort())
    assert cr.tensor([3.0, 1.0]).topk(1).indices.tolist() == [0]
    assert cr.tensor([3.0, 1.0]).kthvalue(1).values.item() == 1.0


@pytest.mark.parametrize("largest", [True, False])
def test_topk_of_many(largest):
    """Long rows take another way (a partition before the sort); the values are the same, and each place holds its
    value."""
    a = np.random.default_rng(0).integers(0, 300, (3, 4000)).astype(np.float32)
    expected = torch.tensor(a).topk(20, 1, largest).values.numpy()
    got = cr.tensor(a).topk(20, 1, largest)
    np.testing.assert_array_equal(got.values.numpy(), expected)
    np.testing.assert_array_equal(np.take_along_axis(a, got.indices.numpy(), 1), expected)
    assert all(len(set(row)) == 20 for row in got.indices.tolist())


def test_sort_of_unsigned_and_smallest_integers():
    """Descending order without negating: the smallest integer has no negative."""
    for dtype in ("uint8", "int8", "int64"):
        limits = np.iinfo(dtype)
        a = np.array([limits.max, 0, limits.min, 1], dtype)
        assert cr.tensor(a).sort(descending=True).values.tolist() == sorted(a.tolist(), reverse=True)


@pytest.mark.parametrize("text", [t for t in SORTED if t[:2] in ("x.", "s.")])
def test_forward_mode_and_vmap(text):
    if "argsort" not in text:
        check_forward(text)
    check_vmap(text)
