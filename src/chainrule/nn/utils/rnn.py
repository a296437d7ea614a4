"""Batches of sequences of different lengths: padded to one size, or packed time step by time step."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import dtypes, ops
from ...errors import ArgumentError, ArgumentValueError, ShapeError
from ...handle import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]

_Fields = namedtuple("PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])


class PackedSequence(_Fields):
    """Sequences of different lengths, longest first, as rows ordered by time.

    At time t the next `batch_sizes[t]` rows of `data` belong to the sequences that are still running.
    `sorted_indices` says how the user's sequences were sorted, `unsorted_indices` how to undo it.
    Made by `pack_padded_sequence` and `pack_sequence`.
    """

    __slots__ = ()

    def __new__(
        cls, data: Any, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None
    ) -> PackedSequence:
        if batch_sizes is None:
            raise ArgumentValueError(
                "PackedSequence: batch_sizes is missing; use pack_padded_sequence or pack_sequence to make one"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with_data(self, data: Any) -> PackedSequence:
        return type(self)(data, *self[1:])

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """Convert the data: the same arguments as `Tensor.to`."""
        data = self.data.to(*args, **kwargs)
        return self if data is self.data else self._with_data(data)

    def float(self) -> PackedSequence:
        """Convert the data to float32."""
        return self.to(dtypes.float32)

    def double(self) -> PackedSequence:
        """Convert the data to float64."""
        return self.to(dtypes.float64)

    def half(self) -> PackedSequence:
        """Convert the data to float16."""
        return self.to(dtypes.float16)

    def long(self) -> PackedSequence:
        """Convert the data to int64."""
        return self.to(dtypes.int64)

    def int(self) -> PackedSequence:
        """Convert the data to int32."""
        return self.to(dtypes.int32)

    def cpu(self) -> PackedSequence:
        """Return the sequence; all memory is on the CPU."""
        return self

    def pin_memory(self) -> PackedSequence:
        """Return the sequence; there is no other device to copy to."""
        return self

    @property
    def is_cuda(self) -> bool:
        """False."""
        return False


def invert_permutation(permutation: Any) -> Any:
    """The permutation that undoes this one (a 1-d tensor of ints); None for None."""
    if permutation is None:
        return None
    return Tensor._wrap(np.argsort(permutation._data))


def pack_padded_sequence(
    input: Any, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch (T, B, *), or (B, T, *) with `batch_first`; `lengths` has B positive ints.

    With `enforce_sorted=False` the sequences may come in any order. Raises ShapeError for lengths that are not
    sorted, not positive or too many.

    >>> import chainrule as torch
    >>> from chainrule.nn.utils.rnn import pack_padded_sequence
    >>> packed = pack_padded_sequence(torch.tensor([[1, 2, 0], [3, 0, 0], [4, 5, 6]]), [2, 1, 3],
    ...                               batch_first=True, enforce_sorted=False)
    >>> packed.data
    tensor([4, 1, 3, 5, 2, 6])
    >>> packed.batch_sizes
    tensor([3, 2, 1])
    """
    if not isinstance(input, Tensor):
        raise ArgumentError(f"pack_padded_sequence: input: expected a tensor, got {type(input).__name__}")
    sizes = np.asarray(lengths._data if isinstance(lengths, Tensor) else lengths, np.int64)
    sorted_indices = None
    if not enforce_sorted:
        order = np.argsort(-sizes, kind="stable")
        sizes = sizes[order]
        sorted_indices = Tensor._wrap(order)
        input = input.index_select(0 if batch_first else 1, sorted_indices)
    x = input.transpose(0, 1) if batch_first else input
    if x.dim() < 2 or x.shape[0] == 0:
        raise ShapeError("Cannot pack empty tensors.")
    if sizes.ndim != 1 or sizes.size != x.shape[1]:
        raise ShapeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {sizes.size} (batch_size={x.shape[1]})"
        )
    if sizes[-1] <= 0:
        raise ShapeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if np.any(np.diff(sizes) > 0):
        raise ShapeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement."
        )
    if sizes[0] > x.shape[0]:
        raise ShapeError(
            f"Expected lengths of at most {x.shape[0]} (the padded size), but got a sequence of length {sizes[0]}"
        )
    batch_sizes = np.array([np.count_nonzero(sizes > t) for t in range(sizes[0])], np.int64)
    time = np.repeat(np.arange(len(batch_sizes)), batch_sizes)
    row = np.concatenate([np.arange(n) for n in batch_sizes])
    data = x[Tensor._wrap(time), Tensor._wrap(row)]
    return PackedSequence(data, Tensor._wrap(batch_sizes), sorted_indices)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Any, Any]:
    """The padded batch (T, B, *) and the lengths: the inverse of `pack_padded_sequence`.

    Raises ArgumentValueError if `total_length` is less than the longest length.

    >>> import chainrule as torch
    >>> from chainrule.nn.utils.rnn import pack_sequence, pad_packed_sequence
    >>> pad_packed_sequence(pack_sequence([torch.tensor([1, 2]), torch.tensor([3])]), batch_first=True)
    (tensor([[1, 2],
            [3, 0]]), tensor([2, 1]))
    """
    data, batch_sizes, _, unsorted = sequence
    sizes = batch_sizes._data
    longest, batch = len(sizes), int(sizes[0])
    total = longest
    if total_length is not None:
        if total_length < longest:
            raise ArgumentValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {longest}"
            )
        total = total_length
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    lengths = np.array([np.count_nonzero(sizes > b) for b in range(batch)], np.int64)
    # Row number of each (time, sequence), or of a row of padding put at the end.
    time, row = np.arange(total)[:, None], np.arange(batch)[None, :]
    inside = time < lengths[None, :]
    where = np.where(inside, np.append(starts, np.zeros(total - longest, np.int64))[:, None] + row, data.shape[0])
    padding = ops.full((1, *data.shape[1:]), padding_value, dtype=data.dtype)
    out = ops.cat([data, padding])[Tensor._wrap(where)]
    if batch_first:
        out = out.transpose(0, 1)
    lengths = Tensor._wrap(lengths)
    if unsorted is not None:
        out = out.index_select(0 if batch_first else 1, unsorted)
        lengths = lengths[unsorted]
    return out, lengths


