"""The element-wise functions of ``map``: what each is in NumPy. The loop generator has the native text."""

import numpy as np


def _special(name):
    """SciPy's function of that name; importing SciPy takes longer than compiling most programs."""

    def function(x):
        from scipy import special

        return getattr(special, name)(x)

    return function


MAPS = {
    # any number of one dtype -> the same
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "neg": np.negative, "abs": np.abs,
    "max": np.maximum, "min": np.minimum, "fmax": np.fmax, "fmin": np.fmin, "pow": np.power,
    "floor_divide": np.floor_divide, "remainder": np.remainder, "fmod": np.fmod, "id": lambda x: x,
    "sign": np.sign, "fma": lambda a, b, c: a * b + c,
    # float -> float
    "exp": np.exp, "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x), "reciprocal": lambda x: 1 / x,
    "tanh": np.tanh, "sigmoid": _special("expit"), "erf": _special("erf"), "erfc": _special("erfc"),
    "erfinv": _special("erfinv"),
    "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
    "atan2": np.arctan2, "sinh": np.sinh, "cosh": np.cosh, "asinh": np.arcsinh, "acosh": np.arccosh,
    "atanh": np.arctanh, "hypot": np.hypot, "logaddexp": np.logaddexp, "copysign": np.copysign,
    "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "round": np.rint,
    # any -> bool
    "eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
    "isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "signbit": np.signbit,
    # bool or int -> the same
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "not": np.invert,
    "shl": np.left_shift, "shr": np.right_shift,
    # (bool, x, x) -> x
    "where": np.where,
    # any -> the output's dtype, as a C cast (float to int towards zero; to bool: != 0)
    "convert": None,
}  # fmt: skip

REDUCTIONS = {
    "sum": np.add.reduce, "prod": np.multiply.reduce, "max": np.maximum.reduce, "min": np.minimum.reduce,
    "any": np.logical_or.reduce, "all": np.logical_and.reduce, "argmax": np.argmax, "argmin": np.argmin,
}  # fmt: skip
