"""Checks of the operands of products: dtypes, ranks and sizes."""

from ..errors import ArgumentError, DTypeError, ShapeError


def check_operands(operator, *tensors):
    """Tensors of one numeric dtype, or an error that says what to do."""
    first = None
    for i, t in enumerate(tensors):
        try:
            d = t._data.dtype
        except AttributeError:
            raise ArgumentError(
                f"{operator}(): argument {i + 1} must be Tensor, not {type(t).__name__}; make one with "
                "torch.tensor(...)"
            ) from None
        if first is None:
            first = d
        elif d is not first and d != first:
            raise DTypeError(
                f"{operator}(): expected all tensors to have the same dtype, but got: {_name(first)} != {_name(d)}; "
                "convert one with .to(dtype)"
            )
    if first.kind == "b":
        raise DTypeError(f"{operator}(): not implemented for bool tensors; convert with .float() or .to(torch.int64)")


def _name(d):
    return {"float32": "float", "float64": "double", "float16": "half", "int64": "long", "int32": "int"}.get(
        d.name, d.name
    )


def check_rank(operator, what, t, rank):
    """``t`` has ``rank`` dimensions."""
    if t._data.ndim != rank:
        raise ShapeError(f"{operator}(): {what} must be a {rank}-D tensor, got shape {list(t._data.shape)}")


def no_product(operator, a, b):
    return ShapeError(
        f"{operator}(): mat1 and mat2 shapes cannot be multiplied ({'x'.join(map(str, a))} and "
        f"{'x'.join(map(str, b))}): "
        f"the last size of the first ({a[-1]}) must equal the first matrix size of the second ({b[0]}); did you mean "
        "to transpose one?"
    )
