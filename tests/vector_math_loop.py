"""One function of ``compiler.vector_math`` as a loop over arrays, compiled: what its tests and its benchmark call."""

import ctypes

import llvmlite.binding as llvm
import numpy as np

from chainrule.compiler import vector_math

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()
_LLVM = {"float32": "float", "float64": "double"}


def loop_text(name, dtype, lanes, target):
    """The module: the function's texts, and ``@loop(inputs..., output, n)``; n is a multiple of ``lanes``."""
    symbol, texts = vector_math.function(name, dtype, lanes, target)
    t, count = _LLVM[dtype], vector_math.names[name]
    v, size = t if lanes == 1 else f"<{lanes} x {t}>", np.dtype(dtype).itemsize
    loads = "\n".join(
        f"  %p{i} = getelementptr {t}, ptr %x{i}, i64 %i\n  %v{i} = load {v}, ptr %p{i}, align {size}"
        for i in range(count)
    )
    return "\n".join(texts.values()) + (
        f"\ndefine void @loop({', '.join(f'ptr noalias %x{i}' for i in range(count))}, ptr noalias %y, i64 %n) {{\n"
        f"entry:\n  br label %body\nbody:\n  %i = phi i64 [ 0, %entry ], [ %j, %body ]\n{loads}\n"
        f"  %r = call {v} {symbol}({', '.join(f'{v} %v{i}' for i in range(count))})\n"
        f"  %q = getelementptr {t}, ptr %y, i64 %i\n  store {v} %r, ptr %q, align {size}\n  %j = add i64 %i, {lanes}\n"
        "  %c = icmp ult i64 %j, %n\n  br i1 %c, label %body, label %done\ndone:\n  ret void\n}\n"
    )


def machine_and_module(text, target):
    """The target machine and the module after LLVM's usual passes."""
    module = llvm.parse_assembly(text)
    module.triple = target.triple
    module.verify()
    machine = llvm.Target.from_triple(target.triple).create_target_machine(
        cpu=target.cpu, features=target.features, opt=2
    )
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(module, builder)
    return machine, module


class Loop:
    """``Loop(name, dtype, target)(*arrays)`` applies the function to 1-d arrays of equal length."""

    def __init__(self, name, dtype, target, lanes=None):
        self.dtype = np.dtype(dtype)
        self.lanes = lanes or target.lanes(self.dtype.itemsize)
        machine, module = machine_and_module(loop_text(name, self.dtype.name, self.lanes, target), target)
        self._engine = llvm.create_mcjit_compiler(module, machine)
        self._engine.finalize_object()
        count = vector_math.names[name] + 1
        self.raw = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * count, ctypes.c_int64)(
            self._engine.get_function_address("loop")
        )

    def __call__(self, *arrays):
        n = arrays[0].size
        m = -(-n // self.lanes) * self.lanes
        padded = [np.ones(m, self.dtype) for _ in arrays]
        for p, a in zip(padded, arrays, strict=True):
            p[:n] = a
        y = np.empty(m, self.dtype)
        self.raw(*(p.ctypes.data for p in padded), y.ctypes.data, m)
        return y[:n]
