"""One step of a recurrent network."""

from __future__ import annotations

import math
from typing import Any

from ... import ops
from ...errors import ArgumentValueError, ShapeError
from .. import functional as F
from .. import init
from ..recurrence import gru_step, lstm_step
from .module import Module
from .utils import new_parameter

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase"]


class RNNCellBase(Module):
    """The weights of a cell and the checks of its input and state."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        kind = {"device": device, "dtype": dtype}
        self.weight_ih = new_parameter(rows, input_size, **kind)
        self.weight_hh = new_parameter(rows, hidden_size, **kind)
        self.register_parameter("bias_ih", new_parameter(rows, **kind) if bias else None)
        self.register_parameter("bias_hh", new_parameter(rows, **kind) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights uniformly on ±1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _prepare(self, input: Any, state: tuple | None, names: tuple[str, ...]) -> tuple[Any, tuple, bool]:
        """Input and state with a batch dimension; zeros for a missing state."""
        name = type(self).__name__
        if input.dim() not in (1, 2):
            raise ArgumentValueError(f"{name}: Expected input to be 1D or 2D, got {input.dim()}D instead")
        if input.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: input has inconsistent input_size: got {input.shape[-1]} expected {self.input_size}"
            )
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if state is None:
            zeros = ops.zeros(x.shape[0], self.hidden_size, dtype=x.dtype)
            return x, (zeros,) * len(names), batched
        for s, what in zip(state, names, strict=True):
            if s.dim() not in (1, 2):
                raise ArgumentValueError(f"{name}: Expected {what} to be 1D or 2D, got {s.dim()}D instead")
        if not batched:
            state = tuple(s.unsqueeze(0) for s in state)
        for s, what in zip(state, names, strict=True):
            if tuple(s.shape) != (x.shape[0], self.hidden_size):
                raise ShapeError(
                    f"{name}: {what} has inconsistent size: got {list(s.shape)} expected "
                    f"{[x.shape[0], self.hidden_size]}"
                )
        return x, state, batched

    def _both(self, x: Any, h: Any) -> Any:
        """W_ih x + b_ih + W_hh h + b_hh."""
        return F.linear(x, self.weight_ih, self.bias_ih) + F.linear(h, self.weight_hh, self.bias_hh)


class RNNCell(RNNCellBase):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu: (N, input_size), (N, hidden_size) to (N, hidden_size).

    >>> import chainrule as torch
    >>> torch.nn.RNNCell(10, 20)(torch.randn(3, 10)).shape
    torch.Size([3, 20])
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Any = None) -> Any:
        if self.nonlinearity not in ("tanh", "relu"):
            raise ArgumentValueError(f"Unknown nonlinearity: {self.nonlinearity}")
        x, (h,), batched = self._prepare(input, None if hx is None else (hx,), ("hidden",))
        total = self._both(x, h)
        h = total.tanh() if self.nonlinearity == "tanh" else total.relu()
        return h if batched else h.squeeze(0)


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: (N, input_size) and a pair (h, c) to the next pair.

    >>> import chainrule as torch
    >>> h, c = torch.nn.LSTMCell(10, 20)(torch.randn(3, 10))
    >>> h.shape
    torch.Size([3, 20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> tuple[Any, Any]:
        x, (h, c), batched = self._prepare(input, None if hx is None else tuple(hx), ("hx[0]", "hx[1]"))
        h, c = lstm_step(self._both(x, h), c)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(RNNCellBase):
    """One step of `GRU`: (N, input_size), (N, hidden_size) to (N, hidden_size).

    >>> import chainrule as torch
    >>> torch.nn.GRUCell(10, 20)(torch.randn(3, 10)).shape
    torch.Size([3, 20])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Any, hx: Any = None) -> Any:
        x, (h,), batched = self._prepare(input, None if hx is None else (hx,), ("hidden",))
        from_input = F.linear(x, self.weight_ih, self.bias_ih)
        h = gru_step(from_input, F.linear(h, self.weight_hh, self.bias_hh), h)
        return h if batched else h.squeeze(0)
