"""`save` and `load`: checkpoints as safetensors files.

A file holds the tensors, readable by every safetensors reader, and as one text in its metadata how they and the
numbers, strings and containers around them fit together. Loading such a file runs no code from it. Pickles are written
and read only where the call says so.
"""

from __future__ import annotations

import io
import json
import os
import pickle as pickles
from collections import OrderedDict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from ..devices import device
from ..errors import ArgumentError, ArgumentValueError, FileFormatError
from ..handle import Tensor
from .atomic import replacing
from .structure import Decoder, Encoder
from .tensor_file import MAX_HEADER, Header, map_arrays, read_arrays, read_header, write

# Where the text that describes the structure stands in the file's metadata.
KEY = "chainrule"
VERSION = 1


def save(
    obj: Any,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int | None = None,
    _use_new_zipfile_serialization: bool = True,
    *,
    pickle: bool = False,
) -> None:
    """Save a state dict or a checkpoint.

    ``obj`` may hold tensors, parameters, NumPy arrays, numbers (also nan and inf), strings, bytes, None, dtypes,
    devices, sizes, generators, and any nesting of dicts, lists, tuples and sets of them. A flat dict of tensors, such
    as ``model.state_dict()``, can be read by any safetensors library. Tensors that share all their memory share it
    again after loading; views of parts of one memory are saved each for itself.

    Args:
        obj: what to save.
        f: a path, or a binary file open for writing. A file at a path is replaced in one step after everything is
            written: a crash leaves the old one.
        pickle: write a pickle instead, which can hold any object; loading it runs code, see `load`.
        pickle_module, pickle_protocol: only with ``pickle=True``.

    Raises:
        ArgumentError (TypeError): something is not plain data; the message says where and what to save instead.
        OSError: the file cannot be written.

    >>> import io
    >>> import chainrule as torch
    >>> model = torch.nn.Linear(2, 1)
    >>> file = io.BytesIO()
    >>> torch.save({"model": model.state_dict(), "epoch": 3}, file)
    >>> _ = file.seek(0)
    >>> checkpoint = torch.load(file)
    >>> model.load_state_dict(checkpoint["model"]), checkpoint["epoch"]
    (<All keys matched successfully>, 3)
    """
    if pickle:
        module, protocol = pickle_module or pickles, pickle_protocol or pickles.DEFAULT_PROTOCOL
        if protocol < 2:
            raise ArgumentValueError(f"save: pickle_protocol={protocol}: load recognises pickles from protocol 2 on")

        def put(stream: Any) -> None:
            module.dump(obj, stream, protocol=protocol)

    else:
        if pickle_module is not None or pickle_protocol is not None:
            raise ArgumentValueError(
                "save: pickle_module and pickle_protocol have no meaning for the safetensors format; leave them out, "
                "or write save(obj, f, pickle=True) to pickle"
            )
        arrays, text = _describe(obj)

        def put(stream: Any) -> None:
            write(stream, arrays, {KEY: text, "format": "pt"})

    if isinstance(f, (str, os.PathLike)):
        with replacing(f) as stream:
            put(stream)
    elif hasattr(f, "write"):
        if isinstance(f, io.TextIOBase):
            raise ArgumentError("save: f is open as text; open it in binary mode, open(path, 'wb')")
        put(f)
    else:
        raise ArgumentError(f"save: f: expected a path or a binary file open for writing, got {type(f).__name__}")


