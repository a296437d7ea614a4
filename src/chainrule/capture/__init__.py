"""Capturing a function of tensors as one program, and running that program in its place."""

from .compiled import CompiledFunction, CompiledModule, compile
