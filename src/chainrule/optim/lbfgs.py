"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..config import enable_grad
from ..handle import Tensor
from .line_search import strong_wolfe
from .optimizer import Optimizer, to_scalar
from .options import check_lr, not_while_compiling


class LBFGS(Optimizer):
    """Limited-memory BFGS (Nocedal & Wright, Numerical Optimization, algorithm 7.5; after minFunc).

    One call of ``step`` makes up to ``max_iter`` iterations and needs a closure that clears the gradients, computes
    the loss, calls ``backward`` and returns the loss.

    Args:
        params: parameters, in one group.
        lr: step length (the line search's first try if there is one), a number or one-element tensor.
        max_iter: iterations per step.
        max_eval: evaluations of the closure per step (default ``max_iter * 1.25``).
        tolerance_grad: stop when the largest absolute gradient is at most this.
        tolerance_change: stop when the loss or the parameters change by less than this.
        history_size: number of remembered updates.
        line_search_fn: ``None`` or ``"strong_wolfe"``.

    Raises:
        ValueError: several parameter groups, or a negative learning rate.
        RuntimeError: another line search.

    >>> import chainrule as torch
    >>> w = torch.tensor([3.0, -1.0], requires_grad=True)
    >>> opt = torch.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     opt.zero_grad()
    ...     loss = ((w - torch.tensor([1.0, 2.0])) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> loss = opt.step(closure)
    >>> [round(x, 4) for x in w.tolist()]
    [1.0, 2.0]
    """

    def __init__(
        self,
        params: Any,
        lr: Any = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_lr(lr)
        if max_eval is None:
            max_eval = max_iter * 5 // 4
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @property
    def _params(self) -> list[Tensor]:
        return self.param_groups[0]["params"]

    def _gradient(self) -> np.ndarray:
        """All gradients as one new array; a missing gradient counts as zero."""
        parts = []
        for p in self._params:
            if p._grad is None:
                parts.append(np.zeros(p._data.size, p._data.dtype))
            elif getattr(p._grad, "is_sparse", False):
                raise RuntimeError("LBFGS does not support sparse gradients; make the layer with sparse=False")
            else:
                parts.append(p._grad._data.reshape(-1))
        return np.concatenate(parts)

    def _move(self, length: float, direction: np.ndarray) -> None:
        start = 0
        for p in self._params:
            data = p._data
            data += length * direction[start : start + data.size].reshape(data.shape)
            start += data.size
            p._bump()

    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Iterate; returns the closure's first result. ``closure`` is required and runs with gradients enabled."""
        not_while_compiling("LBFGS.step()", "its line search branches on values: leave the step outside")
        if closure is None:
            raise TypeError("LBFGS.step needs a closure that clears gradients, computes the loss and calls backward")
        group = self.param_groups[0]
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        def evaluate() -> Any:
            with enable_grad():
                return closure()

        first_loss = evaluate()
        loss, evaluations = float(first_loss), 1
        state["func_evals"] += 1
        gradient = self._gradient()
        if gradient.size == 0 or np.abs(gradient).max() <= group["tolerance_grad"]:
            return first_loss
        memory = _Memory(state)
        iteration = 0
        while iteration < group["max_iter"]:
            iteration += 1
            state["n_iter"] += 1
            if state["n_iter"] == 1 or memory.gradient is None:
                memory.restart(gradient)
                length = min(1.0, 1.0 / float(np.abs(gradient).sum())) * to_scalar(group["lr"])
            else:
                memory.update(gradient, group["history_size"])
                length = to_scalar(group["lr"])
            direction = memory.direction
            memory.gradient, memory.loss, memory.length = gradient.copy(), loss, length
            slope = float(gradient.dot(direction))
            # A direction that does not descend any more: converged.
            if slope > -group["tolerance_change"]:
                break
            used, small = 0, False
            if group["line_search_fn"] is not None:
                if group["line_search_fn"] != "strong_wolfe":
                    raise RuntimeError("only 'strong_wolfe' is supported")
                loss, gradient, length, used = self._search(
                    evaluate, length, direction, loss, gradient, slope, group["max_eval"] - evaluations
                )
                memory.length = length
                self._move(length, direction)
                small = np.abs(gradient).max() <= group["tolerance_grad"]
            else:
                self._move(length, direction)
                # After the last iteration nobody needs the new loss: the next step evaluates anyway.
                if iteration != group["max_iter"]:
                    loss = float(evaluate())
                    gradient = self._gradient()
                    small = np.abs(gradient).max() <= group["tolerance_grad"]
                    used = 1
            evaluations += used
            state["func_evals"] += used
            if iteration == group["max_iter"] or evaluations >= group["max_eval"] or small:
                break
            if np.abs(direction * length).max() <= group["tolerance_change"]:
                break
            if abs(loss - memory.loss) < group["tolerance_change"]:
                break
        memory.store(state, group["history_size"])
        return first_loss

    def _search(
        self,
        evaluate: Callable[[], Any],
        length: float,
        direction: np.ndarray,
        loss: float,
        gradient: np.ndarray,
        slope: float,
        budget: int,
    ) -> tuple[float, np.ndarray, float, int]:
        saved = [p._data.copy() for p in self._params]

        def at(t: float) -> tuple[float, np.ndarray]:
            self._move(t, direction)
            value = float(evaluate())
            found = self._gradient()
            for p, data in zip(self._params, saved, strict=True):
                p._data[...] = data
                p._bump()
            return value, found

        return strong_wolfe(at, length, direction, loss, gradient, slope, max_evaluations=budget)


class _Memory:
    """The remembered updates as arrays; ``store`` puts them into the optimizer's state as tensors."""

    def __init__(self, state: dict[str, Any]) -> None:
        def array(value: Any) -> Any:
            return value._data if isinstance(value, Tensor) else value

        self.direction = array(state.get("d"))
        self.length = to_scalar(state.get("t"))
        self.ys = [array(v) for v in state.get("old_dirs") or []]
        self.ss = [array(v) for v in state.get("old_stps") or []]
        self.ro = [array(v) for v in state.get("ro") or []]
        self.scale = array(state.get("H_diag"))
        self.gradient = array(state.get("prev_flat_grad"))
        self.loss = state.get("prev_loss")
        self.al: list[Any] | None = None

    def restart(self, gradient: np.ndarray) -> None:
        self.direction = -gradient
        self.ys, self.ss, self.ro, self.scale = [], [], [], 1

    def update(self, gradient: np.ndarray, size: int) -> None:
        """Remember the last step and find the next direction by the two-loop recursion."""
        y = gradient - self.gradient
        s = self.direction * self.length
        ys = y.dot(s)
        if ys > 1e-10:
            if len(self.ys) == size:
                self.ys.pop(0)
                self.ss.pop(0)
                self.ro.pop(0)
            self.ys.append(y)
            self.ss.append(s)
            self.ro.append(1.0 / ys)
            self.scale = ys / y.dot(y)
        count = len(self.ys)
        self.al = [None] * count
        q = -gradient
        for i in reversed(range(count)):
            self.al[i] = self.ss[i].dot(q) * self.ro[i]
            q -= self.al[i] * self.ys[i]
        q *= self.scale
        for i in range(count):
            q += (self.al[i] - self.ys[i].dot(q) * self.ro[i]) * self.ss[i]
        self.direction = q

    def store(self, state: dict[str, Any], size: int) -> None:
        def tensor(value: Any) -> Any:
            return Tensor._wrap(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value

        state["d"] = tensor(self.direction)
        state["t"] = self.length
        state["old_dirs"] = [tensor(v) for v in self.ys]
        state["old_stps"] = [tensor(v) for v in self.ss]
        state["ro"] = [tensor(v) for v in self.ro]
        state["H_diag"] = tensor(self.scale)
        state["prev_flat_grad"] = tensor(self.gradient)
        state["prev_loss"] = self.loss
        if self.al is not None:
            state["al"] = ([tensor(v) for v in self.al] + [None] * size)[:size]
