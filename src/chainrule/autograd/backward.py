"""``backward`` and ``grad``: where gradients start and where they end."""

import numpy as np

from ..batching import enter_batch, exit_batch, open_batch
from ..config import modes
from ..dtypes import from_numpy_dtype
from ..errors import ArgumentError, GradientError, ShapeError
from ..handle import Tensor, wrap
from ..primitive.base import edge_of
from ..primitive.quiet import QUIET, mute, restore
from ..primitive.registry import raw, recorded
from .engine import accumulate, run_backward
from .events import run_hooks


def as_list(x):
    return [x] if isinstance(x, Tensor) or not hasattr(x, "__iter__") else list(x)


def start(outputs, gradients, create_graph, who):
    """The roots: per output its edge and the gradient it starts with."""
    if gradients is None:
        gradients = [None] * len(outputs)
    if len(gradients) != len(outputs):
        raise ArgumentError(f"{who}: expected one gradient per output ({len(outputs)}), got {len(gradients)}")
    roots = []
    for t, g in zip(outputs, gradients, strict=True):
        if not isinstance(t, Tensor):
            raise ArgumentError(f"{who}: expected Tensors to differentiate, got {type(t).__name__}")
        edge = edge_of(t)
        if edge is None:
            raise GradientError(
                "element 0 of tensors does not require grad and does not have a grad_fn: nothing it was computed "
                "from requires a gradient. Set requires_grad=True on an input, and check for no_grad() or "
                "detach() on the way."
            )
        if g is None:
            if t._data.size != 1:
                raise GradientError(
                    f"grad can be implicitly created only for scalar outputs, got shape {tuple(t._data.shape)}. "
                    "Reduce it first, e.g. with .sum() or .mean(), or give gradient= (a tensor of that shape)."
                )
            if type(t._data) is np.ndarray:
                g = t._data.copy()
                g.fill(1)
            else:
                g = t._data.ones()
            roots.append((edge, t._output_nr, wrap(g) if create_graph else g))
            continue
        if not isinstance(g, Tensor):
            raise ArgumentError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
        if g._data.shape != t._data.shape:
            raise ShapeError(
                f"Mismatch in shape: grad_output[{len(roots)}] has a shape of {tuple(g._data.shape)} and "
                f"output[{len(roots)}] has a shape of {tuple(t._data.shape)}. Give a gradient of the output's shape."
            )
        if g._data.dtype != t._data.dtype:
            g = recorded.cast(g, from_numpy_dtype(t._data.dtype))
        roots.append((edge, t._output_nr, g if create_graph else g._data))
    return roots


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """Add the gradient of ``tensors`` with respect to the leaves of their graph to the leaves' ``.grad``.

    tensors: one tensor or several.  grad_tensors: the gradient each starts with (default 1, for one-element tensors).
    retain_graph: keep what the graph saved for another pass (default: as ``create_graph``).
    create_graph: record the backward pass itself, for higher derivatives.
    inputs: only these tensors get a gradient; non-leaves are allowed.

    Raises GradientError if a tensor has no graph, or is no scalar and has no gradient; FreedGraphError, InPlaceError
    from the walk.

    >>> import chainrule as torch
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> torch.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([2., 4.])
    """
    tensors = as_list(tensors)
    if grad_tensors is not None:
        grad_tensors = as_list(grad_tensors)
    roots = start(tensors, grad_tensors, create_graph, "backward")
    retain_graph = create_graph if retain_graph is None else retain_graph
    targets = None
    if inputs is not None:
        inputs = as_list(inputs)
        if not inputs:
            raise GradientError("`inputs` argument to `backward()` cannot be empty.")
        targets = {}
        for t in inputs:
            edge = edge_of(t)
            if edge is None:
                raise GradientError(
                    "One of the differentiated Tensors does not require grad; set requires_grad=True on it"
                )
            targets[edge] = t
    pending, found = walk(roots, retain_graph, create_graph, targets)
    if targets is not None:
        pending = {e: g for e, g in pending.items() if e in targets}
        for edge, g in found.items():
            t = targets[edge]
            g = g[t._output_nr] if edge.outputs != 1 else g
            g = g if isinstance(g, Tensor) else wrap(np.array(g))
            t._grad = g if t._grad is None else t._grad + g
    accumulate(pending, create_graph)


def walk(roots, retain_graph, create_graph, targets):
    """``run_backward`` with NumPy's warnings off, recording if a graph of the backward pass is wanted."""
    token = mute(QUIET)
    if not create_graph:
        # Rules on arrays record nothing; what could (hooks, custom functions) is called with recording off.
        try:
            return run_backward(roots, retain_graph, create_graph, targets)
        finally:
            restore(token)
    before, modes.grad = modes.grad, True
    try:
        return run_backward(roots, retain_graph, create_graph, targets)
    finally:
        modes.grad = before
        restore(token)


