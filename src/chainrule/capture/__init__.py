"""Capturing a function of tensors as one program, and running that program in its place."""

from .api import CompiledModule, compile
from .compiled import CompiledFunction
