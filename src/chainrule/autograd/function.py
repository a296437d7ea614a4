"""Operators of the user's own: ``autograd.Function`` with a forward and a backward, differentiable twice if the
backward is."""

import numpy as np

from ..config import modes, switches
from ..errors import ArgumentError, GradientError
from ..handle import Tensor
from ..node import call_site
from ..primitive.base import PrimitiveNode, edge_of, finish_node
from ..primitive.registry import recorded

_new = object.__new__


class FunctionNode(PrimitiveNode):
    """The node of a custom function; it is also the ``ctx`` that forward and backward receive."""

    outputs = 0

    # ---- what forward may say

    def save_for_backward(self, *tensors):
        """Keep tensors for backward; read them there as ``ctx.saved_tensors``."""
        for t in tensors:
            if t is not None and not isinstance(t, Tensor):
                raise ArgumentError(
                    f"save_for_backward can only save variables, but argument is of type {type(t).__name__}; "
                    "keep other values as attributes: ctx.value = value"
                )
        self.to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors):
        """Say which inputs forward changed in place (they must be returned)."""
        self.dirty = tensors

    def mark_non_differentiable(self, *tensors):
        """Say which outputs have no gradient."""
        self.non_differentiable = tensors

    def set_materialize_grads(self, value):
        """False: backward gets None instead of zeros for outputs without gradient."""
        self.materialize = value

    @property
    def needs_input_grad(self):
        return self.needs

    @property
    def saved_tensors(self):
        """The saved tensors; raises FreedGraphError after a backward that did not retain the graph, InPlaceError if
        one changed."""
        self.unpack(False)
        result = []
        for kind, value in self.kept:
            if kind == "output":
                result.append(self.output(*value))
            else:
                result.append(value)
        return tuple(result)

    @property
    def saved_variables(self):
        return self.saved_tensors

    def keep(self, inputs, outputs):
        """Store what was saved. Outputs are kept as arrays, or node and output would hold each other."""
        kept, tensors = [], []
        for t in getattr(self, "to_save", ()):
            nr = next((i for i, out in enumerate(outputs) if out is t), None)
            if nr is not None and not any(t is x for x in inputs):
                kept.append(("output", (t._data, nr)))
                tensors.append(None)
            else:
                kept.append(("tensor", t))
                tensors.append(t)
        self.__dict__.pop("to_save", None)
        self.kept = kept
        self.values = (None,) * (1 + len(tensors))
        self.tensors = tuple(tensors)
        self.versions = tuple([0 if t is None or t._cell is None else t._cell[0] for t in tensors])

    def release(self):
        super().release()
        self.kept = ()

    def pull(self, o, g, edges):
        materialize = getattr(self, "materialize", True)
        if not materialize and self.missing is not None:
            g = [None if m else x for x, m in zip(g, self.missing, strict=True)]
        grads_in = [None if x is None else x if isinstance(x, Tensor) else Tensor._wrap(x) for x in g]
        before = modes.grad
        modes.grad = o is recorded
        try:
            grads = self.function.backward(self, *grads_in)
        finally:
            modes.grad = before
        if not isinstance(grads, (tuple, list)):
            grads = (grads,)
        grads = list(grads)
        count = len(self.is_tensor)
        while len(grads) > count and grads[-1] is None:
            grads.pop()
        if len(grads) != count:
            raise GradientError(
                f"function {type(self).__name__} returned an incorrect number of gradients (expected {count}, got "
                f"{len(grads)})"
            )
        result = []
        for i, (x, is_tensor) in enumerate(zip(grads, self.is_tensor, strict=True)):
            if not is_tensor:
                if x is not None:
                    raise GradientError(
                        f"function {type(self).__name__} returned a gradient different than None at position {i + 1}, "
                        "but the corresponding forward input was not a Variable (a tensor)"
                    )
                continue
            if x is not None and not isinstance(x, Tensor):
                raise GradientError(
                    f"function {type(self).__name__}: backward must return Tensors or None, got {type(x).__name__} "
                    f"at position {i + 1}"
                )
            shape = self.shapes[len(result)]
            if x is not None and x._data.shape != shape:
                x = self.fit(x, shape, i)
            result.append(None if x is None else x if o is recorded else x._data)
        return result

    def fit(self, x, shape, i):
        try:
            if np.broadcast_shapes(x._data.shape, shape) == x._data.shape:
                return recorded.sum_to(x, shape=shape)
        except ValueError:
            pass
        raise GradientError(
            f"Function {type(self).__name__} returned an invalid gradient at index {i} - got {list(x._data.shape)} "
            "but expected shape "
            f"compatible with {list(shape)}"
        )


