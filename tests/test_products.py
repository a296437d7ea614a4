"""Matrix products of the compiler against NumPy in float64, every operand at the very end of its memory."""

import ctypes
import itertools
import mmap

import numpy as np
import pytest

pytest.importorskip("llvmlite")

from chainrule.compiler.products import Product, plan
from chainrule.compiler.runtime import load_kernels
from chainrule.compiler.target import host

PAGE = mmap.PAGESIZE
GUARD = 0xA5
LEVELS = ["avx512", "avx2", "sse2"]


def target(level):
    try:
        return host(level)
    except ValueError:
        pytest.skip(f"this machine has no {level}")


class Fenced:
    """Memory whose last byte is followed by a page that may not be touched, and begins with guard bytes."""

    libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, nbytes, align=1):
        room = -(-(nbytes + 64) // PAGE) * PAGE
        self.map = mmap.mmap(-1, room + PAGE)
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.map))
        assert self.libc.mprotect(ctypes.c_void_p(base + room), PAGE, 0) == 0
        self.front = room - nbytes - (room - nbytes) % align
        self.bytes = np.frombuffer(self.map, "u1", room)
        self.bytes[:] = GUARD
        self.address = base + self.front
        self.nbytes = nbytes

    def check(self):
        assert (self.bytes[: self.front] == GUARD).all()
        assert (self.bytes[self.front + self.nbytes :] == GUARD).all()


