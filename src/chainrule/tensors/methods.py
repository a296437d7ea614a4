"""What every tensor can tell about itself, and its gradient state."""

import warnings
import weakref

from ..autograd.backward import backward
from ..config import hold, switches, tracing
from ..devices import Size, contiguous_format, strided
from ..devices import device as Device
from ..dtypes import from_numpy_dtype
from ..errors import ArgumentError, DTypeError, GradientError, IndexRangeError, ShapeError, UnsupportedError
from ..handle import Tensor, wrap
from ..node import add_hook
from ..ops.axes import hermitian_transpose, matrix_transpose, reversed_dims
from ..primitive.base import refresh_view, slot_of


def method(fn):
    setattr(Tensor, fn.__name__, fn)
    return fn


def prop(fn):
    setattr(Tensor, fn.__name__, property(fn))
    return fn


@prop
def shape(self):
    return Size(self._data.shape)


@prop
def dtype(self):
    return from_numpy_dtype(self._data.dtype)


@prop
def ndim(self):
    return self._data.ndim


@prop
def is_leaf(self):
    if self._base is not None:
        refresh_view(self)
    return self._node is None or not self._requires_grad


def _grad_fn(self):
    if self._base is not None:
        refresh_view(self)
    return self._node


Tensor.grad_fn = property(_grad_fn, doc="The graph node that made this tensor; None for a leaf.")


def _get_requires_grad(self):
    if self._base is not None:
        refresh_view(self)
    return self._requires_grad


def _set_requires_grad(self, value):
    self.requires_grad_(value)


Tensor.requires_grad = property(_get_requires_grad, _set_requires_grad, doc="Whether gradients flow to this tensor.")


@method
def requires_grad_(self, requires_grad=True):
    """Ask for a gradient (or no longer), for a leaf; returns the tensor.

    Raises DTypeError for integer and bool tensors, GradientError when switched off on a non-leaf.
    """
    if requires_grad and not self.dtype.is_floating_point:
        raise DTypeError(
            f"only Tensors of floating point dtype can require gradients, got {self.dtype}; convert with .float() first"
        )
    if self._node is not None:
        if not requires_grad:
            raise GradientError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable "
                "in a subgraph "
                "that doesn't require differentiation use var_no_grad = var.detach()."
            )
        return self
    self._requires_grad = bool(requires_grad)
    return self


def _get_grad(self):
    if self._grad is None and self._node is not None and not self._retains:
        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed: backward() does not fill it. "
            "Call .retain_grad() on the tensor before backward(), or read .grad of the leaf it was computed from.",
            stacklevel=2,
        )
    return self._grad


def _set_grad(self, value):
    if value is not None:
        if not isinstance(value, Tensor):
            raise ArgumentError(
                f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}"
            )
        if value._data.shape != self._data.shape:
            raise ShapeError(
                f"assigned grad has data of a different size: expected {list(self._data.shape)}, got "
                f"{list(value._data.shape)}"
            )
        if value._data.dtype != self._data.dtype:
            raise DTypeError(f"assigned grad has data of a different type: expected {self.dtype}, got {value.dtype}")
    elif tracing() is not None:
        switches.tracer.forget_grad(self)
    elif switches.tracer is not None:
        hold((self,))
    self._grad = value


Tensor.grad = property(_get_grad, _set_grad, doc="The gradient accumulated by backward(), or None.")


def _backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
    backward(self, None if gradient is None else [gradient], retain_graph, create_graph, inputs)


_backward.__doc__ = backward.__doc__
Tensor.backward = _backward


@method
def detach(self):
    """A tensor on the same memory that is no longer part of the graph."""
    t = wrap(self._data)
    t._cell = self._shared_cell()
    return related(t, self)


def related(t, source):
    """``t``, on the memory of ``source``. What has no memory, because a function is captured, knows its relatives."""
    if source._base is not None and getattr(type(source._data), "shares", False):
        t._base, t._view, t._cell = source._base.detach(), source._view, source._special_cell()
        t._seen = t._cell[0]
    return t


@method
def item(self):
    """The one element as a Python number."""
    if self._data.size != 1:
        raise GradientError(f"a Tensor with {self._data.size} elements cannot be converted to Scalar; use .tolist()")
    return self._data.item()


