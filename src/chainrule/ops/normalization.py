"""Normalisation layers: batch, layer, group, instance, RMS, local response.

The first four are one primitive: subtract the mean and divide by the standard deviation over ``dims``, then scale and
shift. It also returns mean and 1 / deviation, which the backward pass on arrays reuses; the recorded one computes them
again, differentiably.
"""

import math

import numpy as np

from ..config import switches
from ..errors import ArgumentValueError, DTypeError, ShapeError
from ..primitive import primitive, public, recorded
from .loss_common import check_tensors
from .shape import reshape_p

F = {"namespaces": ("nn.functional", "torch"), "method": False}

# ---- the primitive: weight and bias take the shape ``affine`` to broadcast against x


def _standardize(x, w=None, b=None, *, dims, affine, eps):
    if x.itemsize == 2:
        wide = [None if a is None else a.astype(np.float32) for a in (x, w, b)]
        return tuple(a.astype(x.dtype) for a in _standardize(*wide, dims=dims, affine=affine, eps=eps))
    n = math.prod([x.shape[d] for d in dims]) or math.nan
    scale = x.dtype.type(1 / n)
    mean = np.add.reduce(x, axis=dims, keepdims=True)
    mean *= scale
    y = x - mean
    rstd = np.add.reduce(y * y, axis=dims, keepdims=True)
    rstd *= scale
    rstd += eps
    np.sqrt(rstd, out=rstd)
    np.reciprocal(rstd, out=rstd)
    if w is not None and affine == rstd.shape[-len(affine) :]:
        y *= rstd * w.reshape(affine)
    else:
        y *= rstd
        if w is not None:
            y *= w.reshape(affine)
    if b is not None:
        y += b.reshape(affine)
    return y, mean, rstd


def _standardize_grad(g, x, mean, rstd, w, needs, *, dims, affine):
    """The gradients on arrays: x, weight, bias."""
    gx = gw = gb = None
    xhat = x - mean
    xhat *= rstd
    scale = x.dtype.type(1 / (math.prod([x.shape[d] for d in dims]) or math.nan))
    if needs[1] or (needs[0] and w is None):
        product = g * xhat
    if needs[1]:
        gw = _sum_to(product, affine).reshape(w.shape)
    if needs[2]:
        gb = _sum_to(g, affine).reshape(math.prod(affine)) if len(affine) != 1 else _sum_to(g, affine)
    if needs[0]:
        if w is not None:
            g = g * w.reshape(affine)
            product = g * xhat
        c = np.add.reduce(product, axis=dims, keepdims=True)
        c *= scale
        m = np.add.reduce(g, axis=dims, keepdims=True)
        m *= scale
        xhat *= c
        gx = g - m
        gx -= xhat
        gx *= rstd
    return gx, gw, gb


def _sum_to(x, shape):
    lead = x.ndim - len(shape)
    axes = tuple(range(lead)) + tuple([lead + i for i, n in enumerate(shape) if n == 1 and x.shape[lead + i] != 1])
    return np.add.reduce(x, axis=axes) if axes else x


def _layer(x, w=None, b=None, *, dims, affine, eps):
    """``_standardize`` over the last dimensions, as rows: sums are products with vectors, which BLAS does several
    times faster.
    """
    n = math.prod(affine)
    if x.itemsize == 2 or not x.size:
        return _standardize(x, w, b, dims=dims, affine=affine, eps=eps)
    rows = x.reshape(-1, n)
    mean = rows.dot(np.full(n, 1 / n, x.dtype))[:, None]
    y = rows - mean
    rstd = np.vecdot(y, y)[:, None]
    rstd *= x.dtype.type(1 / n)
    rstd += eps
    np.sqrt(rstd, rstd)
    np.reciprocal(rstd, rstd)
    y *= rstd
    if w is not None:
        y *= w.reshape(n)
    if b is not None:
        y += b.reshape(n)
    kept = x.shape[: x.ndim - len(affine)] + (1,) * len(affine)
    return y.reshape(x.shape), mean.reshape(kept), rstd.reshape(kept)


