"""Copies and casts."""

from ..dtypes import from_numpy_dtype
from ..primitive import linear, recorded

to_copy_p = linear(
    "to_copy", lambda x, dtype, source: x.astype(dtype.np),
    lambda o, g, s, *, dtype, source: o.to_copy(g, dtype=source, source=dtype) if source.is_floating_point else None,
    node_name="ToCopyBackward0",
)
clone_p = linear("clone", lambda x: x.copy(), lambda o, g, s: g)
alias_p = linear("alias", lambda x: x.view(), lambda o, g, s: g, view=True)


def to_dtype(x, dtype):
    """``x`` in another dtype: a recorded copy, or ``x`` itself if it has that dtype."""
    source = from_numpy_dtype(x._data.dtype)
    return x if source is dtype else to_copy_p(x, dtype=dtype, source=source)


recorded.cast = to_dtype
