"""Why a call of a schedule ends without its work done."""

import numpy as np

from ...errors import ChainruleError


class ScheduleError(ChainruleError, RuntimeError):
    """A call that does not fit what was compiled: ``index`` says which array, -1 if it is their number."""

    def __init__(self, message, index=-1):
        super().__init__(message)
        self.index = index


class CheckError(ChainruleError, RuntimeError):
    """A Check task ended the run: what it knows as ``number`` was not zero."""

    def __init__(self, number):
        super().__init__(f"Schedule: check {number} failed")
        self.number = number


def misfit(externals, arrays):
    """Raise for the first array that is not as its External says."""
    for i, ((name, e), a) in enumerate(zip(externals, arrays, strict=True)):
        expected = f"{np.dtype(e.dtype)}{list(e.shape)}"
        if type(a) is not np.ndarray:
            raise ScheduleError(f"Schedule: {name} must be a NumPy array {expected}, got {type(a).__name__}", i)
        flags = a.flags
        same = (
            a.shape == tuple(e.shape)
            and a.dtype is np.dtype(e.dtype)
            and flags.aligned
            and (flags.c_contiguous if e.strides is None else a.strides == tuple(e.strides))
            and (flags.writeable or not e.writable)
        )
        if not same:
            raise ScheduleError(
                f"Schedule: {name} must be a{' writable' if e.writable else ''} {expected} "
                f"{'in C order' if e.strides is None else f'with strides {tuple(e.strides)}'}, got {a.dtype}"
                f"{list(a.shape)} with strides {a.strides}{'' if flags.writeable else ', read-only'}",
                i,
            )
    # All fit now: another thread changed one between the two looks.
