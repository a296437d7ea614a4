"""Native loops against NumPy: every element-wise function, reduction and indexed form, on every dtype and width."""

import numpy as np
import pytest

pytest.importorskip("llvmlite")
from hypothesis import given, settings
from hypothesis import strategies as st

from chainrule.compiler import fuse, loops, reference
from chainrule.compiler.functions import MAPS
from chainrule.compiler.ir import Program, contiguous, verify
from chainrule.compiler.target import host

from native_loops import Native  # isort: skip

FLOATS = ("float32", "float64")
INTS = ("int8", "uint8", "int16", "int32", "uint32", "int64", "uint64")
TWO = {
    "add", "sub", "mul", "div", "max", "min", "fmax", "fmin", "pow", "floor_divide", "remainder", "fmod", "atan2", "hypot",
    "logaddexp", "copysign", "eq", "ne", "lt", "le", "gt", "ge", "and", "or", "xor", "shl", "shr",
}  # fmt: skip
TO_BOOL = {"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "signbit"}
OF_INTS = {"add", "sub", "mul", "neg", "abs", "max", "min", "floor_divide", "remainder", "fmod", "id", "sign", "where",
           "fma", "eq", "ne", "lt", "le", "gt", "ge"}  # fmt: skip
LEVELS = ("sse2", "avx2", "avx512")


def target(level):
    try:
        return host(level)
    except ValueError:
        pytest.skip(f"no {level} on this machine")


def sample(rng, dtype, shape):
    if dtype == "bool":
        return rng.integers(0, 2, shape).astype(bool)
    if "float" in dtype:
        return (rng.standard_normal(shape) * 3).astype(dtype)
    return rng.integers(0 if dtype.startswith("u") else -50, 50, shape).astype(dtype)


def build(make, arrays):
    """A program of ``make(program, *inputs)``, verified."""
    p = Program()
    out = make(p, *[p.input(a.shape, a.dtype.name) for a in arrays])
    p.outputs = list(out) if isinstance(out, (list, tuple)) else [out]
    verify(p)
    return p


def close(got, want, tol=None):
    want = np.asarray(want)
    assert got.dtype == want.dtype and got.shape == want.shape
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
    else:
        tol = tol or (2e-5 if want.dtype == np.float32 else 1e-11 if want.dtype == np.float64 else 2e-3)
        np.testing.assert_allclose(got.astype(float), want.astype(float), rtol=tol, atol=tol)


def check(make, *arrays, tol=None, on=None):
    """Native results against the reference's; the same bits for any split of the chunks."""
    p = build(make, arrays)
    native = Native(p, on)
    got, _ = native.run(arrays)
    want, _ = reference.evaluate(p, arrays)
    for a, b in zip(got, want, strict=True):
        close(a, b, tol)
    if any(k.chunks > 1 for k in native.kernels):
        for parts in (2, 7):
            for a, b in zip(native.run(arrays, parts)[0], got, strict=True):
                assert a.tobytes() == b.tobytes(), f"other bits with {parts} parts"
    return native


# ---- element-wise functions


def operands(rng, fn, kind):
    count = 3 if fn in ("fma", "where") else 2 if fn in TWO else 1
    xs = [sample(rng, kind, (3, 45)) for _ in range(count)]
    if count == 2 and fn not in ("shl", "shr"):
        xs[1] = xs[1][:1]  # broadcast
    if fn == "where":
        xs[0] = sample(rng, "bool", (3, 45))
    if fn in ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "pow", "acosh"):
        xs[0] = np.abs(xs[0]) + np.dtype(kind).type(fn == "acosh")
    if fn in ("asin", "acos", "atanh", "erfinv"):
        xs[0] = (xs[0] / (np.abs(xs[0]).max() * 1.1)).astype(kind)
    if fn in ("shl", "shr"):
        xs[1] = np.abs(xs[1] % 80).astype(kind)
    return xs


@pytest.mark.parametrize("fn", [f for f in MAPS if f != "convert"])
def test_map(fn):
    kinds = FLOATS + (INTS if fn in OF_INTS else ())
    if fn in ("and", "or", "xor", "not", "shl", "shr"):
        kinds = INTS
    kinds += ("bool",) if fn in ("eq", "ne", "and", "or", "xor", "not", "where") else ()
    rng = np.random.default_rng(1)
    lists = [operands(rng, fn, k) for k in kinds]

    def make(p, *flat):
        flat, out = list(flat), []
        for kind, xs in zip(kinds, lists, strict=True):
            mine, flat = flat[: len(xs)], flat[len(xs) :]
            out.append(p.map(fn, *mine, dtype="bool" if fn in TO_BOOL else kind))
        return out

    check(make, *[x for xs in lists for x in xs])