class _FunctionMeta(type):
    """Gives every subclass a node class named after it, so that ``grad_fn`` shows ``<MyReluBackward>``."""

    def __init__(cls, name, bases, space):
        super().__init__(name, bases, space)
        cls._node_type = type(name + "Backward", (FunctionNode,), {"function": cls, "__module__": cls.__module__})


class Function(metaclass=_FunctionMeta):
    """Base of custom operators.

    Write ``forward(ctx, *args)`` (or ``forward(*args)`` with ``setup_context(ctx, inputs, output)``) and
    ``backward(ctx, *grads)`` as static methods, call it as ``MyOp.apply(*args)``. Backward returns one gradient (or
    None) per argument of forward; it is recorded under ``create_graph=True``, so it can be differentiated again.

    >>> import chainrule as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * g
    >>> x = torch.tensor([3.0], requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor([6.])
    """

    @staticmethod
    def forward(ctx, *args, **kwargs):
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx, inputs, output):
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx, *grad_outputs):
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it with "
            "backward mode AD."
        )

    @staticmethod
    def vjp(ctx, *grad_outputs):
        return Function.backward(ctx, *grad_outputs)

    @staticmethod
    def jvp(ctx, *grad_inputs):
        raise NotImplementedError("chainrule derives forward mode from backward; jvp is not needed")

    @classmethod
    def apply(cls, *args):
        """Run forward on ``args`` and record it."""
        tensors = [a for a in args if isinstance(a, Tensor)]
        edges = tuple([edge_of(t) for t in tensors]) if modes.grad else (None,) * len(tensors)
        shapes = tuple([t._data.shape for t in tensors])
        ctx = cls._node_type(edges, (), call_site())
        ctx.shapes = shapes
        flags = iter(edges)
        ctx.is_tensor = tuple([isinstance(a, Tensor) for a in args])
        ctx.needs = tuple([next(flags) is not None if t else False for t in ctx.is_tensor])
        ctx.missing = None
        if switches.anomaly is not None:  # a tracer may want to run it again
            ctx.constants = tuple([None if t else a for a, t in zip(args, ctx.is_tensor, strict=True)])
        split = cls.setup_context is not Function.setup_context
        before = modes.grad
        modes.grad = False
        try:
            result = cls.forward(*args) if split else cls.forward(ctx, *args)
            if split:
                cls.setup_context(ctx, args, result)
        finally:
            modes.grad = before
        single = not isinstance(result, (tuple, list))
        outputs = [result] if single else list(result)
        dirty = getattr(ctx, "dirty", ())
        for i, out in enumerate(outputs):
            if (
                isinstance(out, Tensor)
                and not any(out is d for d in dirty)
                and (any(out is t for t in tensors) or out._base is not None)
            ):
                alias = _new(Tensor)  # an input returned as it is, or a view of one: a handle of its own
                alias._data, alias._cell = out._data, out._special_cell()
                outputs[i] = alias
        if any(e is not None for e in edges):
            ctx.keep(tensors, outputs)
            silent = getattr(ctx, "non_differentiable", ())
            originals = [result] if single else list(result)
            ctx.metadata["outputs"] = tuple(
                [(o._data.shape, o._data.dtype) if isinstance(o, Tensor) else ((), np.dtype(bool)) for o in outputs]
            )
            finish_node(ctx, tensors)
            for i, (out, original) in enumerate(zip(outputs, originals, strict=True)):
                if isinstance(out, Tensor) and out._data.dtype.kind in "fV" and not any(original is s for s in silent):
                    if out._requires_grad and out._node is None and any(out is d for d in dirty):
                        raise GradientError(
                            "a leaf Variable that requires grad has been used in an in-place operation."
                        )
                    out._node, out._output_nr, out._requires_grad = ctx, i, True
                    out._special_cell()
            ctx.__dict__.pop("non_differentiable", None)
            ctx.__dict__.pop("dirty", None)
        return outputs[0] if single else tuple(outputs)


def once_differentiable(fn):
    """Decorator for ``backward``: differentiating it again is an error."""

    def backward(ctx, *grads):
        wanted = modes.grad and any(isinstance(g, Tensor) and g._requires_grad for g in grads)
        before, modes.grad = modes.grad, False
        try:
            result = fn(ctx, *grads)
        finally:
            modes.grad = before
        if not wanted:
            return result
        many = isinstance(result, (tuple, list))
        blocked = [
            None if r is None else _Once.apply(r.detach().requires_grad_()) for r in (result if many else (result,))
        ]
        return tuple(blocked) if many else blocked[0]

    return backward


class _Once(Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, g):
        raise GradientError("trying to differentiate twice a function that was marked with @once_differentiable")
