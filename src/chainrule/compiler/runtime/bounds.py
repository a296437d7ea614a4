"""Bounds checks: a rewriting of LLVM text in which every access to memory asks first.

While a task runs in debug mode, ``state`` names the memory it may touch: its operands' buffers, the array of their
addresses, and its scratch. An access outside of it is noted, ends the run after the task, and goes to a waste area
instead, so that nothing is overwritten. A masked access counts from its first to its last active lane. Memory of the
function's own (``alloca``) and constants are not checked; functions outside (a BLAS) neither. A kernel that no
schedule calls touches what it likes.
"""

import functools
import re
import threading
import types

from .arena import aligned

_WASTE = 1 << 16
lock = threading.RLock()  # one checked schedule at a time: `state` is the process's
waste = aligned(_WASTE)
state = aligned(8 * 16).view(
    "int64"
)  # ranges, how many, address of the status; then of the first violation: address, bytes


def check_texts():
    """The functions that instrumented texts call; the address of ``state`` is in them, so they are made per process."""
    s = f"ptr inttoptr (i64 {state.ctypes.data} to ptr)"
    w = f"ptr inttoptr (i64 {waste.ctypes.data} to ptr)"
    text = f"""define ptr @cr.check(ptr %p, i64 %bytes) {{
entry:
  %ranges = load ptr, {s}, align 8
  %count.at = getelementptr i64, {s}, i64 1
  %count = load i64, ptr %count.at, align 8
  %a = ptrtoint ptr %p to i64
  %z = add i64 %a, %bytes
  %empty = icmp eq i64 %bytes, 0
  %free = icmp eq ptr %ranges, null
  %nothing = or i1 %empty, %free
  br i1 %nothing, label %good, label %any
any:
  %some = icmp ne i64 %count, 0
  br i1 %some, label %range, label %bad
range:
  %i = phi i64 [ 0, %any ], [ %i.next, %next ]
  %two = shl i64 %i, 1
  %lo.at = getelementptr i64, ptr %ranges, i64 %two
  %lo = load i64, ptr %lo.at, align 8
  %hi.at = getelementptr i64, ptr %lo.at, i64 1
  %hi = load i64, ptr %hi.at, align 8
  %above = icmp uge i64 %a, %lo
  %below = icmp ule i64 %z, %hi
  %in = and i1 %above, %below
  br i1 %in, label %good, label %next
next:
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %count
  br i1 %more, label %range, label %bad
good:
  ret ptr %p
bad:
  %st.at = getelementptr i64, {s}, i64 2
  %st = load ptr, ptr %st.at, align 8
  %old = load i64, ptr %st, align 8
  %first = icmp eq i64 %old, 0
  br i1 %first, label %note, label %aside
note:
  store i64 3, ptr %st, align 8
  %where = getelementptr i64, {s}, i64 3
  store i64 %a, ptr %where, align 8
  %size = getelementptr i64, {s}, i64 4
  store i64 %bytes, ptr %size, align 8
  br label %aside
aside:
  ret {w}
}}
define ptr @cr.check.mask(ptr %p, i64 %mask, i64 %size) {{
  %none = icmp eq i64 %mask, 0
  br i1 %none, label %good, label %look
look:
  %low = call i64 @llvm.cttz.i64(i64 %mask, i1 true)
  %lead = call i64 @llvm.ctlz.i64(i64 %mask, i1 true)
  %high = sub i64 64, %lead
  %n = sub i64 %high, %low
  %skip = mul i64 %low, %size
  %bytes = mul i64 %n, %size
  %q = getelementptr i8, ptr %p, i64 %skip
  %r = call ptr @cr.check(ptr %q, i64 %bytes)
  %ok = icmp eq ptr %r, %q
  br i1 %ok, label %good, label %bad
good:
  ret ptr %p
bad:
  ret ptr %r
}}
"""
    return {"cr.check": text}


_NAME = r'(?:[A-Za-z$._][\w$.\-]*|[0-9]+|"[^"]*")'


