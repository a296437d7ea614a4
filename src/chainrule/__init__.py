"""chainrule: automatic differentiation with the computational graph in plain sight.

>>> import chainrule as torch
>>> x = torch.tensor([2.0], requires_grad=True)
>>> y = x * x
>>> y.backward()
>>> x.grad
tensor([4.])
"""

import importlib

from . import accelerator, autograd, backends, cuda, errors, linalg, random, special
from .config import (
    enable_grad,
    get_default_dtype,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_default_dtype,
    set_grad_enabled,
)
from .devices import Size, channels_last, contiguous_format, device, layout, memory_format, preserve_format, strided
from .dtypes import (
    bfloat16,
    bool,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .ops.random import Generator, default_generator, get_rng_state, initial_seed, manual_seed, seed, set_rng_state
from .primitive.promote import result_type
from .tensors import Tensor
from .tensors.convert import from_dlpack
from .tensors.face import (
    BoolTensor,
    ByteTensor,
    CharTensor,
    DoubleTensor,
    FloatTensor,
    HalfTensor,
    IntTensor,
    LongTensor,
    ShortTensor,
    can_cast,
    detach,
    e,
    fill_torch,
    finfo,
    get_num_threads,
    iinfo,
    inf,
    is_complex,
    is_floating_point,
    is_inference,
    is_nonzero,
    is_same_size,
    is_signed,
    is_storage,
    is_tensor,
    nan,
    newaxis,
    numel,
    pi,
    set_num_threads,
    typename,
)
from .tensors.format import get_printoptions, set_printoptions
from .tensors.settings import (
    are_deterministic_algorithms_enabled,
    get_default_device,
    get_float32_matmul_precision,
    get_num_interop_threads,
    set_anomaly_enabled,
    set_default_device,
    set_default_tensor_type,
    set_float32_matmul_precision,
    set_num_interop_threads,
    use_deterministic_algorithms,
)

__version__ = "0.1.0"

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64

fill_torch(globals())

# Imported when first used, so that `import chainrule` stays light.
_LAZY = {
    "nn": ".nn",
    "optim": ".optim",
    "utils": ".utils",
    "func": ".func",
    "distributions": ".distributions",
    "vmap": ".func",
    "graph": ".graphs",
    "graphs": ".graphs",
    "compile": ".capture",
    "save": ".interop.serialization",
    "load": ".interop.serialization",
    "watch": ".diagnosis.watch",
    "diagnosis": ".diagnosis",
}

# Names of PyTorch that are missing on purpose, with what to do instead.
_ADVICE = {
    "complex32 complex64 complex128 chalf cfloat cdouble view_as_real view_as_complex fft stft istft": (
        "complex numbers are not supported; keep real and imaginary parts in two tensors"
    ),
    "sparse sparse_coo_tensor sparse_csr_tensor": "sparse tensors are not supported; use dense ones",
    "amp autocast GradScaler": "automatic mixed precision is not supported; leave it out on the CPU",
    "jit fx export": "TorchScript and FX are not supported; call the Python function itself",
    "distributed multiprocessing": "training in several processes is not supported; DataLoader has workers",
}
_MISSING = {name: advice for names, advice in _ADVICE.items() for name in names.split()}


def __getattr__(name):
    where = _LAZY.get(name)
    if where is None:
        if name in _MISSING:
            raise errors.MissingError(f"torch.{name}: {_MISSING[name]}")
        raise AttributeError(f"module 'chainrule' has no attribute {name!r}")
    module = importlib.import_module(where, __name__)
    value = module if where == "." + name else getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_LAZY})
