"""``torch.backends`` for programs that set or ask its switches; they change nothing here."""

from types import SimpleNamespace

from . import cudnn, mps

__all__ = ["cuda", "cudnn", "mkl", "mkldnn", "mps", "openmp"]


def _absent():
    return False


cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), is_built=_absent)
mkldnn = SimpleNamespace(is_available=_absent, enabled=False)
mkl = SimpleNamespace(is_available=_absent)
openmp = SimpleNamespace(is_available=_absent)
