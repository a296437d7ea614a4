"""Activation functions: ``nn.functional`` names, and those that PyTorch also has as ``torch.name`` and as methods."""

import math

import numpy as np

from ..errors import DomainError, DTypeError, ShapeError
from ..primitive import pointwise, primitive, public, registry, single
from ..primitive.arguments import one_dim, tensor_argument
from .docs import doc
from .exponential import sigmoid_kernel
from .fast_erf import fast_erf
from .shape import reshape_p

FLOAT = {"take_bool": False, "take_int": False}
# np.maximum takes an array quicker than a number.
_ZERO = {np.dtype(t): np.zeros((), t) for t in (np.float32, np.float64)}


def finish(compute, input, inplace, name):
    """``compute(input)``, written back into ``input`` if ``inplace``."""
    return registry.in_place(tensor_argument(input, name), name + "_", compute) if inplace else compute(input)


def _like(y, x):
    """``y`` in the dtype of ``x``: bfloat16 times a Python number is float32."""
    return y if y.dtype == x.dtype else y.astype(x.dtype)


# ---- relu and its kin

# The mask reads y, which the next layer keeps anyway. y != 0 is y > 0 or NaN: a NaN passes its gradient on.
relu_p = pointwise(
    "relu",
    lambda x: np.maximum(x, _ZERO.get(x.dtype, 0)),
    (1,),
    take_bool=False,
    selecting=True,
    selects=(lambda o, y, x: y != 0,),
    doc=doc("The positive part, ``max(input, 0)``.", "torch.relu(torch.tensor([-1.0, 2.0]))", "tensor([0., 2.])"),
)
public(relu_p, inplace=True)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def relu(input, inplace=False):
    """The positive part, ``max(input, 0)``.

    >>> import chainrule as torch
    >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return finish(relu_p, input, True, "relu") if inplace else relu_p(input)


def _leaky_relu(x, slope):
    y = x * slope
    return _like(np.maximum(x, y) if 0 <= slope <= 1 else np.where(x > 0, x, y), x)


leaky_relu_p = single(
    pointwise(
        "leaky_relu",
        _leaky_relu,
        (lambda o, y, x, *, slope: o.choose(x > 0, x, yes=1.0, no=slope),),
        **FLOAT,
    )
)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def leaky_relu(input, negative_slope=0.01, inplace=False):
    """``input`` where positive, else ``negative_slope * input``.

    >>> import chainrule as torch
    >>> torch.nn.functional.leaky_relu(torch.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    return finish(lambda x: leaky_relu_p(x, slope=negative_slope), input, inplace, "leaky_relu")


prelu_p = pointwise(
    "prelu",
    lambda x, w: np.where(x > 0, x, x * w),
    (lambda o, y, x, w: o.where(x > 0, 1.0, w), lambda o, y, x, w: o.where(x > 0, 0.0, x)),
    node_name="PreluKernelBackward0",
    **FLOAT,
)


@public(namespaces=("torch", "nn.functional"))
def prelu(input, weight):
    """``input`` where positive, else ``weight * input``, with one weight or one per channel (dimension 1).

    Raises ShapeError if the number of weights is neither 1 nor that of the channels.

    >>> import chainrule as torch
    >>> torch.nn.functional.prelu(torch.tensor([-1.0, 2.0]), torch.tensor([0.25]))
    tensor([-0.2500,  2.0000])
    """
    tensor_argument(input, "prelu")
    shape, n = tensor_argument(weight, "prelu", "weight")._data.shape, input._data.ndim
    if len(shape) > 1:
        raise ShapeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {len(shape)}")
    if input._data.dtype != weight._data.dtype:
        raise DTypeError(
            f"prelu: Type promoting not supported. Got {input._data.dtype} and {weight._data.dtype}; convert one "
            "with .to(dtype)"
        )
    if weight._data.size != 1:
        channels = input._data.shape[1] if n > 1 else 1
        if shape[0] != channels:
            raise ShapeError(
                f"prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers = {shape[0]} "
                f"and channel size = {channels}."
            )
        if n > 2:
            weight = reshape_p(weight, shape=(channels,) + (1,) * (n - 2))
    elif len(shape) > n:
        weight = reshape_p(weight, shape=())
    return prelu_p(input, weight)


# ---- exponential linear units: scale * (x if x > 0 else alpha * (exp(x * input_scale) - 1))


def _elu(x, alpha, scale, input_scale):
    z = x if input_scale == 1.0 else x * input_scale
    return _like(np.where(x > 0, x if scale == 1.0 else x * scale, np.expm1(np.minimum(z, 0)) * (alpha * scale)), x)


elu_p = single(
    pointwise(
        "elu",
        _elu,
        (lambda o, y, x, *, alpha, scale, input_scale: o.where(x <= 0, (y + alpha * scale) * input_scale, scale),),
        node_name=lambda operands, params: "EluBackward0" if params["input_scale"] == 1.0 else "CeluBackward0",
        output_free=True,
        **FLOAT,
    )
)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def elu(input, alpha=1.0, inplace=False):
    """``input`` where positive, else ``alpha * (exp(input) - 1)``.

    >>> import chainrule as torch
    >>> torch.nn.functional.elu(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    return finish(lambda x: elu_p(x, alpha=float(alpha), scale=1.0, input_scale=1.0), input, inplace, "elu")


@public(namespaces=("torch", "nn.functional"), method=False, inplace=True)
def celu(input, alpha=1.0, inplace=False):
    """``input`` where positive, else ``alpha * (exp(input / alpha) - 1)``. Raises DomainError for ``alpha = 0``.

    >>> import chainrule as torch
    >>> torch.nn.functional.celu(torch.tensor([-1.0, 2.0]), 2.0)
    tensor([-0.7869,  2.0000])
    """
    if alpha == 0:
        raise DomainError("celu(): ZeroDivisionError: alpha cannot be 0 for CELU")
    return finish(lambda x: elu_p(x, alpha=float(alpha), scale=1.0, input_scale=1 / alpha), input, inplace, "celu")


# Klambauer et al., "Self-Normalizing Neural Networks" (2017), equation 14.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@public(namespaces=("torch", "nn.functional"), method=False, inplace=True)
def selu(input, inplace=False):
    """The self-normalising unit: ``elu`` with the alpha and the scale that keep mean 0 and variance 1.

    >>> import chainrule as torch
    >>> torch.nn.functional.selu(torch.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    return finish(lambda x: elu_p(x, alpha=_SELU_ALPHA, scale=_SELU_SCALE, input_scale=1.0), input, inplace, "selu")


# ---- smooth gates: x times something between 0 and 1

_ROOT_HALF = math.sqrt(0.5)
_ONE_OVER_ROOT_TWO_PI = 1 / math.sqrt(2 * math.pi)
_ROOT_TWO_OVER_PI = math.sqrt(2 / math.pi)
_CUBIC = 0.044715


def _gelu(x):
    return _like(x * 0.5 * (1 + fast_erf(x * _ROOT_HALF)), x)


def _gelu_partial(o, y, x):
    return (1 + o.fast_erf(x * _ROOT_HALF)) * 0.5 + x * (o.exp(x * x * -0.5) * _ONE_OVER_ROOT_TWO_PI)


def _gelu_tanh(x):
    return _like(x * 0.5 * (1 + np.tanh((x + x * x * x * _CUBIC) * _ROOT_TWO_OVER_PI)), x)


def _gelu_tanh_partial(o, y, x):
    square = x * x
    t = o.tanh((x + square * x * _CUBIC) * _ROOT_TWO_OVER_PI)
    return (1 + t + x * (1 - t * t) * (1 + square * (3 * _CUBIC)) * _ROOT_TWO_OVER_PI) * 0.5


gelu_p = pointwise("gelu", _gelu, (_gelu_partial,), **FLOAT)
gelu_tanh_p = pointwise("gelu_tanh", _gelu_tanh, (_gelu_tanh_partial,), node_name="GeluBackward0", **FLOAT)


@public(namespaces=("nn.functional",), method=False)
def gelu(input, *, approximate="none"):
    """``input`` times the normal distribution's cumulative probability of it; with ``approximate="tanh"`` an
    approximation of that.

    Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016).  Raises DomainError for another ``approximate``.

    >>> import chainrule as torch
    >>> torch.nn.functional.gelu(torch.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    if approximate == "none":
        return gelu_p(input)
    if approximate == "tanh":
        return gelu_tanh_p(input)
    raise DomainError(f"gelu(): approximate argument must be either none or tanh, got {approximate!r}")


def _silu_partial(o, y, x):
    s = o.sigmoid(x)
    return s * (1 + x * (1 - s))


silu_p = pointwise("silu", lambda x: x * sigmoid_kernel(x), (_silu_partial,), **FLOAT)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def silu(input, inplace=False):
    """``input * sigmoid(input)``, also called swish.

    >>> import chainrule as torch
    >>> torch.nn.functional.silu(torch.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    return finish(silu_p, input, True, "silu") if inplace else silu_p(input)


def _log1p_exp(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


def _mish_partial(o, y, x):
    t = o.tanh(o.softplus(x, beta=1.0, threshold=20.0))
    return t + x * (1 - t * t) * o.sigmoid(x)


mish_p = pointwise("mish", lambda x: x * np.tanh(_log1p_exp(x)), (_mish_partial,), **FLOAT)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def mish(input, inplace=False):
    """``input * tanh(softplus(input))``.

    >>> import chainrule as torch
    >>> torch.nn.functional.mish(torch.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """
    return finish(mish_p, input, True, "mish") if inplace else mish_p(input)


def _softplus(x, beta, threshold):
    z = x * beta
    return _like(np.where(z > threshold, x, _log1p_exp(z) / beta), x)


softplus_p = single(
    pointwise(
        "softplus",
        _softplus,
        (lambda o, y, x, *, beta, threshold: o.where(x * beta > threshold, 1.0, o.sigmoid(x * beta)),),
        **FLOAT,
    )
)


@public(namespaces=("nn.functional",), method=False)
def softplus(input, beta=1.0, threshold=20.0):
    """``log(1 + exp(beta * input)) / beta``, a smooth ``relu``; the identity where ``beta * input > threshold``.

    >>> import chainrule as torch
    >>> torch.nn.functional.softplus(torch.tensor([-1.0, 2.0]))
    tensor([0.3133, 2.1269])
    """
    return softplus_p(input, beta=float(beta), threshold=float(threshold))


logsigmoid = public(
    pointwise(
        "logsigmoid",
        lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
        (lambda o, y, x: o.sigmoid(-x),),
        node_name="LogSigmoidBackward0",
        **FLOAT,
        doc=doc(
            "``log(sigmoid(input))`` without underflow.",
            "torch.nn.functional.logsigmoid(torch.tensor([-1.0, 2.0]))",
            "tensor([-1.3133, -0.1269])",
        ),
    ),
    namespaces=("nn.functional",),
    method=False,
)


def _glu(x, dim):
    value, gate = np.split(x, 2, axis=dim)
    return value * sigmoid_kernel(gate)


def _glu_vjp(o, g, s, y, x, *, dim):
    n = s[0][dim] // 2
    gate = o.sigmoid(o.segment(x, dim=dim, start=n, length=n))
    gv = g * gate
    gg = gv * (1 - gate) * o.segment(x, dim=dim, start=0, length=n)
    return o.embed(gv, dim=dim, start=0, size=2 * n) + o.embed(gg, dim=dim, start=n, size=2 * n)


glu_p = single(primitive("glu", _glu, (_glu_vjp,), front=True))


@public(namespaces=("nn.functional",), method=False)
def glu(input, dim=-1):
    """The first half along ``dim`` times the sigmoid of the second half. Raises ShapeError if there are no equal
    halves.

    >>> import chainrule as torch
    >>> torch.nn.functional.glu(torch.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """
    n = tensor_argument(input, "glu")._data.ndim
    if n == 0:
        raise ShapeError("glu does not support scalars because halving size must be even")
    d = one_dim(dim, n, "glu")
    if input._data.shape[d] % 2:
        raise ShapeError(f"glu(): Halving dimension must be even, but dimension {d + n} is size {input._data.shape[d]}")
    return glu_p(input, dim=d)
