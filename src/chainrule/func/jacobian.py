"""Jacobians and Hessians: a reverse pass for a batch of output elements, or a forward pass for a batch of input
elements."""

import functools

import numpy as np

from .. import ops
from ..autograd.forward import push_forward
from ..autograd.forward import zeros as zeros_of
from ..batching import enter_batch, exit_batch, open_batch
from ..config import enable_grad
from ..errors import ArgumentError
from ..handle import Tensor, wrap
from .transforms import _gradients, _positions, _variables, settle
from .tree import flatten, unflatten


def _run(func, args, kwargs, argnums, has_aux, who):
    positions, single = _positions(argnums, len(args), who)
    args, flat, specs = _variables(args, positions)
    with enable_grad():
        y, aux = func(*args, **kwargs), None
        if has_aux:
            y, aux = y
    outputs, out_spec = flatten(y)
    for o in outputs:
        if not isinstance(o, Tensor):
            raise ArgumentError(f"{who}: expected the function to return tensors, got {type(o).__name__}")
    return flat, specs, single, outputs, out_spec, aux


def _units(x, chunk_size):
    """Batches of tensors of the shape of ``x``, each with a single one: all of them, ``chunk_size`` at a time."""
    n = x._data.size
    chunk = n if chunk_size is None else min(chunk_size, n)
    for start in range(0, n, max(chunk, 1)):
        m = min(chunk, n - start)
        units = np.zeros((m, n), x.dtype.np)
        units[range(m), range(start, start + m)] = 1
        yield wrap(units.reshape((m, *x.shape)))


def _batched(units, move):
    """``move(unit)`` for a batch of units at once: a list of tensors with the batch in front."""
    size = len(units)
    with open_batch(size) as level:
        moved = move(enter_batch(units, dim=0, level=level))
    return [exit_batch(t, dim=0, level=level, size=size) for t in moved]


def _joined(chunks, i):
    parts = [c[i] for c in chunks]
    return parts[0] if len(parts) == 1 else ops.cat(parts)


def _assemble(blocks, specs, single, out_spec):
    """``blocks[o][i]``: the Jacobian of output o with respect to the flat input i, nested as torch.func nests it."""
    rows = []
    for row in blocks:
        out, i = [], 0
        for n, spec in specs:
            out.append(unflatten(row[i : i + n], spec))
            i += n
        rows.append(out[0] if single else tuple(out))
    return unflatten(rows, out_spec)


def jacrev(func, argnums=0, has_aux=False, *, chunk_size=None, _preallocate_and_copy=False):
    """The Jacobian of ``func`` by reverse mode: shape ``output.shape + input.shape``.

    argnums: the position of the argument, or a tuple of positions; arguments and results may be nested.  has_aux:
    ``func`` returns
    ``(output, aux)``, the result is ``(jacobian, aux)``.  chunk_size: how many rows at a time (default: all).

    >>> import chainrule as torch
    >>> torch.func.jacrev(torch.square)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        flat, specs, single, outputs, out_spec, aux = _run(func, args, kwargs, argnums, has_aux, "jacrev")
        blocks = []
        with enable_grad():
            for o in outputs:
                chunks = [_batched(u, lambda unit, o=o: _gradients([o], flat, [unit])) for u in _units(o, chunk_size)]
                blocks.append(
                    [
                        ops.reshape(_joined(chunks, i), (*o.shape, *x.shape))
                        if chunks
                        else ops.zeros((*o.shape, *x.shape), dtype=x.dtype)
                        for i, x in enumerate(flat)
                    ]
                )
        result = settle(_assemble(blocks, specs, single, out_spec), flat)
        return (result, settle(aux, flat)) if has_aux else result

    return transformed


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """The Jacobian of ``func`` by forward mode; all its columns at once. Arguments as in ``jacrev``.

    >>> import chainrule as torch
    >>> torch.func.jacfwd(torch.square)(torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        flat, specs, single, outputs, out_spec, aux = _run(func, args, kwargs, argnums, has_aux, "jacfwd")
        blocks = [[] for _ in outputs]
        with enable_grad():
            for x in flat:

                def push(unit, x=x):
                    moved = push_forward([x], [unit], outputs)
                    return [zeros_of(o.shape, o) if t is None else t for o, t in zip(outputs, moved, strict=True)]

                chunks = [_batched(u, push) for u in _units(x, None)]
                for k, o in enumerate(outputs):
                    shape = (*o.shape, *x.shape)
                    if chunks:
                        blocks[k].append(ops.reshape(ops.movedim(_joined(chunks, k), 0, -1), shape))
                    else:
                        blocks[k].append(ops.zeros(shape, dtype=o.dtype))
        result = settle(_assemble(blocks, specs, single, out_spec), flat)
        return (result, settle(aux, flat)) if has_aux else result

    return transformed


def hessian(func, argnums=0):
    """The second derivatives: forward mode over reverse mode, shape ``output.shape + input.shape + input.shape``.

    >>> import chainrule as torch
    >>> torch.func.hessian(lambda x: (x**3).sum())(torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacfwd(jacrev(func, argnums), argnums)
