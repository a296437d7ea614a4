"""Writing and adding at indices along a dimension: scatter, index_add and their relatives. All give new tensors."""

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import ArgumentError, DTypeError, IndexRangeError, ShapeError
from ..handle import Tensor
from ..primitive import linear, primitive, public
from ..primitive.arguments import one_dim, tensor_argument
from .accumulate import add_at
from .arithmetic import div_p
from .cast import clone_p, to_dtype
from .gathering import ALL, BOTH, check_bounds, check_flat, check_gather, flat_places, index_argument, vector_index
from .indexing import put as put_at
from .selection import where_p
from .shape import expand, reshape, view_p
from .views import slices

# ---- primitives: x with something at index along dim. Where an index occurs twice, the last write wins.


def _write(x, index, src, dim, how=None):
    out = x.copy()
    flat, places = out.reshape(-1), flat_places(x.shape, index, dim)
    if how is None:
        flat[places] = src
    else:
        how.at(flat, places, src)
    return out


def _scatter_add(x, index, src, dim):
    if x.dtype.kind == "f":
        n = x.size
        total = np.bincount(flat_places(x.shape, index, dim).reshape(-1), src.reshape(-1), n) if index.size else 0
        return np.add(x, np.reshape(total, x.shape) if index.size else 0, dtype=x.dtype)
    return _write(x, index, src, dim, np.logical_or if x.dtype.kind == "b" else np.add)


scatter_p = linear(
    "scatter",
    _write,
    lambda o, g, s, index, *, dim: (o.scatter_fill(g, index, dim=dim, value=0), o.gather(g, index, dim=dim)),
    linear_in=(0, 2),
    selecting=True,
    front=True,
)
scatter_fill = primitive(
    "scatter_fill",
    lambda x, index, dim, value: _write(x, index, value, dim),
    (lambda o, g, s, y, x, index, *, dim, value: o.scatter_fill(g, index, dim=dim, value=0), None),
    selecting=True,
    front=True,
    node_name="ScatterBackward1",
)
scatter_add_p = linear(
    "scatter_add",
    _scatter_add,
    lambda o, g, s, index, *, dim: (g, o.gather(g, index, dim=dim)),
    linear_in=(0, 2),
    selecting=True,
    front=True,
)


def _extreme_rule(o, g, s, y, x, index, src, *, dim, needs):
    """The gradient is shared equally among all elements that reached the extreme."""
    mine = o.where(o.eq(x, y), g * 0.0 + 1.0, 0.0)
    theirs = o.where(o.eq(src, o.gather(y, index, dim=dim)), o.gather(g, index, dim=dim) * 0.0 + 1.0, 0.0)
    share = g / o.scatter_add(mine, index, theirs, dim=dim)
    return mine * share, None, theirs * o.gather(share, index, dim=dim)


def _prod_rule(o, g, s, y, x, index, src, *, dim, needs):
    """Each factor's gradient is the product of the others; with one factor zero only that one has a gradient, with two
    none."""
    one_x, one_src = x * 0.0 + 1.0, src * 0.0 + 1.0
    zero_x, zero_src = o.eq(x, 0.0), o.eq(src, 0.0)
    count = o.scatter_add(o.where(zero_x, one_x, 0.0), index, o.where(zero_src, one_src, 0.0), dim=dim)
    safe_x, safe_src = o.where(zero_x, one_x, x), o.where(zero_src, one_src, src)
    rest = g * o.scatter_prod(safe_x, index, safe_src, dim=dim)  # the product of all factors that are not zero
    if True in needs[:1]:
        gx = o.where(o.eq(count, o.where(zero_x, one_x, 0.0)), rest / safe_x, 0.0)
    else:
        gx = None
    mine = o.eq(o.gather(count, index, dim=dim), o.where(zero_src, one_src, 0.0))
    return gx, None, o.where(mine, o.gather(rest, index, dim=dim) / safe_src, 0.0)


