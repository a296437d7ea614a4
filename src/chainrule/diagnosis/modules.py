"""Which module made which node: the calls of modules are noted while somebody wants to know, by node numbers."""

from __future__ import annotations

from typing import Any

from ..config import modes
from ..handle import Tensor
from ..nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from ..node import next_seq

_LIMIT = 20000  # calls that are kept


class ModuleCalls:
    """Notes module calls between ``open()`` and ``close()`` as intervals of node numbers.

    names: ``{id(module): path}``; calls of other modules are not noted.
    """

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.handles: list[Any] = []
        self.stack: list[tuple[int, int, str]] = []
        self.calls: list[tuple[int, int, str]] = []  # (first number, last number, path), inner calls before outer ones
        self.called: set[str] = set()
        self.cut: set[str] = set()  # modules whose output needed no gradient although recording was on

    def open(self) -> None:
        if not self.handles:
            self.handles = [
                register_module_forward_pre_hook(self._enter),
                register_module_forward_hook(self._leave, always_call=True),
            ]

    def close(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []
        self.stack = []

    def _enter(self, module: Any, args: Any) -> None:
        path = self.names.get(id(module))
        if path is not None and modes.grad:
            self.stack.append((id(module), next_seq(), path))

    def _leave(self, module: Any, args: Any, output: Any) -> None:
        path = self.names.get(id(module))
        if path is None:
            return
        while self.stack:
            key, first, _ = self.stack.pop()
            if key == id(module):
                if len(self.calls) < _LIMIT:
                    self.calls.append((first, next_seq(), path))
                self.called.add(path)
                if isinstance(output, Tensor) and not output._requires_grad:
                    self.cut.add(path)
                return

    def path_of(self, nodes: list) -> list[str | None]:
        """Per node (in the order of their numbers) the path of the innermost module it was made in."""
        found: list[str | None] = [None] * len(nodes)
        calls = sorted(self.calls)
        stack: list[tuple[int, str]] = []
        k = 0
        for i, node in enumerate(nodes):
            seq = node.seq
            while k < len(calls) and calls[k][0] < seq:
                stack.append((calls[k][1], calls[k][2]))
                k += 1
            while stack and stack[-1][0] < seq:
                stack.pop()
            if stack:
                found[i] = stack[-1][1]
        return found
