"""Overwriting a tensor's elements: constants and random numbers."""

import numpy as np

from .. import ops
from ..errors import ArgumentValueError
from ..handle import Tensor, wrap
from ..ops.random import normal_array, source, uniform_array
from .inplace import fill
from .methods import method


@method
def zero_(self):
    """Set all elements to zero."""
    return fill(self, "zero_", 0)


@method
def fill_(self, value):
    """Set all elements to ``value``."""
    return fill(self, "fill_", value)


def _drawn(name, draw, doc):
    def random_fill(self, *args, generator=None, **kwargs):
        values = draw(source(generator), self._data.shape, self._data.dtype, *args, **kwargs)
        values = values if hasattr(values, "astype") else np.asarray(values)
        return fill(self, name, wrap(values.astype(self._data.dtype, copy=False)))

    random_fill.__name__ = random_fill.__qualname__ = name
    random_fill.__doc__ = doc
    setattr(Tensor, name, random_fill)


def _uniform(rng, shape, d, a=0.0, b=1.0, **kw):
    a, b = kw.pop("from", a), kw.pop("to", b)
    if a > b:
        raise ArgumentValueError(f"uniform_ expects to return a [from, to) range, but found from={a} > to={b}")
    return uniform_array(rng, shape, d, a, b)


def _normal(rng, shape, d, mean=0.0, std=1.0):
    if std < 0:
        raise ArgumentValueError(f"normal expects std >= 0.0, but found std {std}")
    return normal_array(rng, shape, d, mean, std)


def _random(rng, shape, d, low=0, high=None, **kw):
    low, high = kw.pop("from", low), kw.pop("to", high)
    if high is None:
        low, high = (0, low) if low else (0, {"f": 2**24, "b": 2}.get(d.kind) or int(np.iinfo(d).max))
    return rng.integers(low, high, shape)


def _bernoulli(rng, shape, d, p=0.5):
    return rng.random(shape) < (p._data if isinstance(p, Tensor) else p)


def _positive(name, value):
    if value <= 0:
        raise ArgumentValueError(f"{name} expects its parameter > 0.0, but found {value}")
    return value


_drawn("uniform_", _uniform, "Uniform random numbers in [a, b).")
_drawn("normal_", _normal, "Normal random numbers.")
_drawn("random_", _random, "Random integers: ``random_(to)`` or ``random_(from, to)``.")
_drawn("bernoulli_", _bernoulli, "Ones with probability ``p``, else zeros.")
_drawn(
    "exponential_",
    lambda rng, s, d, lambd=1.0: rng.exponential(1 / _positive("exponential_", lambd), s),
    "Exponential random numbers.",
)
_drawn("geometric_", lambda rng, s, d, p: rng.geometric(p, s), "Geometric random numbers.")
_drawn(
    "cauchy_",
    lambda rng, s, d, median=0.0, sigma=1.0: median + sigma * rng.standard_cauchy(s),
    "Cauchy random numbers.",
)
_drawn("log_normal_", lambda rng, s, d, mean=1.0, std=2.0: rng.lognormal(mean, std, s), "Log-normal random numbers.")


@method
def fill_diagonal_(self, fill_value, wrap=False):
    """Set the main diagonal to ``fill_value``."""
    mask = np.zeros(self._data.shape, bool)
    np.fill_diagonal(mask, True, wrap=wrap)
    return self.copy_(ops.where(ops.tensor(mask), fill_value, self.clone()))