scatter_prod = primitive(
    "scatter_prod",
    lambda x, index, src, dim: _write(x, index, src, dim, np.multiply),
    vjp=_prod_rule,
    front=True,
    node_name="ScatterReduceBackward0",
)
scatter_amax = primitive(
    "scatter_amax",
    lambda x, index, src, dim: _write(x, index, src, dim, np.maximum),
    vjp=_extreme_rule,
    selecting=True,
    front=True,
    node_name="ScatterReduceBackward0",
)
scatter_amin = primitive(
    "scatter_amin",
    lambda x, index, src, dim: _write(x, index, src, dim, np.minimum),
    vjp=_extreme_rule,
    selecting=True,
    front=True,
    node_name="ScatterReduceBackward0",
)

# ---- scatter


def _scatter_arguments(input, dim, index, src, operator):
    """Checked and brought to at least one dimension: ``(input, index, src, dim)``; src is cut to the size of the
    index."""
    x = tensor_argument(input, operator)._data
    i = index_argument(index, operator, BOTH)
    d = one_dim(dim, x.ndim, operator)
    if i.dtype not in BOTH:
        index = Tensor._wrap(i.astype(np.int64))
    if isinstance(src, Tensor):
        a = src._data
        if a.dtype != x.dtype:
            raise DTypeError(
                f"{operator}(): Expected self.dtype to be equal to src.dtype, got {from_numpy_dtype(x.dtype)} and "
                f"{from_numpy_dtype(a.dtype)}"
            )
        if max(a.ndim, 1) != max(i.ndim, 1) and i.size:
            raise ShapeError(
                f"Index tensor must have the same number of dimensions as src tensor: {operator}() got index of shape "
                f"{list(i.shape)} and "
                f"src of shape {list(a.shape)}"
            )
        if i.size and i.ndim == a.ndim and any(n > m for n, m in zip(i.shape, a.shape, strict=True)):
            raise ShapeError(
                f"Expected index {list(i.shape)} to be no larger than self {list(x.shape)} apart from dimension "
                f"{d + max(x.ndim, 1)} and to "
                f"be no larger size than src {list(a.shape)}"
            )
    check_gather(x, i, d, operator)
    if x.ndim == 0:
        input = view_p(input, shape=(1,))
    if index._data.ndim == 0:
        index = reshape(index, 1)
    if isinstance(src, Tensor):
        if src._data.ndim == 0:
            src = view_p(src, shape=(1,))
        s = index._data.shape
        if src._data.shape != s and index._data.size:
            src = slices(src, index=(..., *[slice(0, n) for n in s]))
    return input, index, src, d


def _back(result, shape):
    return result if result._data.shape == shape else view_p(result, shape=shape)


@public(inplace=True)
def scatter(input, dim, index, src=None, value=None, *, reduce=None):
    """A copy of ``input`` with ``src`` (a tensor or a number) written at ``index`` along ``dim``.

    For dim 0: ``out[index[i][j]][j] = src[i][j]``.  reduce: "add" or "multiply" combines with what is there.

    >>> import chainrule as torch
    >>> torch.scatter(torch.zeros(2, 3), 1, torch.tensor([[0], [2]]), 1.0)
    tensor([[1., 0., 0.],
            [0., 0., 1.]])
    """
    if src is None and value is None:
        raise ArgumentError("scatter(): one of 'src' (a tensor) and 'value' (a number) must be given")
    src = value if src is None else src
    if reduce not in (None, "add", "multiply"):
        raise ShapeError(f"reduce argument must be either add or multiply, got {reduce!r}.")
    shape = tensor_argument(input, "scatter")._data.shape
    input, index, src, d = _scatter_arguments(input, dim, index, src, "scatter")
    if index._data.size == 0:
        return _back(clone_p(input), shape)
    if not isinstance(src, Tensor):
        if not isinstance(src, (bool, int, float, np.number)):
            raise ArgumentError(f"scatter(): argument 'value' must be a number, not {type(src).__name__}")
        if reduce is None:
            return _back(scatter_fill(input, index, dim=d, value=src), shape)
        src = Tensor._wrap(np.full(index._data.shape, src, input._data.dtype))
    operator = scatter_p if reduce is None else scatter_add_p if reduce == "add" else scatter_prod
    return _back(operator(input, index, src, dim=d), shape)