@functools.cache
def _patterns():
    """The instructions that are rewritten and those that say what a pointer is; compiled when first needed."""
    name, value = _NAME, r"^(\s*(?:%\S+ = )?"
    volatile = "(?:atomic )?(?:volatile )?"
    sources = {
        "load": rf"^(\s*%\S+ = load {volatile}(.+), ptr )(%{name})((?:\s|,).*)?$",
        "store": rf"^(\s*store {volatile}(.+), ptr )(%{name})((?:\s|,).*)?$",
        "atomic": value
        + rf"(?:atomicrmw (?:volatile )?\w+|cmpxchg (?:weak )?(?:volatile )?)\s*ptr )(%{name}), (\S+)(.*)$",
        "call": value
        + r"(?:tail |musttail |notail )?call .*?@llvm\.(masked\.\w+|memcpy|memmove|memset)[\w.]*\()(.*)(\).*)$",
        "local": r"^\s*(%\S+) = alloca\b",
        "derived": rf"^\s*(%\S+) = getelementptr .*?, ptr (\(?[%@]{name})",
        "pointer": rf"^ptr\b.*?(%{name}|\S+)$",
    }
    return types.SimpleNamespace(**{key: re.compile(source) for key, source in sources.items()})


_SCALAR = {"half": 2, "bfloat": 2, "float": 4, "double": 8, "ptr": 8}
_DECLARE = "declare ptr @cr.check(ptr, i64)\ndeclare ptr @cr.check.mask(ptr, i64, i64)\n"


def instrument(text):
    """The same text with a check before every load, store, masked access, gather, scatter, atomic and memory intrinsic.

    One instruction must stand on one line. The functions of ``check_texts`` must be known to the linker.
    """
    out, own, count = [_DECLARE], set(), 0
    for line in text.splitlines(keepends=True):
        if line.startswith("define"):
            own = set()
        m = _patterns().local.match(line)
        if m:
            own.add(m.group(1))
        m = _patterns().derived.match(line)
        if m and (m.group(2).lstrip("(")[0] == "@" or m.group(2) in own):
            own.add(m.group(1))
        rewritten = _rewrite(line.rstrip("\n"), own, count)
        if rewritten is None:
            out.append(line)
        else:
            count += 1
            out.append(rewritten + "\n")
    return "".join(out)


def _rewrite(line, own, k):
    """The line with checks before it, or None if it needs none; ``k`` makes new names unique."""
    if ";" in line and '"' not in line:
        line = line[: line.index(";")].rstrip()
    new = f"%cr.b{k}"
    m = _patterns().load.match(line)
    if m:
        head, kind, pointer, tail = m.group(1), m.group(2), m.group(3), m.group(4) or ""
    else:
        m = _patterns().store.match(line)
        if m:
            head, kind, pointer, tail = m.group(1), _leading_type(m.group(2)), m.group(3), m.group(4) or ""
    if m:
        if pointer in own:
            return None
        return f"  {new} = call ptr @cr.check(ptr {pointer}, i64 {_size(kind)})\n{head}{new}{tail}"
    m = _patterns().atomic.match(line)
    if m:
        head, pointer, kind, tail = m.groups()
        if pointer in own:
            return None
        return f"  {new} = call ptr @cr.check(ptr {pointer}, i64 {_size(kind)})\n{head}{new}, {kind}{tail}"
    m = _patterns().call.match(line)
    if m is None:
        return None
    head, what, inside, tail = m.groups()
    args = [a.strip() for a in _split(inside)]
    made = _memory(args, own, new) if what.startswith("mem") else _masked(what[len("masked.") :], head, args, own, new)
    if made is None:
        return None
    before, args = made
    return "".join(f"  {b}\n" for b in before) + head + ", ".join(args) + tail


def _memory(args, own, new):
    """memcpy, memmove, memset: both areas; if one is not inside, nothing is moved."""
    before, length = [], args[2]
    places = [i for i in (0, 1) if args[i].startswith("ptr")]
    for i in places:
        pointer = _patterns().pointer.match(args[i]).group(1)
        if pointer in own or pointer[0] != "%":
            continue
        fine, kept = f"{new}.{i}.ok", f"{new}.{i}.n"
        before.append(f"{new}.{i} = call ptr @cr.check(ptr {pointer}, {args[2]})")
        before.append(f"{fine} = icmp eq ptr {new}.{i}, {pointer}")
        kind, n = length.split()
        before.append(f"{kept} = select i1 {fine}, {kind} {n}, {kind} 0")
        length = f"{kind} {kept}"
    if not before:
        return None
    # A length that was a constant of an `.inline` intrinsic must stay one; those are small enough to be waste.
    return before, [args[0], args[1], length, *args[3:]]


