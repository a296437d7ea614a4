"""What makes the bare Tensor a PyTorch tensor."""

from . import display, methods
from ..handle import Tensor
