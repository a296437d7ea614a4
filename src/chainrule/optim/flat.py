"""How an update runs over many parameters without a Python loop per operation.

An optimiser gives one function ``update(p, g, *state, t, u)`` on equally long 1-d arrays: ``p`` and the state arrays
are changed in place, ``g`` is only read, ``t`` and ``u`` are scratch. This file decides which arrays it sees:

* a large contiguous parameter is updated where it lies, block by block, so that what one block touches stays in cache;
* small ones are packed: their values and gradients are gathered into one buffer, updated together, written back.
  Their state lives in one flat array for good, and the tensors in ``optimizer.state[p]`` are views of it.

The arrangement (a `Run`) is remembered between steps and checked at every step against the objects it was made from,
by identity. Whatever the user or ``load_state_dict`` exchanged, the next step notices and arranges anew, starting
from the values found in ``optimizer.state``: the state is always there, never here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, is_
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ..config import enable_grad, hold, switches, tracing
from ..handle import Tensor
from .optimizer import Optimizer, scalar_dtype

# Bytes of one array in one block. Smaller blocks cost more calls than they save in cache misses (measured).
BLOCK_BYTES = 1 << 19
# Parameters of up to this many bytes are packed; beyond it, gathering costs more than it saves.
PACK_BYTES = 1 << 15
# Packing fewer parameters than this does not pay.
PACK_MIN = 3
# After so many changes of the set of parameters that have a gradient, packing (which follows the set) is given up.
MAX_REARRANGEMENTS = 8

Update = Callable[..., None]
_data_of = attrgetter("_data")
_grad_of = attrgetter("_grad")


class Segment:
    """Parameters updated by one call: one large parameter, or a pack of small ones."""

    __slots__ = ("blocks", "contiguous", "datas", "flats", "fresh", "grads", "params", "scalars", "seen", "values")

    def __init__(
        self,
        params: list[Tensor],
        scalars: list[np.ndarray],
        buffers: list[np.ndarray],
        fresh: bool,
        scratch: tuple[np.ndarray, np.ndarray],
    ) -> None:
        self.params = params
        self.datas = [p._data for p in params]
        self.scalars = scalars
        self.fresh = fresh
        self.seen: list[bytes | None] = [None] * len(scalars)
        dtype, size = self.datas[0].dtype, sum(d.size for d in self.datas)
        inplace = len(params) == 1 and self.datas[0].flags.c_contiguous
        # Views for contiguous parameters; None where the order in memory differs and each step must copy.
        self.flats = [d.reshape(-1) if d.flags.c_contiguous else None for d in self.datas]
        self.contiguous = all(d.flags.c_contiguous for d in self.datas)
        if inplace:
            whole, self.grads, self.values = self.flats[0], None, None
        else:
            whole, self.grads = np.empty(size, dtype), np.empty(size, dtype)
            self.values = [whole]
            start = 0
            for d in self.datas:
                self.values.append(whole[start : start + d.size].reshape(d.shape))
                start += d.size
        t, u = scratch
        step = len(t)
        self.blocks: list[tuple] = []
        for a in range(0, size, step):
            b = min(a + step, size)
            g = self.grads[a:b] if self.grads is not None else None
            self.blocks.append((a, b, whole[a:b], g, (*(s[a:b] for s in buffers), t[: b - a], u[: b - a])))

    def read_scalars(self) -> tuple[float, ...] | None:
        """The counters all members share, or None if somebody made them differ."""
        for i, array in enumerate(self.scalars):
            if len(array) > 1 and array.tobytes() != self.seen[i] and (array != array[0]).any():
                return None
        return tuple([array.item(0) for array in self.scalars])

    def write_scalars(self, values: Sequence[float]) -> None:
        for i, (array, value) in enumerate(zip(self.scalars, values, strict=True)):
            array.fill(value)
            self.seen[i] = array.tobytes()

    def run(self, update: Update) -> None:
        if self.grads is None:
            g = self.params[0]._grad._data.reshape(-1)
            if len(self.blocks) == 1:
                _, _, p, _, rest = self.blocks[0]
                update(p, g, *rest)
            else:
                for a, b, p, _, rest in self.blocks:
                    update(p, g[a:b], *rest)
            return
        whole, *views = self.values
        flats = self.flats
        if not self.contiguous:
            flats = [d.ravel() if f is None else f for f, d in zip(flats, self.datas, strict=True)]
        np.concatenate(flats, out=whole)
        np.concatenate([g._data.reshape(-1) for g in map(_grad_of, self.params)], out=self.grads)
        for _, _, p, g, rest in self.blocks:
            update(p, g, *rest)
        for data, view in zip(self.datas, views, strict=True):
            data[...] = view


class Run:
    """The arrangement of one parameter group for one set of parameters that have gradients."""

    def __init__(self, optimizer: FlatOptimizer, group: dict[str, Any], params: list[Tensor], pack: bool) -> None:
        for p in params:
            _check_gradient(optimizer, p)
        self.params = params
        self.scalar_names = tuple(name for name, _ in optimizer._scalars(group))
        self.buffer_names = tuple(name for name, _ in optimizer._buffers(group))
        self.names = self.scalar_names + self.buffer_names
        fresh = [optimizer._complete_state(p, group) for p in params]
        self.fresh = any(fresh)
        parts = self._partition(optimizer, params, fresh, pack)
        scratch = _scratch([[params[i]._data for i in indices] for indices in parts])
        self.segments = [
            self._segment(optimizer, [params[i] for i in indices], fresh[indices[0]], scratch) for indices in parts
        ]
        self.datas = [p._data for p in params]
        self.states = [optimizer.state[p] for p in params] if self.names else []
        self.tensors = [state[name] for state in self.states for name in self.names]
        self.arrays = [t._data for t in self.tensors]

    def _partition(
        self, optimizer: FlatOptimizer, params: list[Tensor], fresh: list[bool], pack: bool
    ) -> list[list[int]]:
        """Indices of the parameters that go together: same dtype, same counters, small."""
        packs: dict[tuple, list[int]] = {}
        alone: list[list[int]] = []
        shared = _overlapping([p._data for p in params])
        for i, p in enumerate(params):
            if not pack or i in shared or p._data.nbytes > PACK_BYTES or p._data.size == 0:
                alone.append([i])
                continue
            state = optimizer.state[p] if self.names else {}
            counters = tuple(state[name]._data.item() for name in self.scalar_names)
            packs.setdefault((p._data.dtype, fresh[i], counters), []).append(i)
        for indices in packs.values():
            if len(indices) >= PACK_MIN:
                alone.append(indices)
            else:
                alone.extend([i] for i in indices)
        return [indices for indices in alone if params[indices[0]]._data.size]

    def _segment(
        self,
        optimizer: FlatOptimizer,
        params: list[Tensor],
        fresh: bool,
        scratch: dict[np.dtype, tuple[np.ndarray, np.ndarray]],
    ) -> Segment:
        states = [optimizer.state[p] if self.names else {} for p in params]
        scalars = []
        for name in self.scalar_names:
            olds = [state[name]._data for state in states]
            dtype = olds[0].dtype if olds[0].dtype.kind == "f" else scalar_dtype()
            array = np.array([float(old.item()) for old in olds], dtype=dtype)
            for i, state in enumerate(states):
                state[name] = Tensor._wrap(array[i : i + 1].reshape(()))
            scalars.append(array)
        buffers = []
        dtype, size = params[0]._data.dtype, sum(p._data.size for p in params)
        for name in self.buffer_names:
            old = states[0][name]._data
            if len(params) == 1 and old.dtype == dtype and old.flags.c_contiguous and old.flags.writeable:
                buffers.append(old.reshape(-1))
                continue
            flat = np.empty(size, dtype)
            start = 0
            for p, state in zip(params, states, strict=True):
                view = flat[start : start + p._data.size].reshape(p._data.shape)
                view[...] = state[name]._data
                state[name] = Tensor._wrap(view)
                start += p._data.size
            buffers.append(flat)
        return Segment(params, scalars, buffers, fresh, scratch[dtype])

    def fits(self, optimizer: FlatOptimizer, group: dict[str, Any], params: list[Tensor]) -> bool:
        """Is everything this was made from still in place?"""
        names = optimizer._state_names(group)
        if names != self.names or len(params) != len(self.params):
            return False
        if not (all(map(is_, params, self.params)) and all(map(is_, map(_data_of, params), self.datas))):
            return False
        if not names:
            return True
        if not all(map(is_, map(optimizer.state.get, params), self.states)):
            return False
        now = [state.get(name) for state in self.states for name in names]
        return all(map(is_, now, self.tensors)) and all(map(is_, map(_data_of, now), self.arrays))

    def step(self, optimizer: FlatOptimizer, group: dict[str, Any]) -> bool:
        """Update every parameter; False (before anything was changed) if a pack's counters came apart."""
        if not self.scalar_names and not self.fresh:
            update, _ = optimizer._rule(group, False)
            for segment in self.segments:
                segment.run(update)
        elif not self._step_counting(optimizer, group):
            return False
        for p in self.params:
            p._bump()
        return True

    def _step_counting(self, optimizer: FlatOptimizer, group: dict[str, Any]) -> bool:
        scalars = [segment.read_scalars() for segment in self.segments]
        if None in scalars:
            return False
        rules: dict[tuple, tuple[Update, Sequence[float]]] = {}
        for segment, values in zip(self.segments, scalars, strict=True):
            key = (values, segment.fresh)
            rule = rules.get(key)
            if rule is None:
                rule = rules[key] = optimizer._rule(group, segment.fresh, *values)
            update, new = rule
            segment.run(update)
            if new:
                segment.write_scalars(new)
            segment.fresh = False
        self.fresh = False
        return True


