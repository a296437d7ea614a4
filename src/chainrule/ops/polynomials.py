"""Orthogonal polynomials of ``torch.special``, without derivatives as in PyTorch. Kernels from scipy.special.

NIST Digital Library of Mathematical Functions, chapter 18.
"""

import numpy as np

from ..primitive import Pointwise, public
from .docs import doc


def _polynomial(name, kernel, text):
    prim = Pointwise(name, _of_degree(kernel), None, kind="float")

    def function(input, n, *, out=None):
        return prim(input, n, out=out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc(
        f"{text} of degree ``n`` (a tensor or a number) at ``input``; 0 for negative degrees. Not differentiable.",
        f"torch.special.{name}(torch.tensor([0.5]), 0)",
        "tensor([1.])",
    )
    return public(function, namespaces=("special",), method=False)


def _of_degree(kernel):
    def evaluate(x, n):
        degree = np.trunc(n).astype(np.int64)
        return np.where(degree < 0, 0, kernel(np.maximum(degree, 0), x.astype(np.float64))).astype(x.dtype)

    return evaluate


def _scipy(name, scale=lambda x: x):
    def kernel(n, x):
        import scipy.special

        return getattr(scipy.special, name)(n, scale(x))

    return kernel


def _third_or_fourth(sign, scale=lambda x: x):
    """Chebyshev's V and W from the second kind: U[n] - U[n-1] and U[n] + U[n-1]."""
    second = _scipy("eval_chebyu", scale)
    return lambda n, x: second(n, x) + sign * np.where(n > 0, second(np.maximum(n - 1, 0), x), 0)


def _shifted(x):
    return 2 * x - 1


for _name, _kernel, _text in (
    ("chebyshev_polynomial_t", _scipy("eval_chebyt"), "Chebyshev's polynomial of the first kind"),
    ("chebyshev_polynomial_u", _scipy("eval_chebyu"), "Chebyshev's polynomial of the second kind"),
    ("chebyshev_polynomial_v", _third_or_fourth(-1), "Chebyshev's polynomial of the third kind"),
    ("chebyshev_polynomial_w", _third_or_fourth(1), "Chebyshev's polynomial of the fourth kind"),
    (
        "shifted_chebyshev_polynomial_t",
        _scipy("eval_chebyt", _shifted),
        "Chebyshev's polynomial of the first kind for [0, 1]",
    ),
    (
        "shifted_chebyshev_polynomial_u",
        _scipy("eval_chebyu", _shifted),
        "Chebyshev's polynomial of the second kind for [0, 1]",
    ),
    (
        "shifted_chebyshev_polynomial_v",
        _third_or_fourth(-1, _shifted),
        "Chebyshev's polynomial of the third kind for [0, 1]",
    ),
    (
        "shifted_chebyshev_polynomial_w",
        _third_or_fourth(1, _shifted),
        "Chebyshev's polynomial of the fourth kind for [0, 1]",
    ),
    ("hermite_polynomial_h", _scipy("eval_hermite"), "The physicist's Hermite polynomial"),
    ("hermite_polynomial_he", _scipy("eval_hermitenorm"), "The probabilist's Hermite polynomial"),
    ("laguerre_polynomial_l", _scipy("eval_laguerre"), "Laguerre's polynomial"),
    ("legendre_polynomial_p", _scipy("eval_legendre"), "Legendre's polynomial"),
):
    _polynomial(_name, _kernel, _text)
