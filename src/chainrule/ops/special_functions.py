"""Special functions: error functions, gamma and its derivatives, Bessel functions, the normal distribution. Kernels
from scipy.special.

Derivatives: NIST Digital Library of Mathematical Functions, chapters 5 (gamma), 7 (error functions), 8 (incomplete
gamma), 10 (Bessel), 25 (zeta).
"""

import math

import numpy as np

from ..errors import ArgumentError, ArgumentValueError, DomainError
from ..primitive import pointwise, public
from ..primitive.arguments import tensor_argument
from .arithmetic import add
from .docs import doc
from .scipy_kernels import special_kernel

_TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)
_ROOT_PI_OVER_TWO = math.sqrt(math.pi) / 2
_ONE_OVER_ROOT_TWO_PI = 1 / math.sqrt(2 * math.pi)
_ROOT_TWO_PI = math.sqrt(2 * math.pi)


def _unary(name, kernel, partial, text, example, result, *, torch_name=None, inplace=True, **kw):
    """``torch.special.name``, and ``torch.torch_name`` (with its method) where PyTorch has one."""
    function = pointwise(
        name,
        kernel,
        None if partial is None else (partial,),
        inputs=1,
        kind="float",
        doc=doc(text, example, result),
        **kw,
    )
    public(function, namespaces=("special",), method=False)
    if torch_name is not None:
        public(function, name=torch_name, inplace=inplace)
    return function


_X = "(torch.tensor([0.5, 1.0]))"

erf = _unary(
    "erf",
    special_kernel("erf"),
    lambda o, y, x: o.exp(-x * x) * _TWO_OVER_ROOT_PI,
    "The error function.",
    "torch.erf" + _X,
    "tensor([0.5205, 0.8427])",
    torch_name="erf",
)
erfc = _unary(
    "erfc",
    special_kernel("erfc"),
    lambda o, y, x: o.exp(-x * x) * -_TWO_OVER_ROOT_PI,
    "``1 - erf(input)``, exact for large inputs.",
    "torch.erfc" + _X,
    "tensor([0.4795, 0.1573])",
    torch_name="erfc",
)
erfinv = _unary(
    "erfinv",
    special_kernel("erfinv"),
    lambda o, y, x: o.exp(y * y) * _ROOT_PI_OVER_TWO,
    "The inverse of ``erf``; infinite at ±1.",
    "torch.erfinv" + _X,
    "tensor([0.4769,    inf])",
    torch_name="erfinv",
    singular=True,
)
erfcx = _unary(
    "erfcx",
    special_kernel("erfcx"),
    lambda o, y, x: 2 * x * y - _TWO_OVER_ROOT_PI,
    "``exp(input²) * erfc(input)``.",
    "torch.special.erfcx" + _X,
    "tensor([0.6157, 0.4276])",
    node_name="SpecialErfcxBackward0",
    singular=True,
)

# ---- the normal distribution

ndtr = _unary(
    "ndtr",
    special_kernel("ndtr"),
    lambda o, y, x: o.exp(x * x * -0.5) * _ONE_OVER_ROOT_TWO_PI,
    "The normal distribution's cumulative probability.",
    "torch.special.ndtr" + _X,
    "tensor([0.6915, 0.8413])",
    node_name="SpecialNdtrBackward0",
)
ndtri = _unary(
    "ndtri",
    special_kernel("ndtri"),
    lambda o, y, x: o.exp(y * y * 0.5) * _ROOT_TWO_PI,
    "The inverse of ``ndtr``.",
    "torch.special.ndtri" + _X,
    "tensor([0., inf])",
    node_name="SpecialNdtriBackward0",
    singular=True,
)
# φ/Φ written with erfcx, which does not underflow; for large x erfcx(-x/√2) overflows to inf and the ratio is 0, as it
# should be.
log_ndtr = _unary(
    "log_ndtr",
    special_kernel("log_ndtr"),
    lambda o, y, x: _ROOT_TWO_PI / math.pi / o.erfcx(x * -math.sqrt(0.5)),
    "``log(ndtr(input))``, exact far in the tail.",
    "torch.special.log_ndtr" + _X,
    "tensor([-0.3689, -0.1728])",
    node_name="SpecialLogNdtrBackward0",
)


