"""Errors for values that an operator does not take, also while a function is compiled, when there are no values yet."""

from ..errors import CaptureError
from ..node import call_site, site_text


def refuse(wrong, error, message):
    """Raise ``error(message)`` if an element of the bool array ``wrong`` is true; of a compiled function: when it
    runs."""
    if hasattr(type(wrong), "refuse"):
        wrong.refuse(error, message)
    elif wrong.any():
        raise error(message)


def needs_values(x, operator, what, instead):
    """Raise CaptureError if ``x`` has no values because a function is being compiled. ``what``: what depends on them;
    ``instead``: what to write."""
    if hasattr(type(x), "values_needed"):
        raise CaptureError(
            f"compile: {operator} at {site_text(call_site(3))} can't be captured: {what} depends on values. {instead}, "
            "or leave this part outside the compiled function."
        )
