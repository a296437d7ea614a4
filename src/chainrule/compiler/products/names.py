"""Symbols of kernels."""

from hashlib import blake2b


def name_of(stem, key):
    """A symbol that depends on structure and shape only."""
    return f"{stem}_{blake2b(repr(key).encode(), digest_size=8).hexdigest()}"