def _entr(x):
    return np.where(x > 0, -x * np.log(x), np.where(x == 0, 0, np.where(np.isnan(x), x, -np.inf))).astype(
        x.dtype, copy=False
    )


entr = _unary(
    "entr",
    _entr,
    lambda o, y, x: o.where(x < 0, -math.inf, -o.log(x) - 1),
    "The entropy term ``-x * log(x)``; 0 at 0, -inf below.",
    "torch.special.entr" + _X,
    "tensor([0.3466, -0.0000])",
    node_name="SpecialEntrBackward0",
    singular=True,
)

# ---- the gamma function

lgamma = public(
    pointwise(
        "lgamma",
        special_kernel("gammaln"),
        (lambda o, y, x: o.digamma(x),),
        kind="float",
        singular=True,
        doc=doc(
            "The logarithm of the absolute value of the gamma function.",
            "torch.lgamma(torch.tensor([3.0, 4.0]))",
            "tensor([0.6931, 1.7918])",
        ),
    ),
    inplace=True,
)
public(lgamma, name="gammaln", namespaces=("special",), method=False)


def _digamma():
    psi = special_kernel("psi")

    def kernel(x):
        # PyTorch gives ∓inf at ±0, SciPy NaN at -0.
        return np.where(x == 0, np.copysign(np.inf, -x), psi(x)).astype(x.dtype, copy=False)

    return kernel


digamma = public(
    pointwise(
        "digamma",
        _digamma(),
        (lambda o, y, x: o.polygamma(x, n=1),),
        kind="float",
        singular=True,
        doc=doc(
            "The derivative of ``lgamma``.", "torch.digamma(torch.tensor([1.0, 2.0]))", "tensor([-0.5772,  0.4228])"
        ),
    ),
    inplace=True,
)
public(digamma, name="digamma", namespaces=("special",), method=False, aliases=("psi",))

_zeta_kernel = special_kernel("zeta")


def _polygamma(x, n):
    """(-1)^(n+1) n! ζ(n + 1, x); for n = 1 and negative x by reflection (DLMF 5.15.6)."""
    if n == 1:
        y = np.where(x < 0.5, 1 - x, x)
        value = _zeta_kernel(np.asarray(2.0, x.dtype), y)
        return np.where(x < 0.5, (math.pi / np.sin(math.pi * x)) ** 2 - value, value).astype(x.dtype, copy=False)
    return (-1) ** (n + 1) * math.gamma(n + 1.0) * _zeta_kernel(np.asarray(n + 1.0, x.dtype), x)


polygamma_p = pointwise(
    "polygamma",
    _polygamma,
    (lambda o, y, x, *, n: o.polygamma(x, n=n + 1),),
    kind="float",
    singular=True,
    node_name="PolygammaBackward0",
)


@public(method=False, namespaces=("torch", "special"))
def polygamma(n, input, *, out=None):
    """The ``n``-th derivative of ``digamma``.

    Raises ArgumentValueError for a negative ``n``.

    >>> import chainrule as torch
    >>> torch.polygamma(1, torch.tensor([1.0, 2.0]))
    tensor([1.6449, 0.6449])
    """
    if isinstance(n, bool) or not isinstance(n, int):
        raise ArgumentError(f"polygamma(): argument 'n' must be int, not {type(n).__name__}")
    if n < 0:
        raise ArgumentValueError(f"polygamma(n, x) does not support negative n, got {n}")
    return digamma(input, out=out) if n == 0 else polygamma_p(input, n=n, out=out)


def _polygamma_method(self, n):
    return polygamma(n, self)


_polygamma_method.__doc__ = polygamma.__doc__
public(_polygamma_method, name="polygamma", namespaces=(), inplace=True)


