"""Padding, and images as columns: nn.functional.pad, unfold (im2col) and fold (col2im)."""

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ..errors import ShapeError, UnsupportedError
from ..primitive import linear, primitive, public
from ..primitive.arguments import tensor_argument
from .shape import FULL, sizes_of

# ---- constant: the transpose of padding is padding with the numbers negated (negative numbers crop)


def _constant_pad(x, pad, value):
    lead = x.ndim - len(pad)
    shape = (*x.shape[:lead], *[n + a + b for n, (a, b) in zip(x.shape[lead:], pad, strict=True)])
    inside, source = [...], [...]
    for n, (a, b) in zip(x.shape[lead:], pad, strict=True):
        inside.append(slice(max(a, 0), max(a, 0) + n + min(a, 0) + min(b, 0)))
        source.append(slice(max(-a, 0), n - max(-b, 0)))
    out = np.full(shape, value, x.dtype) if value else np.zeros(shape, x.dtype)
    out[tuple(inside)] = x[tuple(source)]
    return out


constant_pad_p = primitive(
    "constant_pad_nd",
    _constant_pad,
    (lambda o, g, s, y, x, *, pad, value: o.constant_pad_nd(g, pad=tuple([(-a, -b) for a, b in pad]), value=0),),
    front=True,
)

# ---- reflect, replicate, circular: elements of the tensor again


def _source_places(n, lo, hi, mode):
    """For each place along a padded dimension, the element it repeats."""
    place = np.arange(-lo, n + hi)
    if mode == "replicate":
        return place.clip(0, n - 1)
    if mode == "circular":
        return place % n
    place = np.abs(place)
    return np.where(place >= n, 2 * (n - 1) - place, place)


def _pad_edges(x, pad, mode):
    for d, (lo, hi) in zip(range(-len(pad), 0), pad, strict=True):
        if lo or hi:
            x = x.take(_source_places(x.shape[d], lo, hi, mode), axis=d)
    return x


def _unpad_edges(g, pad, mode):
    """Each element's gradient is the sum over the places that repeat it."""
    for d, (lo, hi) in zip(range(-len(pad), 0), pad, strict=True):
        if lo or hi:
            g = _unpad_dim(g, d, lo, hi, mode)
    return g


def _unpad_dim(g, d, lo, hi, mode):
    rest = FULL[-d - 1]
    m = g.shape[d]
    n = m - lo - hi
    at = g.ndim + d
    out = np.zeros((*g.shape[:at], n, *g.shape[at + 1 :]), g.dtype)
    out[(..., slice(max(-lo, 0), n - max(-hi, 0)), *rest)] = g[(..., slice(max(lo, 0), m - max(hi, 0)), *rest)]
    for k, edge, target in (
        (lo, slice(0, lo), {"replicate": slice(0, 1), "reflect": slice(1, lo + 1), "circular": slice(n - lo, n)}),
        (
            hi,
            slice(m - hi, m),
            {"replicate": slice(n - 1, n), "reflect": slice(n - 1 - hi, n - 1), "circular": slice(0, hi)},
        ),
    ):
        if k > 0:
            part = g[(..., edge, *rest)]
            if mode == "replicate":
                part = np.add.reduce(part, axis=d, keepdims=True)
            elif mode == "reflect":
                part = part[(..., slice(None, None, -1), *rest)]
            out[(..., target[mode], *rest)] += part
    return out


def _edge_name(arrays, params):
    kind = {"reflect": "ReflectionPad", "replicate": "ReplicationPad"}.get(params["mode"])
    return f"{kind}{len(params['pad'])}DBackward0" if kind else "CopySlices"


pad_edges_p = linear(
    "pad_edges",
    _pad_edges,
    lambda o, g, s, *, pad, mode: o.unpad_edges(g, pad=pad, mode=mode),
    front=True,
    node_name=_edge_name,
)
linear("unpad_edges", _unpad_edges, lambda o, g, s, *, pad, mode: o.pad_edges(g, pad=pad, mode=mode), front=True)

_COMBINATIONS = """
Supported combinations for non-constant padding:
  - 2D or 3D input: padding size = 2 (pads last dimension)
  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)
  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"""


