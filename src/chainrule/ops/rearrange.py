"""Copies in another order or number: flip, roll, rot90, repeat, tile, repeat_interleave, pixel and channel shuffles."""

import numpy as np

from ..dtypes import from_numpy_dtype
from ..errors import ArgumentError, ShapeError
from ..handle import Tensor, wrap
from ..primitive import primitive, public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.view import move
from .cast import clone_p
from .gathering import index_select_p
from .refusal import needs_values, refuse
from .shape import permute_p, reshape, sizes_of
from .views import int_argument

# ---- flip, roll, rot90


def _flip(x, dims):
    key = [slice(None)] * x.ndim
    for d in dims:
        key[d] = slice(None, None, -1)
    return x[tuple(key)].copy()


flip_p = move("flip", _flip, lambda o, g, s, *, dims: o.flip(g, dims=dims), front=True)


@public
def flip(input, *args, dims=None):
    """``input`` with the order along ``dims`` reversed; a copy.

    >>> import chainrule as torch
    >>> torch.flip(torch.tensor([[1, 2], [3, 4]]), (0, 1))
    tensor([[4, 3],
            [2, 1]])
    """
    n = tensor_argument(input, "flip")._data.ndim
    if dims is None and not args:
        raise ArgumentError('flip() missing 1 required positional arguments: "dims"')
    given = sizes_of(args if dims is None else (dims,), "flip")
    dims = tuple([one_dim(d, n, "flip") for d in given])
    for d in dims:
        if dims.count(d) > 1:
            raise ShapeError(f"dim {d + max(n, 1)} appears multiple times in the list of dims")
    return flip_p(input, dims=dims if n else ())


@public
def fliplr(input):
    """``input`` with dimension 1 reversed.

    >>> import chainrule as torch
    >>> torch.fliplr(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 1],
            [4, 3]])
    """
    n = tensor_argument(input, "fliplr")._data.ndim
    if n < 2:
        raise ShapeError(f"Input must be >= 2-d. fliplr() got a tensor with {n} dimensions")
    return flip_p(input, dims=(1 - n,))


@public
def flipud(input):
    """``input`` with dimension 0 reversed.

    >>> import chainrule as torch
    >>> torch.flipud(torch.tensor([1, 2, 3]))
    tensor([3, 2, 1])
    """
    n = tensor_argument(input, "flipud")._data.ndim
    if n < 1:
        raise ShapeError("Input must be >= 1-d. flipud() got a 0-d tensor")
    return flip_p(input, dims=(-n,))


roll_p = move(
    "roll",
    lambda x, shifts, dims: np.roll(x, shifts, dims),
    lambda o, g, s, *, shifts, dims: o.roll(g, shifts=tuple([-k for k in shifts]), dims=dims),
    front=True,
)


@public
def roll(input, shifts, dims=None):
    """Elements moved by ``shifts`` along ``dims``, those pushed over the end coming back in front; without dims, in
    the flattened tensor.

    >>> import chainrule as torch
    >>> torch.roll(torch.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    a = tensor_argument(input, "roll")._data
    shifts = sizes_of((shifts,), "roll")
    dims = () if dims is None else sizes_of((dims,), "roll")
    if not shifts:
        raise ShapeError("`shifts` required")
    if not dims and len(shifts) == 1:
        return reshape(roll_p(reshape(input, -1), shifts=shifts, dims=(-1,)), tuple(a.shape))
    if len(shifts) != len(dims):
        raise ShapeError(f"shifts and dimensions must align. shifts: {len(shifts)}, dims:{len(dims)}")
    dims = tuple([one_dim(d, a.ndim, "roll") for d in dims])
    return roll_p(input, shifts=shifts, dims=dims) if a.ndim else clone_p(input)


rot90_p = move(
    "rot90",
    lambda x, k, dims: np.rot90(x, k, dims).copy(),
    lambda o, g, s, *, k, dims: o.rot90(g, k=-k, dims=dims),
    front=True,
)


@public
def rot90(input, k=1, dims=(0, 1)):
    """``input`` turned ``k`` times by 90 degrees in the plane of two dimensions, from the first towards the second.

    >>> import chainrule as torch
    >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    n = tensor_argument(input, "rot90")._data.ndim
    dims = sizes_of((dims,), "rot90")
    if len(dims) != 2:
        raise ShapeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if n < 2:
        raise ShapeError(f"expected total dims >= 2, but got total dims = {n}")
    d0, d1 = one_dim(dims[0], n, "rot90"), one_dim(dims[1], n, "rot90")
    if d0 == d1:
        raise ShapeError(f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}")
    return rot90_p(input, k=int_argument(k, "rot90", "k"), dims=(d0, d1))


