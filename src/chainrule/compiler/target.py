"""Which machine code is generated for: the CPU's name, features and vector width."""

import os
from dataclasses import dataclass
from functools import cache

from ..errors import UnsupportedError


@cache
def llvm_binding():
    """The module ``llvmlite.binding``; raises UnsupportedError with what to install if it is absent."""
    try:
        import llvmlite.binding as binding
    except ImportError:
        raise UnsupportedError('chainrule.compile needs llvmlite: pip install "chainrule[compile]"') from None
    return binding


def llvmlite_version():
    """llvmlite's version and that of the LLVM in it, as one text."""
    binding = llvm_binding()
    import llvmlite

    return f"{llvmlite.__version__} llvm {'.'.join(map(str, binding.llvm_version_info))}"


@dataclass(frozen=True)
class Target:
    """A CPU as the code generators see it."""

    triple: str
    cpu: str
    features: str  # LLVM's text: "+avx2,+fma,-avx512f"
    vector_bytes: int  # 64: AVX-512; 32: AVX2; 16: SSE, NEON
    registers: int  # vector registers: 32 or 16
    fma: bool

    def lanes(self, itemsize):
        """How many elements of ``itemsize`` bytes one vector register holds."""
        return self.vector_bytes // itemsize


@cache
def host(level=None):
    """The machine this runs on; ``level`` ("avx512", "avx2", "sse2"; default: environment CHAINRULE_CPU, else all it
    has) forces fewer features."""
    llvm = llvm_binding()
    level = level or os.environ.get("CHAINRULE_CPU") or None
    has = llvm.get_host_cpu_features()
    triple, cpu = llvm.get_process_triple(), llvm.get_host_cpu_name()
    if not triple.startswith("x86_64"):
        return Target(triple, cpu, has.flatten(), 16, 32, True)
    levels = ["sse2", *(["avx2"] if has.get("avx2") and has.get("fma") else [])]
    if "avx2" in levels and all(has.get(f) for f in ("avx512f", "avx512vl", "avx512bw", "avx512dq")):
        levels.append("avx512")
    if level is None:
        level = levels[-1]
    if level not in levels:
        raise ValueError(f"CHAINRULE_CPU={level!r}: expected one of {levels} on this machine")
    if level == "avx512":
        return Target(triple, cpu, has.flatten(), 64, 32, True)
    if level == "avx2":
        off = ",".join("-" + f for f in sorted(has) if f.startswith("avx512") and has[f])
        return Target(triple, cpu, has.flatten() + ("," + off if off else ""), 32, 16, True)
    return Target(triple, "x86-64", "+sse2", 16, 16, False)
