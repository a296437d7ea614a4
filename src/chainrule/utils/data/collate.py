"""From a list of samples to a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from ... import ops
from ...handle import Tensor

_FOUND = "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"


def default_convert(data: Any) -> Any:
    """Turn NumPy arrays and scalars into tensors, also inside dicts, lists and tuples; leave the rest.

    >>> import chainrule as torch
    >>> import numpy as np
    >>> torch.utils.data.default_convert({"x": np.array([1, 2]), "name": "a"})
    {'x': tensor([1, 2]), 'name': 'a'}
    """
    kind = type(data)
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if data.dtype.kind in "SUO" else ops.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple):
        parts = [default_convert(d) for d in data]
        return kind(*parts) if hasattr(data, "_fields") else parts
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuild_sequence(data, [default_convert(d) for d in data])
    return data


def _rebuild_mapping(original: Any, items: dict) -> Any:
    """A mapping of the original's kind where it can be made, so that subclasses with extra attributes survive."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(items)
            return clone
        return type(original)(items)
    except TypeError:
        return items


def _rebuild_sequence(original: Any, items: list) -> Any:
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for i, item in enumerate(items):
                clone[i] = item
            return clone
        return type(original)(items)
    except TypeError:
        return items


def collate(batch: Any, *, collate_fn_map: dict[Any, Callable] | None = None) -> Any:
    """Collate by a table ``{type or tuple of types: function(batch, *, collate_fn_map)}``.

    Dicts, lists, tuples and named tuples are collated entry by entry.

    Raises:
        TypeError: a type that is neither in the table nor a container.
        RuntimeError: lists of different lengths.
    """
    first = batch[0]
    kind = type(first)
    table = collate_fn_map or {}
    if kind in table:
        return table[kind](batch, collate_fn_map=collate_fn_map)
    for known, fn in table.items():
        if isinstance(first, known):
            return fn(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        items = {key: collate([d[key] for d in batch], collate_fn_map=collate_fn_map) for key in first}
        return _rebuild_mapping(first, items)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return kind(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        lengths = {len(sample) for sample in batch}
        if len(lengths) > 1:
            raise RuntimeError(
                f"each element in list of batch should be of equal size, but got lengths {sorted(lengths)}; "
                "pad the samples or give the DataLoader a collate_fn"
            )
        columns = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)]
        return columns if isinstance(first, tuple) else _rebuild_sequence(first, columns)
    raise TypeError(_FOUND.format(kind))


def collate_tensor_fn(batch: Any, *, collate_fn_map: dict | None = None) -> Any:
    data = batch[0]._data
    shape, dtype = data.shape, data.dtype
    for sample in batch:
        data = sample._data
        # Recorded, promoted and wrongly shaped samples are the general operator's business.
        if type(sample) is not Tensor or sample._requires_grad or data.shape != shape or data.dtype != dtype:
            return ops.stack(list(batch), 0)
    out = np.empty((len(batch), *shape), dtype)
    for i, sample in enumerate(batch):
        out[i] = sample._data
    return Tensor._wrap(out)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: dict | None = None) -> Any:
    if batch[0].dtype.kind in "SUO":
        raise TypeError(_FOUND.format(batch[0].dtype))
    return collate([ops.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: dict | None = None) -> Any:
    return ops.as_tensor(np.asarray(batch))


def collate_float_fn(batch: Any, *, collate_fn_map: dict | None = None) -> Any:
    return Tensor._wrap(np.array(batch, dtype=np.float64))


def collate_int_fn(batch: Any, *, collate_fn_map: dict | None = None) -> Any:
    return ops.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: dict | None = None) -> Any:
    return batch


default_collate_fn_map: dict[Any, Callable] = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    # np.float64 is a float and str_ a str as well: the NumPy scalars must come first.
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def default_collate(batch: Any) -> Any:
    """Stack samples into a batch: tensors and arrays along a new first dimension, numbers into a tensor.

    Python floats give float64, ints int64; strings stay a list; dicts, lists, tuples and named tuples are collated
    entry by entry.

    Raises:
        TypeError: another kind of sample.
        RuntimeError: samples that do not fit together.

    >>> import chainrule as torch
    >>> torch.utils.data.default_collate([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}])
    {'x': tensor([1, 2]), 'y': ['a', 'b']}
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
