"""How good predictions are, in one figure per task."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Score", "score"]


@dataclass(frozen=True)
class Score:
    """Accuracy for classes (higher is better), root mean square error and R² for numbers (lower error is better)."""

    rows: int
    accuracy: float | None = None
    rmse: float | None = None
    r2: float | None = None

    def beats(self, other: "Score") -> bool:
        """True if this score is the better one of two for the same rows."""
        if self.accuracy is not None and other.accuracy is not None:
            return self.accuracy > other.accuracy
        assert self.rmse is not None and other.rmse is not None
        return self.rmse < other.rmse

    def __str__(self) -> str:
        if self.accuracy is not None:
            return f"{100 * self.accuracy:.1f} % ({round(self.accuracy * self.rows)} of {self.rows})"
        r2 = "" if self.r2 is None else f"  R² {round(self.r2, 3) + 0.0:.3f}"
        return f"{self.rmse:.4g}{r2}"


def score(predicted: np.ndarray, actual: np.ndarray, classes: bool) -> Score:
    """Judges predictions: class numbers if `classes`, otherwise values."""
    rows = len(actual)
    if classes:
        return Score(rows, accuracy=float(np.mean(predicted == actual)))
    # Divided by the largest first: the squares of large numbers overflow.
    scale = float(np.abs(actual).max()) or 1.0
    errors, spread = (predicted - actual) / scale, (actual - actual.mean()) / scale
    mse, variance = float(np.mean(errors**2)), float(np.mean(spread**2))
    return Score(rows, rmse=mse**0.5 * scale, r2=1 - mse / variance if variance > 0 else None)
