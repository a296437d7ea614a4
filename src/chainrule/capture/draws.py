"""Random numbers while a function is captured: draws become callouts to the same generator, so a compiled step draws
the numbers that an eager one would."""

import random

import numpy as np

from ..compiler.symbol import Symbol
from ..errors import CaptureError
from ..node import call_site, site_text


class Draws:
    """The draws of one capture. A part that is run again after ``set_rng_state`` (checkpoint) gets the symbols of the
    first run."""

    def __init__(self, builder):
        self.builder = builder
        self.made = []  # (name, args, symbol)
        self.next = 0

    def place(self):
        """What ``get_rng_state`` gives while a function is captured."""
        return Place(self.next)

    def go_to(self, place):
        if not isinstance(place, Place):
            raise CaptureError(
                f"compile: set_rng_state() with a state from outside, at {site_text(call_site(3))}; set it before the "
                "call of the compiled function"
            )
        self.next = place.number

    def draw(self, generator, name, args, kw):
        key = (generator, name, repr(args), repr(kw))
        if self.next < len(self.made):
            known, symbol = self.made[self.next]
            if known == key:
                self.next += 1
                return symbol
        if any(isinstance(a, Symbol) for a in (*args, *kw.values())):
            raise CaptureError(
                f"compile: {name}() draws with parameters that are tensors, at {site_text(call_site(4))}; draw "
                "standard numbers and compute with them"
            )
        probe = np.asarray(getattr(np.random.default_rng(0), name)(*args, **kw))

        def function():
            return (np.asarray(getattr(generator.numpy, name)(*args, **kw)),)

        (value,) = self.builder.call(f"random.{name}", function, (), [(probe.shape, probe.dtype.name)])
        self.builder.calls.append((f"random.{name}", "drawn by NumPy"))
        symbol = Symbol(self.builder, value)
        self.made.append((key, symbol))
        self.next = len(self.made)
        return symbol


class Place:
    """A place in the sequence of draws."""

    def __init__(self, number):
        self.number = number


class Source:
    """Stands for a NumPy generator."""

    def __init__(self, draws, generator):
        self.draws = draws
        self.generator = generator

    def __getattr__(self, name):
        return lambda *args, **kw: self.draws.draw(self.generator, name, args, kw)


def other_generators(more):
    """The states of the generators that are not torch's: NumPy's and Python's own, and ``more``."""
    name, keys, *rest = np.random.get_state()
    states = [(name, keys.tobytes(), *rest), random.getstate()]
    return states + [x.getstate() if isinstance(x, random.Random) else repr(bits(x).state) for x in more]


def bits(generator):
    return generator.bit_generator if isinstance(generator, np.random.Generator) else generator._bit_generator


def restore_generators(states):
    """Put NumPy's and Python's own generators back."""
    name, keys, *rest = states[0]
    np.random.set_state((name, np.frombuffer(keys, np.uint32), *rest))
    random.setstate(states[1])
