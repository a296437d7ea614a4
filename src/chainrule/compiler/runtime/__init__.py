"""What runs a compiled step: machine code from LLVM text, its cache on disk, threads, memory, and the schedule.

``load`` makes a ``Library`` of native kernels, ``Schedule`` a step of tasks over it, run by one native call.
"""

from .arena import Arena, aligned
from .buffers import At, Callout, Check, Copy, External
from .jit import Library, load, load_kernels
from .refusals import CheckError, ScheduleError
from .schedule import Schedule

__all__ = [
    "Arena",
    "At",
    "Callout",
    "Check",
    "CheckError",
    "Copy",
    "External",
    "Library",
    "Schedule",
    "ScheduleError",
    "aligned",
    "load",
    "load_kernels",
]
