"""Random numbers: generators whose state can be saved, and the operators that draw from them.

The numbers are NumPy's (PCG64), reproducible from a seed, but not those PyTorch draws from the same seed.
"""

import builtins
import math
import os
import threading

import numpy as np

from .. import dtypes
from ..config import defaults, switches, tracing
from ..devices import device as Device
from ..dtypes import as_dtype
from ..errors import ArgumentError, CaptureError, DomainError, DTypeError, GradientError
from ..handle import Tensor, wrap
from ..node import call_site, site_text
from ..primitive import primitive, public
from ..primitive.arguments import size_tuple, tensor_argument
from .refusal import refuse
from .shape import view_p


class Generator:
    """A source of random numbers with a state of its own.

    >>> import chainrule as torch
    >>> g = torch.Generator().manual_seed(0)
    >>> a = torch.rand(2, generator=g)
    >>> bool((torch.rand(2, generator=g.manual_seed(0)) == a).all())
    True
    """

    def __init__(self, device="cpu"):
        self.device = Device(device)
        self.manual_seed(67280421310721)

    def manual_seed(self, seed):
        """Start over from ``seed`` (an int); returns the generator."""
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise ArgumentError(f"manual_seed expected an int, but got {type(seed).__name__}")
        tracer = switches.tracer
        if tracer is not None and tracer.thread == threading.get_ident():
            raise CaptureError(
                f"compile: manual_seed() at {site_text(call_site(3))} would run only at the first call of a captured "
                "function; seed and make generators before the call"
            )
        self._seed = seed.__index__()
        self.numpy = np.random.Generator(np.random.PCG64(self._seed % (1 << 64)))
        return self

    def seed(self):
        """Start over from a seed taken from the operating system; returns it."""
        fresh = builtins.int(np.random.SeedSequence().entropy) & ((1 << 63) - 1)
        self.manual_seed(fresh)
        return fresh

    def initial_seed(self):
        return self._seed

    def get_state(self):
        """The state as a uint8 tensor, to be given to ``set_state``."""
        s = self.numpy.bit_generator.state
        words = s["state"]["state"].to_bytes(16, "little") + s["state"]["inc"].to_bytes(16, "little")
        tail = (
            bytes([s["has_uint32"]])
            + s["uinteger"].to_bytes(4, "little")
            + (self._seed % (1 << 64)).to_bytes(8, "little")
        )
        return wrap(np.frombuffer(words + tail, np.uint8).copy())

    def set_state(self, state):
        """Continue from a state that ``get_state`` gave."""
        if not isinstance(state, Tensor) or state._data.dtype != np.uint8 or state._data.shape != (45,):
            raise ArgumentError("set_state: expected the uint8 tensor of 45 bytes that get_state() returns")
        b = state._data.tobytes()
        self._seed = builtins.int.from_bytes(b[37:45], "little")
        bits = np.random.PCG64()
        bits.state = {
            "bit_generator": "PCG64",
            "state": {
                "state": builtins.int.from_bytes(b[:16], "little"),
                "inc": builtins.int.from_bytes(b[16:32], "little"),
            },
            "has_uint32": b[32],
            "uinteger": builtins.int.from_bytes(b[33:37], "little"),
        }
        self.numpy = np.random.Generator(bits)
        return self

    def clone_state(self):
        return Generator().set_state(self.get_state())

    def __getstate__(self):
        return self.get_state()._data.tobytes()

    def __setstate__(self, b):
        self.device = Device("cpu")
        self.set_state(wrap(np.frombuffer(b, np.uint8).copy()))


default_generator = Generator()
_forking = threading.local()


def _before_fork():
    """A child must not inherit NumPy's lock from a thread that draws."""
    lock = default_generator.numpy.bit_generator.lock
    _forking.lock = lock if lock.acquire(timeout=10) else None


def _after_fork():
    if _forking.lock is not None:
        _forking.lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_after_fork)


def manual_seed(seed):
    """Seed the default generator; returns it."""
    return default_generator.manual_seed(seed)


def seed():
    """Seed the default generator from the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed():
    return default_generator.initial_seed()


def get_rng_state():
    """The default generator's state, a uint8 tensor."""
    if tracing() is not None:
        return switches.tracer.draws.place()
    return default_generator.get_state()


def set_rng_state(new_state):
    """Put the default generator back to a state from ``get_rng_state``."""
    if tracing() is not None:
        switches.tracer.draws.go_to(new_state)
        return
    default_generator.set_state(new_state)


