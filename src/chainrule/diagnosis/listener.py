"""A watch's ear in compiled functions: it has tapes made, and tells the observer what their rows say."""

from __future__ import annotations

import weakref
from typing import Any

from ..config import switches
from .rows import Tape
from .tape import Step, Writer


class Listener:
    """See capture/levels.py for the interface."""

    def __init__(self, observer: Any) -> None:
        self.observer = observer
        self.seen: weakref.WeakSet = weakref.WeakSet()
        self.levels: weakref.WeakSet = weakref.WeakSet()
        self.writer: Writer | None = None
        self.busy = self.names = False
        self.heard = False  # whether there ever was a compiled function
        self.in_order = False  # rows are taken in at every call

    def add(self, levels: Any) -> None:
        self.levels.add(levels)
        self.heard = True

    def open(self) -> None:
        switches.listeners = (*switches.listeners, self)
        switches.structure += 1

    def close(self) -> None:
        self.flush()
        for levels in list(self.levels):
            for tape in levels.tapes:
                tape.ends()
        switches.listeners = tuple([who for who in switches.listeners if who is not self])
        switches.structure += 1

    def flush(self) -> None:
        """Take in all rows that there are."""
        if self.busy:
            return
        for levels in list(self.levels):
            levels.hand_over()

    def captures(self, what: str, *args: Any) -> bool:
        """Something happens to the observer: is it on symbols, and taken down here?"""
        if switches.tracer is None:
            if self.levels:
                self.flush()
            return False
        writer, o = self.writer, self.observer
        if writer is not None and "compiled" not in o.broken:
            try:
                if what == "saw_graph":
                    args = (*args, o._plan(args[1]))
                getattr(writer, what)(*args)
            except Exception:
                o._broke("compiled")
        return True

    # ---- what compiled functions call

    def first_sight(self, function: Any) -> bool:
        """The first call of every function runs as it is: what a graph alone tells is seen in full."""
        if function in self.seen:
            return self.observer.lookout is not None
        self.seen.add(function)
        return True

    def begin(self, tracer: Any) -> None:
        self.writer = Writer(tracer, self.observer.scene)
        self.observer._arm()
        self.names = not self.observer.calls.handles  # nobody else wants to know which module makes what
        self.observer.calls.open()

    def end(self) -> Tape | None:
        writer, self.writer = self.writer, None
        if self.names:
            self.observer.calls.close()
        if writer is None:
            return None
        own = self.observer.scene.ids
        writer.events = [
            e for e in writer.events if isinstance(e, Step) or e.plan is None or not e.plan.leaf_ids.isdisjoint(own)
        ]
        writer.close()
        return Tape(self, writer) if writer.events and "compiled" not in self.observer.broken else None
