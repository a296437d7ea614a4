"""Activation functions with bends or jumps: shrinking, limiting, thresholds."""

import numpy as np

from ..errors import ArgumentValueError, DomainError
from ..handle import Tensor
from ..primitive import pointwise, public, single
from .activation import FLOAT, finish
from .docs import doc

softsign = public(
    pointwise(
        "softsign",
        lambda x: x / (1 + np.abs(x)),
        (lambda o, y, x: 1 / o.square(1 + o.abs(x)),),
        kind="float",
        doc=doc(
            "``input / (1 + |input|)``.",
            "torch.nn.functional.softsign(torch.tensor([-1.0, 3.0]))",
            "tensor([-0.5000,  0.7500])",
        ),
    ),
    namespaces=("nn.functional",),
    method=False,
)
tanhshrink = public(
    pointwise(
        "tanhshrink",
        lambda x: x - np.tanh(x),
        (lambda o, y, x: o.square(x - y),),
        kind="float",
        output_free=True,
        doc=doc(
            "``input - tanh(input)``.",
            "torch.nn.functional.tanhshrink(torch.tensor([-1.0, 2.0]))",
            "tensor([-0.2384,  1.0360])",
        ),
    ),
    namespaces=("nn.functional",),
    method=False,
)
hardshrink_p = single(
    pointwise(
        "hardshrink",
        lambda x, lambd: np.where(np.abs(x) <= lambd, x.dtype.type(0), x),
        (lambda o, y, x, *, lambd: 1.0,),
        selecting=True,
        selects=(lambda o, y, x, *, lambd: o.logical_not(o.abs(x) <= lambd),),
        **FLOAT,
    )
)


@public(namespaces=("torch", "nn.functional"))
def hardshrink(input, lambd=0.5):
    """``input`` where its magnitude exceeds ``lambd``, else 0.

    >>> import chainrule as torch
    >>> torch.nn.functional.hardshrink(torch.tensor([-1.0, 0.2]))
    tensor([-1.,  0.])
    """
    return hardshrink_p(input, lambd=float(lambd))


softshrink_p = single(
    pointwise(
        "softshrink",
        lambda x, lambd: np.sign(x) * np.maximum(np.abs(x) - lambd, 0),
        (lambda o, y, x, *, lambd: 1.0,),
        selecting=True,
        selects=(lambda o, y, x, *, lambd: o.logical_not(o.abs(x) <= lambd),),
        **FLOAT,
    )
)


@public(namespaces=("nn.functional",), method=False)
def softshrink(input, lambd=0.5):
    """``input`` moved towards 0 by ``lambd``, and 0 where its magnitude is less. Raises DomainError for a negative
    ``lambd``.

    >>> import chainrule as torch
    >>> torch.nn.functional.softshrink(torch.tensor([-1.0, 0.2]))
    tensor([-0.5000,  0.0000])
    """
    if not lambd >= 0:
        raise DomainError(f"softshrink(): lambda must be greater or equal to 0, but found to be {lambd}")
    return softshrink_p(input, lambd=float(lambd))


hardtanh_p = single(
    pointwise(
        "hardtanh",
        lambda x, low, high: np.minimum(np.maximum(x, low), high),
        (lambda o, y, x, *, low, high: 1.0,),
        take_bool=False,
        selecting=True,
        selects=(lambda o, y, x, *, low, high: o.logical_not(o.logical_or(x <= low, x >= high)),),
    )
)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """``input`` limited to ``[min_val, max_val]``. Raises ArgumentValueError if ``min_val > max_val``.

    >>> import chainrule as torch
    >>> torch.nn.functional.hardtanh(torch.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if min_val > max_val:
        raise ArgumentValueError(f"hardtanh(): min_val cannot be greater than max_val, got {min_val} and {max_val}")
    if isinstance(input, Tensor) and input._data.dtype.kind in "iu":
        min_val, max_val = int(min_val), int(max_val)
    return finish(lambda x: hardtanh_p(x, low=min_val, high=max_val), input, inplace, "hardtanh")


@public(namespaces=("nn.functional",), method=False, inplace=True)
def relu6(input, inplace=False):
    """``input`` limited to [0, 6].

    >>> import chainrule as torch
    >>> torch.nn.functional.relu6(torch.tensor([-1.0, 8.0]))
    tensor([0., 6.])
    """
    return hardtanh(input, 0.0, 6.0, inplace)


hardswish_p = pointwise(
    "hardswish",
    lambda x: x * np.minimum(np.maximum(x + 3, 0), 6) / 6,
    (lambda o, y, x: o.where(x <= -3, 0.0, o.where(x < 3, x / 3 + 0.5, 1.0)),),
    **FLOAT,
)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def hardswish(input, inplace=False):
    """``input * relu6(input + 3) / 6``.

    >>> import chainrule as torch
    >>> torch.nn.functional.hardswish(torch.tensor([-1.0, 4.0]))
    tensor([-0.3333,  4.0000])
    """
    return finish(hardswish_p, input, inplace, "hardswish")


hardsigmoid_p = pointwise(
    "hardsigmoid",
    lambda x: np.minimum(np.maximum(x + 3, 0), 6) / 6,
    (lambda o, y, x: 1 / 6,),
    selecting=True,
    selects=(lambda o, y, x: o.logical_and(x > -3, x < 3),),
    **FLOAT,
)


@public(namespaces=("nn.functional",), method=False, inplace=True)
def hardsigmoid(input, inplace=False):
    """``relu6(input + 3) / 6``.

    >>> import chainrule as torch
    >>> torch.nn.functional.hardsigmoid(torch.tensor([-4.0, 0.0]))
    tensor([0.0000, 0.5000])
    """
    return finish(hardsigmoid_p, input, inplace, "hardsigmoid")


threshold_p = single(
    pointwise(
        "threshold",
        lambda x, threshold, value: np.where(x <= threshold, x.dtype.type(value), x),
        (lambda o, y, x, *, threshold, value: 1.0,),
        selecting=True,
        take_bool=False,
        selects=(lambda o, y, x, *, threshold, value: o.logical_not(x <= threshold),),
    )
)


@public(namespaces=("torch", "nn.functional"), method=False, inplace=True)
def threshold(input, threshold, value, inplace=False):
    """``input`` where it exceeds ``threshold``, else ``value``.

    >>> import chainrule as torch
    >>> torch.nn.functional.threshold(torch.tensor([-1.0, 2.0]), 0.5, 9.0)
    tensor([9., 2.])
    """
    return finish(lambda x: threshold_p(x, threshold=threshold, value=value), input, inplace, "threshold")
