"""Rules for operators whose eager kernels ask for values, or are written for what pays on arrays: see lowering.py."""

from . import convolution, linear_algebra, losses, moving, normalization, pooling
