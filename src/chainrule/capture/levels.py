"""A captured function of which somebody wants to know more than it returns: one program per level of curiosity.

Who listens (``switches.listeners``) gets a tape per capture, on which it notes values of the program while the function
runs on symbols: parts 0, 1, 2 ... of a row of numbers, and whole arrays. The program of level n gives parts 0 to n
beside its results (and the arrays, if it is the last), computed in the kernels that make the values. Rows are handed
over in bulk, after as many calls as the tapes have room for.

A listener has ``first_sight(function)`` (should this call run uncompiled?), ``begin(tracer)``, ``end()`` (the tape, or
None if there is nothing to note), ``add(levels)`` (they may hold rows). A tape has ``parts`` (lists of values),
``arrays`` (values), ``room`` (calls), ``costs(nanoseconds)`` (told what a call takes, estimated), ``schedule(n)`` (the
levels of the next n calls), ``begins(levels)`` (they do now) and ``take(records)`` with records
``(level, row as bytes, arguments, arrays)``.
"""

import copy
import math
import time

import numpy as np

from ..compiler.ir import Instr, Program

PERIOD = 0.2  # seconds after which rows are handed over
MOST = 256  # calls after which they are
MOST_BYTES = 1 << 26  # of arguments that are kept until then


class Level:
    """What one program gives beside the results. ``row``: the array that its numbers are written to."""

    def __init__(self, number, values, dtype, levels):
        self.number, self.levels = number, levels
        self.note, self.ways, self.turned = levels.records.append, levels.ways, levels.turned
        self.row = np.empty(sum(v.size for v in values), dtype)
        self.places, start = [], 0
        for v in values:
            self.places.append(self.row[start : start + v.size].reshape(v.shape))
            start += v.size

    def noted(self, leaves, arrays):
        self.note((self.number, self.row.tobytes(), leaves, tuple(arrays)))


class Levels:
    """Stands where an ``Entry`` stands; ``entry`` is the capture, not built."""

    def __init__(self, entry, tapes, options):
        self.entry, self.tapes, self.options = entry, tapes, options
        self.listeners, self.once = entry.listeners, entry.once
        values = [v for t in tapes for part in t.parts for v in part]
        self.dtype = "float64" if any(v.dtype == "float64" for v in values) else "float32"
        b = entry.lowering
        for t in tapes:
            t.parts = [[b.convert(v, self.dtype) for v in part] for part in t.parts]
            t.dtype = self.dtype
        sources = zip(entry.program.inputs, entry.sources, strict=True)
        self.given = 1 + sum(v.nbytes for v, (kind, _) in sources if kind == "leaf")  # bytes of the arguments
        self.records = []
        self.made = {}
        self.turns = []  # the programs of the next calls, the next one last
        self.ways = []  # their short ways
        self.calls = 0
        self.room = 1
        self.since = time.monotonic()
        self.open = True
        self.refill()
        for who in self.listeners:
            who.add(self)

    @property
    def fast(self):
        return self.turns[-1].fast

    def built(self, number):
        """The program of a level, made when it is first needed."""
        made = self.made.get(number)
        if made is None:
            last = number == max(len(t.parts) for t in self.tapes) - 1
            values = [v for t in self.tapes for part in t.parts[: number + 1] for v in part]
            arrays = [v for t in self.tapes for v in t.arrays] if last else []
            made = self.made[number] = copy.copy(self.entry)
            made.level = Level(number, values, self.dtype, self)
            made.program = copied(self.entry.program, values + arrays)
            made.extra = len(self.entry.program.outputs)
            for name in ("sources", "presence", "has_grad"):
                setattr(made, name, list(getattr(made, name)))
            made.build(self.options)
            if len(self.made) == 1:
                schedule = getattr(made.executable, "schedule", None)
                for t in self.tapes:
                    t.costs(math.inf if schedule is None else schedule.cost)
        return made

    def holds(self):
        del self.turns[len(self.ways) :]  # short ways take turns by themselves
        return self.turns[-1].holds()

    def fits(self, leaves):
        return self.turns[-1].fits(leaves)

    def stale(self):
        return self.entry.stale()

    def __call__(self, leaves, fresh=False):
        result = self.turns[-1](leaves, fresh)
        self.ways.pop()
        self.turned()
        return result

    def turned(self):
        """A call is done: it is the turn of the next program."""
        if self.ways:
            del self.turns[len(self.ways) :]
        else:
            self.hand_over()
            self.refill()
        self.entry.compiled.last = self.ways[-1]

    def refill(self):
        """The programs of the next calls: as many as have been made, at first, so that nothing is said late."""
        now = time.monotonic()
        each = (now - self.since) / max(self.room, 1)
        self.since = now
        done = max(self.calls, 1)
        limit = min([t.room for t in self.tapes] + [MOST_BYTES // self.given])
        self.room = n = max(1, min(done, MOST, limit, int(PERIOD / max(each, 1e-9)) if self.calls else 1))
        levels = self.tapes[0].schedule(n)
        for t in self.tapes[1:]:
            levels = list(map(max, levels, t.schedule(n)))
        levels.reverse()
        made = {k: self.built(k) for k in set(levels)}
        ways = {k: e.fast for k, e in made.items()}
        self.turns[:] = map(made.__getitem__, levels)
        self.ways[:] = map(ways.__getitem__, levels)
        for t in self.tapes:
            t.begins(self)

    def hand_over(self):
        """Give the tapes what was noted so far."""
        records = self.records[:]
        self.records.clear()
        self.calls += len(records)
        if not records or not self.open:
            return
        start = 0
        if len(self.tapes) == 1:
            self.tapes[0].take(records)
            return
        for t in self.tapes:
            own = []
            for level, row, args, arrays in records:
                sizes = [sum(v.size for part in o.parts[: level + 1] for v in part) for o in self.tapes]
                k = self.tapes.index(t)
                whole = np.frombuffer(row, self.dtype)
                before = sum(sizes[:k])
                mine = arrays[start : start + len(t.arrays)] if arrays else ()
                own.append((min(level, len(t.parts) - 1), whole[before : before + sizes[k]].tobytes(), args, mine))
            start += len(t.arrays)
            t.take(own)


def copied(program, more):
    """The program with ``more`` values among its outputs, as objects of its own."""
    new, known = Program(), {}

    def own(v):
        if v not in known:
            known[v] = new.value(v.shape, v.dtype, v.name)
        return known[v]

    new.inputs = [own(v) for v in program.inputs]
    new.constants = {own(v): a for v, a in program.constants.items()}
    for i in program.instrs:
        fresh = Instr(i.op, [own(v) for v in i.inputs], dict(i.params), [own(v) for v in i.outputs], i.site)
        for nr, v in enumerate(fresh.outputs):
            v.instr, v.nr = fresh, nr
        new.instrs.append(fresh)
    new.outputs = [own(v) for v in (*program.outputs, *more)]
    new.writes = {k: own(v) for k, v in program.writes.items()}
    new.checks, new.lasting = program.checks, program.lasting
    return new
