"""What the code generators hand on: native functions, and the tasks that call them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kernel:
    """One native function: a function of structure and shapes, never of its place, so equal kernels are compiled once.

    Every kernel has the signature ``void @name(ptr %args, i64 %begin, i64 %end, ptr %scratch)``: ``args`` points to
    an array of pointers to its operands, ``[begin, end)`` is the part of its ``chunks`` to do, ``scratch`` is memory
    of the calling thread, 64-byte aligned, at least ``scratch`` bytes. How a thread count splits the chunks never
    changes a bit of the result.
    """

    name: str  # the symbol; the same structure and shapes always give the same name and text
    text: str  # the definition as LLVM text, with private helper functions whose names start with ``name``
    operands: int  # how many pointers ``args`` has
    chunks: int = 1  # 1: runs on the calling thread alone
    scratch: int = 0  # bytes
    flops: int = 0
    bytes: int = 0  # read and written, each operand once
    needs: tuple = ()  # names of shared functions (vector_math) and ``declare`` lines that the text refers to
    title: str = ""  # for people: "add, tanh -> sum[1]"
    support: tuple = ()  # (symbol, definition) of shared functions the text calls, for whoever compiles it


@dataclass
class Task:
    """One call of a kernel in the schedule: which buffers stand for its operands."""

    kernel: Kernel
    buffers: tuple  # names of buffers (what the plan maps to memory), one per operand
    offsets: tuple = ()  # bytes added to each buffer's address; empty: all zero
