"""Joining tensors: cat, stack and their relatives, block_diag, meshgrid, products of sequences."""

import itertools

import numpy as np

from ..errors import ArgumentError, ArgumentValueError, ShapeError
from ..handle import Tensor
from ..primitive import public
from ..primitive.arguments import one_dim
from ..primitive.promote import result_type
from ..primitive.view import move
from .axes import three_d, two_d, unsqueeze_p
from .cast import alias_p, to_dtype
from .indexing import index_p
from .shape import FULL, expand_p, reshape_p, view_p


def _is_nothing(shape, shapes):
    """PyTorch lets a 1-d empty tensor stand among tensors of any rank."""
    return len(shape) == 1 and shape[0] == 0 and any(len(s) != 1 for s in shapes)


def _cat(*xs, dim):
    try:
        return np.concatenate(xs, axis=dim)
    except ValueError:
        shapes = [x.shape for x in xs]
        kept = [x for x in xs if not _is_nothing(x.shape, shapes)]
        if len(kept) == len(xs):
            raise
        return np.concatenate(kept, axis=dim)


def _cat_transpose(o, g, s, *, dim):
    parts, start = [], 0
    for shape in s:
        if _is_nothing(shape, s):
            nothing = (..., *[slice(0, 0)] * max([len(k) for k in s]))
            parts.append(o.reshape(o.slices(g, index=nothing), shape=shape))
            continue
        stop = start + shape[dim]
        parts.append(o.slices(g, index=(..., slice(start, stop), *FULL[-dim - 1])))
        start = stop
    return parts


cat_p = move("cat", _cat, _cat_transpose, linear_in=None, front=True)
stack_p = move(
    "stack",
    lambda *xs, dim: np.concatenate([x[(..., None, *FULL[-dim - 1])] for x in xs], axis=dim),
    lambda o, g, s, *, dim: [o.slices(g, index=(..., i, *FULL[-dim - 1])) for i in range(len(s))],
    linear_in=None,
    front=True,
)


def same_dtype(tensors):
    """The tensors in their common dtype; an error if one is not a tensor."""
    first = None
    for i, t in enumerate(tensors):
        try:
            d = t._data.dtype
        except AttributeError:
            raise ArgumentError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}") from None
        if first is None:
            first = d
        elif d != first:
            first = False
    if first is False:
        for i, t in enumerate(tensors):
            if not isinstance(t, Tensor):
                raise ArgumentError(f"expected Tensor as element {i} in argument 0, but got {type(t).__name__}")
        target = result_type(*tensors)
        tensors = [to_dtype(t, target) for t in tensors]
    return tensors


def _sequence(tensors, operator):
    if not isinstance(tensors, (tuple, list)):
        raise ArgumentError(
            f"{operator}(): argument 'tensors' (position 1) must be tuple of Tensors, not {type(tensors).__name__}"
        )
    return tensors


