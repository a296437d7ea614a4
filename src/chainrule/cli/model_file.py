"""A model as one safetensors file: the weights, and beside them a JSON text that says what they mean.

Nothing in it is ever unpickled or run. What is read is checked, field by field, before it is used.
"""

import json
import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as torch

from .errors import InputError
from .model import Model
from .preprocess import CategoryColumn, NumberColumn, Preprocessor
from .target import Target
from .training import network

__all__ = ["check_writable", "load_model", "save_model", "write_atomically"]

_KEY, _FORMAT = "chainrule.table", 1


def save_model(path: str, model: Model) -> None:
    """Writes a model; a crash in the middle leaves the old file. The same model gives the same bytes.

    Raises:
        InputError: the path cannot be written.
    """
    from safetensors.numpy import save

    about = {
        "format": _FORMAT,
        "columns": [{"kind": _kind(column), **asdict(column)} for column in model.preprocessor.columns],
        "target": asdict(model.target),
        "hidden": model.hidden,
    }
    weights = {name: np.ascontiguousarray(value.numpy()) for name, value in model.network.state_dict().items()}
    write_atomically(path, save(weights, {_KEY: json.dumps(about)}))


def load_model(path: str) -> Model:
    """Reads a model that `save_model` wrote.

    Raises:
        InputError: no such file, or not such a file.
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(f"there is no model file '{path}'")
    try:
        with safe_open(path, framework="numpy") as file:
            text = (file.metadata() or {}).get(_KEY)
            weights = {name: file.get_tensor(name) for name in file.keys()} if text is not None else {}
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, PermissionError):
            raise InputError(f"cannot read '{path}': {error.strerror}") from None
        raise InputError(f"'{path}' is not a model of 'chainrule train'") from None
    if text is None:
        raise InputError(f"'{path}' holds weights, but not a model of 'chainrule train'")
    try:
        return _build(json.loads(text), weights)
    except InputError as error:
        raise InputError(f"'{path}' {error}") from None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"'{path}' is damaged: {type(error).__name__}: {error}") from None


def _kind(column: NumberColumn | CategoryColumn) -> str:
    return "number" if isinstance(column, NumberColumn) else "category"


def _build(about: dict[str, Any], weights: dict[str, np.ndarray]) -> Model:
    if about["format"] != _FORMAT:
        raise InputError(f"has format {about['format']}, and this version reads format {_FORMAT}; train it again")
    columns: list[NumberColumn | CategoryColumn] = []
    for column in about["columns"]:
        if column["kind"] == "number":
            numbers = {key: float(column[key]) for key in ("median", "mean", "std")}
            columns.append(NumberColumn(str(column["name"]), flag=bool(column["flag"]), **numbers))
        elif column["kind"] == "category":
            categories = tuple(str(category) for category in column["categories"])
            columns.append(CategoryColumn(str(column["name"]), categories, bool(column["flag"])))
        else:
            raise ValueError(f"a column of kind {column['kind']!r}")
    target = about["target"]
    classes = None if target["classes"] is None else tuple(str(label) for label in target["classes"])
    model_target = Target(str(target["name"]), classes, float(target["mean"]), float(target["std"]))
    preprocessor = Preprocessor(tuple(columns))
    hidden = tuple(int(width) for width in about["hidden"])
    # The widths are compared with the weights first: a forged file must not make a large network.
    widths = (preprocessor.width, *hidden, model_target.width)
    found = [weights[name].shape for name in sorted(weights, key=_layer) if name.endswith(".weight")]
    if found != [(after, before) for before, after in zip(widths, widths[1:], strict=False)]:
        raise ValueError(f"its weights are {found}, its columns and classes ask for the widths {widths}")
    net = network(preprocessor.width, hidden, model_target.width)
    net.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    return Model(preprocessor, model_target, hidden, net)


def _layer(name: str) -> int:
    return int(name.partition(".")[0])


def check_writable(path: str) -> None:
    """Finds out before the training whether a model can be written to `path` after it.

    Raises:
        InputError: the folder does not exist or cannot be written to, or the path holds something else than a model.
    """
    target = Path(path)
    if target.is_dir():
        raise InputError(f"cannot write '{path}': it is a folder; name a file")
    if target.exists():
        try:
            load_model(path)
        except InputError:
            raise InputError(f"'{path}' exists and is not a model of 'chainrule train'; --save another file") from None
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except (OSError, ValueError) as error:
        raise _unwritable(path, error) from None


def write_atomically(path: str, data: bytes) -> None:
    """Replaces a file's contents at once: readers see the old or the new, also after a crash.

    Raises:
        InputError: the path cannot be written.
    """
    target = Path(os.path.realpath(path))
    temporary = ""
    try:
        if target.exists() and not target.is_file():  # a pipe or a device cannot be replaced
            target.write_bytes(data)
            return
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name[:100]}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp's 0600 is for secrets
        os.replace(temporary, target)
    except BaseException as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        if isinstance(error, (OSError, ValueError)):
            raise _unwritable(path, error) from None
        raise


def _unwritable(path: str, error: OSError | ValueError) -> InputError:
    return InputError(f"cannot write '{path}': {getattr(error, 'strerror', None) or error}")