def pad_sequence(
    sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Any:
    """Stack tensors (L_i, *) into one (L, B, *), or (B, L, *) with `batch_first`, filled with `padding_value`.

    >>> import chainrule as torch
    >>> from chainrule.nn.utils.rnn import pad_sequence
    >>> pad_sequence([torch.tensor([1, 2]), torch.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    if not isinstance(sequences, Iterable):
        raise ArgumentError(
            f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise ArgumentValueError(f"Expected padding_side to be one of left or right, but got {padding_side}.")
    sequences = list(sequences.unbind(0) if isinstance(sequences, Tensor) else sequences)
    if not sequences:
        raise ArgumentValueError("pad_sequence: received an empty list of sequences")
    longest = max(s.shape[0] for s in sequences)
    padded = []
    for s in sequences:
        missing = longest - s.shape[0]
        if missing:
            fill = ops.full((missing, *s.shape[1:]), padding_value, dtype=s.dtype)
            s = ops.cat([fill, s] if padding_side == "left" else [s, fill])
        padded.append(s)
    return ops.stack(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Any, lengths: Any, batch_first: bool = False) -> list[Any]:
    """The list of tensors that `pad_sequence` stacked."""
    rows = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [row[: int(n)] for row, n in zip(rows, lengths, strict=True)]


def pack_sequence(sequences: Any, enforce_sorted: bool = True) -> PackedSequence:
    """Pack a list of tensors (L_i, *), longest first unless `enforce_sorted=False`."""
    lengths = [s.shape[0] for s in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Any]:
    """The list of tensors that `pack_sequence` packed."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