@public(method=False, aliases=("concat", "concatenate"))
def cat(tensors, dim=0):
    """The tensors one after the other along ``dim``; other sizes must agree. Dtypes are promoted.

    >>> import chainrule as torch
    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    kinds = None
    try:  # the usual case first: tensors of one dtype and rank
        kinds = {(t._data.dtype, t._data.ndim) for t in tensors}
    except (AttributeError, TypeError):
        pass
    if kinds is not None and len(kinds) == 1 and not isinstance(tensors, Tensor):
        n = next(iter(kinds))[1]
        if dim.__class__ is int and -n <= dim < n:
            try:
                return cat_p(*tensors, dim=dim if dim < 0 else dim - n)
            except ValueError as error:
                _explain_cat(tensors, dim if dim < 0 else dim - n, error)
                raise
    return _cat_any(tensors, dim)


def _cat_any(tensors, dim):
    tensors = same_dtype(_sequence(tensors, "cat"))
    if len(tensors) == 0:
        raise ArgumentValueError("torch.cat(): expected a non-empty list of Tensors")
    shape = tensors[0]._data.shape
    for t in tensors:  # the first that is not a 1-d empty tensor tells the rank
        shape = t._data.shape
        if shape != (0,):
            break
    n = len(shape)
    if n == 0:
        k = next(i for i, t in enumerate(tensors) if t._data.ndim == 0)
        raise ShapeError(f"zero-dimensional tensor (at position {k}) cannot be concatenated; use stack, or reshape(1)")
    d = dim if dim.__class__ is int and -n <= dim < 0 else one_dim(dim, n, "cat")
    try:
        return cat_p(*tensors, dim=d)
    except ValueError as error:
        _explain_cat(tensors, d, error)
        raise


def _explain_cat(tensors, dim, error):
    first = None
    for i, t in enumerate(tensors):
        s = tuple(t._data.shape)
        if s == (0,):
            continue
        if not s:
            raise ShapeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated") from error
        if first is None:
            first = s
        if len(s) != len(first):
            raise ShapeError(f"Tensors must have same number of dimensions: got {len(first)} and {len(s)}") from error
        for d in range(-len(s), 0):
            if d != dim and s[d] != first[d]:
                raise ShapeError(
                    f"Sizes of tensors must match except in dimension {dim + len(s)}. Expected size {first[d]} but "
                    f"got size {s[d]} "
                    f"for tensor number {i} in the list."
                ) from error


@public(method=False)
def stack(tensors, dim=0):
    """Tensors of one shape along a new dimension ``dim``.

    >>> import chainrule as torch
    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])])
    tensor([[1, 2],
            [3, 4]])
    """
    kinds = None
    try:  # the usual case first: tensors of one dtype and shape
        kinds = {(t._data.dtype, t._data.shape) for t in tensors}
    except (AttributeError, TypeError):
        pass
    if kinds is not None and len(kinds) == 1 and not isinstance(tensors, Tensor):
        n = len(next(iter(kinds))[1]) + 1
        if dim.__class__ is int and -n <= dim < n:
            return stack_p(*tensors, dim=dim if dim < 0 else dim - n)
    tensors = same_dtype(_sequence(tensors, "stack"))
    if len(tensors) == 0:
        raise ShapeError("stack expects a non-empty TensorList")
    shape = tensors[0]._data.shape
    n = len(shape) + 1
    d = dim if dim.__class__ is int and -n <= dim < 0 else one_dim(dim, n, "stack")
    for i, t in enumerate(tensors):
        if t._data.shape != shape:
            raise ShapeError(
                f"stack expects each tensor to be equal size, but got {list(shape)} at entry 0 and "
                f"{list(t._data.shape)} at entry {i}"
            )
    return stack_p(*tensors, dim=d)


@public(method=False)
def hstack(tensors):
    """The tensors side by side: along dimension 1, for vectors along 0.

    >>> import chainrule as torch
    >>> torch.hstack((torch.tensor([1]), torch.tensor([2, 3])))
    tensor([1, 2, 3])
    """
    if len(_sequence(tensors, "hstack")) == 0:
        raise ShapeError("hstack expects a non-empty TensorList")
    same_dtype(tensors)
    tensors = [view_p(t, shape=(1,)) if t._data.ndim == 0 else t for t in tensors]
    return cat(tensors, 0 if tensors[0]._data.ndim == 1 else 1)


@public(method=False, aliases=("row_stack",))
def vstack(tensors):
    """The tensors one below the other, vectors as rows.

    >>> import chainrule as torch
    >>> torch.vstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[1, 2],
            [3, 4]])
    """
    if len(_sequence(tensors, "vstack")) == 0:
        raise ShapeError("vstack expects a non-empty TensorList")
    same_dtype(tensors)
    return cat([two_d(t) for t in tensors], 0)


@public(method=False)
def dstack(tensors):
    """The tensors behind each other, along dimension 2.

    >>> import chainrule as torch
    >>> torch.dstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[[1, 3],
             [2, 4]]])
    """
    if len(_sequence(tensors, "dstack")) == 0:
        raise ShapeError("dstack expects a non-empty TensorList")
    same_dtype(tensors)
    return cat([three_d(t) for t in tensors], 2)


@public(method=False)
def column_stack(tensors):
    """The tensors side by side, vectors as columns.

    >>> import chainrule as torch
    >>> torch.column_stack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[1, 3],
            [2, 4]])
    """
    if len(_sequence(tensors, "column_stack")) == 0:
        raise ShapeError("column_stack expects a non-empty TensorList")
    same_dtype(tensors)
    return cat([view_as_column(t) if t._data.ndim <= 1 else t for t in tensors], 1)


def view_as_column(t):
    """A vector (or number) as a matrix of one column."""
    return unsqueeze_p(t, dim=-1) if t._data.ndim == 1 else view_p(t, shape=(1, 1))


# ---- block_diag


def _block_diag(*xs):
    lead = xs[0].shape[:-2]
    out = np.zeros((*lead, sum([x.shape[-2] for x in xs]), sum([x.shape[-1] for x in xs])), xs[0].dtype)
    r = c = 0
    for x in xs:
        out[..., r : r + x.shape[-2], c : c + x.shape[-1]] = x
        r, c = r + x.shape[-2], c + x.shape[-1]
    return out


def _block_diag_transpose(o, g, s):
    parts, r, c = [], 0, 0
    for n, m in s:
        parts.append(o.slices(g, index=(..., slice(r, r + n), slice(c, c + m))))
        r, c = r + n, c + m
    return parts


block_diag_p = move("block_diag", _block_diag, _block_diag_transpose, linear_in=None, front=True)


@public(method=False)
def block_diag(*tensors):
    """A matrix with the given matrices (vectors are rows, numbers 1 by 1) on its diagonal.

    >>> import chainrule as torch
    >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor([3]))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    tensors = same_dtype(tensors)
    for i, t in enumerate(tensors):
        if t._data.ndim > 2:
            raise ShapeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {t._data.ndim} "
                "dimensions"
            )
    if not tensors:
        raise ArgumentError("block_diag(): expected at least one tensor")
    return block_diag_p(*[two_d(t) for t in tensors])


