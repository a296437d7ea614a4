"""In-place operators: compute out of place, write into the memory, rebind the graph.

If the tensor is a view, its base gets a CopySlices node (PyTorch's name) and every view of that base makes its node
again when it is next used.
"""

import numpy as np

from ..config import modes, switches
from ..dtypes import from_numpy_dtype
from ..errors import DTypeError, GradientError, ShapeError
from ..handle import Tensor, wrap
from ..node import Node, call_site
from ..ops.cast import to_dtype
from ..primitive import linear, recorded
from ..primitive.base import refresh_view, set_node

_new = object.__new__
_NAMES = {
    "float32": "Float",
    "float64": "Double",
    "float16": "Half",
    "bfloat16": "BFloat16",
    "int64": "Long",
    "int32": "Int",
    "int16": "Short",
    "int8": "Char",
    "uint8": "Byte",
    "bool": "Bool",
}


def _replay(array, steps):
    for prim, params in steps:
        if hasattr(prim, "nr"):
            array = prim.prim.kernel(array, **params)[prim.nr]
        else:
            array = prim.kernel(array, **params)
    return array


def _copy_slices(base, source, steps):
    out = base.copy()
    _replay(out, steps)[...] = source
    return out


def _copy_slices_transpose(o, g, s, *, steps):
    if not o.recorded:
        part = _replay(g, steps)
        zeros = np.zeros(s[1], g.dtype)
    else:
        part = g
        for prim, params in steps:
            part = prim(part, **params)
        zeros = wrap(np.zeros(s[1], g._data.dtype))
    return o.copy_slices(g, zeros, steps=steps), part


copy_slices = linear(
    "copy_slices",
    _copy_slices,
    _copy_slices_transpose,
    linear_in=None,
    node_name="CopySlices",
    selecting=True,
)


def _copy_over_transpose(o, g, s):
    return (wrap(np.zeros(s[0], g._data.dtype)) if o.recorded else np.zeros(s[0], g.dtype)), g


copy_over = linear(
    "copy_over",
    lambda old, source: source.copy(),
    _copy_over_transpose,
    linear_in=None,
    node_name="CopyBackwards",
    selecting=True,
)


def handle_of(t):
    """The tensor as it is now, as another object: what is recorded must not refer to the handle that gets rebound."""
    a = _new(Tensor)
    a._data = t._data if not getattr(type(t._data), "shares", False) else t._data.copy()
    a._cell = t._shared_cell()
    if t._base is not None:
        refresh_view(t)
        a._base, a._view, a._seen = t._base, t._view, t._seen
    if t._requires_grad:
        a._node, a._output_nr, a._requires_grad = t._node, t._output_nr, True
    return a


def check_writable(t, name):
    """Errors for tensors that can't be changed in place."""
    if switches.tracer is not None:
        switches.tracer.lift((t,))
    if modes.grad:
        if t._base is None:
            if t._requires_grad and t._node is None:
                raise GradientError(
                    f"a leaf Variable that requires grad is being used in an in-place operation ({name}). "
                    "Use it inside torch.no_grad(), or write x = x.op() instead of x.op_()."
                )
        elif t._base._requires_grad and t._base._node is None:
            raise GradientError(
                f"a view of a leaf Variable that requires grad is being used in an in-place operation ({name}). "
                "Use it inside torch.no_grad(), or change a .clone()."
            )
    if type(t._data) is np.ndarray and not t._data.flags.writeable:
        raise ShapeError(
            f"{name}: unsupported operation: more than one element of the written-to tensor refers to a single "
            "memory location "
            "(it was expanded), or its memory is read-only. Please clone() the tensor before performing the operation."
        )


def in_place(t, name, compute):
    """``compute(handle)`` gives the new value; write it into ``t`` and rebind its graph."""
    check_writable(t, name)
    old = handle_of(t)
    first_new = Node((), None, None).seq if modes.grad else None
    return assign(t, name, compute(old), old, first_new)


