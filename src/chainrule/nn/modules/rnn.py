"""Recurrent networks over sequences: RNN, LSTM, GRU. The cells for one step are in `rnn_cell`."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

from ... import ops
from ...errors import ArgumentError, ArgumentValueError, ShapeError
from ...ops.refusal import needs_values
from .. import functional as F
from .. import init
from ..recurrence import run_layer
from ..utils.rnn import PackedSequence
from .module import Module
from .rnn_cell import GRUCell, LSTMCell, RNNCell, RNNCellBase
from .utils import new_parameter

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: their weights and the walk through layers and directions."""

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if mode not in _GATES:
            raise ArgumentValueError(f"Unrecognized RNN mode: {mode}")
        _check_arguments(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._all_weights: list[list[str]] = []
        gates, out_size = _GATES[mode] * hidden_size, proj_size or hidden_size
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            in_size = input_size if layer == 0 else out_size * directions
            shapes = {"weight_ih": (gates, in_size), "weight_hh": (gates, out_size)}
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[:directions]:
                names = {f"{name}_l{layer}{suffix}": shape for name, shape in shapes.items()}
                for name, shape in names.items():
                    setattr(self, name, new_parameter(*shape, device=device, dtype=dtype))
                self._all_weights.append(list(names))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights uniformly on ±1/sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing to do: it is about the layout of GPU memory in PyTorch."""

    @property
    def all_weights(self) -> list[list[Any]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self) -> list[Any]:
        return [weight for weights in self.all_weights for weight in weights]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        shown = {"proj_size": 0, "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
                 "bidirectional": False}  # fmt: skip
        for name, default in shown.items():
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)}"
        return text

    def _weights(self, index: int) -> list[Any]:
        """(w_ih, w_hh, b_ih, b_hh, w_hr) of one layer and direction, None for what it does not have."""
        names = self._all_weights[index]
        suffix = names[0][len("weight_ih") :]
        return [
            getattr(self, name + suffix) if name + suffix in names else None
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        ]

    def _run(self, x: Any, state: tuple, batch_sizes: list[int] | None) -> tuple[Any, tuple]:
        """All layers over `x`: (time, batch, features), or packed rows; `state` has one row per layer and direction."""
        directions = 2 if self.bidirectional else 1
        starts = list(zip(*(s.unbind(0) for s in state), strict=True))
        finals = []
        for layer in range(self.num_layers):
            found = []
            for d in range(directions):
                index = layer * directions + d
                outputs, final = run_layer(self.mode, x, starts[index], self._weights(index), batch_sizes, d == 1)
                found.append(outputs)
                finals.append(final)
            x = found[0] if directions == 1 else ops.cat(found, -1)
            if self.dropout and self.training and layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, True)
        return x, tuple(ops.stack(list(parts)) for parts in zip(*finals, strict=True))

    def forward(self, input: Any, hx: Any = None) -> Any:
        name = type(self).__name__
        packed = isinstance(input, PackedSequence)
        x = input.data if packed else input
        batched = packed or x.dim() == 3
        if not packed and x.dim() not in (2, 3):
            raise ArgumentValueError(f"{name}: Expected input to be 2D or 3D, got {x.dim()}D instead")
        self._check_input(x)
        if packed:
            needs_values(
                input.batch_sizes._data,
                f"{name} of a PackedSequence from outside",
                "how many sequences take part in each step",
                "Pack inside the compiled function with lengths that are Python ints, or pass the padded tensor",
            )
            sizes = input.batch_sizes.tolist()
            batch = sizes[0]
        else:
            sizes = None
            if not batched:
                x = x.unsqueeze(1)
            elif self.batch_first:
                x = x.transpose(0, 1)
            batch = x.shape[1]
            if x.shape[0] == 0:
                raise ShapeError(f"{name}: Expected sequence length to be larger than 0 in RNN")
        state = self._start(x, hx, batched, batch)
        if packed and hx is not None and input.sorted_indices is not None:
            state = tuple(s.index_select(1, input.sorted_indices) for s in state)
        out, state = self._run(x, state, sizes)
        if packed:
            out = PackedSequence(out, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
            if input.unsorted_indices is not None:
                state = tuple(s.index_select(1, input.unsorted_indices) for s in state)
        elif not batched:
            out = out.squeeze(1)
            state = tuple(s.squeeze(1) for s in state)
        elif self.batch_first:
            out = out.transpose(0, 1)
        return out, (state if self.mode == "LSTM" else state[0])

    def _check_input(self, x: Any) -> None:
        dtype = self._flat_weights[0].dtype
        if x.dtype != dtype:
            raise ArgumentValueError(
                f"RNN input dtype ({x.dtype}) does not match weight dtype ({dtype}). Convert input: input.to({dtype}), "
                f"or convert model: model.to({x.dtype})"
            )
        if x.shape[-1] != self.input_size:
            raise ShapeError(
                f"input.size(-1) must be equal to input_size. Expected {self.input_size}, got {x.shape[-1]}"
            )

    def _start(self, x: Any, hx: Any, batched: bool, batch: int) -> tuple:
        """The first state, checked; zeros if none is given."""
        rows = self.num_layers * (2 if self.bidirectional else 1)
        shapes = [(rows, batch, self.proj_size or self.hidden_size)]
        if self.mode == "LSTM":
            shapes.append((rows, batch, self.hidden_size))
        if hx is None:
            return tuple(ops.zeros(shape, dtype=x.dtype) for shape in shapes)
        state = tuple(hx) if self.mode == "LSTM" else (hx,)
        wanted = 3 if batched else 2
        if any(s.dim() != wanted for s in state):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            if self.mode == "LSTM":
                raise ShapeError(
                    f"For {kind} input, hx and cx should also be {wanted}-D but got "
                    f"({state[0].dim()}-D, {state[1].dim()}-D) tensors"
                )
            raise ShapeError(f"For {kind} input, hx should also be {wanted}-D but got {hx.dim()}-D tensor")
        if not batched:
            state = tuple(s.unsqueeze(1) for s in state)
        for i, (s, shape) in enumerate(zip(state, shapes, strict=True)):
            if tuple(s.shape) != shape:
                what = f"hidden[{i}]" if self.mode == "LSTM" else "hidden"
                raise ShapeError(f"Expected {what} size {shape}, got {list(s.shape)}")
        return state


class RNN(RNNBase):
    """A network whose hidden state feeds back: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu.

    Input (L, N, input_size), (N, L, input_size) with `batch_first`, (L, input_size), or a PackedSequence. Returns
    the outputs of the last layer at all times and the last hidden state (layers·directions, N, hidden_size).

    >>> import chainrule as torch
    >>> output, h = torch.nn.RNN(10, 20, 2)(torch.randn(5, 3, 10))
    >>> output.shape, h.shape
    (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **rejected: Any,
    ) -> None:
        _reject(rejected)
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, device=device, dtype=dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter & Schmidhuber 1997; with projections, Sak et al. 2014).

    Shapes as in `RNN`; the state is a pair (h, c), and h has `proj_size` features if that is given.

    >>> import chainrule as torch
    >>> output, (h, c) = torch.nn.LSTM(10, 20, batch_first=True)(torch.randn(3, 5, 10))
    >>> output.shape, c.shape
    (torch.Size([3, 5, 20]), torch.Size([1, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent unit (Cho et al. 2014). Shapes as in `RNN`.

    >>> import chainrule as torch
    >>> output, h = torch.nn.GRU(10, 20, bidirectional=True)(torch.randn(5, 3, 10))
    >>> output.shape, h.shape
    (torch.Size([5, 3, 40]), torch.Size([2, 3, 20]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **rejected: Any,
    ) -> None:
        _reject(rejected)
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device=device,
            dtype=dtype,
        )  # fmt: skip


def _reject(rejected: dict) -> None:
    if "proj_size" in rejected:
        raise ArgumentValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
    if rejected:
        raise ArgumentError(f"unexpected keyword argument {next(iter(rejected))!r}")


def _check_arguments(
    input_size: Any, hidden_size: Any, num_layers: Any, bias: Any, batch_first: Any, dropout: Any, proj_size: Any
) -> None:
    if not isinstance(dropout, numbers.Number) or not 0 <= dropout <= 1 or isinstance(dropout, bool):
        raise ArgumentValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects num_layers "
            f"greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )
    kinds = (("bias", bias, bool), ("batch_first", batch_first, bool), ("input_size", input_size, int),
             ("hidden_size", hidden_size, int))  # fmt: skip
    for name, value, kind in kinds:
        if not isinstance(value, kind):
            raise ArgumentError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if value <= 0:
            raise ArgumentValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ArgumentValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ArgumentValueError("proj_size has to be smaller than hidden_size")
