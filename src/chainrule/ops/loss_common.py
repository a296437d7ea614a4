"""What all losses share: the reduction argument, the old spelling of it, and shapes that ought to be equal."""

import warnings

import numpy as np

from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError
from ..handle import Tensor
from ..primitive import recorded
from ..primitive.promote import result_type
from .shape import expand_p


def reduction_of(reduction, size_average, reduce, allowed=("none", "mean", "sum")):
    """The reduction to use; ``size_average`` and ``reduce`` are PyTorch's old spelling."""
    if size_average is not None or reduce is not None:
        average = True if size_average is None else size_average
        reduction = "none" if reduce is False else "mean" if average else "sum"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            UserWarning,
            stacklevel=4,
        )
    if reduction not in allowed:
        raise ArgumentValueError(
            f"{reduction!r} is not a valid value for reduction; use one of {', '.join(map(repr, allowed))}"
        )
    return reduction


def reduced(loss, reduction):
    """The mean, the sum, or the loss as it is."""
    if reduction == "none":
        return loss
    dims = tuple(range(-loss._data.ndim, 0))
    return (recorded.mean if reduction == "mean" else recorded.sum)(loss, dim=dims, keepdim=False)


def check_tensors(operator, **tensors):
    """All arguments that are not None are tensors."""
    for name, t in tensors.items():
        if t is not None and not isinstance(t, Tensor):
            raise ArgumentError(
                f"{operator}(): argument '{name}' must be Tensor, not {type(t).__name__}; make one with "
                "torch.tensor(...)"
            )


def float_pair(operator, input, target):
    """Input and target in the dtype PyTorch computes the loss in."""
    a, b = input._data.dtype, target._data.dtype
    if a is b and a.kind == "f":
        return input, target
    d = result_type(input, target)
    if not d.is_floating_point:
        raise DTypeError(f"{operator}(): expected floating-point tensors, got {d}; convert with .float()")
    return recorded.cast(input, d), recorded.cast(target, d)


def same_shape(operator, input, target):
    """Input and target broadcast to one shape, with PyTorch's warning if they had different ones."""
    a, b = input._data.shape, target._data.shape
    if a == b:
        return input, target
    warnings.warn(
        f"Using a target size (torch.Size({list(b)})) that is different to the input size (torch.Size({list(a)})). "
        "This will likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
        UserWarning,
        stacklevel=3,
    )
    return broadcast(operator, input, target)


def broadcast(operator, *tensors):
    """The tensors expanded to their common shape."""
    shapes = [t._data.shape for t in tensors]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError:
        text = " and ".join(str(list(s)) for s in shapes)
        raise ShapeError(
            f"{operator}(): shapes {text} do not broadcast to one shape; sizes must be equal or 1"
        ) from None
    return tuple([t if t._data.shape == shape else expand_p(t, shape=shape) for t in tensors])