@public(inplace=True)
def scatter_add(input, dim, index, src):
    """A copy of ``input`` with ``src`` added at ``index`` along ``dim``; repeated places add up.

    >>> import chainrule as torch
    >>> torch.scatter_add(torch.zeros(3), 0, torch.tensor([0, 0, 2]), torch.ones(3))
    tensor([2., 0., 1.])
    """
    shape = tensor_argument(input, "scatter_add")._data.shape
    tensor_argument(src, "scatter_add", "src")
    input, index, src, d = _scatter_arguments(input, dim, index, src, "scatter_add")
    return _back(scatter_add_p(input, index, src, dim=d), shape)


_IDENTITY = {"prod": 1, "amax": -np.inf, "amin": np.inf, "sum": 0, "mean": 0}


@public(inplace=True)
def scatter_reduce(input, dim, index, src, reduce, *, include_self=True):
    """A copy of ``input`` in which ``src`` is reduced into the places ``index`` along ``dim``.

    reduce: "sum", "prod", "mean", "amax" or "amin".  include_self: whether the input's own element takes part.

    >>> import chainrule as torch
    >>> src = torch.tensor([2.0, 6.0, 3.0])
    >>> torch.scatter_reduce(torch.ones(2), 0, torch.tensor([0, 0, 1]), src, "mean", include_self=False)
    tensor([4., 3.])
    """
    if reduce not in _IDENTITY:
        raise ShapeError(f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}")
    shape = tensor_argument(input, "scatter_reduce")._data.shape
    tensor_argument(src, "scatter_reduce", "src")
    input, index, src, d = _scatter_arguments(input, dim, index, src, "scatter_reduce")
    return _back(_reduce(input, index, src, d, reduce, include_self), shape)


def _reduce(input, index, src, d, reduce, include_self):
    if not include_self:
        value = _IDENTITY[reduce]
        if input._data.dtype.kind in "iu" and abs(value) == np.inf:
            limits = np.iinfo(input._data.dtype)
            value = limits.min if value < 0 else limits.max
        input = scatter_fill(input, index, dim=d, value=value)
    if reduce == "sum":
        return scatter_add_p(input, index, src, dim=d)
    if reduce == "mean":
        total = scatter_add_p(input, index, src, dim=d)
        ones = np.ones(index._data.shape, input._data.dtype)
        start = (np.ones if include_self else np.zeros)(input._data.shape, input._data.dtype)
        count = np.maximum(_scatter_add(start, index._data, ones, d), 1)
        if total._data.dtype.kind == "f":
            return div_p(total, Tensor._wrap(count))
        return Tensor._wrap(total._data // count)
    return {"prod": scatter_prod, "amax": scatter_amax, "amin": scatter_amin}[reduce](input, index, src, dim=d)


# ---- whole slices along one dimension


def _key(x, index, dim):
    return (*(ALL,) * (x.ndim + dim), index)


def _index_add(x, index, src, dim, alpha=1):
    key = [ALL] * x.ndim
    key[dim] = index
    if index.size * 8 < x.shape[dim]:  # few rows of many: touch only those
        out = x.copy()
        np.add.at(out, _key(x, index, dim), src if alpha == 1 else src * x.dtype.type(alpha))
        return out
    added = add_at(x.shape, key, src)
    if alpha != 1:
        added = added * x.dtype.type(alpha)
    return np.logical_or(x, added) if x.dtype.kind == "b" else x + added


def _index_add_transpose(o, g, s, index, *, dim, alpha=1):
    part = o.index_select(g, index, dim=dim)
    return g, part if alpha == 1 else part * alpha


def _index_copy(x, index, src, dim):
    out = x.copy()
    out[_key(x, index, dim)] = src
    return out


index_add_p = linear("index_add", _index_add, _index_add_transpose, linear_in=(0, 2))
index_copy_p = linear(
    "index_copy",
    _index_copy,
    lambda o, g, s, index, *, dim: (o.index_fill(g, index, dim=dim, value=0), o.index_select(g, index, dim=dim)),
    linear_in=(0, 2),
    selecting=True,
)
index_fill_p = primitive(
    "index_fill",
    lambda x, index, dim, value: _index_copy(x, index, value, dim),
    (lambda o, g, s, y, x, index, *, dim, value: o.index_fill(g, index, dim=dim, value=0), None),
    selecting=True,
)


def _check_rows(input, d, index, source, operator, same_shape):
    """The checks that index_add, index_copy and index_reduce share."""
    x, a, i = input._data, source._data, index._data
    if a.dtype != x.dtype:
        raise DTypeError(
            f"{operator}_(): self ({from_numpy_dtype(x.dtype)}) and source ({from_numpy_dtype(a.dtype)}) must have "
            "the same scalar type"
        )
    n = a.shape[d] if a.ndim and -d <= a.ndim else 1
    error = ShapeError if same_shape else IndexRangeError
    if x.ndim and a.ndim and x.ndim != a.ndim:
        raise error(
            f"{operator}_(): When source and destination are not scalars, their dimensionality must match. Source "
            "dimensionality "
            f"({a.ndim}), destination dimensionality ({x.ndim})"
        )
    if i.size != n:
        raise error(
            f"{operator}_(): Number of indices ({i.size}) should be equal to source.size(dim): ({n}), for dim: "
            f"{d + max(x.ndim, 1)}"
        )
    if a.ndim == x.ndim and any(
        p != q for k, (p, q) in enumerate(zip(x.shape, a.shape, strict=True)) if k != d + x.ndim
    ):
        raise ShapeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = "
            f"{list(x.shape)} source.shape = {list(a.shape)}"
        )