# ---- repeat


def _interleaved(shape, repeats):
    """``(r1, n1, r2, n2, ...)``, and the negative dimensions of the r's."""
    shape = (1,) * (len(repeats) - len(shape)) + tuple(shape)
    out = []
    for r, n in zip(repeats, shape, strict=True):
        out += (r, n)
    return tuple(out), tuple(range(-2 * len(repeats), 0, 2))


def _repeat(x, repeats):
    shape, _ = _interleaved(x.shape, repeats)
    once = tuple([n if i % 2 else 1 for i, n in enumerate(shape)])
    out = np.broadcast_to(x.reshape(once), shape)
    return out.reshape(tuple([r * n for r, n in zip(shape[::2], shape[1::2], strict=True)]))


def _repeat_transpose(o, g, s, *, repeats):
    shape, dims = _interleaved(s[0], repeats)
    return o.reshape(o.sum(o.reshape(g, shape=shape), dim=dims, keepdim=False), shape=s[0])


repeat_p = move("repeat", _repeat, _repeat_transpose)


@public(namespaces=())
def repeat(input, *args, repeats=None):
    """``input`` copied ``repeats[i]`` times along dimension i; further dimensions come in front.

    >>> import chainrule as torch
    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    a = tensor_argument(input, "repeat")._data
    repeats = sizes_of(args if repeats is None else (repeats,), "repeat")
    if len(repeats) < a.ndim:
        raise ShapeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor: repeat() got "
            f"{list(repeats)} for a tensor of shape {list(a.shape)}"
        )
    if repeats and min(repeats) < 0:
        shape = (1,) * (len(repeats) - a.ndim) + tuple(a.shape)
        sizes = [r * n for r, n in zip(repeats, shape, strict=True)]
        raise ShapeError(f"Trying to create tensor with negative dimension {min(sizes)}: {sizes}")
    return repeat_p(input, repeats=repeats) if repeats else clone_p(input)


@public
def tile(input, *args, dims=None):
    """Like ``repeat``, but with fewer repeats than dimensions the first ones are not repeated.

    >>> import chainrule as torch
    >>> torch.tile(torch.tensor([[1, 2]]), (2,))
    tensor([[1, 2, 1, 2]])
    """
    n = tensor_argument(input, "tile")._data.ndim
    dims = sizes_of(args if dims is None else (dims,), "tile")
    return repeat(input, (1,) * (n - len(dims)) + dims)


repeat_interleave_p = move(
    "repeat_interleave",
    lambda x, repeats, dim: np.repeat(x, repeats, dim),
    lambda o, g, s, *, repeats, dim: _interleave_back(o, g, s[0], repeats, dim),
    front=True,
    node_name="ViewBackward0",
)


def _interleave_back(o, g, shape, repeats, dim):
    at = len(shape) + dim
    split = (*shape[: at + 1], repeats, *shape[at + 1 :])
    return o.sum(o.reshape(g, shape=split), dim=(dim,), keepdim=False)


@public
def repeat_interleave(input, repeats=None, dim=None, *, output_size=None):
    """Each element (or slice along ``dim``) ``repeats`` times in a row; repeats: an int, or a vector with a number per
    slice.

    With one tensor of counts alone: the index that has i as often as ``input[i]`` says.

    >>> import chainrule as torch
    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    a = tensor_argument(input, "repeat_interleave")._data
    if repeats is None:
        return _repeated_places(input, _counts(input, "repeat_interleave"), output_size)
    if dim is None:
        input, dim = reshape(input, -1), -1
        a = input._data
    d = one_dim(dim, a.ndim, "repeat_interleave")
    if a.ndim == 0:
        input = reshape(input, 1)
        a = input._data
    n = a.shape[d]
    if isinstance(repeats, Tensor):
        counts = _counts(repeats, "repeat_interleave")
        if counts.size == 1:
            repeats = repeats.expand(n)
        elif counts.size != n:
            raise ShapeError(
                f"repeats must have the same size as input along dim, but got repeats.size(0) = {counts.size} and "
                f"input.size({dim}) = {n}"
            )
        return index_select_p(input, _repeated_places(repeats, repeats._data, output_size), dim=d)
    repeats = int_argument(repeats, "repeat_interleave", "repeats")
    if repeats < 0:
        raise ShapeError("Repeats must be non-negative")
    _check_output_size(output_size, repeats * n)
    return repeat_interleave_p(input, repeats=repeats, dim=d)


def _counts(repeats, operator):
    c = tensor_argument(repeats, operator, "repeats")._data
    if c.ndim > 1:
        raise ShapeError("repeats must be 0-dim or 1-dim tensor")
    if c.dtype not in (np.int64, np.int32):
        raise ShapeError(f"repeats has to be Long or Int tensor, got {from_numpy_dtype(c.dtype)}")
    if c.size:
        refuse(c < 0, ShapeError, "repeats can not be negative")
    return c


