"""Reductions: sums, means, products, variances, and whether all or any elements are true."""

import builtins
import math

import numpy as np

from .. import dtypes
from ..config import defaults
from ..dtypes import as_dtype, from_numpy_dtype
from ..errors import ArgumentError, DTypeError
from ..handle import Tensor
from ..primitive import kept_shape, linear, primitive, public, reduction, single
from ..primitive.arguments import many_dims, one_dim, tensor_argument
from .arithmetic import div_p
from .cast import to_dtype
from .comparison import isnan, logical_not
from .selection import where_p
from .shape import reshape_p

ndarray = np.ndarray


def _spread(o, g, shape, dim):
    """A reduced gradient back at the input's shape."""
    kept = kept_shape(shape, dim)
    return o.expand(g if g.shape == kept else o.reshape(g, shape=kept), shape=shape)


def count(shape, dim):
    """How many elements are reduced into one."""
    n = 1
    for d in dim:
        n *= shape[d]
    return n


def _numbered(name):
    """PyTorch's node names: 0 for a full reduction, 1 for one over given dimensions."""
    full, some = f"{name}Backward0", f"{name}Backward1"
    return lambda arrays, params: full if len(params["dim"]) == arrays[0].ndim and not params["keepdim"] else some


def _sum(x, dim, keepdim):
    if x.dtype.itemsize == 2:  # 16-bit sums need a wider accumulator
        return np.add.reduce(x, axis=dim, keepdims=keepdim, dtype=np.float32).astype(x.dtype)
    return np.add.reduce(x, dim, x.dtype, None, keepdim)


def _mean(x, dim, keepdim):
    if x.dtype.itemsize == 2:  # the sum may be too large for 16 bits where the mean is not
        return _mean(x.astype(np.float32), dim, keepdim).astype(x.dtype)
    # A NumPy scalar of the dtype is quicker than a Python number.
    return _sum(x, dim, keepdim) / x.dtype.type(count(x.shape, dim))


sum_p = single(
    linear(
        "sum", _sum, lambda o, g, s, *, dim, keepdim: _spread(o, g, s[0], dim), front=True, node_name=_numbered("Sum")
    )
)
mean_p = single(
    linear(
        "mean",
        _mean,
        lambda o, g, s, *, dim, keepdim: _spread(o, g * (1 / (count(s[0], dim) or math.nan)), s[0], dim),
        front=True,
        node_name=_numbered("Mean"),
    )
)


def _sum_input(input, operator, dtype):
    """The input of a sum: bools and integers are summed in int64."""
    tensor_argument(input, operator)
    source = from_numpy_dtype(input._data.dtype)
    target = as_dtype(dtype) if dtype is not None else source if source.is_floating_point else dtypes.int64
    return input if target is source else to_dtype(input, target)


def _float_input(input, operator, dtype):
    tensor_argument(input, operator)
    if dtype is not None:
        input = to_dtype(input, as_dtype(dtype))
    if input._data.dtype.kind not in "fV":
        raise DTypeError(
            f"{operator}(): could not infer output dtype. Input dtype must be floating point. Got: "
            f"{from_numpy_dtype(input._data.dtype)}; "
            "convert with .float(), or pass dtype="
        )
    return input


