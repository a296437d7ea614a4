"""The Kullback-Leibler divergence in closed form, one formula per pair of distributions."""

import math

from .. import ops
from ..errors import ArgumentError, UnsupportedError
from .continuous import Exponential, Laplace, Normal, Uniform
from .discrete import Bernoulli, Categorical
from .distribution import Distribution
from .independent import Independent

_formulas = {}


def register_kl(type_p, type_q):
    """Decorator: registers a function of (p, q) as the divergence of this pair of classes and their subclasses.

    Raises ArgumentError for a type that is not a Distribution.
    """
    for name, kind in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(kind, type) and issubclass(kind, Distribution)):
            raise ArgumentError(f"Expected {name} to be a Distribution subclass but got {kind}")

    def register(formula):
        _formulas[type_p, type_q] = formula
        return formula

    return register


def kl_divergence(p, q):
    """The expectation under ``p`` of ``log p(x) - log q(x)``, of shape ``batch_shape``.

    Raises UnsupportedError where no formula is registered.

    >>> import chainrule as torch
    >>> from chainrule.distributions import Bernoulli, kl_divergence
    >>> kl_divergence(Bernoulli(0.5), Bernoulli(0.25))
    tensor(0.1438)
    """
    # the nearest registered classes, those of p first
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            if (kind_p, kind_q) in _formulas:
                return _formulas[kind_p, kind_q](p, q)
    raise UnsupportedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}; "
        "estimate it as (p.log_prob(x) - q.log_prob(x)).mean() over samples x of p, or add it with register_kl"
    )


def _softplus_gap(p, q, sign):
    """log of q's over p's probability of 1 (sign -1) or 0 (sign 1), negated."""
    softplus = ops.nn_functional.softplus
    return softplus(sign * q.logits) - softplus(sign * p.logits)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli_bernoulli(p, q):
    ones = ops.where(q.probs == 0, math.inf, p.probs * _softplus_gap(p, q, -1))
    zeros = ops.where(q.probs == 1, math.inf, (1 - p.probs) * _softplus_gap(p, q, 1))
    return ops.where(p.probs == 0, 0.0, ones) + ops.where(p.probs == 1, 0.0, zeros)


@register_kl(Categorical, Categorical)
def _categorical_categorical(p, q):
    terms = p.probs * (p.logits - q.logits)
    terms = ops.where(q.probs == 0, math.inf, terms)
    return ops.where(p.probs == 0, 0.0, terms).sum(-1)


@register_kl(Normal, Normal)
def _normal_normal(p, q):
    variance_ratio = (p.scale / q.scale).pow(2)
    deviation = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (variance_ratio + deviation - 1 - variance_ratio.log())


@register_kl(Laplace, Laplace)
def _laplace_laplace(p, q):
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * ops.exp(-distance / p.scale) - 1


@register_kl(Exponential, Exponential)
def _exponential_exponential(p, q):
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Uniform, Uniform)
def _uniform_uniform(p, q):
    result = ops.log((q.high - q.low) / (p.high - p.low))
    return ops.where((q.low > p.low) | (q.high < p.high), math.inf, result)


@register_kl(Uniform, Normal)
def _uniform_normal(p, q):
    width = p.high - p.low
    # the mean square of (x - loc) over the interval: variance plus squared bias
    spread = width.pow(2) / 12 + ((p.high + p.low - 2 * q.loc) / 2).pow(2)
    return 0.5 * (math.log(2 * math.pi) + spread / q.scale.pow(2)) + ops.log(q.scale / width)


@register_kl(Independent, Independent)
def _independent_independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise UnsupportedError(
            "kl_divergence of two Independent distributions expects the same reinterpreted_batch_ndims, "
            f"got {p.reinterpreted_batch_ndims} and {q.reinterpreted_batch_ndims}"
        )
    return p._sum(kl_divergence(p.base_dist, q.base_dist))
