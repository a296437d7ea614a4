"""A fork while another thread compiles: LLVM's own locks must be free in the child, so the fork waits.

``compiling`` is held while LLVM works, and over every fork; so is llvmlite's lock, which is all that is taken when code
is freed.
"""

import os
import threading

WAIT = 60.0  # seconds that a fork waits for a compilation in another thread

compiling = threading.RLock()
others = []  # locks of llvmlite, once it is loaded
_mine = threading.local()  # what the forking thread holds


def _before():
    _mine.held = [lock for lock in (compiling, *others) if lock.acquire(timeout=WAIT)]


def _after():
    for lock in reversed(_mine.held):
        lock.release()


def _after_in_child():
    global compiling
    if compiling not in _mine.held:  # the thread that has it is not here
        compiling = threading.RLock()
    _after()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
