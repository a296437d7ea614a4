"""The column to predict: classes or a number, told apart and turned into what the loss needs."""

from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .preprocess import is_numeric, numbers_of
from .table import Table, is_missing

__all__ = ["RULE", "Target"]

_MOST_NUMERIC_CLASSES = 20
_ROWS_PER_NUMERIC_CLASS = 5

RULE = (
    "A target of texts is classified. A target of numbers is classified if they are whole, at "
    f"most {_MOST_NUMERIC_CLASSES} of them differ, and each has {_ROWS_PER_NUMERIC_CLASS} rows or more on average; "
    "any other is a regression. --task decides otherwise."
)


@dataclass(frozen=True)
class Target:
    """What is predicted. `classes` is None for a regression, which is standardised by `mean` and `std`."""

    name: str
    classes: tuple[str, ...] | None
    mean: float = 0.0
    std: float = 1.0

    @property
    def width(self) -> int:
        """How many numbers the network gives per row."""
        return len(self.classes) if self.classes else 1

    @classmethod
    def fit(cls, table: Table, name: str, task: str) -> tuple["Target", np.ndarray]:
        """Decides between classification and regression (`task`: auto, classification or regression) by `RULE`.

        Gives the target and its values per row: class numbers as int64, or float64. No cell of the
        target may be missing. `standardised` then sets a regression's mean and standard deviation.

        Raises:
            InputError: text where numbers belong, one class or value only, more classes than can be learnt.
        """
        rows = len(table)
        if task == "classification":
            numeric = all(table.number(cell) is not None for cell in table.columns[name])
        else:
            numeric = is_numeric(table, name, "mend it, or pass --task classification if they are names of classes")
        if not numeric:
            if task == "regression":
                cell = next(cell for cell in table.columns[name] if table.number(cell) is None)
                raise InputError(
                    f"--task regression needs a numeric target, and column '{name}' holds texts like '{cell}'"
                )
            return cls._of_classes(name, table.columns[name], sorted(set(table.columns[name])))
        values = numbers_of(table, name)
        distinct = np.unique(values)
        if distinct.size == 1:
            raise InputError(
                f"column '{name}' has the same value, {distinct[0]:g}, in all {rows} rows: nothing to learn"
            )
        whole = bool(np.all(values == np.floor(values)))
        few = distinct.size <= _MOST_NUMERIC_CLASSES and rows >= _ROWS_PER_NUMERIC_CLASS * distinct.size
        if task == "classification" or (task == "auto" and whole and few):
            return cls._of_classes(name, [_label(value) for value in values], [_label(value) for value in distinct])
        return cls(name, None), values

    @classmethod
    def _of_classes(cls, name: str, labels: list[str], classes: list[str]) -> tuple["Target", np.ndarray]:
        if len(classes) == 1:
            raise InputError(
                f"column '{name}' has one class only, '{classes[0]}', in all {len(labels)} rows: nothing to learn"
            )
        if 2 * len(classes) > len(labels):
            raise InputError(
                f"column '{name}' has {len(classes)} different values in {len(labels)} rows: too many classes to learn"
            )
        place = {label: i for i, label in enumerate(classes)}
        return cls(name, tuple(classes)), np.array([place[label] for label in labels], np.int64)

    def standardised(self, train: np.ndarray) -> "Target":
        """This target with the mean and standard deviation of the training rows."""
        scale = float(np.abs(train).max()) or 1.0
        mean, std = float((train / scale).mean()) * scale, float((train / scale).std()) * scale
        return Target(self.name, self.classes, mean, std if 0 < std < np.inf else 1.0)

    def known(self, table: Table) -> tuple[list[int], np.ndarray]:
        """The rows of another table whose target is known to this model, and their values, to judge predictions by."""
        cells = table.columns[self.name]
        if self.classes is None:
            found = [(i, table.number(cell)) for i, cell in enumerate(cells) if not is_missing(cell)]
            pairs: list[tuple[int, float]] = [(i, value) for i, value in found if value is not None]
            return [i for i, _ in pairs], np.array([value for _, value in pairs])
        place = {label: i for i, label in enumerate(self.classes)}
        numeric = all(_is_label_of_number(label) for label in self.classes)
        rows, values = [], []
        for i, cell in enumerate(cells):
            number = table.number(cell) if numeric else None
            label = cell if number is None else _label(number)
            if label in place:
                rows.append(i)
                values.append(place[label])
        return rows, np.array(values, np.int64)


def _label(value: float) -> str:
    """One spelling per number: 1, 1.0 and 1e0 are the same class."""
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _is_label_of_number(label: str) -> bool:
    try:
        return _label(float(label)) == label
    except (ValueError, OverflowError):
        return False
