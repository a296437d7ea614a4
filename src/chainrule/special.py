"""``torch.special``."""

from . import tensors
from .tensors.face import fill

fill(globals(), "special")
del tensors, fill
