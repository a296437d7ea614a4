"""Trade time for memory: forget what a part of the network saved, and run that part again when the backward pass needs
it.

Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost". The part's nodes stay in the graph; only
their saved values are dropped, and filled in again from a second run. So ``autograd.grad``, parameters used inside
and double backward work as without it.
"""

from contextlib import nullcontext

from ..config import enable_grad, modes
from ..errors import ArgumentValueError, GradientError
from ..handle import Tensor
from ..node import Node, topological
from ..ops.random import get_rng_state, set_rng_state

_KEPT_BY_FUNCTION = "kept"  # where a custom Function's node keeps its tensors


def _tensors_in(x):
    if isinstance(x, Tensor):
        return [x]
    if isinstance(x, dict):
        x = list(x.values())
    return [t for v in x for t in _tensors_in(v)] if isinstance(x, (tuple, list)) else []


def _map_tensors(x, fn):
    if isinstance(x, Tensor):
        return fn(x)
    if isinstance(x, dict):
        return {k: _map_tensors(v, fn) for k, v in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*[_map_tensors(v, fn) for v in x])
    return type(x)(_map_tensors(v, fn) for v in x) if isinstance(x, (tuple, list)) else x


def _made_since(first, outputs):
    """The nodes younger than ``first`` behind the outputs, oldest first."""
    roots = {t._node for t in _tensors_in(outputs) if t._node is not None and t._node.seq > first}
    return [n for n in reversed(topological(list(roots))) if n.seq > first]


class _Segment:
    """One checkpointed call: what is needed to run it again."""

    def __init__(self, function, args, kwargs, rng, nodes, context):
        self.function, self.args, self.kwargs, self.rng, self.nodes = function, args, kwargs, rng, nodes
        self.context = context  # what the second run happens in

    def restore(self):
        """Run the function again and give its nodes their saved values back."""
        originals = {}

        def fresh(t):
            alias = t.detach()
            if t.requires_grad:
                alias.requires_grad_()
            originals[alias] = t
            return alias

        args, kwargs = _map_tensors(self.args, fresh), _map_tensors(self.kwargs, fresh)
        now = get_rng_state()
        if self.rng is not None:
            set_rng_state(self.rng)
        try:
            with enable_grad(), self.context:
                first = Node((), None, None).seq
                again = _made_since(first, self.function(*args, **kwargs))
        finally:
            set_rng_state(now)
        if [n.name() for n in again] != [n.name() for n in self.nodes]:
            raise GradientError(
                f"checkpoint: the function recorded {len(again)} operators when it was run again for the backward "
                f"pass and {len(self.nodes)} "
                "the first time; it must do the same both times (no state that changes, no data-dependent randomness "
                "of its own)"
            )
        old = dict(zip(again, self.nodes, strict=True))

        def home(t):
            """A tensor of the second run as the one of the first that it stands for."""
            if t is None or t in originals:
                return originals.get(t)
            if t._node in old:
                return old[t._node].output(t._data, t._output_nr)
            return t

        for node, copy in zip(self.nodes, again, strict=True):
            if copy.values is None and copy.meta is not None and "recompute" in copy.meta:
                copy.meta["recompute"]()  # a checkpoint inside this one
            node.values = copy.values
            node.tensors = None if copy.tensors is None else tuple([home(t) for t in copy.tensors])
            node.versions = copy.versions
            node.cell = None
            if hasattr(copy, _KEPT_BY_FUNCTION):
                node.kept = [(kind, home(v) if kind == "tensor" else v) for kind, v in copy.kept]


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=None,
    determinism_check="default",
    debug=False,
    preserve_rng_state=True,
    **kwargs,
):
    """``function(*args, **kwargs)`` without keeping what it saves; the backward pass runs it a second time.

    preserve_rng_state: give the second run the random state of the first (for dropout).  use_reentrant: both values do
    the same here.

    Raises GradientError in the backward pass if the second run records other operators than the first.

    >>> import chainrule as torch
    >>> from chainrule.utils.checkpoint import checkpoint
    >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda t: (t.exp() * t).sum(), x).backward()
    >>> x.grad
    tensor([ 5.4366, 22.1672])
    """
    if determinism_check not in ("default", "none"):
        raise ArgumentValueError(
            f"checkpoint: determinism_check must be 'default' or 'none', got {determinism_check!r}"
        )
    if not modes.grad:
        return function(*args, **kwargs)
    rng = get_rng_state() if preserve_rng_state else None
    first = Node((), None, None).seq
    forward, again = (nullcontext(), nullcontext()) if context_fn is None else context_fn()
    with forward:
        result = function(*args, **kwargs)
    nodes = _made_since(first, result)
    segment = _Segment(function, args, kwargs, rng, nodes, again)
    for node in nodes:
        node.release()
        node.metadata["recompute"] = segment.restore
    return result


def checkpoint_sequential(functions, segments, input, use_reentrant=None, preserve_rng_state=True, **kwargs):
    """Run a list of modules (or a Sequential) as ``segments`` checkpointed parts; the last part is run as usual."""
    functions = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(functions) // segments

    def run(start, end):
        def part(x):
            for f in functions[start:end]:
                x = f(x)
            return x

        return part

    end = 0
    for i in range(segments - 1):
        end = (i + 1) * size
        input = checkpoint(run(i * size, end), input, preserve_rng_state=preserve_rng_state)
    return run(end, len(functions))(input)
