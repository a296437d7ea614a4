"""The rules that are asked while a training runs, one file each; see ``base``. Their order is that of asking."""

from .bad_initialisation import BadInitialisation
from .bad_input import BadInput
from .bad_labels import BadLabels
from .dead_units import DeadUnits
from .exploding_gradient import ExplodingGradient
from .learning_rate_too_high import LearningRateTooHigh
from .learning_rate_too_low import LearningRateTooLow
from .output_range import OutputRange
from .saturated_units import SaturatedUnits
from .vanishing_gradient import VanishingGradient

RULES = [
    OutputRange(),
    BadInput(),
    BadLabels(),
    BadInitialisation(),
    LearningRateTooHigh(),
    ExplodingGradient(),
    VanishingGradient(),
    SaturatedUnits(),
    DeadUnits(),
    LearningRateTooLow(),
]

__all__ = ["RULES"]
