"""What the first call does not do, and the shortcuts of capture: views by arithmetic, names and loops from tables."""

import gc
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("llvmlite")

import chainrule as torch
from chainrule.compiler import builder, reference, ufuncs
from chainrule.compiler.builder import Builder, Unlowered
from chainrule.compiler.symbol import Symbol
from chainrule.errors import CaptureError


def fresh(code):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_what_is_imported_when():
    out = fresh(
        "import sys, chainrule as torch\n"
        "f = torch.compile(lambda x: x.tanh().sum())\n"
        "print('llvmlite.binding' in sys.modules)\n"
        "before = set(sys.modules)\n"
        "f(torch.ones(3))\n"
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} & {'scipy', 'llvmlite', 'chainrule'}))\n"
        "print('scipy' in sys.modules)\n"
    )
    assert out.split("\n")[:3] == ["True", "[]", "False"]


def test_functions_of_scipy_still_work_in_the_reference():
    x = torch.tensor([0.25, -0.5], dtype=torch.float64)
    for f in (torch.sigmoid, torch.erf, torch.erfc, torch.erfinv):
        np.testing.assert_allclose(
            torch.compile(f, backend="reference")(x).numpy(), f(x).numpy(), rtol=1e-13, err_msg=f.__name__
        )


# ---- garbage collection


@pytest.mark.parametrize("on", [True, False])
def test_collection_is_off_while_a_function_is_captured(on):
    def f(x):
        assert not gc.isenabled()
        return x + 1

    before = gc.isenabled()
    try:
        (gc.enable if on else gc.disable)()
        torch.compile(f)(torch.ones(2))
        assert gc.isenabled() is on
        with pytest.raises(CaptureError, match="the value of a tensor was asked for"):
            torch.compile(lambda x: float(x.sum()))(torch.ones(2))
        assert gc.isenabled() is on
    finally:
        (gc.enable if before else gc.disable)()


# ---- views

shapes = st.lists(st.integers(0, 4), max_size=4).map(tuple)


def same(b, v, x, expected):
    """Is the value, computed from the input x, the array?"""
    b.program.outputs = [v]
    (got,), _ = reference.evaluate(b.program, [x])
    np.testing.assert_array_equal(got, expected, strict=True)


def base(shape, view):
    """A builder, an array and the value of a part of it."""
    b = Builder()
    x = np.arange(int(np.prod(shape)), dtype="f4").reshape(shape)
    v = b.program.input(x.shape, "float32")
    if view == "turned":
        return b, x, b.transpose(v, tuple(range(x.ndim))[::-1]), x.T
    if view == "part" and x.ndim and x.shape[0] > 1:
        return b, x, b.viewed(v, lambda a: a[1:]), x[1:]
    if view == "flipped" and x.ndim:
        return b, x, b.viewed(v, lambda a: np.flip(a)), np.flip(x)
    if view == "repeated":
        return b, x, b.expand(v, (2, *x.shape)), np.broadcast_to(x, (2, *x.shape))
    return b, x, v, x


views = st.sampled_from(["whole", "turned", "part", "flipped", "repeated"])


@settings(deadline=None)
@given(shapes, views, st.randoms())
def test_transposes(shape, view, random):
    b, x, v, a = base(shape, view)
    dims = list(range(a.ndim))
    random.shuffle(dims)
    same(b, b.transpose(v, dims), x, a.transpose(dims))
    same(b, b.transpose(v, [d - a.ndim for d in dims]), x, a.transpose(dims))


@settings(deadline=None)
@given(shapes, views, st.integers(0, 3))
def test_reshapes(shape, view, cut):
    b, x, v, a = base(shape, view)
    for target in ((a.size,), (*a.shape[:cut], int(np.prod(a.shape[cut:]))), (1, *a.shape, 1), a.shape):
        same(b, b.reshape(v, target), x, a.reshape(target))


@settings(deadline=None)
@given(shapes, views)
def test_expands(shape, view):
    b, x, v, a = base(shape, view)
    for target in (a.shape, (3, *a.shape), (0, *a.shape)):
        same(b, b.expand(v, target), x, np.broadcast_to(a, target))


def test_views_of_large_arrays():
    """Larger than what views are tried on at first."""
    n = 3 * len(builder._memory) // 2
    b = Builder()
    v = b.program.input((n,), "float32")
    assert b.access(b.viewed(v, lambda a: a[5::2]))[1:] == ((2,), 5)
    assert len(builder._memory) >= n


def test_equal_maps_are_one_and_different_ones_are_not():
    b = Builder()
    x, y = b.program.input((3,), "float32"), b.program.input((3,), "float32")
    assert b.map("add", x, y) is b.map("add", y, x)
    assert b.map("sub", x, y) is not b.map("sub", y, x)
    assert b.map("lt", x, y, dtype="bool") is not b.map("gt", x, y, dtype="bool")
    assert b.convert(x, "float64") is not b.convert(x, "int64")


def test_constants_are_told_apart_by_what_they_hold():
    """Not by where they lie: a large one may lie where another one lay."""
    b = Builder()
    array = np.arange(100_000.0)
    array[0] = 3
    first = b.constant(array)
    assert b.constant(array.copy()) is first
    array[1] = 3
    second = b.constant(array)
    assert second is not first
    assert [a[1] for a in b.program.constants.values()] == [1, 3]


# ---- parts of symbols


def test_a_part_follows_what_it_is_part_of():
    b = Builder()
    s = Symbol(b, b.program.input((2, 3), "float32"))
    part = s[0]
    before = part.value
    assert part.value is before
    s[...] = s * 2
    assert part.value is not before
    assert b.access(part.value)[0] is s.value


def test_a_part_does_not_remember_what_was_undone():
    b = Builder()
    s = Symbol(b, b.program.input((2, 3), "float32"))
    part = s.T
    s.assign(b.map("exp", s.value))
    mark = b.mark()
    lost = part.value
    b.rollback(mark)
    assert part.value is not lost
    assert part.value.instr in b.program.instrs


# ---- dtypes


NUMBERS = [True, 2, 2.5, *(np.array([1], d) for d in ("f4", "f8", "i4", "i8", "u1", "b1"))]


@pytest.mark.parametrize("ufunc", [np.add, np.true_divide, np.power, np.less, np.maximum, np.bitwise_and])
@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_loops_are_those_of_numpy(ufunc, dtype):
    kw = {} if dtype is None else {"dtype": dtype}
    for x in NUMBERS:
        for y in NUMBERS:
            try:
                expected = ufunc(x, y, **kw).dtype.name
            except TypeError:
                with pytest.raises(Unlowered, match=ufunc.__name__):
                    ufuncs.loop_dtypes(ufunc, (x, y), dtype)
                continue
            assert ufuncs.loop_dtypes(ufunc, (x, y), dtype)[-1] == expected


def test_sixteen_bit_loops_are_taken_as_they_are():
    assert ufuncs.loop_dtypes(np.add, (np.ones(1, "f2"), 1.0), None) == ["float16"] * 3


def test_complex_loops_are_not_lowered():
    with pytest.raises(Unlowered, match="add in"):
        ufuncs.loop_dtypes(np.add, (np.ones(1, "c8"), 1.0), None)