class _Forbidden(threading.local):
    """Whether a vmap that forbids random operators is running."""

    active = False


forbidden = _Forbidden()


def source(generator):
    """The NumPy generator to draw from."""
    if forbidden.active:
        raise GradientError(
            "vmap: called random operation while in randomness error mode. Please either use the 'same' or "
            "'different' randomness flags on vmap"
        )
    if generator is not None and not isinstance(generator, Generator):
        raise ArgumentError(f"expected a torch.Generator, got {type(generator).__name__}")
    if switches.tracer is not None and tracing() is not None:
        return switches.tracer.random(generator or default_generator)
    if generator is None:
        return default_generator.numpy
    return generator.numpy


def drawn(x):
    """Numbers just drawn as an array; while a function is captured they are symbols already."""
    return x if hasattr(x, "builder") else np.asarray(x)


def uniform_array(rng, shape, np_dtype, low=0.0, high=1.0):
    """Uniform in [low, high)."""
    exact = np_dtype if np_dtype in (np.float32, np.float64) else np.float32
    a = drawn(rng.random(shape, dtype=exact))
    if low != 0.0 or high != 1.0:
        a = drawn(a * exact_type(exact)(high - low) + exact_type(exact)(low))
        if a.size and high > low:
            np.minimum(a, np.nextafter(exact_type(exact)(high), exact_type(exact)(low)), out=a)
    return a if a.dtype == np_dtype else a.astype(np_dtype)


def exact_type(d):
    return np.dtype(d).type


def normal_array(rng, shape, np_dtype, mean=0.0, std=1.0):
    exact = np_dtype if np_dtype in (np.float32, np.float64) else np.float32
    a = drawn(rng.standard_normal(shape, dtype=exact))
    if std != 1.0:
        a = a * exact_type(exact)(std)
    if mean != 0.0:
        a = a + exact_type(exact)(mean)
    return a if a.dtype == np_dtype else a.astype(np_dtype)


def made(array, dtype, device, requires_grad):
    """Finish a new tensor."""
    if device is not None:
        Device(device)
    t = wrap(drawn(array))
    if requires_grad:
        t.requires_grad_()
    return t


def _float_dtype(dtype, who):
    d = defaults.dtype if dtype is None else as_dtype(dtype)
    if not d.is_floating_point:
        raise DTypeError(f'"{who}" not implemented for {d}; expected a floating-point dtype (use randint for integers)')
    return d.np