def grad(
    outputs,
    inputs,
    grad_outputs=None,
    retain_graph=None,
    create_graph=False,
    only_inputs=True,
    allow_unused=None,
    is_grads_batched=False,
    materialize_grads=False,
):
    """The gradients of ``outputs`` with respect to ``inputs``, as a tuple; no ``.grad`` is touched.

    grad_outputs: the gradients the outputs start with.  allow_unused: None instead of an error for an input that is
    not in the graph.
    materialize_grads: zeros instead of None.  is_grads_batched: ``grad_outputs`` have a leading batch dimension.

    >>> import chainrule as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (g,) = torch.autograd.grad(x**3, x, create_graph=True)
    >>> torch.autograd.grad(g, x)
    (tensor(18.),)
    """
    outputs, inputs = as_list(outputs), as_list(inputs)
    if allow_unused is None:
        allow_unused = materialize_grads
    elif not allow_unused and materialize_grads:
        raise ArgumentError(
            "grad: expected allow_unused to be True or not passed when materialize_grads=True, but got "
            "allow_unused=False"
        )
    if grad_outputs is not None:
        grad_outputs = as_list(grad_outputs)
    if is_grads_batched:
        return grad_batch(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads)
    retain_graph = create_graph if retain_graph is None else retain_graph
    edges = []
    for i, t in enumerate(inputs):
        if not isinstance(t, Tensor):
            raise ArgumentError(f"grad: argument 'inputs' must be Tensors, element {i} is {type(t).__name__}")
        edge = edge_of(t)
        if edge is None:
            raise GradientError(
                "One of the differentiated Tensors does not require grad; call .requires_grad_() on it before using it"
            )
        edges.append(edge)
    roots = start(outputs, grad_outputs, create_graph, "grad")
    pending, found = walk(roots, retain_graph, create_graph, set(edges))
    result = []
    for t, edge in zip(inputs, edges, strict=True):
        g = found.get(edge) if edge is not t else pending.get(edge)
        if edge is t and g is not None and t._hooks:
            g = run_hooks(t._hooks.values(), g, recorded if create_graph else raw)
        if edge is not t and edge.outputs != 1 and g is not None:
            g = g[t._output_nr]
        if g is None:
            if materialize_grads:
                g = np.zeros(t._data.shape, t._data.dtype)
            elif not allow_unused:
                raise GradientError(
                    "One of the differentiated Tensors appears to not have been used in the graph. "
                    "Set allow_unused=True if this is the desired behavior."
                )
            else:
                result.append(None)
                continue
        if not isinstance(g, Tensor):
            g = wrap(g if g.dtype == t._data.dtype else g.astype(t._data.dtype))
        result.append(g)
    own_arrays(result)
    return tuple(result)


def grad_batch(outputs, inputs, grad_outputs, retain_graph, create_graph, allow_unused, materialize_grads):
    """``grad`` for a batch of gradients at once: one walk over the graph."""
    if grad_outputs is None or any(not isinstance(g, Tensor) or g._data.ndim == 0 for g in grad_outputs):
        raise GradientError(
            "grad: with is_grads_batched=True, grad_outputs must be tensors with a leading batch dimension"
        )
    size = grad_outputs[0]._data.shape[0]
    for i, (y, g) in enumerate(zip(outputs, grad_outputs, strict=False)):
        if g._data.shape != (size, *y._data.shape):
            raise ShapeError(
                "If `is_grads_batched=True`, we interpret the first dimension of each grad_output as the batch "
                "dimension. Mismatch in shape: "
                f"grad_output[{i}] has a shape of {tuple(g._data.shape)} and output[{i}] has a shape of "
                f"{tuple(y._data.shape)}."
            )
    with open_batch(size) as level:
        starts = [enter_batch(g, dim=0, level=level) for g in grad_outputs]
        found = grad(outputs, inputs, starts, retain_graph, create_graph, True, allow_unused, False, materialize_grads)
    return tuple([None if g is None else exit_batch(g, dim=0, level=level, size=size) for g in found])


def own_arrays(grads):
    """No two results may share memory, nor be a broadcast view, since the user may change them in place."""
    seen = set()
    for i, g in enumerate(grads):
        if g is None or g._requires_grad or type(g._data) is not np.ndarray:
            continue
        if g._data.base is not None or id(g._data) in seen:
            grads[i] = wrap(g._data.copy())
        seen.add(id(g._data))
