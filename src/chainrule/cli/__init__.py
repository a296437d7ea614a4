"""The ``chainrule`` command.

``app`` and ``explain`` hold the commands and ``report`` what they print: the only files that import typer and rich.
The rest is a small library. ``source`` finds the data and ``table`` reads it. ``preprocess`` turns columns into
numbers, and ``target`` does so for the column to predict. ``split``, ``training``, ``baseline`` and ``score`` train
and judge a network. ``workflow`` puts these together, and ``model_file`` keeps what came out.
"""
