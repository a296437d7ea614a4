"""Watching a training: which layer is sick, why, and what to do. See ``chainrule.watch``."""

from .finding import Finding
from .watch import Watch, watch

__all__ = ["Finding", "Watch", "watch"]
