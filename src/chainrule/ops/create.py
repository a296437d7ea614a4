"""Making tensors."""

import builtins
import warnings

import numpy as np

from .. import dtypes
from ..config import defaults
from ..devices import device as Device
from ..dtypes import as_dtype, from_numpy_dtype
from ..errors import ArgumentError, ArgumentValueError, DomainError, DTypeError, UnsupportedError
from ..handle import Tensor, wrap
from ..primitive import primitive, public
from ..primitive.arguments import size_tuple, tensor_argument
from ..primitive.promote import number_dtype


def _np_dtype(dtype, default=None):
    return (default or defaults.dtype).np if dtype is None else as_dtype(dtype).np


def _finish(array, device, requires_grad):
    if device is not None:
        Device(device)
    t = wrap(array)
    if requires_grad:
        t.requires_grad_()
    return t


def _first_leaf(data):
    while isinstance(data, (list, tuple)):
        if not data:
            return None
        data = data[0]
    return data


def _strip(data):
    """Nested sequences with tensors in them, as nested sequences of arrays."""
    if isinstance(data, (list, tuple)):
        return [_strip(x) for x in data]
    return data._data if isinstance(data, Tensor) else data


def _ragged(data, depth=0):
    """PyTorch's message for a nested sequence whose rows differ."""
    if isinstance(data, (list, tuple)):
        lengths = [len(x) if isinstance(x, (list, tuple)) else -1 for x in data]
        if lengths and any(n != lengths[0] for n in lengths):
            bad = next(n for n in lengths if n != lengths[0])
            return f"expected sequence of length {lengths[0]} at dim {depth + 1} (got {bad})"
        for x in data:
            text = _ragged(x, depth + 1)
            if text:
                return text
    return ""


def to_array(data, dtype=None):
    """Any data as a NumPy array that is a copy, in PyTorch's inferred dtype."""
    if isinstance(data, Tensor):
        a = data._data
    elif isinstance(data, (np.ndarray, np.generic)):
        a = np.asarray(data)
        from_numpy_dtype(a.dtype)
    else:
        leaf = _first_leaf(data)
        if isinstance(leaf, (list, tuple, Tensor)) or isinstance(data, (list, tuple)):
            data = _strip(data)
        try:
            a = np.array(data)
        except (ValueError, OverflowError) as error:
            if isinstance(error, OverflowError):
                raise DomainError(f"tensor(): Overflow when unpacking long: {error}") from None
            raise ArgumentValueError(
                f"tensor(): {_ragged(data) or error}; all rows of a nested sequence must have one length"
            ) from None
        if a.dtype.kind == "c":
            raise UnsupportedError("complex numbers are not supported; keep real and imaginary parts in two tensors")
        if a.dtype.kind == "O":
            if isinstance(leaf, builtins.int):
                raise DomainError("tensor(): Overflow when unpacking long: an integer does not fit in 64 bits")
            raise ArgumentError(
                f"tensor(): could not infer dtype of {type(leaf).__name__}; expected numbers or nested sequences of "
                "them"
            )
        if a.dtype.kind not in "biufV":
            raise ArgumentError(
                f"new(): invalid data type {type(leaf).__name__!r}; expected numbers or nested sequences of them"
            )
        if dtype is None:
            if a.size == 0 and leaf is None:
                a = a.astype(defaults.dtype.np)
            elif a.dtype.kind == "f" and not isinstance(leaf, (np.generic, np.ndarray, Tensor)):
                a = a.astype(defaults.dtype.np)
            elif a.dtype.kind in "iu" and not isinstance(leaf, (np.generic, np.ndarray, Tensor)):
                a = a.astype(np.int64)
        return a if dtype is None else a.astype(as_dtype(dtype).np, copy=False)
    if not a.dtype.isnative:
        a = a.astype(a.dtype.newbyteorder("="))
    return np.array(a, dtype=None if dtype is None else as_dtype(dtype).np, order="C")


