"""Kernels from scipy.special, imported when one is first run: SciPy takes longer to import than all of chainrule."""

import numpy as np


def special_kernel(name, *fallbacks):
    """A kernel that calls ``scipy.special.<name>`` (or the first of ``fallbacks`` there is) and keeps the dtype."""
    function = None

    def kernel(*xs):
        nonlocal function
        if function is None:
            import scipy.special

            function = next(getattr(scipy.special, n) for n in (name, *fallbacks) if hasattr(scipy.special, n))
        dtype = xs[0].dtype
        if dtype.itemsize == 2:  # SciPy has no 16-bit kernels
            xs = [x.astype(np.float32) if hasattr(x, "astype") else x for x in xs]
        y = function(*xs)
        return y if y.dtype == dtype else y.astype(dtype)

    kernel.__name__ = name
    return kernel
