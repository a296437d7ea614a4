"""Dropout and other operators that draw random numbers in training. The mask is an input of a selecting operator, so
what is dropped gets no gradient and what is kept is scaled."""

import math
import warnings

import numpy as np

from ..errors import ArgumentValueError, DomainError, DTypeError, ShapeError
from ..handle import wrap
from ..primitive import linear, public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.select import select
from .activation import finish, leaky_relu_p
from .arithmetic import add_p, div_p, mul_p, neg, sub_p
from .exponential import log
from .extremes import argmax_p, unpick_p
from .random import drawn, source
from .softmax import softmax_p


def _dropout(mask, x, scale):
    y = select(mask, x, 0)
    return y if scale == 1.0 else y * x.dtype.type(scale)


dropout_p = linear(
    "dropout",
    _dropout,
    lambda o, g, s, mask, *, scale: o.dropout(mask, g, scale=scale),
    linear_in=(1,),
    selecting=True,
    node_name="MulBackward0",
)


def _checked(p):
    if not 0.0 <= p <= 1.0:
        raise ArgumentValueError(f"dropout probability has to be between 0 and 1, but got {p}")
    return p


def _draw(shape, p):
    """True with probability 1 - p, as a tensor."""
    return wrap(drawn(source(None).random(shape, dtype=np.float32) >= p))


def _drop(x, p, shape):
    """Drop with probability ``p``, with one decision per element of ``shape`` (which broadcasts to x's)."""
    if x._data.dtype.kind not in "fV":
        raise DTypeError(f"dropout(): expected a floating point tensor, got {x._data.dtype}; convert with .float()")
    mask = _draw(shape, p)
    if shape != x._data.shape:
        mask = wrap(np.broadcast_to(mask._data, x._data.shape))
    return dropout_p(mask, x, scale=1.0 if p == 1 else 1 / (1 - p))


def _plain(x, p, training):
    return _drop(x, p, x._data.shape) if training and p > 0 and x._data.size else x


@public(namespaces=("nn.functional",), method=False)
def dropout(input, p=0.5, training=True, inplace=False):
    """In training, each element is 0 with probability ``p`` and the others are scaled by ``1 / (1 - p)``.

    Raises ArgumentValueError for ``p`` outside [0, 1].

    >>> import chainrule as torch
    >>> torch.nn.functional.dropout(torch.ones(3), 0.5, training=False)
    tensor([1., 1., 1.])
    """
    _checked(p)
    tensor_argument(input, "dropout")
    if inplace:
        return finish(lambda x: _plain(x, p, training), input, True, "dropout")
    return _plain(input, p, training)


@public(name="dropout", method=False, inplace=True)
def torch_dropout(input, p, train):
    """As ``nn.functional.dropout``, with ``p`` and ``train`` required.

    >>> import chainrule as torch
    >>> torch.dropout(torch.ones(3), 1.0, True)
    tensor([0., 0., 0.])
    """
    return dropout(input, p, train)


@public(method=False)
def native_dropout(input, p, train):
    """``dropout`` and the mask of what was kept.

    >>> import chainrule as torch
    >>> torch.native_dropout(torch.ones(2), 1.0, True)[1]
    tensor([False, False])
    """
    _checked(p)
    if not train or p == 0:
        return mul_p(input, 1.0), wrap(np.ones(tensor_argument(input, "native_dropout")._data.shape, bool))
    mask = _draw(tensor_argument(input, "native_dropout")._data.shape, p)
    return dropout_p(mask, input, scale=1.0 if p == 1 else 1 / (1 - p)), mask


def _channels(x):
    shape = x._data.shape
    if len(shape) < 2:
        raise ShapeError(f"Feature dropout requires at least 2 dimensions in the input, got shape {list(shape)}")
    return shape[:2] + (1,) * (len(shape) - 2)


def _feature(x, p, training):
    return _drop(x, p, _channels(x)) if training and p > 0 and x._data.size else x


@public(method=False, inplace=True)
def feature_dropout(input, p, train):
    """Drop whole channels: one decision per entry of the first two dimensions. Raises ShapeError for less than two
    dimensions.

    >>> import chainrule as torch
    >>> torch.feature_dropout(torch.ones(1, 2), 1.0, True)
    tensor([[0., 0.]])
    """
    _checked(p)
    return _feature(tensor_argument(input, "feature_dropout"), p, train)


def _spatial(name, spatial, strict):
    """``dropoutNd``: whole channels of an input with ``spatial`` further dimensions, with or without a batch
    dimension."""

    def function(input, p=0.5, training=True, inplace=False):
        _checked(p)
        n = tensor_argument(input, name)._data.ndim
        if n not in (spatial + 1, spatial + 2):
            text = (
                f"{name}: Expected {spatial + 1}D or {spatial + 2}D input, but received a {n}D input. Note that "
                f"{name} exists to provide "
                f"channel-wise dropout on inputs with {spatial} spatial dimension(s), a channel dimension, and an "
                "optional batch dimension."
            )
            if strict:
                raise ShapeError(text)
            warnings.warn(text + " PyTorch deprecates this; use dropout instead.", stacklevel=2)
        if spatial == 2 and n == 3:
            warnings.warn(
                "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is "
                "desired - input is "
                "interpreted as shape (N, C, L), where C is the channel dim. Use dropout1d for this.",
                stacklevel=2,
            )

        def compute(x):
            if not training or p == 0 or not x._data.size:
                return x
            shape = x._data.shape
            if n == spatial + 1 and spatial != 2:  # no batch dimension
                return _drop(x, p, shape[:1] + (1,) * (n - 1))
            return _drop(x, p, _channels(x))

        return finish(compute, input, inplace, name)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = (
        "In training, whole channels are 0 with probability ``p`` and the others scaled by ``1 / (1 - p)``: for "
        f"inputs with {spatial} "
        "spatial dimension(s).\n\nRaises ArgumentValueError for ``p`` outside [0, 1].\n\n>>> import chainrule as "
        "torch\n"
        f">>> torch.nn.functional.{name}(torch.ones(1, 1{', 1' * spatial}), 1.0).item()\n0.0\n"
    )
    return public(function, namespaces=("nn.functional",), method=False)


