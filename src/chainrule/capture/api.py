"""``compile`` itself, and compiled modules."""

import inspect

from ..compiler import driver
from ..errors import ArgumentError
from ..nn import Module
from .compiled import CompiledFunction

_MODES = (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")


class CompiledModule(Module):
    """A module whose forward is compiled; parameters, buffers and names are those of the module inside."""

    def __init__(self, module, options):
        super().__init__()
        self._orig_mod = module
        self.training = module.training
        object.__setattr__(self, "_compiled", CompiledFunction(module.__call__, options))

    def forward(self, *args, **kwargs):
        return self._compiled(*args, **kwargs)

    def explain(self, *args, **kwargs):
        return self._compiled.explain(*args, **kwargs)

    @property
    def compilations(self):
        return self._compiled.compilations

    def train(self, mode=True):
        super().train(mode)
        return self

    def __reduce__(self):
        return CompiledModule, (self._orig_mod, self._compiled.options)

    def __len__(self):
        return len(self._orig_mod)

    def __getitem__(self, index):
        return self._orig_mod[index]

    def __bool__(self):
        return True

    def __getattr__(self, name):
        if name == "_orig_mod":
            return super().__getattr__(name)
        return getattr(self.__dict__["_modules"]["_orig_mod"], name)


def compile(model=None, *, fullgraph=True, dynamic=None, backend="native", mode=None, options=None, disable=False):
    """Compile a function, a training step or a module into one native program per kind of arguments.

    model: the function or module; without it, a decorator comes back.  fullgraph: there are no graph breaks here, so
    it makes no difference.  dynamic: only None and False, shapes are fixed per program (a new shape compiles again).
    backend: "native" ("inductor" means the same), "reference" (the core instructions one by one in NumPy, for
    comparison), or "eager": the function as it is.  mode: one of PyTorch's, chooses nothing.  options: {"target": a
    CPU level as in CHAINRULE_CPU, "debug": bounds checks, "threads": int, "timing": True prints how long each stage
    took}.  disable: return the function as it is.

    The function is run once without values and must not ask for any: no branch on a tensor's value, no ``.item()``.
    Tensors that it reads from outside (parameters, buffers, optimiser state) are read anew at each call, and what it
    writes to them is written. Numbers, lists, functions and other objects of Python's that it reads by name are part
    of the program: if they are others at a later call, that compiles again.

    A call is done whole or not at all. Indices, and what else can be wrong with values, are checked before anything is
    written, and so are calls out to Python: if one fails, the eager operator's error comes, with the line, and tensors,
    gradients and optimiser state are as before (random generators may have moved on). After Ctrl-C too they are as
    before the call or as after it.

    Raises CaptureError (a RuntimeError) at the first call if something can't be captured; nothing is changed then.
    Raises UnsupportedError, before the function is run at all, if llvmlite is absent.

    >>> import chainrule as torch
    >>> @torch.compile
    ... def f(x):
    ...     return (x * 2).sum()
    >>> f(torch.ones(3))
    tensor(6.)
    """
    if model is None:
        return lambda m: compile(m, dynamic=dynamic, backend=backend, mode=mode, options=options, disable=disable)
    if mode not in _MODES:
        raise ArgumentError(f"compile: mode must be one of {', '.join(map(repr, _MODES))}, got {mode!r}")
    if disable or (isinstance(backend, str) and backend in ("eager", "aot_eager")):
        return model
    if dynamic:
        raise ArgumentError("compile: dynamic=True is not supported; each shape is compiled once and kept")
    if backend not in ("native", "reference", "inductor"):
        raise ArgumentError(f"compile: backend must be 'native' or 'reference', got {backend!r}")
    settings = {"backend": "native" if backend == "inductor" else backend, **(options or {})}
    unknown = set(settings) - {"backend", "target", "debug", "threads", "timing"}
    if unknown:
        raise ArgumentError(f"compile: unknown options {sorted(unknown)}; there are target, debug, threads, timing")
    driver.prepare(**settings)
    if isinstance(model, Module):
        return CompiledModule(model, settings)
    if not callable(model):
        raise ArgumentError(f"compile: expected a function or a module, got {type(model).__name__}")
    if inspect.isclass(model):
        raise ArgumentError(f"compile: expected a function or a module, got the class {model.__name__}; make one first")
    return CompiledFunction(model, settings)
