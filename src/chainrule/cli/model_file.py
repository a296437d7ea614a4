"""A model as one file of `chainrule.save`: the weights, and beside them, as plain data, what they mean.

Nothing in it is ever unpickled or run. What is read is checked, field by field, before it is used.
"""

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import chainrule as torch

from ..errors import ChainruleError
from ..interop.atomic import replacing
from .errors import InputError
from .model import Model
from .preprocess import CategoryColumn, NumberColumn, Preprocessor
from .target import Target
from .training import network

__all__ = ["check_writable", "load_model", "save_model", "write_text"]

_KEY, _FORMAT = "chainrule table model", 1


def save_model(path: str, model: Model) -> None:
    """Writes a model; a crash in the middle leaves the old file. The same model gives the same bytes.

    Raises:
        InputError: the path cannot be written.
    """
    target = model.target
    content = {
        _KEY: _FORMAT,
        "columns": [_description(column) for column in model.preprocessor.columns],
        "target": {**asdict(target), "classes": None if target.classes is None else list(target.classes)},
        "hidden": list(model.hidden),
        "weights": model.network.state_dict(),
    }
    try:
        torch.save(content, path)
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def load_model(path: str) -> Model:
    """Reads a model that `save_model` wrote.

    Raises:
        InputError: no such file, or not such a file.
    """
    try:
        content = torch.load(path)
    except FileNotFoundError:
        raise InputError(f"there is no model file '{path}'") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL character in the name
        raise InputError(f"cannot read '{path}': {getattr(error, 'strerror', None) or error}") from None
    except ChainruleError:
        raise InputError(f"'{path}' is not a model of 'chainrule train', or it is damaged") from None
    if not isinstance(content, dict) or _KEY not in content:
        raise InputError(f"'{path}' holds weights, but not a model of 'chainrule train'")
    if content[_KEY] != _FORMAT:
        raise InputError(
            f"'{path}' has format {content[_KEY]}, and this version reads format {_FORMAT}; train it again"
        )
    try:
        return _build(content)
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise InputError(f"'{path}' is damaged: {type(error).__name__}: {error}") from None


def _description(column: NumberColumn | CategoryColumn) -> dict[str, Any]:
    if isinstance(column, NumberColumn):
        return {"kind": "number", **asdict(column)}
    return {"kind": "category", **asdict(column), "categories": list(column.categories)}


def _column(about: dict[str, Any]) -> NumberColumn | CategoryColumn:
    name, flag = str(about["name"]), bool(about["flag"])
    if about["kind"] == "number":
        return NumberColumn(name, float(about["median"]), float(about["mean"]), float(about["std"]), flag)
    if about["kind"] == "category":
        return CategoryColumn(name, tuple(str(category) for category in about["categories"]), flag)
    raise ValueError(f"a column of kind {about['kind']!r}")


def _build(content: dict[str, Any]) -> Model:
    about, weights = content["target"], content["weights"]
    classes = None if about["classes"] is None else tuple(str(label) for label in about["classes"])
    target = Target(str(about["name"]), classes, float(about["mean"]), float(about["std"]))
    preprocessor = Preprocessor(tuple(_column(column) for column in content["columns"]))
    hidden = tuple(int(width) for width in content["hidden"])
    # The widths are compared with the weights first: a forged file must not make a large network.
    widths = (preprocessor.width, *hidden, target.width)
    found = [tuple(value.shape) for name, value in weights.items() if name.endswith(".weight")]
    if found != [(after, before) for before, after in zip(widths, widths[1:], strict=False)]:
        raise ValueError(f"its weights are {found}, its columns and classes ask for the widths {widths}")
    net = network(preprocessor.width, hidden, target.width)
    net.load_state_dict(weights)
    return Model(preprocessor, target, hidden, net)


def check_writable(path: str) -> None:
    """Finds out before the training whether a model can be written to `path` after it.

    Raises:
        InputError: the folder does not exist or cannot be written to, or the path holds something else than a model.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"cannot write '{path}': it is a folder; name a file")
    if target.is_file():
        try:
            load_model(path)
        except InputError:
            raise InputError(f"'{path}' exists and is not a model of 'chainrule train'; --save another file") from None
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def write_text(path: str, text: str) -> None:
    """Writes a text file, atomically as a model is.

    Raises:
        InputError: the path cannot be written.
    """
    try:
        with replacing(path) as file:
            file.write(text.encode())
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def _unwritable(path: str, error: OSError | ValueError) -> InputError:
    return InputError(f"cannot write '{path}': {getattr(error, 'strerror', None) or error}")