@method
def detach_(self):
    """Cut this tensor from the graph, in place."""
    if self._base is not None:
        raise GradientError("Can't detach views in-place. Use detach() instead.")
    self._node, self._output_nr, self._requires_grad = None, 0, False
    return self


# ---- attached to the gradient: retain_grad and hooks


@method
def retain_grad(self):
    """Keep the gradient of a computed tensor in its ``.grad`` too; for a leaf nothing changes."""
    if not self.requires_grad:
        raise GradientError(
            "can't retain_grad on Tensor that has requires_grad=False; set requires_grad=True on its inputs"
        )
    if self._node is not None:
        slot_of(self)[1] = weakref.ref(self)
        self._retains = True


@prop
def retains_grad(self):
    return self._retains


@method
def register_hook(self, hook):
    """Call ``hook(grad)`` when this tensor's gradient is known; a tensor it returns takes the gradient's place."""
    if not self.requires_grad:
        raise GradientError("cannot register a hook on a tensor that doesn't require gradient")
    if self._node is None:
        if self._hooks is None:
            self._hooks = {}
        return add_hook(self._hooks, hook)
    return add_hook(slot_of(self)[0], hook, False)


@method
def register_post_accumulate_grad_hook(self, hook):
    """Call ``hook(tensor)`` after a gradient was added to this leaf's ``.grad``."""
    if not self.requires_grad:
        raise GradientError("cannot register a hook on a tensor that doesn't require gradient")
    if self._node is not None:
        raise GradientError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    if self._accumulate_hooks is None:
        self._accumulate_hooks = {}
    return add_hook(self._accumulate_hooks, hook)


# ---- what it is


@method
def size(self, dim=None):
    """The shape, or one size of it."""
    if dim is None:
        return Size(self._data.shape)
    n = self._data.ndim
    if not -n <= dim < n:
        raise IndexRangeError(f"Dimension out of range (expected to be in range of [{-n}, {n - 1}], but got {dim})")
    return self._data.shape[dim]


@method
def dim(self):
    return self._data.ndim


@method
def numel(self):
    """The number of elements."""
    return self._data.size


Tensor.T = property(reversed_dims)
Tensor.mT = Tensor.mH = property(matrix_transpose)
Tensor.H = property(hermitian_transpose)
Tensor.ndimension = Tensor.dim
Tensor.nelement = Tensor.numel


@method
def element_size(self):
    return self._data.itemsize


@prop
def itemsize(self):
    return self._data.itemsize


@prop
def nbytes(self):
    return self._data.nbytes


@method
def stride(self, dim=None):
    """Steps between neighbours along each dimension, in elements."""
    strides = tuple(s // self._data.itemsize for s in self._data.strides)
    return strides if dim is None else strides[dim]


@method
def storage_offset(self):
    base = self._data if self._base is None else self._base._data
    return (self._data.__array_interface__["data"][0] - base.__array_interface__["data"][0]) // self._data.itemsize


@method
def data_ptr(self):
    return self._data.__array_interface__["data"][0]


@method
def is_contiguous(self, memory_format=contiguous_format):
    return bool(self._data.flags.c_contiguous)


@method
def is_floating_point(self):
    return self.dtype.is_floating_point


@method
def is_complex(self):
    return False


@method
def is_signed(self):
    return self.dtype.is_signed


@method
def is_inference(self):
    return False


@method
def is_set_to(self, tensor):
    return self._data.__array_interface__ == tensor._data.__array_interface__


@method
def is_pinned(self):
    return False


@method
def pin_memory(self, device=None):
    return self


@method
def share_memory_(self):
    raise UnsupportedError("share_memory_(): memory is not shared between processes; send tensors as NumPy arrays")


@prop
def device(self):
    return _CPU


@prop
def layout(self):
    return strided


for _name in ("is_cuda", "is_sparse", "is_quantized", "is_mps", "is_meta", "is_nested", "is_xla", "is_mkldnn"):
    setattr(Tensor, _name, False)
Tensor.is_cpu = True
_CPU = Device("cpu")


@prop
def output_nr(self):
    return self._output_nr


@method
def _is_view(self):
    return self._base is not None


@method
def get_device(self):
    return -1
