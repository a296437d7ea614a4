"""NumPy's and SciPy's universal functions as core instructions."""

from functools import cache

import numpy as np

from .builder import Unlowered, as_dtype, dtype_name, number
from .functions import MAPS
from .indexing import scattered

# ufunc name -> (map, in which dtypes: "f" floats, "b" bools, "any", "compare")
_SAME = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "negative": "neg",
    "absolute": "abs", "fabs": "abs", "maximum": "max", "minimum": "min", "fmax": "fmax", "fmin": "fmin",
    "power": "pow", "float_power": "pow", "floor_divide": "floor_divide", "remainder": "remainder", "fmod": "fmod",
    "sign": "sign", "exp": "exp", "exp2": "exp2", "expm1": "expm1", "log": "log", "log2": "log2", "log10": "log10",
    "log1p": "log1p", "sqrt": "sqrt", "reciprocal": "reciprocal", "tanh": "tanh", "expit": "sigmoid", "erf": "erf",
    "erfc": "erfc", "erfinv": "erfinv", "sin": "sin", "cos": "cos", "tan": "tan", "arcsin": "asin", "arccos": "acos",
    "arctan": "atan", "arctan2": "atan2", "sinh": "sinh", "cosh": "cosh", "arcsinh": "asinh", "arccosh": "acosh",
    "arctanh": "atanh", "hypot": "hypot", "logaddexp": "logaddexp", "copysign": "copysign", "floor": "floor",
    "ceil": "ceil", "trunc": "trunc", "rint": "round", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor",
    "invert": "not", "left_shift": "shl", "right_shift": "shr", "positive": "id",
}  # fmt: skip
_COMPARE = {
    "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge",
    "isnan": "isnan", "isinf": "isinf", "isfinite": "isfinite", "signbit": "signbit",
}  # fmt: skip
_LOGIC = {"logical_and": "and", "logical_or": "or", "logical_xor": "xor", "logical_not": "not"}
_REDUCE = {
    "add": "sum", "multiply": "prod", "maximum": "max", "minimum": "min", "logical_or": "any", "logical_and": "all",
    "bitwise_or": "any", "bitwise_and": "all",
}  # fmt: skip
_INTEGER_FREE = {"floor", "ceil", "trunc", "rint"}


def call_ufunc(symbol, ufunc, method, inputs, kw):
    """What ``Symbol.__array_ufunc__`` does."""
    out = kw.pop("out", None)
    out = out[0] if isinstance(out, tuple) else out
    if out is not None and not hasattr(out, "builder"):
        symbol.values_needed("writing symbols into an array")
    if method == "__call__":
        mask = kw.pop("where", True)
        result = elementwise(symbol, ufunc, inputs, kw)
        if mask is not True:
            if out is None:
                raise Unlowered(f"{ufunc.__name__} with where, but without out")
            result = np.where(mask, result, out)
    elif method == "reduce":
        result = reduce(symbol, ufunc, *inputs, **kw)
    elif method == "at" and ufunc.__name__ == "add":
        target, index, value = inputs
        target.assign(scattered(target, index, as_value(symbol, value), "add"))
        return None
    else:
        symbol.values_needed(f"numpy.{ufunc.__name__}.{method}")
    if out is None:
        return result if hasattr(result, "builder") else symbol.like(result)
    out.assign(result.value if hasattr(result, "builder") else result)
    return out


def as_value(symbol, x):
    if hasattr(x, "builder"):
        return x.value
    return symbol.builder.constant(np.asarray(x))


def loop_dtypes(ufunc, inputs, dtype):
    """The names of the dtypes in which NumPy would compute: Python numbers are weak."""
    kinds = []
    for x in inputs:
        if hasattr(x, "builder"):
            kinds.append(float if x.weak else x.value.dtype)
        elif type(x) in (int, float):
            kinds.append(type(x))
        else:
            kinds.append(dtype_name(x.dtype.type) if hasattr(x, "dtype") else np.asarray(x).dtype.name)
    return _resolved(ufunc, tuple(kinds), None if dtype is None else dtype_name(dtype))


