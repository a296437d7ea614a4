"""What runs a compiled step: machine code from LLVM text, its cache on disk, threads, memory, and the schedule.

``load`` makes a ``Library`` of native kernels, ``Schedule`` a step of tasks over it, run by one native call.
"""

from .arena import Arena, aligned
from .buffers import At, Callout, External
from .jit import Library, load, load_kernels
from .schedule import Schedule, ScheduleError

__all__ = [
    "Arena",
    "At",
    "Callout",
    "External",
    "Library",
    "Schedule",
    "ScheduleError",
    "aligned",
    "load",
    "load_kernels",
]
