"""``torch.autograd``: the backward pass and what surrounds it."""

from ..config import enable_grad, inference_mode, no_grad, set_grad_enabled
from .backward import backward, grad

__all__ = ["backward", "enable_grad", "grad", "inference_mode", "no_grad", "set_grad_enabled"]
