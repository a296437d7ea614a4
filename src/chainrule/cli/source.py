"""Where the data comes from: the handwritten digits or a file of the user's."""

from .errors import InputError
from .table import Table, read_table

__all__ = ["DIGITS", "DIGITS_TARGET", "load_source"]

DIGITS = "digits"
DIGITS_TARGET = "digit"


def load_source(source: str) -> Table:
    """The table called `source`: ``digits``, a path, or ``-`` for standard input.

    Raises:
        InputError: see `read_table`; or the digits are asked for and scikit-learn, which carries them, is not there.
    """
    return _digits() if source == DIGITS else read_table(source)


def _digits() -> Table:
    """scikit-learn's 1,797 handwritten digits, 8 by 8 pixels each, as a table like any other."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as missing:
        if missing.name != "sklearn":
            raise
        raise InputError(
            "the digits come with scikit-learn, which is not installed: pip install 'chainrule[cli]'"
        ) from None
    digits = load_digits()
    columns = {
        name: [f"{value:g}" for value in values]
        for name, values in zip(digits.feature_names, digits.data.T.tolist(), strict=True)
    }
    columns[DIGITS_TARGET] = [str(label) for label in digits.target.tolist()]
    return Table(DIGITS, columns, list(range(2, len(digits.target) + 2)))
