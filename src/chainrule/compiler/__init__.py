"""The compiler: core instructions, passes, LLVM text and the native runtime. It knows operators, not tensors."""