@cache
def _resolved(ufunc, kinds, dtype):
    kinds = [k if isinstance(k, type) else as_dtype(k) for k in kinds]
    if all(isinstance(k, type) for k in kinds):
        kinds = [np.dtype(np.float64 if k is float else np.int64) for k in kinds]
    signature = {} if dtype is None else {"signature": (None,) * ufunc.nin + (as_dtype(dtype),)}
    try:
        found = ufunc.resolve_dtypes((*kinds, *(None,) * ufunc.nout), **signature)
    except (TypeError, ValueError) as error:
        raise Unlowered(f"{ufunc.__name__} of {kinds}") from error
    if any(d.kind not in "fiub" or d.itemsize > 8 for d in found):
        raise Unlowered(f"{ufunc.__name__} in {found}")
    return [d.name for d in found]


def elementwise(symbol, ufunc, inputs, kw):
    name = ufunc.__name__
    dtype = kw.pop("dtype", None)
    kw.pop("casting", None)
    if kw:
        raise Unlowered(f"{name} with {list(kw)}")
    b = symbol.builder
    if name in ("matmul", "vecdot"):
        return matmul(symbol, *inputs) if name == "matmul" else vecdot(symbol, *inputs)
    for x in inputs:
        if isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind in "OUSc":
            raise Unlowered("objects")
    dtypes = loop_dtypes(ufunc, inputs, dtype)
    values, weak = [], True
    for x, d in zip(inputs, dtypes, strict=False):
        if hasattr(x, "builder"):
            v = x.value
            values.append(v if v.dtype == d else b.convert(v, d))
            weak = weak and x.weak
        elif type(x) in (int, float, bool):
            values.append(b.scalar(x, d))
            weak = weak and type(x) is not bool
        else:
            values.append(b.convert(b.constant(np.asarray(x)), d))
            weak = False
    return symbol.like(b_map(b, name, values, dtypes[-1]), weak=weak)


def b_map(b, name, values, dtype):
    """One universal function on values of the dtypes that it computes in."""
    if name in _COMPARE:
        if values[0].dtype[0] in "iub" and name in ("isnan", "isinf", "isfinite"):
            return b.full(values[0].shape, name == "isfinite", "bool")
        return b.map(_COMPARE[name], *values, dtype="bool")
    if name in _LOGIC:
        return b.map(_LOGIC[name], *[b.convert(v, "bool") for v in values], dtype="bool")
    if name == "square":
        return b.map("mul", values[0], values[0])
    if name in _INTEGER_FREE and dtype[0] != "f":
        return values[0]
    if name == "power" and dtype[0] == "f":
        return power(b, *values)
    if name == "xlogy":
        x, y = values
        zero = b.scalar(0, dtype)
        usual = b.map("mul", x, b.map("log", y))
        plain = b.map("and", b.map("eq", x, zero, dtype="bool"), b.map("eq", y, y, dtype="bool"), dtype="bool")
        return b.map("where", plain, zero, usual)
    if name == "xlog1py":
        x, y = values
        zero = b.scalar(0, dtype)
        usual = b.map("mul", x, b.map("log1p", y))
        plain = b.map("and", b.map("eq", x, zero, dtype="bool"), b.map("eq", y, y, dtype="bool"), dtype="bool")
        return b.map("where", plain, zero, usual)
    if name == "heaviside":
        x, h = values
        zero = b.scalar(0, dtype)
        step = b.convert(b.map("gt", x, zero, dtype="bool"), dtype)
        y = b.map("where", b.map("eq", x, zero, dtype="bool"), h, step)
        return b.map("where", b.map("isnan", x, dtype="bool"), x, y)
    fn = _SAME.get(name)
    if fn is None or fn not in MAPS:
        raise Unlowered(f"the function {name}")
    if name == "positive":
        return values[0]
    if dtype == "bool" and fn in ("add", "max"):
        fn = "or"
    elif dtype == "bool" and fn in ("mul", "min"):
        fn = "and"
    elif dtype == "bool" and fn not in ("and", "or", "xor", "not"):
        raise Unlowered(f"{name} of bools")
    if dtype[0] != "f" and fn in ("pow", "sign", "div", "floor_divide", "remainder", "fmod") and dtype[0] == "u":
        raise Unlowered(f"{name} of {dtype}")
    if dtype[0] in "iu" and fn in ("pow", "fmax", "fmin"):
        if fn == "pow":
            raise Unlowered(f"{name} of integers")
        fn = fn[1:]
    return b.map(fn, *values, dtype=dtype)


