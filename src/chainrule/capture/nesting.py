"""Arguments and results of compiled functions: nested tuples, lists, dicts and dataclasses, flattened and rebuilt."""

from dataclasses import fields, is_dataclass


def flatten(tree):
    """``(leaves, spec)``; the spec rebuilds the nesting around other leaves."""
    leaves = []
    return leaves, _flatten(tree, leaves)


def _flatten(tree, leaves):
    if isinstance(tree, dict):
        return type(tree), list(tree), [_flatten(v, leaves) for v in tree.values()]
    if isinstance(tree, (tuple, list)):
        return type(tree), None, [_flatten(v, leaves) for v in tree]
    if is_dataclass(tree) and not isinstance(tree, type):
        names = list(getattr(tree, "__dict__", None) or [f.name for f in fields(tree)])
        return type(tree), names, [_flatten(getattr(tree, name), leaves) for name in names]
    leaves.append(tree)
    return None


def unflatten(leaves, spec):
    """Put leaves back into the nesting of ``spec``."""
    return _build(iter(leaves), spec)


def _build(it, spec):
    if spec is None:
        return next(it)
    kind, keys, parts = spec
    values = [_build(it, s) for s in parts]
    if keys is None:
        return kind(*values) if hasattr(kind, "_fields") else kind(values)
    if issubclass(kind, dict):
        out = kind()
        out.update(zip(keys, values, strict=True))
        return out
    out = object.__new__(kind)
    for name, value in zip(keys, values, strict=True):
        object.__setattr__(out, name, value)  # frozen ones, too
    return out
