"""``torch.func``: functions that differentiate functions."""

from .jacobian import hessian, jacfwd, jacrev
from .transforms import grad, grad_and_value, jvp, linearize, value_and_grad, vjp
from .vmap import vmap

__all__ = ["grad", "grad_and_value", "hessian", "jacfwd", "jacrev", "jvp", "linearize", "value_and_grad", "vjp", "vmap"]
