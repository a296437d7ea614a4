"""The error for operands that do not broadcast."""

import numpy as np

from ..errors import ShapeError


def shape_error(name, arrays):
    """The error for operands that do not broadcast."""
    shapes = [tuple(a.shape) for a in arrays]
    try:
        np.broadcast_shapes(*shapes)
    except ValueError:
        pass
    else:
        return ShapeError(f"{name}(): shapes {', '.join(map(str, shapes))} are not accepted")
    if len(shapes) == 2:
        a, b = shapes
        n = max(len(a), len(b))
        pa, pb = (1,) * (n - len(a)) + a, (1,) * (n - len(b)) + b
        dim = next(i for i in reversed(range(n)) if pa[i] != pb[i] and 1 not in (pa[i], pb[i]))
        return ShapeError(
            f"The size of tensor a ({pa[dim]}) must match the size of tensor b ({pb[dim]}) at non-singleton "
            f"dimension {dim}: "
            f"{name}() got shapes {list(a)} and {list(b)}; make them equal there, or 1 in one of them (unsqueeze, "
            "reshape)"
        )
    return ShapeError(
        f"{name}(): shapes {', '.join(map(str, map(list, shapes)))} do not broadcast to one shape; sizes must be "
        "equal or 1"
    )
