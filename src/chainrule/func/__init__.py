"""``torch.func``: functions that differentiate functions, or batch them; calling a module with other parameters."""

from ..nn.utils.stateless import functional_call, stack_module_state
from .jacobian import hessian, jacfwd, jacrev
from .transforms import grad, grad_and_value, jvp, linearize, value_and_grad, vjp
from .vmap import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "value_and_grad",
    "vjp",
    "vmap",
]
