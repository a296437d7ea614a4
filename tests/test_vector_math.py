"""The compiler's elementary functions: ULPs against mpmath, special values, every width, no call of a library."""

import re
from pathlib import Path

import numpy as np
import pytest

llvmlite = pytest.importorskip("llvmlite")
pytest.importorskip("mpmath")

from chainrule.compiler import vector_math  # noqa: E402
from chainrule.compiler.target import host  # noqa: E402
from chainrule.compiler.vector_math import exponential, hyperbolic  # noqa: E402
from vector_math_cases import NUMPY, larger_argument, reference, samples, ulps  # noqa: E402
from vector_math_loop import Loop, loop_text, machine_and_module  # noqa: E402

LEVELS = ("avx512", "avx2", "sse2")
DTYPES = ("float32", "float64")
BOUND = {"float32": 2.0, "float64": 4.0}
EXACT = ("round", "floor", "ceil", "trunc", "sign")


def target(level):
    try:
        return host(level)
    except ValueError as e:
        pytest.skip(str(e))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(vector_math.names))
def test_ulps(name, dtype, level):
    xs, exact = reference(name, dtype)
    got = Loop(name, dtype, target(level))(*xs)
    bound = 0 if name in (*EXACT, "fmod") else BOUND[dtype]
    worst, where = 0.0, None
    for i, (y, e) in enumerate(zip(got, exact, strict=True)):
        error = ulps(y, e, dtype, larger_argument(name, dtype, xs, i))
        if error > worst:
            worst, where = error, i
    assert worst <= bound, f"{name}({[x[where] for x in xs]}) = {got[where]}, exactly {exact[where]}: {worst} ULP"


def special_values(dtype):
    info = np.finfo(dtype)
    half = [0.0, np.inf, np.nan, 1.0, 0.5, 1.5, 2.0, 2.5, 3.0, 1e6, info.tiny, info.smallest_subnormal, info.max,
            1 + info.eps, 1 - info.epsneg, 2.0 ** (info.nmant + 1), 2.0**info.nmant + 1]  # fmt: skip
    x = np.array([*half, *(-v for v in half)], dtype)
    return x


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(vector_math.names))
def test_special_values(name, dtype, level):
    """±0, ±inf, NaN, subnormal and largest numbers give what NumPy gives; zeros have NumPy's sign."""
    x = special_values(dtype)
    xs = (x,) if vector_math.names[name] == 1 else (np.repeat(x, x.size), np.tile(x, x.size))
    with np.errstate(all="ignore"):
        expected = NUMPY[name](*(v.astype("float64") for v in xs)) if name != "softplus" else NUMPY[name](*xs)
        if name == "floor_divide":
            expected = NUMPY[name](*xs)
        narrow = expected.astype(dtype)
    got = Loop(name, dtype, target(level))(*xs)
    if name == "erfinv":  # SciPy drops the sign of -0
        narrow[x == 0] = x[x == 0]
    plain = np.isnan(narrow) | np.isinf(narrow) | (narrow == 0)
    for i in np.flatnonzero(plain):
        here = [v[i] for v in xs]
        assert np.isnan(got[i]) == np.isnan(narrow[i]), f"{name}{here} = {got[i]}, expected {narrow[i]}"
        if not np.isnan(narrow[i]):
            assert got[i] == narrow[i], f"{name}{here} = {got[i]}, expected {narrow[i]}"
            assert np.signbit(got[i]) == np.signbit(narrow[i]), f"{name}{here} = {got[i]}, expected {narrow[i]}"
    np.testing.assert_allclose(got[~plain], narrow[~plain], rtol=8 * np.finfo(dtype).eps, atol=0)


@pytest.mark.parametrize("name", sorted(n for n, count in vector_math.names.items() if count == 1))
def test_float32_wide_sweep(name):
    """A million float32 numbers over the whole range against NumPy or SciPy in double."""
    x = np.arange(0, 2**32, 4294, dtype=np.uint64).astype(np.uint32).view(np.float32)
    x = x[~np.isnan(x)][:: 8 if name == "erfinv" else 1]  # SciPy's erfinv takes its time
    with np.errstate(all="ignore"):
        exact = NUMPY[name](x.astype("float64"))
        unit = np.spacing(np.minimum(np.abs(exact), np.finfo("float32").max).astype("float32")).astype("float64")
        got = Loop(name, "float32", host())(x).astype("float64")
        error = np.abs(got - exact) / unit
        rounded = exact.astype("float32")
    error[(got == rounded) | (np.isnan(got) & np.isnan(exact))] = 0
    worst = np.argmax(np.where(np.isnan(error), np.inf, error))
    assert error[worst] <= 2, f"{name}({x[worst]}) = {got[worst]}, exactly {exact[worst]}: {error[worst]} ULP"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "expm1", "log", "sigmoid", "pow", "sin", "tan", "fmod", "erfinv"])
def test_same_bits_for_every_width(name, dtype):
    xs = tuple(np.concatenate([x, special_values(dtype)]) for x in samples(name, dtype))
    full = host().lanes(np.dtype(dtype).itemsize)
    expected = Loop(name, dtype, host())(*xs)
    for lanes in (1, full // 2, full * 2):
        np.testing.assert_array_equal(Loop(name, dtype, host(), lanes)(*xs), expected)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_calls_a_library(dtype, level):
    """All functions fit into one module, and its assembly calls nothing but them."""
    cpu = target(level)
    texts, lanes = {}, cpu.lanes(np.dtype(dtype).itemsize)
    for name in vector_math.names:
        for symbol, text in vector_math.function(name, dtype, lanes, cpu)[1].items():
            assert texts.setdefault(symbol, text) == text, f"two texts of {symbol}"
    public = "\n".join(texts.values()).replace("define internal", "define")
    machine, module = machine_and_module(public, cpu)
    called = set(re.findall(r"\b(?:call|jmp)q?\s+([^.\s*][^\s@]*)", machine.emit_assembly(module)))
    assert {c for c in called if not c.strip('"').startswith("cr.")} == set()


def test_rare_way_is_not_taken_for_usual_arguments():
    """The slow reduction is a call of its own, out of the loop's way."""
    text = loop_text("sin", "float32", 16, host())
    assert "cold" in text and text.count("call { <16 x double>, <16 x i64> } @cr.quadrants.v16") == 1


def test_coefficients_are_those_of_the_tool(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "tools")
    minimax = pytest.importorskip("minimax", exc_type=ImportError)
    mp = minimax.mp
    over, near = mp.mpf("0.56") ** 2, mp.mpf(10) ** -12
    c, error = minimax.fit(
        lambda z: mp.tanh(mp.sqrt(z)) / mp.sqrt(z), near, over, range(6), "float32", exact={0: mp.mpf(1)}
    )
    assert tuple(c[1:]) == hyperbolic.TANH and error < 2e-9
    half = mp.log(2) / 2 * mp.mpf("1.003")
    c, error = minimax.fit(mp.expm1, -half, half, range(1, 12), "float64", exact={1: mp.mpf(1)})
    assert tuple(c[1:]) == exponential.EXP["double"] and error < 2e-17


def test_errors():
    with pytest.raises(ValueError, match="vector_math: no function 'gamma'; there are acos, acosh"):
        vector_math.function("gamma", "float32", 16)
    with pytest.raises(ValueError, match="exp of float16: expected float32 or float64; convert the operands first"):
        vector_math.function("exp", "float16", 16)
    with pytest.raises(ValueError, match="exp: lanes must be a power of two, got 12"):
        vector_math.function("exp", "float32", 12)
