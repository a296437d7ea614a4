"""What the user calls things: names of variables that hold tensors, and the name a result was assigned to.

A node keeps where it was made as code and instruction. If the next instruction stores into a variable, that is the
result's name; if the instruction before loads a number, that is the operand. Neither needs the source text.
"""

import dis
import inspect
import sys
from bisect import bisect_right
from functools import lru_cache
from types import FunctionType, ModuleType

from ..handle import Tensor

_STORES = ("STORE_FAST", "STORE_NAME", "STORE_GLOBAL", "STORE_DEREF")
_LOADS = ("LOAD_FAST", "LOAD_NAME", "LOAD_GLOBAL", "LOAD_DEREF", "LOAD_CONST", "LOAD_CLASSDEREF")
_NO_HOLDERS = (type, ModuleType, FunctionType, Tensor)
_ITEMS = 1000  # of a container that are looked at


@lru_cache(maxsize=256)
def _instructions(code):
    found = [i for i in dis.get_instructions(code) if i.opname != "CACHE"]
    return found, [i.offset for i in found]


def _at(site):
    """A code's instructions, and which of them ``site`` means.

    In Python 3.11 a frame that calls a function written in Python stands behind the call, at its last cache entry.
    """
    found, offsets = _instructions(site[0])
    return found, bisect_right(offsets, site[1]) - 1


def stored_name(site):
    """The variable that the result of the call at ``site`` was assigned to, or None."""
    found, k = _at(site)
    if k < 0 or k + 1 >= len(found):
        return None
    after = found[k + 1]
    if after.opname in ("COPY", "DUP_TOP") and k + 2 < len(found):  # a = b = ...
        after = found[k + 2]
    if after.opname in _STORES:
        return after.argval
    if after.opname == "STORE_FAST_STORE_FAST" or after.opname == "STORE_FAST_LOAD_FAST":
        return after.argval[0]
    return None


def constant_operand(site, position):
    """The number written as operand 0 or 1 of a binary operator at ``site``, or None."""
    found, k = _at(site)
    if k < 2 or found[k].opname != "BINARY_OP":
        return None
    right, left = found[k - 1], found[k - 2]
    if position == 1:
        value = right.argval if right.opname in ("LOAD_CONST", "LOAD_SMALL_INT") else None
    else:
        value = left.argval if left.opname in ("LOAD_CONST", "LOAD_SMALL_INT") and right.opname in _LOADS else None
    return value if type(value) in (int, float) else None


def frame_variables(frame):
    """``[(name, value)]`` of a frame's local and global variables."""
    inner = frame.f_locals
    found = [(name, x) for name, x in list(inner.items()) if not name.startswith("__")]
    if inner is not frame.f_globals:
        found += [(name, x) for name, x in list(frame.f_globals.items()) if not name.startswith("__")]
    # Before Python 3.13 a function's frame keeps the dict just made, and with it all variables, until it returns. It is
    # emptied, unless the user holds it too (from ``locals()``): the frame, ``inner`` and the call are three references.
    if sys.version_info < (3, 13) and frame.f_code.co_flags & inspect.CO_OPTIMIZED and sys.getrefcount(inner) <= 3:
        inner.clear()
    # Names that look private come last, so that a better one wins.
    return sorted(found, key=lambda pair: pair[0].startswith("_"))


def function_variables(function):
    """``[(name, value)]`` of what a function closes over and of the globals that it mentions."""
    code = getattr(function, "__code__", None)
    if code is None:
        return []
    found = [(k, function.__globals__[k]) for k in code.co_names if k in function.__globals__]
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            found.append((name, cell.cell_contents))
        except ValueError:  # an empty cell
            continue
    return found


def bound_variables(function):
    """``[(name, value)]`` of the object that a method belongs to: a module by its class, another by its attributes."""
    owner = getattr(function, "__self__", None)
    if owner is None or isinstance(owner, _NO_HOLDERS):
        return []
    return [(type(owner).__name__, owner)] if _is_module(owner) else [("", owner)]


def held_modules(variables):
    """``[(name, module)]`` of the modules that objects and dicts in variables hold, by attribute or key.

    The holder's name stands in front only where two hold modules of one name.
    """
    found, taken = [], {name for name, _ in variables}
    for name, x in variables:
        if type(x) is dict:
            held = [(str(k), v) for k, v in list(x.items())[:_ITEMS] if _is_module(v)]
        elif not _is_module(x) and not isinstance(x, _NO_HOLDERS):
            held = [(k, v) for k, v in list(getattr(x, "__dict__", {}).items())[:_ITEMS] if _is_module(v)]
        else:
            continue
        for k, v in held:
            path = k.replace(".", "_") if k not in taken else f"{name}_{k}"
            taken.add(path)
            found.append((path, v))
    return found


def _is_module(x):
    return hasattr(type(x), "named_modules")


def module_paths(variables):
    """``{id(module): path}`` of the modules in variables, the variable's name in front: ``net.0``."""
    found = {}
    for name, x in variables:
        if _is_module(x):
            for path, module in x.named_modules():
                found.setdefault(id(module), f"{name}.{path}" if path else name)
    return found


def named(name, x):
    """``[(name, tensor)]`` for one variable."""
    if isinstance(x, Tensor):
        return [(name, x)]
    if isinstance(x, (list, tuple)):
        return [(f"{name}[{i}]", v) for i, v in enumerate(x[:_ITEMS]) if isinstance(v, Tensor)]
    if type(x) is dict:
        return [(f"{name}[{k!r}]", v) for k, v in list(x.items())[:_ITEMS] if isinstance(v, Tensor)]
    if hasattr(type(x), "named_parameters"):
        try:
            return [(f"{name}.{k}", p) for k, p in x.named_parameters()]
        except Exception:  # an object of somebody else's that only looks like a module
            return []
    return []