@pytest.mark.parametrize("old", [*FLOATS, *INTS, "bool", "float16"])
def test_convert(old):
    new = [
        k for k in (*FLOATS, *INTS, "bool", "float16") if not k.startswith("u") or old.startswith("u") or old == "bool"
    ]
    on = host()
    if "+f16c" not in on.features and on.triple.startswith("x86"):
        new = [k for k in new if "float16" not in (k, old)]
    x = sample(np.random.default_rng(2), old, (5, 21))
    check(lambda p, x: [p.map("convert", x, dtype=k) for k in new], x)


def test_float16_needs_its_conversions():
    with pytest.raises(NotImplementedError, match="does not convert float16"):
        check(lambda p, x: p.map("convert", x, dtype="float16"), np.ones(5, "f4"), on=target("sse2"))


def test_bfloat16_rounds_to_even():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = np.concatenate([np.random.default_rng(0).standard_normal(100), [np.nan, np.inf, -np.inf, 0, 1.00390625]])
    p = Program()
    v = p.input(x.shape, "float32")
    short = p.map("convert", v, dtype="bfloat16")
    p.outputs = [p.map("convert", p.map("mul", short, short, dtype="bfloat16"), dtype="float32")]
    got = Native(p).run([x.astype("f4")])[0][0]
    b = x.astype("f4").astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(got, (b * b).astype("f4"))


@pytest.mark.parametrize("level", LEVELS)
def test_special_values(level):
    x = np.array([0.0, -0.0, 1, -1, np.inf, -np.inf, np.nan, 1e-42, 3e38] * 3, "f4")
    y = np.roll(x, 4)

    def make(p, x, y):
        out = [p.map(f, x, y) for f in ("max", "min", "fmax", "fmin", "add", "mul", "div", "copysign")]
        out += [p.map(f, x, y, dtype="bool") for f in ("eq", "ne", "lt", "ge")]
        out += [p.map(f, x, dtype="bool") for f in ("isnan", "isinf", "isfinite", "signbit")]
        return out + [p.map(f, x) for f in ("sign", "sqrt", "exp", "floor", "round", "tanh")]

    check(make, x, y, on=target(level))


def test_integer_division_and_shifts():
    low = np.iinfo(np.int32).min
    x = np.array([7, -7, 0, low, low, 5, -1, 2**31 - 1], np.int32)
    y = np.array([2, 2, 0, -1, 0, -3, 33, 31], np.int32)
    check(lambda p, x, y: [p.map(f, x, y) for f in ("floor_divide", "remainder", "fmod", "add", "mul")], x, y)
    check(lambda p, x, y: [p.map(f, x, y) for f in ("shl", "shr")], x, np.abs(y))


def test_a_function_without_text_says_so():
    with pytest.raises(NotImplementedError, match="'tanh' of int32 has no native text"):
        check(lambda p, x: p.map("tanh", x), np.ones(3, np.int32))


# ---- reductions

SHAPES = [((7,), (0,)), ((1,), (0,)), ((5, 3), (0,)), ((5, 3), (1,)), ((64, 33), (0,)), ((64, 33), (1,)), ((64, 33), (0, 1)),
          ((3, 4, 50), (0, 2)), ((3, 4, 50), (1,)), ((17, 2, 3, 19), (0, 1, 3)), ((4, 1, 6), (1,)), ((4, 1, 6), (0, 1, 2)),
          ((2, 3, 130), (2,))]  # fmt: skip


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("fn", ["sum", "prod", "max", "min", "argmax", "argmin"])
def test_reduce(fn, level):
    kinds = ("float32", "float64", "int32", "int64") if level == "avx512" else ("float32", "int64")
    on, rng = target(level), np.random.default_rng(3)
    jobs = [(sample(rng, k, shape), dims) for k in kinds for shape, dims in SHAPES]
    if fn == "prod":
        jobs = [((x / 4).astype(x.dtype), dims) for x, dims in jobs]

    def make(p, *xs):
        arg = fn.startswith("arg")
        return [p.reduce(fn, x, dims, dtype="int64" if arg else x.dtype) for x, (_, dims) in zip(xs, jobs, strict=True)]

    check(make, *[x for x, _ in jobs], tol=1e-4, on=on)


