"""What registering a hook returns."""

from ..node import RemovableHandle

__all__ = ["RemovableHandle"]
