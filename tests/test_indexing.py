"""Indexing of every kind, and picking and writing at indices, against PyTorch."""

import re
import warnings

import numpy as np
import pytest

import chainrule as cr
from peer import check, check_error, check_forward, check_second_order, check_vmap

torch = pytest.importorskip("torch")

BASIC = """
x[0]
x[-1]
x[:]
x[...]
x[()]
x[0, 1:]
x[1:, 0]
x[None]
x[:, None]
x[0:2]
x[:, 0:3]
x[:, ::2]
x[1:, ...]
x[..., 0]
x[..., 1:, None]
x[..., None]
x[None, None, 0]
x[0:0]
x[10:20]
x[-2:, -1]
x[0, 1, 2]
x[..., ...]
x[B(1)]
x[np.int64(1)]
x[np.array(1)]
x[:, B(1)]
x[B(0):B(1)]
x[0, ..., 1]
x[slice(None, -1)]
v[2]
v[-1:]
s[...]
s[None]
s[()]
e[0:0, 1]
""".strip().splitlines()

ADVANCED = """
x[[0, 1]]
x[[1]]
x[[]]
x[range(2)]
x[[True, False]]
x[(0, 1)]
x[I(0, 1, 0)]
x[B([[0, 1], [1, 1]])]
x[I(-1, 0)]
x[np.array([0, 1])]
x[np.array([True, False])]
x[:, [0, 2]]
x[..., [0, 3, 3]]
x[0, :, [0, 1]]
x[[0, 1], :, [0, 1]]
x[:, [0, 1], [0, 1]]
x[[0], None, [0]]
x[[0, 1], 1:, 0]
x[0, [1, 2], None, [0, 1]]
x[[[0], [1]], [[0, 1]]]
x[I(0, 1), :2]
x[1:, I(0, 2)]
x[None, :, I(0, 2)]
x[..., I(0, 2), 1]
x[x > 0]
x[x[:, :, 0] > 0]
x[:, x[0, :, 0] > 0]
x[x[:, 0, 0] > 0, :, 1]
x[x[:, 0, 0] < 9, I(1, 2)]
x[B([True, False]), B([True, False, True])]
x[True]
x[False]
x[B(True)]
x[:, True]
x[None, I(1)]
x[B([0, 1], dtype=T.int32)]
x[[I(0), I(1)]]
s[True]
s[B(False)]
v[v > 100]
m[m > 0]
e[[]]
""".strip().splitlines()


@pytest.mark.parametrize("text", BASIC)
def test_basic(text):
    check(text)


