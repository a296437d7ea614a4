"""The rules that are asked while a training runs, one file each; see ``base``."""

from .exploding_gradient import ExplodingGradient
from .learning_rate_too_high import LearningRateTooHigh
from .vanishing_gradient import VanishingGradient

RULES = [LearningRateTooHigh(), ExplodingGradient(), VanishingGradient()]

__all__ = ["RULES"]
