"""Probability distributions to sample from, to score values with and to differentiate through.

Names and semantics follow ``torch.distributions``. ``sample`` draws without a gradient; ``rsample``, where there is
one, draws so that the gradient reaches the parameters (the reparameterisation trick); ``log_prob`` is differentiable
in the value and in the parameters.

>>> import chainrule as torch
>>> from chainrule.distributions import Categorical, Normal, kl_divergence
>>> logits = torch.zeros(2, requires_grad=True)
>>> Categorical(logits=logits).log_prob(torch.tensor(1)).backward()
>>> logits.grad
tensor([-0.5000,  0.5000])
>>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0))
tensor(0.5000)
"""

from . import constraints
from .continuous import Exponential, Laplace, Normal, Uniform
from .discrete import Bernoulli, Categorical
from .distribution import Distribution
from .independent import Independent
from .kl import kl_divergence, register_kl

__all__ = [
    "Bernoulli",
    "Categorical",
    "Distribution",
    "Exponential",
    "Independent",
    "Laplace",
    "Normal",
    "Uniform",
    "constraints",
    "kl_divergence",
    "register_kl",
]
