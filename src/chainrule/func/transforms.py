"""Functions of functions: ``grad, vjp, jvp, jacrev, jacfwd, hessian`` and their kin, as in ``torch.func``.

Each makes an alias of its inputs, one graph edge away from the tensors it was given, and differentiates with respect
to the alias. So transforms nest without confusion: the inner one stops at its own alias, the outer one sees through
it.
"""

import functools

from ..autograd.backward import grad as autograd_grad
from ..autograd.forward import leads_outside, push_forward
from ..autograd.forward import zeros as zeros_of
from ..batching import lift_all
from ..config import enable_grad, is_grad_enabled
from ..errors import ArgumentError, ArgumentValueError, DTypeError, ShapeError
from ..handle import Tensor
from ..ops import cast
from .tree import flatten, tree_map, unflatten


def alias(x):
    """A new variable with the value of ``x``, connected to ``x`` in the graph."""
    if not isinstance(x, Tensor):
        return x
    if x._data.dtype.kind not in "fV":
        return x
    with enable_grad():
        t = cast.alias_p(lift_all(x))
    t._base = t._view = None  # a variable of its own: what is done to it in place is not seen by ``x``'s views
    if t._node is None:
        t._requires_grad = True
    return t


def settle(tree, aliases):
    """Results leave a transform with their graph only if it leads to somebody else's variables, and recording is on."""
    tensors = [t for t in flatten(tree)[0] if isinstance(t, Tensor) and t.requires_grad]
    for x in aliases:
        if isinstance(x, Tensor):
            x._ended = True  # an enclosing transform need not mind this one's variables
    if not tensors or (is_grad_enabled() and leads_outside(tensors, aliases)):
        return tree
    return tree_map(lambda t: t.detach() if isinstance(t, Tensor) else t, tree)


def _check_scalar(y, who):
    if not isinstance(y, Tensor):
        raise ArgumentError(f"{who}: expected the function to return a tensor, got {type(y).__name__}")
    if y._data.ndim != 0:
        raise ShapeError(
            f"{who}: expected the function to return a scalar tensor, got shape {tuple(y._data.shape)}; reduce it, "
            "e.g. .sum()"
        )
    if not y.dtype.is_floating_point:
        raise DTypeError(f"{who}: expected the function to return a floating-point tensor, got {y.dtype}")


def _positions(argnums, n, who):
    single = isinstance(argnums, int)
    out = []
    for a in (argnums,) if single else argnums:
        if not -n <= a < n:
            raise ArgumentValueError(f"{who}: got argnum={a}, but only {n} positional inputs")
        out.append(a % n)
    if len(set(out)) != len(out):
        raise ArgumentValueError(f"{who}: argnums elements must be unique, got {argnums}")
    return out, single


def _variables(args, positions):
    """The arguments with aliases at ``positions``; the flat aliases; per position its nesting."""
    args, flat, specs = list(args), [], []
    for p in positions:
        leaves, spec = flatten(args[p])
        leaves = [alias(x) for x in leaves]
        args[p] = unflatten(leaves, spec)
        flat += leaves
        specs.append((len(leaves), spec))
    return args, flat, specs


def _regroup(flat, specs, single):
    out, i = [], 0
    for n, spec in specs:
        out.append(unflatten(flat[i : i + n], spec))
        i += n
    return out[0] if single else tuple(out)


def _gradients(outputs, flat, starts):
    """Gradients with respect to the aliases, recorded; zeros for those that were not used."""
    wanted = [x for x in flat if isinstance(x, Tensor) and x.requires_grad]
    roots = [(y, g) for y, g in zip(outputs, starts, strict=True) if isinstance(y, Tensor) and y.requires_grad]
    if roots and wanted:
        ys, gs = zip(*roots, strict=True)
        start = None if any(g is None for g in gs) else list(gs)
        found = iter(autograd_grad(list(ys), wanted, start, create_graph=True, materialize_grads=True))
    else:
        found = iter([zeros_of(x.shape, x) for x in wanted])
    return [
        next(found)
        if isinstance(x, Tensor) and x.requires_grad
        else zeros_of(x.shape, x)
        if isinstance(x, Tensor)
        else None
        for x in flat
    ]


def grad_and_value(func, argnums=0, has_aux=False):
    """As ``grad``, but returns ``(gradient, value)``, or ``(gradient, (value, aux))``."""

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        positions, single = _positions(argnums, len(args), "grad")
        new_args, flat, specs = _variables(args, positions)
        with enable_grad():
            y = func(*new_args, **kwargs)
            aux = None
            if has_aux:
                if not (isinstance(y, tuple) and len(y) == 2):
                    raise ArgumentError("grad: the function is expected to return (output, aux) when has_aux=True")
                y, aux = y
            _check_scalar(y, "grad")
            grads = _gradients([y], flat, [None])
        grads = _regroup(settle(grads, flat), specs, single)
        y = settle(y, flat)
        return (grads, (y, settle(aux, flat))) if has_aux else (grads, y)

    return transformed


