"""The copying forms of view operators (``view_copy`` and so on), and operators that do nothing to real numbers."""

import numpy as np

from ..errors import ShapeError
from ..handle import wrap
from ..primitive import public
from ..primitive.arguments import one_dim, tensor_argument
from .axes import permute, squeeze, t, transpose, unsqueeze
from .cast import alias_p, clone_p
from .index_parts import plain_slice
from .padding import pad as pad_function
from .selection import masked_fill
from .shape import FULL, expand, sizes_of, sum_to, view
from .strided import as_strided, diagonal, unfold
from .views import select, slices, split, split_with_sizes, unbind


def _slice(input, dim=0, start=None, end=None, step=1):
    n = tensor_argument(input, "slice_copy")._data.ndim
    d = one_dim(dim, n, "slice_copy", wrap_scalar=False)
    return slices(input, index=(..., plain_slice(slice(start, end, step)), *FULL[-d - 1]))


def _copying(function, name, example, result):
    """Register the copying form of a view operator."""

    def copy(input, *args, **kwargs):
        out = function(tensor_argument(input, name), *args, **kwargs)
        return tuple([clone_p(part) for part in out]) if type(out) is tuple else clone_p(out)

    copy.__name__ = copy.__qualname__ = name
    copy.__doc__ = f"""``{name.removesuffix("_copy")}``, but the result has memory of its own.

    >>> import chainrule as torch
    >>> {example}
    {result}
    """
    return public(copy, method=False)


_X = "torch.tensor([[1, 2], [3, 4]])"
_copying(alias_p, "alias_copy", "torch.alias_copy(torch.tensor([1, 2]))", "tensor([1, 2])")
_copying(as_strided, "as_strided_copy", f"torch.as_strided_copy({_X}, (2,), (3,))", "tensor([1, 4])")

_copying(diagonal, "diagonal_copy", f"torch.diagonal_copy({_X})", "tensor([1, 4])")
_copying(expand, "expand_copy", "torch.expand_copy(torch.tensor([1]), (2,))", "tensor([1, 1])")
_copying(permute, "permute_copy", f"torch.permute_copy({_X}, (1, 0))[0]", "tensor([1, 3])")
_copying(select, "select_copy", f"torch.select_copy({_X}, 1, 0)", "tensor([1, 3])")
_copying(_slice, "slice_copy", "torch.slice_copy(torch.tensor([1, 2, 3]), 0, 1)", "tensor([2, 3])")
_copying(split, "split_copy", "torch.split_copy(torch.tensor([1, 2, 3]), 2)", "(tensor([1, 2]), tensor([3]))")
_copying(
    split_with_sizes,
    "split_with_sizes_copy",
    "torch.split_with_sizes_copy(torch.tensor([1, 2, 3]), [1, 2])",
    "(tensor([1]), tensor([2, 3]))",
)
_copying(squeeze, "squeeze_copy", "torch.squeeze_copy(torch.tensor([[1, 2]]))", "tensor([1, 2])")
_copying(t, "t_copy", f"torch.t_copy({_X})[0]", "tensor([1, 3])")
_copying(transpose, "transpose_copy", f"torch.transpose_copy({_X}, 0, 1)[0]", "tensor([1, 3])")
_copying(unbind, "unbind_copy", f"torch.unbind_copy({_X})", "(tensor([1, 2]), tensor([3, 4]))")
_copying(unfold, "unfold_copy", "torch.unfold_copy(torch.tensor([1, 2, 3]), 0, 2, 2)", "tensor([[1, 2]])")
_copying(unsqueeze, "unsqueeze_copy", "torch.unsqueeze_copy(torch.tensor([1, 2]), 0)", "tensor([[1, 2]])")
_copying(view, "view_copy", f"torch.view_copy({_X}, (4,))", "tensor([1, 2, 3, 4])")


@public(method=False)
def constant_pad_nd(input, pad, value=0):
    """``nn.functional.pad`` in mode "constant".

    >>> import chainrule as torch
    >>> torch.constant_pad_nd(torch.tensor([1, 2]), (0, 1), 9)
    tensor([1, 2, 9])
    """
    return pad_function(input, pad, value=value)


@public(namespaces=())
def sum_to_size(input, *size):
    """``input`` summed down to ``size``, which broadcasts to its shape.

    >>> import chainrule as torch
    >>> torch.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    size, shape = sizes_of(size, "sum_to_size"), tuple(input._data.shape)
    lead = len(shape) - len(size)
    if lead < 0 or any(n not in (1, m) for n, m in zip(size, shape[max(lead, 0) :], strict=True)):
        raise ShapeError(f"size {{{list(size)}}} is not expandable to size {{{list(shape)}}}.")
    return sum_to(input, shape=size)


@public(method=False)
def fill(input, value):
    """A tensor of the shape and dtype of ``input`` filled with ``value`` (a number or a 0-d tensor).

    >>> import chainrule as torch
    >>> torch.fill(torch.zeros(2), 3)
    tensor([3., 3.])
    """
    tensor_argument(input, "fill")
    if getattr(value, "_data", None) is not None and value._data.ndim:
        raise ShapeError(
            f"fill only supports 0-dimension value tensor but got tensor with {value._data.ndim} dimensions."
        )
    return masked_fill(input, wrap(np.ones((), bool)), value)


def _of_reals(name, text):
    """Operators that PyTorch has for complex numbers and that leave real ones as they are."""

    def same(input):
        return tensor_argument(input, name)

    same.__name__ = same.__qualname__ = name
    same.__doc__ = f"""{text}: ``input`` itself, since its numbers are real.

    >>> import chainrule as torch
    >>> torch.{name}(torch.tensor([1.0]))
    tensor([1.])
    """
    return public(same)


_of_reals("conj", "The complex conjugate")
_of_reals("conj_physical", "The complex conjugate, computed")
_of_reals("resolve_conj", "The tensor with its conjugation carried out")
_of_reals("resolve_neg", "The tensor with its negation carried out")
_of_reals("real", "The real part")
