"""``vmap``: a function of one sample made into a function of a batch."""

import functools

from .. import ops
from ..batching import BatchedArray, enter_batch, exit_batch, open_batch
from ..errors import ArgumentError, ArgumentValueError
from ..handle import Tensor
from ..ops import random
from .tree import flatten, unflatten


def _dims(dims, tree, name):
    """One dim (or None) per leaf of ``tree``, from an int, None, or a nesting that is a prefix of the tree's."""
    if dims is None or isinstance(dims, int):
        return [dims] * len(flatten(tree)[0])
    if isinstance(tree, dict) and isinstance(dims, dict):
        return [d for k in tree for d in _dims(dims[k], tree[k], name)]
    if isinstance(tree, (tuple, list)) and isinstance(dims, (tuple, list)) and len(dims) == len(tree):
        return [d for sub, t in zip(dims, tree, strict=True) for d in _dims(sub, t, name)]
    raise ArgumentValueError(
        f"vmap: {name} is not compatible with the structure it is for; expected an int, None or the same nesting, "
        f"got {dims}"
    )


def vmap(func, in_dims=0, out_dims=0, randomness="error", *, chunk_size=None):
    """``func`` over a batch: each tensor argument loses the dimension ``in_dims`` inside and the results gain
    ``out_dims``.

    in_dims: an int, None (not batched), or a nesting of them like the positional arguments; keyword arguments are not
    batched.  out_dims: likewise for the results.
    randomness: what random operators inside do: "error", "same" for all samples, or "different" (then samples are run
    one by one).
    chunk_size: how many samples at a time.

    Raises ArgumentValueError if no argument is batched or batch sizes differ.

    >>> import chainrule as torch
    >>> torch.vmap(torch.dot)(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 1.0], [2.0, 2.0]]))
    tensor([ 3., 14.])
    """
    if randomness not in ("error", "different", "same"):
        raise ArgumentValueError(f"vmap: randomness must be 'error', 'different' or 'same', got {randomness!r}")
    if chunk_size is not None and chunk_size <= 0:
        raise ArgumentValueError(f"vmap: chunk_size should be None or greater than 0, got {chunk_size}")

    @functools.wraps(func)
    def batched(*args, **kwargs):
        leaves, spec = flatten(args)
        dims = (
            _dims(in_dims, args, "in_dims") if not isinstance(in_dims, list) else _dims(tuple(in_dims), args, "in_dims")
        )
        more, more_spec = flatten(kwargs)
        dims = dims + [None] * len(more)  # keyword arguments belong to every sample
        leaves = leaves + more
        size = None
        for k, (x, d) in enumerate(zip(leaves, dims, strict=True)):
            if d is None:
                continue
            if not isinstance(x, Tensor):
                raise ArgumentValueError(
                    f"vmap: got in_dim={d} for an input that is a {type(x).__name__}; use None for what is no tensor"
                )
            if not -x.ndim <= d < x.ndim:
                raise ArgumentValueError(
                    f"vmap: got in_dim={d} for an input with {x.ndim} dimensions; expected -{x.ndim} <= in_dim < "
                    f"{x.ndim}"
                )
            dims[k] = d % x.ndim
            n = x.shape[d]
            if size not in (None, n):
                raise ArgumentValueError(
                    f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes [{size}, "
                    f"{n}] for the mapped dimension"
                )
            size = n
        if size is None:
            raise ArgumentValueError("vmap: at least one input must be batched: in_dims has no entry that is not None")

        def run(leaves, size):
            def call(values):
                n = len(values) - len(more)
                return func(*unflatten(values[:n], spec), **unflatten(values[n:], more_spec))

            if randomness == "different":
                return _one_by_one(call, leaves, dims, size, out_dims)
            return _at_once(call, leaves, dims, size, out_dims, randomness)

        if chunk_size is None or size <= chunk_size:
            return run(leaves, size)
        parts = []
        for start in range(0, size, chunk_size):
            m = min(chunk_size, size - start)
            parts.append(
                run([x if d is None else ops.narrow(x, d, start, m) for x, d in zip(leaves, dims, strict=True)], m)
            )
        columns = [flatten(p) for p in parts]
        where = _dims(out_dims, parts[0], "out_dims")
        joined = [ops.cat(list(c), d) for c, d in zip(zip(*[f for f, _ in columns], strict=True), where, strict=True)]
        return unflatten(joined, columns[0][1])

    return batched


def _at_once(call, leaves, dims, size, out_dims, randomness):
    strict = random.forbidden.active
    random.forbidden.active = randomness == "error"
    try:
        with open_batch(size) as level:
            result = call(
                [x if d is None else enter_batch(x, dim=d, level=level) for x, d in zip(leaves, dims, strict=True)]
            )
    finally:
        random.forbidden.active = strict
    return _leave(result, out_dims, level, size)


def _leave(result, out_dims, level, size):
    outputs, spec = flatten(result)
    where = _dims(out_dims, result, "out_dims")
    left = []
    for y, d in zip(outputs, where, strict=True):
        if not isinstance(y, Tensor):
            raise ArgumentError(f"vmap: the function must only return Tensors, got type {type(y).__name__}")
        if d is None:
            if type(y._data) is BatchedArray and y._data.level == level:
                raise ArgumentValueError(
                    "vmap: out_dims is None for a result that is batched; give the dimension its batch is to have"
                )
            left.append(y)
            continue
        if not -y.ndim - 1 <= d <= y.ndim:
            raise ArgumentValueError(f"vmap: out_dim={d} is out of range for a result with {y.ndim} dimensions")
        left.append(exit_batch(y, dim=d % (y.ndim + 1), level=level, size=size))
    return unflatten(left, spec)


def _one_by_one(call, leaves, dims, size, out_dims):
    results = [
        call([x if d is None else ops.select(x, d, i) for x, d in zip(leaves, dims, strict=True)]) for i in range(size)
    ]
    columns = [flatten(r) for r in results]
    where = _dims(out_dims, results[0], "out_dims")
    return unflatten(
        [ops.stack(list(c), d or 0) for c, d in zip(zip(*[f for f, _ in columns], strict=True), where, strict=True)],
        columns[0][1],
    )
