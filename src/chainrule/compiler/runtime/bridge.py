"""Between Python and the native walk: how Python enters a schedule, and how a task calls Python."""

import ctypes
import threading

from .pool import words

_METH_O = 8
_definitions = {}  # address of cr.method -> the PyMethodDef that Python keeps a pointer to


def method(library, frame):
    """``cr.call`` on this frame as a built-in method: called with a tuple of arrays, it returns the code."""
    address = library.address("cr.method")
    kept = _definitions.get(address)
    if kept is None:
        name = ctypes.create_string_buffer(b"enter")
        definition = words(8)
        definition[:3] = ctypes.addressof(name), address, _METH_O
        kept = _definitions[address] = definition, name
    make = ctypes.pythonapi.PyCFunction_NewEx
    make.restype, make.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return make(kept[0].ctypes.data, frame, None)


PROTOTYPE = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)


def callouts(schedule):
    """A generator: gets the index of a callout's task (-1: only look for Ctrl-C), yields 0 if all went well."""
    result = 0
    while True:
        try:
            i = yield result
            if i >= 0:
                own = schedule()
                before, own._in_callout = own._in_callout, threading.get_ident()
                try:
                    own.tasks[i].kernel.call(*own._views(i))
                finally:
                    own._in_callout = before
            result = 0
        except GeneratorExit:
            return
        except BaseException as e:
            schedule()._errors[threading.get_ident()] = e
            result = 1
        finally:
            own = None
