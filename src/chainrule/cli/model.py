"""A trained model: what turns a table into numbers, the network, and what turns its outputs into answers."""

from dataclasses import dataclass

import numpy as np

from chainrule import nn

from .preprocess import Preprocessor
from .table import Table
from .target import Target
from .training import forward

__all__ = ["Model"]


@dataclass(frozen=True)
class Model:
    """Everything that `predict` needs, and all that a model file holds."""

    preprocessor: Preprocessor
    target: Target
    hidden: tuple[int, ...]
    network: nn.Sequential

    @property
    def widths(self) -> tuple[int, ...]:
        """The network's layers by their widths, input and output included."""
        return (self.preprocessor.width, *self.hidden, self.target.width)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """Preprocessed rows to probabilities of shape (rows, classes), or to values of shape (rows,)."""
        out = forward(self.network, x).astype(np.float64)
        if self.target.classes is None:
            return out[:, 0] * self.target.std + self.target.mean
        out = np.exp(out - out.max(1, keepdims=True))
        return out / out.sum(1, keepdims=True)

    def answers(self, outputs: np.ndarray) -> np.ndarray:
        """Outputs to class numbers or values."""
        return outputs if self.target.classes is None else outputs.argmax(1)

    def predict(self, table: Table) -> np.ndarray:
        """The outputs for a table that has this model's columns.

        Raises:
            InputError: a column is missing, or text where numbers belong.
        """
        return self.outputs(self.preprocessor.transform(table))