def assign(t, name, result, old=None, first_new=None):
    """Make ``result`` the value of ``t``."""
    if switches.tracer is not None:
        switches.tracer.lift((result,))
    array, data = result._data, t._data
    if array.shape != data.shape:
        raise ShapeError(
            f"output with shape {list(data.shape)} doesn't match the broadcast shape {list(array.shape)}: {name} "
            "can't change a tensor's size"
        )
    if array.dtype != data.dtype:
        target, source = from_numpy_dtype(data.dtype), from_numpy_dtype(array.dtype)
        if source.kind > target.kind:
            raise DTypeError(
                f"result type {_NAMES.get(source.name, source.name)} can't be cast to the desired output type "
                f"{_NAMES.get(target.name, target.name)}: {name} keeps the tensor's dtype; convert it first with "
                f".to({source})"
            )
        result = to_dtype(result, target)
        array = result._data
    if type(data) is not np.ndarray:
        # Arrays with an interpreter of their own are values: nothing is written, the holders get new ones, and what
        # was saved stays as it is.
        compiling = getattr(type(data), "shares", False)  # then relatives are told by the version, as of arrays
        t._data = data.overwritten(array) if compiling else array
        cell = t._shared_cell() if compiling else [t._version]
        t._cell = cell
        if t._base is not None:
            whole = recorded.copy_slices(t._base.detach(), wrap(array), steps=t._view)._data
            t._base._data = t._base._data.overwritten(whole) if compiling else whole
            t._base._cell = cell
    elif type(array) is not np.ndarray:
        raise GradientError(
            f"vmap: {name}: a tensor that is not batched can't take batched values in place, it has too few elements; "
            "use the out-of-place operator, or make the tensor inside from a batched one (e.g. torch.zeros_like(x))"
        )
    else:
        if result._requires_grad and old is not None and first_new is not None:
            preserve(result._node, old, first_new)
        release_output(t if t._base is None else t._base)
        if array is not data:
            np.copyto(data, array)
    cell = t._special_cell()
    cell[0] += 1
    cell[1:] = [call_site(2)]
    if not modes.grad:
        return t
    if t._base is None:
        rebind(t, result)
        t._seen = cell[0]
    elif result._requires_grad or t._base._requires_grad:
        base, before, after = t._base, handle_of(t._base), _new(Tensor)
        before._cell = None
        copy_slices.record((before, result), (before._data, array), after, None, {"steps": t._view})
        set_node(base, after._node, 0)
    return t


def rebind(t, result):
    """``t`` is now what ``result`` is, in the graph."""
    if result._requires_grad:
        set_node(t, result._node, result._output_nr)
    elif t._node is not None:
        t._node, t._output_nr, t._requires_grad = None, 0, False


def preserve(node, old, first_new):
    """Nodes just made may have saved the old value, whose memory is about to be overwritten: give them a copy."""
    copy = None
    stack, seen = [node], {node}
    while stack:
        n = stack.pop()
        if n.values is not None and any(v is old._data for v in n.values):
            if copy is None:
                copy = _new(Tensor)
                copy.__dict__.update(old.__dict__)
                copy._data, copy._base = old._data.copy(), None
                copy._cell = [0, None]  # special: it may be one of several outputs
            n.values = tuple([copy._data if v is old._data else v for v in n.values])
            if n.tensors is not None:
                n.tensors = tuple([copy if x is old else x for x in n.tensors])
            n.versions = (
                None
                if n.versions is None
                else tuple([0 if x is copy else v for x, v in zip(n.tensors, n.versions, strict=True)])
            )
        for e in n.edges:
            if isinstance(e, Node) and e.seq > first_new and e not in seen:
                seen.add(e)
                stack.append(e)


def release_output(t):
    """The memory of ``t`` is about to be overwritten: a node that allows it and reads its output takes a copy."""
    node = t._node
    if node is not None and node.cell is not None and node.cell is t._cell and node.primitive.output_free:
        if not node.cell[0] and node.values is not None:
            y, *xs = node.values
            node.values = (y.copy(), *xs)
            node.cell = None


def make_in_place(function, name):
    """The in-place form of a function of a tensor."""

    def method(self, *args, **kwargs):
        return in_place(self, name, lambda old: function(old, *args, **kwargs))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"In-place form of :func:`{function.__name__}`; returns the tensor itself."
    return method


def fill(t, name, value):
    """Overwrite all elements; no gradient flows to what was there."""
    if modes.grad and (t._requires_grad or t._base is not None or (isinstance(value, Tensor) and value._requires_grad)):
        return in_place(t, name, lambda old: recorded.where(wrap(np.ones(t._data.shape, bool)), value, old))
    check_writable(t, name)
    if getattr(type(t._data), "shares", False):
        value = value if isinstance(value, Tensor) else wrap(np.asarray(value))
        value = to_dtype(value, from_numpy_dtype(t._data.dtype))
        return assign(t, name, recorded.expand(value, shape=t._data.shape))
    release_output(t if t._base is None else t._base)
    t._data[...] = value._data if isinstance(value, Tensor) else value
    t._bump()
    return t


def copy_(self, src, non_blocking=False):
    """Copy the elements of ``src`` (broadcast, cast to this dtype) into this tensor; gradients flow to ``src``."""
    if not isinstance(src, Tensor):
        raise DTypeError(f"copy_(): argument 'other' must be Tensor, not {type(src).__name__}")
    check_writable(self, "copy_")
    target = from_numpy_dtype(self._data.dtype)
    if src._data.dtype != self._data.dtype:
        src = to_dtype(src, target)
    if src._data.shape != self._data.shape:
        src = recorded.expand(src, shape=self._data.shape) if _fits(src, self) else src
    if modes.grad:
        # A node of its own, so that hooks on the source and on this tensor stay apart; what required a gradient goes
        # on doing so.
        if self._base is None and (src._requires_grad or self._requires_grad) and src._data.shape == self._data.shape:
            src = copy_over(handle_of(self), src)
        elif src._requires_grad:
            src = recorded.clone(src)
    return assign(self, "copy_", src)


def _fits(src, t):
    try:
        return np.broadcast_shapes(src._data.shape, t._data.shape) == t._data.shape
    except ValueError:
        return False
