"""The short way of a call: the same as ``Entry.holds`` and ``Entry.__call__``, spelled out for one program.

A small step takes a few microseconds, so what stands around it must take less. The text of a function is written for
the program, with every tensor and every test by name; if anything is not as it was it returns ``MISS`` before anything
has happened, and the long way decides.
"""

from operator import is_
from sys import getrefcount

import numpy as np

from ..compiler.runtime import CheckError, ScheduleError
from ..config import defaults, modes, switches
from ..handle import Tensor

MISS = object()
_EQUAL = (int, float, bool, str, bytes, np.generic, range, slice)  # as good as another one that is equal


def like(t):
    return t._data.shape, t._data.dtype


def fast_call(entry):
    """A function of the arguments, or None if the program needs the long way."""
    schedule = getattr(entry.executable, "schedule", None)
    views = any(kind == "view" for kind, _ in entry.outs)
    if schedule is None or entry.cut is not None or not entry.flat or entry.slow or views:
        return None
    names = {
        "MISS": MISS, "Tensor": Tensor, "switches": switches, "modes": modes, "defaults": defaults, "empty": np.empty,
        "rc": getrefcount, "is_": is_, "kept": entry.kept, "enter": schedule.enter, "again": schedule.again,
        "ScheduleError": ScheduleError, "CheckError": CheckError, "new": object.__new__,
        "default_dtype": defaults.dtype, "entry": entry,
    }  # fmt: skip

    def name(thing, kind):
        for known, x in names.items():
            if x is thing:
                return known
        names[f"{kind}{len(names)}"] = thing
        return f"{kind}{len(names) - 1}"

    lines = ["def call(args):"]
    add = lines.append
    grad = modes.grad
    mode = "switches.threads_off and not modes.grad" if grad else "modes.grad"
    add(f"  if len(args) != {entry.leaves} or ({mode}) or switches.structure != entry.structure")
    lines[-1] += " or defaults.dtype is not default_dtype: return MISS"
    if entry.leaves:
        add("  " + "".join(f"a{i}, " for i in range(entry.leaves)) + "= args")
    for i, x in enumerate(entry.example):
        if isinstance(x, bool):  # a tensor: does it require a gradient
            add(f"  if not isinstance(a{i}, Tensor) or a{i}._requires_grad is not {x}: return MISS")
        else:
            known = name(x[0], "const")
            other = f" and (type(a{i}) is not type({known}) or a{i} != {known})" if isinstance(x[0], _EQUAL) else ""
            add(f"  if a{i} is not {known}{other}: return MISS")
    tensors = [i for i, x in enumerate(entry.example) if isinstance(x, bool)]
    read = {where for k, (kind, where) in enumerate(entry.sources) if kind == "leaf" and k in entry.executable.inputs}
    for i in tensors:
        if i not in read:  # the native side does not see it
            shape, dtype = entry.like[i]
            add(f"  if a{i}._data.shape != {shape} or a{i}._data.dtype != {name(dtype, 'd')}: return MISS")
    for j in tensors:
        for i in tensors:
            if i < j and entry.like[i] == entry.like[j]:
                add(f"  if a{i} is a{j}: return MISS")
        known = [where for kind, where in entry.sources if kind == "tensor" and entry.like[j] == like(where)]
        if known:
            add(f"  if id(a{j}) in {name({id(t) for t in known}, 'ids')}: return MISS")
        if entry.roots:
            add(f"  d = a{j}._data")
            add(
                f"  if id(d) in {name(entry.roots, 'roots')} or (d.base is not None and entry.meets(a{j})): return MISS"
            )
    for holder, key, value in entry.numbers:
        place = f"{name(holder, 'h')}.get({key!r})" if isinstance(holder, dict) else f"{name(holder, 'h')}.{key}"
        add(f"  if {place} is not {name(value, 'v')}: return MISS")
    for contents in entry.contents:
        if type(contents.of) is list and type(contents.held) is list:
            h, held = name(contents.of, "list"), name(contents.held, "held")
            add(f"  if len({h}) != {len(contents.held)} or not all(map(is_, {h}, {held})): return MISS")
        else:
            add(f"  if not {name(contents, 'contents')}.holds(): return MISS")
    for number in entry.hypers:
        n = name(number, "n")
        at = f"{name(number.optimizer, 'o')}.param_groups[{number.group}][{number.key!r}]"
        at += "" if number.place is None else f"[{number.place}]"
        add(f"  if {at} is not {n}.seen and not {n}.renew(): return MISS")
    for t, present in entry.presence:
        add(f"  if {name(t, 't')}._grad is {'None' if present else 'not None'}: return MISS")
    for t, requires in entry.tensors:
        add(f"  if {name(t, 't')}._requires_grad is not {requires}: return MISS")
    for optimizer, p, made in entry.made:
        state = name(optimizer, "o")
        add(f"  s = {state}.state.get({name(p, 't')})")
        add("  if s is None" + "".join(f" or {n!r} not in s" for n in made) + ": return MISS")
    arrays, level = [], entry.level
    used = set(entry.executable.inputs)
    for k, (kind, source) in enumerate(entry.sources):
        if k not in used:
            continue
        if kind == "leaf":
            arrays.append(f"a{source}._data")
        elif kind == "tensor":
            arrays.append(f"{name(source, 't')}._data")
        elif kind == "number":
            arrays.append(f"{name(source, 'n')}.array")
        elif kind == "state":
            optimizer, p, key = source
            arrays.append(f"{name(optimizer, 'o')}.state[{name(p, 't')}][{key!r}]._data")
        else:
            arrays.append(f"{name(source, 't')}._grad._data")
    for k, (shape, dtype) in enumerate(entry.shapes):
        if k in entry.checks:
            continue
        if entry.first_grad <= k < entry.last_grad:
            add(f"  g{k} = kept[{k}]")
            add(f"  if g{k} is None or rc(g{k}) > 4 or rc(g{k}._data) > 2:")
            add(f"    g{k} = kept[{k}] = Tensor._wrap(empty({shape}, {name(dtype, 'd')}))")
            arrays.append(f"g{k}._data")
        elif level is not None and 0 <= k - entry.extra < len(level.places):
            arrays.append(name(level.places[k - entry.extra], "place"))
        else:
            add(f"  y{k} = empty({shape}, {name(dtype, 'd')})")
            arrays.append(f"y{k}")
    add(f"  arrays = ({''.join(a + ', ' for a in arrays)})")
    add("  try:")
    add("    code = enter(arrays)")
    add("    if code: again(code, arrays)")
    add("  except ScheduleError as error:")
    add("    if error.index < 0: raise")
    add("    return MISS")
    if entry.checks:
        add("  except CheckError as failed: entry.complain(failed.number, args)")
    add("  except BaseException:")
    add("    entry.interrupted(args)")
    add("    raise")
    for i in entry.written:
        kind, source = entry.sources[i]
        if kind in ("leaf", "tensor"):
            t = f"a{source}" if kind == "leaf" else name(source, "t")
            add(f"  c = {t}._cell")
            add("  if c is not None:")
            add("    if len(c) > 1: c[0] += 1")
            add(f"    else: {t}._bump()")
    for t, number in entry.grads:
        if number is None:
            add(f"  {name(t, 't')}._grad = None")
        else:
            add(f"  if {name(t, 't')}._grad is not g{number}: {name(t, 't')}._grad = g{number}")
    for schedule, args in entry.later:
        add(f"  {name(schedule, 'schedule')}.step(*{name(args, 'args')})")
    if level is not None:
        names["note"], names["row"], names["ways"] = level.note, level.row, level.ways
        names["turned"], names["compiled"] = level.turned, entry.compiled
        more = range(entry.extra + len(level.places), len(entry.shapes))
        add(f"  note(({level.number}, row.tobytes(), args, ({''.join(f'y{k}, ' for k in more)})))")
        add("  ways.pop()")
        add("  if ways: compiled.last = ways[-1]")
        add("  else: turned()")
    results, made = [], {}
    for k, (kind, what) in enumerate(entry.outs):
        if kind == "value" and made.setdefault(what, k) != k:
            results.append(f"r{made[what]}")
        elif kind == "value":
            add(f"  r{k} = new(Tensor)")
            add(f"  r{k}._data = y{what}")
            results.append(f"r{k}")
        elif kind == "grad":
            results.append(f"{name(what, 't')}._grad")
        elif kind == "same":
            results.append(f"a{what}" if isinstance(what, int) else name(what, "t"))
        else:
            results.append(name(what, "other"))
    spec = entry.out_spec
    if spec is None:
        add(f"  return {results[0]}")
    else:
        names["unflatten"] = entry.unflatten
        names["spec"] = spec
        add(f"  return unflatten([{', '.join(results)}], spec)")
    exec(compile("\n".join(lines), f"<call of {entry.compiled.__name__}>", "exec"), names)
    return names["call"]
