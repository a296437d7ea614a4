"""Python's operators on tensors."""

import numpy as np

from .. import ops
from ..errors import ArgumentError, GradientError
from ..handle import Tensor
from .inplace import copy_, in_place


def dunder(name, function, reflected=False):
    """``Tensor.__name__``: NotImplemented for operands that are neither tensors nor numbers, so that they get their
    turn."""
    if reflected:

        def op(self, other):
            try:
                return function(other, self)
            except ArgumentError:
                return NotImplemented
    else:

        def op(self, other):
            try:
                return function(self, other)
            except ArgumentError:
                return NotImplemented

    op.__name__ = op.__qualname__ = name
    setattr(Tensor, name, op)


def fill_dunders():
    """Attach the operators."""
    a = ops.arithmetic
    for name, fn in (("add", a.add_p), ("sub", a.sub_p), ("mul", a.mul_p), ("truediv", a.div_p)):
        setattr(Tensor, f"__{name}__", fn.operator)
        in_place_dunder(f"__i{name}__", fn)
    Tensor.__radd__ = a.add_p.operator
    Tensor.__rmul__ = a.mul_p.operator
    dunder("__rsub__", a.sub_p, reflected=True)
    dunder("__rtruediv__", a.div_p, reflected=True)
    for name, fn, commutes in (
        ("floordiv", ops.floor_divide, False),
        ("mod", ops.remainder, False),
        ("pow", ops.pow, False),
        ("matmul", ops.matmul, False),
        ("and", ops.bitwise_and, True),
        ("or", ops.bitwise_or, True),
        ("xor", ops.bitwise_xor, True),
        ("lshift", ops.bitwise_left_shift, False),
        ("rshift", ops.bitwise_right_shift, False),
    ):
        dunder(f"__{name}__", fn)
        dunder(f"__r{name}__", fn, reflected=not commutes)
        in_place_dunder(f"__i{name}__", fn)
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        dunder(f"__{name}__", getattr(ops, name))
    Tensor.__neg__ = ops.neg
    Tensor.__pos__ = ops.positive
    Tensor.__abs__ = ops.abs
    Tensor.__invert__ = ops.bitwise_not
    Tensor.__hash__ = object.__hash__


def in_place_dunder(name, fn):
    def op(self, other):
        return in_place(self, name, lambda old: fn(old, other))

    op.__name__ = op.__qualname__ = name
    setattr(Tensor, name, op)


def _one(self, what):
    if self._data.size != 1:
        if what == "bool":
            text = (
                "Boolean value of Tensor with no values is ambiguous"
                if self._data.size == 0
                else "Boolean value of Tensor with more than one value is ambiguous; use .any() or .all()"
            )
            raise GradientError(text)
        raise GradientError(f"a Tensor with {self._data.size} elements cannot be converted to Scalar; use .tolist()")
    if hasattr(type(self._data), "values_needed"):  # it tells what was asked for
        return {"bool": bool, "float": float, "int": int, "complex": complex}[what](self._data)
    return self._data.item()


def __bool__(self):
    return bool(_one(self, "bool"))


def __float__(self):
    return float(_one(self, "float"))


def __int__(self):
    return int(_one(self, "int"))


def __index__(self):
    if self._data.dtype.kind not in "iub" or self._data.size != 1:
        raise ArgumentError("only integer tensors of a single element can be converted to an index")
    return int(self._data.item())


def __complex__(self):
    return complex(_one(self, "complex"))


def __len__(self):
    if self._data.ndim == 0:
        raise ArgumentError("len() of a 0-d tensor")
    return self._data.shape[0]


def __iter__(self):
    if self._data.ndim == 0:
        raise ArgumentError("iteration over a 0-d tensor")
    return iter(ops.unbind(self, 0))


def __contains__(self, element):
    if isinstance(element, (Tensor, bool, int, float)):
        return bool((self == element)._data.any())
    raise ArgumentError(f"Tensor.__contains__ only supports Tensor or number elements, got {type(element).__name__}")


def __getitem__(self, index):
    return ops.getitem(self, index)


def __setitem__(self, index, value):
    from_value = value._data if isinstance(value, Tensor) else value
    if not self._requires_grad and self._base is None and not (isinstance(value, Tensor) and value._requires_grad):
        plain = (
            index
            if type(index) in (int, slice, type(None), type(Ellipsis))
            or (type(index) is tuple and all(type(i) in (int, slice, type(None), type(Ellipsis)) for i in index))
            else None
        )
        if (
            plain is not None
            and type(self._data) is np.ndarray
            and self._data.flags.writeable
            and (type(from_value) is np.ndarray or type(from_value) in (int, float, bool))
        ):
            # Nothing to record: NumPy's own assignment. Its errors are rare and get our text below.
            try:
                self._data[plain] = from_value
            except (ValueError, IndexError, TypeError):
                pass
            else:
                self._bump()
                return
    if not isinstance(value, Tensor):
        value = ops.tensor(value, dtype=self.dtype)
    if ops.indexing.is_basic(index):
        view = ops.getitem(self, index)
        while value._data.ndim > view._data.ndim and value._data.shape[0] == 1:
            value = value[0]
        if view._data.base is None and view._data.ndim == 0 and self._data.ndim == 0:
            view = self
        copy_(view, value)
    else:
        in_place(self, "__setitem__", lambda old: ops.index_assign(old, value, index))


for _f in (
    __bool__,
    __float__,
    __int__,
    __index__,
    __complex__,
    __len__,
    __iter__,
    __contains__,
    __getitem__,
    __setitem__,
):
    setattr(Tensor, _f.__name__, _f)


def __array__(self, dtype=None, copy=None):
    """The memory as a NumPy array (for ``np.asarray``)."""
    if self._requires_grad:
        raise GradientError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
    a = self._data
    if hasattr(type(a), "values_needed"):  # a function is being captured
        a = a.values_needed("its values")
    if dtype is not None and a.dtype != dtype:
        return a.astype(dtype)
    return a.copy() if copy else a


def __array_wrap__(self, array, context=None, return_scalar=False):
    """What a NumPy function made of this tensor (``np.exp(t)``) is a tensor again."""
    return Tensor._wrap(np.asarray(array))


Tensor.__array__ = __array__
Tensor.__array_wrap__ = __array_wrap__
Tensor.__array_priority__ = 1000  # NumPy leaves ndarray + tensor to us
