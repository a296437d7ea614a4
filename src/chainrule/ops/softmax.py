"""Softmax and its logarithm."""

import warnings

import numpy as np

from ..dtypes import as_dtype, from_numpy_dtype
from ..errors import DTypeError
from ..handle import Tensor
from ..primitive import primitive, public, single
from ..primitive.arguments import one_dim, tensor_argument
from .arithmetic import neg
from .cast import to_dtype
from .shape import reshape_p

maximum_reduce, add_reduce = np.maximum.reduce, np.add.reduce
subtract, divide, exp, log = np.subtract, np.true_divide, np.exp, np.log


def _softmax(x, dim):
    if x.dtype.itemsize == 2:  # 16-bit sums need a wider accumulator
        return _softmax(x.astype(np.float32), dim).astype(x.dtype)
    e = subtract(x, maximum_reduce(x, dim, None, None, True, -np.inf))
    exp(e, e)
    return divide(e, add_reduce(e, dim, None, None, True), e)


def _log_softmax(x, dim):
    if x.dtype.itemsize == 2:
        return _log_softmax(x.astype(np.float32), dim).astype(x.dtype)
    y = subtract(x, maximum_reduce(x, dim, None, None, True, -np.inf))
    return subtract(y, log(add_reduce(exp(y), dim, None, None, True)), y)


def _softmax_vjp(o, g, s, y, x, *, dim):
    gy = g * y
    return gy - y * o.sum(gy, dim=(dim,), keepdim=True)


softmax_p = single(
    primitive(
        "softmax",
        _softmax,
        (_softmax_vjp,),
        front=True,
        node_name="SoftmaxBackward0",
        define=lambda o, x, dim: o.exp(x) / o.sum(o.exp(x), dim=(dim,), keepdim=True),
    )
)
log_softmax_p = single(
    primitive(
        "log_softmax",
        _log_softmax,
        (lambda o, g, s, y, x, *, dim: g - o.exp(y) * o.sum(g, dim=(dim,), keepdim=True),),
        front=True,
        node_name="LogSoftmaxBackward0",
        define=lambda o, x, dim: x - o.logsumexp(x, dim=(dim,), keepdim=True),
    )
)


def _along(prim, input, operator, dim, dtype):
    if dtype is not None:
        input = to_dtype(tensor_argument(input, operator), as_dtype(dtype))
    elif not isinstance(input, Tensor):
        tensor_argument(input, operator)
    a = input._data
    if a.dtype.kind not in "fV":
        raise DTypeError(
            f"{operator}(): not implemented for {from_numpy_dtype(input._data.dtype)}; convert with .float(), or "
            "pass dtype="
        )
    d = one_dim(dim, a.ndim, operator)
    if a.ndim == 0:
        return reshape_p(prim(reshape_p(input, shape=(1,)), dim=-1), shape=())
    return prim(input, dim=d)


@public(namespaces=("torch", "special"))
def softmax(input, dim, dtype=None):
    """``exp(input)`` divided by its sum along ``dim``: positive and adding up to 1.

    dtype: convert first.  Raises DTypeError for integers unless ``dtype`` is given.

    >>> import chainrule as torch
    >>> torch.softmax(torch.tensor([0.0, 0.0]), 0)
    tensor([0.5000, 0.5000])
    """
    return _along(softmax_p, input, "softmax", dim, dtype)


@public(namespaces=("torch", "special"))
def log_softmax(input, dim, dtype=None):
    """The logarithm of ``softmax``, without overflow.

    dtype: convert first.  Raises DTypeError for integers unless ``dtype`` is given.

    >>> import chainrule as torch
    >>> torch.log_softmax(torch.tensor([0.0, 0.0]), 0)
    tensor([-0.6931, -0.6931])
    """
    return _along(log_softmax_p, input, "log_softmax", dim, dtype)


def _implicit_dim(operator, ndim, stacklevel):
    warnings.warn(
        f"Implicit dimension choice for {operator} has been deprecated. Change the call to include dim=X as an "
        "argument.",
        stacklevel=stacklevel + 1,
    )
    return 0 if ndim in (0, 1, 3) else 1


@public(name="softmax", namespaces=("nn.functional",), method=False)
def nn_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """See :func:`torch.softmax`; without ``dim``, the first or second dimension with a warning (deprecated in PyTorch).

    >>> import chainrule as torch
    >>> torch.nn.functional.softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    if dim is None:
        dim = _implicit_dim("softmax", tensor_argument(input, "softmax")._data.ndim, _stacklevel)
    return _along(softmax_p, input, "softmax", dim, dtype)


@public(name="log_softmax", namespaces=("nn.functional",), method=False)
def nn_log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    """See :func:`torch.log_softmax`; without ``dim``, the first or second dimension with a warning (deprecated in
    PyTorch).

    >>> import chainrule as torch
    >>> torch.nn.functional.log_softmax(torch.tensor([0.0, 0.0]), dim=0)
    tensor([-0.6931, -0.6931])
    """
    if dim is None:
        dim = _implicit_dim("log_softmax", tensor_argument(input, "log_softmax")._data.ndim, _stacklevel)
    return _along(log_softmax_p, input, "log_softmax", dim, dtype)


@public(namespaces=("nn.functional",), method=False)
def softmin(input, dim=None, _stacklevel=3, dtype=None):
    """``softmax(-input)``: the smallest elements get the largest share.

    >>> import chainrule as torch
    >>> torch.nn.functional.softmin(torch.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    if dim is None:
        dim = _implicit_dim("softmin", tensor_argument(input, "softmin")._data.ndim, _stacklevel)
    return _along(softmax_p, neg(input), "softmin", dim, dtype)
