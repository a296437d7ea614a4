"""Distributions of choices, given by probabilities or by logits; the other of the two is computed when asked for."""

import math
from numbers import Number

from .. import ops
from ..config import no_grad
from ..errors import ArgumentValueError
from ..tensors.face import finfo
from . import constraints
from .distribution import Distribution, broadcast_all, lazy_property


def _exactly_one(probs, logits):
    if (probs is None) == (logits is None):
        raise ArgumentValueError("Either `probs` or `logits` must be specified, but not both.")


def _clamped(probs):
    """Probabilities kept inside (0, 1), so that their logarithms are finite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


class Bernoulli(Distribution):
    """0 or 1: 1 with probability ``probs``, or with log-odds ``logits``.

    >>> import chainrule as torch
    >>> torch.distributions.Bernoulli(0.25).log_prob(torch.tensor(1.0)).exp()
    tensor(0.2500)
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.boolean
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args=None):
        _exactly_one(probs, logits)
        given = logits if probs is None else probs
        (param,) = broadcast_all(given)
        self.__dict__["logits" if probs is None else "probs"] = param
        batch_shape = () if isinstance(given, Number) else param.shape
        super().__init__(batch_shape, validate_args=validate_args)

    @lazy_property
    def logits(self):
        probs = _clamped(self.probs)
        return ops.log(probs) - ops.log1p(-probs)

    @lazy_property
    def probs(self):
        return ops.sigmoid(self.logits)

    @property
    def param_shape(self):
        return self._batch_shape

    @property
    def mean(self):
        return self.probs

    @property
    def mode(self):
        likely = (self.probs >= 0.5).to(self.probs.dtype)
        return ops.where(self.probs == 0.5, math.nan, likely)

    @property
    def variance(self):
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape=()):
        with no_grad():
            return ops.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        logits, value = broadcast_all(self.logits, value)
        return -ops.nn_functional.binary_cross_entropy_with_logits(logits, value, reduction="none")

    def entropy(self):
        return ops.nn_functional.binary_cross_entropy_with_logits(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand=True):
        return self._enumerate(ops.arange(2, dtype=self.probs.dtype), expand)


class Categorical(Distribution):
    """One of 0 … K-1, with probabilities ``probs`` (normalised for you) or unnormalised ``logits`` over the last dim.

    >>> import chainrule as torch
    >>> torch.distributions.Categorical(probs=torch.tensor([1.0, 3.0])).probs
    tensor([0.2500, 0.7500])
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args=None):
        _exactly_one(probs, logits)
        name, param = ("logits", logits) if probs is None else ("probs", probs)
        if param.dim() < 1:
            raise ArgumentValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is None:
            self.logits = logits - ops.logsumexp(logits, dim=-1, keepdim=True)
        else:
            self.probs = probs / probs.sum(-1, keepdim=True)
        self._num_events = param.shape[-1]
        super().__init__(param.shape[:-1], validate_args=validate_args)

    @property
    def support(self):
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self):
        return ops.log(_clamped(self.probs))

    @lazy_property
    def probs(self):
        return ops.softmax(self.logits, dim=-1)

    @property
    def param_shape(self):
        return self.probs.shape

    @property
    def mean(self):
        return ops.full(self._extended_shape(), math.nan, dtype=self.probs.dtype)

    @property
    def mode(self):
        return self.probs.argmax(dim=-1)

    @property
    def variance(self):
        return ops.full(self._extended_shape(), math.nan, dtype=self.probs.dtype)

    def sample(self, sample_shape=()):
        shape = self._extended_shape(sample_shape)
        with no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            return ops.multinomial(rows, math.prod(sample_shape), True).t().reshape(shape)

    def log_prob(self, value):
        if self._validate_args:
            self._validate_sample(value)
        value, log_pmf = ops.broadcast_tensors(value.long().unsqueeze(-1), self.logits)
        return log_pmf.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        logits = self.logits.clamp(min=finfo(self.logits.dtype).min)
        return -(logits * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        return self._enumerate(ops.arange(self._num_events), expand)
