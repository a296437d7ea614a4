"""What every tensor can tell about itself, and its gradient state."""

import weakref

import numpy as np

from .. import config
from ..autograd.backward import backward
from ..config import modes
from ..dtype import from_numpy_dtype
from ..errors import ArgumentError, DTypeError, GradientError, ShapeError
from ..handle import Tensor, wrap
from ..ops import cast
from ..primitive.base import edge_of, refresh_view
from .size import Size, device


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
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph "
                "that doesn't require differentiation use var_no_grad = var.detach()."
            )
        return self
    self._requires_grad = bool(requires_grad)
    return self


def _get_grad(self):
    return self._grad


def _set_grad(self, value):
    if value is not None:
        if not isinstance(value, Tensor):
            raise ArgumentError(f"assigned grad expected to be a Tensor or None but got grad of type {type(value).__name__}")
        if value._data.shape != self._data.shape:
            raise ShapeError(
                f"assigned grad has data of a different size: expected {list(self._data.shape)}, got {list(value._data.shape)}"
            )
        if value._data.dtype != self._data.dtype:
            raise DTypeError(f"assigned grad has data of a different type: expected {self.dtype}, got {value.dtype}")
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
    return t


@method
def item(self):
    """The one element as a Python number."""
    if self._data.size != 1:
        raise GradientError(f"a Tensor with {self._data.size} elements cannot be converted to Scalar; use .tolist()")
    return self._data.item()