def power(b, x, y):
    """Small constant powers are products, as in NumPy."""
    n = number(y)
    if n is not None and y.shape == ():
        if n == 2:
            return b.map("mul", x, x)
        if n == 3:
            return b.map("mul", b.map("mul", x, x), x)
        if n == 4:
            s = b.map("mul", x, x)
            return b.map("mul", s, s)
        if n == 1:
            return x
        if n == 0.5:
            return b.map("sqrt", x)
        if n == -1:
            return b.map("reciprocal", x)
        if n == -2:
            return b.map("reciprocal", b.map("mul", x, x))
    return b.map("pow", x, y)


def reduce(symbol, ufunc, x, axis=0, dtype=None, keepdims=False, initial=None, where=True):
    name = ufunc.__name__
    if where is not True or name not in _REDUCE:
        raise Unlowered(f"{name}.reduce")
    b = symbol.builder
    v, fn = as_value(symbol, x), _REDUCE[name]
    if name.startswith("bitwise") and v.dtype != "bool":
        raise Unlowered(f"{name}.reduce of {v.dtype}")
    ndim = len(v.shape)
    axes = tuple(range(ndim)) if axis is None else (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    axes = tuple(sorted(a % ndim for a in axes)) if ndim else ()
    if fn in ("any", "all"):
        v = b.convert(v, "bool")
    elif fn in ("sum", "prod"):
        target = dtype_name(dtype) if dtype is not None else v.dtype
        if dtype is None and (v.dtype == "bool" or v.dtype[0] in "iu"):
            target = "uint64" if v.dtype[0] == "u" else "int64"
        v = b.convert(v, target)
    elif v.dtype == "bool":
        fn = {"max": "any", "min": "all"}[fn]
    if v.dtype in ("float16", "bfloat16"):
        raise Unlowered(f"{name}.reduce of {v.dtype}")
    rest = [n for i, n in enumerate(v.shape) if i not in axes]
    if 0 in rest:
        r = b.full(rest, 0, v.dtype)
    elif v.size == 0:
        start = {"sum": 0, "prod": 1, "any": False, "all": True}.get(fn, initial)
        if start is None:
            raise Unlowered("the maximum of nothing")
        r = b.full(rest, start, v.dtype)
    else:
        r = b.reduce(fn, v, axes)
        if initial is not None and not (fn in ("sum", "any") and initial == 0) and not _idle(fn, initial):
            ufuncs = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "any": "or", "all": "and"}
            r = b.map(ufuncs[fn], r, b.scalar(initial, r.dtype))
    if keepdims:
        r = b.reshape(r, tuple(1 if i in axes else n for i, n in enumerate(v.shape)))
    return symbol.like(r)


def _idle(fn, initial):
    return {"max": -np.inf, "min": np.inf, "prod": 1}.get(fn) == initial


def matmul(symbol, a, b):
    """NumPy's matmul: vectors get a dimension that is dropped again."""
    build = symbol.builder
    a, b = as_value(symbol, a), as_value(symbol, b)
    dtype = a.dtype if a.dtype == b.dtype else np.result_type(as_dtype(a.dtype), as_dtype(b.dtype)).name
    a, b = build.convert(a, dtype), build.convert(b, dtype)
    if dtype[0] != "f" or dtype == "float16":
        raise Unlowered(f"a matrix product of {dtype}")
    if len(a.shape) == 1:
        r = matmul(symbol, symbol.like(build.reshape(a, (1, *a.shape))), symbol.like(b)).value
        return symbol.like(build.viewed(r, lambda x: x[..., 0, :] if len(b.shape) > 1 else x[..., 0]))
    if len(b.shape) == 1:
        r = build.dot(a, build.reshape(b, (*b.shape, 1)))
        return symbol.like(build.viewed(r, lambda x: x[..., 0]))
    return symbol.like(build.dot(a, b))


def vecdot(symbol, a, b):
    return np.add.reduce(np.multiply(a, b), axis=-1)