@public(method=False)
def rand(*size, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Uniform random numbers in [0, 1) of the given size."""
    return made(
        uniform_array(source(generator), size_tuple(size, "rand"), _float_dtype(dtype, "rand")),
        None,
        device,
        requires_grad,
    )


@public(method=False)
def randn(*size, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """Standard normal random numbers of the given size."""
    return made(
        normal_array(source(generator), size_tuple(size, "randn"), _float_dtype(dtype, "randn")),
        None,
        device,
        requires_grad,
    )


@public(method=False)
def randint(
    *args, low=None, high=None, size=None, generator=None, dtype=None, layout=None, device=None, requires_grad=False
):
    """``randint(low=0, high, size)``: integers from ``low`` up to, not including, ``high``."""
    args = list(args)
    if size is None:
        if not args or not isinstance(args[-1], (tuple, list)):
            raise ArgumentError("randint(): missing argument 'size' (a tuple); call it as randint(low, high, size)")
        size = args.pop()
    if args and high is None:
        high = args.pop()
    if args and low is None:
        low = args.pop()
    low = 0 if low is None else low
    if high is None or low >= high:
        raise DomainError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    d = dtypes.int64 if dtype is None else as_dtype(dtype)
    values = source(generator).integers(low, high, size_tuple((size,), "randint"), dtype=np.int64)
    return made(drawn(values).astype(d.np), None, device, requires_grad)


@public(method=False)
def randperm(n, *, generator=None, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False):
    """A random permutation of 0 … n-1."""
    d = dtypes.int64 if dtype is None else as_dtype(dtype)
    if n < 0:
        raise DomainError(f"n must be non-negative, got {n}")
    return made(source(generator).permutation(n).astype(d.np), None, device, requires_grad)


@public(method=False)
def rand_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, generator=None):
    """``rand`` with the size and dtype of ``input``."""
    return rand(input._data.shape, dtype=dtype or input._data.dtype, generator=generator, requires_grad=requires_grad)


@public(method=False)
def randn_like(input, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None, generator=None):
    """``randn`` with the size and dtype of ``input``."""
    return randn(input._data.shape, dtype=dtype or input._data.dtype, generator=generator, requires_grad=requires_grad)


@public(method=False)
def randint_like(
    input, low, high=None, *, dtype=None, layout=None, device=None, requires_grad=False, memory_format=None
):
    """``randint`` with the size and dtype of ``input``; ``randint_like(input, high)`` or ``(input, low, high)``."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, tuple(input._data.shape), dtype=dtype or input._data.dtype, requires_grad=requires_grad)


@public(method=False)
def normal(mean, std=1.0, size=None, *, generator=None, dtype=None, requires_grad=False, out=None):
    """Normal random numbers; ``mean`` and ``std`` are numbers (with ``size``) or tensors that broadcast."""
    rng = source(generator)
    if isinstance(mean, Tensor) or isinstance(std, Tensor):
        m = mean._data if isinstance(mean, Tensor) else np.asarray(mean)
        s = std._data if isinstance(std, Tensor) else np.asarray(std)
        refuse(s < 0, DomainError, "normal expects all elements of std >= 0.0")
        d = (mean if isinstance(mean, Tensor) else std)._data.dtype
        z = normal_array(rng, np.broadcast_shapes(m.shape, s.shape), d)
        result = wrap(drawn((z * s + m).astype(d)))
    else:
        if std < 0:
            raise DomainError(f"normal expects std >= 0.0, but found std {std}")
        result = made(
            normal_array(rng, size_tuple((size or (),), "normal"), _float_dtype(dtype, "normal"), mean, std),
            None,
            None,
            requires_grad,
        )
    if out is not None:
        out.copy_(result)
        return out
    return result


@public
def bernoulli(input, p=None, *, generator=None):
    """Zeros and ones, one with the probability given by ``input`` (or by the number ``p``)."""
    tensor_argument(input, "bernoulli")
    probability = input._data if p is None else np.asarray(p)
    refuse(~((probability >= 0) & (probability <= 1)), DomainError, "bernoulli: expected all probabilities in [0, 1]")
    return wrap(drawn(source(generator).random(input._data.shape) < probability).astype(input._data.dtype))


@public
def poisson(input, generator=None):
    """Poisson numbers with the rates given by ``input``."""
    return wrap(drawn(source(generator).poisson(input._data)).astype(input._data.dtype))


def _multinomial(q, numbers, samples, replacement):
    """Indices by random numbers: uniform ones with replacement, else Gumbel's."""
    if replacement:
        cumulative = np.cumsum(q / q.sum(-1, keepdims=True), -1)
        cumulative[:, -1] = np.where(q[:, -1] > 0, math.inf, cumulative[:, -1])
        index = np.stack([np.searchsorted(c, u, side="right") for c, u in zip(cumulative, numbers, strict=True)])
        return np.minimum(index, q.shape[1] - 1)
    # The largest of log p + Gumbel noise: sampling without replacement (Yellott 1977).
    keys = np.where(q > 0, np.log(np.where(q > 0, q, 1.0)) + numbers, -math.inf)
    return np.ascontiguousarray(np.argsort(-keys, -1)[:, :samples])


multinomial_p = primitive("multinomial", _multinomial)


@public
def multinomial(input, num_samples, replacement=False, *, generator=None):
    """Indices drawn with the (unnormalised) probabilities in the last dimension of ``input`` (1-D or 2-D)."""
    p = tensor_argument(input, "multinomial")._data
    if p.ndim not in (1, 2):
        raise DomainError(f"multinomial: prob_dist must be 1 or 2 dim, got {p.ndim}")
    if num_samples <= 0:
        raise DomainError("cannot sample n_sample <= 0 samples")
    rows = p.shape[0] if p.ndim == 2 else 1
    q = p.reshape((rows, p.shape[-1])).astype(np.float64)
    text = "probability tensor contains either `inf`, `nan` or element < 0"
    refuse(~(np.isfinite(q) & (q >= 0)), DomainError, text)
    total = q.sum(-1, keepdims=True)
    refuse(total <= 0, DomainError, "invalid multinomial distribution (sum of probabilities <= 0)")
    if not replacement:
        text = "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        if num_samples > q.shape[1]:
            raise DomainError(text)
        refuse((q > 0).sum(-1) < num_samples, DomainError, text)
    rng = source(generator)
    numbers = rng.random((rows, num_samples)) if replacement else rng.gumbel(size=q.shape)
    index = multinomial_p(wrap(q), wrap(numbers), samples=num_samples, replacement=bool(replacement))
    return index if p.ndim == 2 else view_p(index, shape=(num_samples,))