def _describe(obj: Any) -> tuple[dict[str, Any], str]:
    """The arrays to write and the JSON text that says how to put them together."""
    encoder = Encoder()
    tree = encoder.encode(obj)
    arrays = encoder.arrays
    if type(obj) in (dict, OrderedDict) and all(type(k) is str and isinstance(v, Tensor) for k, v in obj.items()):
        # Other readers look for every key, so tensors stored once for several keys are written for each of them.
        # The tree still names the first, and the copies are not used on loading.
        for key, value in obj.items():
            if key != "__metadata__":
                arrays.setdefault(key, value._data)
    return arrays, json.dumps({"version": VERSION, "tree": tree}, separators=(",", ":"))


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load what `save` wrote, or a safetensors file from elsewhere (as a flat dict of tensors).

    Args:
        f: a path, or a binary file open for reading.
        map_location: accepted for the CPU, the only device.
        weights_only: by default only data is loaded. False allows a pickle, which can run any code: use it only for
            files whose origin you trust. Safetensors files load the same either way.
        mmap: read tensors from the file when they are first used; needs a path.
        pickle_module, pickle_load_args: passed on when a pickle is loaded.

    Raises:
        FileFormatError (RuntimeError): the file is damaged, truncated, of an unknown kind, or a pickle that was not
            asked for.
        OSError: the file cannot be read.

    >>> import io
    >>> import chainrule as torch
    >>> torch.load(io.BytesIO(b"no such format"))
    Traceback (most recent call last):
      ...
    chainrule.errors.FileFormatError: load: the given file is neither a safetensors file nor a pickle...
    """
    _check_location(map_location)
    if isinstance(f, (str, os.PathLike)):
        source = f"file {os.fspath(f)!r}"
        opened: Any = open(f, "rb")
    elif hasattr(f, "read"):
        if isinstance(f, io.TextIOBase):
            raise ArgumentError("load: f is open as text; open it in binary mode, open(path, 'rb')")
        if mmap:
            raise ArgumentValueError("load: f must be a file path in order to use the mmap argument")
        source, opened = "the given file", nullcontext(f)
    else:
        raise ArgumentError(f"load: f: expected a path or a binary file open for reading, got {type(f).__name__}")
    with opened as stream:
        prefix, start = stream.read(8), stream.read(1)
        if _is_pickle(prefix, start):
            if weights_only is not False:
                raise FileFormatError(
                    f"load: {source} is a pickle, and loading a pickle can run any code. If you trust its origin write "
                    "load(f, weights_only=False); better, save state_dict() without pickle=True."
                )
            return (pickle_module or pickles).load(_Rejoined(prefix + start, stream), **pickle_load_args)
        if prefix[:2] == b"PK":
            raise FileFormatError(
                f"load: {source} was written by PyTorch's torch.save. Convert it there: "
                "safetensors.torch.save_file(model.state_dict(), path), then load that file here."
            )
        if len(prefix) < 8 or start != b"{":
            what = "it is empty" if not prefix else f"it starts with {prefix[:8]!r}"
            raise FileFormatError(f"load: {source} is neither a safetensors file nor a pickle: {what}")
        header = read_header(prefix, _Rejoined(start, stream), source)
        _check_size(header, stream, isinstance(f, (str, os.PathLike)))
        arrays = map_arrays(header, stream) if mmap else read_arrays(header, stream)
    decoder = Decoder(arrays, header.damaged)
    text = header.metadata.get(KEY)
    if text is None:
        return {name: decoder.tensor(name, Tensor, False) for name in arrays}
    try:
        description = json.loads(text)
        version, tree = description["version"], description["tree"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise header.damaged("its description cannot be understood") from None
    if version != VERSION:
        raise FileFormatError(f"load: {source} has layout version {version}; this chainrule reads version {VERSION}")
    return decoder.decode(tree)


class _Rejoined:
    """A stream with bytes put back in front."""

    def __init__(self, prefix: bytes, stream: Any) -> None:
        self._prefix, self._stream = prefix, stream

    def read(self, size: int = -1) -> bytes:
        if size < 0:
            head, self._prefix = self._prefix, b""
            return head + self._stream.read()
        head, self._prefix = self._prefix[:size], self._prefix[size:]
        return head + self._stream.read(size - len(head)) if len(head) < size else head

    def readline(self) -> bytes:
        cut = self._prefix.find(b"\n") + 1
        if cut:
            head, self._prefix = self._prefix[:cut], self._prefix[cut:]
            return head
        head, self._prefix = self._prefix, b""
        return head + self._stream.readline()


def _is_pickle(prefix: bytes, start: bytes) -> bool:
    if start == b"{" and int.from_bytes(prefix, "little") <= MAX_HEADER:
        return False  # a safetensors header of 1152 bytes, say, begins as a pickle of protocol 4 does: 0x80 0x04
    return len(prefix) >= 2 and prefix[0] == 0x80 and 2 <= prefix[1] <= pickles.HIGHEST_PROTOCOL


def _check_size(header: Header, stream: Any, whole_file: bool) -> None:
    """A file on disk must end with its last tensor; of an open stream somebody else may use the rest."""
    if not whole_file:
        return
    here = stream.tell()
    left = os.fstat(stream.fileno()).st_size - here
    if left < header.size:
        raise FileFormatError(f"load: {header.source} is truncated: {left} of {header.size} data bytes are there")
    if left > header.size:
        raise header.damaged(f"{left - header.size} bytes follow its last tensor")


def _check_location(map_location: Any) -> None:
    """Accept everything that means the CPU; `device` raises its own error for another one."""
    if map_location is None or isinstance(map_location, Callable):  # type: ignore[arg-type]
        return
    for place in map_location.values() if isinstance(map_location, dict) else (map_location,):
        device(place)
