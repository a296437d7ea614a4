"""Tensors to and from other types: dtypes, NumPy, DLPack, Python lists, pickles and copies."""

import numpy as np

from .. import dtypes, ops
from ..devices import device as Device
from ..dtypes import as_dtype
from ..errors import ArgumentError, GradientError, UnsupportedError
from ..handle import Tensor, wrap
from ..ops.cast import to_dtype
from .methods import method, prop, related


def _is_device(x):
    return isinstance(x, (Device, str))


@method
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, memory_format=None, other=None):
    """The tensor in another dtype (or ``self`` if nothing changes): ``to(dtype)``, ``to(device)``, ``to(device,
    dtype)``, ``to(other)``.

    There is one device, the CPU.  copy: always a copy.
    """
    for a in args:
        if isinstance(a, Tensor):
            dtype = a.dtype
        elif _is_device(a):
            device = a
        elif a is None or a is True or a is False:
            continue
        else:
            dtype = as_dtype(a)
    if other is not None:
        dtype = other.dtype
    if device is not None:
        Device(device)
    dtype = self.dtype if dtype is None else as_dtype(dtype)
    result = to_dtype(self, dtype)
    return ops.clone(self) if copy and result is self else result


def _caster(name, d):
    def cast(self, memory_format=None):
        return to_dtype(self, d)

    cast.__name__ = cast.__qualname__ = name
    cast.__doc__ = f"The tensor as {d}."
    setattr(Tensor, name, cast)


for _name, _d in (
    ("float", dtypes.float32),
    ("double", dtypes.float64),
    ("half", dtypes.float16),
    ("bfloat16", dtypes.bfloat16),
    ("long", dtypes.int64),
    ("int", dtypes.int32),
    ("short", dtypes.int16),
    ("char", dtypes.int8),
    ("byte", dtypes.uint8),
    ("bool", dtypes.bool),
):
    _caster(_name, _d)


@method
def type_as(self, other):
    """The tensor in the dtype of ``other``."""
    return to_dtype(self, other.dtype)


_TYPE_NAMES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "float16": "HalfTensor",
    "bfloat16": "BFloat16Tensor",
    "int64": "LongTensor",
    "int32": "IntTensor",
    "int16": "ShortTensor",
    "int8": "CharTensor",
    "uint8": "ByteTensor",
    "bool": "BoolTensor",
}


@method
def type(self, dtype=None, non_blocking=False):
    """The type's name, or the tensor in another dtype."""
    if dtype is None:
        return "torch." + _TYPE_NAMES[self.dtype.name]
    if isinstance(dtype, str):
        name = dtype.removeprefix("torch.")
        dtype = next((n for n, t in _TYPE_NAMES.items() if t == name), None)
        if dtype is None:
            raise ArgumentError(f"type(): invalid type: '{name}'")
    old = getattr(dtype, "dtype", None)  # of torch.LongTensor and the like
    return to_dtype(self, as_dtype(old if isinstance(old, dtypes.dtype) else dtype))


@method
def cpu(self, memory_format=None):
    return self


@method
def cuda(self, *args, **kwargs):
    raise UnsupportedError("cuda(): chainrule computes on the CPU; leave out .cuda(), or use device='cpu'")


@method
def numpy(self, *, force=False):
    """The memory as a NumPy array, shared. Raises GradientError for a tensor that requires grad (use ``detach()``, or
    ``force=True``)."""
    if self._requires_grad and not force:
        raise GradientError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    data = self._data  # read once: a capture in another thread may begin at any time
    if data.__class__ is not np.ndarray and hasattr(data.__class__, "values_needed"):
        return data.values_needed(".numpy()")
    return data


@method
def tolist(self):
    """Nested Python lists (a number for a 0-d tensor)."""
    return self._data.tolist()


@method
def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
    if self._requires_grad:
        raise GradientError("Can't export tensors that require gradient, use tensor.detach()")
    a = self._data if self._data.flags.writeable or max_version is not None else self._data.copy()
    return a.__dlpack__() if max_version is None else a.__dlpack__(max_version=max_version)


@method
def __dlpack_device__(self):
    return self._data.__dlpack_device__()


def from_dlpack(ext_tensor):
    """A tensor on the memory of any object with ``__dlpack__`` (NumPy, PyTorch, JAX …), without copy."""
    if not hasattr(ext_tensor, "__dlpack__"):
        raise ArgumentError(f"from_dlpack: expected an object with __dlpack__, got {ext_tensor.__class__.__name__}")
    return wrap(np.from_dlpack(ext_tensor))


# ---- new tensors like this one


@method
def new_tensor(self, data, *, dtype=None, device=None, requires_grad=False):
    return ops.tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def _new_like(name, make):
    def new(self, *size, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False):
        return make(*size, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)

    new.__name__ = new.__qualname__ = name
    new.__doc__ = f"``torch.{name[4:]}`` with this tensor's dtype as default."
    setattr(Tensor, name, new)


_new_like("new_zeros", ops.zeros)
_new_like("new_ones", ops.ones)
_new_like("new_empty", ops.empty)


@method
def new_full(self, size, fill_value, *, dtype=None, device=None, requires_grad=False):
    return ops.full(size, fill_value, dtype=dtype or self.dtype, requires_grad=requires_grad)


# ---- copies and pickles


def _rebuild(array, requires_grad, cls, extra):
    t = object.__new__(cls)
    t._data = array
    if requires_grad:
        t._requires_grad = True
    t.__dict__.update(extra)
    return t


_STATE = {
    "_data",
    "_grad",
    "_node",
    "_requires_grad",
    "_output_nr",
    "_cell",
    "_base",
    "_view",
    "_seen",
    "_retains",
    "_hooks",
    "_accumulate_hooks",
    "_accumulator",
}


def _extra(self):
    return {k: v for k, v in self.__dict__.items() if k not in _STATE}


@method
def __reduce_ex__(self, protocol):
    if self._node is not None and self._requires_grad:
        raise GradientError(
            "only Tensors created explicitly by the user (graph leaves) support pickling; use .detach() on a "
            "computed tensor"
        )
    return _rebuild, (
        np.ascontiguousarray(self._data).reshape(self._data.shape),
        self._requires_grad,
        self.__class__,
        _extra(self),
    )


@method
def __deepcopy__(self, memo):
    if id(self) in memo:
        return memo[id(self)]
    if self._node is not None and self._requires_grad:
        raise GradientError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment; "
            "use .detach().clone() on a computed tensor"
        )
    import copy

    t = _rebuild(self._data.copy(), self._requires_grad, self.__class__, {})
    memo[id(self)] = t
    t.__dict__.update(copy.deepcopy(_extra(self), memo))
    if self._grad is not None:
        t._grad = copy.deepcopy(self._grad, memo)
    return t


@prop
def data(self):
    """The tensor's memory as a tensor outside the graph, with a version counter of its own."""
    return related(wrap(self._data), self)


def _set_data(self, value):
    if not isinstance(value, Tensor):
        raise ArgumentError(f"Variable data has to be a tensor, but got {value.__class__.__name__}")
    self._data = value._data
    self._cell = None


Tensor.data = Tensor.data.setter(_set_data)


@method
def set_(self, source):
    """Point this tensor at the memory of ``source``."""
    _set_data(self, source)
    return self


@method
def resize_(self, *size):
    """Change the size in place; kept elements keep their value, new ones are whatever is there."""
    size = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    if tuple(size) != self._data.shape:
        a = np.zeros(size, self._data.dtype)
        n = min(a.size, self._data.size)
        a.reshape(-1)[:n] = self._data.reshape(-1)[:n]
        self._data = a
        self._bump()
    return self
