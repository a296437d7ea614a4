"""Anomaly mode: stop at the first operator that makes a NaN or an infinity out of finite numbers, forward or backward,
with the user's line."""

import numpy as np

from ..config import switches
from ..errors import NonFiniteError
from ..handle import Tensor
from ..node import call_site, site_text


def _array(x):
    return x._data if isinstance(x, Tensor) else x


def _bad(x):
    """ "NaN", "inf" or "" for an array (or a tensor, or None)."""
    a = _array(x)
    if not isinstance(a, (np.ndarray, np.generic)) or a.dtype.kind not in "fV" or a.size == 0:
        return ""
    a = a.astype(np.float32) if a.dtype.kind == "V" else a
    if np.isfinite(a).all():
        return ""
    return "NaN" if np.isnan(a).any() else "inf"


def _example(inputs):
    parts = []
    for i, x in enumerate(inputs):
        a = np.asarray(_array(x))
        if a.size == 1:
            parts.append(f"argument {i + 1} = {a.reshape(-1)[0]}")
        elif a.dtype.kind == "f" and a.size:
            parts.append(f"argument {i + 1} in [{a.min():.4g}, {a.max():.4g}], shape {tuple(a.shape)}")
    return "; ".join(parts)


class Detector:
    """What anomaly mode does at each operator.

    infinities: also stop at an infinity; -inf put in on purpose (attention masks) is no finding, since then an input
    is not finite.
    """

    def __init__(self, check_nan=True, infinities=True):
        self.check_nan = check_nan
        self.infinities = infinities

    def worth(self, kind):
        return kind == "NaN" or (kind == "inf" and self.infinities)

    def check_forward(self, primitive, inputs, out):
        """Called by the binder after each operator."""
        if not self.check_nan:
            return
        for t in out if isinstance(out, tuple) else (out,):
            kind = _bad(t)
            if self.worth(kind):
                if any(_bad(x) for x in inputs if not isinstance(x, (int, float, type(None)))):
                    return
                if any(isinstance(x, float) and not np.isfinite(x) for x in inputs):
                    return
                raise NonFiniteError(
                    f"{primitive.name} made the first {kind}, forward, at {site_text(call_site(3))}; all its inputs "
                    "were finite "
                    f"({_example([x for x in inputs if x is not None])}). Keep them inside the operator's domain, "
                    "e.g. with clamp(min=eps), or select with where."
                )

    def check_backward(self, node, g, grads):
        """Called by the engine after each rule."""
        if not self.check_nan:
            return
        if any(_bad(x) for x in (g if isinstance(g, tuple) else (g,))):
            return
        for i, x in enumerate(grads):
            kind = _bad(x)
            if self.worth(kind):
                raise NonFiniteError(
                    f"Function '{node.name()}' returned {kind.lower() if kind == 'NaN' else kind} values in its "
                    f"{i}th output: the first {kind}, "
                    f"backward. Its forward call was at {site_text(node.site)}; the incoming gradient was finite. "
                    "The derivative is not finite "
                    "there, e.g. sqrt at 0 or division by 0: add a small eps, or select with where."
                )


class set_detect_anomaly:
    """Switch anomaly mode at once; as a context manager, back at its end.

    mode: on or off.  check_nan: raise at NaN or infinity.  infinities: raise at an infinity too, not only at NaN.
    """

    def __init__(self, mode, check_nan=True, infinities=True):
        self.before = switches.anomaly
        switches.anomaly = Detector(check_nan, infinities) if mode else None

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        switches.anomaly = self.before


class detect_anomaly(set_detect_anomaly):
    """Anomaly mode inside a ``with`` block: the first NaN or infinity, forward or backward, raises NonFiniteError.

    It names the operator and the line of your code.

    >>> import chainrule as torch
    >>> x = torch.tensor([0.0], requires_grad=True)
    >>> with torch.autograd.detect_anomaly():
    ...     torch.log(x)
    Traceback (most recent call last):
    chainrule.errors.NonFiniteError: log made the first inf, forward, at ...
    """

    def __init__(self, check_nan=True, infinities=True):
        self.args = (check_nan, infinities)

    def __enter__(self):
        super().__init__(True, *self.args)
        return self


def is_anomaly_enabled():
    """Whether anomaly mode is on."""
    return switches.anomaly is not None


def is_anomaly_check_nan_enabled():
    return switches.anomaly is not None and switches.anomaly.check_nan