dropout1d = _spatial("dropout1d", 1, True)
dropout2d = _spatial("dropout2d", 2, False)
dropout3d = _spatial("dropout3d", 3, False)

# ---- keeping mean and variance: what is dropped becomes the value that selu saturates at

_SATURATED = -1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


def _alpha(x, p, shape):
    if p == 1:
        return dropout_p(wrap(np.zeros(x._data.shape, bool)), x, scale=1.0)
    mask = np.broadcast_to(_draw(shape, p)._data, x._data.shape)
    scale = 1 / math.sqrt((_SATURATED**2 * p + 1) * (1 - p))
    shift = np.where(
        mask, x._data.dtype.type(-_SATURATED * p * scale), x._data.dtype.type(_SATURATED * (1 - p) * scale)
    )
    return add_p(dropout_p(wrap(mask), x, scale=scale), wrap(shift))


@public(namespaces=("nn.functional",), method=False)
def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean 0 and variance 1 (for ``selu``): dropped elements get selu's limit, then all are scaled
    and shifted.

    >>> import chainrule as torch
    >>> torch.nn.functional.alpha_dropout(torch.ones(3), 0.5)
    tensor([1., 1., 1.])
    """
    _checked(p)
    tensor_argument(input, "alpha_dropout")
    active = training and p > 0 and input._data.size
    return finish(lambda x: _alpha(x, p, x._data.shape) if active else x, input, inplace, "alpha_dropout")


@public(namespaces=("nn.functional",), method=False)
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """``alpha_dropout`` with one decision per channel.

    >>> import chainrule as torch
    >>> torch.nn.functional.feature_alpha_dropout(torch.ones(1, 2), 0.5)
    tensor([[1., 1.]])
    """
    _checked(p)
    tensor_argument(input, "feature_alpha_dropout")
    active = training and p > 0 and input._data.size
    return finish(lambda x: _alpha(x, p, _channels(x)) if active else x, input, inplace, "feature_alpha_dropout")


@public(name="alpha_dropout", method=False, inplace=True)
def torch_alpha_dropout(input, p, train):
    """As ``nn.functional.alpha_dropout``, with ``p`` and ``train`` required.

    >>> import chainrule as torch
    >>> torch.alpha_dropout(torch.ones(2), 0.5, False)
    tensor([1., 1.])
    """
    return alpha_dropout(input, p, train)


@public(name="feature_alpha_dropout", method=False, inplace=True)
def torch_feature_alpha_dropout(input, p, train):
    """As ``nn.functional.feature_alpha_dropout``, with ``p`` and ``train`` required.

    >>> import chainrule as torch
    >>> torch.feature_alpha_dropout(torch.ones(1, 2), 0.5, False)
    tensor([[1., 1.]])
    """
    return feature_alpha_dropout(input, p, train)


# ---- random slopes and samples


@public(namespaces=("torch", "nn.functional"), method=False, inplace=True)
def rrelu(input, lower=1.0 / 8, upper=1.0 / 3, training=False, inplace=False):
    """``leaky_relu`` with a slope drawn from [lower, upper] per element in training, and with their mean otherwise.

    Raises DomainError if ``lower > upper``.

    >>> import chainrule as torch
    >>> torch.nn.functional.rrelu(torch.tensor([-1.0, 2.0]), 0.1, 0.3)
    tensor([-0.2000,  2.0000])
    """
    if lower > upper:
        raise DomainError(
            f"rrelu(): Lower bound should be less than or equal to the upper bound, got {lower} and {upper}"
        )

    def compute(x):
        if not training:
            return leaky_relu_p(x, slope=(lower + upper) / 2)
        a = x._data
        slope = drawn(source(None).uniform(lower, upper, a.shape)).astype(a.dtype)
        return mul_p(x, wrap(np.where(a > 0, a.dtype.type(1), slope)))

    return finish(compute, tensor_argument(input, "rrelu"), inplace, "rrelu")


@public(namespaces=("nn.functional",), method=False)
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """A sample from the Gumbel-softmax distribution: ``softmax((logits + gumbel noise) / tau)``.

    hard: a one-hot sample, whose gradient is that of the soft one.  Jang et al., "Categorical Reparameterization with
    Gumbel-Softmax" (2017).

    >>> import chainrule as torch
    >>> torch.nn.functional.gumbel_softmax(torch.tensor([0.0, 0.0]), hard=True).sum()
    tensor(1.)
    """
    a = tensor_argument(logits, "gumbel_softmax")._data
    noise = wrap(drawn(source(None).standard_exponential(a.shape)).astype(a.dtype))
    d = one_dim(dim, a.ndim, "gumbel_softmax")
    soft = softmax_p(div_p(add_p(logits, neg(log(noise))), tau), dim=d)
    if not hard:
        return soft
    index = argmax_p(soft, dim=d, keepdim=True)
    one_hot = unpick_p(
        wrap(np.ones(index._data.shape, a.dtype)), index, dim=d, keepdim=True, operator="one_hot", size=a.shape[d]
    )
    return add_p(sub_p(one_hot, wrap(soft._data)), soft)