def _rows(input, dim, index, source, operator, same_shape, error):
    x = tensor_argument(input, operator)._data
    index = vector_index(index, operator)
    tensor_argument(source, operator, "source")
    d = one_dim(dim, x.ndim, operator)
    _check_rows(input, d, index, source, operator, same_shape)
    check_bounds(index._data, x.shape[d] if x.ndim else 1, dim=d + max(x.ndim, 1), error=error)
    shape = x.shape
    if x.ndim == 0:
        input = view_p(input, shape=(1,))
    if source._data.ndim != input._data.ndim:
        source = view_p(source, shape=(1,) * input._data.ndim)
    return input, index, source, d, shape


@public(inplace=True)
def index_add(input, dim, index, source, *, alpha=1):
    """A copy of ``input`` with ``alpha`` times the slices of ``source`` added at the places ``index`` along ``dim``.

    >>> import chainrule as torch
    >>> torch.index_add(torch.zeros(3), 0, torch.tensor([0, 0, 2]), torch.ones(3), alpha=2)
    tensor([4., 0., 2.])
    """
    input, index, source, d, shape = _rows(input, dim, index, source, "index_add", True, ShapeError)
    if isinstance(alpha, float) and input._data.dtype.kind in "iub":
        raise DTypeError("For integral input tensors, argument alpha must not be a floating point number.")
    return _back(index_add_p(input, index, source, dim=d, alpha=alpha), shape)


@public(inplace=True)
def index_copy(input, dim, index, source):
    """A copy of ``input`` with the slices of ``source`` written at the places ``index`` along ``dim``.

    >>> import chainrule as torch
    >>> torch.index_copy(torch.zeros(3), 0, torch.tensor([2, 0]), torch.tensor([1.0, 2.0]))
    tensor([2., 0., 1.])
    """
    input, index, source, d, shape = _rows(input, dim, index, source, "index_copy", False, IndexRangeError)
    return _back(index_copy_p(input, index, source, dim=d), shape)