# The same for a known number of places; ``np.repeat`` cannot be told it, and a compiled step has to know it.
interleave_places_p = primitive(
    "interleave_places", lambda counts, size: np.searchsorted(np.cumsum(counts), np.arange(size), side="right")
)


def _repeated_places(repeats, counts, output_size):
    """i as often as ``counts[i]`` (the array of ``repeats``) says."""
    if type(counts) is np.ndarray:
        _check_output_size(output_size, int(counts.sum()))
        return wrap(np.repeat(np.arange(counts.size), counts))
    if output_size is None:
        needs_values(counts, "repeat_interleave", "the size of its result", "Pass output_size=")
    text = f"repeat_interleave: allocated size does not match required size: output_size={output_size}"
    refuse(np.add.reduce(counts) != output_size, ShapeError, text)
    return interleave_places_p(repeats, size=output_size)


def _check_output_size(output_size, size):
    if output_size is not None and output_size != size:
        raise ShapeError(
            f"repeat_interleave: allocated size does not match required size: output_size={output_size}, needed {size}"
        )


# ---- pixels and channels


def _image(input, operator, least=3):
    a = tensor_argument(input, operator)._data
    if a.ndim < least:
        raise ShapeError(
            f"{operator} expects input to have at least {least} dimensions, but got input with {a.ndim} dimension(s)"
        )
    return tuple(a.shape)


def _shuffled(input, split, order, shape):
    """Split, permute, merge: ``order`` is over the last ``len(order)`` dimensions."""
    x = reshape(input, split)
    n, k = len(split), len(order)
    dims = (*range(-n, -k), *[o - k for o in order])
    return reshape(permute_p(x, dims=dims), shape)


@public(namespaces=("torch", "nn.functional"), method=False)
def pixel_shuffle(input, upscale_factor):
    """``(*, C·r², H, W)`` to ``(*, C, H·r, W·r)``: channels become pixels.

    >>> import chainrule as torch
    >>> torch.nn.functional.pixel_shuffle(torch.arange(4).reshape(1, 4, 1, 1), 2)
    tensor([[[[0, 1],
              [2, 3]]]])
    """
    s, r = _image(input, "pixel_shuffle"), upscale_factor
    if r <= 0:
        raise ShapeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = s
    if c % (r * r):
        raise ShapeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            "but "
            f"input.size(-3)={c} is not divisible by {r * r}"
        )
    c //= r * r
    return _shuffled(input, (*lead, c, r, r, h, w), (0, 3, 1, 4, 2), (*lead, c, h * r, w * r))


@public(namespaces=("torch", "nn.functional"), method=False)
def pixel_unshuffle(input, downscale_factor):
    """``(*, C, H·r, W·r)`` to ``(*, C·r², H, W)``: pixels become channels.

    >>> import chainrule as torch
    >>> torch.nn.functional.pixel_unshuffle(torch.arange(4).reshape(1, 1, 2, 2), 2).flatten()
    tensor([0, 1, 2, 3])
    """
    s, r = _image(input, "pixel_unshuffle"), downscale_factor
    if r <= 0:
        raise ShapeError(f"pixel_unshuffle expects a positive downscale_factor, but got {r}")
    *lead, c, h, w = s
    for name, at, n in (("height", -2, h), ("width", -1, w)):
        if n % r:
            raise ShapeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but input.size({at})={n} is not "
                f"divisible by {r}"
            )
    h, w = h // r, w // r
    return _shuffled(input, (*lead, c, h, r, w, r), (0, 2, 4, 1, 3), (*lead, c * r * r, h, w))


@public(namespaces=("torch", "nn.functional"), method=False, aliases=("native_channel_shuffle",))
def channel_shuffle(input, groups):
    """Channels of ``(N, C, *)`` dealt out: split into ``groups``, then interleaved.

    >>> import chainrule as torch
    >>> torch.nn.functional.channel_shuffle(torch.arange(4).reshape(1, 4, 1, 1), 2).flatten()
    tensor([0, 2, 1, 3])
    """
    s = _image(input, "channel_shuffle")
    if groups <= 0:
        raise ShapeError(f"Number of groups to divide channels in must be positive. Value of groups:{groups}")
    n, c, *rest = s
    if c % groups:
        raise ShapeError(f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups.")
    x = reshape(input, (n, groups, c // groups, *rest))
    k = len(rest) + 3
    return reshape(permute_p(x, dims=(-k, 2 - k, 1 - k, *range(3 - k, 0))), s)