def _layer_grad(g, x, mean, rstd, w, needs, *, dims, affine):
    n = math.prod(affine)
    if x.itemsize == 2 or not x.size:
        return _standardize_grad(g, x, mean, rstd, w, needs, dims=dims, affine=affine)
    g, rstd = g.reshape(-1, n), rstd.reshape(-1, 1)
    xhat = x.reshape(-1, n) - mean.reshape(-1, 1)
    xhat *= rstd
    product = g * xhat
    ones = np.ones(g.shape[0], g.dtype)
    gw = ones.dot(product).reshape(affine) if needs[1] else None
    gb = ones.dot(g).reshape(affine) if needs[2] else None
    if not needs[0]:
        return None, gw, gb
    scale = np.full(n, 1 / n, g.dtype) if w is None else w.reshape(n) * x.dtype.type(1 / n)
    xhat *= product.dot(scale)[:, None]
    xhat += g.dot(scale)[:, None]
    gx = g - xhat if w is None else np.subtract(g * w.reshape(n), xhat, out=xhat)
    gx *= rstd
    return gx.reshape(x.shape), gw, gb


def _rule(o, g, s, y, x, w, b, *, dims, affine, eps, needs):
    if not o.recorded:
        rows = dims == tuple(range(-len(affine), 0))
        gx, gw, gb = (_layer_grad if rows else _standardize_grad)(
            g[0], x, y[1], y[2], w, needs, dims=dims, affine=affine
        )
        return gx, gw, gb if gb is None else gb.reshape(s[2])
    g = g[0]
    centred = x - o.mean(x, dim=dims, keepdim=True)
    rstd = o.rsqrt(o.mean(centred * centred, dim=dims, keepdim=True) + eps)
    xhat = centred * rstd
    gw = o.reshape(o.sum_to(g * xhat, shape=affine), shape=s[1]) if needs[1] else None
    gb = o.reshape(o.sum_to(g, shape=affine), shape=s[2]) if needs[2] else None
    gx = None
    if needs[0]:
        if s[1] is not None:
            g = g * o.reshape(w, shape=affine)
        mean = o.mean(g, dim=dims, keepdim=True)
        gx = rstd * (g - mean - xhat * o.mean(g * xhat, dim=dims, keepdim=True))
    return gx, gw, gb


def _define(o, x, w=None, b=None, *, dims, affine, eps):
    centred = x - o.mean(x, dim=dims, keepdim=True)
    y = centred * o.rsqrt(o.mean(centred * centred, dim=dims, keepdim=True) + eps)
    if w is not None:
        y = y * o.reshape(w, shape=affine)
    return y if b is None else y + o.reshape(b, shape=affine)


# One operator under the three names PyTorch shows in the graph.
layer_norm_p, batch_norm_p, group_norm_p = (
    primitive(name, kernel, vjp=_rule, outputs=3, outputs_read=(), define=_define, node_name=f"Native{title}Backward0")
    for name, title, kernel in (
        ("layer_norm", "LayerNorm", _layer),
        ("batch_norm", "BatchNorm", _standardize),
        ("group_norm", "GroupNorm", _standardize),
    )
)


# ---- public functions


def _dtype(operator, input, **others):
    check_tensors(operator, input=input, **others)
    d = input._data.dtype
    if d.kind not in "fV":
        raise DTypeError(f"{operator}(): not implemented for {d} input; convert with .float()")
    for name, t in others.items():
        if t is not None and t._data.dtype != d:
            raise DTypeError(
                f"{operator}(): expected {name} of the input's dtype {d} but found {t._data.dtype}; convert it"
            )


