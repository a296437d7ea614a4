"""Sums and means."""

import math

import numpy as np

from .. import dtypes
from ..dtypes import as_dtype, from_numpy_dtype
from ..primitive import kept_shape, linear, public
from ..primitive.arguments import many_dims, tensor_argument
from .cast import to_dtype


def _spread(o, g, shape, dim):
    """A reduced gradient back at the input's shape."""
    kept = kept_shape(shape, dim)
    return o.expand(g if g.shape == kept else o.reshape(g, shape=kept), shape=shape)


sum_p = linear(
    "sum", lambda x, dim, keepdim: np.add.reduce(x, axis=dim, keepdims=keepdim),
    lambda o, g, s, *, dim, keepdim: _spread(o, g, s[0], dim), front=True,
    node_name=lambda arrays, params: "SumBackward0" if len(params["dim"]) == arrays[0].ndim and not params["keepdim"] else "SumBackward1",
)


@public
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum over the dimensions ``dim`` (all if None). Bools and integers are summed in int64.

    >>> import chainrule as torch
    >>> torch.sum(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    tensor_argument(input, "sum")
    source = from_numpy_dtype(input._data.dtype)
    target = as_dtype(dtype) if dtype is not None else source if source.is_floating_point else dtypes.int64
    if target is not source:
        input = to_dtype(input, target)
    return sum_p(input, dim=many_dims(dim, input._data.ndim, "sum"), keepdim=keepdim)


mean_p = linear(
    "mean", lambda x, dim, keepdim: np.true_divide(np.add.reduce(x, axis=dim, keepdims=keepdim), count(x.shape, dim), dtype=x.dtype),
    lambda o, g, s, *, dim, keepdim: _spread(o, g * (1 / (count(s[0], dim) or math.nan)), s[0], dim), front=True,
    node_name=lambda arrays, params: "MeanBackward0" if len(params["dim"]) == arrays[0].ndim and not params["keepdim"] else "MeanBackward1",
)


def count(shape, dim):
    """How many elements are reduced into one."""
    return math.prod([shape[d] for d in dim])