def test_reduce_bool():
    x = np.random.default_rng(0).random((9, 40)) < 0.03

    def make(p, x):
        out = [p.reduce(fn, x, dims) for fn in ("any", "all") for dims in ((0,), (1,), (0, 1))]
        return [*out, p.reduce("sum", x, (1,), dtype="int64")]

    check(make, x)


@pytest.mark.parametrize("fn", ["max", "min", "argmax", "argmin", "sum"])
def test_reduce_nan(fn):
    x = np.random.default_rng(0).standard_normal((40, 50)).astype("f4")
    x[3, 4], x[5, :], x[6, 6], x[9, 40], x[9, 20] = np.nan, np.inf, -np.inf, np.nan, np.nan
    kind = "int64" if fn.startswith("arg") else "float32"
    check(lambda p, x: [p.reduce(fn, x, d, dtype=kind) for d in ((0,), (1,), (0, 1))], x, tol=1e-4)


@pytest.mark.parametrize(
    ("shape", "dims"), [((1 << 19,), (0,)), ((3, 100001), (1,)), ((50001, 33), (0,)), ((60001, 5), (0,))]
)
def test_long_sums_are_as_good_as_pairwise(shape, dims):
    x = np.random.default_rng(4).random(shape).astype("f4")
    p = build(lambda p, x: p.reduce("sum", x, dims), [x])
    native = Native(p)
    (got,), _ = native.run([x])
    exact = x.astype(float).sum(dims)
    eps = np.finfo("f4").eps / 2
    assert np.max(np.abs(got - exact) / exact) <= 12 * eps
    assert np.sqrt(np.mean((got / exact - 1) ** 2)) <= 6 * eps
    assert got.tobytes() == native.run([x], 3)[0][0].tobytes()


def test_windows():
    x = np.random.default_rng(5).standard_normal((2, 3, 16, 21)).astype("f4")

    def make(p, x):
        even = p.view(x, (2, 3, 8, 10, 2, 2), (3 * 336, 336, 42, 2, 21, 1))
        over = p.view(x, (2, 3, 14, 19, 3, 3), (3 * 336, 336, 21, 1, 21, 1))
        third = p.view(x, (2, 3, 5, 7, 3, 3), (3 * 336, 336, 63, 3, 21, 1))
        return [p.reduce("max", even, (4, 5)), p.reduce("sum", over, (4, 5)), p.reduce("max", third, (4, 5))]

    check(make, x, tol=1e-4)


# ---- views


@pytest.mark.parametrize("level", LEVELS)
def test_views(level):
    rng = np.random.default_rng(6)
    x = rng.standard_normal((37, 53)).astype("f4")
    y = rng.standard_normal((3, 20, 18)).astype("f8")
    b = rng.random((33, 34)) < 0.5

    def make(p, x, y, b):
        views = [
            p.view(x, (53, 37), (1, 53)), p.view(x, (37, 53), (-53, -1), 37 * 53 - 1), p.view(x, (12, 26), (159, 2), 1),
            p.view(x, (4, 37, 5), (0, 53, 7), 3), p.view(x, (1961,), (1,)), p.view(x, (37,), (54,)),
            p.view(x, (30, 5, 4), (53, 1, 1)), p.view(y, (18, 3, 20), (1, 360, 18)), p.view(y, (20, 18, 3), (18, 1, 360)),
            p.view(b, (34, 33), (1, 34)), p.view(x, (2, 3), (0, 0), 5), p.view(x, (17, 4), (3, 55)),
        ]  # fmt: skip
        t = p.map("add", p.map("exp", x), p.view(x, (37, 53), (0, 1)))
        return [*views, t, p.map("mul", p.view(x, (20, 20), (1, 53)), p.view(x, (20, 20), (53, 1)))]

    check(make, x, y, b, on=target(level))


@pytest.mark.parametrize("shape", [(16, 16), (64, 64), (65, 130), (300, 401)])
@pytest.mark.parametrize("kind", ["float32", "float64", "int8", "bool"])
def test_transposed_copy(shape, kind):
    x = sample(np.random.default_rng(7), kind, shape)
    check(lambda p, x: p.view(x, shape[::-1], (1, shape[1])), x)


# ---- indexed reads and writes

TAKES = [((10, 7), 0, (5,)), ((10, 37), 0, (4, 5)), ((10, 37), 1, (6,)), ((3, 10, 20), 1, (2, 2)), ((10,), 0, (33,)),
         ((10, 4), 0, ())]  # fmt: skip
