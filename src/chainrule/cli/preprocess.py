"""Columns of text to columns of numbers for the network, by what was learnt from the training rows alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import InputError
from .table import Table, is_missing, some

__all__ = ["CategoryColumn", "NumberColumn", "Preprocessor", "is_numeric", "numbers_of"]

_MOST_CATEGORIES = 50
# A standardised value beyond this is a slip in the data; without a bound it would overflow float32.
_LARGEST = 1e4


def is_numeric(table: Table, name: str, remedy: str) -> bool:
    """True if every known cell of a column spells a number, False if it is a column of texts.

    Raises:
        InputError: more than half of the cells are numbers, but not all: text where numbers belong.
    """
    bad = None
    known = numbers = 0
    for line, cell in zip(table.lines, table.columns[name], strict=True):
        if is_missing(cell):
            continue
        known += 1
        if table.number(cell) is not None:
            numbers += 1
        elif bad is None:
            bad = line, cell
    if bad is not None and 2 * numbers > known:
        line, cell = bad
        raise InputError(
            f"'{table.source}' line {line}: column '{name}' holds numbers ({numbers} of {known} cells), "
            f"but here '{cell}'; {remedy}"
        )
    return bad is None


def numbers_of(table: Table, name: str) -> np.ndarray:
    """A numeric column as float64, NaN where a value is missing.

    Raises:
        InputError: a cell that spells no number.
    """
    values = np.empty(len(table))
    for i, cell in enumerate(table.columns[name]):
        value = np.nan if is_missing(cell) else table.number(cell)
        if value is None:
            raise InputError(
                f"'{table.source}' line {table.lines[i]}: column '{name}' needs a number, got '{cell}'; "
                "mend it or leave it empty"
            )
        values[i] = value
    return values


@dataclass(frozen=True)
class NumberColumn:
    """Standardised: ``(x - mean) / std``. A missing value becomes the median, and `flag` adds a column that says so."""

    name: str
    median: float
    mean: float
    std: float
    flag: bool

    @property
    def width(self) -> int:
        return 2 if self.flag else 1

    @classmethod
    def fit(cls, table: Table, name: str) -> "NumberColumn | None":
        """Learns a column from training rows; None if it holds fewer than two different values."""
        values = numbers_of(table, name)
        missing = np.isnan(values)
        known = values[~missing]
        if known.size == 0 or np.all(known == known[0]):
            return None
        # Scaled first: the squares of large numbers overflow.
        scale = float(np.abs(known).max())
        median = float(np.median(known / scale)) * scale
        filled = np.where(missing, median, values) / scale
        std = float(filled.std()) * scale
        if not 0 < std < np.inf:
            return None
        return cls(name, median, float(filled.mean()) * scale, std, bool(missing.any()))

    def transform(self, table: Table) -> np.ndarray:
        values = numbers_of(table, self.name)
        missing = np.isnan(values)
        with np.errstate(over="ignore"):
            scaled = (np.where(missing, self.median, values) - self.mean) / self.std
        scaled = np.clip(scaled, -_LARGEST, _LARGEST)
        return np.stack([scaled, missing], 1) if self.flag else scaled[:, None]


@dataclass(frozen=True)
class CategoryColumn:
    """One column of 0 and 1 per category; rare or unseen ones are all zeros. `flag` adds one for a missing value."""

    name: str
    categories: tuple[str, ...]
    flag: bool

    @property
    def width(self) -> int:
        return len(self.categories) + self.flag

    @classmethod
    def fit(cls, table: Table, name: str) -> "CategoryColumn | None":
        """Learns a column from training rows; None if no category could tell rows apart."""
        cells = table.columns[name]
        counts = Counter(cell for cell in cells if not is_missing(cell))
        flag = sum(counts.values()) < len(cells)
        # A category seen once says nothing about rows to come.
        common = [category for category, count in counts.most_common(_MOST_CATEGORIES) if count > 1]
        if not common or (len(counts) == 1 and not flag):
            return None
        return cls(name, tuple(sorted(common)), flag)

    def transform(self, table: Table) -> np.ndarray:
        place = {category: i for i, category in enumerate(self.categories)}
        out = np.zeros((len(table), self.width))
        for row, cell in enumerate(table.columns[self.name]):
            if not is_missing(cell):
                column = place.get(cell)
                if column is not None:
                    out[row, column] = 1.0
            elif self.flag:
                out[row, -1] = 1.0
        return out


@dataclass(frozen=True)
class Preprocessor:
    """All input columns of a model, in order."""

    columns: tuple[NumberColumn | CategoryColumn, ...]

    @property
    def width(self) -> int:
        """How many numbers the network gets per row."""
        return sum(column.width for column in self.columns)

    @classmethod
    def fit(cls, table: Table, train: Sequence[int], names: list[str], categorical: set[str]) -> "Preprocessor":
        """Learns the columns `names` of a table from its rows `train`. A column's kind is judged by all rows.

        Raises:
            InputError: text where numbers belong, or no column that tells rows apart.
        """
        remedy = "mend it, leave it empty, or pass --categorical '{}' if the column holds codes"
        rows = table.select(list(train))
        columns: list[NumberColumn | CategoryColumn] = []
        for name in names:
            numeric = name not in categorical and is_numeric(table, name, remedy.format(name))
            column = NumberColumn.fit(rows, name) if numeric else CategoryColumn.fit(rows, name)
            if column is not None:
                columns.append(column)
        if not columns:
            what = f"none of the columns {some(names)} tells rows apart" if names else "there is no column"
            raise InputError(f"'{table.source}' has nothing to learn from: {what} besides the target")
        return cls(tuple(columns))

    def transform(self, table: Table) -> np.ndarray:
        """A table with at least the columns of this one as float32 of shape (rows, width).

        Raises:
            InputError: a column is missing, or a cell of a numeric column spells no number.
        """
        missing = [column.name for column in self.columns if column.name not in table.columns]
        if missing:
            word = "column" if len(missing) == 1 else "columns"
            raise InputError(f"'{table.source}' lacks the {word} {some(missing)} that the model was trained on")
        return np.concatenate([column.transform(table) for column in self.columns], 1).astype(np.float32)
