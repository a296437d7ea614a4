"""The families of operators, and how a call is bound and recorded."""

from .base import Primitive, PrimitiveNode, primitive
from .families import bilinear, kept_shape, linear, reduction
from .pointwise import Pointwise, pointwise
from .registry import functions, primitives, public, raw, recorded
from .single import single

__all__ = [
    "Pointwise",
    "Primitive",
    "PrimitiveNode",
    "bilinear",
    "functions",
    "kept_shape",
    "linear",
    "pointwise",
    "primitive",
    "primitives",
    "public",
    "raw",
    "recorded",
    "reduction",
    "single",
]
