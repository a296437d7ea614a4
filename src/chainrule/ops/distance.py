"""Distances, similarities and normalisation, built from norms."""

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..handle import Tensor
from ..primitive import public
from ..primitive.arguments import one_dim, tensor_argument
from .arithmetic import add_p, div_p, mul_p, sub_p
from .norms import norm, vector_norm
from .reduce import sum as sum_over
from .selection import clamp_min_p
from .shape import expand_p


@public
def dist(input, other, p=2):
    """The ``p``-norm of ``input - other``.

    >>> import chainrule as torch
    >>> torch.dist(torch.tensor([1.0, 2.0]), torch.tensor([4.0, 6.0]))
    tensor(5.)
    """
    tensor_argument(input, "dist")
    tensor_argument(other, "dist", "other")
    return norm(sub_p(input, other), p)


@public(namespaces=("nn.functional",), method=False)
def normalize(input, p=2.0, dim=1, eps=1e-12, out=None):
    """``input`` divided by its ``p``-norm along ``dim``, which counts as at least ``eps``.

    >>> import chainrule as torch
    >>> torch.nn.functional.normalize(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    size = clamp_min_p(vector_norm(input, p, dim, True), eps)
    return div_p(input, size, out=out)


@public(namespaces=("torch", "nn.functional"), method=False)
def cosine_similarity(x1, x2, dim=1, eps=1e-08):
    """The cosine of the angle between vectors along ``dim``: ``x1 · x2`` over their norms, each at least ``eps``.

    Raises DTypeError for integers.

    >>> import chainrule as torch
    >>> torch.cosine_similarity(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    for x, name in ((x1, "x1"), (x2, "x2")):
        if tensor_argument(x, "cosine_similarity", name)._data.dtype.kind not in "fV":
            raise DTypeError(
                f"expected common dtype to be floating point, yet {name} of cosine_similarity() is {x._data.dtype}; "
                "use .float()"
            )
    # The norms before broadcasting: shorter sums, and PyTorch's gradients.
    u, v = (div_p(x, _size(x, other, dim, eps)) for x, other in ((x1, x2), (x2, x1)))
    return sum_over(mul_p(u, v), dim)


def _size(x, partner, dim, eps):
    """The norm of ``x`` along a dimension of the shape that both broadcast to."""
    shape = _broadcast_shape(x._data.shape, partner._data.shape)
    d = one_dim(dim, len(shape), "cosine_similarity")
    if -d > x._data.ndim or shape and x._data.shape[d] != shape[d]:
        x = expand_p(x, shape=shape)
    return clamp_min_p(vector_norm(x, 2, d, True), eps)


def _broadcast_shape(a, b):
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise ShapeError(
            f"cosine_similarity(): shapes {list(a)} and {list(b)} do not broadcast; sizes must be equal or 1"
        ) from None


@public(namespaces=("torch", "nn.functional"), method=False)
def pairwise_distance(x1, x2, p=2.0, eps=1e-06, keepdim=False):
    """The ``p``-norm of ``x1 - x2 + eps`` along the last dimension.

    >>> import chainrule as torch
    >>> torch.pairwise_distance(torch.tensor([[1.0, 2.0]]), torch.tensor([[4.0, 6.0]]))
    tensor([5.0000])
    """
    if not isinstance(x1, Tensor) or not isinstance(x2, Tensor):
        raise ArgumentError(
            f"pairwise_distance(): expected two Tensors, got {type(x1).__name__} and {type(x2).__name__}"
        )
    return vector_norm(add_p(sub_p(x1, x2), eps), p, -1, keepdim)
