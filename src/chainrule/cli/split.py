"""Which rows are learnt from, which decide when to stop, and which are held out for the report."""

from dataclasses import dataclass

import numpy as np

from .errors import InputError

__all__ = ["FEWEST_ROWS", "Split", "split_rows"]

FEWEST_ROWS = 20
# Of twenty neighbours in the order of the target, which go where; the other fourteen are trained on.
_HELD_OUT = (3, 10, 16)
_VALIDATION = (6, 13, 19)


@dataclass(frozen=True)
class Split:
    """Row numbers, disjoint, in shuffled order."""

    train: np.ndarray
    validation: np.ndarray
    held_out: np.ndarray


def split_rows(target: np.ndarray, seed: int) -> Split:
    """70 % to train, 15 % to validate, 15 % held out, each with its share of every class or of every range of values.

    Raises:
        InputError: fewer than 20 rows.
    """
    rows = len(target)
    if rows < FEWEST_ROWS:
        raise InputError(
            f"{rows} rows with a known target are too few to learn from and judge by; at least {FEWEST_ROWS} are needed"
        )
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(rows)
    by_target = shuffled[np.argsort(target[shuffled], kind="stable")]
    place = np.arange(rows) % 20
    held_out, validation = np.isin(place, _HELD_OUT), np.isin(place, _VALIDATION)
    parts = (by_target[~(held_out | validation)], by_target[validation], by_target[held_out])
    return Split(*(rng.permutation(part) for part in parts))