def _trailing(operator, input, normalized_shape, **affine):
    """``normalized_shape`` as a tuple, checked against the input's last sizes."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape:
        raise ShapeError(
            f"{operator}(): Expected normalized_shape to be at least 1-dimensional, but got normalized_shape = []"
        )
    for name, t in affine.items():
        if t is not None and tuple(t._data.shape) != shape:
            raise ShapeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(t._data.shape)} "
                f"and normalized_shape = {list(shape)}"
            )
    sx = input._data.shape
    if len(sx) < len(shape) or sx[len(sx) - len(shape) :] != shape:
        expected = ", ".join(["*", *map(str, shape)])
        raise ShapeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [{expected}], but got input of "
            f"size{list(sx)}"
        )
    return shape


@public(**F)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5, cudnn_enable=True):
    """Standardise over the last dimensions, of sizes ``normalized_shape``, then scale and shift by weight and bias of
    that shape.

    Raises ShapeError if the input's last sizes, weight or bias are not ``normalized_shape``.

    >>> import chainrule as torch
    >>> torch.nn.functional.layer_norm(torch.tensor([[1.0, 3.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    _dtype("layer_norm", input, weight=weight, bias=bias)
    shape = _trailing("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return layer_norm_p(input, weight, bias, dims=tuple(range(-len(shape), 0)), affine=shape, eps=eps)[0]


@public(**F)
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """Divide by the root mean square over the last dimensions (no mean is subtracted), then scale by weight.

    eps: None means the dtype's machine epsilon.  Raises ShapeError as ``layer_norm`` does.

    >>> import chainrule as torch
    >>> torch.nn.functional.rms_norm(torch.tensor([[3.0, 4.0]]), (2,))
    tensor([[0.8485, 1.1314]])
    """
    check_tensors("rms_norm", input=input, weight=weight)
    shape = _trailing("rms_norm", input, normalized_shape, weight=weight)
    if eps is None:
        eps = float(np.finfo(input._data.dtype).eps) if input._data.dtype.kind == "f" else 0.0078125
    dims = tuple(range(-len(shape), 0))
    y = input * recorded.rsqrt(recorded.mean(input * input, dim=dims, keepdim=True) + eps)
    return y if weight is None else y * weight


def _channel_sized(operator, channels, **tensors):
    for name, t in tensors.items():
        if t is not None and t._data.shape != (channels,):
            raise ShapeError(
                f"{operator}(): {name} should contain {channels} elements (one per channel) but has shape "
                f"{list(t._data.shape)}"
            )


@public(namespaces=("nn.functional",), method=False)
def batch_norm(input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    """Standardise each channel of (N, C, *) over the batch (training) or by the running statistics, then scale and
    shift.

    In training, ``running_mean`` and ``running_var`` (may be None) move towards the batch's by ``momentum``, in place;
    the running variance is the unbiased one.
    Raises ArgumentValueError for one value per channel in training, ShapeError for sizes that do not fit.

    >>> import chainrule as torch
    >>> torch.nn.functional.batch_norm(torch.tensor([[1.0], [3.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    _dtype("batch_norm", input, weight=weight, bias=bias)
    sx = input._data.shape
    if 0 in sx:
        return (
            input.clone()
            if weight is None
            else input * reshape_p(weight, shape=(*weight._data.shape, *[1] * (len(sx) - 2)))
        )
    if len(sx) < 2:
        raise ShapeError(f"batch_norm(): input must be (N, C, ...), got shape {list(sx)}")
    channels = sx[1]
    _channel_sized("batch_norm", channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    affine = (channels, *[1] * (len(sx) - 2))
    if not training:
        if running_mean is None or running_var is None:
            raise ShapeError("batch_norm(): Expected running_mean and running_var to be defined when training=False")
        rstd = recorded.rsqrt(running_var + eps)
        scale = rstd if weight is None else weight * rstd
        shift = -running_mean * scale if bias is None else bias - running_mean * scale
        return input * reshape_p(scale, shape=affine) + reshape_p(shift, shape=affine)
    count = sx[0] * math.prod(sx[2:])
    if count == 1:
        raise ArgumentValueError(
            f"Expected more than 1 value per channel when training, got input size torch.Size({list(sx)})"
        )
    dims = tuple([d for d in range(-len(sx), 0) if d != 1 - len(sx)])
    y, mean, rstd = batch_norm_p(input, weight, bias, dims=dims, affine=affine, eps=eps)
    if running_mean is not None or running_var is not None:
        _track(running_mean, running_var, mean._data, rstd._data, count, momentum, eps)
    return y


def _track(running_mean, running_var, mean, rstd, count, momentum, eps):
    """Move the running statistics towards the batch's."""
    if switches.tracer is not None:
        switches.tracer.lift((running_mean, running_var))
    if running_mean is not None:
        a = running_mean._data
        a += momentum * (mean.reshape(-1) - a)
        running_mean._bump()
    if running_var is not None:
        a = running_var._data
        variance = (1 / (rstd * rstd) - eps).reshape(-1) * (count / max(count - 1, 1))
        a += momentum * (variance - a)
        running_var._bump()


@public(namespaces=("nn.functional", "torch"), method=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-5):
    """Standardise each of ``num_groups`` groups of channels of every sample, then scale and shift each channel.

    Raises ShapeError unless the channels divide into the groups.

    >>> import chainrule as torch
    >>> torch.nn.functional.group_norm(torch.tensor([[[1.0, 3.0], [2.0, 6.0]]]), 2)
    tensor([[[-1.0000,  1.0000],
             [-1.0000,  1.0000]]])
    """
    _dtype("group_norm", input, weight=weight, bias=bias)
    sx = input._data.shape
    if len(sx) < 2:
        raise ShapeError(f"group_norm(): Expected at least 2 dimensions for input tensor but received {len(sx)}")
    n, channels = sx[:2]
    if num_groups <= 0:
        raise ShapeError(f"group_norm(): Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise ShapeError(
            "group_norm(): Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(sx)} and num_groups={num_groups}"
        )
    _channel_sized("group_norm", channels, weight=weight, bias=bias)
    if n * math.prod(sx[2:]) * channels // num_groups == n and n and math.prod(sx[1:]) == num_groups:
        raise ArgumentValueError(f"Expected more than 1 value per channel when training, got input size {list(sx)}")
    per, length = channels // num_groups, math.prod(sx[2:])
    x = reshape_p(input, shape=(n, num_groups, per, length))
    y = group_norm_p(x, weight, bias, dims=(-2, -1), affine=(num_groups, per, 1), eps=eps)[0]
    return reshape_p(y, shape=sx)


@public(namespaces=("nn.functional",), method=False)
def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5
):
    """Standardise each channel of every sample of (N, C, *) over its positions, then scale and shift.

    Running statistics, if given, follow the mean over the batch; without ``use_input_stats`` they are what is used.

    >>> import chainrule as torch
    >>> torch.nn.functional.instance_norm(torch.tensor([[[1.0, 3.0]]]))
    tensor([[[-1.0000,  1.0000]]])
    """
    _dtype("instance_norm", input, weight=weight, bias=bias)
    sx = input._data.shape
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if len(sx) < 2:
        raise ShapeError(f"instance_norm(): input must be (N, C, ...), got shape {list(sx)}")
    channels, count = sx[1], math.prod(sx[2:])
    if count == 1:
        raise ArgumentValueError(
            f"Expected more than 1 spatial element when training, got input size torch.Size({list(sx)})"
        )
    _channel_sized(
        "instance_norm", channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    affine = (channels, *[1] * (len(sx) - 2))
    dims = tuple(range(2 - len(sx), 0))
    y, mean, rstd = batch_norm_p(input, weight, bias, dims=dims, affine=affine, eps=eps)
    if (running_mean is not None or running_var is not None) and sx[0]:
        m = mean._data.reshape(sx[0], channels)
        variance = (1 / (rstd._data * rstd._data) - eps).reshape(sx[0], channels)
        _track(running_mean, running_var, m.mean(0), 1 / np.sqrt(variance.mean(0) + eps), count, momentum, eps)
    return y


@public(namespaces=("nn.functional",), method=False)
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """Divide by ``(k + alpha * mean of squares over ``size`` neighbouring channels) ** beta`` (Krizhevsky et al.,
    2012).

    >>> import chainrule as torch
    >>> torch.nn.functional.local_response_norm(torch.ones(1, 2, 1), 2, alpha=2.0, beta=1.0)
    tensor([[[0.5000],
             [0.3333]]])
    """
    check_tensors("local_response_norm", input=input)
    sx = input._data.shape
    if len(sx) < 3:
        raise ArgumentValueError(f"Expected 3D or higher dimensionality input (got {len(sx)} dimensions)")
    if math.prod(sx) == 0:
        return input
    x = reshape_p(input, shape=(sx[0], sx[1], math.prod(sx[2:])))
    squares = recorded.window_sum(
        x * x, kernel=(size, 1), stride=(1, 1), padding=((size // 2, (size - 1) // 2), (0, 0))
    )
    return input / (reshape_p(squares, shape=sx) * (alpha / size) + k) ** beta