@public(namespaces=("nn.functional",), method=False)
def pad(input, pad, mode="constant", value=None):
    """Elements added before and after: ``pad`` is (last dim before, after, dim before it before, after, ...); negative
    numbers crop.

    mode: "constant" (``value``, 0 by default; any number of dimensions), "reflect", "replicate" or "circular" (the
    last 1 to 3).

    >>> import chainrule as torch
    >>> torch.nn.functional.pad(torch.tensor([[1, 2]]), (1, 2))
    tensor([[0, 1, 2, 0, 0]])
    """
    a = tensor_argument(input, "pad")._data
    widths = sizes_of((pad,), "pad")
    if len(widths) % 2:
        raise ShapeError(f"Padding length must be divisible by 2, got {len(widths)} numbers")
    if len(widths) > 2 * a.ndim:
        raise ShapeError(
            "Padding length should be less than or equal to two times the input dimension but got padding length "
            f"{len(widths)} and input of dimension {a.ndim}"
        )
    pairs = tuple([(widths[i], widths[i + 1]) for i in range(len(widths) - 2, -1, -2)])
    if mode == "constant":
        for n, (lo, hi) in zip(a.shape[a.ndim - len(pairs) :], pairs, strict=True):
            if n + lo + hi < 0 or n + min(lo, 0) + min(hi, 0) < 0:
                raise ShapeError(
                    f"narrow(): length must be non-negative. pad() crops a dimension of size {n} by {(lo, hi)}"
                )
        return constant_pad_p(input, pad=pairs, value=0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise UnsupportedError(f"Unrecognised padding mode {mode}; expected constant, reflect, replicate or circular")
    if value:
        raise ShapeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if len(pairs) not in (1, 2, 3) or a.ndim not in (len(pairs) + 1, len(pairs) + 2):
        raise UnsupportedError(
            f"Padding size {len(widths)} is not supported for {a.ndim}D input tensor.{_COMBINATIONS}"
        )
    for i, (lo, hi) in enumerate(pairs, a.ndim - len(pairs)):
        n = a.shape[i]
        if mode == "reflect" and (lo >= n or hi >= n):
            raise ShapeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, but got: padding "
                f"({lo}, {hi}) at dimension {i} of input {list(a.shape)}"
            )
        if mode == "circular" and (lo > n or hi > n):
            raise ShapeError("Padding value causes wrapping around more than once.")
        if n == 0 or n + lo + hi < 1:
            raise ShapeError(
                f"pad(): dimension {i} of input {list(a.shape)} would have size {n + lo + hi}; expected at least 1"
            )
    if mode == "circular" and min(widths, default=0) < 0:  # PyTorch crops first, then wraps what is left
        input = constant_pad_p(input, pad=tuple([(min(a, 0), min(b, 0)) for a, b in pairs]), value=0)
        pairs = tuple([(max(a, 0), max(b, 0)) for a, b in pairs])
    return pad_edges_p(input, pad=pairs, mode=mode)


# ---- unfold and fold


def _two(x, name, operator):
    if isinstance(x, int):
        return (x, x)
    x = sizes_of((x,), operator)
    if len(x) == 1:
        return x * 2
    if len(x) != 2:
        raise ShapeError(f"It is expected {name} equals to 2, but got size {len(x)}")
    return x


def blocks(size, kernel, dilation, padding, stride):
    """How many windows fit, per dimension."""
    return tuple(
        [
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
        ]
    )


def _im2col(x, size, kernel, dilation, padding, stride):
    oh, ow = blocks(size, kernel, dilation, padding, stride)
    if padding != (0, 0):
        x = _constant_pad(x, ((padding[0],) * 2, (padding[1],) * 2), 0)
    sh, sw = x.strides[-2:]
    view = as_strided(
        x,
        (*x.shape[:-2], *kernel, oh, ow),
        (*x.strides[:-2], sh * dilation[0], sw * dilation[1], sh * stride[0], sw * stride[1]),
        writeable=False,
    )
    return view.reshape((*x.shape[:-3], x.shape[-3] * kernel[0] * kernel[1], oh * ow))


