"""What the functions of ``compiler.vector_math`` are in mpmath and in NumPy, the arguments to try, and errors in ULPs."""

from fractions import Fraction

import numpy as np
from mpmath import mp
from scipy import special

from chainrule.compiler import vector_math


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


def _spread(dtype, n, rng):
    """Finite numbers of all magnitudes, subnormal ones too: random bit patterns."""
    bits = rng.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), n, dtype=f"uint{8 * np.dtype(dtype).itemsize}")
    x = bits.view(dtype)
    return x[np.isfinite(x)]


def _odd_multiples(dtype):
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
    x = np.concatenate([np.concatenate(xs).astype(dtype), _spread(dtype, 150, rng)])
    if name in ("sin", "cos", "tan"):
        x = np.concatenate([x, _odd_multiples(dtype), -_odd_multiples(dtype)])
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


def _bounded(function):
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


def _mp_float(x):
    return mp.mpf(float(x))


_REFERENCES = {}


def reference(name, dtype):
    """The samples and mpmath's results, made once."""
    if (name, dtype) not in _REFERENCES:
        xs = samples(name, dtype)
        f, plain = _bounded(EXACTLY[name]), name in ("fmod", "remainder", "floor_divide")
        with mp.workdps(45):
            convert = float if plain else _mp_float
            _REFERENCES[name, dtype] = xs, [f(name, *map(convert, row)) for row in zip(*xs, strict=True)]
    return _REFERENCES[name, dtype]


def larger_argument(name, dtype, xs, i):
    """What else the error of sample ``i`` may be measured by: where ``logaddexp`` cancels in double, its arguments."""
    return max(abs(float(x[i])) for x in xs) if name == "logaddexp" and dtype == "float64" else 0
