"""Copies and casts."""

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import UnsupportedError
from ..primitive import linear, public, recorded
from ..primitive.arguments import tensor_argument
from ..primitive.view import move, view

to_copy_p = linear(
    "to_copy",
    lambda x, dtype, source: x.astype(dtype.np),
    lambda o, g, s, *, dtype, source: o.to_copy(g, dtype=source, source=dtype) if source.is_floating_point else None,
    node_name="ToCopyBackward0",
    front=True,
)
clone_p = move("clone", lambda x, order="C": x.copy(order), lambda o, g, s, *, order="C": g, front=True)
# What a recorded backward pass puts into a leaf's ``.grad``; the name is PyTorch's.
gradient_copy_p = move("gradient_copy", lambda x: x.copy(), lambda o, g, s: g, front=True, node_name="CopyBackwards")
alias_p = view(
    "alias",
    lambda x, name=None: x.view(),
    lambda o, g, s, *, name=None: g,
    front=True,
    node_name=lambda arrays, params: params.get("name", "AliasBackward0"),
)


def to_dtype(x, dtype):
    """``x`` in another dtype: a recorded copy, or ``x`` itself if it has that dtype."""
    source = from_numpy_dtype(x._data.dtype)
    return x if source is dtype else to_copy_p(x, dtype=dtype, source=source)


recorded.cast = to_dtype


def layout(memory_format, operator):
    """Only PyTorch's row-major layouts exist here."""
    name = str(memory_format)
    if "channels_last" in name:
        raise UnsupportedError(f"{operator}(): memory_format {name} is not supported; use torch.contiguous_format")
    return name


@public
def clone(input, *, memory_format=None):
    """A copy of ``input`` that gradients flow through.

    >>> import chainrule as torch
    >>> a = torch.tensor([1.0, 2.0])
    >>> b = torch.clone(a)
    >>> b[0] = 9.0
    >>> a
    tensor([1., 2.])
    """
    a = tensor_argument(input, "clone")._data
    if memory_format is not None and layout(memory_format, "clone") == "torch.contiguous_format":
        return clone_p(input)
    # PyTorch keeps the strides of a tensor whose elements are laid out densely (a transposed one stays transposed).
    if type(a) is np.ndarray and not a.flags.c_contiguous and 0 not in a.strides:
        return clone_p(input, order="K")
    return clone_p(input)


@public(namespaces=())
def contiguous(input, memory_format=None):
    """``input`` itself if its memory is in row-major order without gaps, else a copy that is.

    >>> import chainrule as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]]).t().contiguous().view(4)
    tensor([1., 3., 2., 4.])
    """
    a = tensor_argument(input, "contiguous")._data
    if memory_format is not None:
        layout(memory_format, "contiguous")
    return input if type(a) is np.ndarray and a.flags.c_contiguous else clone_p(input)