def fenced(array, strides=None):
    """A copy of an array with these strides (in elements), and its memory."""
    item = array.itemsize
    strides = strides if strides is not None else tuple(s // item for s in array.strides)
    extent = 1 + sum((n - 1) * s for n, s in zip(array.shape, strides, strict=True)) if array.size else 0
    memory = Fenced(extent * item)
    flat = memory.bytes[memory.front :].view(array.dtype)
    view = np.lib.stride_tricks.as_strided(flat, array.shape, [s * item for s in strides])
    view[...] = array
    return view, memory


def run(product, t, a, b, c, splits=1):
    """Run the plan on fenced operands; each kernel's chunks in ``splits`` ranges, the last range first."""
    steps, work = plan(product, t)
    memories = {"a": a, "b": b, "c": c, **{name: Fenced(size, 64) for name, size in work.items()}}
    library = load_kernels([s.kernel for s in steps], t)
    for step in steps:
        offsets = step.offsets or (0,) * len(step.operands)
        addresses = [memories[name].address + o for name, o in zip(step.operands, offsets, strict=True)]
        assert len(addresses) == step.kernel.operands
        args = (ctypes.c_void_p * len(addresses))(*addresses)
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(
            library.address(step.kernel.name)
        )
        n = step.kernel.chunks
        cuts = sorted({n * i // splits for i in range(splits + 1)})
        for begin, end in reversed(list(itertools.pairwise(cuts))):
            scratch = Fenced(step.kernel.scratch, 64)
            call(args, begin, end, scratch.address)
            scratch.check()
    for memory in memories.values():
        memory.check()


def random(shape, dtype, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def check(t, dtype, m, n, k, batch=(), layout="NNN", accumulate=False, wide=0, repeat=(), splits=1):
    """``layout``: N or T for each operand; ``wide``: unused elements behind each row; ``repeat``: broadcast operands."""
    operands, views = [], []
    for seed, (name, shape) in enumerate((("a", (m, k)), ("b", (k, n)), ("c", (m, n)))):
        here = () if name in repeat else batch
        value = random((*here, *shape), dtype, seed)
        turned = layout[seed] == "T"
        rows, columns = shape[::-1] if turned else shape
        steps = [columns + wide, 1]
        for size in reversed(here):
            steps.insert(0, steps[0] * size if len(steps) > 2 else steps[0] * rows)
        if turned:
            steps[-2:] = steps[-2:][::-1]
        operands.append(fenced(value, tuple(steps)))
        views.append(tuple(0 for _ in batch) + tuple(steps) if name in repeat else tuple(steps))
    (a, ma), (b, mb), (c, mc) = operands
    want = a.astype("float64") @ b.astype("float64")
    if accumulate:
        want = want + c
    run(Product(dtype, m, n, k, batch, *views, accumulate), t, ma, mb, mc, splits)
    size = max(1.0, float(np.abs(want).max(initial=0)))
    assert np.abs(c - want).max(initial=0) <= (2e-6 if dtype == "float32" else 4e-15) * size * max(1, k) ** 0.5


EDGES = [
    (1, 1, 1),
    (2, 3, 2),
    (7, 17, 5),
    (13, 33, 64),
    (15, 47, 31),
    (16, 48, 33),
    (31, 65, 9),
    (70, 70, 70),
    (53, 101, 333),
]


@pytest.mark.parametrize("layout", ["NNN", "NTN", "TNN", "TTN", "NNT"])
@pytest.mark.parametrize("level", LEVELS)
def test_around_the_edges_of_tiles(level, layout):
    for i, (m, n, k) in enumerate(EDGES):
        check(target(level), ["float32", "float64"][i % 2], m, n, k, layout=layout)
        check(target(level), ["float64", "float32"][i % 2], n, m, k, layout=layout, wide=3)


@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_every_small_number_of_rows_and_columns(layout):
    t = host()
    for i in range(1, 40):
        check(t, "float32", i, 41 - i, 19, layout=layout + "N")


@pytest.mark.parametrize(("m", "n", "k"), [(0, 3, 4), (3, 0, 4), (3, 4, 0), (0, 0, 0), (1, 1, 0)])
def test_sizes_of_zero(m, n, k):
    for accumulate in (False, True):
        check(host(), "float32", m, n, k, accumulate=accumulate)
    check(host(), "float64", m, n, k, batch=(2,))
    assert plan(Product("float32", 3, 4, 5, (0,)), host()) == ([], {})


@pytest.mark.parametrize("level", LEVELS)
def test_accumulation(level):
    for accumulate in (False, True):
        check(target(level), "float32", 19, 37, 23, accumulate=accumulate)
        check(target(level), "float64", 20, 37, 1100, layout="TNN", accumulate=accumulate)  # blocks of K
        check(target(level), "float32", 5, 37, 90, layout="NTN", accumulate=accumulate)  # sums along K
        check(target(level), "float32", 5, 7, 9000, accumulate=accumulate)  # parts of K
        check(target(level), "float32", 5, 37, 9, layout="NNT", accumulate=accumulate)


@pytest.mark.parametrize("level", LEVELS)
def test_batches(level):
    t = target(level)
    check(t, "float32", 9, 17, 12, batch=(5,))
    check(t, "float64", 9, 17, 12, batch=(2, 3), layout="NTN")
    check(t, "float32", 9, 17, 12, batch=(4,), repeat="b", wide=1)
    check(t, "float32", 9, 17, 12, batch=(4,), repeat="b")
    check(t, "float32", 1, 17, 12, batch=(4,), repeat="b", accumulate=True)
    check(t, "float32", 9, 17, 12, batch=(4, 2), repeat="a", layout="NTN")
    check(t, "float32", 4, 5, 8200, batch=(3,), layout="TNN")
    check(t, "float32", 4, 5, 300, batch=(3,), layout="NTN")


def test_any_strides():
    """Steps of 2 along the columns of every operand, and rows that repeat."""
    t = host()
    for dtype in ("float32", "float64"):
        a, ma = fenced(random((6, 20), dtype), (40, 2))
        b, mb = fenced(random((20, 9), dtype), (27, 3))
        c, mc = fenced(random((6, 9), dtype), (18, 2))
        gaps = mc.bytes.copy()
        run(Product(dtype, 6, 9, 20, (), (40, 2), (27, 3), (18, 2)), t, ma, mb, mc)
        np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-5)
        was, now = (x[mc.front :].view(dtype) for x in (gaps, mc.bytes))
        assert (was[1::2] == now[1::2]).sum() == was[1::2].size - np.isnan(was[1::2]).sum()
        row, mrow = fenced(random((1, 20), dtype), (20, 1))
        out, mout = fenced(random((6, 9), dtype))
        run(Product(dtype, 6, 9, 20, (), (0, 1), (27, 3)), t, mrow, mb, mout)
        np.testing.assert_allclose(out, np.repeat(row, 6, 0) @ b, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("layout", ["NNN", "NTN", "TNN", "TTN"])
def test_large_products_in_packed_blocks(level, layout):
    check(target(level), "float32", 150, 310, 1030, layout=layout, wide=2, splits=3)
    check(target(level), "float64", 97, 131, 700, layout=layout, accumulate=True)
    check(target(level), "float32", 70, 90, 4100, layout=layout, splits=2)  # parts of K, and a rest


@pytest.mark.parametrize("level", LEVELS)
def test_vectors(level):
    t = target(level)
    for n, k in ((1, 700), (33, 64), (130, 257), (600, 500)):
        for layout in ("NNN", "NTN"):
            check(t, "float32", 1, n, k, layout=layout)
            check(t, "float64", n, 1, k, layout=layout, accumulate=True)
            check(t, "float32", n, 1, k, layout="T" + layout[1:])
    check(t, "float32", 40, 50, 1)


@pytest.mark.parametrize(
    "shape", [(300, 200, 100, "NNN"), (64, 300, 800, "NTN"), (1, 1000, 1000, "NNN"), (16, 16, 20000, "TNN")]
)
def test_the_bits_do_not_depend_on_how_chunks_are_split(shape):
    m, n, k, layout = shape
    a, b = (
        random((k, m) if layout[0] == "T" else (m, k), "float32"),
        random((n, k) if layout[1] == "T" else (k, n), "float32", 1),
    )
    strides = [
        (1, x.shape[1]) if turned == "T" else (x.shape[1], 1) for x, turned in zip((a, b), layout[:2], strict=True)
    ]
    (_, ma), (_, mb) = fenced(a), fenced(b)
    results = []
    for splits in (1, 2, 5, 1000):
        c, mc = fenced(np.zeros((m, n), "float32"))
        run(Product("float32", m, n, k, (), *strides), host(), ma, mb, mc, splits=splits)
        results.append(c.tobytes())
    assert len(set(results)) == 1
    assert any(s.kernel.chunks > 1 for s in plan(Product("float32", m, n, k, (), *strides), host())[0])


def test_nan_and_infinity_go_where_they_belong():
    a, b = random((20, 30), "float32"), random((30, 40), "float32", 1)
    a[3, 4], b[5, 6] = np.nan, np.inf
    (_, ma), (_, mb), (c, mc) = fenced(a), fenced(b), fenced(np.zeros((20, 40), "float32"))
    run(Product("float32", 20, 40, 30), host(), ma, mb, mc)
    assert np.isnan(c[3]).all()
    assert np.isfinite(np.delete(np.delete(c, 3, 0), 6, 1)).all()
    assert np.isinf(np.delete(c[:, 6], 3)).all()


def test_equal_products_have_equal_kernels():
    first, second = (plan(Product("float32", 30, 40, 50, (), (50, 1), (1, 50)), host())[0][0].kernel for _ in range(2))
    assert (first.name, first.text) == (second.name, second.text)
    other = plan(Product("float32", 30, 40, 50), host())[0][0].kernel
    assert other.name != first.name


def test_other_dtypes_are_refused():
    with pytest.raises(ValueError, match="dtype must be float32 or float64, got 'float16'"):
        plan(Product("float16", 2, 2, 2), host())
