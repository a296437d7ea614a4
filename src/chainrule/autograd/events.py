"""What users attach to the graph: tensor hooks, retain_grad, node hooks.

The engine comes here only for nodes that have any.
"""

import numpy as np

from ..config import modes
from ..errors import GradientError
from ..handle import Tensor, wrap
from ..primitive.registry import recorded

ndarray = np.ndarray


def call_hook(hook, o, *args):
    """Hooks run with recording on only if the backward pass itself is recorded."""
    before, modes.grad = modes.grad, o is recorded
    try:
        return hook(*args)
    finally:
        modes.grad = before


def node_events(node, g, o):
    """What is attached to a node: missing gradients of further outputs, tensor hooks, retain_grad, node prehooks."""
    meta = node.meta
    if node.outputs != 1:
        g = list(g)
    slots = meta.get("tensors")
    if slots is not None:
        for nr, (hooks, retains) in slots.items():
            part = g[nr] if node.outputs != 1 else g
            if part is None:
                continue
            if hooks:
                part = run_hooks(hooks.values(), part, o)
            tensor = None if retains is None else retains()
            if tensor is not None:
                keep = (
                    recorded.clone(part)
                    if isinstance(part, Tensor)
                    else wrap(np.array(part) if isinstance(part, (ndarray, np.generic)) else part)
                )
                tensor._grad = (
                    keep
                    if tensor._grad is None
                    else recorded.add(tensor._grad, keep)
                    if o is recorded
                    else wrap(tensor._grad._data + keep._data)
                )
            if node.outputs != 1:
                g[nr] = part
            else:
                g = part
    if node.outputs != 1:
        if node.primitive is None:
            node.missing = tuple([part is None for part in g])
        g = tuple([zeros_for(spec, o) if part is None else part for part, spec in zip(g, meta["outputs"], strict=True)])
    for hook in list(meta.get("prehooks", {}).values()):  # a hook may remove itself
        parts = g if node.outputs != 1 else (g,)
        result = call_hook(hook, o, as_tensors(parts))
        if result is not None:
            result = result if isinstance(result, tuple) else (result,)
            parts = tuple(r if o is recorded or r is None else r._data for r in result)
            g = parts if node.outputs != 1 else parts[0]
    return g


def zeros_for(spec, o):
    shape, dtype = spec
    if dtype.kind not in "fV":
        return None
    z = np.zeros(shape, dtype)
    return wrap(z) if o is recorded else z


def run_hooks(hooks, g, o):
    """Tensor hooks see a tensor and may return another."""
    t = g if isinstance(g, Tensor) else wrap(g)
    for hook in list(hooks):
        result = call_hook(hook, o, t)
        if result is not None:
            if not isinstance(result, Tensor):
                raise GradientError(f"a tensor hook must return None or a Tensor, got {type(result).__name__}")
            if result._data.shape != t._data.shape:
                raise GradientError(
                    f"hook has changed the size of value: expected {tuple(t._data.shape)}, got "
                    f"{tuple(result._data.shape)}"
                )
            t = result
    return t if o is recorded else t._data


def as_tensors(parts):
    """What hooks are shown: gradients as tensors."""
    return tuple([p if p is None or isinstance(p, Tensor) else wrap(p) for p in parts])


def after_events(node, grads, g, o):
    """Node hooks, which see gradients in and out."""
    if "posthooks" not in node.meta:
        return grads
    grads = list(grads)
    for hook in list(node.meta["posthooks"].values()):
        result = call_hook(hook, o, as_tensors(grads), as_tensors(g if isinstance(g, tuple) else (g,)))
        if result is not None:
            result = result if isinstance(result, tuple) else (result,)
            grads = [r if o is recorded or r is None else r._data for r in result]
    return grads
