"""Nested tuples, lists and dicts of tensors, flattened and put together again."""


def flatten(tree):
    """``(leaves, spec)``; the spec rebuilds the nesting around other leaves."""
    if isinstance(tree, dict):
        keys = list(tree)
        parts = [flatten(tree[k]) for k in keys]
        return [x for leaves, _ in parts for x in leaves], (type(tree), keys, [s for _, s in parts])
    if isinstance(tree, (tuple, list)):
        parts = [flatten(v) for v in tree]
        return [x for leaves, _ in parts for x in leaves], (type(tree), None, [s for _, s in parts])
    return [tree], None


def unflatten(leaves, spec):
    """Put leaves back into the nesting of ``spec``."""
    return _build(iter(leaves), spec)


def _build(it, spec):
    if spec is None:
        return next(it)
    kind, keys, parts = spec
    values = [_build(it, s) for s in parts]
    if keys is not None:
        out = kind() if kind is not dict else {}
        out.update(zip(keys, values, strict=True))
        return out
    return kind(*values) if hasattr(kind, "_fields") else kind(values)


def tree_map(fn, tree, *others):
    """Apply ``fn`` to every leaf (and the corresponding leaves of trees of the same nesting)."""
    leaves, spec = flatten(tree)
    return unflatten([fn(*xs) for xs in zip(leaves, *[flatten(o)[0] for o in others], strict=True)], spec)
