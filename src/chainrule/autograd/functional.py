"""``torch.autograd.functional``: Jacobians, Hessians and their products, of functions of tensors that return tensors.

Signatures and messages are PyTorch's. Products with a Jacobian or Hessian from the right use forward mode, where
PyTorch reverses twice.
"""

from .. import ops
from ..config import enable_grad
from ..errors import ArgumentError, GradientError
from ..handle import Tensor
from ..ops import cast
from .backward import grad
from .forward import push_batch, push_forward

_STRATEGIES = ("forward-mode", "reverse-mode")


# ---- arguments in, results out


def _as_tuple(x, what, who):
    many = isinstance(x, tuple)
    for i, t in enumerate(x if many else (x,)):
        if not isinstance(t, Tensor):
            where = f"value at index {i}" if many else f"given {what}"
            raise ArgumentError(
                f"The {what} given to {who} must be either a Tensor or a tuple of Tensors but the {where} has type "
                f"{type(t)}."
            )
    return many, x if many else (x,)


def _variables(inputs, create_graph):
    """Variables of this call: connected to the caller's graph if that is to be differentiated, else cut from it."""
    out = []
    for x in inputs:
        if create_graph and x.requires_grad:
            out.append(cast.alias_p(x))
        else:
            out.append(x.detach().requires_grad_())
    return tuple(out)


def _settled(tensors, create_graph):
    return tuple([t if create_graph else t.detach() for t in tensors])


def _unpack(tensors, many):
    return tuple(tensors) if many else tensors[0]


def _run(func, inputs, who, create_graph, strict):
    many, inputs = _as_tuple(inputs, "inputs", who)
    variables = _variables(inputs, create_graph)
    with enable_grad():
        result = func(*variables)
    many_out, outputs = _as_tuple(result, "outputs of the user-provided function", who)
    _check(outputs, "outputs", strict)
    return many, variables, many_out, outputs


def _scalar(outputs, many_out, who):
    if many_out:
        raise GradientError(f"The function given to {who} should return a single Tensor")
    if outputs[0]._data.size != 1:
        raise GradientError(f"The Tensor returned by the function given to {who} should contain a single element")


def _vector(v, like, many, single, who):
    """The vector of a product, one tensor per tensor of ``like``; ones if it may be left out."""
    if v is None:
        if len(like) != 1 or like[0]._data.size != 1:
            raise GradientError(f"The vector v can only be None if {single}.")
        return (ops.ones_like(like[0]),)
    _, v = _as_tuple(v, "v", who)
    if len(v) != len(like):
        raise GradientError(
            f"v is a tuple of invalid length: should be {len(like)} but got {len(v)}."
            if many
            else "The given v should contain a single Tensor."
        )
    for i, (a, b) in enumerate(zip(v, like, strict=True)):
        if a._data.shape != b._data.shape:
            entry = f"Entry {i} in " if many else ""
            raise GradientError(f"{entry}v has invalid size: should be {b.shape} but got {a.shape}.")
    return v


_DEPENDENCE = {
    "outputs": "Output {} of the user-provided function does not require gradients. The outputs must be "
    "computed in a differentiable manner "
    "from the input when running in strict mode.",
    "grad_inputs": "The gradient with respect to input {} is independent of the inputs of the "
    "user-provided function. This is not allowed in "
    "strict mode.",
    "jacobian": "While computing the hessian, found that the jacobian of the user-provided function "
    "with respect to input {} is independent "
    "of the input. This is not allowed in strict mode. You should ensure that your function is twice differentiable "
    "and that the jacobian "
    "depends on the inputs (this would be violated by a linear function for example).",
}


def _check(tensors, kind, strict):
    if not strict:
        return
    for i, t in enumerate(tensors):
        if t is None:
            raise GradientError(
                f"The output of the user-provided function is independent of input {i}. This is not allowed in "
                "strict mode."
            )
        if not t.requires_grad:
            raise GradientError(_DEPENDENCE[kind].format(i))


