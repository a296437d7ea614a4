"""The threads that share a task's chunks: native loops started with pthread_create, one pool per process.

A pool serves one schedule at a time; who finds it taken works alone. It is made when first needed, anew after a fork,
and when ``set_num_threads`` changes their number. Its memory and code are never freed, so a thread that wakes late
finds both in place.
"""

import atexit
import ctypes
import os
import signal
import threading
import time

import numpy as np

from ...config import threads as setting
from . import jit, native, native_pool
from .arena import aligned, round_up
from .layout import POOL, SLOT, SLOT_WORDS

_ALONE = 1  # in the cell: no pool, the caller works alone
_MIN_SCRATCH = 1 << 16


def words(n):
    """``n`` zero words of 64 bits, aligned to a cache line."""
    return aligned(8 * n).view(np.int64)


cell = words(8)  # cell[0]: the pool's address, 0 if none was made yet, 1 to work alone
_lock = threading.RLock()
_current = None
_kept = []  # memory that native threads may still look at
_libraries = {}
_wanted = _MIN_SCRATCH  # bytes of scratch that the schedules made so far need


def runtime(target):
    """The library of the runtime's own functions; it stays for good, because threads run in it."""
    library = _libraries.get(target)
    if library is None:
        for name in native.PYTHON:
            address = ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p).value
            jit.llvm().binding.add_symbol(name, address)
        library = _libraries[target] = jit.load(
            {"cr.call": native.text(target)}, target, declares=native.DECLARES, exports=native.EXPORTS, debug=False
        )
        for code in library._codes.values():
            code.engine.detach()  # also when the interpreter ends
    return library


class Pool:
    """``n`` participants: the caller and ``n - 1`` threads."""

    def __init__(self, n, library):
        self.n = n
        self.library = library
        self.state = words(POOL["slots"] + n * SLOT_WORDS)
        self.address = self.state.ctypes.data
        self.threads = []
        self.scratch_bytes = 0
        _kept.append(self.state)
        libc = ctypes.CDLL(None)
        for name, field in (("pthread_mutex_init", "mutex"), ("pthread_cond_init", "condition")):
            if getattr(libc, name)(ctypes.c_void_p(self.address + 8 * POOL[field]), None):
                raise RuntimeError(f"chainrule.compile: {name} failed")
        self.state[POOL["threads"]] = n
        for i in range(n):
            self.state[self._slot(i, "pool")] = self.address
            self.state[self._slot(i, "index")] = i
        self.reserve(_wanted)
        self._start(libc)

    def _slot(self, i, field):
        return POOL["slots"] + i * SLOT_WORDS + SLOT[field]

    def _start(self, libc):
        create = libc.pthread_create
        create.argtypes = [ctypes.c_void_p] * 4
        worker = self.library.address("cr.worker")
        # Signals are for Python's threads: the new ones inherit a mask that blocks all.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            for i in range(1, self.n):
                handle = ctypes.c_size_t()
                slot = self.address + 8 * self._slot(i, "next")
                if create(ctypes.byref(handle), None, worker, slot):
                    break  # the system gives no more; those that are there take over the others' chunks
                self.threads.append(handle)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def reserve(self, nbytes):
        """Give every thread scratch memory of at least ``nbytes``."""
        with _lock:
            if nbytes <= self.scratch_bytes:
                return
            size = round_up(max(nbytes, 2 * self.scratch_bytes), 4096)
            for i in range(1, self.n):
                memory = aligned(size)
                _kept.append(memory)  # a thread in the middle of a task goes on in its old one
                self.state[self._slot(i, "scratch")] = memory.ctypes.data
            self.scratch_bytes = size

    def claim(self, timeout=10.0):
        """Wait until no schedule uses the pool, and keep it; False if that takes longer than ``timeout`` seconds."""
        take = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(self.library.address("cr.claim"))
        end = time.monotonic() + timeout
        while not take(self.address):
            if time.monotonic() > end:
                return False
            time.sleep(0.001)
        return True

    def stop(self, timeout=10.0):
        """End the threads. A pool still in use after ``timeout`` seconds is left to itself."""
        if not self.claim(timeout):
            return
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self.library.address("cr.stop"))(self.address)
        join = ctypes.CDLL(None).pthread_join
        join.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
        for handle in self.threads:
            join(handle.value, None)
        self.threads = []


def want(scratch):
    """Every pool, the one there is and those to come, has at least ``scratch`` bytes for each thread."""
    global _wanted
    with _lock:
        _wanted = max(_wanted, scratch)
        if _current is not None:
            _current.reserve(scratch)


def ensure(target, scratch=0):
    """The process's pool, made if there is none; None where one thread is all there is. Sets ``cell``."""
    global _current
    with _lock:
        n = setting.count if native_pool.THREADS else 1
        if n == 1:
            cell[0] = _ALONE
            return None
        if _current is None:
            _current = Pool(n, runtime(target))
        _current.reserve(scratch)
        cell[0] = _current.address
        return _current


def release(timeout=10.0):
    """Stop the pool's threads; the next parallel task makes new ones."""
    global _current
    with _lock:
        old, _current = _current, None
        cell[0] = 0
    if old is not None:
        old.stop(timeout)


_forked = []  # functions called in a child after fork


def _after_fork():
    global _current, _lock
    _lock = threading.RLock()  # the parent's may be held by a thread that is not here
    _current = None  # its threads are not here either
    cell[0] = 0
    for f in _forked:
        f()


setting.watch(release)
atexit.register(release, 0.5)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
