"""Results of a compiled function that gradients flow through: the backward pass is captured with the function.

The program is cut in two. What depends on the results' gradients is the backward program; the values that it reads
from the other part leave the forward program as further outputs.
"""

from ..autograd import Function, grad
from ..compiler.ir import Instr, Program
from ..compiler.symbol import Symbol
from ..config import modes
from ..errors import GradientError
from ..handle import Tensor


class Cut:
    """forward: values that the forward program gives out beside its results.  program: the backward program, whose
    inputs are the results' gradients and then those values; its outputs are the gradients of ``leaves``."""

    def __init__(self, tracer, results, leaves):
        b = tracer.lowering
        before = len(b.program.instrs)
        seeds = [b.program.value(t._data.shape, t._data.dtype.name) for t in results]
        given = [Tensor._wrap(Symbol(b, v)) for v in seeds]
        grads = {id(t): (t, t._grad) for t in (*results, *(t for t, _ in tracer.grads.values()))}
        try:
            gradients = grad(results, leaves, given, retain_graph=True, allow_unused=True)
        finally:  # tensors with retain_grad() met the seeds, which are no gradients of this call
            for i, (t, before) in list(tracer.grads.items()):
                if i not in grads:
                    t._grad = before
                    del tracer.grads[i]
            for t, before in grads.values():
                t._grad = before
        self.leaves = [t for t, g in zip(leaves, gradients, strict=True) if g is not None]
        values = [g._data.value for g in gradients if g is not None]
        self.program, self.forward = cut(b.program, before, seeds, values)


def cut(program, before, seeds, values):
    """Move the instructions that depend on ``seeds`` out of ``program``: ``(backward program, values it reads)``."""
    late = set(seeds)
    stay, move = [], []
    for i in program.instrs:
        if any(v in late for v in i.inputs):
            late.update(i.outputs)
            move.append(i)
        else:
            stay.append(i)
    program.instrs = stay
    back = Program()
    back._next = program._next
    back.inputs = list(seeds)
    bridge, moved = {}, []

    def bring(v):
        """A value for the backward program: constants and what is only a way of reading are made anew."""
        if v in late or v in bridge:
            return bridge.get(v, v)
        if v in program.constants:
            back.constants[v] = program.constants[v]
            return v
        i = v.instr
        if i is not None and i.op in ("scalar", "iota", "view"):
            copy = back.value(v.shape, v.dtype)
            copy.instr = Instr(i.op, tuple(bring(x) for x in i.inputs), i.params, (copy,), i.site)
            moved.append(copy.instr)
            bridge[v] = copy
            return copy
        fresh = back.value(v.shape, v.dtype)
        back.inputs.append(fresh)
        bridge[v] = fresh
        read.append(v)
        return fresh

    read = []
    for i in move:
        i.inputs = tuple(bring(v) for v in i.inputs)
        moved.append(i)
    back.outputs = [bring(v) for v in values]
    back.instrs = moved
    return back, read


class CompiledBackward(Function):
    """The node of a compiled function in the graph."""

    @staticmethod
    def forward(ctx, run, again, *leaves):
        results, saved, ctx.backward_of = run()
        ctx.save_for_backward(*[Tensor._wrap(a) for a in saved])
        ctx.leaves, ctx.again, ctx.before = leaves, again, [t._version for t in leaves]
        ctx.set_materialize_grads(True)
        return tuple(results)

    @staticmethod
    def backward(ctx, *grads):
        if modes.grad:  # to be differentiated once more: the function is run again, recorded
            if any(t._version != v for t, v in zip(ctx.leaves, ctx.before, strict=True)):
                raise GradientError(
                    "compile: create_graph=True runs the compiled function again, but a tensor that it reads has been "
                    "changed in place since"
                )
            return (None, None, *grad(ctx.again(), ctx.leaves, grads, create_graph=True, allow_unused=True))
        gradients = ctx.backward_of([t._data for t in (*grads, *ctx.saved_tensors)])
        return (None, None, *[None if a is None else Tensor._wrap(a) for a in gradients])
