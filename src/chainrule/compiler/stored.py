"""Whole programs on disk: who compiles the same program again goes from capture to machine code at once.

An entry is named by a hash of everything that the result depends on: the program as it was captured, the CPU, the
compiler's own source files and LLVM's version. It holds the table of tasks and the machine code of all its kernels. The
contents of constants and the functions that are called out to come from the program at hand.
"""

import hashlib
import os
import struct

import numpy as np

from .runtime import bundle
from .runtime import cache as objects
from .table import packed, unpacked
from .target import llvmlite_version

_LENGTH = struct.Struct("<q")


def name_of(program, target):
    """The entry's name, or None if programs are not kept."""
    if not objects.shared().usable() or SOURCES is None:
        return None
    try:
        text = fingerprint(program)
    except KeyError:  # a value that nobody makes: not to be compared
        return None
    return objects.key("program", SOURCES, llvmlite_version(), np.__version__, repr(target), text)


def load(name, target):
    """``(table, library)``, or None if there is no entry or something is wrong with it."""
    data = objects.shared().get(name)
    if data is None:
        return None
    try:
        (n,) = _LENGTH.unpack_from(data)
        table = unpacked(data[_LENGTH.size : _LENGTH.size + n].decode())
        library = bundle.load(data[_LENGTH.size + n :], target)
    except Exception:  # an entry of a version that the hash does not know: it is made anew
        return None
    return table, library


def save(name, table, library):
    """Keep a program, unless some of its machine code is not at hand."""
    code = bundle.pack(library)
    if code is not None:
        text = packed(table).encode()
        objects.shared().put(name, _LENGTH.pack(len(text)) + text + code)


def _sources():
    """A hash of the compiler's source files; None if they can't be read."""
    h = hashlib.sha256()
    folders = [os.path.dirname(__file__)]
    try:
        for folder in folders:
            for file in sorted(os.listdir(folder)):
                path = f"{folder}{os.sep}{file}"
                if file.endswith(".py"):
                    with open(path, "rb") as f:
                        data = f.read()
                    h.update(b"%s %d:" % (file.encode(), len(data)))
                    h.update(data)
                elif file[:1] != "_" and os.path.isdir(path):
                    folders.append(path)
    except OSError:
        return None
    return h.hexdigest()


SOURCES = _sources()  # now, while what is imported is what lies there


def fingerprint(program):
    """The program as text, the same for equal programs in every process; constants count by shape and dtype."""
    at = {}
    lines = []
    for v in (*program.inputs, *program.constants):
        at[v] = len(at)
        lines.append(f"{v.dtype}{v.shape}")
    lines.append(f"{len(program.inputs)}")
    for i in program.instrs:
        params = i.params
        if i.op == "call":
            params = {k: x for k, x in params.items() if k != "function"}
        elif i.op == "scalar":
            params = exact(params["value"])
        types = [(v.dtype, v.shape) for v in i.outputs]
        lines.append(f"{i.op} {[at[v] for v in i.inputs]} {params} {types}")
        for v in i.outputs:
            at[v] = len(at)
    lines.append(f"{program.checks} {program.lasting}")
    lines.append(f"{[at[v] for v in program.outputs]} { {n: at[v] for n, v in program.writes.items()} }")
    return "\n".join(lines)


def exact(value):
    """A number in words that tell any two apart."""
    return struct.pack("<d", value).hex() if value != value else repr(value)