class FlatOptimizer(Optimizer):
    """Base of the optimisers whose update is element by element. A subclass gives `_scalars`, `_buffers`, `_rule`."""

    _runs: dict[int, tuple[Run, int]]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        self._runs = {}
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._runs = {}
        super().__setstate__(state)
        # A group saved by an older version may lack an option.
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        if param_group.get("differentiable"):
            self.param_groups.pop()
            raise NotImplementedError(
                f"{type(self).__name__}: differentiable=True is not supported, steps are not recorded by autograd. "
                "Leave it False, or write the update with tensor operations and take gradients through those."
            )

    def _scalars(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        """Names and first values of the counters kept per parameter."""
        return (("step", 0.0),)

    def _buffers(self, group: dict[str, Any]) -> Sequence[tuple[str, float]]:
        """Names and first values of the state arrays shaped like the parameter."""
        return ()

    def _rule(self, group: dict[str, Any], fresh: bool, *scalars: float) -> tuple[Update, Sequence[float]]:
        """The update for one step, given the counters, and the counters' new values.

        ``fresh``: these parameters had no state before this step.
        """
        raise NotImplementedError

    def _state_names(self, group: dict[str, Any]) -> tuple[str, ...]:
        return tuple([name for name, _ in (*self._scalars(group), *self._buffers(group))])

    def _complete_state(self, p: Tensor, group: dict[str, Any]) -> bool:
        """Make sure that every state entry of ``p`` is a tensor of the right shape; True if it had none."""
        if not self._state_names(group):
            return False
        state = self.state[p]
        fresh = all(state.get(name) is None for name in self._state_names(group))
        for name, value in self._scalars(group):
            old = state.get(name)
            if not isinstance(old, Tensor):
                state[name] = Tensor._wrap(np.array(value if old is None else float(old), scalar_dtype()))
        for name, value in self._buffers(group):
            if state.get(name) is None:
                state[name] = Tensor._wrap(np.full(p._data.shape, value, p._data.dtype.type))
            elif state[name]._data.shape != p._data.shape:
                raise ValueError(
                    f"{type(self).__name__}: state {name!r} has shape {tuple(state[name]._data.shape)}, but its "
                    f"parameter has shape {tuple(p._data.shape)}. The state was loaded from another model, or the "
                    "parameter was replaced; make a new optimizer or load the matching state."
                )
        return fresh

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step with the gradients at hand; parameters whose ``grad`` is None are left alone.

        ``closure``, if given, recomputes the loss, is called first with gradients enabled, and its result is returned.
        """
        loss = None
        if switches.tracer is not None:
            if tracing() is not None:
                return switches.tracer.optimizer_step(self, closure)
            for group in self.param_groups:
                hold(group["params"])
        if closure is not None:
            with enable_grad():
                loss = closure()
        for index, group in enumerate(self.param_groups):
            params = [p for p in group["params"] if p._grad is not None]
            run, changes = self._runs.get(index, (None, 0))
            if run is None or not run.fits(self, group, params):
                if not params:
                    continue
                if len({id(p) for p in params}) != len(params):
                    # A parameter listed twice is updated twice, one after the other.
                    for p in params:
                        Run(self, group, [p], pack=False).step(self, group)
                    continue
                if run is not None:
                    changes += 1
                run = Run(self, group, params, pack=changes <= MAX_REARRANGEMENTS)
                self._runs[index] = (run, changes)
            if not run.step(self, group):
                run = Run(self, group, params, pack=changes <= MAX_REARRANGEMENTS)
                self._runs[index] = (run, changes + 1)
                run.step(self, group)
        return loss


def _scratch(parts: list[list[np.ndarray]]) -> dict[np.dtype, tuple[np.ndarray, np.ndarray]]:
    """For each dtype two arrays of one block, which all segments use in turn."""
    longest: dict[np.dtype, int] = {}
    for arrays in parts:
        dtype, size = arrays[0].dtype, sum(a.size for a in arrays)
        longest[dtype] = max(longest.get(dtype, 1), min(size, max(1, BLOCK_BYTES // dtype.itemsize)))
    return {dtype: (np.empty(size, dtype), np.empty(size, dtype)) for dtype, size in longest.items()}


def _overlapping(arrays: list[np.ndarray]) -> set[int]:
    """Indices of arrays that (may) share memory: they must be updated one after the other, each from the last value."""
    bounds = sorted((*byte_bounds(a), i) for i, a in enumerate(arrays) if a.size)
    found: set[int] = set()
    last_end, last = 0, -1
    for start, end, i in bounds:
        if start < last_end:
            found |= {i, last}
        if end > last_end:
            last_end, last = end, i
    return found


def _check_gradient(optimizer: Optimizer, p: Tensor) -> None:
    grad, name = p._grad, type(optimizer).__name__
    if getattr(grad, "is_sparse", False):
        raise RuntimeError(f"{name} does not support sparse gradients; make the layer with sparse=False")
    data = p._data
    if data.dtype.kind in "biu":
        raise RuntimeError(f"{name}: a parameter has the integer dtype {data.dtype}; parameters must be floating point")
    if data.dtype.kind == "c":
        raise NotImplementedError(f"{name}: complex parameters are not supported; use real and imaginary parts")
    if not data.flags.writeable:
        raise RuntimeError(f"{name}: a parameter lives in read-only memory and cannot be updated; make it from a copy")
    if data.size and any(stride == 0 and length > 1 for stride, length in zip(data.strides, data.shape, strict=True)):
        raise RuntimeError(f"{name}: a parameter is an expanded view, its elements share memory; use p.clone()")
    if grad._data.shape != data.shape:
        raise RuntimeError(
            f"{name}: a parameter of shape {tuple(data.shape)} has a gradient of shape {tuple(grad._data.shape)}; "
            "set p.grad to a tensor of the parameter's shape"
        )
