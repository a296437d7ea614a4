"""Text of a tensor: what `repr` and `print` show.

The layout is PyTorch's (`torch/_tensor_str.py`, version 2.13), on raw NumPy arrays. It is done in three steps:

1. `_edges` keeps only the elements that will be shown, so that a large tensor costs no more than its corners.
2. `_texts` writes every kept element with one common format and width.
3. `_layout` puts brackets, line breaks and dots around them.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import numpy as np

from ..errors import ArgumentError, ArgumentValueError

__all__ = ["format_tensor", "get_printoptions", "printoptions", "set_printoptions", "shows_dtype"]


@dataclass
class _PrintOptions:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: float = 80
    sci_mode: bool | None = None


PRINT_OPTS = _PrintOptions()

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80},
    "full": {"precision": 4, "threshold": math.inf, "edgeitems": 3, "linewidth": 80},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: float | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Set how tensors are printed.

    An option left at `None` keeps its value, except `sci_mode`, which returns to automatic.

    Args:
        precision: digits after the point (at first 4).
        threshold: a tensor with more elements than this is summarised (at first 1000).
        edgeitems: elements shown at each end of a summarised dimension (at first 3).
        linewidth: characters in a line (at first 80).
        profile: "default", "short" or "full", set before the other options.
        sci_mode: scientific notation always (`True`), never (`False`), or when the range asks for it (`None`).

    Raises:
        ArgumentError: (a TypeError) an option is not a number.
        ArgumentValueError: (a ValueError) an option is out of range, or there is no such profile.

    Example:
        >>> import chainrule as torch
        >>> torch.set_printoptions(precision=2)
        >>> torch.tensor([1.12345])
        tensor([1.12])
        >>> torch.set_printoptions(profile="default")
        >>> torch.tensor([1.12345])
        tensor([1.1235])
    """
    # Everything is checked before anything is set, so that a refused call changes nothing.
    if profile is not None and profile not in _PROFILES:
        raise ArgumentValueError(
            f"set_printoptions: profile must be one of {', '.join(map(repr, _PROFILES))}, got {profile!r}. "
            "Leave it out to set single options."
        )
    new = {} if profile is None else dict(_PROFILES[profile])
    if precision is not None:
        new["precision"] = _count("precision", precision)
    if threshold is not None:
        new["threshold"] = _number("threshold", threshold)
    if edgeitems is not None:
        new["edgeitems"] = _count("edgeitems", edgeitems)
    if linewidth is not None:
        if not math.isfinite(_number("linewidth", linewidth)):
            raise ArgumentValueError(
                f"set_printoptions: linewidth must be finite, got {linewidth!r}. Give a large number for long lines."
            )
        new["linewidth"] = linewidth
    for name, value in new.items():
        setattr(PRINT_OPTS, name, value)
    PRINT_OPTS.sci_mode = sci_mode


def _count(option: str, value: Any) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        raise ArgumentError(
            f"set_printoptions: {option} must be an int, got {type(value).__name__} {value!r}. Give a whole number."
        ) from None
    if count < 0:
        raise ArgumentValueError(
            f"set_printoptions: {option} must be at least 0, got {count}. Give 0 or a positive number."
        )
    return count


def _number(option: str, value: Any) -> Any:
    if not isinstance(value, (int, float, np.integer, np.floating)) or math.isnan(value):
        raise ArgumentError(
            f"set_printoptions: {option} must be a number, got {type(value).__name__} {value!r}. "
            "Give an int or a float."
        )
    return value


def get_printoptions() -> dict[str, Any]:
    """The current options as a dictionary that `set_printoptions(**options)` takes.

    Example:
        >>> from chainrule.tensors.format import get_printoptions
        >>> get_printoptions()["precision"]
        4
    """
    return asdict(PRINT_OPTS)


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """Set print options inside a `with` block; takes what `set_printoptions` takes and raises what it raises.

    Example:
        >>> import chainrule as torch
        >>> from chainrule.tensors.format import printoptions
        >>> with printoptions(precision=1):
        ...     print(torch.tensor([0.25, 0.5]))
        tensor([0.2, 0.5])
    """
    saved = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**saved)


def shows_dtype(dtype_name: str, default_name: str, *, empty: bool) -> bool:
    """Whether the text needs `dtype=...`: not where reading the elements back would give the same type.

    Names are those of `str(dtype)`. An empty tensor has no elements to tell an int64 or a bool by.

    Example:
        >>> from chainrule.tensors.format import shows_dtype
        >>> shows_dtype("torch.int64", "torch.float32", empty=False)
        False
    """
    if empty:
        return dtype_name != default_name
    return dtype_name not in (default_name, "torch.int64", "torch.bool")


