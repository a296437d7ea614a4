"""The numbers of an optimiser's groups (the learning rate ...) in a captured step: read anew at each call, and what
was asked about them while the function was captured is a condition of the compiled step."""

import numpy as np

from ..compiler.symbol import Symbol
from ..handle import Tensor
from ..optim.optimizer import to_scalar


class Number:
    """A number in an optimiser's group, and what was asked about it while the program was captured."""

    __slots__ = ("array", "conditions", "group", "key", "optimizer", "place", "seen")

    def __init__(self, optimizer, group, key, place):
        self.optimizer, self.group, self.key, self.place = optimizer, group, key, place
        self.conditions = []  # (comparison, number, answer)
        self.array = np.zeros(())  # the program's input
        self.seen = self  # the object last read

    def read(self):
        x = self.optimizer.param_groups[self.group][self.key]
        return x if self.place is None else x[self.place]

    def holds(self, x):
        """Would the same program be captured for ``x``?"""
        now = float(to_scalar(x))
        return all(getattr(now, how)(other) is answer for how, other, answer in self.conditions)

    def renew(self):
        """Bring the program's input up to date; False if the program is not the right one any more."""
        x = self.read()
        if x is not self.seen:
            if not self.holds(x):
                return False
            self.array[()] = to_scalar(x)
            if not isinstance(x, Tensor):
                self.seen = x
        return True


class Fixed:
    """An option of an optimiser's group that is part of the program; the interface of ``Number``."""

    __slots__ = ("group", "key", "optimizer", "place", "seen")

    def __init__(self, optimizer, group, key):
        self.optimizer, self.group, self.key, self.place = optimizer, group, key, None
        self.seen = optimizer.param_groups[group][key]

    def renew(self):
        """False if the option is another one now."""
        x = self.optimizer.param_groups[self.group].get(self.key)
        if x is not self.seen:
            if type(x) is not type(self.seen) or x != self.seen:
                return False
            self.seen = x
        return True


class Group(dict):
    """An optimiser's group for a rule that is run on symbols: numbers are symbols, and what else it is asked for
    becomes a condition of the compiled step."""

    def __init__(self, group, tracer, optimizer, number):
        super().__init__(group)
        self.symbols, self.tracer, self.optimizer, self.number = {}, tracer, optimizer, number

    def __getitem__(self, key):
        if key not in self.symbols:
            self.symbols[key] = self.symbol(key, super().__getitem__(key))
        return self.symbols[key]

    def get(self, key, default=None):
        return self[key] if key in self else default

    def symbol(self, key, x):
        tracer, optimizer, number = self.tracer, self.optimizer, self.number
        if isinstance(x, Tensor) or (type(x) is float and key != "eps"):
            return tracer.number(optimizer, number, key)
        if key == "betas":
            return tuple([tracer.number(optimizer, number, key, i) for i in range(len(x))])
        tracer.fixed.append(Fixed(optimizer, number, key))
        return x


class Hyper(Symbol):
    """A number of an optimiser's group (the learning rate ...). Compared with a number it answers with what it is now,
    and the answer becomes a condition of the compiled step."""

    __slots__ = ("number",)

    def __init__(self, builder, value, number):
        super().__init__(builder, value, weak=True)
        self.number = number

    def compared(self, how, other):
        if isinstance(other, Symbol):
            return getattr(Symbol, how)(self, other)
        answer = getattr(float(to_scalar(self.number.read())), how)(float(other))
        self.number.conditions.append((how, float(other), answer))
        return answer

    def __eq__(self, other):
        return self.compared("__eq__", other)

    def __ne__(self, other):
        return self.compared("__ne__", other)

    def __lt__(self, other):
        return self.compared("__lt__", other)

    def __le__(self, other):
        return self.compared("__le__", other)

    def __gt__(self, other):
        return self.compared("__gt__", other)

    def __ge__(self, other):
        return self.compared("__ge__", other)

    def __bool__(self):
        return self.compared("__ne__", 0)

    __hash__ = None