GATHERS = [
    ((10, 7), 0, (5, 7)),
    ((10, 37), 1, (10, 6)),
    ((10, 37), 1, (10, 1)),
    ((3, 10, 20), 1, (3, 4, 20)),
    ((10,), 0, (33,)),
]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["int64", "int32"])
def test_take_and_scatter(kind, level):
    rng, on = np.random.default_rng(8), target(level)
    for shape, d, where in TAKES:
        index = rng.integers(-shape[d], shape[d], where).astype(kind)
        out = shape[:d] + where + shape[d + 1 :]
        x, y = rng.standard_normal(shape).astype("f4"), rng.standard_normal(out).astype("f4")

        def make(p, x, i, y, d=d, shape=shape, out=out):
            zeros = p.view(p.scalar(0, "float32"), shape, (0,) * len(shape))
            made = [p.map("mul", p.add("take", (x, i), {"dim": d}, (out, "float32")), p.scalar(2, "float32"))]
            for fn in ("set", "add"):
                params = {"dim": d, "fn": fn, "along": False}
                made.append(p.add("scatter", (x, i, p.map("neg", y)), params, (shape, "float32")))
                made.append(p.add("scatter", (zeros, i, y), params, (shape, "float32")))
            return made

        check(make, x, index, y, tol=1e-4, on=on)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kind", ["int64", "uint8"])
def test_gather_and_scatter_along(kind, level):
    rng, on = np.random.default_rng(9), target(level)
    for shape, d, where in GATHERS:
        index = rng.integers(0 if kind == "uint8" else -shape[d], shape[d], where).astype(kind)
        x, y = rng.standard_normal(shape).astype("f4"), rng.standard_normal(where).astype("f4")

        def make(p, x, i, y, d=d, shape=shape, where=where):
            zeros = p.view(p.scalar(0, "float32"), shape, (0,) * len(shape))
            made = [p.map("exp", p.add("gather", (x, i), {"dim": d}, (where, "float32")))]
            for fn in ("set", "add"):
                params = {"dim": d, "fn": fn, "along": True}
                made.append(p.add("scatter", (x, i, y), params, (shape, "float32")))
                made.append(p.map("neg", p.add("scatter", (zeros, i, y), params, (shape, "float32"))))
            return made

        check(make, x, index, y, tol=1e-4, on=on)


@pytest.mark.parametrize("fn", ["set", "add"])
def test_update(fn):
    rng = np.random.default_rng(10)
    base, piece, rows = (rng.standard_normal(s).astype("f4") for s in ((10, 20), (4, 9), (3, 20)))

    def make(p, base, piece, rows):
        one = lambda b, y, strides, offset: p.add(  # noqa: E731
            "update", (b, y), {"strides": strides, "offset": offset, "fn": fn}, ((10, 20), "float32")
        )
        ones = p.view(p.scalar(1, "float32"), (10, 20), (0, 0))
        return [
            one(base, p.map("exp", piece), (20, 2), 21), one(base, rows, (20, 1), 40), one(base, rows, (-20, -1), 199),
            one(ones, rows, (20, 1), 0), one(base, p.view(piece, (9, 4), (1, 9)), (20, 1), 3),
        ]  # fmt: skip

    check(make, base, piece, rows)


def test_update_add_where_regions_overlap():
    """The derivative of sliding windows: several elements of the piece meet one of the base."""
    rng = np.random.default_rng(11)
    x, y = rng.standard_normal((10, 40)).astype("f4"), rng.standard_normal((10, 38, 3)).astype("f4")
    p = build(
        lambda p, x, y: p.add(
            "update", (x, y), {"strides": (40, 1, 1), "offset": 0, "fn": "add"}, ((10, 40), "float32")
        ),
        [x, y],
    )
    want = x.copy()
    for k in range(3):
        want[:, k : k + 38] += y[:, :, k]
    np.testing.assert_allclose(Native(p).run([x, y])[0][0], want, rtol=1e-5, atol=1e-5)


def test_in_place_update_leaves_the_rest():
    """With base and output in one memory the copy is skipped and only the region is written."""
    p = Program()
    base, piece = p.input((6, 8), "float32"), p.input((2, 8), "float32")
    out = p.add("update", (base, piece), {"strides": (8, 1), "offset": 16, "fn": "add"}, ((6, 8), "float32"))
    p.outputs = [out]
    native = Native(p)
    (g,) = native.groups
    assert loops.may_alias(g, out, base) and not loops.may_alias(g, out, piece)
    x, y = np.ones((6, 8), "f4"), np.full((2, 8), 5, "f4")
    for k, operand, starts in native.made[g]:
        native.call(k, [{base: x, out: x, piece: y}[o] for o in operand], 1, starts)
    want = np.ones((6, 8))
    want[2:4] += 5
    np.testing.assert_array_equal(x, want)


