"""Jacobians and Hessians: one reverse pass per output element, or one forward pass per input element."""

import functools

import numpy as np

from .. import ops
from ..autograd.forward import push_forward
from ..autograd.forward import zeros as zeros_of
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


def _units(x):
    """Tensors of the shape of ``x``, each with a single one."""
    shape, d = tuple(x.shape), x._data.dtype
    for i in range(x._data.size):
        unit = np.zeros(shape, d)
        unit.reshape(-1)[i] = 1
        yield wrap(unit)


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
                rows = [_gradients([o], flat, [unit]) for unit in _units(o)]
                blocks.append(
                    [
                        ops.stack([r[i] for r in rows]).reshape((*o.shape, *x.shape)) if rows else ops.zeros((*o.shape, *x.shape), dtype=x.dtype)
                        for i, x in enumerate(flat)
                    ]
                )
        result = settle(_assemble(blocks, specs, single, out_spec), flat)
        return (result, settle(aux, flat)) if has_aux else result

    return transformed


def jacfwd(func, argnums=0, has_aux=False, *, randomness="error"):
    """The Jacobian of ``func`` by forward mode: one pass over the graph per input element.

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
                columns = [[] for _ in outputs]
                for unit in _units(x):
                    for k, (o, t) in enumerate(zip(outputs, push_forward([x], [unit], outputs), strict=True)):
                        columns[k].append(zeros_of(o.shape, o) if t is None else t)
                for k, o in enumerate(outputs):
                    shape = (*o.shape, *x.shape)
                    column = columns[k]
                    blocks[k].append(ops.stack(column, -1).reshape(shape) if column else ops.zeros(shape, dtype=o.dtype))
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
