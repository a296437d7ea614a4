"""`Tensor.__repr__` and `Tensor.__format__`: they read the tensor's state and let `format` write the text.

A subclass is shown under its own name, as in PyTorch. A class that is to look like a plain tensor (`Parameter`,
`Buffer`) says so in its own body with `_shown_as = "tensor"`; its subclasses do not inherit that.
"""

import numpy as np

from ..config import get_default_dtype, switches
from ..dtypes import from_numpy_dtype
from ..handle import Tensor
from .format import format_tensor, shows_dtype

__all__ = ["tensor_format", "tensor_repr"]


def tensor_repr(self, *, tensor_contents=None):
    """`Tensor.__repr__`: PyTorch's text; `tensor_contents` is shown in place of the values.

    >>> import chainrule as torch
    >>> torch.tensor([1.0, 2.5], requires_grad=True) * 2
    tensor([2., 5.], grad_fn=<MulBackward0>)
    """
    data = self._data
    if not isinstance(data, np.ndarray):
        if switches.tracer is not None and hasattr(type(data), "values_needed"):
            data = data.values_needed("print(), repr(), str()")
        if not isinstance(data, np.ndarray):
            return repr(data)  # the array of an interpreter (vmap, tracing) knows what it stands for
    kind = type(self)
    dtype = from_numpy_dtype(data.dtype)
    return format_tensor(
        data,
        dtype_name=str(dtype),
        show_dtype=shows_dtype(str(dtype), str(get_default_dtype()), empty=data.size == 0),
        requires_grad=self.requires_grad,
        grad_fn_name=_grad_fn_name(self),
        class_name="tensor" if kind is Tensor else kind.__dict__.get("_shown_as", kind.__name__),
        contents=tensor_contents,
    )


def _grad_fn_name(tensor):
    try:
        node = tensor.grad_fn
    except RuntimeError:
        # A view whose history can not be brought up to date must still be printable.
        return "Invalid"
    return None if node is None else node.name()


def tensor_format(self, format_spec):
    """`Tensor.__format__`: a plain 0-dimensional tensor is formatted as its Python number, others as their text.

    Raises TypeError for a format such as ".2f" on anything else.

    >>> import chainrule as torch
    >>> f"{torch.tensor(1.25):.1f}"
    '1.2'
    """
    data = self._data
    if switches.tracer is not None and hasattr(type(data), "values_needed"):
        data = data.values_needed("a formatted text")
    if type(self) is Tensor and isinstance(data, np.ndarray) and data.ndim == 0:
        return format(data.astype(np.float64).item() if data.dtype.kind == "V" else data.item(), format_spec)
    return object.__format__(self, format_spec)


Tensor.__repr__ = tensor_repr
Tensor.__format__ = tensor_format
