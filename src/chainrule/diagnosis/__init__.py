"""Watching a training: which layer is sick, why, and what to do. See ``chainrule.watch``.

``watch`` the session; ``plan``, ``measure`` and ``history`` what it sees and remembers; ``structure``, ``rules`` and
``non_finite`` what it concludes; ``recorder``, ``report``, ``page`` and ``tensorboard`` what it writes.
"""

from .finding import Finding
from .report import Report
from .run_file import Run
from .watch import Watch, watch

__all__ = ["Finding", "Report", "Run", "Watch", "watch"]
