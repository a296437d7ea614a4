"""``torch.autograd.graph``: the graph's node type and tools around it."""

import threading
from typing import NamedTuple

from ..errors import ArgumentValueError, GradientError, UnsupportedError
from ..handle import Tensor
from ..node import Node, RemovableHandle, accumulator
from ..primitive.base import edge_of


class GradientEdge(NamedTuple):
    """One output of a node."""

    node: Node
    output_nr: int


def get_gradient_edge(tensor):
    """The node that made the tensor (the AccumulateGrad of a leaf) and which of its outputs it is."""
    edge = edge_of(tensor)
    if edge is None:
        raise GradientError("It is not possible to get the gradient edge for a Tensor that does not require gradients")
    return GradientEdge(edge, tensor._output_nr) if isinstance(edge, Node) else GradientEdge(accumulator(tensor), 0)


def increment_version(tensor):
    """Say that the memory of a tensor (or of several) was changed from outside, so that a backward that saved it
    complains."""
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        t._bump()


class _Handles:
    def __init__(self, handles):
        self.handles = handles

    def remove(self):
        for h in self.handles:
            h.remove()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.remove()


def register_multi_grad_hook(tensors, fn, *, mode="all"):
    """Call ``fn`` with the gradients of all ``tensors`` once all that will get one have it (mode "all"; None for the
    others), or with the first gradient that is computed (mode "any").

    With "all" every tensor counts once per backward pass; a pass that reaches only some of them leaves the count open
    until it is complete.
    """
    if mode not in ("all", "any"):
        raise ArgumentValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = list(tensors)
    lock, state = threading.Lock(), {"grads": [None] * len(tensors), "count": 0}

    def one(i):
        def hook(g):
            with lock:
                state["count"] += 1
                state["grads"][i] = g
                count = state["count"]
                done = count == 1 if mode == "any" else count == len(tensors)
                grads = list(state["grads"])
                if count == len(tensors):
                    state["grads"], state["count"] = [None] * len(tensors), 0
            if done:
                fn(g if mode == "any" else grads)

        return hook

    return _Handles([t.register_hook(one(i)) for i, t in enumerate(tensors)])


def _unsupported(name, instead):
    class Unsupported:
        def __init__(self, *args, **kwargs):
            raise UnsupportedError(
                f"torch.autograd.graph.{name} is not supported: rules read saved arrays directly; {instead}"
            )

    Unsupported.__name__ = Unsupported.__qualname__ = name
    Unsupported.__doc__ = f"Not supported: {instead}."
    return Unsupported


saved_tensors_hooks = _unsupported("saved_tensors_hooks", "to save memory use torch.utils.checkpoint")
save_on_cpu = _unsupported("save_on_cpu", "all tensors are on the CPU; to save memory use torch.utils.checkpoint")
disable_saved_tensors_hooks = _unsupported("disable_saved_tensors_hooks", "there are no such hooks to disable")
allow_mutation_on_saved_tensors = _unsupported(
    "allow_mutation_on_saved_tensors", "change a .clone() of the tensor instead"
)

__all__ = [
    "GradientEdge",
    "Node",
    "RemovableHandle",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]
