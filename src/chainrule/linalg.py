"""``torch.linalg``."""

from . import tensors
from .tensors.face import fill

fill(globals(), "linalg")
del tensors, fill