def format_tensor(
    data: np.ndarray,
    *,
    dtype_name: str,
    show_dtype: bool,
    requires_grad: bool = False,
    grad_fn_name: str | None = None,
    class_name: str = "tensor",
    contents: str | None = None,
) -> str:
    """The text of a tensor.

    Args:
        data: the values, any shape; bool, integer or floating (ml_dtypes included).
        dtype_name: what stands after `dtype=`, such as "torch.float16".
        show_dtype: whether it stands there (see `shows_dtype`).
        requires_grad: adds `requires_grad=True` where there is no `grad_fn_name`.
        grad_fn_name: adds `grad_fn=<name>`.
        class_name: "tensor", or the name of a subclass.
        contents: shown in place of the values.

    Example:
        >>> import numpy as np
        >>> from chainrule.tensors.format import format_tensor
        >>> print(format_tensor(np.array([1.5, -2]), dtype_name="torch.float64", show_dtype=True))
        tensor([ 1.5000, -2.0000], dtype=torch.float64)
    """
    prefix = class_name + "("
    indent = len(prefix)
    suffixes = []
    # The size is said where the brackets do not tell it.
    if data.size == 0 and data.ndim != 1 or data.size and not PRINT_OPTS.edgeitems:
        suffixes.append(f"size={tuple(data.shape)}")
    if show_dtype:
        suffixes.append(f"dtype={dtype_name}")
    if grad_fn_name is not None:
        suffixes.append(f"grad_fn=<{grad_fn_name}>")
    elif requires_grad:
        suffixes.append("requires_grad=True")

    return _add_suffixes(prefix + (_values_text(data, indent) if contents is None else contents), suffixes, indent)


def _add_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    parts = [text]
    # PyTorch counts one character too many here (for the comma that may follow).
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > PRINT_OPTS.linewidth:
            parts.append(",\n" + " " * indent + suffix)
            length = indent + len(suffix)
        else:
            parts.append(", " + suffix)
            length += len(suffix) + 2
    return "".join(parts) + ")"


def _values_text(data: np.ndarray, indent: int) -> str:
    if data.size == 0:
        return "[]"
    edge = PRINT_OPTS.edgeitems
    summarise = data.size > PRINT_OPTS.threshold
    if summarise and edge == 0 and data.ndim:
        return "[...]"
    dotted = [summarise and size > 2 * edge for size in data.shape]
    kept = _edges(data, dotted, edge)
    texts, width = _texts(kept)
    return _layout(iter(texts), kept.shape, dotted, width, indent)


def _edges(data: np.ndarray, dotted: list[bool], edge: int) -> np.ndarray:
    """The first and last `edge` elements along each dotted dimension; no other element is read."""
    if not any(dotted):
        return data
    ends = [*range(edge), *range(-edge, 0)]
    return data[np.ix_(*(ends if cut else range(size) for cut, size in zip(dotted, data.shape, strict=True)))]


def _texts(data: np.ndarray) -> tuple[list[str], int]:
    """Text of every element in row-major order, and the width that the columns are counted with."""
    if data.dtype.kind in "biu":
        texts = [str(value) for value in data.ravel().tolist()]
        width = max(map(len, texts))
        return [text.rjust(width) for text in texts], width
    return _float_texts(data)


def _float_texts(data: np.ndarray) -> tuple[list[str], int]:
    values: list[float] = data.astype(np.float64).ravel().tolist()
    precision = PRINT_OPTS.precision
    # Zeros, nan and inf have no say in the notation or the width: they may stick out.
    regular = [bool(value) and math.isfinite(value) for value in values]
    sizes = [abs(value) for value, use in zip(values, regular, strict=True) if use]

    whole = all(size.is_integer() for size in sizes)
    if not sizes:
        scientific = False
    elif PRINT_OPTS.sci_mode is None:
        low, high = min(sizes), max(sizes)
        scientific = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
    else:
        scientific = PRINT_OPTS.sci_mode

    if scientific:
        texts = [format(value, f".{precision}e") for value in values]
    elif whole:
        # A point without digits tells a floating tensor of whole numbers from an integer one.
        texts = [f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}" for value in values]
    else:
        texts = [format(value, f".{precision}f") for value in values]
    width = max((len(text) for text, use in zip(texts, regular, strict=True) if use), default=1)
    return [text.rjust(width) for text in texts], width


def _layout(texts: Iterator[str], shape: tuple[int, ...], dotted: list[bool], width: int, indent: int) -> str:
    """Brackets, dots and line breaks around the next elements of `texts`, as many as `shape` holds."""
    if not shape:
        return next(texts)
    if len(shape) == 1:
        items = list(islice(texts, shape[0]))
        if dotted[0]:
            items.insert(len(items) // 2, " ...")
        per_line = max(1, math.floor((PRINT_OPTS.linewidth - indent) / (width + 2)))
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        separator = ",\n" + " " * (indent + 1)
    else:
        lines = [_layout(texts, shape[1:], dotted[1:], width, indent + 1) for _ in range(shape[0])]
        if dotted[0]:
            lines.insert(len(lines) // 2, "...")
        separator = "," + "\n" * (len(shape) - 1) + " " * (indent + 1)
    return "[" + separator.join(lines) + "]"
