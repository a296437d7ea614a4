"""What a compiled function reads by name: the program holds while it stays the same, and what it changes is refused."""

import collections
import enum
import functools
import itertools
import random

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
from chainrule.errors import CaptureError
from program_pairs import agree, both, values, x_

pytest.importorskip("llvmlite")


# ---- what else is not the same at the next call


class Slots:
    __slots__ = ("k", "w")


class Kind(enum.Enum):
    ONE, TWO = 1, 2


def attributes(holder):
    def program(wrap):
        h = holder()
        h.w, h.k = torch.ones(2), 1.0

        def f(x):
            h.w.mul_(2)
            return x * h.w * h.k

        f, out = wrap(f), []
        for k in range(4):
            out.append(f(x_(2, seed=k)))
            h.w = h.w + 1
            h.k += k // 2
        return out

    return program


@pytest.mark.parametrize("holder", [Slots, lambda: type("C", (), {}), lambda: type("C", (), {})()])
def test_attributes(holder):
    both(attributes(holder))


def changing(read, change):
    """A program that reads something of Python's, which changes between its calls."""

    def program(wrap):
        world, out = {}, []
        f = wrap(read(world))
        for k in range(4):
            out.append(f(torch.ones(2) * (k + 1)))
            change(world, k)
        return out

    return program


def of_list(world):
    items = world["items"] = [torch.ones(2)]
    return lambda x: sum(items) * x


def of_numbers(world):
    items = world["items"] = collections.deque([1.0])
    return lambda x: torch.tensor(list(items)).sum() * x


def of_array(world):
    items = world["items"] = np.ones(2, np.float32)
    return lambda x: torch.from_numpy(items) * x + torch.tensor(items)


def of_dict(world):
    items = world["items"] = {}
    return lambda x: x + sum(items.values())


def of_set(world):
    items = world["items"] = set()
    return lambda x: x * 2 if 2 in items else x


def of_functions(world):
    items = world["items"] = [torch.tanh]
    return lambda x: items[0](x)


def of_method(world):
    class Helper:
        gain = 1.0

        def __init__(self):
            self._k = 1.0

        @property
        def k(self):
            return self._k

        def times(self, x):
            return x * self.k * self.gain

    h = world["items"] = Helper()
    return lambda x: h.times(x)


def of_enum(world):
    class Config:
        kind = Kind.ONE

    world["items"] = Config
    return lambda x: x * 2 if Config.kind is Kind.TWO else x


def of_partial(world):
    items = world["items"] = [1.0]
    return functools.partial(lambda items, x: x * items[0], items)


def change_method(h, k):
    h._k += 1
    type(h).gain *= 2


CHANGES = {
    of_list: lambda items, k: items.append(torch.ones(2)),
    of_numbers: lambda items, k: items.append(float(k)),
    of_array: lambda items, k: items.__setitem__(0, k),
    of_dict: lambda items, k: items.__setitem__(k, torch.ones(2)),
    of_set: lambda items, k: items.add(k),
    of_functions: lambda items, k: items.__setitem__(0, torch.sigmoid),
    of_method: change_method,
    of_enum: lambda items, k: setattr(items, "kind", Kind.TWO),
    of_partial: lambda items, k: items.__setitem__(0, k),
}


@pytest.mark.parametrize("read", CHANGES, ids=lambda f: f.__name__)
def test_python_objects_that_change(read):
    both(changing(read, lambda world, k: CHANGES[read](world["items"], k)))


def test_names_that_change_their_kind():
    def program(wrap):
        act, mask, out = torch.tanh, None, []
        f = wrap(lambda x: act(x) if mask is None else act(x) * mask)
        for k in range(4):
            out.append(f(x_(2, seed=k)))
            act = torch.sigmoid if k else act
            mask = x_(2) if k > 1 else None
        return out

    both(program, [3])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin, self.mask, self.act, self.on, self.cache = nn.Linear(3, 3), None, torch.tanh, False, None

    def forward(self, x):
        if self.cache is None:
            self.cache = torch.tril(torch.ones(3, 3))
        y = self.act(self.lin(x)) @ self.cache
        y = y if self.mask is None else y * self.mask
        return y + 1 if self.on else y


