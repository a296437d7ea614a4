"""Batches that look like one sample: what ``vmap`` computes on."""

from .array import BatchedArray, sizes_of
from .crossing import enter_batch, exit_batch, lift_batch
from .levels import lift_all, open_batch

__all__ = ["BatchedArray", "enter_batch", "exit_batch", "lift_all", "lift_batch", "open_batch", "sizes_of"]
