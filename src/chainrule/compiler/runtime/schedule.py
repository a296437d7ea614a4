"""A compiled step: a table of tasks over buffers, run by one native call.

The native side (native.py) checks the arrays of the call against what was compiled, re-points the operands of
those that lie elsewhere than at the last call, and walks the table. Nothing of that happens in Python.
"""

import ctypes
import threading
import time
import weakref

import numpy as np

from ...errors import ArgumentError
from . import bounds, layout, pool
from .arena import aligned, round_up
from .bridge import PROTOTYPE, callouts, method
from .buffers import At, Callout, Check, Copy, External, check_interpreter
from .layout import EXTERNAL, FRAME, RECORD
from .pool import words
from .refusals import CheckError, ScheduleError, misfit

_C_CONTIGUOUS, _ALIGNED, _WRITEABLE = 0x1, 0x100, 0x400
_PARALLEL_NS = 10_000.0  # estimated work below which a task stays on the calling thread: sharing moves its data too
_TICK_NS = 20e6  # estimated work after which the clock is asked whether to look for Ctrl-C
_TICK_INTERVAL = 1_000_000_000  # ns between two looks
_SHORT_NS = 20e3  # estimated work below which a step keeps Python's global lock
_FLOPS_PER_NS, _BYTES_PER_NS = 80.0, 20.0  # of one thread, roughly


