"""Docstrings of operators that are made from a table row: what it computes, what it takes, an example."""


def doc(text, example, result):
    """The docstring ``text`` with a runnable example and the result it prints."""
    return f"{text}\n\n>>> import chainrule as torch\n>>> {example}\n{result}\n"