# ---- grids and products


@public(method=False)
def meshgrid(*tensors, indexing=None):
    """Coordinate grids of vectors: result i holds ``tensors[i]`` along dimension i ("ij"), or with the first two
    swapped ("xy").

    >>> import chainrule as torch
    >>> x, y = torch.meshgrid(torch.tensor([1, 2]), torch.tensor([3, 4, 5]), indexing="ij")
    >>> y
    tensor([[3, 4, 5],
            [3, 4, 5]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    if indexing not in (None, "ij", "xy"):
        raise ShapeError(f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if not tensors:
        raise ShapeError("meshgrid expects a non-empty TensorList")
    for i, t in enumerate(tensors):
        if not isinstance(t, Tensor):
            raise ArgumentError(
                f"meshgrid(): argument 'tensors' (position {i + 1}) must be Tensor, not {type(t).__name__}"
            )
        if t._data.ndim > 1:
            raise ShapeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: shape {list(t._data.shape)}"
            )
        if t._data.dtype != tensors[0]._data.dtype:
            raise ShapeError("torch.meshgrid expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(tensors) >= 2
    order = (tensors[1], tensors[0], *tensors[2:]) if swap else tensors
    shape = tuple([t._data.size for t in order])
    n = len(shape)
    grids = []
    for i, t in enumerate(order):
        column = view_p(t, shape=(1,) * i + (t._data.size,) + (1,) * (n - i - 1))
        grids.append(expand_p(column, shape=shape))
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@public(method=False)
def cartesian_prod(*tensors):
    """All combinations of one element of each vector, as rows; for one vector, the vector itself.

    >>> import chainrule as torch
    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor([[1, 3],
            [1, 4],
            [2, 3],
            [2, 4]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        tensors = tuple(tensors[0])
    for t in tensors:
        if t._data.ndim != 1:
            raise ShapeError(f"Expect a 1D vector, but got shape {list(t._data.shape)}")
    if len(tensors) == 1:
        return alias_p(tensors[0])
    grids = meshgrid(*tensors, indexing="ij")
    return stack([reshape_p(g, shape=(g._data.size,)) for g in grids], 1)


@public
def combinations(input, r=2, with_replacement=False):
    """All ways to take ``r`` elements of a vector, as rows, in the vector's order.

    >>> import chainrule as torch
    >>> torch.combinations(torch.tensor([1, 2, 3]))
    tensor([[1, 2],
            [1, 3],
            [2, 3]])
    """
    if input._data.ndim != 1:
        raise ShapeError(f"Expect a 1D vector, but got shape {list(input._data.shape)}")
    if r < 0:
        raise ShapeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return Tensor._wrap(np.zeros(0, input._data.dtype))
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input._data.shape[0]), r))
    index = np.array(rows, np.int64).reshape(len(rows), r)
    return index_p(input, Tensor._wrap(index), dims=(-1,))