class Schedule:
    """Tasks in order over named buffers; ``schedule(arrays)`` runs them.

    ``buffers`` maps each name to ``At`` (in ``arena``), a NumPy array (kept alive), an address, ``None`` (set later
    with ``set_address``) or ``External``. The arrays of the externals are given to each call as a tuple, in the order
    of ``buffers``. With ``timed`` each run leaves the tasks' times in ``times()``. Ctrl-C ends a run between two tasks,
    but from task number ``commit`` on the run goes on to its end, and KeyboardInterrupt comes right after it.

    >>> import numpy as np
    >>> from chainrule.compiler.kernel import Kernel, Task
    >>> from chainrule.compiler.target import host
    >>> from chainrule.compiler.runtime import External, Schedule, load_kernels
    >>> text = '''define void @two(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
    ...   %x = load ptr, ptr %args
    ...   store double 2.0, ptr %x, align 8
    ...   ret void
    ... }
    ... '''
    >>> k = Kernel("two", text, operands=1)
    >>> step = Schedule(load_kernels([k], host()), [Task(k, ("x",))], {"x": External((1,), "float64", writable=True)})
    >>> x = np.zeros(1)
    >>> step((x,))
    >>> x
    array([2.])

    Raises ScheduleError if the arrays of a call are not of the layout compiled; nothing has run then. What a callout
    raises ends the run and comes out of the call; so does the CheckError of a Check task. A library made with bounds
    checks makes every access checked: the tasks then run on one thread, chunk by chunk, and one that leaves its
    operands raises RuntimeError. Several threads may call a schedule; one runs, the others wait.
    """

    def __init__(self, library, tasks, buffers, *, arena=None, timed=False, debug=None, commit=None):
        check_interpreter()
        self.library = library
        self.tasks = list(tasks)
        self.buffers = dict(buffers)
        self.arena = arena
        self.commit = len(self.tasks) if commit is None else commit
        self.debug = library.debug
        if debug is not None and debug != library.debug:
            raise ArgumentError(f"Schedule: debug={debug}, but the library was made with debug={library.debug}")
        self._index = {name: i for i, name in enumerate(self.buffers)}
        self._kept = [b for b in self.buffers.values() if isinstance(b, np.ndarray)]
        self._in_callout = None
        self._errors = {}  # thread -> what a callout raised there
        self._known = {}  # task -> the addresses and arrays of its last callout
        self._native = pool.runtime(library.target)
        self._frame = words(round_up(len(FRAME), 8))
        self._lay_out()
        self._fill_frame(timed)
        self._enter_native = method(self._native, self._frame)
        self.enter = self._enter_checked if self.debug else self._enter_native
        _alive.add(self)

    # ---- what is run

    def __call__(self, arrays=()):
        """Run the tasks on the externals' arrays, a tuple.

        A caller in a hurry does itself what stands here: ``enter`` is a built-in method.
        """
        code = self.enter(arrays)
        if code:
            self.again(code, arrays)

    def set_address(self, buffer, address):
        """From the next call on ``buffer`` lies at ``address``."""
        self._want[self._index[buffer]] = address
        self._frame[FRAME["dirty"]] = 1

    def set_array(self, buffer, array):
        """From the next call on ``buffer`` is this array, kept alive by the caller."""
        self.set_address(buffer, array.__array_interface__["data"][0])

    def address(self, buffer):
        """Where ``buffer`` lay at the last call; 0 if it has no place yet."""
        return int(self._have[self._index[buffer]])

    @property
    def finished(self):
        """Whether the last run that began came to its end."""
        return bool(self._frame[FRAME["done"]])

    @finished.setter
    def finished(self, is_so):
        self._frame[FRAME["done"]] = is_so

    @property
    def cost(self):
        """What a run takes on one thread, a rough estimate in nanoseconds."""
        return self._cost

    @property
    def timed(self):
        """Whether each run leaves the tasks' times in ``times()``; may be set at any time, for the runs to come."""
        return bool(self._frame[FRAME["stamps"]])

    @timed.setter
    def timed(self, on):
        if on and self._stamps is None:
            self._stamps = words(len(self.tasks) + 1)
        self._frame[FRAME["stamps"]] = self._stamps.ctypes.data if on else 0

    def times(self):
        """Nanoseconds of each task in the last timed run, an int64 array."""
        if self._stamps is None:
            raise ArgumentError("Schedule.times: no run was timed; make the schedule with timed=True")
        return np.diff(self._stamps)

    # ---- how it is laid out

    def _lay_out(self):
        """The tables: records, operand addresses, and for each buffer the places that hold its address."""
        n = len(self.tasks)
        self._records = words(max(1, n) * len(RECORD)).reshape(-1, len(RECORD))
        places = [[] for _ in self.buffers]  # per buffer: (place in args, offset)
        filled = 0
        scratch = 0
        threaded = False
        self._cost = since_tick = 0.0
        starts = []
        flags = []
        for task in self.tasks:
            kernel = task.kernel
            self._check_task(task)
            offsets = task.offsets or (0,) * len(task.buffers)
            starts.append(filled)
            for name, offset in zip(task.buffers, offsets, strict=True):
                places[self._index[name]].append((filled, offset))
                filled += 1
            flag, cost = 0, 0.0
            own = isinstance(kernel, (Check, Copy))
            filled += own  # the word behind its operands
            if isinstance(kernel, Callout):
                flag, cost = layout.CALLBACK, 2 * _SHORT_NS
            elif not isinstance(kernel, Check):
                scratch = max(scratch, kernel.scratch)
                cost = max(kernel.flops / _FLOPS_PER_NS, kernel.bytes / _BYTES_PER_NS)
                if self.debug and not own:
                    flag |= layout.BOUNDS
                elif kernel.chunks > 1 and (cost == 0.0 or cost > _PARALLEL_NS):
                    flag |= layout.PARALLEL
                    threaded = True
                cost = cost or 2 * _SHORT_NS
            self._cost += cost
            since_tick += cost
            if since_tick > _TICK_NS and len(flags) <= self.commit:
                flag |= layout.TICK
                since_tick = 0.0
            flags.append(flag)
        self.scratch = scratch
        self._threaded = threaded
        if threaded:
            pool.want(scratch)
        ranges = []
        if self.debug:
            # What each task may touch as [begin, end) pairs: its operands, their addresses, its scratch.
            for task in self.tasks:
                if isinstance(task.kernel, (Callout, Check, Copy)):
                    ranges.append((0, 0))
                    continue
                ranges.append((filled, len(task.buffers) + 2))
                for name in task.buffers:
                    places[self._index[name]] += [(filled, 0), (filled + 1, self._size(name))]
                    filled += 2
                filled += 4
        self._args = words(max(1, filled))
        self._scratch = aligned(max(64, round_up(scratch)))
        base = self._args.ctypes.data
        for i, task in enumerate(self.tasks):
            kernel = task.kernel
            r = self._records[i]
            r[RECORD["args"]] = base + 8 * starts[i]
            r[RECORD["flags"]] = flags[i]
            r[RECORD["index"]] = i
            if isinstance(kernel, (Check, Copy)):
                r[RECORD["fn"]] = self._native.address(kernel.entry)
                r[RECORD["chunks"]] = kernel.chunks
                word = kernel.nbytes if isinstance(kernel, Copy) else self._frame.ctypes.data + 8 * FRAME["status"]
                self._args[starts[i] + len(task.buffers)] = word
            elif not isinstance(kernel, Callout):
                r[RECORD["fn"]] = self.library.address(kernel.name)
                r[RECORD["chunks"]] = kernel.chunks
                if self.debug:
                    at, count = ranges[i]
                    r[RECORD["ranges"]], r[RECORD["ranges_count"]] = base + 8 * at, count
                    own = self._scratch.ctypes.data
                    args = base + 8 * starts[i]
                    last = args, args + 8 * len(task.buffers), own, own + kernel.scratch
                    self._args[at + 2 * count - 4 : at + 2 * count] = last
        self._starts = words(len(places) + 1)
        self._starts[1:] = np.cumsum([len(p) for p in places])
        flat = [pair for p in places for pair in p]
        self._places, self._offsets = words(max(1, len(flat))), words(max(1, len(flat)))
        if flat:
            self._places[: len(flat)], self._offsets[: len(flat)] = zip(*flat, strict=True)

    def _check_task(self, task):
        kernel = task.kernel
        count = len(kernel.operands) if isinstance(kernel, Callout) else kernel.operands
        if len(task.buffers) != count or len(task.offsets) not in (0, count):
            raise ArgumentError(
                f"Schedule: {kernel.name} has {count} operands, the task names {len(task.buffers)} buffers and "
                f"{len(task.offsets)} offsets"
            )
        for name in task.buffers:
            if name not in self._index:
                raise ArgumentError(f"Schedule: {kernel.name} refers to the buffer {name!r}, which `buffers` lacks")
            if isinstance(self.buffers[name], At) and self.arena is None:
                raise ArgumentError(f"Schedule: the buffer {name!r} lies in the arena, but `arena` is None")

    def _size(self, name):
        b = self.buffers[name]
        if isinstance(b, At):
            return self.arena.nbytes - b.offset if b.nbytes is None else b.nbytes
        if isinstance(b, External):
            return b.extent
        if isinstance(b, np.ndarray):
            return External(b.shape, b.dtype, b.strides).extent
        return 1 << 46  # an address without a size: only what is before it counts as outside

    def _fill_frame(self, timed):
        f = self._frame
        n = len(self.buffers)
        self._have, self._want = words(max(1, n)), words(max(1, n))
        for i, b in enumerate(self.buffers.values()):
            if isinstance(b, At):
                self._want[i] = self.arena.address + b.offset
            elif isinstance(b, np.ndarray):
                self._want[i] = b.ctypes.data
            elif isinstance(b, int):
                self._want[i] = b
            elif b is not None and not isinstance(b, External):
                raise ArgumentError(f"Schedule: a buffer is At, External, an array, an address or None, got {b!r}")
        self.externals = [(name, b) for name, b in self.buffers.items() if isinstance(b, External)]
        table = self._externals = words(max(1, len(self.externals)) * len(EXTERNAL)).reshape(-1, len(EXTERNAL))
        for row, (name, e) in zip(table, self.externals, strict=False):
            dims = np.array([*e.shape, 0], np.int64)
            dtype = np.dtype(e.dtype)
            self._kept += [dims, dtype]
            row[EXTERNAL["buffer"]] = self._index[name]
            row[EXTERNAL["nd"]] = len(e.shape)
            row[EXTERNAL["dims"]] = dims.ctypes.data
            row[EXTERNAL["descr"]] = id(dtype)
            row[EXTERNAL["flags"]] = _ALIGNED | (_WRITEABLE if e.writable else 0)
            if e.strides is None:
                row[EXTERNAL["flags"]] |= _C_CONTIGUOUS
            else:
                strides = np.array([*e.strides, 0], np.int64)
                self._kept.append(strides)
                row[EXTERNAL["strides"]] = strides.ctypes.data
        self._stamps = None
        self._callback = None
        self._tick_address = 0
        if any(r[RECORD["flags"]] & (layout.CALLBACK | layout.TICK) for r in self._records):
            self._connect()
        values = {
            "records": self._records.ctypes.data,
            "tasks": len(self.tasks),
            "scratch": self._scratch.ctypes.data,
            "have": self._have.ctypes.data,
            "want": self._want.ctypes.data,
            "dirty": 1,
            "buffers": n,
            "starts": self._starts.ctypes.data,
            "places": self._places.ctypes.data,
            "offsets": self._offsets.ctypes.data,
            "args": self._args.ctypes.data,
            "externals": table.ctypes.data,
            "externals_count": len(self.externals),
            "pool_cell": pool.cell.ctypes.data,
            "threaded": int(self._threaded),
            "array_type": id(np.ndarray),
            "tuple_items": tuple.__basicsize__,
            "debug": bounds.state.ctypes.data,
            "interval": _TICK_INTERVAL,
            "tuple_type": id(tuple),
            "release": int(self._cost > _SHORT_NS),
            "tick": self._tick_address,
        }
        for name, value in values.items():
            f[FRAME[name]] = value
        self.timed = timed

    def _connect(self):
        """Make the function that native code calls for callouts and to look for Ctrl-C."""
        loop = callouts(weakref.ref(self))
        next(loop)
        # Going through `send` and not a function: a pending Ctrl-C is raised where the generator goes on, inside `try`.
        self._callback = PROTOTYPE(loop.send)
        address = ctypes.cast(self._callback, ctypes.c_void_p).value
        for r in self._records:
            if r[RECORD["flags"]] & layout.CALLBACK:
                r[RECORD["fn"]] = address
        self._tick_address = address

    # ---- what is not the plain case

    def again(self, code, arrays):
        """Deal with a call for which ``enter`` did not return 0: wait, make the pool, or say what is wrong."""
        pause = 20e-6
        while code:
            if code == layout.BUSY:
                if self._in_callout == threading.get_ident():
                    raise ScheduleError("Schedule: a callout called the schedule it belongs to")
                time.sleep(pause)
                pause = min(2 * pause, 1e-3)
            elif code == layout.NO_POOL:
                pool.ensure(self.library.target, self.scratch)
            elif code == layout.COUNT:
                if type(arrays) is not tuple:
                    raise ScheduleError(f"Schedule: expected a tuple of arrays, got {type(arrays).__name__}")
                raise ScheduleError(f"Schedule: expected {len(self.externals)} arrays, got {len(arrays)}")
            elif code == layout.LAYOUT:
                misfit(self.externals, arrays)
            else:
                self._stopped(code - layout.STOPPED)
            code = self.enter(arrays)

    def _stopped(self, status):
        error = self._errors.pop(threading.get_ident(), None)
        if error is not None:
            try:
                raise error
            finally:
                del error
        if status >= layout.FAILED:
            check = self.tasks[int(self._frame[FRAME["failed"]])].kernel
            raise CheckError(check.numbers[status - layout.FAILED])
        if status == layout.OUT_OF_BOUNDS:
            raise RuntimeError(self._violation)
        raise KeyboardInterrupt

    def _enter_checked(self, arrays):
        with bounds.lock:
            code = self._enter_native(arrays)
            bounds.state[0] = 0
            if code == layout.STOPPED + layout.OUT_OF_BOUNDS:
                task = self.tasks[int(self._frame[FRAME["failed"]])]
                self._violation = bounds.describe(
                    task, [(n, self.address(n), self._size(n)) for n in dict.fromkeys(task.buffers)]
                )
            return code

    def _views(self, i):
        """The arrays over the operands of callout ``i``; made anew only if one lies elsewhere than at its last call."""
        task = self.tasks[i]
        start = (int(self._records[i, RECORD["args"]]) - self._args.ctypes.data) // 8
        addresses = self._args[start : start + len(task.buffers)].tolist()
        known = self._known.get(i)
        if known is not None and known[0] == addresses:
            return known[1]
        views = []
        for address, (shape, dtype, *strides) in zip(addresses, task.kernel.operands, strict=True):
            e = External(shape, dtype, strides[0] if strides else None)
            memory = (ctypes.c_char * max(1, e.extent)).from_address(address)
            views.append(np.ndarray(shape, dtype, buffer=memory, strides=e.strides))
        self._known[i] = addresses, views
        return views


_alive = weakref.WeakSet()


def _after_fork():
    """In the child no other thread runs: what one was running in the parent is free here."""
    bounds.lock = threading.RLock()
    for schedule in list(_alive):
        schedule._frame[FRAME["busy"]] = 0


pool._forked.append(_after_fork)