@public(inplace=True)
def mvlgamma(input, p):
    """The logarithm of the multivariate gamma function of dimension ``p``.

    Raises ArgumentValueError for ``p < 1``, DomainError unless all elements are greater than ``(p - 1) / 2``.

    >>> import chainrule as torch
    >>> torch.mvlgamma(torch.tensor([2.0, 3.0]), 2)
    tensor([0.4516, 1.5502])
    """
    if p < 1:
        raise ArgumentValueError(f"mvlgamma(): p has to be greater than or equal to 1, got {p}")
    a = tensor_argument(input, "mvlgamma")._data
    if isinstance(a, np.ndarray) and not (a > (p - 1) / 2).all():
        raise DomainError("mvlgamma(): All elements must be greater than (p-1)/2")
    total = p * (p - 1) / 4 * math.log(math.pi)
    for j in range(p):
        total = add(lgamma(input - j / 2 if j else input), total)
    return total


public(mvlgamma, name="multigammaln", namespaces=("special",), method=False)


def _incomplete(name, kernel, sign, text, example, result):
    def partial(o, y, a, x):
        return o.exp((a - 1) * o.log(x) - x - o.lgamma(a))

    def negative(o, y, a, x):
        return -o.exp((a - 1) * o.log(x) - x - o.lgamma(a))

    function = pointwise(
        name,
        special_kernel(kernel),
        (None, partial if sign > 0 else negative),
        kind="float",
        singular=True,
        doc=doc(text + " Differentiable in ``other`` only.", example, result),
    )
    public(function, inplace=True)
    return public(function, name=kernel, namespaces=("special",), method=False)


_IG = "(torch.tensor([2.0]), torch.tensor([1.0]))"
igamma = _incomplete(
    "igamma",
    "gammainc",
    1,
    "The regularised lower incomplete gamma function.",
    "torch.igamma" + _IG,
    "tensor([0.2642])",
)
igammac = _incomplete(
    "igammac",
    "gammaincc",
    -1,
    "The regularised upper incomplete gamma function.",
    "torch.igammac" + _IG,
    "tensor([0.7358])",
)
zeta = public(
    pointwise(
        "zeta",
        _zeta_kernel,
        (None, lambda o, y, s, q: -s * o.zeta(s + 1, q)),
        kind="float",
        singular=True,
        node_name="SpecialZetaBackward0",
        doc=doc(
            "The Hurwitz zeta function ζ(input, other). Differentiable in ``other`` only.",
            "torch.special.zeta(torch.tensor([2.0]), torch.tensor([1.0]))",
            "tensor([1.6449])",
        ),
    ),
    namespaces=("special",),
    method=False,
)

# ---- modified Bessel functions of order 0 and 1

i0 = _unary(
    "i0",
    special_kernel("i0"),
    lambda o, y, x: o.i1(x),
    "The modified Bessel function of order 0.",
    "torch.i0" + _X,
    "tensor([1.0635, 1.2661])",
    torch_name="i0",
)
i0e = _unary(
    "i0e",
    special_kernel("i0e"),
    lambda o, y, x: o.i1e(x) - o.sign(x) * y,
    "``exp(-|x|) * i0(x)``.",
    "torch.special.i0e" + _X,
    "tensor([0.6450, 0.4658])",
    node_name="SpecialI0EBackward0",
)
i1 = _unary(
    "i1",
    special_kernel("i1"),
    lambda o, y, x: o.where(x == 0, 0.5, o.i0(x) - y / x),
    "The modified Bessel function of order 1.",
    "torch.special.i1" + _X,
    "tensor([0.2579, 0.5652])",
    node_name="SpecialI1Backward0",
    singular=True,
)
i1e = _unary(
    "i1e",
    special_kernel("i1e"),
    lambda o, y, x: o.where(x == 0, 0.5, o.i0e(x) - y * (o.sign(x) + 1 / x)),
    "``exp(-|x|) * i1(x)``.",
    "torch.special.i1e" + _X,
    "tensor([0.1564, 0.2079])",
    node_name="SpecialI1EBackward0",
    singular=True,
)


