"""The arguments of a call: what a program is made for, and how they are said."""

import numpy as np

from ..config import defaults
from ..devices import device as Device
from ..errors import ArgumentError
from ..handle import Tensor
from ..ops import cast
from .nesting import unflatten


def inside_transform(t):
    """Does the tensor belong to vmap, grad, jvp ... around the compiled function? They see through the function."""
    return type(t._data) is not np.ndarray or (t._node is not None and t._node.primitive is cast.alias_p)


def shape_of(spec):
    """The nesting of arguments, to be compared."""
    if spec is None:
        return None
    kind, keys, parts = spec
    return kind, keys if keys is None else tuple(keys), tuple([shape_of(s) for s in parts])


def rebuilt(leaves, spec, named):
    tree = unflatten(leaves, spec)
    return tree if named else (tree, {})


def signature(leaves):
    """What of the arguments a program is made for."""
    key, seen = [defaults.dtype], {}
    for i, x in enumerate(leaves):
        if isinstance(x, Tensor):
            a = x._data
            key.append((a.shape, a.dtype, x._requires_grad, seen.setdefault(id(x), i)))
        elif isinstance(x, (int, float, bool, str, bytes, type(None))):
            key.append((type(x), x if x == x else "nan"))
        elif isinstance(x, (np.generic, range, Device)):
            key.append((type(x), str(x)))
        elif isinstance(x, slice):
            key.append((slice, str(x)))
        elif isinstance(x, np.ndarray):
            raise ArgumentError(
                f"compile: an argument is a NumPy array of shape {x.shape}, whose values would become part of the "
                "program; pass a tensor, made with torch.from_numpy(array)"
            )
        else:
            key.append(id(x))
    return tuple(key)


def describe(leaves):
    return ", ".join(
        f"{x.dtype}{list(x.shape)}".replace("torch.", "") if isinstance(x, Tensor) else repr(x) for x in leaves
    )
