"""Give ``Tensor`` the methods that the registry lists."""

from ..config import modes
from ..errors import DTypeError, GradientError
from ..handle import Tensor
from ..primitive import registry
from .dunders import fill_dunders
from .inplace import copy_, in_place, make_in_place

in_place_functions = {}


def _write(out, result):
    """``out=``: resize if needed, then store."""
    if modes.grad and (result._requires_grad or out._requires_grad):
        raise GradientError(
            "functions with out=... arguments don't support automatic differentiation, but one of the arguments "
            "requires grad. Use the returned tensor instead of out=, or call it inside torch.no_grad()."
        )
    if result.dtype.kind > out.dtype.kind:
        raise DTypeError(
            f"result type {result.dtype} can't be cast to the desired output type {out.dtype}; give out= a "
            "tensor of the result's dtype"
        )
    if out._data.shape != result._data.shape:
        out.resize_(result._data.shape)
    copy_(out, result)


def install():
    """Attach everything; called once, when the package is imported."""
    registry.writer = _write
    registry.in_place = in_place
    for entry in registry.functions:
        for name in (entry.name, *entry.aliases):
            if entry.method and name not in Tensor.__dict__:
                setattr(Tensor, name, entry.visible)
            if entry.inplace:
                changing = make_in_place(entry.function, name + "_")
                if name + "_" not in Tensor.__dict__:
                    setattr(Tensor, name + "_", changing)
                in_place_functions[entry.namespaces, name + "_"] = getattr(Tensor, name + "_")
    Tensor.copy_ = copy_
    fill_dunders()
