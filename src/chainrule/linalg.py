"""``torch.linalg``."""

from . import tensors
from .errors import LinAlgError  # noqa: F401
from .tensors.face import fill

fill(globals(), "linalg")
del tensors, fill
