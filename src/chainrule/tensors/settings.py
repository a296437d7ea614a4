"""Switches of the ``torch`` namespace that programs set at their top."""

from ..autograd.anomaly import set_detect_anomaly
from ..config import set_default_dtype
from ..devices import device as Device
from ..errors import ArgumentValueError

_state = {"deterministic": False, "precision": "highest", "threads": 1}


def use_deterministic_algorithms(mode, *, warn_only=False):
    """Accepted: results do not depend on chance here in any case."""
    _state["deterministic"] = bool(mode)


def are_deterministic_algorithms_enabled():
    return _state["deterministic"]


def set_float32_matmul_precision(precision):
    """Accepted ("highest", "high", "medium"): products are always computed in full float32."""
    if precision not in ("highest", "high", "medium"):
        raise ArgumentValueError(
            f"set_float32_matmul_precision: expected 'highest', 'high' or 'medium', got {precision!r}"
        )
    _state["precision"] = precision


def get_float32_matmul_precision():
    return _state["precision"]


def set_default_device(device):
    """Accepted for the CPU; anything else raises UnsupportedError."""
    if device is not None:
        Device(device)


def get_default_device():
    return Device("cpu")


def set_default_tensor_type(t):
    """PyTorch's old way to set the default dtype: a tensor type or its name."""
    name = t if isinstance(t, str) else getattr(t, "__name__", str(t))
    kinds = {"FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16"}
    kind = kinds.get(name.rpartition(".")[2])
    if kind is None:
        raise ArgumentValueError(
            f"set_default_tensor_type: expected a floating-point tensor type such as torch.DoubleTensor, got {name}"
        )
    set_default_dtype(kind)


def set_anomaly_enabled(mode, check_nan=True):
    """Switch anomaly mode; see ``autograd.detect_anomaly``."""
    set_detect_anomaly(mode, check_nan)


def get_num_interop_threads():
    return _state["threads"]


def set_num_interop_threads(n):
    _state["threads"] = int(n)
