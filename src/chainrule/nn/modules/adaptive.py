"""Softmax over very many classes, the rare ones in clusters (Grave et al. 2017)."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import ops
from ...errors import ArgumentValueError, ShapeError
from ...handle import Tensor
from .. import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """The log-probability of each row's target, and the mean loss.

    Classes are sorted by frequency and cut at `cutoffs`: the first part is in the head, each further part is a
    cluster with a smaller projection (in_features / div_value, / div_value², ...). Input (N, in_features) and
    target (N,), or both without N. Raises ArgumentValueError for cutoffs that are not increasing.

    >>> import chainrule as torch
    >>> layer = torch.nn.AdaptiveLogSoftmaxWithLoss(16, 100, cutoffs=[10, 50])
    >>> layer(torch.randn(3, 16), torch.tensor([1, 20, 99])).output.shape
    torch.Size([3])
    """

    def __init__(
        self,
        in_features: int,
        n_classes: int,
        cutoffs: Sequence[int],
        div_value: float = 4.0,
        head_bias: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ArgumentValueError("cutoffs should be a sequence of length larger than 0")
        if cutoffs != sorted({int(c) for c in cutoffs}) or cutoffs[0] <= 0 or cutoffs[-1] > n_classes - 1:
            raise ArgumentValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each "
                "value is between 1 and n_classes-1"
            )
        kind = {"device": device, "dtype": dtype}
        self.in_features = in_features
        self.n_classes = n_classes
        self.cutoffs = [*cutoffs, n_classes]
        self.div_value = div_value
        self.head_bias = head_bias
        self.shortlist_size = cutoffs[0]
        self.n_clusters = len(cutoffs)
        self.head_size = self.shortlist_size + self.n_clusters
        self.head = Linear(in_features, self.head_size, bias=head_bias, **kind)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // div_value ** (i + 1))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(Linear(in_features, hidden, bias=False, **kind), Linear(hidden, size, bias=False, **kind))
            )

    def reset_parameters(self) -> None:
        """Draw all weights anew."""
        for module in self.modules():
            if isinstance(module, Linear):
                module.reset_parameters()

    def forward(self, input_: Any, target_: Any) -> _ASMoutput:
        if target_.dim() > 1:
            raise ShapeError("0D or 1D target tensor expected, multi-target not supported")
        if input_.dim() != target_.dim() + 1:
            raise ShapeError(
                f"{target_.dim()}D target tensor expects {target_.dim() + 1}D input tensors, but found inputs with "
                f"size {input_.size()}"
            )
        batched = target_.dim() > 0
        x = input_ if batched else input_.unsqueeze(0)
        target = np.atleast_1d(target_._data)
        if len(x) != len(target):
            raise ShapeError("Input and target should have the same size in the batch dimension.")
        if target.size and (target.min() < 0 or target.max() >= self.n_classes):
            raise ShapeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{target.min()}, {target.max()}] were found. "
            )
        part = np.searchsorted(self.cutoffs, target, side="right")  # 0: in the head, i: in cluster i - 1
        in_head = np.where(part == 0, target, self.shortlist_size + part - 1)
        output = _pick(F.log_softmax(self.head(x), dim=1), in_head)
        for i in range(1, self.n_clusters + 1):
            rows = np.flatnonzero(part == i)
            if rows.size:
                index = Tensor._wrap(rows)
                found = F.log_softmax(self.tail[i - 1](x.index_select(0, index)), dim=1)
                output = output.index_add(0, index, _pick(found, target[rows] - self.cutoffs[i - 1]))
        loss = (-output).mean()
        return _ASMoutput(output if batched else output.squeeze(0), loss)

    def log_prob(self, input: Any) -> Any:
        """The log-probabilities of all classes: (N, in_features) to (N, n_classes)."""
        head = F.log_softmax(self.head(input), dim=1)
        parts = [head[:, : self.shortlist_size]]
        for i, layer in enumerate(self.tail):
            column = self.shortlist_size + i
            parts.append(F.log_softmax(layer(input), dim=1) + head[:, column : column + 1])
        return ops.cat(parts, 1)

    def predict(self, input: Any) -> Any:
        """The most probable class of each row, where the head is asked first, as PyTorch does."""
        best = self.head(input).argmax(dim=1)
        rare = best >= self.shortlist_size
        if not bool(rare.any()):
            return best
        return ops.where(rare, self.log_prob(input).argmax(dim=1), best)


def _pick(log_prob: Any, column: np.ndarray) -> Any:
    """One element of each row."""
    return log_prob.gather(1, Tensor._wrap(np.ascontiguousarray(column[:, None], np.int64))).squeeze(1)
