"""The tables behind `Module`: parameters, buffers and submodules by name."""

from __future__ import annotations

import weakref
from typing import Any


class Members(dict):
    """One table of a module (`_parameters`, `_buffers` or `_modules`).

    Each entry is mirrored into the module's `__dict__`, so that `self.weight` in a hot `forward` is a plain
    attribute read instead of a failed look-up that falls through to `__getattr__` (15 times slower).
    The owner is held weakly: a module is freed when its last reference goes, without the cycle collector.
    """

    __slots__ = ("_owner",)

    def __init__(self, owner: Any, items: Any = ()) -> None:
        self._owner = weakref.ref(owner)
        self.update(items)

    def __setitem__(self, name: str, value: Any) -> None:
        dict.__setitem__(self, name, value)
        owner = self._owner()
        if owner is not None:
            owner.__dict__[name] = value

    def __delitem__(self, name: str) -> None:
        dict.__delitem__(self, name)
        owner = self._owner()
        if owner is not None:
            owner.__dict__.pop(name, None)

    def update(self, items: Any = (), /, **more: Any) -> None:
        for name, value in dict(items, **more).items():
            self[name] = value

    def setdefault(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self[name] = default
        return self[name]

    def pop(self, name: str, *default: Any) -> Any:
        if name not in self and default:
            return default[0]
        value = self[name]
        del self[name]
        return value

    def popitem(self) -> tuple[str, Any]:
        name = next(reversed(self))
        return name, self.pop(name)

    def clear(self) -> None:
        for name in list(self):
            del self[name]

    def __reduce__(self) -> tuple:
        # Copied and pickled as a plain dict; `Module.__setstate__` gives it to its new owner.
        return dict, (dict(self),)