def value_and_grad(func, argnums=0, has_aux=False):
    """The value and the gradient: ``(value, gradient)``, or ``((value, aux), gradient)`` (JAX's order)."""
    inner = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        g, y = inner(*args, **kwargs)
        return y, g

    return transformed


def grad(func, argnums=0, has_aux=False):
    """A function that returns the gradient of ``func`` (which returns a 0-d tensor) with respect to the arguments
    ``argnums``.

    has_aux: ``func`` returns ``(value, aux)``; the result is ``(gradient, aux)``.
    Raises ShapeError if ``func`` does not return a scalar.

    >>> import chainrule as torch
    >>> torch.func.grad(torch.func.grad(torch.sin))(torch.tensor(0.5))
    tensor(-0.4794)
    """
    inner = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def transformed(*args, **kwargs):
        g, y = inner(*args, **kwargs)
        return (g, y[1]) if has_aux else g

    return transformed


def vjp(func, *primals, has_aux=False):
    """``(output, vjp_fn)`` or ``(output, vjp_fn, aux)``: ``vjp_fn(*cotangents)`` gives a tuple of gradients, one per
    primal.

    >>> import chainrule as torch
    >>> y, f = torch.func.vjp(torch.sin, torch.tensor([0.0]))
    >>> f(torch.tensor([2.0]))
    (tensor([2.]),)
    """
    args, flat, specs = _variables(primals, range(len(primals)))
    with enable_grad():
        y = func(*args)
    aux = None
    if has_aux:
        y, aux = y
    outputs, out_spec = flatten(y)

    def vjp_fn(*cotangents, retain_graph=True, create_graph=None):
        tree = cotangents[0] if len(cotangents) == 1 else cotangents
        starts, _ = flatten(tree)
        if len(starts) != len(outputs):
            raise ArgumentValueError(f"vjp_fn: expected one cotangent per output ({len(outputs)}), got {len(starts)}")
        with enable_grad():
            grads = _gradients(outputs, flat, starts)
        return _regroup(settle(grads, flat), specs, False)

    out = unflatten(settle(outputs, flat), out_spec)
    return (out, vjp_fn, settle(aux, flat)) if has_aux else (out, vjp_fn)


def jvp(func, primals, tangents, *, strict=False, has_aux=False):
    """``(output, tangent)``: the derivative of ``func`` at ``primals`` along ``tangents``, in forward mode.

    >>> import chainrule as torch
    >>> torch.func.jvp(torch.sin, (torch.tensor(0.0),), (torch.tensor(2.0),))
    (tensor(0.), tensor(2.))
    """
    if not isinstance(primals, tuple) or not isinstance(tangents, tuple) or len(primals) != len(tangents):
        raise ArgumentError("jvp: expected primals and tangents to be tuples of one length, as in jvp(f, (x,), (t,))")
    starts = flatten(tangents)[0]
    args, flat, _ = _variables(primals, range(len(primals)))
    for x, t in zip(flat, starts, strict=True):
        if tuple(x.shape) != tuple(t.shape):
            raise ShapeError(
                f"jvp: expected primal and tangent of one shape, got {tuple(x.shape)} and {tuple(t.shape)}"
            )
    with enable_grad():
        y = func(*args)
        aux = None
        if has_aux:
            y, aux = y
        outputs, spec = flatten(y)
        moved = push_forward(flat, starts, outputs)
        moved = [zeros_of(o.shape, o) if t is None else t for o, t in zip(outputs, moved, strict=True)]
    out = unflatten(settle(outputs, flat), spec), unflatten(settle(moved, flat), spec)
    return (*out, settle(aux, flat)) if has_aux else out


def linearize(func, *primals):
    """``(output, jvp_fn)``: the linear map at ``primals``, to be applied to many tangents; ``func`` runs once."""
    args, flat, _ = _variables(primals, range(len(primals)))
    with enable_grad():
        outputs, spec = flatten(func(*args))

    def jvp_fn(*tangents):
        starts = flatten(tangents)[0]
        moved = push_forward(flat, starts, outputs)
        moved = [zeros_of(o.shape, o) if t is None else t for o, t in zip(outputs, moved, strict=True)]
        return unflatten(settle(moved, flat), spec)

    return unflatten(settle(outputs, flat), spec), jvp_fn