@public(method=False)
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor from numbers, nested sequences or an array; the data is always copied.

    data: a number, nested lists or tuples of numbers, a NumPy array or a tensor.  dtype: default bool for bools, int64
    for ints, the default dtype for floats, an array's own dtype otherwise.

    Raises ArgumentValueError for ragged sequences, ArgumentError for data that are no numbers, DTypeError for
    ``requires_grad`` on integers.

    >>> import chainrule as torch
    >>> torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    tensor([[1., 2.],
            [3., 4.]])
    """
    return _finish(to_array(data, dtype), device, requires_grad)


@public(method=False)
def as_tensor(data, dtype=None, device=None):
    """A tensor that shares memory with ``data`` where it can (arrays and tensors of the right dtype)."""
    if isinstance(data, Tensor):
        return (
            data if dtype is None or as_dtype(dtype) is from_numpy_dtype(data._data.dtype) else data.to(as_dtype(dtype))
        )
    if isinstance(data, np.ndarray):
        t = from_numpy(data)
        return t if dtype is None else t.to(as_dtype(dtype))
    return tensor(data, dtype=dtype, device=device)


@public(method=False)
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """``obj`` as a tensor, sharing memory unless ``copy=True`` or a conversion is needed."""
    if copy:
        t = tensor(obj, dtype=dtype)
    else:
        t = as_tensor(obj, dtype=dtype)
        if copy is False and not (
            isinstance(obj, (Tensor, np.ndarray)) and np.shares_memory(t._data, getattr(obj, "_data", obj))
        ):
            raise ArgumentValueError("asarray: can't alias the data without a copy; use copy=None or copy=True")
    return t.requires_grad_() if requires_grad else t


@public(method=False)
def from_numpy(ndarray):
    """A tensor on the memory of a NumPy array, without copy; changes are seen on both sides."""
    if not isinstance(ndarray, np.ndarray):
        raise ArgumentError(f"expected np.ndarray (got {type(ndarray).__name__})")
    d = from_numpy_dtype(ndarray.dtype)
    if not ndarray.dtype.isnative or d.np != ndarray.dtype:
        raise DTypeError(f"from_numpy: byte order of {ndarray.dtype} is not this machine's; convert with .astype first")
    if any(n < 0 for n in ndarray.strides):
        raise ArgumentValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative strides are not "
            "supported. "
            "You can probably work around this by making a copy of your array with array.copy()."
        )
    return wrap(np.asarray(ndarray))


@public(method=False)
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A 1-D tensor on the memory of an object with the buffer protocol."""
    return _finish(np.frombuffer(buffer, as_dtype(dtype).np, count, offset), None, requires_grad)


