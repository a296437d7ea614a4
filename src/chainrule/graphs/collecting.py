"""Making very many objects that all stay: the cycle collector would walk over them again and again."""

import gc
from contextlib import contextmanager


@contextmanager
def uncollected():
    """The cycle collector pauses; it goes on as before at the end. Also a decorator."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()
