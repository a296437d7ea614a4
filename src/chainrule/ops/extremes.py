"""The largest and smallest elements, and where they are.

``amax`` and ``amin`` (and ``max``, ``min`` without a dimension) share the gradient evenly among ties; ``max`` and
``min`` along a dimension give it to the element whose index they return.
"""

import functools
import math

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, DTypeError, ShapeError
from ..handle import Tensor
from ..primitive import kept_shape, linear, primitive, public, reduction, single
from ..primitive.arguments import many_dims, one_dim, tensor_argument
from ..primitive.base import camel
from .results import make_result
from .selection import maximum, minimum
from .shape import reshape_p

_NO_DIM = (
    "{}(): Expected reduction dim to be specified for input.numel() == 0. "
    "Specify the reduction dim with the 'dim' argument."
)

# ---- all ties share


def even_share(o, y, x, *, dim):
    """The derivative of an extreme: 1 over the number of ties at each of them."""
    hit = o.choose(x == y, x, yes=1.0, no=0.0)
    return hit / o.sum(hit, dim=dim, keepdim=True)


def _extreme(name, ufunc, node_name=None):
    return single(
        reduction(
            name,
            lambda x, dim, keepdim: ufunc.reduce(x, axis=dim, keepdims=keepdim),
            even_share,
            selecting=True,
            front=True,
            node_name=node_name,
        )
    )


amax_p = _extreme("amax", np.maximum)
amin_p = _extreme("amin", np.minimum)
max_all_p = _extreme("max_all", np.maximum, "MaxBackward1")
min_all_p = _extreme("min_all", np.minimum, "MinBackward1")


def check_not_empty(x, dim, operator):
    """An error if there is nothing to choose from."""
    shape = tensor_argument(x, operator)._data.shape
    for d in dim:
        if shape[d] == 0:
            raise ShapeError(
                f"{operator}(): Expected reduction dim {d + len(shape)} to have non-zero size, got shape "
                f"{list(shape)}; specify another dim"
            )


def _over_dims(prim, input, operator, dim, keepdim):
    dims = many_dims(dim, tensor_argument(input, operator)._data.ndim, operator)
    if 0 in input._data.shape:
        check_not_empty(input, dims, operator)
    return prim(input, dim=dims, keepdim=keepdim)


@public
def amax(input, dim=(), keepdim=False):
    """The largest element over the dimensions ``dim`` (an int or a tuple; empty: all). Ties share the gradient evenly.

    Raises ShapeError if a reduced dimension is empty.

    >>> import chainrule as torch
    >>> torch.amax(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1)
    tensor([4., 3.])
    """
    return _over_dims(amax_p, input, "amax", dim, keepdim)


@public
def amin(input, dim=(), keepdim=False):
    """The smallest element over the dimensions ``dim`` (an int or a tuple; empty: all). Ties share the gradient evenly.

    Raises ShapeError if a reduced dimension is empty.

    >>> import chainrule as torch
    >>> torch.amin(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1)
    tensor([1., 2.])
    """
    return _over_dims(amin_p, input, "amin", dim, keepdim)


_aminmax_result = make_result("aminmax", "min", "max")


@public
def aminmax(input, *, dim=None, keepdim=False):
    """The smallest and the largest element over ``dim`` (an int, or None for all): a named tuple ``(min, max)``.

    >>> import chainrule as torch
    >>> torch.aminmax(torch.tensor([1.0, 4.0, 3.0])).max
    tensor(4.)
    """
    return _aminmax_result(
        _over_dims(amin_p, input, "aminmax", dim, keepdim), _over_dims(amax_p, input, "aminmax", dim, keepdim)
    )


# ---- one element per row, by index


@functools.lru_cache(maxsize=256)
def _grid(shape, axis):
    """Indexes of every element's row, for all dimensions but ``axis``; each broadcasts to ``shape``."""
    n = len(shape)
    return [np.arange(size).reshape((-1,) + (1,) * (n - i - 1)) for i, size in enumerate(shape) if i != axis]


def _places(shape, index, dim, keepdim):
    """A NumPy index that addresses, in an array of ``shape``, the elements ``index`` along ``dim``."""
    if not keepdim:
        index = index.reshape(kept_shape(shape, (dim,)))
    axis = len(shape) + dim
    grid = _grid(shape, axis)
    return (*grid[:axis], index, *grid[axis:])


@functools.lru_cache(maxsize=256)
def _row_starts(shape):
    """Where each row (along the last dimension) of an array of ``shape`` starts in its memory."""
    return np.arange(0, math.prod(shape), shape[-1]).reshape(shape[:-1])


def _pick(x, index, dim, keepdim, operator):
    if dim == -1 and not keepdim:  # the usual case, spelled out
        return x.take(index + _row_starts(x.shape))
    y = x[_places(x.shape, index, dim, keepdim)]
    return y if keepdim else y.reshape(y.shape[: y.ndim + dim] + y.shape[y.ndim + dim + 1 :])


def _unpick(g, index, dim, keepdim, operator, size):
    if dim == -1 and not keepdim:
        y = np.zeros((*g.shape, size), g.dtype)
        y.put(index + _row_starts(y.shape), g)
        return y
    if not keepdim:
        at = g.ndim + 1 + dim
        g = g.reshape(g.shape[:at] + (1,) + g.shape[at:])
    shape = list(g.shape)
    shape[dim] = size
    y = np.zeros(shape, g.dtype)
    places = _places(tuple(shape), index, dim, keepdim)
    if g.shape[dim] == 1:
        y[places] = g
    else:
        np.add.at(y, places, g)
    return y