def _col2im(x, size, kernel, dilation, padding, stride):
    oh, ow = blocks(size, kernel, dilation, padding, stride)
    kh, kw = kernel
    c = x.shape[-2] // (kh * kw)
    x = x.reshape((*x.shape[:-2], c, kh, kw, oh, ow))
    (h, w), (ph, pw) = size, padding
    out = np.zeros((*x.shape[:-5], c, h + 2 * ph, w + 2 * pw), x.dtype)
    for i in range(kh):  # one place of the window at a time: its elements do not overlap
        rows = slice(i * dilation[0], i * dilation[0] + (oh - 1) * stride[0] + 1, stride[0])
        for j in range(kw):
            columns = slice(j * dilation[1], j * dilation[1] + (ow - 1) * stride[1] + 1, stride[1])
            out[..., rows, columns] += x[..., i, j, :, :]
    return np.ascontiguousarray(out[..., ph : ph + h, pw : pw + w]) if ph or pw else out


im2col_p = linear("im2col", _im2col, lambda o, g, s, **kw: o.col2im(g, **kw), front=True, node_name="Im2ColBackward0")
col2im_p = linear("col2im", _col2im, lambda o, g, s, **kw: o.im2col(g, **kw), front=True, node_name="Col2ImBackward0")


def _window_arguments(kernel_size, dilation, padding, stride, operator):
    out = {}
    for name, x, least in (
        ("kernel", kernel_size, 1),
        ("dilation", dilation, 1),
        ("padding", padding, 0),
        ("stride", stride, 1),
    ):
        x = _two(x, f"{name}_size" if name == "kernel" else name, operator)
        if min(x) < least:
            word = "non-negative" if least == 0 else "greater than zero"
            raise ShapeError(f"{name} should be {word}, but got {x}")
        out[name] = x
    return out


@public(name="unfold", namespaces=("nn.functional",), method=False)
def image_to_columns(input, kernel_size, dilation=1, padding=0, stride=1):
    """Windows of images as columns: (N, C, H, W) to (N, C·kh·kw, L), L the number of windows. Unbatched (C, H, W) also
    works.

    >>> import chainrule as torch
    >>> torch.nn.functional.unfold(torch.zeros(1, 3, 4, 5), 2).shape
    torch.Size([1, 12, 12])
    """
    a = tensor_argument(input, "unfold")._data
    kw = _window_arguments(kernel_size, dilation, padding, stride, "unfold")
    if a.ndim not in (3, 4) or 0 in a.shape[-3:]:
        raise ShapeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions for "
            "input, but got: "
            f"{list(a.shape)}"
        )
    size = tuple(a.shape[-2:])
    count = blocks(size, **kw)
    if min(count) < 1:
        raise ShapeError(
            f"Given input with spatial size {size}, kernel_size={kw['kernel']}, dilation={kw['dilation']}, "
            f"padding={kw['padding']}, "
            f"calculated shape of the array of sliding blocks as {count}, but its components must be at least one."
        )
    return im2col_p(input, size=size, **kw)


@public(name="fold", namespaces=("nn.functional",), method=False)
def columns_to_image(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The sum of windows back in their places: (N, C·kh·kw, L) to (N, C, H, W). Unbatched (C·kh·kw, L) also works.

    >>> import chainrule as torch
    >>> torch.nn.functional.fold(torch.ones(1, 4, 2), (2, 3), 2)
    tensor([[[[1., 2., 1.],
              [1., 2., 1.]]]])
    """
    a = tensor_argument(input, "fold")._data
    kw = _window_arguments(kernel_size, dilation, padding, stride, "fold")
    size = _two(output_size, "output_size", "fold")
    if a.ndim not in (2, 3) or 0 in a.shape[-2:]:
        raise ShapeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions for "
            "input, but got: "
            f"{list(a.shape)}"
        )
    c, n = a.shape[-2:]
    if c % (kw["kernel"][0] * kw["kernel"][1]):
        raise ShapeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={c} and kernel_size={kw['kernel']}."
        )
    count = blocks(size, **kw)
    if count[0] * count[1] != n or min(count) < 1:
        raise ShapeError(
            f"Given output_size={size}, kernel_size={kw['kernel']}, dilation={kw['dilation']}, "
            f"padding={kw['padding']}, "
            f"stride={kw['stride']}, expected size of input's dimension 2 to match the calculated number of sliding "
            "blocks "
            f"{count[0]} * {count[1]} = {count[0] * count[1]}, but got input.size(2)={n}."
        )
    return col2im_p(input, size=size, **kw)
