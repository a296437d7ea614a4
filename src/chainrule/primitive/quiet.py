"""Run NumPy without its floating-point warnings, at a tenth of the price of ``np.errstate``.

PyTorch is silent about overflow and division by zero; so are we. ``np.errstate`` costs over a microsecond, more than
the operators it would guard; setting the context variable behind it costs a tenth. Where a NumPy lacks that variable,
errstate is used.
"""

import numpy as np

try:
    from numpy._core.umath import _extobj_contextvar as _state

    with np.errstate(all="ignore"):
        QUIET = _state.get()

    mute = _state.set  # mute(QUIET) stops warnings and returns the token for restore
    restore = _state.reset
except ImportError:  # another NumPy
    QUIET = {"all": "ignore"}

    def mute(quiet):
        guard = np.errstate(**quiet)
        guard.__enter__()
        return guard

    def restore(guard):
        guard.__exit__(None, None, None)