def _node_name(arrays, params):
    operator = params["operator"]
    return camel(operator) + ("Backward1" if operator in ("median", "nanmedian") else "Backward0")


# Values at an index per row; `operator` only names the node. With keepdim, `index` may have any size along dim.
pick_p = linear(
    "pick",
    _pick,
    lambda o, g, s, index, *, dim, keepdim, operator: o.unpick(
        g, index, dim=dim, keepdim=keepdim, operator=operator, size=s[0][dim]
    ),
    selecting=True,
    front=True,
    node_name=_node_name,
)
unpick_p = linear(
    "unpick",
    _unpick,
    lambda o, g, s, index, *, dim, keepdim, operator, size: o.pick(
        g, index, dim=dim, keepdim=keepdim, operator=operator
    ),
    front=True,
    node_name=_node_name,
)

argmax_p = primitive("argmax", lambda x, dim, keepdim: x.argmax(axis=dim, keepdims=keepdim), front=True)
argmin_p = primitive("argmin", lambda x, dim, keepdim: x.argmin(axis=dim, keepdims=keepdim), front=True)


def along(input, dim, keepdim, operator, index_p, result, **params):
    """``result(values, indices)`` along ``dim``, the indices found by ``index_p``."""
    n = tensor_argument(input, operator)._data.ndim
    d = one_dim(dim, n, operator)
    if n == 0:
        zero = index_p(reshape_p(input, shape=(1,)), dim=-1, keepdim=False, **params)
        return result(pick_p(reshape_p(input, shape=(1,)), zero, dim=-1, keepdim=False, operator=operator), zero)
    if input._data.shape[d] == 0:
        check_not_empty(input, (d,), operator)
    indices = index_p(input, dim=d, keepdim=keepdim, **params)
    return result(pick_p(input, indices, dim=d, keepdim=keepdim, operator=operator), indices)


_max_result = make_result("max", "values", "indices")
_min_result = make_result("min", "values", "indices")


def _max_or_min(operator, input, dim, keepdim, other, of_two, all_p, index_p, result):
    if dim is None and other is None:
        n = tensor_argument(input, operator)._data.ndim
        if input._data.size == 0:
            raise ShapeError(_NO_DIM.format(operator))
        return all_p(input, dim=tuple(range(-n, 0)), keepdim=False)
    if other is None and isinstance(dim, Tensor):
        if dim._data.ndim or dim._data.dtype.kind == "f" or input._data.ndim == 0:
            other = dim
    if other is not None:
        return of_two(input, other)
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise ArgumentError(f"{operator}(): argument 'dim' must be int or Tensor, not {type(dim).__name__}")
    return along(input, dim, keepdim, operator, index_p, result)


@public
def max(input, dim=None, keepdim=False, *, other=None):
    """The largest element. ``max(x)``: of all. ``max(x, dim)``: along a dimension, a named tuple ``(values, indices)``.
    ``max(x, other)``: of two tensors, element by element.

    Raises ShapeError for an empty tensor.

    >>> import chainrule as torch
    >>> torch.max(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), 1).indices
    tensor([1, 0])
    """
    return _max_or_min("max", input, dim, keepdim, other, maximum, max_all_p, argmax_p, _max_result)


@public
def min(input, dim=None, keepdim=False, *, other=None):
    """The smallest element. ``min(x)``: of all. ``min(x, dim)``: along a dimension, a named tuple ``(values,
    indices)``.
    ``min(x, other)``: of two tensors, element by element.

    Raises ShapeError for an empty tensor.

    >>> import chainrule as torch
    >>> torch.min(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), 1).indices
    tensor([0, 1])
    """
    return _max_or_min("min", input, dim, keepdim, other, minimum, min_all_p, argmin_p, _min_result)


def _position(operator, prim, input, dim, keepdim):
    shape = tensor_argument(input, operator)._data.shape
    if input._data.dtype.kind == "b":
        raise DTypeError(f"{operator}(): not implemented for {dtypes.bool}; convert with .to(torch.uint8)")
    if dim is None:
        if input._data.size == 0:
            raise ShapeError(_NO_DIM.format(operator))
        flat = prim(reshape_p(input, shape=(-1,)), dim=-1, keepdim=False)
        return reshape_p(flat, shape=(1,) * len(shape)) if keepdim else flat
    d = one_dim(dim, len(shape), operator)
    if not shape:
        return prim(reshape_p(input, shape=(1,)), dim=-1, keepdim=False)
    check_not_empty(input, (d,), operator)
    return prim(input, dim=d, keepdim=keepdim)


@public
def argmax(input, dim=None, keepdim=False):
    """The index of the largest element along ``dim`` (None: in the flattened tensor), the first of several; int64.

    Raises ShapeError for an empty tensor, DTypeError for bool.

    >>> import chainrule as torch
    >>> torch.argmax(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1)
    tensor([1, 0])
    """
    return _position("argmax", argmax_p, input, dim, keepdim)


@public
def argmin(input, dim=None, keepdim=False):
    """The index of the smallest element along ``dim`` (None: in the flattened tensor), the first of several; int64.

    Raises ShapeError for an empty tensor, DTypeError for bool.

    >>> import chainrule as torch
    >>> torch.argmin(torch.tensor([[1.0, 4.0], [3.0, 2.0]]), dim=1)
    tensor([0, 1])
    """
    return _position("argmin", argmin_p, input, dim, keepdim)
