"""The one error that a user of the command can cause."""

from ..errors import ChainruleError

__all__ = ["InputError"]


class InputError(ChainruleError, ValueError):
    """What the user gave cannot be used: printed as one line, exit code 2.

    The message says what is wrong, where, and what to do.
    """