def _masked(what, head, args, own, new):
    """masked.load, .store, .gather, .scatter, .expandload, .compressstore."""
    mask = next(a for a in reversed(args) if re.match(r"<\d+ x i1>", a))
    n = int(re.match(r"<(\d+)", mask).group(1))
    at = next(i for i, a in enumerate(args) if re.match(r"ptr\b|<\d+ x ptr>", a))
    kind = (
        _leading_type(args[0])
        if what in ("store", "scatter", "compressstore")
        else _leading_type(head.split("call ", 1)[1])
    )
    kind = kind[kind.index(" x ") + 3 : -1]
    size = _size(kind)
    before = []
    if args[at].startswith("<"):
        lanes = known = args[at].split(">", 1)[1].split()[-1]
        for i in range(n):
            before += [
                f"{new}.m{i} = extractelement {mask}, i64 {i}",
                f"{new}.n{i} = select i1 {new}.m{i}, i64 {size}, i64 0",
                f"{new}.p{i} = extractelement <{n} x ptr> {lanes}, i64 {i}",
                f"{new}.q{i} = call ptr @cr.check(ptr {new}.p{i}, i64 {new}.n{i})",
                f"{new}.v{i} = insertelement <{n} x ptr> {known}, ptr {new}.q{i}, i64 {i}",
            ]
            known = f"{new}.v{i}"
        return before, [*args[:at], args[at].rsplit(lanes, 1)[0] + f"{new}.v{n - 1}", *args[at + 1 :]]
    pointer = _patterns().pointer.match(args[at]).group(1)
    if pointer in own or pointer[0] != "%":
        return None
    before.append(f"{new}.m = bitcast {mask} to i{n}")
    wide = f"{new}.m"
    if n < 64:
        before.append(f"{new}.w = zext i{n} {new}.m to i64")
        wide = f"{new}.w"
    if what in ("expandload", "compressstore"):
        before.append(f"{new}.c = call i64 @llvm.ctpop.i64(i64 {wide})")
        before.append(f"{new}.s = mul i64 {new}.c, {size}")
        before.append(f"{new} = call ptr @cr.check(ptr {pointer}, i64 {new}.s)")
    else:
        before.append(f"{new} = call ptr @cr.check.mask(ptr {pointer}, i64 {wide}, i64 {size})")
    return before, [*args[:at], args[at][: -len(pointer)] + new, *args[at + 1 :]]


def _split(text):
    """The parts of an argument list, cut at commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        if c in "<([{":
            depth += 1
        elif c in ">)]}":
            depth -= 1
        elif c == "," and not depth:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]]


def _leading_type(text):
    """The type at the start of ``type value``, possibly after words such as ``fast``."""
    text = re.sub(r"^(?:(?:nsz|arcp|contract|afn|fast|nnan|ninf|reassoc)\s+)+", "", text.strip())
    if text[0] in "<[{":
        depth = 0
        for i, c in enumerate(text):
            depth += (c in "<[{") - (c in ">]}")
            if not depth:
                return text[: i + 1]
    return text.split()[0]


def _size(kind):
    """How many bytes a value of the type takes in memory, as LLVM text."""
    kind = kind.strip()
    m = re.fullmatch(r"i(\d+)", kind)
    if m:
        return (int(m.group(1)) + 7) // 8
    if kind in _SCALAR:
        return _SCALAR[kind]
    m = re.fullmatch(r"<(\d+) x i(\d+)>", kind)
    if m:
        return (int(m.group(1)) * int(m.group(2)) + 7) // 8
    m = re.fullmatch(r"[<\[](\d+) x (.*)[>\]]", kind)
    if m:
        return int(m.group(1)) * _size(m.group(2))
    raise ValueError(f"bounds checks: a type whose size is not known: {kind!r}")


def describe(task, buffers):
    """What to say of the first violation; ``buffers`` are (name, address, bytes) of the task's operands."""
    at, n = int(state[3]), int(state[4])
    near = ""
    if buffers:
        name, base, size = min(buffers, key=lambda b: max(b[1] - at, at + n - (b[1] + b[2]), 0))
        near = f"; the nearest buffer is {name!r}, {size} bytes, and the access begins at its byte {at - base}"
    kernel = task.kernel
    title = f" ({kernel.title})" if kernel.title else ""
    return f"out of bounds: {kernel.name}{title} touches {n} bytes outside its operands{near}"
