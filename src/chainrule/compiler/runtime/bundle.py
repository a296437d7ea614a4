"""The machine code of a whole program in one piece of bytes: the object files of its kernels behind a list of them."""

import json
import struct

from . import jit

_LENGTH = struct.Struct("<q")


def pack(library):
    """The bytes, or None if an object file of the library is not at hand."""
    store = jit.cache.shared()
    files = {}
    for symbol, name in library.keys.items():
        data = library.objects.get(symbol) or store.get(name)
        if data is None:
            return None
        files[symbol] = data
    head = json.dumps([[symbol, library.keys[symbol], len(data)] for symbol, data in files.items()]).encode()
    return b"".join([_LENGTH.pack(len(head)), head, *files.values()])


def load(data, target):
    """The library of packed bytes. Raises ValueError if they are not well-formed."""
    (n,) = _LENGTH.unpack_from(data)
    place = _LENGTH.size + n
    codes, objects, keys = {}, {}, {}
    for symbol, name, length in json.loads(data[_LENGTH.size : place]):
        part = data[place : place + length]
        if len(part) != length or not part.startswith(jit._OBJECT):
            raise ValueError(f"bundle: the object file of {symbol!r} is damaged")
        place += length
        keys[symbol] = name
        code = jit._loaded.get(name)
        if code is not None:
            codes[symbol] = code
        else:
            objects[symbol] = (name, part)
    if objects:
        codes.update(jit._bring_in(objects, target))
    return jit.Library(target, {}, codes, [], list(objects), False, keys)