# ---- constants and edges


def test_leaves_as_outputs():
    def make(p):
        i = p.iota((3, 5, 7), 1, "int64")
        return [i, p.scalar(3.5, "float32"), p.view(p.scalar(2, "int32"), (3, 4), (0, 0)), p.view(i, (7, 3), (1, 35))]

    check(make)


def test_iota_in_expressions():
    def make(p, x, y):
        i = p.map("convert", p.iota((3, 5, 7), 1, "int64"), dtype="float32")
        down = p.map("convert", p.view(p.iota((7,), 0, "int64"), (3, 7), (0, -1), 6), dtype="float32")
        return [p.map("mul", x, i), p.map("mul", y, down)]

    rng = np.random.default_rng(0)
    check(make, rng.standard_normal((3, 5, 7)).astype("f4"), rng.standard_normal((3, 7)).astype("f4"))


def test_iota_that_is_no_linear_function():
    """The column number of a flattened matrix goes through memory."""
    x = np.random.default_rng(0).standard_normal(15)

    def make(p, x):
        i = p.map("convert", p.view(p.iota((3, 5), 1, "int64"), (15,), (1,)), dtype="float64")
        return [p.map("mul", x, i), p.map("add", p.view(p.iota((3, 5), 1, "int64"), (15,), (1,)), p.scalar(1, "int64"))]

    check(make, x)


def test_empty_arrays():
    def make(p, x, y):
        zero = p.reduce("sum", x, (1,))
        return [p.map("exp", x), p.map("add", zero, p.scalar(2, "float32")), zero, p.reduce("prod", x, (0, 1)), y]

    p = build(make, [np.ones((5, 0), "f4"), np.ones((), "f4")])
    p.outputs.pop()
    arrays = [np.ones((5, 0), "f4"), np.ones((), "f4")]
    for a, b in zip(Native(p).run(arrays)[0], reference.evaluate(p, arrays)[0], strict=True):
        close(a, b)


@pytest.mark.parametrize("n", [1, 2, 3, 15, 16, 17, 33, 63, 64, 65, 127, 1000])
def test_lengths(n):
    x = np.random.default_rng(n).standard_normal(n).astype("f4")

    def make(p, x):
        out = [p.map("exp", x), p.reduce("sum", x, (0,)), p.reduce("max", x, (0,))]
        return [*out, p.reduce("argmin", x, (0,), dtype="int64"), p.view(x, (n,), (-1,), n - 1)]

    check(make, x, tol=1e-4)


@pytest.mark.parametrize("shape", [(60000, 7), (7, 60000), (400, 1000), (3, 100000, 3), (500001,)])
def test_chunks(shape):
    x = (np.random.default_rng(0).standard_normal(shape) * 0.1).astype("f4")

    def make(p, x):
        n = len(shape)
        y = p.map("exp", x)
        return [y, *[p.reduce("sum", y, d) for d in {(0,), (n - 1,), tuple(range(n))}]]

    assert any(k.chunks > 1 for k in check(make, x, tol=2e-4).kernels)


def test_mixed_item_sizes():
    rng = np.random.default_rng(0)
    x, label = rng.standard_normal((21, 33)).astype("f4"), rng.integers(0, 33, (21, 33))

    def make(p, x, label):
        wide = p.map("convert", x, dtype="float64")
        mask = p.map("eq", label, p.iota((21, 33), 1, "int64"), dtype="bool")
        total = p.reduce("sum", p.map("where", mask, wide, p.scalar(0, "float64")), (1,))
        return [mask, p.map("convert", total, dtype="float32"), p.map("add", p.map("convert", mask, dtype="int8"),
                p.map("convert", label, dtype="int8"))]  # fmt: skip

    check(make, x, label)


# ---- memory


def test_may_alias():
    p = Program()
    a, b = p.input((64, 64), "float32"), p.input((64, 64), "float32")
    y = p.map("add", a, p.view(b, (64, 64), (1, 64)))
    p.outputs = [y]
    (g,) = fuse.groups(p)
    assert loops.may_alias(g, y, a)
    assert not loops.may_alias(g, y, b)  # read transposed