def test_modules_that_change():
    def program(wrap):
        m, out = Net(), []
        f = wrap(lambda x: m(x))
        for k in range(6):
            if k == 2:
                m.mask = x_(3)
            if k == 3:
                m.act = torch.relu
            if k == 4:
                m.on = True
            out.append(f(x_(2, 3, seed=k)))
        return out, m.cache

    both(program, [4])  # the first call fills the cache, uncompiled


def test_globals_of_the_names_of_attributes():
    """A loop variable of the script named like an attribute in the function is no reason to compile again."""
    out = []
    space = {"torch": torch, "p": torch.ones(2), "out": out}
    exec("def f(x):\n    return x.data * p.data + x.sum()\nf = torch.compile(f)", space)
    for k in range(20):
        space["data"] = space["sum"] = torch.ones(2) * k
        out.append(space["f"](space["data"]))
    assert len(space["f"].compilations) == 1
    agree(values(out[3]), np.full(2, 9, np.float32))


def count_in_module(m):
    def forward(x):
        m.n += 1
        return x * m.n

    return forward


def count_in_list(m):
    def forward(x):
        m.items[0] += 1
        return x

    return forward


def collect(m):
    def forward(x):
        m.items.append(x.shape)
        return x

    return forward


def switch(m):
    def forward(x):
        m.eval()
        return m.lin(x)

    return forward


@pytest.mark.parametrize(
    "make, name", [(count_in_module, "n"), (count_in_list, "items"), (collect, "items"), (switch, "training")]
)
def test_changes_of_python_objects_are_refused(make, name):
    m = Net()
    m.n, m.items = 0, [0]
    f = torch.compile(make(m))
    for _ in range(2):
        with pytest.raises(
            CaptureError, match=rf"the function changes (\S*\.)?{name} \(it was .*count and collect outs"
        ):
            f(x_(2, 3))
        assert m.n == 0 and m.items == [0] and m.training


def taking(it):
    return lambda x: x * next(it)[0]


def test_iterators_are_refused():
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x_(4, 3)), batch_size=2)
    for it in (iter(loader), itertools.count(), iter([1, 2]), (k for k in range(3))):
        with pytest.raises(CaptureError, match=r"the function uses it, a \w+, which gives something else.*pass what"):
            torch.compile(taking(it))(x_(3))
    with pytest.raises(CaptureError, match="a DataLoader is iterated over at .*iterate outside and pass the batch"):
        torch.compile(lambda: [x.sum() for (x,) in loader])()


def test_other_random_numbers_are_refused():
    own = np.random.default_rng(0)
    before = np.random.get_state()[1].tolist(), random.getstate()
    draws = (lambda: np.random.rand(), lambda: random.random(), lambda: own.normal())
    for draw in draws:
        with pytest.raises(CaptureError, match="draws random numbers from NumPy or Python's random.*use torch.rand"):
            torch.compile(lambda x, draw=draw: x * draw())(x_(3))
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before
    for seeded in (lambda: torch.manual_seed(1), lambda: torch.Generator()):
        with pytest.raises(CaptureError, match=r"manual_seed\(\) at .*; seed and make generators before the call"):
            torch.compile(lambda x, seeded=seeded: (seeded(), x)[1])(x_(3))


def test_random_fills():
    def program(wrap):
        @wrap
        def f(x):
            noise = torch.empty(3).uniform_(-1, 1) + torch.zeros(3).exponential_() + x.clone().normal_(2, 3)
            return noise, torch.zeros(4).bernoulli_(0.5), torch.empty(2, dtype=torch.int64).random_(0, 9)

        return [f(x_(3, seed=k)) for k in range(3)]

    both(program, [1])