def _plain(name, scipy_name, text, result, rule=None):
    return _unary(name, special_kernel(scipy_name), rule, text, f"torch.special.{name}" + _X, result)


# PyTorch has no derivative for the functions below; the rules for J, I and K follow DLMF 10.6 and 10.29.
bessel_j0 = _plain(
    "bessel_j0",
    "j0",
    "The Bessel function of the first kind, order 0.",
    "tensor([0.9385, 0.7652])",
    lambda o, y, x: -o.bessel_j1(x),
)
bessel_j1 = _plain(
    "bessel_j1",
    "j1",
    "The Bessel function of the first kind, order 1.",
    "tensor([0.2423, 0.4401])",
    lambda o, y, x: o.where(x == 0, 0.5, o.bessel_j0(x) - y / x),
)
bessel_y0 = _plain(
    "bessel_y0",
    "y0",
    "The Bessel function of the second kind, order 0.",
    "tensor([-0.4445,  0.0883])",
    lambda o, y, x: -o.bessel_y1(x),
)
bessel_y1 = _plain(
    "bessel_y1",
    "y1",
    "The Bessel function of the second kind, order 1.",
    "tensor([-1.4715, -0.7812])",
    lambda o, y, x: o.bessel_y0(x) - y / x,
)
modified_bessel_i0 = _plain(
    "modified_bessel_i0", "i0", "As ``i0``.", "tensor([1.0635, 1.2661])", lambda o, y, x: o.i1(x)
)
modified_bessel_i1 = _plain(
    "modified_bessel_i1",
    "i1",
    "As ``i1``.",
    "tensor([0.2579, 0.5652])",
    lambda o, y, x: o.where(x == 0, 0.5, o.i0(x) - y / x),
)
modified_bessel_k0 = _plain(
    "modified_bessel_k0",
    "k0",
    "The modified Bessel function of the second kind, order 0.",
    "tensor([0.9244, 0.4210])",
    lambda o, y, x: -o.modified_bessel_k1(x),
)
modified_bessel_k1 = _plain(
    "modified_bessel_k1",
    "k1",
    "The modified Bessel function of the second kind, order 1.",
    "tensor([1.6564, 0.6019])",
    lambda o, y, x: -o.modified_bessel_k0(x) - y / x,
)
scaled_modified_bessel_k0 = _plain(
    "scaled_modified_bessel_k0",
    "k0e",
    "``exp(x) * k0(x)``.",
    "tensor([1.5241, 1.1445])",
    lambda o, y, x: y - o.scaled_modified_bessel_k1(x),
)
scaled_modified_bessel_k1 = _plain(
    "scaled_modified_bessel_k1",
    "k1e",
    "``exp(x) * k1(x)``.",
    "tensor([2.7310, 1.6362])",
    lambda o, y, x: y - o.scaled_modified_bessel_k0(x) - y / x,
)
spherical_bessel_j0 = _unary(
    "spherical_bessel_j0",
    lambda x: np.sinc(x / math.pi).astype(x.dtype, copy=False),
    lambda o, y, x: o.where(x == 0, 0.0, (o.cos(x) - y) / x),
    "The spherical Bessel function of the first kind, order 0: sin(x) / x.",
    "torch.special.spherical_bessel_j0" + _X,
    "tensor([0.9589, 0.8415])",
    singular=True,
)


def special_kernel_of_tuple(name, i):
    """As ``special_kernel`` for a function with several results: the i-th."""

    def kernel(x):
        import scipy.special

        return getattr(scipy.special, name)(x)[i].astype(x.dtype, copy=False)

    return kernel


airy_ai_prime = pointwise(
    "airy_ai_prime", special_kernel_of_tuple("airy", 1), (lambda o, y, x: x * o.airy_ai(x),), kind="float"
)
airy_ai = _unary(
    "airy_ai",
    special_kernel_of_tuple("airy", 0),
    lambda o, y, x: o.airy_ai_prime(x),
    "The Airy function Ai.",
    "torch.special.airy_ai" + _X,
    "tensor([0.2317, 0.1353])",
)