def test_may_alias_not_while_a_later_pass_reads():
    p = Program()
    x = p.input((8, 64), "float32")
    y = p.map("add", x, p.scalar(1, "float32"))
    s = p.view(p.reduce("sum", y, (1,)), (8, 64), (1, 0))
    z = p.map("mul", x, s)
    p.outputs = [y, z]
    (g,) = fuse.groups(p)
    assert not loops.may_alias(g, y, x)
    assert loops.may_alias(g, z, x)


def test_in_place_optimiser():
    """Parameters and moments are written where they were read."""
    rng, n = np.random.default_rng(0), 1037
    p = Program()
    w, g, m, v = (p.input((n,), "float32") for _ in range(4))
    c = lambda x: p.scalar(x, "float32")  # noqa: E731
    m2 = p.map("add", p.map("mul", m, c(0.9)), p.map("mul", g, c(0.1)))
    v2 = p.map("add", p.map("mul", v, c(0.99)), p.map("mul", p.map("mul", g, g), c(0.01)))
    w2 = p.map("sub", w, p.map("mul", c(0.1), p.map("div", m2, p.map("add", p.map("sqrt", v2), c(1e-8)))))
    p.outputs = [w2, m2, v2]
    arrays = [np.abs(rng.standard_normal(n)).astype("f4") for _ in range(4)]
    want, _ = reference.evaluate(p, arrays)
    native = Native(p)
    (group,) = native.groups
    pairs = {w2: w, m2: m, v2: v}
    assert all(loops.may_alias(group, out, old) for out, old in pairs.items())
    known = dict(zip(p.inputs, (a.copy() for a in arrays), strict=True))
    known |= {out: known[old] for out, old in pairs.items()}
    ((kernel, operand, _),) = native.made[group]
    native.call(kernel, [known[o] for o in operand])
    for out, b in zip(p.outputs, want, strict=True):
        close(known[out], b)


def test_equal_groups_share_a_kernel():
    p = Program()
    for _ in range(5):
        x, y = p.input((40, 40), "float32"), p.input((40,), "float32")
        p.outputs.append(p.map("tanh", p.map("add", x, y)))
    assert len({k.name for k in Native(p).kernels}) == 1


def slices(recurrent):
    """Slices of an array, one after the other, into those of another; each waits for the one before if asked."""
    p = Program()
    x, out = p.input((6, 4, 9), "float32"), p.view(p.scalar(0, "float32"), (6, 4, 9), (0, 0, 0))
    state = p.input((4, 9), "float32")
    for t in range(6):
        piece = p.map("tanh", p.map("add", p.view(x, (4, 9), (9, 1), 36 * t), state))
        other = p.map("mul", p.view(x, (4, 9), (9, 1), 36 * ((t + 2) % 6)), piece)
        params = {"strides": (9, 1), "offset": 36 * t, "fn": "set"}
        out = p.add("update", (out, other), params, ((6, 4, 9), "float32"))
        state = other if recurrent else state
    p.outputs = [out]
    native = Native(p)
    a, h = arrays = [np.random.default_rng(0).standard_normal(v.shape).astype("f4") for v in p.inputs]
    got = native.run(arrays)[0][0]
    want = []
    for t in range(6):
        want.append(np.tanh(a[t] + h) * a[(t + 2) % 6])
        h = want[-1] if recurrent else h
    close(got, np.stack(want))
    return native


def test_slices_share_a_kernel():
    """Steps of a loop over time read and write at other places of the same arrays."""
    assert len({k.name for k in slices(True).kernels}) == 5  # fill, copy, first step, two distances between the slices


def test_slices_of_one_array_are_one_kernel():
    """Pieces that do not meet, and fill the array: nothing is filled or copied before."""
    (kernel,) = slices(False).kernels
    assert kernel.operands == 3


@pytest.mark.parametrize("apart", [True, False])
def test_pieces_that_meet_are_written_in_order(apart):
    """Two windows of an array: if they overlap, the later one is on top."""
    p = Program()
    x, y, out = p.input((3, 4), "float32"), p.input((3, 4), "float32"), p.input((6, 9), "float32")
    base = out
    for offset, v in ((0, x), (4 if apart else 11, y)):
        piece = p.map("neg", v)
        out = p.add("update", (out, piece), {"strides": (9, 1), "offset": offset, "fn": "set"}, ((6, 9), "float32"))
    p.outputs = [out]
    native = Native(p)
    assert len(native.groups) == (1 if apart else 2)
    arrays = [np.random.default_rng(k).standard_normal(v.shape).astype("f4") for k, v in enumerate((x, y, base))]
    want = arrays[2].copy()
    want[:3, :4] = -arrays[0]
    (want[:3, 4:8] if apart else want[1:4, 2:6])[...] = -arrays[1]
    close(native.run(arrays)[0][0], want)


