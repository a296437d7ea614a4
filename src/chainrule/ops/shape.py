"""Shape operators: the linear maps that move or repeat elements without computing anything."""

import math

import numpy as np

from ..errors import ShapeError
from ..primitive.arguments import many_dims, one_dim, size_tuple, tensor_argument
from ..primitive import linear, public, recorded

# ---- primitives


def _sum_to(x, shape):
    """Sum ``x`` down to ``shape``, which broadcasts to x's."""
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple(lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1)
    if axes:
        x = np.add.reduce(x, axis=axes, keepdims=True)
    return x.reshape(shape)


sum_to = linear("sum_to", _sum_to, lambda o, g, s, *, shape: o.expand(g, shape=s[0]))

expand_p = linear(
    "expand", lambda x, shape: np.broadcast_to(x, shape), lambda o, g, s, *, shape: o.sum_to(g, shape=s[0]), view=True
)


def _reshape(x, shape):
    return x.reshape(shape)


reshape_p = linear("reshape", _reshape, lambda o, g, s, *, shape: o.reshape(g, shape=s[0]), node_name="ViewBackward0")
view_p = linear("view", _reshape, lambda o, g, s, *, shape: o.reshape(g, shape=s[0]), view=True)

permute_p = linear(
    "permute",
    lambda x, dims: x.transpose([d % x.ndim for d in dims]),
    lambda o, g, s, *, dims: o.permute(g, dims=inverse_permutation(dims)),
    view=True,
)


def inverse_permutation(dims):
    n = len(dims)
    back = [0] * n
    for i, d in enumerate(dims):
        back[d % n] = i - n
    return tuple(back)