def _gradients(outputs, inputs, starts, create_graph, batched=False):
    """As ``grad``, with None for all inputs if no output requires a gradient."""
    pairs = [(y, g) for y, g in zip(outputs, starts, strict=True) if y is not None and y.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    ys, gs = zip(*pairs, strict=True)
    gs = None if all(g is None for g in gs) else list(gs)
    return grad(list(ys), inputs, gs, True, create_graph, allow_unused=True, is_grads_batched=batched)


def _filled(tensors, refs, strict, create_graph, what, entry):
    """Zeros for what is None; in strict mode that is an error, as is a result that can't be differentiated again."""
    out = []
    for i, (t, ref) in enumerate(zip(tensors, refs, strict=True)):
        if strict and t is None:
            raise GradientError(
                f"The {what} of the user-provided function is independent of {entry} {i}. This is not allowed in "
                "strict mode."
            )
        if strict and create_graph and not t.requires_grad:
            name = "jacobian" if what == "output" else "hessian"
            raise GradientError(
                f"The {name} of the user-provided function is independent of input {i}. This is not allowed in "
                "strict mode when create_graph=True."
            )
        out.append(ops.zeros_like(ref.detach()) if t is None else t)
    return tuple(out)


# ---- products


def vjp(func, inputs, v=None, create_graph=False, strict=False):
    """``(outputs, vᵀJ)``: the vector-Jacobian product, by reverse mode.

    v: like the outputs (may be left out for a single one-element output).  create_graph: the results can be
    differentiated.
    strict: raise GradientError where an output does not depend on an input, instead of returning zeros.

    >>> import chainrule as torch
    >>> torch.autograd.functional.vjp(torch.sin, torch.zeros(2), torch.tensor([1.0, 2.0]))
    (tensor([0., 0.]), tensor([1., 2.]))
    """
    many, variables, many_out, outputs = _run(func, inputs, "vjp", create_graph, strict)
    v = _vector(v, outputs, many_out, "the user-provided function returns a single Tensor with a single element", "vjp")
    with enable_grad():
        grads = _filled(
            _gradients(outputs, variables, v, create_graph), variables, strict, create_graph, "output", "input"
        )
    return _unpack(_settled(outputs, create_graph), many_out), _unpack(_settled(grads, create_graph), many)


def jvp(func, inputs, v=None, create_graph=False, strict=False):
    """``(outputs, Jv)``: the Jacobian-vector product, by forward mode; v: like the inputs. The others: as in ``vjp``.

    >>> import chainrule as torch
    >>> torch.autograd.functional.jvp(torch.sin, torch.zeros(2), torch.tensor([1.0, 2.0]))
    (tensor([0., 0.]), tensor([1., 2.]))
    """
    many, variables, many_out, outputs = _run(func, inputs, "jvp", create_graph, strict)
    v = _vector(
        v, variables, many, "the input to the user-provided function is a single Tensor with a single element", "jvp"
    )
    if strict:
        for i, g in enumerate(_gradients(outputs, variables, [ops.ones_like(y) for y in outputs], False)):
            if g is None:
                raise GradientError(_DEPENDENCE["grad_inputs"].format(i))
    moved = _filled(push_forward(variables, v, outputs), outputs, strict, create_graph, "output", "input")
    return _unpack(_settled(outputs, create_graph), many_out), _unpack(_settled(moved, create_graph), many_out)


def _first(func, inputs, who, create_graph, strict):
    many, variables, many_out, outputs = _run(func, inputs, who, create_graph, strict)
    _scalar(outputs, many_out, who)
    with enable_grad():
        first = _gradients(outputs, variables, [ops.ones_like(outputs[0])], True)
    _check(first, "jacobian", strict)
    return many, variables, outputs, first


def vhp(func, inputs, v=None, create_graph=False, strict=False):
    """``(output, vᵀH)``: the vector-Hessian product of a function that returns one element, by reverse over reverse
    mode.

    >>> import chainrule as torch
    >>> torch.autograd.functional.vhp(lambda x: (x**3).sum(), torch.ones(2), torch.tensor([1.0, 2.0]))
    (tensor(2.), tensor([ 6., 12.]))
    """
    many, variables, outputs, first = _first(func, inputs, "vhp", create_graph, strict)
    v = _vector(
        v, variables, many, "the input to the user-provided function is a single Tensor with a single element", "vhp"
    )
    with enable_grad():
        second = _filled(
            _gradients(first, variables, v, create_graph), variables, strict, create_graph, "jacobian", "input"
        )
    return _settled(outputs, create_graph)[0], _unpack(_settled(second, create_graph), many)


def hvp(func, inputs, v=None, create_graph=False, strict=False):
    """``(output, Hv)``: the Hessian-vector product, by forward over reverse mode; the same as ``vhp`` for smooth
    functions.

    >>> import chainrule as torch
    >>> torch.autograd.functional.hvp(lambda x: (x**3).sum(), torch.ones(2), torch.tensor([1.0, 2.0]))
    (tensor(2.), tensor([ 6., 12.]))
    """
    many, variables, outputs, first = _first(func, inputs, "hvp", create_graph, strict)
    v = _vector(
        v, variables, many, "the input to the user-provided function is a single Tensor with a single element", "hvp"
    )
    moved = push_forward(variables, v, first)
    second = _filled(moved, variables, strict, create_graph, "jacobian", "input")
    return _settled(outputs, create_graph)[0], _unpack(_settled(second, create_graph), many)


# ---- whole matrices


def jacobian(func, inputs, create_graph=False, strict=False, vectorize=False, strategy="reverse-mode"):
    """The Jacobian: a tensor of shape output.shape + input.shape; a tuple of them for several inputs, and a tuple of
    that for several outputs.

    vectorize: all rows (or columns) at once, as a batch.  strategy: "reverse-mode" or "forward-mode". The others: as
    in ``vjp``.

    >>> import chainrule as torch
    >>> torch.autograd.functional.jacobian(torch.square, torch.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy not in _STRATEGIES:
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your function has '
            "more outputs than inputs, "
            '"forward-mode" tends to be more performant. Otherwise, prefer to use "reverse-mode".'
        )
    if strict and (vectorize or strategy == "forward-mode"):
        other = 'strategy="forward-mode"' if strategy == "forward-mode" else "vectorized=True"
        raise GradientError(
            f"torch.autograd.functional.jacobian: `strict=True` and `{other}` are not supported together. "
            "Please either set `strict=False` or leave the other at its default."
        )
    many, variables, many_out, outputs = _run(func, inputs, "jacobian", create_graph, strict)
    make = _columns if strategy == "forward-mode" else _rows
    table = make(outputs, variables, create_graph, strict, vectorize)
    blocks = tuple([_unpack(_settled(row, create_graph), many) for row in table])
    return _unpack(blocks, many_out)


def _units(t):
    n = t._data.size
    return ops.eye(n, dtype=t.dtype).reshape((n, *t.shape))


def _rows(outputs, variables, create_graph, strict, vectorize):
    """``[output][input]`` by reverse mode."""
    table = []
    for k, y in enumerate(outputs):
        units, n = _units(y), y._data.size
        with enable_grad():
            if not n:
                grads = [(None,) * len(variables)]
            elif vectorize:
                grads = [_gradients([y], variables, [units], create_graph, True)]
            else:
                grads = [_gradients([y], variables, [units[j]], create_graph) for j in range(n)]
            row = []
            for i, x in enumerate(variables):
                column = [g[i] for g in grads]
                if strict:
                    _strict_column(column, k, i, create_graph)
                if vectorize and column[0] is not None:
                    block = column[0]
                elif all(g is None for g in column):
                    block = ops.zeros((n, *x.shape), dtype=x.dtype)
                else:
                    block = ops.stack([ops.zeros_like(x.detach()) if g is None else g for g in column])
                row.append(block.reshape((*y.shape, *x.shape)))
        table.append(row)
    return table


def _strict_column(column, k, i, create_graph):
    for g in column:
        if g is None:
            raise GradientError(
                f"Output {k} of the user-provided function is independent of input {i}. This is not allowed in "
                "strict mode."
            )
        if create_graph and not g.requires_grad:
            raise GradientError(
                f"The jacobian of the user-provided function is independent of input {i}. This is not allowed in "
                "strict mode when create_graph=True."
            )


def _columns(outputs, variables, create_graph, strict, vectorize):
    """``[output][input]`` by forward mode."""
    table = [[] for _ in outputs]
    for x in variables:
        units = _units(x)
        if vectorize and len(units):
            moved = push_batch(x, units, outputs)
            for k, (y, t) in enumerate(zip(outputs, moved, strict=True)):
                block = ops.zeros((*y.shape, len(units)), dtype=y.dtype) if t is None else ops.movedim(t, 0, -1)
                table[k].append(block.reshape((*y.shape, *x.shape)))
            continue
        columns = [push_forward([x], [unit], outputs) for unit in units]
        for k, y in enumerate(outputs):
            if columns:
                block = ops.stack([ops.zeros_like(y.detach()) if c[k] is None else c[k] for c in columns], -1)
            else:
                block = ops.zeros((*y.shape, 0), dtype=y.dtype)
            table[k].append(block.reshape((*y.shape, *x.shape)))
    return table


def hessian(func, inputs, create_graph=False, strict=False, vectorize=False, outer_jacobian_strategy="reverse-mode"):
    """The Hessian of a function that returns one element: a tensor of shape input.shape + input.shape, or a tuple of
    tuples of such blocks.

    outer_jacobian_strategy: how the gradient is differentiated. The others: as in ``jacobian``.

    >>> import chainrule as torch
    >>> torch.autograd.functional.hessian(lambda x: (x**3).sum(), torch.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    many, inputs = _as_tuple(inputs, "inputs", "hessian")
    if outer_jacobian_strategy not in _STRATEGIES:
        raise AssertionError('Expected strategy to be either "forward-mode" or "reverse-mode".')

    def scalar(*xs):
        y = func(*xs)
        many_out, ys = _as_tuple(y, "outputs of the user-provided function", "hessian")
        _check(ys, "outputs", strict)
        _scalar(ys, many_out, "hessian")
        return ops.reshape(y, ())

    def first(*xs):
        result = jacobian(scalar, xs, create_graph=True)
        _check(result, "jacobian", strict)
        return result

    blocks = jacobian(first, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)
    return blocks if many else blocks[0][0]