def test_a_piece_picked_from_the_array_below():
    """The array must be there before the second piece is picked from it: two kernels."""
    p = Program()
    x, y, index = p.input((6, 4), "float32"), p.input((3, 4), "float32"), p.input((3,), "int64")
    whole = ((6, 4), "float32")
    low = p.add("update", (x, y), {"strides": (4, 1), "offset": 0, "fn": "set"}, whole)
    piece = p.map("neg", p.add("take", (low, index), {"dim": 0}, ((3, 4), "float32")))
    p.outputs = [p.add("update", (low, piece), {"strides": (4, 1), "offset": 12, "fn": "set"}, whole)]
    a, b = (np.random.default_rng(k).standard_normal(v.shape).astype("f4") for k, v in enumerate((x, y)))
    close(Native(p).run([a, b, np.array([2, 0, 1])])[0][0], np.concatenate([b, -b[[2, 0, 1]]]))


def test_one_region_written_twice():
    """By instructions that share their params; the rest of the array stays."""
    p = Program()
    x, y, z = p.input((6, 4), "float32"), p.input((3, 4), "float32"), p.input((3, 4), "float32")
    params, out = {"strides": (4, 1), "offset": 4, "fn": "set"}, x
    for v in (y, z):
        out = p.add("update", (out, p.map("neg", v)), params, ((6, 4), "float32"))
    p.outputs = [out]
    a, b, c = (np.random.default_rng(k).standard_normal(v.shape).astype("f4") for k, v in enumerate((x, y, z)))
    close(Native(p).run([a, b, c])[0][0], np.concatenate([a[:1], -c, a[4:]]))


def test_params_may_be_lists():
    p = Program()
    x = p.input((4, 5), "float32")
    t = p.add("view", (x,), {"strides": [1, 5], "offset": 0}, ((5, 4), "float32"))
    p.outputs = [p.add("reduce", (p.map("neg", t),), {"fn": "sum", "dims": [1]}, ((5,), "float32"))]
    a = np.arange(20, dtype="f4").reshape(4, 5)
    close(Native(p).run([a])[0][0], -a.sum(0))


def test_titles_and_counts():
    p = build(lambda p, x: p.reduce("sum", p.map("mul", x, x), (0,)), [np.ones((100,), "f4")])
    ((kernel, _, _),) = next(iter(Native(p).made.values()))
    assert kernel.title == "mul, sum[0] f32[]"
    assert kernel.flops == 200 and kernel.bytes == 404


# ---- random programs


@st.composite
def programs(draw):
    """A program of maps, views and reductions in float64, and its inputs."""
    size = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 16, 17, 33])
    shape = tuple(draw(st.lists(size, min_size=1, max_size=3)))
    p, shapes = Program(), [shape, shape, shape[1:], (shape[0],) + (1,) * (len(shape) - 1)]
    values = [p.input(s, "float64") for s in shapes]
    for _ in range(draw(st.integers(2, 20))):
        v = values[-1] if draw(st.booleans()) else draw(st.sampled_from(values))
        made = grow(draw, p, v, values)
        if made is not None:
            values.append(made)
    last = [v for v in values if v.instr is not None] or [p.map("neg", values[0])]
    p.outputs = list({last[-1]: None, draw(st.sampled_from(last)): None})
    seed = draw(st.integers(0, 1000))
    arrays = [np.random.default_rng(seed + k).standard_normal(s) for k, s in enumerate(shapes)]
    return p, arrays


