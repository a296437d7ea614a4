"""``chainrule.graph``: one door for tensors, functions, models and expressions."""

import inspect
import sys
import weakref

import numpy as np

from ..config import defaults
from ..errors import ArgumentError
from ..func.tree import flatten, unflatten
from ..handle import Tensor, wrap
from ..nn.parameter import Parameter
from ..node import Node, call_site
from .build import Builder
from .expression import evaluate
from .names import bound_variables, frame_variables, function_variables, held_modules, module_paths, named
from .trace import Tracer


def graph(what, *args, **kwargs):
    """The graph of a computation, as data.

    ``graph(e)``: of a tensor or a list of tensors, as far as it was recorded. Values that nobody kept are computed
    again from the leaves; make it before ``backward()`` frees what the rules read.
    ``graph(function, *args)``: runs the function on copies of the arguments and sees every value. Floating-point
    tensors and floats become inputs with gradients; other arguments are handed on (numbers too, if nothing else is
    an input).
    ``graph(model, *args)``: the same, and every node knows the module it belongs to; parameters are nodes.
    ``graph("(x + y) * z", x=2, y=3, z=-4)``: of an expression (see ``chainrule.graphs.expression``).

    Nothing of the user's is changed: no ``.grad``, no version, no running statistics, no random state; no backward
    hook is run. Raises ArgumentError for anything else.

    >>> import chainrule as cr
    >>> a = cr.tensor(2.0, requires_grad=True)
    >>> b = cr.tensor(1.0, requires_grad=True)
    >>> c = a + b
    >>> d = b + 1
    >>> e = c * d
    >>> print(cr.graph(e).explain(b))
    ∂e/∂b = ∂e/∂c·∂c/∂b + ∂e/∂d·∂d/∂b = 2·1 + 3·1 = 5
    >>> cr.graph(lambda x: (x * x).sin(), 3.0).path_count("x", "sin")
    2
    """
    variables = frame_variables(sys._getframe(1))
    names = [pair for name, x in variables for pair in named(name, x)]
    if isinstance(what, Tensor):
        return of_tensors([what], names, args, kwargs)
    if isinstance(what, (list, tuple)) and what and all(isinstance(t, Tensor) for t in what):
        return of_tensors(list(what), names, args, kwargs)
    if isinstance(what, str):
        if args:
            raise ArgumentError("graph: give the variables of an expression by name: graph('x * y', x=2, y=3)")
        return of_expression(what, kwargs, call_site(2))
    if callable(what):
        return of_function(what, args, kwargs, variables, call_site(2))
    raise ArgumentError(
        f"graph: expected a tensor, a list of tensors, a function, a model or an expression, got {type(what).__name__}"
    )


def of_tensors(tensors, names, args, kwargs):
    if args or kwargs:
        raise ArgumentError("graph: further arguments belong to a function or a model, not to a tensor")
    builder = Builder()
    result = builder.build(tensors, names)
    return remember(result, builder)


def remember(graph, builder):
    """Let ``graph[tensor]`` find nodes, without keeping the user's graph alive."""
    for key, k in builder.ids.items():
        made, nr = key if isinstance(key, tuple) else (key, 0)
        if isinstance(made, (Tensor, Node)):
            graph._tensors[(id(made), nr)] = weakref.ref(made), k
    return graph


def of_function(function, args, kwargs, around, site):
    """Run ``function`` under a tracer. around: the caller's variables, for names.  site: where graph was called."""
    around = [*bound_variables(function), *function_variables(function), *around]
    around += held_modules(around)
    names = [pair for name, x in around for pair in named(name, x)]
    is_model = hasattr(function, "named_modules") and hasattr(function, "named_parameters")
    leaves, spec = flatten((list(args), kwargs))
    labels = argument_names(function.forward if is_model else function, args, kwargs)
    inputs, variables = [], {}
    numbers = not is_model and not any(isinstance(x, (Tensor, np.ndarray, float)) for x in leaves)
    for i, x in enumerate(leaves):
        fresh = variable(x, numbers)
        if fresh is None:
            if isinstance(x, Parameter):
                inputs.append((labels[i], x))
                names.insert(0, (labels[i], x))
            continue
        if isinstance(x, Tensor):  # the same tensor twice is one input
            fresh = variables.setdefault(id(x), fresh)
        if fresh._requires_grad and not any(fresh is t for _, t in inputs):
            inputs.append((labels[i], fresh))
        elif not fresh._requires_grad:
            names = [(labels[i], fresh), *names]
        leaves[i] = fresh
    modules, owners = ({}, {}) if is_model else (module_paths(around), {})
    if is_model:
        for path, module in function.named_modules():
            modules[id(module)] = path
        for path, p in function.named_parameters():
            owners[id(p)] = path.rpartition(".")[0]
            inputs.append((path, p))
            names = [(path, p), *names]
        names = [*[(path, b) for path, b in function.named_buffers()], *names]
    new_args, new_kwargs = unflatten(leaves, spec)
    title = getattr(function, "__name__", type(function).__name__)
    tracer = Tracer(modules)
    builder = Builder(tracer, title, site)
    try:
        with tracer:
            result = function(*new_args, **new_kwargs)
        outputs = [t for t in flatten(result)[0] if isinstance(t, Tensor)]
        if not outputs:
            raise ArgumentError(f"graph: the function must return a tensor or several, got {type(result).__name__}")
        names = [*[pair for path, module in tracer.roots for pair in named(path, module)], *names]
        made = builder.build(outputs, names, inputs, owners)
    finally:
        tracer.restore()
    for n in made.nodes:
        if n.kind == "parameter" and not n.module:
            n.module = n.name.rpartition(".")[0]
    return remember(made, builder)


def variable(x, numbers):
    """A fresh leaf with the value of an argument, or None for what is handed on as it is."""
    if isinstance(x, Tensor):
        if isinstance(x, Parameter):
            return None
        t = wrap(np.array(x._data)) if isinstance(x._data, np.ndarray) else None
    elif isinstance(x, (np.ndarray, np.generic)):
        t = wrap(np.array(x))
    elif isinstance(x, float) or (numbers and isinstance(x, int) and not isinstance(x, bool)):
        t = wrap(np.asarray(x, defaults.dtype.np))
    else:
        return None
    if t is not None:
        t._requires_grad = t._data.dtype.kind in "fV"
    return t


def argument_names(function, args, kwargs):
    """A name per leaf of ``(args, kwargs)``: the parameter's, with an index or key where it is a container."""
    try:
        names = list(inspect.signature(function).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        names = []
    kinds = list(inspect.signature(function).parameters.values()) if names else []
    positional = [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    rest = next((p.name for p in kinds if p.kind is p.VAR_POSITIONAL), "arg")
    found = []
    for i, x in enumerate(args):
        base = positional[i] if i < len(positional) else f"{rest}{i - len(positional)}"
        found += spread(base, x)
    for name, x in kwargs.items():
        found += spread(name, x)
    return found


def spread(base, x):
    if isinstance(x, dict):
        return [n for k, v in x.items() for n in spread(f"{base}[{k!r}]", v)]
    if isinstance(x, (tuple, list)):
        return [n for i, v in enumerate(x) for n in spread(f"{base}[{i}]", v)]
    return [base]


def of_expression(text, values, site):
    """The graph of an expression; its values are float64.  site: where graph was called."""
    result, inputs, names, tracer = evaluate(text, values)
    builder = Builder(tracer, text, site)
    return builder.build([result], names, inputs)