@public(inplace=True)
def index_fill(input, dim, index, value):
    """A copy of ``input`` with ``value`` (a number or a 0-d tensor) in the slices at ``index`` along ``dim``.

    >>> import chainrule as torch
    >>> torch.index_fill(torch.zeros(3), 0, torch.tensor([0, 2]), 7)
    tensor([7., 0., 7.])
    """
    x = tensor_argument(input, "index_fill")._data
    index = vector_index(index, "index_fill")
    d = one_dim(dim, x.ndim, "index_fill")
    n = x.shape[d] if x.ndim else 1
    i = index._data
    if hasattr(type(i), "within"):  # a function is being compiled
        i.within(-n, n, f"index_fill(): an index is out of range for dimension {d} with size {n}")
        index = Tensor._wrap(np.where(i < 0, i + n, i))
    elif i.size and i.min() < 0:
        if i.min() < -n:
            check_bounds(i, n, dim=d + max(x.ndim, 1))
        index = Tensor._wrap(np.where(i < 0, i + n, i))
    check_bounds(index._data, n, dim=d + max(x.ndim, 1))
    flat = view_p(input, shape=(1,)) if x.ndim == 0 else input
    if isinstance(value, Tensor):
        if value._data.ndim:
            raise ShapeError(
                f"index_fill_ only supports a 0-dimensional value tensor, but got tensor with {value._data.ndim} "
                "dimension(s)."
            )
        if type(index._data) is not np.ndarray:  # a function is being compiled: no places twice in a mask
            hit = index_fill_p(Tensor._wrap(np.zeros(n, bool)), index, dim=-1, value=True)
            hit = view_p(hit, shape=(n,) + (1,) * (-d - 1))
            return _back(where_p(hit, to_dtype(value, from_numpy_dtype(x.dtype)), flat), x.shape)
        index = Tensor._wrap(np.unique(index._data))
        shape = list(flat._data.shape)
        shape[d] = index._data.size
        source = expand(to_dtype(value, from_numpy_dtype(x.dtype)), shape)
        return _back(index_copy_p(flat, index, source, dim=d), x.shape)
    return _back(index_fill_p(flat, index, dim=d, value=value), x.shape)


@public(inplace=True)
def index_reduce(input, dim, index, source, reduce, *, include_self=True):
    """A copy of ``input`` in which the slices of ``source`` are reduced ("prod", "mean", "amax", "amin") into the
    places ``index``.

    >>> import chainrule as torch
    >>> torch.index_reduce(torch.ones(2), 0, torch.tensor([0, 0]), torch.tensor([2.0, 3.0]), "prod")
    tensor([6., 1.])
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise ShapeError(f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got {reduce}.")
    input, index, source, d, shape = _rows(input, dim, index, source, "index_reduce", True, ShapeError)
    places = np.broadcast_to(index._data.reshape((-1,) + (1,) * (-d - 1)), source._data.shape)
    return _back(_reduce(input, Tensor._wrap(places), source, d, reduce, include_self), shape)


@public(inplace=True)
def put(input, index, source, accumulate=False):
    """A copy of ``input`` with ``source`` written (or added) at places of the flattened tensor.

    >>> import chainrule as torch
    >>> torch.put(torch.zeros(2, 2), torch.tensor([0, 3]), torch.tensor([1.0, 2.0]))
    tensor([[1., 0.],
            [0., 2.]])
    """
    x = tensor_argument(input, "put")._data
    i = tensor_argument(index, "put", "index")._data
    a = tensor_argument(source, "put", "source")._data
    if i.dtype != np.int64:
        raise DTypeError(f"put_(): Expected a long tensor for index, but got {index.dtype}")
    if a.dtype != x.dtype:
        raise DTypeError(
            f"put_(): self and source expected to have the same dtype, but got self.dtype = {input.dtype} and "
            f"source.dtype = {source.dtype}"
        )
    if a.size != i.size:
        raise IndexRangeError(
            "put_(): Expected source and index to have the same number of elements, but got source.numel() = "
            f"{a.size}, index.numel() = {i.size}"
        )
    check_flat(i, x.size, "put_")
    flat = put_at(reshape(input, -1), reshape(source, tuple(i.shape)), [index], (-1,), accumulate)
    return reshape(flat, tuple(x.shape))
