"""The last layer of a classifier and its loss in one call."""

import math

from ..errors import ShapeError, UnsupportedError
from ..primitive import public
from .affine import linear
from .cross_entropy import cross_entropy
from .loss_common import check_tensors
from .shape import reshape_p


@public(namespaces=("nn.functional",), method=False)
def linear_cross_entropy(
    input,
    linear_weight,
    target,
    *,
    linear_bias=None,
    weight=None,
    reduction="mean",
    ignore_index=None,
    label_smoothing=0.0,
    options=None,
):
    """``cross_entropy(linear(input, linear_weight, linear_bias), target)``: input (*, in), linear_weight (C, in).

    linear_weight may be (C, d1, ..., in) for a K-dimensional loss; bias then has its shape without the last size.
    Raises ShapeError if the sizes do not fit, UnsupportedError for ``options`` (the product in chunks).

    >>> import chainrule as torch
    >>> torch.nn.functional.linear_cross_entropy(torch.ones(1, 2), torch.zeros(4, 2), torch.tensor([1]))
    tensor(1.3863)
    """
    check_tensors("linear_cross_entropy", input=input, linear_weight=linear_weight, target=target, weight=weight)
    if options is not None:
        raise UnsupportedError("linear_cross_entropy(): options is not supported; leave it out")
    sx, sw = input._data.shape, linear_weight._data.shape
    if len(sw) < 2 or not sx or sx[-1] != sw[-1]:
        raise ShapeError(
            f"linear_cross_entropy(): linear_weight must be (classes, ..., {sx[-1] if sx else 'in_features'}) to fit "
            f"input of shape {list(sx)}, got {list(sw)}"
        )
    rows = math.prod(sw[:-1])
    bias = None if linear_bias is None else reshape_p(linear_bias, shape=(rows,))
    logits = linear(input, reshape_p(linear_weight, shape=(rows, sw[-1])), bias)
    logits = reshape_p(logits, shape=(*sx[:-1], *sw[:-1]))
    ignore_index = -100 if ignore_index is None else ignore_index
    return cross_entropy(
        logits, target, weight, None, ignore_index, None, reduction=reduction, label_smoothing=label_smoothing
    )
