"""Modes and defaults: what is recorded, and which dtype is made when none is given.

Modes belong to a thread: ``no_grad`` in a data-loading thread does not change the thread that trains.
"""

import functools
import inspect
import os
import threading

from . import dtypes
from .errors import ArgumentError, ArgumentValueError


class _Switches:
    """Process-wide switches; plain attributes, since every operator reads them."""

    __slots__ = ("anomaly", "listeners", "structure", "threads_off", "tracer")


switches = _Switches()
switches.threads_off = (
    0  # threads in which recording is off: while it is 0, nobody needs to ask for the thread's own mode
)
_counting = threading.Lock()


class _Modes(threading.local):
    """The modes of one thread."""

    _grad = True
    inference = False
    swapped = 0  # functional_call inside functional_call: modules have other tensors for the time of a call

    @property
    def grad(self):
        """Whether nodes are recorded."""
        return self._grad

    @grad.setter
    def grad(self, on):
        if on != self._grad:
            self._grad = on
            with _counting:
                switches.threads_off += -1 if on else 1


modes = _Modes()
switches.structure = 0  # counts changes of modules, so that compiled functions notice them
switches.listeners = ()  # who wants to know what compiled functions compute, see capture/levels.py
switches.tracer = None  # capture.Tracer while a function is being captured; switches.anomaly is then set too
switches.anomaly = None  # autograd.anomaly.Detector while anomaly mode is on


def tracing():
    """The tracer of the function that this thread captures, or None."""
    tracer = switches.tracer
    return tracer if tracer is not None and tracer.thread == threading.get_ident() else None


def hold(tensors):
    """While another thread captures a function: wait until these tensors have their values again."""
    tracer = switches.tracer
    if tracer is not None and tracer.thread != threading.get_ident():
        tracer.wait(tensors)


class _Defaults:
    dtype = dtypes.float32


defaults = _Defaults()


def is_grad_enabled():
    """True where operators on tensors that require gradients are recorded."""
    return modes.grad


def is_inference_mode_enabled():
    return modes.inference


def _processors():
    """The processors this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def _quota(root="/sys/fs/cgroup"):
    """How many processors' time a container may use, rounded up, or None: threads that spin would use it up."""
    for names in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            text = ""
            for name in names:
                with open(os.path.join(root, name)) as f:
                    text += f.read() + " "
            quota, period = text.split()
            if quota == "max" or int(quota) <= 0:
                return None
            return -(-int(quota) // int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue
    return None


class _Threads:
    """How many threads compiled code and the BLAS may use."""

    def __init__(self):
        self._count = None
        self._available = None
        self._watchers = []

    @property
    def count(self):
        """What ``set_num_threads`` said; else OMP_NUM_THREADS; else the processors this process may use."""
        if self._count is not None:
            return self._count
        text = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        if text.isdecimal() and int(text) > 0:
            return int(text)
        if self._available is None:
            self._available = min(_processors(), _quota() or _processors())
        return self._available

    @count.setter
    def count(self, n):
        if n < 1:
            raise ArgumentValueError(f"set_num_threads: expected a number of at least 1, got {n}")
        self._count = n
        for f in self._watchers:
            f()

    def watch(self, f):
        """Call ``f()`` after every change."""
        self._watchers.append(f)


threads = _Threads()


class _GradMode:
    """Base of the grad-mode context managers, which are decorators too (of functions and of generator functions)."""

    def __enter__(self):
        self.previous = getattr(self, "previous", [])
        self.previous.append((modes.grad, modes.inference))
        self.switch()
        return self

    def __exit__(self, *exc):
        modes.grad, modes.inference = self.previous.pop()

    def clone(self):
        return type(self)()

    def __call__(self, fn):
        if inspect.isclass(fn):
            fn.__init__ = self(fn.__init__)
            return fn
        if inspect.isgeneratorfunction(fn):
            # The mode must be left at every yield, or it would leak into the caller's code.
            @functools.wraps(fn)
            def generator(*args, **kwargs):
                it = fn(*args, **kwargs)
                sent, error = None, None
                while True:
                    try:
                        with self.clone():
                            item = it.throw(error) if error is not None else it.send(sent)
                    except StopIteration as stop:
                        return stop.value
                    error = None
                    try:
                        sent = yield item
                    except GeneratorExit:
                        it.close()
                        raise
                    except BaseException as e:
                        error = e

            return generator

        @functools.wraps(fn)
        def wrapper(*args, **kwargs):
            with self.clone():
                return fn(*args, **kwargs)

        return wrapper


class no_grad(_GradMode):
    """Nothing is recorded inside: ``with torch.no_grad(): ...`` or ``@torch.no_grad()``.

    >>> import chainrule as torch
    >>> x = torch.tensor([1.0], requires_grad=True)
    >>> with torch.no_grad():
    ...     y = x * 2
    >>> y.requires_grad
    False
    """

    def __new__(cls, fn=None):
        self = super().__new__(cls)
        return self if fn is None else self(fn)

    def __init__(self, fn=None):
        pass

    def switch(self):
        modes.grad = False


class enable_grad(_GradMode):
    """Recording is on inside, also within ``no_grad``."""

    def __new__(cls, fn=None):
        self = super().__new__(cls)
        return self if fn is None else self(fn)

    def __init__(self, fn=None):
        pass

    def switch(self):
        modes.grad = True


class set_grad_enabled(_GradMode):
    """Switch recording at once, and back at the end of the ``with`` block if there is one."""

    def __init__(self, mode):
        self.mode = bool(mode)
        self.previous = []
        self.before = (modes.grad, modes.inference)
        modes.grad = self.mode

    def __enter__(self):
        self.previous.append(self.before)
        modes.grad = self.mode
        return self

    def __call__(self, fn):
        modes.grad = self.before[0]
        return super().__call__(fn)

    def clone(self):
        return set_grad_enabled(self.mode)


class inference_mode(_GradMode):
    """As ``no_grad``; tensors made inside can not be used for training later in PyTorch, here they can."""

    def __new__(cls, mode=True):
        self = super().__new__(cls)
        return self if isinstance(mode, bool) else self(mode)

    def __init__(self, mode=True):
        self.mode = mode

    def clone(self):
        return inference_mode(self.mode)

    def switch(self):
        modes.inference = self.mode
        modes.grad = not self.mode


def get_default_dtype():
    """The dtype of new floating-point tensors, float32 unless changed."""
    return defaults.dtype


def set_default_dtype(d):
    """Make ``d`` (a floating-point dtype) the dtype of new floating-point tensors.

    Raises ArgumentError if ``d`` is not a floating-point dtype.
    """
    d = dtypes.as_dtype(d)
    if not d.is_floating_point:
        raise ArgumentError(f"set_default_dtype: only floating-point types are supported as the default type, got {d}")
    defaults.dtype = d
