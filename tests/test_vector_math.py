"""The compiler's elementary functions: ULPs against mpmath, special values, every width, no call of a library."""

import re
from fractions import Fraction

import numpy as np
import pytest

llvmlite = pytest.importorskip("llvmlite")
mp = pytest.importorskip("mpmath").mp
special = pytest.importorskip("scipy.special")

from vector_math_loop import Loop, loop_text, machine_and_module  # noqa: E402

from chainrule.compiler import vector_math  # noqa: E402
from chainrule.compiler.target import host  # noqa: E402

LEVELS = ("avx512", "avx2", "sse2")
DTYPES = ("float32", "float64")
BOUND = {"float32": 2.0, "float64": 4.0}
EXACT = ("round", "floor", "ceil", "trunc", "sign")


def target(level):
    try:
        return host(level)
    except ValueError as e:
        pytest.skip(str(e))


def _floor_divide(x, y):
    return mp.mpf(int(Fraction(x) / Fraction(y) // 1))


def _fmod(x, y):
    x, y = Fraction(x), Fraction(y)
    q = abs(x) / abs(y) // 1
    r = (abs(x) - q * abs(y)) * (1 if x >= 0 else -1)
    return mp.mpf(r.numerator) / r.denominator


def _remainder(x, y):
    x, y = Fraction(x), Fraction(y)
    r = x - (x / y // 1) * y
    return mp.mpf(r.numerator) / r.denominator


def _sigmoid(x):
    return 1 / (1 + mp.exp(-x))


EXACTLY = {  # name -> the function in mpmath
    "exp": mp.exp, "exp2": lambda x: mp.mpf(2) ** x, "expm1": mp.expm1, "log": mp.log,
    "log2": lambda x: mp.log(x) / mp.log(2), "log10": mp.log10, "log1p": mp.log1p, "tanh": mp.tanh,
    "sigmoid": _sigmoid, "erf": mp.erf, "erfc": mp.erfc, "erfinv": mp.erfinv, "sin": mp.sin, "cos": mp.cos,
    "tan": mp.tan, "asin": mp.asin, "acos": mp.acos, "atan": mp.atan, "atan2": mp.atan2, "sinh": mp.sinh,
    "cosh": mp.cosh, "asinh": mp.asinh, "acosh": mp.acosh, "atanh": mp.atanh, "pow": mp.power, "sqrt": mp.sqrt,
    "rsqrt": lambda x: 1 / mp.sqrt(x), "reciprocal": lambda x: 1 / x, "round": mp.nint, "floor": mp.floor,
    "ceil": mp.ceil, "trunc": lambda x: mp.floor(x) if x > 0 else mp.ceil(x), "sign": mp.sign, "fmod": _fmod,
    "remainder": _remainder, "floor_divide": _floor_divide, "hypot": mp.hypot,
    "logaddexp": lambda x, y: mp.log(mp.exp(x) + mp.exp(y)), "softplus": lambda x: mp.log1p(mp.exp(x)),
}  # fmt: skip
NUMPY = {  # name -> the function in NumPy or SciPy, for special values and the wide sweep
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "tanh": np.tanh, "sigmoid": special.expit, "erf": special.erf, "erfc": special.erfc,
    "erfinv": special.erfinv, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh,
    "acosh": np.arccosh, "atanh": np.arctanh, "pow": np.power, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
    "reciprocal": lambda x: 1 / x, "round": np.rint, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
    "sign": np.sign, "fmod": np.fmod, "remainder": np.remainder, "floor_divide": np.floor_divide,
    "hypot": np.hypot, "logaddexp": np.logaddexp, "softplus": lambda x: np.logaddexp(x, 0),
}  # fmt: skip
# where a function changes its way, overflows, vanishes or is hard: (centre, ...) per name
EDGES = {
    "exp": (-745.2, -708.4, 709.78, 88.72, -87.3, -103.97, 0.3466), "exp2": (-1074, -1022, 1023.99, 127.99, -149.5),
    "expm1": (88.72, 709.78, 0.3466, -17, -37), "tanh": (0.55, 0.56, 9.01, 19.06), "sigmoid": (-87.4, -103.9, -708.4),
    "erf": (0.5, 0.85, 3.92, 5.92), "erfc": (0.5, 9.19, 10.05, 26.54, 27.22, -5.9), "erfinv": (0.5, 0.99, 0.99663),
    "log": (0.6667, 1.3333, 0.7071, 1.4142), "log1p": (-0.3, 0.4142, 1.0, -0.999999), "acos": (0.5, -0.5, 1.0, -1.0),
    "asin": (0.5, -0.5, 1.0, -1.0), "atan": (0.41421, 2.41421), "sinh": (88.9, 710.2, 0.3466), "cosh": (89.3, 710.2),
    "asinh": (1.8e16, 2.7e8), "acosh": (1.0, 1.8e16), "atanh": (1.0, -1.0, 0.5),
}  # fmt: skip
PAIRS = {  # hard pairs
    "pow": [(1 + 2.0**-23, 1e9), (0.999999, -7e7), (1 + 2.0**-52, 1e18), (2.0, 1023.9), (2.0, -1074.3), (10.0, -323.1),
            (0.5, 148.9), (1.5, 218.0), (-3.0, 33.0), (1e-310, 0.97), (1e-40, 0.9), (0.70710678, 301.0)],
    "fmod": [(5.3, 2.1), (1e308, 3e-308), (1e300, 7e-200), (5e-324, 1e300), (1e38, 3e-40), (7.0, -2.0), (-9.0, 3.0)],
    "atan2": [(1e308, 1e308), (1e-310, 1e-308), (3.0, -1e-300), (1e-320, -1.0), (0.41421, 1.0), (2.41421, 1.0)],
    "hypot": [(1e308, 1e308), (3e-320, 4e-320), (1e-200, 1e-200), (1e200, 1e180), (3e38, 1e38)],
}  # fmt: skip
PAIRS |= dict.fromkeys(("remainder", "floor_divide"), PAIRS["fmod"])


def mp_float(x):
    return mp.mpf(float(x))


def ulps(got, exact, dtype, larger=0):
    """|got - exact| in units of the dtype's last place at ``exact`` (or at ``larger``, if that is more)."""
    info = np.finfo(dtype)
    if np.isnan(got):
        return np.inf
    top = mp.mpf(2) ** int(info.maxexp)  # an overflow counts as the next power of two
    got = mp.mpf(float(got)) if np.isfinite(got) else top * (1 if got > 0 else -1)
    exact = min(max(exact, -top), top)
    size = min(max(abs(exact), abs(larger)), top / 2)
    exponent = max(mp.frexp(size)[1] - 1 if size else info.minexp, info.minexp)
    return float(abs(got - exact) / mp.mpf(2) ** (exponent - info.nmant))


def spread(dtype, n, rng):
    """Finite numbers of all magnitudes, subnormal ones too: random bit patterns."""
    bits = rng.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), n, dtype=f"uint{8 * np.dtype(dtype).itemsize}")
    x = bits.view(dtype)
    return x[np.isfinite(x)]


def odd_multiples(dtype):
    """Numbers near multiples of pi / 2, and the ones nearest to any (Muller)."""
    k = np.concatenate([np.arange(1, 60), np.array([1e3, 12345, 1e5, 3e5, 1e6, 1e9])])
    x = (k * (np.pi / 2)).astype(dtype)
    hardest = [6381956970095103.0 * 2.0**797, 5.319372648326541e255] if dtype == "float64" else [16367173.0 * 2.0**72]
    return np.concatenate([x, np.nextafter(x, np.inf, dtype=dtype), np.array(hardest, dtype)])


def samples(name, dtype):
    """Arguments in the domain: random ones of all magnitudes and of usual size, and hard ones."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    usual = [rng.standard_normal(90) * s for s in (0.3, 3, 40)]
    xs = [*usual, rng.uniform(-1, 1, 90), 1 + rng.standard_normal(60) * 0.01]
    for c in EDGES.get(name, ()):
        xs.append(c * (1 + rng.standard_normal(25) * 3e-4))
    x = np.concatenate([np.concatenate(xs).astype(dtype), spread(dtype, 150, rng)])
    if name in ("sin", "cos", "tan"):
        x = np.concatenate([x, odd_multiples(dtype), -odd_multiples(dtype)])
    if name in ("exp", "exp2", "expm1", "sinh", "cosh", "sigmoid", "erfc", "softplus"):
        x = np.concatenate([x, rng.uniform(-800, 720, 150).astype(dtype), rng.uniform(-105, 90, 150).astype(dtype)])
    if vector_math.names[name] == 2:
        y = rng.permutation(x)
        if name == "pow":
            x = np.abs(x)
            z = np.exp(rng.standard_normal(200) * 2).astype(dtype)
            reach = np.log(float(info.max)) / np.log(z.astype("float64"))
            x, y = np.concatenate([x, z]), np.concatenate([y, (reach * rng.uniform(-1.05, 1, 200)).astype(dtype)])
        hard = np.array(PAIRS.get(name, [(1.0, 2.0)]))
        hard = hard[(np.abs(hard) < info.max).all(axis=1)].astype(dtype)
        x, y = np.concatenate([x, hard[:, 0]]), np.concatenate([y, hard[:, 1]])
        keep = (x != 0) & (y != 0)
        return x[keep], y[keep]
    domain = {
        "log": x > 0, "log2": x > 0, "log10": x > 0, "sqrt": x >= 0, "rsqrt": x > 0, "log1p": x > -1,
        "asin": abs(x) <= 1, "acos": abs(x) <= 1, "atanh": abs(x) < 1, "erfinv": abs(x) < 1, "acosh": x >= 1,
        "reciprocal": x != 0,
    }  # fmt: skip
    if name in ("log", "log2", "log10", "rsqrt", "sqrt", "acosh"):
        x = abs(x)
        domain["acosh"] = x >= 1
        domain |= dict.fromkeys(("log", "log2", "log10", "rsqrt"), x > 0)
        domain["sqrt"] = x >= 0
    return (x[domain[name]] if name in domain else x,)


def quick(function):
    """mpmath's function where its arguments are of a size that it can take; what follows from limits elsewhere."""

    def bounded(name, *xs):
        x = xs[0]
        if name in ("exp", "exp2", "expm1", "sinh", "cosh", "sigmoid", "softplus") and abs(x) > 3000:
            up = x > 0
            low = {"expm1": -1, "sinh": -mp.inf, "cosh": mp.inf}.get(name, mp.mpf(0))
            return {"sigmoid": mp.mpf(1), "softplus": x}.get(name, mp.inf) if up else mp.mpf(low)
        if name == "erfc" and abs(x) > 40:
            return mp.mpf(0 if x > 0 else 2)
        if name == "logaddexp" and max(abs(x), abs(xs[1])) > 3000:
            return max(xs)
        if name == "pow" and (e := mp.log(xs[0]) * xs[1]) and abs(e) > 3000:
            return mp.inf if e > 0 else mp.mpf(0)
        return function(*xs)

    return bounded


_REFERENCES = {}


def reference(name, dtype):
    """The samples and mpmath's results, made once."""
    if (name, dtype) not in _REFERENCES:
        xs = samples(name, dtype)
        f, plain = quick(EXACTLY[name]), name in ("fmod", "remainder", "floor_divide")
        with mp.workdps(45):
            convert = float if plain else mp_float
            _REFERENCES[name, dtype] = xs, [f(name, *map(convert, row)) for row in zip(*xs, strict=True)]
    return _REFERENCES[name, dtype]


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", sorted(vector_math.names))
def test_ulps(name, dtype, level):
    xs, exact = reference(name, dtype)
    got = Loop(name, dtype, target(level))(*xs)
    bound = 0 if name in (*EXACT, "fmod") else BOUND[dtype]
    worst, where = 0.0, None
    for i, (y, e) in enumerate(zip(got, exact, strict=True)):
        larger = max(abs(float(x[i])) for x in xs) if name == "logaddexp" and dtype == "float64" else 0
        error = ulps(y, e, dtype, larger)
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


def test_errors():
    with pytest.raises(ValueError, match="vector_math: no function 'gamma'; there are acos, acosh"):
        vector_math.function("gamma", "float32", 16)
    with pytest.raises(ValueError, match="exp of float16: expected float32 or float64; convert the operands first"):
        vector_math.function("exp", "float16", 16)
    with pytest.raises(ValueError, match="exp: lanes must be a power of two, got 12"):
        vector_math.function("exp", "float32", 12)
