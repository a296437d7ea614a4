"""Networks' operators against PyTorch: convolution, pooling, normalisation, attention, resampling."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentValueError, ShapeError, UnsupportedError
from chainrule.ops import conv_kernels
from chainrule.primitive import primitives, recorded
from peer_calls import compare, fails, normal

torch = pytest.importorskip("torch")


def functional(name, **how):
    return lambda lib, *args: getattr(lib.nn.functional, name)(*args, **how)


# ---- convolution

CONV = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": 1},
    {"dilation": 2, "padding": 2},
    {"padding": "same"},
    {"padding": "valid"},
    {"stride": (2, 1), "padding": (1, 0)},
    {"padding": "same", "dilation": 3},
]


@pytest.mark.parametrize("how", CONV, ids=str)
def test_conv2d(how):
    compare(functional("conv2d", **how), normal(2, 3, 9, 8), normal(4, 3, 3, 3), normal(4))
    compare(functional("conv2d", **how), normal(2, 8, 9, 8), normal(8, 8, 3, 3), normal(8))
    compare(functional("conv2d", groups=2, **how), normal(2, 4, 9, 8), normal(6, 2, 3, 1), normal(6))


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3, 19, 18), (4, 3, 3, 2), {}),
        ((2, 3, 19, 18), (6, 1, 3, 2), {"groups": 3}),
        ((2, 3, 9, 8), (4, 3, 1, 1), {}),
        ((3, 9, 8), (4, 3, 2, 2), {}),
        ((0, 3, 9, 8), (4, 3, 2, 2), {}),
    ],
    ids=str,
)
def test_conv2d_of_other_sizes(shapes):
    x, w, how = shapes
    compare(functional("conv2d", **how), normal(*x), normal(*w), normal(w[0]))
    compare(functional("conv2d", **how), normal(*x), normal(*w))


def test_conv_in_one_and_three_dimensions():
    compare(functional("conv1d", stride=2, padding=1), normal(2, 3, 9), normal(4, 3, 3), normal(4))
    compare(functional("conv3d", stride=(1, 2, 1), padding=1), normal(2, 3, 5, 6, 5), normal(4, 3, 2, 3, 2), normal(4))


TRANSPOSED = [
    {},
    {"padding": 1},
    {"stride": 2, "padding": 1},
    {"stride": 2, "padding": 1, "output_padding": 1},
    {"dilation": 2, "padding": 2},
    {"stride": 1, "dilation": 3, "output_padding": 2},
]


@pytest.mark.parametrize("how", TRANSPOSED, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_conv_transpose(n, how):
    f = functional(f"conv_transpose{n}d", **how)
    size, kernel = (5, 4, 3)[:n], (3, 2, 2)[:n]
    if how.get("padding") == 2:
        size = (5, 6, 5)[:n]
    compare(f, normal(2, 4, *size), normal(4, 3, *kernel), normal(3))
    grouped = functional(f"conv_transpose{n}d", groups=2, **how)
    compare(grouped, normal(4, *size), normal(4, 3, *kernel), normal(6))


def test_conv_in_parts_of_the_batch(monkeypatch):
    """Columns beyond the limit are made for some images at a time."""
    monkeypatch.setattr(conv_kernels, "CHUNK_BYTES", 1)
    compare(functional("conv2d", padding=1), normal(3, 2, 9, 8), normal(4, 2, 3, 3), normal(4))


def test_conv_float32():
    compare(
        functional("conv2d", padding=1),
        normal(2, 3, 9, 8),
        normal(4, 3, 3, 3),
        normal(4),
        dtype=np.float32,
        order=1,
        rtol=1e-3,
        atol=1e-3,
    )


# ---- pooling

WINDOWS = [
    {"kernel_size": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 2, "padding": 1},
    {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel_size": 3, "stride": 1, "padding": 1},
    {"kernel_size": 2, "stride": 3, "ceil_mode": True},
    {"kernel_size": 2, "dilation": 2, "ceil_mode": True},
]


@pytest.mark.parametrize("how", WINDOWS, ids=str)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_pooling(n, how):
    x = normal(2, 3, *(9, 8, 7)[:n])
    compare(functional(f"max_pool{n}d", **how), x)
    compare(functional(f"max_pool{n}d", return_indices=True, **how), np.round(x))  # with ties: the first one is taken
    compare(functional(f"max_pool{n}d", **how), x[0])
    if "dilation" in how:
        return
    compare(functional(f"avg_pool{n}d", **how), x)
    compare(functional(f"avg_pool{n}d", count_include_pad=False, **how), x)
    if n > 1:
        compare(functional(f"avg_pool{n}d", divisor_override=3, **how), x)
    if "padding" not in how and n < 3:
        compare(functional(f"lp_pool{n}d", norm_type=2, **how), abs(x) + 0.1)


def test_max_pool_and_nan_and_infinity():
    x = np.array([[[1, np.nan, 5, -np.inf], [2, 3.0, np.inf, 4]]])
    compare(functional("max_pool2d", kernel_size=2, return_indices=True), x, order=0)
    t = cr.tensor(np.array([[[1.0, 2.0], [3.0, 4.0]]])).requires_grad_()
    cr.nn.functional.max_pool2d(t, 2).backward(cr.full((1, 1, 1), math.inf, dtype=cr.float64))
    assert t.grad.tolist() == [[[0.0, 0.0], [0.0, math.inf]]]  # not NaN where nothing was taken


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("out", [1, 2, 3, 7, 9, "mixed"])
def test_adaptive_pooling(n, out):
    if out == "mixed":
        out = (4,) if n == 1 else (None, 4, 1)[:n]
    if n == 1 and isinstance(out, tuple):
        out = out[0]
    x = normal(2, 3, *(7, 6, 5)[:n])
    compare(functional(f"adaptive_avg_pool{n}d", output_size=out), x)
    compare(functional(f"adaptive_max_pool{n}d", output_size=out, return_indices=True), x)
    compare(functional(f"adaptive_max_pool{n}d", output_size=out, return_indices=True), np.round(x[0]))


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling(n):
    def f(lib, x):
        pool, unpool = getattr(lib.nn.functional, f"max_pool{n}d"), getattr(lib.nn.functional, f"max_unpool{n}d")
        y, index = pool(x, 2, return_indices=True)
        return unpool(y, index, 2), unpool(y, index, 2, output_size=x.shape)

    compare(f, normal(2, 3, *(8, 6, 4)[:n]))


# ---- normalisation

NORM = {
    "layer": (lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (4,), w, b), [(3, 5, 4), (4,), (4,)]),
    "layer without bias": (lambda lib, x, w: lib.nn.functional.layer_norm(x, (4,), w), [(3, 5, 4), (4,)]),
    "layer, plain": (lambda lib, x: lib.nn.functional.layer_norm(x, (4,)), [(5, 4)]),
    "layer over two": (lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (5, 4), w, b), [(3, 5, 4), (5, 4), (5, 4)]),
    "layer of nothing": (lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (4,), w, b), [(0, 4), (4,), (4,)]),
    "rms": (lambda lib, x, w: lib.nn.functional.rms_norm(x, (4,), w), [(3, 5, 4), (4,)]),
    "rms over two": (lambda lib, x: lib.nn.functional.rms_norm(x, (5, 4), eps=1e-3), [(3, 5, 4)]),
    "batch of vectors": (
        lambda lib, x, w, b: lib.nn.functional.batch_norm(x, None, None, w, b, True),
        [(5, 4), (4,), (4,)],
    ),
    "batch of images": (
        lambda lib, x, w, b: lib.nn.functional.batch_norm(x, None, None, w, b, True),
        [(5, 4, 3, 2), (4,), (4,)],
    ),
    "batch, plain": (lambda lib, x: lib.nn.functional.batch_norm(x, None, None, training=True), [(5, 4, 3)]),
    "group": (lambda lib, x, w, b: lib.nn.functional.group_norm(x, 2, w, b), [(5, 4, 3), (4,), (4,)]),
    "group of nothing": (lambda lib, x, w, b: lib.nn.functional.group_norm(x, 2, w, b), [(0, 4, 3), (4,), (4,)]),
    "instance": (lambda lib, x, w, b: lib.nn.functional.instance_norm(x, None, None, w, b), [(5, 4, 3, 2), (4,), (4,)]),
    "local response": (lambda lib, x: lib.nn.functional.local_response_norm(x, 3), [(5, 4, 3)]),
}


@pytest.mark.parametrize("name", NORM)
def test_normalisation(name):
    f, shapes = NORM[name]
    compare(f, *[normal(*s, seed=i) for i, s in enumerate(shapes)], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_running_statistics(name):
    def f(lib, x, w, b):
        mean, var = lib.zeros(4, dtype=lib.float64), lib.ones(4, dtype=lib.float64)
        how = {"training": True} if name == "batch_norm" else {"use_input_stats": True}
        y = getattr(lib.nn.functional, name)(x, mean, var, w, b, momentum=0.2, **how)
        return y, mean, var

    compare(f, normal(5, 4, 3), normal(4), normal(4, seed=1))


def test_batch_norm_in_evaluation():
    compare(
        lambda lib, x, m, v, w, b: lib.nn.functional.batch_norm(x, m.detach(), v.detach(), w, b),
        normal(5, 4, 3),
        normal(4),
        abs(normal(4, seed=1)) + 0.3,
        normal(4, seed=2),
        normal(4, seed=3),
    )


def test_the_running_statistics_count_as_changed():
    mean, var = cr.zeros(4), cr.ones(4)
    cr.nn.functional.batch_norm(cr.randn(3, 4), mean, var, training=True)
    assert mean._version == 1
    assert var._version == 1


@pytest.mark.parametrize(
    ("name", "dims", "affine"),
    [
        ("layer_norm", (-1,), (4,)),
        ("layer_norm", (-2, -1), (3, 4)),
        ("batch_norm", (-3, -1), (3, 1)),
        ("group_norm", (-1,), (2, 3, 1)),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fused_normalisation_is_its_definition(name, dims, affine, dtype):
    shape = (5, 2, 3, 4)
    inputs = [
        normal(*shape).astype(dtype),
        *[normal(math.prod(affine), seed=i).reshape(affine).astype(dtype) for i in (1, 2)],
    ]
    how = {"dims": dims, "affine": affine, "eps": 1e-5}
    fused, plain = ([cr.tensor(a).requires_grad_() for a in inputs] for _ in range(2))
    y = getattr(recorded, name)(*fused, **how)[0]
    z = primitives[name].define(recorded, *plain, **how)
    tolerance = {"rtol": 1e-4, "atol": 1e-4} if dtype == "float32" else {"rtol": 1e-10, "atol": 1e-10}
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), **tolerance)
    for t in (y, z):
        (t * t * t).sum().backward()
    for a, b in zip(fused, plain, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), **tolerance)


# ---- attention

Q, K, V = normal(2, 3, 4, 5), normal(2, 3, 6, 5), normal(2, 3, 6, 7)


def attention(lib, q, k, v, **how):
    return lib.nn.functional.scaled_dot_product_attention(q, k, v, **how)


def test_attention():
    compare(attention, Q, K, V)
    compare(lambda lib, *a: attention(lib, *a, is_causal=True), Q, K, V)
    compare(lambda lib, *a: attention(lib, *a, scale=0.3), Q, K, V)
    compare(attention, Q[0, 0], K[0, 0], V[0, 0])
    compare(attention, Q, K[:1], V[:1])
    compare(lambda lib, q, k, v, m: attention(lib, q, k, v, attn_mask=m), Q, K, V, normal(4, 6))
    compare(lambda lib, *a: attention(lib, *a, enable_gqa=True), normal(2, 6, 4, 5), K, V)


def test_a_row_without_any_position_gives_zeros_and_no_nan():
    mask = np.ones((4, 6), bool)
    mask[1] = False
    compare(lambda lib, q, k, v, m: attention(lib, q, k, v, attn_mask=m), Q, K, V, mask)


def test_dropout_in_attention_keeps_the_expected_value():
    cr.manual_seed(0)
    q, k, v = cr.zeros(1, 400, 2), cr.zeros(1, 50, 2), cr.ones(1, 50, 3)
    y = attention(cr, q, k, v, dropout_p=0.5).numpy()
    assert abs(y.mean() - 1) < 0.02
    assert y.std() > 0.05


# ---- errors

ERRORS = [
    (
        lambda t: t.conv2d(t.ones(1, 2, 5, 5), t.ones(3, 3, 2, 2)),
        ShapeError,
        "Given groups=1, weight of size [3, 3, 2, 2], expected input[1, 2, 5, 5] to have 3 channels, "
        "but got 2 channels instead",
    ),
    (
        lambda t: t.conv2d(t.ones(1, 3, 1, 1), t.ones(3, 3, 2, 2)),
        ShapeError,
        "Calculated padded input size per channel: (1 x 1). Kernel size: (2 x 2). Kernel size can't be greater than "
        "actual input size",
    ),
    (
        lambda t: t.conv2d(t.ones(3, 1), t.ones(3, 3, 2, 2)),
        ShapeError,
        "Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [3, 1]",
    ),
    (
        lambda t: t.conv2d(t.ones(1, 3, 4, 4), t.ones(3, 3, 2, 2), stride=0),
        ShapeError,
        "non-positive stride is not supported",
    ),
    (
        lambda t: t.conv2d(t.ones(1, 3, 4, 4), t.ones(3, 3, 2, 2), stride=2, padding="same"),
        ShapeError,
        "padding='same' is not supported for strided convolutions",
    ),
    (
        lambda t: t.conv2d(t.ones(1, 3, 4, 4), t.ones(3, 3, 2, 2), t.ones(4)),
        ShapeError,
        "expected bias to be 1-dimensional with 3 elements, but got bias of size [4] instead",
    ),
    (
        lambda t: t.conv_transpose2d(t.ones(1, 3, 4, 4), t.ones(3, 3, 2, 2), output_padding=1),
        ShapeError,
        "output padding must be smaller than either stride or dilation",
    ),
    (lambda t: t.nn.functional.max_pool2d(t.ones(1, 2, 1, 1), 2), ShapeError, "calculated output size is too small"),
    (
        lambda t: t.nn.functional.max_pool2d(t.ones(1, 2, 4, 4), 2, padding=2),
        ShapeError,
        "pad should be at most half of effective kernel size, but got pad=2, kernel_size=2 and dilation=1",
    ),
    (
        lambda t: t.nn.functional.max_pool2d(t.ones(4, 4), 2),
        ShapeError,
        "max_pool2d(): Expected 3D or 4D input, got shape [4, 4]",
    ),
    (
        lambda t: t.nn.functional.adaptive_avg_pool2d(t.ones(2, 3), 2),
        ShapeError,
        "Expected 3D or 4D tensor, but got [2, 3]",
    ),
    (
        lambda t: t.nn.functional.layer_norm(t.ones(2, 3), (4,)),
        ShapeError,
        "Given normalized_shape=[4], expected input with shape [*, 4], but got input of size[2, 3]",
    ),
    (
        lambda t: t.nn.functional.layer_norm(t.ones(2, 3), (3,), t.ones(2)),
        ShapeError,
        "weight to be of same shape as normalized_shape, but got weight of shape [2] and normalized_shape = [3]",
    ),
    (
        lambda t: t.nn.functional.batch_norm(t.ones(1, 3), None, None, training=True),
        ArgumentValueError,
        "Expected more than 1 value per channel when training, got input size torch.Size([1, 3])",
    ),
    (
        lambda t: t.nn.functional.batch_norm(t.ones(2, 3), t.ones(2), t.ones(3)),
        ShapeError,
        "running_mean should contain 3 elements",
    ),
    (
        lambda t: t.nn.functional.batch_norm(t.ones(2, 3), None, None),
        ShapeError,
        "Expected running_mean and running_var to be defined when training=False",
    ),
    (
        lambda t: t.nn.functional.group_norm(t.ones(2, 3, 4), 2),
        ShapeError,
        "Expected number of channels in input to be divisible by num_groups, but got input of shape [2, 3, 4] and "
        "num_groups=2",
    ),
    (
        lambda t: t.nn.functional.interpolate(t.ones(1, 2, 3), scale_factor=2, size=3),
        ArgumentValueError,
        "only one of size or scale_factor should be defined",
    ),
    (
        lambda t: t.nn.functional.interpolate(t.ones(1, 2, 3)),
        ArgumentValueError,
        "either size or scale_factor should be defined",
    ),
    (
        lambda t: t.nn.functional.interpolate(t.ones(1, 2, 3), size=3, mode="bilinear"),
        UnsupportedError,
        "Got 3D input, but bilinear mode needs 4D input",
    ),
    (
        lambda t: t.nn.functional.interpolate(t.ones(1, 2, 3), size=3, align_corners=True),
        ArgumentValueError,
        "align_corners option can only be set with the interpolating modes",
    ),
    (
        lambda t: attention(t, t.ones(3, 4), t.ones(3, 4), t.ones(3, 4), is_causal=True, attn_mask=t.ones(3, 3)),
        ShapeError,
        "Explicit attn_mask should not be set when is_causal=True",
    ),
    (
        lambda t: t.nn.functional.grid_sample(t.ones(1, 1, 2, 2), t.ones(2, 1, 1, 2), align_corners=True),
        ShapeError,
        "expected grid and input to have same batch size",
    ),
    (
        lambda t: t.nn.functional.grid_sample(t.ones(1, 1, 2, 2), t.ones(1, 1, 1, 2), mode="x", align_corners=True),
        ArgumentValueError,
        "expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: 'x'",
    ),
]


@pytest.mark.parametrize(("f", "error", "text"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors(f, error, text):
    fails(f, error, text)
