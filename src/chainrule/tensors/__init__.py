"""What makes the bare Tensor a PyTorch tensor."""

from ..handle import Tensor
from . import convert, display, dunders, fill, inplace, install, methods

install.install()

__all__ = ["Tensor", "convert", "display", "dunders", "fill", "inplace", "install", "methods"]
