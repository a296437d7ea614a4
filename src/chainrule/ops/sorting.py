"""Sorting: sort, argsort, topk, kthvalue, msort. The order is found on plain arrays; the values are then gathered,
which is linear.

NaN counts as larger than any number, as in PyTorch. All orders are stable.
"""

import numpy as np

from ..errors import ShapeError
from ..handle import wrap
from ..primitive import primitive, public
from ..primitive.arguments import one_dim, tensor_argument
from .cast import alias_p
from .gathering import gather_p
from .results import make_result
from .shape import view_p
from .views import int_argument

Sort = make_result("sort", "values", "indices")
TopK = make_result("topk", "values", "indices")
KthValue = make_result("kthvalue", "values", "indices")


def _order(x, dim, descending):
    if not descending:
        return x.argsort(axis=dim, kind="stable")
    # The reverse of the stable order of the reversed elements keeps equal elements in their order.
    n = x.shape[dim]
    back = [slice(None)] * x.ndim
    back[dim] = slice(None, None, -1)
    back = tuple(back)
    return n - 1 - x[back].argsort(axis=dim, kind="stable")[back]


order_p = primitive("stable_order", _order, front=True)


def _top(x, dim, k, largest):
    """Places of the k largest (smallest) elements, best first."""
    n = x.shape[dim]
    head = [slice(None)] * x.ndim
    head[dim] = slice(0, k)
    head = tuple(head)
    if k * 16 < n and n > 100 and x.dtype.kind in "fiu" and k:
        # Only the best k need sorting. The k-th value decides; equal ones are taken in order of place.
        part = np.argpartition(x, n - k if largest else k - 1, axis=dim)
        tail = list(head)
        tail[dim] = slice(n - k, n) if largest else slice(0, k)
        best = np.sort(part[tuple(tail)], axis=dim)
        values = np.take_along_axis(x, best, dim)
        return np.take_along_axis(best, _order(values, dim, largest), dim)
    return np.ascontiguousarray(_order(x, dim, largest)[head])


top_p = primitive("top_order", _top, front=True)


def _kth(x, dim, k, keepdim):
    part = x.argsort(axis=dim, kind="stable").take([k - 1], axis=dim)
    return part if keepdim else np.squeeze(part, dim)


kth_p = primitive("kth_place", _kth, front=True)


@public
def sort(input, dim=-1, descending=False, stable=False):
    """The elements in order along ``dim``, and where each came from. Equal elements keep their order.

    >>> import chainrule as torch
    >>> torch.sort(torch.tensor([3, 1, 2]))
    torch.return_types.sort(
    values=tensor([1, 2, 3]),
    indices=tensor([1, 2, 0]))
    """
    n = tensor_argument(input, "sort")._data.ndim
    d = one_dim(dim, n, "sort")
    if n == 0:
        return Sort(alias_p(input), wrap(np.zeros((), np.int64)))
    order = order_p(input, dim=d, descending=bool(descending))
    return Sort(gather_p(input, order, dim=d, by="SortBackward0"), order)


@public
def argsort(input, dim=-1, descending=False, stable=False):
    """The places that sort ``input`` along ``dim``.

    >>> import chainrule as torch
    >>> torch.argsort(torch.tensor([3, 1, 2]), descending=True)
    tensor([0, 2, 1])
    """
    n = tensor_argument(input, "argsort")._data.ndim
    d = one_dim(dim, n, "argsort")
    return order_p(input, dim=d, descending=bool(descending)) if n else wrap(np.zeros((), np.int64))


@public
def msort(input):
    """``sort(input, dim=0).values``.

    >>> import chainrule as torch
    >>> torch.msort(torch.tensor([3, 1, 2]))
    tensor([1, 2, 3])
    """
    return sort(input, 0)[0]


@public
def topk(input, k, dim=-1, largest=True, sorted=True):
    """The ``k`` largest (or smallest) elements along ``dim``, best first, and their places.

    >>> import chainrule as torch
    >>> torch.topk(torch.tensor([1.0, 5.0, 3.0]), 2)
    torch.return_types.topk(
    values=tensor([5., 3.]),
    indices=tensor([1, 2]))
    """
    a = tensor_argument(input, "topk")._data
    d = one_dim(dim, a.ndim, "topk")
    k = int_argument(k, "topk", "k")
    if not 0 <= k <= (a.shape[d] if a.ndim else 1):
        raise ShapeError(
            f"selected index k out of range: topk() got k={k} for a dimension of size {a.shape[d] if a.ndim else 1}"
        )
    if a.ndim == 0:
        return TopK(alias_p(input), wrap(np.zeros((), np.int64)))
    places = top_p(input, dim=d, k=k, largest=bool(largest))
    return TopK(gather_p(input, places, dim=d, by="TopkBackward0"), places)


@public
def kthvalue(input, k, dim=-1, keepdim=False):
    """The ``k``-th smallest element (from 1) along ``dim``, and its place.

    >>> import chainrule as torch
    >>> torch.kthvalue(torch.tensor([3.0, 1.0, 2.0]), 2).values
    tensor(2.)
    """
    a = tensor_argument(input, "kthvalue")._data
    d = one_dim(dim, a.ndim, "kthvalue")
    k = int_argument(k, "kthvalue", "k")
    if a.ndim == 0:
        if k != 1:
            raise ShapeError("selected number k out of range for dimension 0")
        return KthValue(alias_p(input), wrap(np.zeros((), np.int64)))
    if a.shape[d] == 0:
        raise ShapeError(f"kthvalue(): Expected reduction dim {d + a.ndim} to have non-zero size.")
    if not 1 <= k <= a.shape[d]:
        raise ShapeError(
            f"kthvalue(): selected number k out of range for dimension {d + a.ndim}: k={k}, size {a.shape[d]}"
        )
    places = kth_p(input, dim=d, k=k, keepdim=True)
    values = gather_p(input, places, dim=d, by="KthvalueBackward0")
    if keepdim:
        return KthValue(values, places)
    shape = list(a.shape)
    del shape[d]
    return KthValue(view_p(values, shape=tuple(shape)), view_p(places, shape=tuple(shape)))
