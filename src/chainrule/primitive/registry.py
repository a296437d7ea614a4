"""The registry: every primitive, and every public function with the places it is seen from."""

import functools
import inspect
from types import SimpleNamespace

primitives = {}

# Operator namespaces: the first argument of every rule. `raw` runs kernels on arrays, `recorded` runs and records on
# tensors.
raw = SimpleNamespace(recorded=False)
recorded = SimpleNamespace(recorded=True)


class Public:
    """A public function: where it is visible, and under which names."""

    __slots__ = ("aliases", "function", "inplace", "method", "name", "namespaces", "visible")

    def __init__(self, function, name, namespaces, method, inplace, aliases):
        self.function = function
        self.visible = face(function)
        self.name = name
        self.namespaces = namespaces
        self.method = method
        self.inplace = inplace
        self.aliases = aliases


functions = []


def public(function=None, *, name=None, namespaces=("torch",), method=True, inplace=False, aliases=()):
    """Make ``function`` visible.

    namespaces: any of "torch", "nn.functional", "linalg", "special".  method: also ``Tensor.name``.
    inplace: also ``Tensor.name_`` (and ``torch.name_``, ``F.name_``).  aliases: further names for all of these.
    """
    if function is None:
        return functools.partial(
            public, name=name, namespaces=namespaces, method=method, inplace=inplace, aliases=aliases
        )
    functions.append(Public(function, name or function.__name__, namespaces, method, inplace, aliases))
    return function


_RENAMED = {"axis": "dim", "axes": "dim", "keepdims": "keepdim"}


def face(function):
    """The function as users see it: takes NumPy's ``axis``/``keepdims`` for ``dim``/``keepdim``, and ``out=``.

    Internal callers use the bare function; the wrapper only works when keywords are given.
    """
    code = getattr(function, "__code__", None)
    names = (
        inspect.signature(function).parameters
        if code is None
        else code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    )
    renamed = {old: new for old, new in _RENAMED.items() if new in names and old not in names}
    if "axis" in renamed and "dim" not in names and "dims" in names:
        renamed["axis"] = "dims"
    own_out = "out" in names
    if not renamed and own_out:
        return function

    @functools.wraps(function)
    def visible(*args, **kwargs):
        if kwargs:
            for old, new in renamed.items():
                if old in kwargs:
                    kwargs[new] = kwargs.pop(old)
            if not own_out and "out" in kwargs:
                return write_out(kwargs.pop("out"), function(*args, **kwargs))
        return function(*args, **kwargs)

    return visible


def write_out(out, result):
    """Store ``result`` in ``out`` (a tensor or a tuple of them); the tensor layer says how."""
    if out is None:
        return result
    if isinstance(out, (tuple, list)):
        for o, r in zip(out, result, strict=True):
            writer(o, r)
        return type(result)(out) if type(result) in (tuple, list) else type(result)(*out)
    writer(out, result)
    return out


def writer(out, result):
    raise NotImplementedError  # replaced by the tensor layer when it is imported


def in_place(t, name, compute):
    """Make ``compute(t)`` the value of ``t``, for functions with an ``inplace=`` argument."""
    raise NotImplementedError  # replaced by the tensor layer when it is imported
