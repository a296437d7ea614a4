"""Numbers and arrays as short texts."""

import numpy as np

LARGEST_SHOWN, LARGEST_EXACT = 6, 64  # elements
_FIRST = 8  # of a larger array, where exact numbers are asked for


def number(x, exact=False):
    """``2.5``, ``-4``, ``1e-05``; exact: as many digits as it takes to read the same number back."""
    if isinstance(x, (bool, np.bool_)):
        return str(bool(x))
    if isinstance(x, (int, np.integer)):
        return str(int(x))
    if isinstance(x, np.generic) and x.dtype.kind not in "f":
        x = float(x)
    if exact:
        text = np.format_float_positional(x, trim="-") if 1e-4 <= abs(x) < 1e16 or x == 0 else repr(float(x))
        return text if np.isfinite(x) else str(float(x))
    x = float(x)
    text = f"{x:.4g}"
    return "0" if text == "-0" else text


def text(a, exact=False):
    """An array: a number, a short list, or its shape with mean and spread (exact: and its first elements)."""
    if a is None:
        return ""
    if not isinstance(a, (np.ndarray, np.generic)):
        return repr(a)
    a = np.asarray(a)
    if a.dtype.kind == "V":
        a = a.astype(np.float32)
    if a.size == 1:
        return number(a.reshape(-1)[0], exact)
    if a.size <= (LARGEST_EXACT if exact else LARGEST_SHOWN):
        return listed(a, exact)
    shape = "×".join(map(str, a.shape))
    if a.size == 0 or a.dtype.kind not in "fiu":
        return f"[{shape}]"
    mean, least, most = number(float(a.mean())), number(a.min(), exact), number(a.max(), exact)
    first = f": {', '.join([number(x, True) for x in a.reshape(-1)[:_FIRST]])}, …" if exact else ""
    return f"[{shape}] mean {mean}, in {least} … {most}{first}"


def listed(a, exact=False):
    """``[[1, 2], [3, 4]]``."""
    if a.ndim == 0:
        return number(a[()], exact)
    return "[" + ", ".join(listed(x, exact) if isinstance(x, np.ndarray) else number(x, exact) for x in a) + "]"


def factor(x):
    """A number as a factor or a term: negative ones in brackets."""
    shown = text(np.asarray(x)) if not isinstance(x, float) else number(x)
    return f"({shown})" if shown.startswith("-") else shown
