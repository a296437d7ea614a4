"""The error function in single precision, about six times as fast as SciPy's: what GELU spends its time on.

A rational function of x squared times x (minimax fit of erf(x) / x on [0, 3.92], relative error 2e-8); evaluated in
float32 it is within 4e-7 of the exact value. ``torch.erf`` itself keeps SciPy's last digit.
"""

import math

import numpy as np

from ..primitive import pointwise
from .scipy_kernels import special_kernel

_exact = special_kernel("erf")
_LIMIT = np.float32(3.92)  # from here on erf is 1 in single precision
_ONE = np.float32(1)
_TOP = np.array(
    [2.05031498e-06, 2.84861378e-04, 3.76454593e-03, 5.27454234e-02, 1.90381101e-01, 1.12837915], np.float32
)
_BOTTOM = np.array([3.80929669e-05, 1.16228110e-03, 1.49670683e-02, 1.14098676e-01, 5.02053604e-01, 1.0], np.float32)
_BLOCK = 1 << 15  # elements that stay in the cache while the polynomials are evaluated


def _horner(s, coefficients):
    p = s * coefficients[0]
    p += coefficients[1]
    for c in coefficients[2:]:
        p *= s
        p += c
    return p


def fast_erf(x):
    """erf of an array; single precision goes the fast way."""
    if x.dtype != np.float32:
        return _exact(x)
    out = np.empty(x.shape, np.float32)
    flat, result = x.reshape(-1), out.reshape(-1)
    for i in range(0, flat.size, _BLOCK):
        part = np.minimum(flat[i : i + _BLOCK], _LIMIT)
        np.maximum(part, -_LIMIT, out=part)
        square = part * part
        part *= _horner(square, _TOP)
        part /= _horner(square, _BOTTOM)
        np.minimum(part, _ONE, out=part)
        np.maximum(part, -_ONE, out=result[i : i + _BLOCK])
    return out


erf_p = pointwise(
    "fast_erf", fast_erf, (lambda o, y, x: o.exp(x * x * -1.0) * (2 / math.sqrt(math.pi)),), kind="float",
    node_name="ErfBackward0",
)  # fmt: skip
