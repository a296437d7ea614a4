"""The names of the ``torch`` namespace that are neither operators nor types."""

import math

import numpy as np

from .. import dtypes, ops
from ..config import defaults, threads
from ..dtypes import as_dtype
from ..handle import Tensor
from ..primitive import registry
from .convert import to_dtype

pi, e, inf, nan, newaxis = math.pi, math.e, math.inf, math.nan, None


def fill_torch(space):
    """Put every public operator of the torch namespace into ``space``; names already there win."""
    fill(space, "torch")


def fill(space, namespace):
    """Put the public functions of one namespace into a module's dictionary."""
    for entry in registry.functions:
        if namespace in entry.namespaces:
            for name in (entry.name, *entry.aliases):
                space.setdefault(name, entry.visible)
                if entry.inplace and not name.startswith("_"):
                    space.setdefault(name + "_", getattr(Tensor, name + "_"))


def is_tensor(obj):
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)


def is_storage(obj):
    return False


def is_floating_point(input):
    return input.dtype.is_floating_point


def is_nonzero(input):
    return bool(input)


def numel(input):
    """The number of elements."""
    return input._data.size


def typename(obj):
    return obj.type() if isinstance(obj, Tensor) else f"{type(obj).__module__}.{type(obj).__name__}"


def can_cast(from_, to):
    """Whether a cast keeps the kind (bool < integer < float)."""
    return as_dtype(from_).kind <= as_dtype(to).kind


class finfo:
    """Limits of a floating-point dtype."""

    def __init__(self, dtype=None):
        self.dtype = str(dtype := defaults.dtype if dtype is None else as_dtype(dtype)).removeprefix("torch.")
        if dtype is dtypes.bfloat16:
            import ml_dtypes

            info = ml_dtypes.finfo(dtype.np)
        else:
            info = np.finfo(dtype.np)
        self.bits = dtype.itemsize * 8
        self.eps, self.max, self.min, self.tiny = float(info.eps), float(info.max), float(info.min), float(info.tiny)
        self.smallest_normal, self.resolution = self.tiny, float(info.resolution)

    def __repr__(self):
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, eps={self.eps:g}, "
            f"smallest_normal={self.tiny:g}, tiny={self.tiny:g}, dtype={self.dtype})"
        )


class iinfo:
    """Limits of an integer dtype."""

    def __init__(self, dtype):
        self.dtype = str(dtype := as_dtype(dtype)).removeprefix("torch.")
        info = np.iinfo(dtype.np)
        self.bits, self.max, self.min = info.bits, int(info.max), int(info.min)

    def __repr__(self):
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


def _old(d, args):
    """PyTorch's old constructor: data in a dtype, or sizes for uninitialised memory."""
    if len(args) == 1 and not isinstance(args[0], int):
        x = args[0]
        return to_dtype(x, d) if isinstance(x, Tensor) else ops.tensor(x, dtype=d)
    return ops.empty(*args, dtype=d)


class _OldType(type):
    """A type such as ``torch.FloatTensor``: its instances are the tensors of one dtype."""

    def __call__(cls, *args):
        return _old(cls.dtype, args)

    def __instancecheck__(cls, x):
        return isinstance(x, Tensor) and x.dtype is cls.dtype


def _legacy(name, d):
    return _OldType(name, (), {"dtype": d, "__module__": "torch", "__doc__": _old.__doc__})


FloatTensor = _legacy("FloatTensor", dtypes.float32)
DoubleTensor = _legacy("DoubleTensor", dtypes.float64)
HalfTensor = _legacy("HalfTensor", dtypes.float16)
LongTensor = _legacy("LongTensor", dtypes.int64)
IntTensor = _legacy("IntTensor", dtypes.int32)
ShortTensor = _legacy("ShortTensor", dtypes.int16)
CharTensor = _legacy("CharTensor", dtypes.int8)
ByteTensor = _legacy("ByteTensor", dtypes.uint8)
BoolTensor = _legacy("BoolTensor", dtypes.bool)


def _tensor_new(cls, *args, dtype=None, device=None):
    """``Tensor(data)`` or ``Tensor(*sizes)``, in the default dtype, as PyTorch's old constructor."""
    made = _old(defaults.dtype, args) if args else ops.empty(0)
    if cls is Tensor:
        return made
    t = object.__new__(cls)
    t._data = made._data
    return t


Tensor.__new__ = _tensor_new
Tensor.__init__ = lambda self, *args, **kwargs: None


def as_subclass(self, cls):
    """The same memory and graph as another class of tensor."""
    t = object.__new__(cls)
    t.__dict__.update(self.__dict__)
    return t


Tensor.as_subclass = as_subclass


def get_num_threads():
    """How many threads compiled code and NumPy's BLAS use."""
    return threads.count


def set_num_threads(n):
    """Use ``n`` threads in compiled code and, if threadpoolctl is installed, in NumPy's matrix products."""
    threads.count = int(n)
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(int(n))


def is_complex(input):
    return False


def is_signed(input):
    return input.dtype.is_signed


def is_inference(input):
    return False


def is_same_size(input, other):
    return input._data.shape == other._data.shape


def detach(input):
    """``input.detach()``."""
    return input.detach()