@public
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum over the dimensions ``dim`` (an int, a tuple, or None for all). Bools and integers are summed in int64.

    Raises IndexRangeError for a dimension that does not exist.

    >>> import chainrule as torch
    >>> torch.sum(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([4., 6.])
    """
    if dtype is not None or not isinstance(input, Tensor) or input._data.dtype.kind != "f":
        input = _sum_input(input, "sum", dtype)
    return sum_p(input, dim=many_dims(dim, input._data.ndim, "sum"), keepdim=keepdim)


@public
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean over the dimensions ``dim`` (an int, a tuple, or None for all); NaN if there are no elements.

    Raises DTypeError for integers and bools unless a floating point ``dtype`` is given.

    >>> import chainrule as torch
    >>> torch.mean(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), dim=0)
    tensor([2., 3.])
    """
    if dtype is not None or not isinstance(input, Tensor) or input._data.dtype.kind != "f":
        input = _float_input(input, "mean", dtype)
    return mean_p(input, dim=many_dims(dim, input._data.ndim, "mean"), keepdim=keepdim)


@public
def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum with NaN counted as 0.

    >>> import chainrule as torch
    >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    tensor_argument(input, "nansum")
    if input._data.dtype.kind in "fV":
        input = where_p(isnan(input), 0.0, input)
    return sum(input, dim, keepdim, dtype=dtype)


@public
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of the elements that are not NaN.

    Raises DTypeError for integers and bools.

    >>> import chainrule as torch
    >>> torch.nanmean(torch.tensor([1.0, float("nan"), 3.0]))
    tensor(2.)
    """
    input = _float_input(input, "nanmean", None)
    present = logical_not(isnan(input))
    return div_p(nansum(input, dim, keepdim, dtype=dtype), sum(present, dim, keepdim))


# ---- products


def _prod_partial(o, y, x, *, dim):
    """The product of the other elements: a division, unless there is a zero or the result is to be differentiated
    again.
    """
    if type(x) is ndarray and x.all():
        return y / x
    (d,) = dim
    return o.exclusive_cumprod(x, dim=d, reverse=False) * o.exclusive_cumprod(x, dim=d, reverse=True)


prod_p = single(
    reduction(
        "prod",
        lambda x, dim, keepdim: np.multiply.reduce(x, dim, x.dtype, None, keepdim),
        _prod_partial,
        front=True,
        node_name="ProdBackward1",
    )
)
prod_all_p = single(
    reduction(
        "prod_all",
        lambda x, dim, keepdim: np.multiply.reduce(x, dim, x.dtype, None, keepdim),
        _prod_partial,
        front=True,
        node_name="ProdBackward0",
    )
)


@public
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """The product over the dimension ``dim`` (an int, or None for all). Bools and integers are multiplied in int64.

    The derivative is right where elements are zero, at any order.

    >>> import chainrule as torch
    >>> torch.prod(torch.tensor([2.0, 3.0, 4.0]))
    tensor(24.)
    """
    input = _sum_input(input, "prod", dtype)
    n = input._data.ndim
    if dim is None:
        return prod_all_p(input if n == 1 else reshape_p(input, shape=(-1,)), dim=(-1,), keepdim=False)
    d = one_dim(dim, n, "prod")
    return (
        prod_p(input, dim=(d,), keepdim=keepdim)
        if n
        else prod_p(reshape_p(input, shape=(1,)), dim=(-1,), keepdim=False)
    )


# ---- variance


def _var(x, dim, keepdim, correction):
    if x.dtype.itemsize == 2:
        return _var(x.astype(np.float32), dim, keepdim, correction).astype(x.dtype)
    n = count(x.shape, dim)
    centred = x - np.true_divide(np.add.reduce(x, axis=dim, keepdims=True), n or math.nan)
    y = np.add.reduce(centred * centred, axis=dim, keepdims=keepdim)
    return np.true_divide(y, x.dtype.type(builtins.max(n - correction, 0)))


def _dof(x, dim, correction):
    return (count(x.shape, dim) - correction) or math.nan


var_p = single(
    reduction(
        "var",
        _var,
        lambda o, y, x, *, dim, correction: (x - o.mean(x, dim=dim, keepdim=True)) * (2 / _dof(x, dim, correction)),
        front=True,
    )
)
std_p = single(
    reduction(
        "std",
        lambda x, dim, keepdim, correction: np.sqrt(_var(x, dim, keepdim, correction)),
        lambda o, y, x, *, dim, correction: o.where(
            y == 0, 0.0, (x - o.mean(x, dim=dim, keepdim=True)) / (y * builtins.float(_dof(x, dim, correction)))
        ),
        front=True,
    )
)


def _spread_arguments(operator, dim, unbiased, correction):
    """``var(x, unbiased)`` and ``var(x, dim, unbiased)`` are older forms of ``correction``: (dim, correction)."""
    if isinstance(dim, bool):
        if unbiased is not None:
            raise ArgumentError(f"{operator}(): 'unbiased' was given twice")
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ArgumentError(f"{operator}(): give 'unbiased' or 'correction', not both")
    if unbiased is not None:
        return dim, 1 if unbiased else 0
    return dim, 1 if correction is None else correction


def _spread_of(prim, input, operator, dim, unbiased, correction, keepdim):
    dim, correction = _spread_arguments(operator, dim, unbiased, correction)
    tensor_argument(input, operator)
    if input._data.dtype.kind not in "fV":
        raise DTypeError(
            f"{operator}(): only floating point dtypes are supported, got {from_numpy_dtype(input._data.dtype)}; "
            "convert with .float()"
        )
    return prim(input, dim=many_dims(dim, input._data.ndim, operator), keepdim=keepdim, correction=correction)


@public
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance over ``dim`` (None: all): squared distances from the mean, summed, over ``n - correction`` (default
    1).

    unbiased: an older way to say ``correction=1`` (True) or 0.  Raises DTypeError for integers.

    >>> import chainrule as torch
    >>> torch.var(torch.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    return _spread_of(var_p, input, "var", dim, unbiased, correction, keepdim)


@public
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation, the square root of ``var``; its derivative at 0 is 0.

    >>> import chainrule as torch
    >>> torch.std(torch.tensor([1.0, 3.0, 5.0]))
    tensor(2.)
    """
    return _spread_of(std_p, input, "std", dim, unbiased, correction, keepdim)


@public(method=False)
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance and the mean.

    >>> import chainrule as torch
    >>> torch.var_mean(torch.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    d, _ = _spread_arguments("var_mean", dim, unbiased, correction)
    return var(input, dim, unbiased, keepdim, correction=correction), mean(input, d, keepdim)


@public(method=False)
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation and the mean.

    >>> import chainrule as torch
    >>> torch.std_mean(torch.tensor([1.0, 3.0, 5.0]))
    (tensor(2.), tensor(3.))
    """
    d, _ = _spread_arguments("std_mean", dim, unbiased, correction)
    return std(input, dim, unbiased, keepdim, correction=correction), mean(input, d, keepdim)


# ---- logarithms of sums


def _logsumexp(x, dim, keepdim):
    if x.dtype.itemsize == 2:
        return _logsumexp(x.astype(np.float32), dim, keepdim).astype(x.dtype)
    m = np.maximum.reduce(x, axis=dim, keepdims=True, initial=-np.inf)
    m = np.where(np.isfinite(m), m, 0)  # an infinite maximum needs no shift
    y = np.log(np.add.reduce(np.exp(x - m), axis=dim, keepdims=keepdim))
    return y + m.reshape(y.shape)


logsumexp_p = single(reduction("logsumexp", _logsumexp, lambda o, y, x, *, dim: o.exp(x - y), front=True))


@public(namespaces=("torch", "special"))
def logsumexp(input, dim, keepdim=False):
    """``log(sum(exp(input)))`` over ``dim`` without overflow.

    >>> import chainrule as torch
    >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932)
    """
    tensor_argument(input, "logsumexp")
    if input._data.dtype.kind not in "fV":
        input = to_dtype(input, defaults.dtype)
    return logsumexp_p(input, dim=many_dims(dim, input._data.ndim, "logsumexp"), keepdim=keepdim)


# ---- truth


def _truth(ufunc):
    def kernel(x, dim=None, keepdim=False):
        return ufunc.reduce(x, axis=dim, keepdims=keepdim).astype(x.dtype if x.dtype == np.uint8 else np.bool_)

    return kernel


all_p = primitive("all", _truth(np.logical_and), front=True)
any_p = primitive("any", _truth(np.logical_or), front=True)
count_nonzero_p = primitive("count_nonzero", lambda x, dim: np.add.reduce(x != 0, axis=dim, dtype=np.int64), front=True)


@public
def all(input, dim=None, keepdim=False):
    """Whether all elements (along ``dim``: an int, a tuple or None) are true.

    >>> import chainrule as torch
    >>> torch.all(torch.tensor([[True, False], [True, True]]), dim=1)
    tensor([False,  True])
    """
    tensor_argument(input, "all")
    return all_p(input, dim=many_dims(dim, input._data.ndim, "all"), keepdim=keepdim)


@public
def any(input, dim=None, keepdim=False):
    """Whether an element (along ``dim``: an int, a tuple or None) is true.

    >>> import chainrule as torch
    >>> torch.any(torch.tensor([[True, False], [False, False]]), dim=1)
    tensor([ True, False])
    """
    tensor_argument(input, "any")
    return any_p(input, dim=many_dims(dim, input._data.ndim, "any"), keepdim=keepdim)


@public
def count_nonzero(input, dim=None):
    """How many elements are not zero, over ``dim`` (an int, a tuple or None for all); int64.

    >>> import chainrule as torch
    >>> torch.count_nonzero(torch.tensor([[0, 1], [2, 3]]), dim=0)
    tensor([1, 2])
    """
    if not isinstance(input, Tensor):
        tensor_argument(input, "count_nonzero")
    return count_nonzero_p(input, dim=many_dims(dim, input._data.ndim, "count_nonzero"))
