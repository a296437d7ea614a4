"""Errors for values that an operator does not take, also while a function is compiled, when there are no values yet."""


def refuse(wrong, error, message):
    """Raise ``error(message)`` if an element of the bool array ``wrong`` is true; of a compiled function: when it
    runs."""
    if hasattr(type(wrong), "refuse"):
        wrong.refuse(error, message)
    elif wrong.any():
        raise error(message)