def grow(draw, p, v, values):
    """One more value, or None if the form does not fit."""
    form = draw(
        st.sampled_from(["one", "two", "where", "reduce", "normalise", "turn", "reshape", "flip", "slice", "repeat"])
    )
    n, strides = len(v.shape), list(contiguous(v.shape))
    if form == "one":
        return p.map(draw(st.sampled_from(["exp", "tanh", "neg", "abs", "sin"])), v)
    if form == "two":
        other = draw(st.sampled_from(values))
        try:
            shape = np.broadcast_shapes(v.shape, other.shape)
        except ValueError:
            return None
        return p.map(draw(st.sampled_from(["add", "mul", "max"])), v, other) if np.prod(shape) < 9000 else None
    if form == "where":
        return p.map("where", p.map("gt", v, p.scalar(0.1, "float64"), dtype="bool"), v, p.map("neg", v))
    if not n:
        return None
    if form in ("reduce", "normalise"):
        dims = tuple(sorted(draw(st.sets(st.integers(0, n - 1), min_size=1))))
        r = p.reduce(draw(st.sampled_from(["sum", "max", "min"])), v, dims)
        if form == "reduce":
            return r
        kept = iter(contiguous(r.shape))
        steps = [0 if d in dims else next(kept) for d in range(n)]
        narrow = [1 if d in dims else k for d, k in enumerate(v.shape)]
        return p.map("sub", v, p.view(r, draw(st.sampled_from([v.shape, narrow])), steps))
    if v.instr is not None and v.instr.op == "view":
        return None
    d = draw(st.integers(0, n - 1))
    if form == "turn":
        order = draw(st.permutations(range(n)))
        return p.view(v, [v.shape[k] for k in order], [strides[k] for k in order])
    if form == "reshape":
        k = draw(st.sampled_from([k for k in range(1, v.size + 1) if v.size % k == 0]))
        return p.view(v, (k, v.size // k), contiguous((k, v.size // k)))
    if form == "flip":
        offset = strides[d] * (v.shape[d] - 1)
        strides[d] *= -1
        return p.view(v, v.shape, strides, offset)
    if form == "slice" and v.shape[d] > 2:
        shape = [(k - 1) // 2 if e == d else k for e, k in enumerate(v.shape)]
        offset = strides[d]
        strides[d] *= 2
        return p.view(v, shape, strides, offset)
    if form == "repeat" and v.size < 500:
        return p.view(v, (3, *v.shape), (0, *strides))
    return None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(programs(), st.sampled_from(LEVELS))
def test_random_programs(made, level):
    p, arrays = made
    verify(p)
    want, _ = reference.evaluate(p, arrays)
    got, _ = Native(p, target(level)).run(arrays)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


def test_an_index_out_of_range_stays_in_the_buffer():
    """Reporting it is the program's business (eager code raises); reading elsewhere would be worse."""
    p = Program()
    x, i = p.input((5, 4), "float32"), p.input((3,), "int64")
    p.outputs = [p.add("take", (x, i), {"dim": 0}, ((3, 4), "float32"))]
    a = np.arange(20, dtype="f4").reshape(5, 4)
    (got,), _ = Native(p).run([a, np.array([10**12, -(10**12), 2])])
    assert np.isin(got, a).all() and (got[2] == a[2]).all()


def test_sums_of_16_bit_floats_are_rounded_once():
    if "+f16c" not in host().features:
        pytest.skip("no float16 on this machine")
    x = (np.random.default_rng(0).random(3000) + 1).astype("f2")
    p = build(lambda p, x: [p.reduce("sum", x, (0,)), p.reduce("argmax", x, (0,), dtype="int64")], [x])
    (total, where), _ = Native(p).run([x])
    assert total == x.astype(float).sum().astype("f2") and where == x.argmax()


@settings(max_examples=30, deadline=None, derandomize=True)
@given(programs(), st.data())
def test_random_groups_in_place(made, data):
    """Whatever may_alias allows leaves every bit as it is."""
    p, arrays = made
    p.outputs = [i.output for i in p.instrs if data.draw(st.booleans())] or p.outputs
    native = Native(p)
    known = dict(zip(p.inputs, arrays, strict=True))
    for g in native.groups:
        known |= {v: np.zeros(v.shape, v.dtype) for v in g.outputs}
        run_group(native, g, known)
        shared, taken = dict(known), set()
        for v in g.outputs:
            free = [u for u in g.inputs if u in known and u not in taken and loops.may_alias(g, v, u)]
            shared[v] = np.zeros(v.shape, v.dtype)
            if free:
                taken.add(free[0])
                shared[v] = shared[free[0]] = known[free[0]].copy()
        run_group(native, g, shared)
        for v in g.outputs:
            np.testing.assert_array_equal(shared[v].reshape(v.shape), known[v])


def run_group(native, g, known):
    work = None
    for kernel, operand, starts in native.made[g]:
        for o in operand:
            if isinstance(o, tuple) and work is None:
                work = np.zeros(o[1], np.uint8)
        native.call(kernel, [work if isinstance(o, tuple) else known[o] for o in operand], 2, starts)
