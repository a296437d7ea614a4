"""Reading a table from a CSV file.

A cell stays the text it was, so that its column (`preprocess`, `target`) decides what it means, not the reader.
Python's own ``csv`` module knows the format, and pandas would be a large dependency for one call.
"""

import csv
import io
import math
import sys
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from .errors import InputError

__all__ = ["Table", "is_missing", "read_table", "some"]

# What R, pandas, SQL dumps and spreadsheets write for "no value", in lower case.
_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "-nan", "null", "none", "?", "<na>"})
_DELIMITERS = ",;\t|"


def is_missing(cell: str) -> bool:
    """True for an empty cell and for the usual spellings of "no value" (NA, NaN, null, ...)."""
    return len(cell) <= 5 and cell.lower() in _MISSING


@dataclass
class Table:
    """Named columns of text cells, all of one length; `lines` holds each row's line in the file, for error messages."""

    source: str
    columns: dict[str, list[str]]
    lines: list[int] = field(default_factory=list)
    decimal_comma: bool = False

    @property
    def names(self) -> list[str]:
        return list(self.columns)

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str, option: str) -> list[str]:
        """The cells of one column; `option` says in the error which part of the command named it.

        Raises:
            InputError: there is no such column.
        """
        if name in self.columns:
            return self.columns[name]
        close = get_close_matches(name, self.names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"its columns are {some(self.names)}"
        raise InputError(f"{option}: '{self.source}' has no column '{name}'; {hint}")

    def number(self, cell: str) -> float | None:
        """The number that a cell spells, or None if it spells none; a table split by ``;`` may use a decimal comma."""
        if self.decimal_comma and "," in cell and "." not in cell:
            cell = cell.replace(",", ".", 1)
        if "_" in cell:  # Python reads 1_000 as a number, a table means text
            return None
        try:
            value = float(cell)
        except ValueError:
            return None
        return value if math.isfinite(value) else None

    def select(self, rows: list[int]) -> "Table":
        """The table of the given rows."""
        columns = {name: [cells[i] for i in rows] for name, cells in self.columns.items()}
        return Table(self.source, columns, [self.lines[i] for i in rows], self.decimal_comma)


def some(names: list[str], limit: int = 8) -> str:
    """The names in quotes, cut after `limit`."""
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def read_table(path: str) -> Table:
    """Reads a CSV file, ``-`` being standard input: a line of column names, then rows.

    The delimiter (comma, semicolon, tab or bar) is found from the first line. UTF-8 with or without a byte order mark,
    and UTF-16 with one.

    Raises:
        InputError: missing file, not text, no rows, rows of unequal length, a column name that occurs twice.
    """
    text = _decode(_read_bytes(path), path)
    header_line = next((line for line in text.splitlines() if line.strip()), None)
    if header_line is None:
        raise InputError(f"'{path}' is empty; expected a line of column names and rows below it")
    delimiter = max(_DELIMITERS, key=lambda mark: len(next(csv.reader([header_line], delimiter=mark))))
    header, rows, lines = _parse(text, delimiter, path)
    names = _column_names(header, path)
    if not rows:
        raise InputError(f"'{path}' has column names but no rows below them")
    columns = {
        name: [cell.strip() for cell in cells] for name, cells in zip(names, zip(*rows, strict=True), strict=True)
    }
    return Table(path, columns, lines, decimal_comma=delimiter == ";")


def _read_bytes(path: str) -> bytes:
    if path == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file '{path}'") from None
    except IsADirectoryError:
        raise InputError(f"'{path}' is a folder; name a CSV file") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise InputError(f"cannot read '{path}': {getattr(error, 'strerror', None) or error}") from None


def _decode(data: bytes, path: str) -> str:
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if b"\0" in data[:4096]:
            raise InputError(f"'{path}' is not a CSV file: it holds binary data") from None
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"'{path}' is not UTF-8 text (byte 0x{data[error.start]:02x} in line {line}); save it as 'CSV UTF-8'"
        ) from None
    if "\0" in text:
        raise InputError(f"'{path}' is not a CSV file: it holds binary data")
    return text


def _parse(text: str, delimiter: str, path: str) -> tuple[list[str], list[list[str]], list[int]]:
    """The header, the rows and the line in which each row begins; blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] = []
    rows: list[list[str]] = []
    lines: list[int] = []
    begin = 1
    try:
        for row in reader:
            line, begin = begin, reader.line_num + 1
            # One empty cell is a blank line, except in a table of one column, where it is a missing value.
            if not row or (not header and not any(cell.strip() for cell in row)):
                continue
            if not header:
                header = row
                continue
            if len(row) != len(header):
                raise InputError(
                    f"'{path}' line {line} has {len(row)} cells and the line of column names {len(header)}"
                )
            rows.append(row)
            lines.append(line)
    except csv.Error as error:
        raise InputError(f"'{path}' is not a CSV file: {error} (in the row that begins in line {begin})") from None
    return header, rows, lines


def _column_names(header: list[str], path: str) -> list[str]:
    names = [name.strip() or f"column {i}" for i, name in enumerate(header, 1)]
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"'{path}' has two columns called '{name}'; rename one")
        seen.add(name)
    return names
