"""``torch.backends`` for programs that set or ask its switches; they change nothing here."""

from types import SimpleNamespace


def _absent():
    return False


cudnn = SimpleNamespace(
    deterministic=False, benchmark=False, enabled=False, allow_tf32=False, is_available=_absent, version=lambda: None
)
cuda = SimpleNamespace(matmul=SimpleNamespace(allow_tf32=False), is_built=_absent)
mps = SimpleNamespace(is_available=_absent, is_built=_absent)
mkldnn = SimpleNamespace(is_available=_absent, enabled=False)
mkl = SimpleNamespace(is_available=_absent)
openmp = SimpleNamespace(is_available=_absent)