@pytest.mark.parametrize("text", ADVANCED)
def test_advanced(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's deprecation of lists as tuples
        check(text)


def test_lists_of_lists_are_tuples():
    """PyTorch 2.13 reads a short list that holds sequences as a tuple (and says that this will change)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check("x[[[0, 1], [0, 1]]]")
        check("x[[[0, 1]]]")
        check("x[[slice(0, 1), 0]]")


def test_uint8_masks():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check("x[B([0, 1], dtype=T.uint8)]")


GET_ERRORS = [
    ("x[5]", "index 5 is out of bounds for dimension 0 with size 2"),
    ("x[:, 5]", "index 5 is out of bounds for dimension 1 with size 3"),
    ("x[0, -4]", "index -4 is out of bounds for dimension 1 with size 3"),
    ("v[5]", "index 5 is out of bounds for dimension 0 with size 4"),
    ("x[[5]]", "index 5 is out of bounds for dimension 0 with size 2"),
    ("x[I(0, -3)]", "index -3 is out of bounds for dimension 0 with size 2"),
    ("x[:, I(5)]", "*index 5 is out of bounds for dimension 1 with size 3"),
    ("x[[0, 5], [0, 0]]", "index 5 is out of bounds for dimension 0 with size 2"),
    ("x[0, 0, 0, 0]", "too many indices for tensor of dimension 3"),
    ("v[0, 0]", "too many indices for tensor of dimension 1"),
    ("v[:, [0]]", "too many indices for tensor of dimension 1"),
    ("x[::-1]", "step must be greater than zero"),
    ("x[::0]", "slice step cannot be zero"),
    ("x[0.5:1]", "slice indices must be integers or None or have an __index__ method"),
    (
        "x[1.5]",
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices (got float)",
    ),
    ("x[I(1.5)]", "tensors used as indices must be long, int, byte or bool tensors"),
    ("x[B([0, 1], dtype=T.int16)]", "tensors used as indices must be long, int, byte or bool tensors"),
    (
        "x[B([True, False, True])]",
        "The shape of the mask [3] at index 0 does not match the shape of the indexed tensor [2, 3, 4] at index 0",
    ),
    (
        "x[T.ones(2, 2, dtype=T.bool)]",
        "The shape of the mask [2, 2] at index 1 does not match the shape of the indexed tensor [2, 3, 4]",
    ),
    (
        "x[B([[0, 1], [1, 0]]), I(0, 1, 2)]",
        "shape mismatch: indexing tensors could not be broadcast together with shapes [2, 2], [3]",
    ),
    ("s[0]", "invalid index of a 0-dim tensor."),
    ("s[:]", "slice() cannot be applied to a 0-dim tensor."),
]


@pytest.mark.parametrize(("text", "message"), GET_ERRORS)
def test_get_errors(text, message):
    check_error(text, message)


# ---- x[index] = value: the statement runs on a clone, so that gradients of the old and the new values show

SET = [
    ("0", "5.0"),
    ("0", "v"),
    ("0, 1:", "v"),
    ("...", "v"),
    (":, 1", "v"),
    ("..., 0", "2"),
    ("None", "x"),
    ("[0, 1]", "v"),
    ("I(1, 0)", "x * 2"),
    ("I(1)", "m[0, 0]"),
    (":, [0, 2]", "v"),
    ("x > 0", "0.0"),
    ("x > 0", "x[x > 0] * 3"),
    ("x[:, :, 0] > 0", "v"),
    ("B(True)", "v"),
    ("0, :, [0, 1]", "m[0, :2]"),
    ("[0, 1], 1:, 0", "m[0, :2]"),
    ("::1, ::2", "v[None, None]"),
    ("1, 2, 3", "m.sum()"),
    ("slice(0, 1)", "x[1:]"),
    ("x < -100", "1.0"),
    ("[]", "v"),
]


@pytest.mark.parametrize(("index", "value"), SET)
def test_set(index, value):
    def run(module):
        from peer import inputs

        scope = inputs(module)
        scope["y"] = scope["x"] * 1
        exec(f"y[{index}] = {value}", scope)
        weight = module.tensor(np.cos(np.arange(24.0)).reshape(2, 3, 4))
        (scope["y"] * weight).sum().backward()
        grads = [None if scope[k].grad is None else scope[k].grad.numpy() for k in "xvm"]
        return scope["y"].detach().numpy(), grads

    (expected, grads), (got, own) = run(torch), run(cr)
    np.testing.assert_array_equal(got, expected)
    for p, q in zip(grads, own, strict=True):
        assert (p is None) == (q is None)
        if p is not None:
            np.testing.assert_allclose(q, p, rtol=1e-13, atol=1e-13)


def test_set_casts_to_the_tensors_dtype():
    t = cr.zeros(3, dtype=cr.int64)
    places = cr.tensor([0, 2])
    t[places] = cr.tensor([1.7, -2.7])
    assert t.tolist() == [1, 0, -2]
    t[places[0]] = 9
    assert t.tolist() == [9, 0, -2]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (
            "y[I(0, 1)] = T.ones(3, 5)",
            "shape mismatch: value tensor of shape [3, 5] cannot be broadcast to indexing result of shape [2, 3, 4]",
        ),
        ("y[I(0, 7)] = 1.0", "index 7 is out of bounds for dimension 0 with size 2"),
        ("y[7] = 1.0", "index 7 is out of bounds for dimension 0 with size 2"),
        ("y[::-1] = 1.0", "step must be greater than zero"),
        ("y[0, 0, 0, 0] = 1.0", "too many indices for tensor of dimension 3"),
    ],
)
def test_set_errors(statement, message):
    from peer import inputs

    for module in (torch, cr):
        scope = inputs(module)
        scope["y"] = scope["x"] * 1
        with pytest.raises((IndexError, RuntimeError, ValueError)) as error:
            exec(statement, scope)
        assert message in str(error.value)


def test_random_indices():
    """Indices put together at random: reading, its gradient, and writing, as in PyTorch."""
    rng = np.random.default_rng(1)
    pool = ["{i}", "-1", ":", "1:", ":2", "::2", "None", "[0, 1]", "[1]", "I(1, 0)", "B([[0], [1]])", "mask", "..."]
    tried = 0
    for _ in range(400):
        parts = [str(p).format(i=rng.integers(2)) for p in rng.choice(pool, rng.integers(1, 5))]
        sizes = (2, 3, 2, 4)
        text = ", ".join(parts)
        if parts.count("...") > 1:
            continue
        results = []
        for module in (torch, cr):
            data = module.tensor(np.arange(48.0).reshape(sizes), requires_grad=True)
            scope = {
                "x": data,
                "I": lambda *a, m=module: m.tensor(a),
                "B": module.tensor,
                "mask": module.tensor([True, False]),
                "T": module,
            }
            try:
                r = eval(f"x[{text}]", scope)
                (r * r).sum().backward()
                scope["y"] = data.detach().clone()
                exec(f"y[{text}] = -1.0", scope)
                results.append((r.detach().numpy(), data.grad.numpy(), scope["y"].numpy()))
            except IndexError as error:
                results.append(str(error))
        if isinstance(results[0], str):
            assert isinstance(results[1], str), text
            continue
        tried += 1
        for p, q in zip(*results, strict=True):
            np.testing.assert_array_equal(q, p, err_msg=text)
    assert tried > 100


# ---- gather, scatter and the rest

PICKED = """
x.gather(1, B([[[0, 1], [2, 2]]]))
x.gather(0, T.zeros(1, 3, 4, dtype=T.int64))
x.gather(-1, B([[[3]], [[0]]]))
v.gather(0, I(3, 3, 0))
s.gather(0, I(0, 0))
x.gather(1, B([[[0]]], dtype=T.int32))
x.take_along_dim(B([[[0]], [[1]]]), 1)
x.take_along_dim(B([[[-1]], [[1]]]), 1)
x.take_along_dim(I(0, 23))
x.index_select(1, I(2, 0, 2))
x.index_select(-1, I(3))
s.index_select(0, I(0))
x.take(B([[0, -1], [5, 5]]))
x.masked_select(x > 0)
x.masked_select(B([True, False, True, True]))
x.nonzero()
x.nonzero(as_tuple=True)
s.nonzero()
s.nonzero(as_tuple=True)
x.argwhere()
s.argwhere()
T.where(x > 0)
F.one_hot(B([[0, 2], [1, 0]]))
F.one_hot(I(0, 2), 4)
F.embedding(B([[0, 4], [4, 4]]), w)
F.embedding(I(0, 4, 4), w, padding_idx=4)
F.embedding(I(0, 4, 4), w, padding_idx=-1)
F.embedding(I(0, 4, 4), w, scale_grad_by_freq=True)
F.embedding(B(2), w)
F.embedding_bag(I(0, 4, 4, 1), w, I(0, 2))
F.embedding_bag(I(0, 4, 4, 1), w, I(0, 0, 3), mode="sum")
F.embedding_bag(I(0, 4, 4, 1), w, I(0, 0, 3), mode="max")
F.embedding_bag(B([[0, 4], [4, 1]]), w, mode="sum", padding_idx=4)
F.embedding_bag(B([[0, 4], [4, 1]]), w, mode="sum", per_sample_weights=m[:2, :2])
F.embedding_bag(I(0, 4, 4, 1), w, I(0, 2, 4), include_last_offset=True)
""".strip().splitlines()

WRITTEN = """
x.scatter(1, B([[[0, 1, 2, 0]], [[2, 0, 0, 1]]]), x[:, :1])
x.scatter(1, B([[[0], [1]]]), 7.5)
v.scatter(0, I(0, 2), u[:2])
T.scatter(v, 0, I(0, 2), value=2.0)
x.scatter_add(1, B([[[0, 0, 2, 0], [0, 1, 2, 0]]]), x[1:, :2])
v.scatter_add(0, I(0, 0, 0), u[1:])
s.scatter_add(0, I(0), m[0, :1])
v.scatter_reduce(0, I(0, 0, 2), u[:3], "sum")
v.scatter_reduce(0, I(0, 0, 2), u[:3], "sum", include_self=False)
v.scatter_reduce(0, I(0, 0, 2), u[:3], "mean")
v.scatter_reduce(0, I(0, 0, 2), u[:3], "mean", include_self=False)
v.scatter_reduce(0, I(0, 0, 2), u[:3], "amax")
v.scatter_reduce(0, I(0, 0, 2), u[:3], "amin", include_self=False)
(v + 7).scatter_reduce(0, I(0, 0, 2), u[:3] + 5, "prod")
v.scatter_reduce(0, I(0, 0, 2, 2), u, "prod")
v.scatter_reduce(0, I(3, 3, 3, 3), u, "prod", include_self=False)
x.index_add(1, I(0, 0, 2), x)
x.index_add(1, I(0, 2), x[:, :2], alpha=-2.5)
s.index_add(0, I(0), s)
x.index_copy(2, I(3, 0), x[:, :, :2])
x.index_fill(1, I(0, 2), 3.0)
x.index_fill(1, I(2, 2), s)
x.index_put((I(0, 1), I(2, 2)), v)
x.index_put((I(1, 1, 1),), x[0], accumulate=True)
x.index_put((x > 0,), s)
x.index_put((x[:, 0, 0] > 0, I(1, 2)), v, accumulate=True)
x.put(I(0, -1, 5), m[0])
x.put(B([[0, 0], [5, 5]]), v.view(2, 2), accumulate=True)
x.masked_scatter(x > 1, x * 2)
x.masked_scatter(v > 0, x * 2)
s.masked_scatter(s < 100, v)
x.select_scatter(m[0], 2, 1) if False else x.select_scatter(x[:, 0] * 2, 1, -1)
x.slice_scatter(x[:, :1] * 2, 1, 2)
x.slice_scatter(x[:, :2] * 2, 1, 0, 3, 2)
x.diagonal_scatter(x.diagonal(1, 1, 2) * 2, 1, 1, 2)
""".strip().splitlines()


@pytest.mark.parametrize("text", PICKED + WRITTEN)
def test_pick_and_write(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(text, names=False, views=False)


@pytest.mark.parametrize("reduce", ["prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("include_self", [True, False])
def test_index_reduce(reduce, include_self):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls it a beta
        check(
            f"(x + 9).index_reduce(1, I(0, 0, 2), x + 5.3, {reduce!r}, include_self={include_self})",
            names=False,
            views=False,
        )


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("x.gather(1, B([[[0]]]))", "GatherBackward0"),
        ("x.index_select(1, I(0))", "IndexSelectBackward0"),
        ("x.scatter(1, B([[[0]]]), x)", "ScatterBackward0"),
        ("x.scatter(1, B([[[0]]]), 1.0)", "ScatterBackward1"),
        ("x.scatter_add(1, B([[[0]]]), x)", "ScatterAddBackward0"),
        ("x.index_add(0, I(0, 1), x)", "IndexAddBackward0"),
        ("x.index_copy(0, I(0, 1), x)", "IndexCopyBackward0"),
        ("x.index_fill(0, I(0), 1.0)", "IndexFillBackward0"),
        ("x.masked_select(x > 0)", "MaskedSelectBackward0"),
        ("x.index_put((I(0),), x[:1])", "IndexPutBackward0"),
        ("F.embedding(I(0), w)", "EmbeddingBackward0"),
        ("x.select_scatter(x[0], 0, 0)", "SelectScatterBackward0"),
        ("x.slice_scatter(x, 0)", "SliceScatterBackward0"),
        ("m.diagonal_scatter(m[0])", "DiagonalScatterBackward0"),
    ],
)
def test_node_names(text, name):
    from peer import inputs

    assert type(eval(text, inputs(torch)).grad_fn).__name__ == name
    assert type(eval(text, inputs(cr)).grad_fn).__name__ == name


ERRORS = [
    ("x.gather(1, B([[[-1]]]))", "index -1 is out of bounds for dimension 1 with size 3"),
    ("x.gather(1, B([[[3]]]))", "index 3 is out of bounds for dimension 1 with size 3"),
    ("x.gather(1, I(0))", "Index tensor must have the same number of dimensions as input tensor"),
    (
        "m.gather(1, T.zeros(4, 1, dtype=T.int64))",
        "Size does not match at dimension 0 expected index [4, 1] to be no larger than self [3, 3]",
    ),
    ("v.gather(0, I(0.5))", "gather(): Expected dtype int32/int64 for index"),
    (
        "x.take_along_dim(I(0, 1), 1)",
        "torch.take_along_dim(): input and indices should have the same number of dimensions",
    ),
    ("x.index_select(1, B([[1]]))", "index_select(): Index is supposed to be a vector"),
    ("x.index_select(1, I(1.0))", "index_select(): Expected dtype int32 or int64 for index"),
    ("x.index_select(1, I(3))", "*index out of range in self: index 3, but the size of the dimension is 3"),
    ("x.take(I(0, 24))", "out of range: tried to access index 24 on a tensor of 24 elements."),
    ("v.scatter(0, I(4), u)", "index 4 is out of bounds for dimension 0 with size 4"),
    ("v.scatter(0, I(0), u.float())", "scatter(): Expected self.dtype to be equal to src.dtype"),
    ("m.scatter(1, B([[0, 1, 2]]), m[:, :2])", "to be no larger size than src [3, 2]"),
    ("v.scatter(0, I(0), u, reduce='foo')", "reduce argument must be either add or multiply"),
    ("v.scatter_reduce(0, I(0), u, 'foo')", "reduce argument must be either sum, prod, mean, amax or amin, got foo"),
    ("x.index_add(0, I(0, 5), x)", "index 5 is out of bounds for dimension 0 with size 2"),
    (
        "x.index_add(0, I(0), x)",
        "index_add_(): Number of indices (1) should be equal to source.size(dim): (2), for dim: 0",
    ),
    (
        "x.index_add(0, I(0, 1), x[:, :2])",
        "source tensor shape must match self tensor shape, excluding the specified dimension.",
    ),
    ("x.index_copy(0, I(0, 5), x)", "index 5 is out of bounds for dimension 0 with size 2"),
    ("x.index_fill(0, I(5), 3)", "index 5 is out of bounds for dimension 0 with size 2"),
    (
        "x.index_fill(0, I(0), v)",
        "index_fill_ only supports a 0-dimensional value tensor, but got tensor with 1 dimension(s).",
    ),
    ("x.index_put((I(0, 5),), s)", "index 5 is out of bounds for dimension 0 with size 2"),
    (
        "x.index_put((I(0, 1),), m)",
        "shape mismatch: value tensor of shape [3, 3] cannot be broadcast to indexing result of shape [2, 3, 4]",
    ),
    ("x.index_put((I(0),), v.float())", "Index put requires the source and destination dtypes match"),
    ("x.put(I(0, 24), v[:2])", "out of range: tried to access index 24 on a tensor of 24 elements."),
    ("x.put(I(0, 1, 2), v[:2])", "put_(): Expected source and index to have the same number of elements"),
    ("x.masked_select(I(1, 0, 1, 0))", "masked_select: expected BoolTensor for mask"),
    ("x.masked_scatter(x > 0, v)", "Number of elements of source < number of ones in mask"),
    (
        "x.select_scatter(m, 1, 0)",
        "expected src to have a size equal to the slice of self. src size = [3, 3], slice size = [2, 4]",
    ),
    ("F.one_hot(I(0, 2), 2)", "Class values must be smaller than num_classes."),
    ("F.one_hot(I(0, -2))", "Class values must be non-negative."),
    ("F.one_hot(I(0.5))", "one_hot is only applicable to index tensor of type LongTensor"),
    ("F.embedding(I(0, 5), w)", "index out of range in self"),
    ("F.embedding(I(0), x)", "'weight' must be 2-D"),
    (
        "F.embedding(I(0.5), w)",
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int",
    ),
    ("F.embedding(I(0), w, padding_idx=5)", "*Padding_idx must be within num_embeddings"),
    ("F.embedding_bag(I(0, 1), w)", "offsets has to be a 1D Tensor but got None"),
    ("F.embedding_bag(I(0, 1), w, I(1))", "offsets[0] has to be 0"),
    (
        "F.embedding_bag(I(0, 1), w, I(0, 5))",
        "offsets[-1] can not be greater than input's length 2 but got offsets[-1] of 5",
    ),
    ("F.embedding_bag(I(0, 1), w, I(0), mode='foo')", "mode has to be one of sum, mean or max"),
    (
        "F.embedding_bag(I(0, 1), w, I(0), per_sample_weights=v[:2])",
        "per_sample_weights is only supported for mode='sum'",
    ),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_errors(text, message):
    check_error(text, message)


def test_sparse_gradients_are_refused():
    with pytest.raises(NotImplementedError, match="sparse=True is not supported, gradients are dense here"):
        cr.nn.functional.embedding(cr.tensor([0]), cr.ones(2, 2), sparse=True)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x[0, 1:] ** 2", "x"),
        ("x[[0, 0, 1]] ** 2", "x"),
        ("x[:, [0, 2], [0, 0]] ** 2", "x"),
        ("x[x > 0.1] ** 2", "x"),
        ("x.gather(1, B([[[0, 0], [0, 2]]])) ** 2", "x"),
        ("v.scatter(0, I(0, 2), u) ** 2", "vu"),
        ("v.scatter_add(0, I(0, 0, 2), u) ** 2", "vu"),
        ("v.scatter(0, I(0, 2), 3.0) ** 2", "v"),
        ("v.scatter_reduce(0, I(0, 0, 2, 1), u, 'prod') ** 2", "vu"),
        ("x.index_add(1, I(0, 0), m.view(1, 3, 3)[:, :2, [0]].expand(2, 2, 4)) ** 2", "xm"),
        ("x.index_copy(1, I(2, 0), x[:, :2] * 3) ** 2", "x"),
        ("x.index_put((I(0, 0),), v, accumulate=True) ** 2", "xv"),
        ("x.masked_scatter(x > 1.1, x * 2) ** 2", "x"),
        ("F.embedding(I(0, 4, 4), w) ** 2", "w"),
        ("F.embedding_bag(I(0, 4, 4), w, I(0, 1), mode='max') ** 2", "w"),
        ("x.select_scatter(v.expand(2, 4) ** 2, 1, 0) ** 2", "xv"),
        ("m.diagonal_scatter(v[:3] ** 2) ** 2", "mv"),
        ("v.take(I(0, -1, 0)) ** 2", "v"),
    ],
)
def test_second_order(text, names):
    check_second_order(text, *names)


def test_a_source_larger_than_the_index():
    """Only the part the index covers counts; the rest gets a zero gradient (PyTorch's backward fails here)."""
    v, u = cr.zeros(4, requires_grad=True), cr.arange(4.0).requires_grad_()
    for write in (v.scatter, v.scatter_add):
        out = write(0, cr.tensor([2, 0]), u)
        assert out.tolist() == [1.0, 0.0, 0.0, 0.0]
        u.grad = None
        (out * cr.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
        assert u.grad.tolist() == [3.0, 1.0, 0.0, 0.0]
    assert v.scatter(0, cr.tensor([2, 0]), u + 1, reduce="add").tolist() == [2.0, 0.0, 1.0, 0.0]
    assert (v + 2).scatter(0, cr.tensor([2, 0]), 3.0, reduce="multiply").tolist() == [6.0, 2.0, 6.0, 2.0]


def test_prod_with_zeros():
    """scatter_reduce("prod") where one or two of the factors are zero."""
    for zeros in ([0], [0, 1], [0, 2], []):

        def grads(module, zeros=zeros):
            a = module.tensor([2.0, 3.0], dtype=module.float64)
            b = module.tensor([5.0, 7.0, 11.0], dtype=module.float64)
            for k in zeros:
                b[k] = 0.0
            a.requires_grad_()
            b.requires_grad_()
            a.scatter_reduce(0, module.tensor([0, 0, 1]), b, "prod").sum().backward()
            return [*a.grad.tolist(), *b.grad.tolist()]

        assert grads(cr) == grads(torch)


def test_max_norm_changes_the_table():
    """Rows in use are scaled down in place, unrecorded; others stay."""

    def run(module):
        w = module.tensor([[3.0, 4.0], [0.3, 0.4], [30.0, 40.0]], requires_grad=True)
        out = module.nn.functional.embedding(module.tensor([0, 1]), w, max_norm=1.0)
        return out.detach().numpy(), w.detach().numpy()

    for p, q in zip(run(torch), run(cr), strict=True):
        np.testing.assert_allclose(q, p, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
@pytest.mark.parametrize("width", [1, 3, 40])
def test_many_repeated_indices(dtype, width):
    """Every way of adding rows, in every dtype: small and large, one element wide and wider."""
    rng = np.random.default_rng(0)
    for count in (7, 900):
        index = rng.integers(0, 11, count)
        rows = rng.integers(-4, 5, (count, width))
        expected = np.zeros((11, width), np.int64)
        np.add.at(expected, index, rows)
        got = cr.zeros(11, width, dtype=getattr(cr, dtype)).index_add(
            0, cr.tensor(index), cr.tensor(rows, dtype=getattr(cr, dtype))
        )
        assert got.dtype == getattr(cr, dtype)
        np.testing.assert_array_equal(got.numpy().astype(np.int64), expected)


def test_embedding_gradient_in_single_precision():
    ids = np.random.default_rng(0).integers(0, 50, 1000)
    grads = []
    for module in (torch, cr):
        w = module.ones(50, 16, requires_grad=True)
        out = module.nn.functional.embedding(module.tensor(ids), w)
        (out * module.arange(16.0)).sum().backward()
        grads.append(w.grad.numpy())
    assert grads[1].dtype == np.float32
    np.testing.assert_allclose(grads[1], grads[0], rtol=1e-5)


def test_a_masked_path_stays_masked():
    """An element that indexing left out gets a zero gradient even where what follows backward is infinite."""
    for pick in (
        lambda t: t[1:],
        lambda t: t[[1, 2]],
        lambda t: t[t > 0.5],
        lambda t: t.index_select(0, cr.tensor([1, 2])),
        lambda t: t.gather(0, cr.tensor([1, 2])),
        lambda t: t.narrow(0, 1, 2),
    ):
        x = cr.tensor([0.0, 1.0, 4.0], requires_grad=True)
        pick(x.sqrt()).sum().backward()
        assert x.grad.tolist()[1:] == [0.5, 0.25]
        assert x.grad[0].item() == 0.0


# Expressions with a result that depends on values (how many are positive) have no batch form, in PyTorch either.
BY_VALUE = re.compile("[<>]|nonzero|argwhere|one_hot|mode=.max")


@pytest.mark.parametrize(
    "text",
    [t for t in BASIC + ADVANCED + PICKED + WRITTEN if not re.search("nonzero|arg|where|one_hot|padding_idx=|freq", t)],
)
def test_forward_mode(text):
    check_forward(text)


@pytest.mark.parametrize("text", [t for t in BASIC + ADVANCED + PICKED + WRITTEN if not BY_VALUE.search(t)])
def test_vmap(text):
    check_vmap(text)


def test_vmap_over_the_index():
    x, rows = cr.arange(24.0).view(2, 3, 4), cr.tensor([[0, 2], [1, 1]])
    got = cr.func.vmap(lambda t, i: t[i])(x, rows)
    np.testing.assert_array_equal(got.numpy(), np.stack([x.numpy()[b, rows.numpy()[b]] for b in range(2)]))


def test_grad_of_chained_basic_and_advanced_steps():
    """A basic part before an advanced one is a step of its own, as in PyTorch."""
    x = cr.zeros(2, 3, 4, requires_grad=True)
    y = x[0, :, [0, 1]]
    assert type(y.grad_fn).__name__ == "IndexBackward0"
    assert type(y.grad_fn.next_functions[0][0]).__name__ == "SelectBackward0"