@public(method=False)
def zeros(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Zeros of the given size.

    >>> import chainrule as torch
    >>> torch.zeros(2, 3)
    tensor([[0., 0., 0.],
            [0., 0., 0.]])
    """
    t = _finish(np.zeros(_size(size, "zeros"), _np_dtype(dtype)), device, requires_grad)
    return t if out is None else out.resize_(t._data.shape).copy_(t)


@public(method=False)
def ones(*size, out=None, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False):
    """Ones of the given size."""
    t = _finish(np.ones(_size(size, "ones"), _np_dtype(dtype)), device, requires_grad)
    return t if out is None else out.resize_(t._data.shape).copy_(t)


@public(method=False)
def empty(*size, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False, memory_format=None):
    """Memory of the given size with whatever was in it."""
    return _finish(np.empty(_size(size, "empty"), _np_dtype(dtype)), device, requires_grad)


@public(method=False)
def empty_strided(size, stride, *, dtype=None, layout=None, device=None, requires_grad=False):
    """Uninitialised memory with the given strides, counted in elements.

    Raises ArgumentValueError if sizes and strides are not of one number, or a stride is negative.

    >>> import chainrule as torch
    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    size, stride = _size((size,), "empty_strided"), size_tuple((stride,), "empty_strided")
    if len(size) != len(stride) or any(s < 0 for s in stride):
        raise ArgumentValueError(
            "empty_strided(): expected as many sizes as strides, none of them negative, "
            f"got {list(size)} and {list(stride)}"
        )
    reach = 1 + builtins.sum((n - 1) * s for n, s in zip(size, stride, strict=True)) if 0 not in size else 0
    memory = np.empty(reach, _np_dtype(dtype))
    strides = [s * memory.itemsize for s in stride]
    return _finish(np.lib.stride_tricks.as_strided(memory, size, strides), device, requires_grad)


def _size(size, who):
    size = size_tuple(size, who)
    for n in size:
        if n < 0:
            raise DomainError(f"{who}(): Trying to create tensor with negative dimension {n}: {list(size)}")
    return size


@public(method=False)
def full(size, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False):
    """The given size filled with one value; its kind decides the dtype unless ``dtype`` is given."""
    if isinstance(fill_value, Tensor):
        fill_value = fill_value.item()
    d = number_dtype(fill_value) if dtype is None else as_dtype(dtype)
    if d is None:
        raise ArgumentError(f"full(): argument 'fill_value' must be Number, not {type(fill_value).__name__}")
    size = (size,) if isinstance(size, builtins.int) else size
    return _finish(np.full(_size((tuple(size),), "full"), fill_value, d.np), device, requires_grad)


def _like(input, dtype):
    tensor_argument(input, "like")
    return input._data.shape, input._data.dtype if dtype is None else as_dtype(dtype).np


@public(method=False)
def zeros_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Zeros with the size and dtype of ``input``."""
    return _finish(np.zeros(*_like(input, dtype)), device, requires_grad)


@public(method=False)
def ones_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Ones with the size and dtype of ``input``."""
    return _finish(np.ones(*_like(input, dtype)), device, requires_grad)


@public(method=False)
def empty_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """Uninitialised memory with the size and dtype of ``input``."""
    return _finish(np.empty(*_like(input, dtype)), device, requires_grad)


@public(method=False)
def full_like(input, fill_value, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None):
    """The size and dtype of ``input``, filled with one value."""
    shape, d = _like(input, dtype)
    return _finish(
        np.full(shape, fill_value.item() if isinstance(fill_value, Tensor) else fill_value, d), device, requires_grad
    )


@public(method=False)
def scalar_tensor(s, *, dtype=None, layout=None, device=None, requires_grad=False):
    """A 0-d tensor."""
    return _finish(np.asarray(s, _np_dtype(dtype)), device, requires_grad)


def _plain(x):
    return x.item() if isinstance(x, Tensor) else x


@public(method=False)
def arange(start=0, end=None, step=1, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """``start, start + step, …`` up to, not including, ``end``. ``arange(n)`` counts from 0.

    >>> import chainrule as torch
    >>> torch.arange(5)
    tensor([0, 1, 2, 3, 4])
    """
    start, end, step = _plain(start), _plain(end), _plain(step)
    if end is None:
        start, end = 0, start
    if step == 0:
        raise DomainError("arange(): step must be nonzero")
    if (end - start) / step < 0:
        raise DomainError(f"arange(): upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}")
    if dtype is None:
        dtype = defaults.dtype if any(isinstance(v, builtins.float) for v in (start, end, step)) else dtypes.int64
    d = as_dtype(dtype).np
    count = (
        builtins.max(0, -(-(end - start) // step)) if d.kind in "iu" else builtins.int(np.ceil((end - start) / step))
    )
    if d.kind in "iu":
        a = (np.arange(builtins.int(count), dtype=np.int64) * step + start).astype(d)
    else:
        a = (np.arange(count, dtype=np.float64) * step + start).astype(d)
    return _finish(a, device, requires_grad)


@public(method=False)
def range(start=0, end=None, step=1, *, dtype=None, requires_grad=False):
    """As ``arange`` but with ``end`` included and floats by default. Deprecated, as in PyTorch."""
    warnings.warn("torch.range is deprecated; use torch.arange, which leaves out the end", UserWarning, stacklevel=2)
    start, end, step = _plain(start), _plain(end), _plain(step)
    if end is None:
        start, end = 0, start
    n = builtins.int(np.floor((end - start) / step)) + 1
    return _finish((np.arange(n, dtype=np.float64) * step + start).astype(_np_dtype(dtype)), None, requires_grad)


def _line(start, end, steps, whole):
    a = np.linspace(start, end, steps, dtype=np.float64)
    return np.trunc(a + np.copysign(1e-9, a)) if whole else a


# Stands in compiled functions alone.
line_p = primitive("line", lambda start, end, steps, whole: _line(start.item(), end.item(), steps, whole))


def _spaced(start, end, steps, dtype, who):
    if not hasattr(steps, "__index__") or steps < 0:
        raise DomainError(f"{who}(): number of steps must be a non-negative int, got {steps}")
    d = _np_dtype(dtype)
    whole = d.kind in "iu" and who == "linspace"
    if any(isinstance(x, Tensor) and hasattr(type(x._data), "values_needed") for x in (start, end)):
        start, end = (x if isinstance(x, Tensor) else wrap(np.asarray(x)) for x in (start, end))
        return line_p(start, end, steps=steps, whole=whole)._data, d
    return _line(_plain(start), _plain(end), steps, whole), d


@public(method=False)
def linspace(start, end, steps, *, dtype=None, layout=None, device=None, requires_grad=False):
    """``steps`` evenly spaced numbers from ``start`` to ``end``, both included."""
    a, d = _spaced(start, end, steps, dtype, "linspace")
    return _finish(a.astype(d), device, requires_grad)


@public(method=False)
def logspace(start, end, steps, base=10.0, *, dtype=None, layout=None, device=None, requires_grad=False):
    """``base`` to evenly spaced powers."""
    a, d = _spaced(start, end, steps, dtype, "logspace")
    return _finish(np.power(builtins.float(base), a).astype(d), device, requires_grad)


@public(method=False)
def eye(n, m=None, *, dtype=None, layout=None, device=None, requires_grad=False):
    """The identity matrix (n × n, or n × m)."""
    if n < 0 or (m is not None and m < 0):
        raise DomainError(f"eye(): n and m must be greater or equal to 0, got {n if n < 0 else m}")
    return _finish(np.eye(n, n if m is None else m, dtype=_np_dtype(dtype)), device, requires_grad)


@public(method=False)
def complex(real, imag):
    """Complex numbers are not supported."""
    raise UnsupportedError("complex numbers are not supported; keep real and imaginary parts in two tensors")
