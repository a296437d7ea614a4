"""The words that Python and native code share, and a small extension of LLVM text to speak of them by name.

In the texts of the runtime ``%x = get i64 %pool.chunks`` loads the word ``chunks`` of the pool at ``%pool``,
``put i64 %x, %pool.chunks`` stores it, ``%x = place %pool.chunks`` is its address, ``pause`` says that a loop waits,
and ``$NAME`` is a constant. The name before the dot says which table: ``f`` is a schedule's frame, ``r`` a task's
record.
"""

import re
import sys

LINE = 8  # words in a cache line


def _words(text):
    return {name: i for i, name in enumerate(text.split())}


FRAME = _words(
    "records tasks busy status scratch stamps have want dirty buffers starts places offsets args externals"
    " externals_count pool_cell threaded tick failed array_type tuple_items last_tick debug interval tuple_type release"
    " done"
)
RECORD = _words("fn args chunks flags index ranges ranges_count spare")
EXTERNAL = _words("buffer nd dims strides descr flags spare1 spare2")
POOL = {  # each group that one thread writes while others read lies in cache lines of its own
    **_words("state stop threads"),
    **{n: LINE * 2 + i for n, i in _words("fn args chunks control").items()},
    "owner": LINE * 4,
    "sleepers": LINE * 6,
    "wakes": LINE * 6 + 1,
    "mutex": LINE * 8,  # at most 256 bytes each
    "condition": LINE * 12,
    "slots": LINE * 16,
}
SLOT = _words("next scratch pool index")
SLOT_WORDS = LINE * 2

PARALLEL, CALLBACK, TICK, BOUNDS = 1, 2, 4, 8  # flags of a record
DONE, BUSY, NO_POOL, COUNT, LAYOUT = 0, 1, 2, 3, 4  # what a call returns; STOPPED + status if it was stopped
STOPPED = 16
RAISED, INTERRUPTED, OUT_OF_BOUNDS, FAILED = 1, 2, 3, 16  # status; FAILED + k if check k of a Check task was true

PIECE = 1 << 16  # bytes of a copy that are one chunk
SPIN = 50_000  # ns that an idle thread spins before it sleeps
CLOCK = {"linux": 1, "darwin": 6}.get(sys.platform)  # CLOCK_MONOTONIC; None where there are no POSIX threads

_TABLES = {"f": FRAME, "r": RECORD, "spec": EXTERNAL, "pool": POOL, "slot": SLOT}
_CONSTANTS = {
    **{name: value for name, value in globals().items() if name.isupper() and isinstance(value, int)},
    "RECORD": len(RECORD),
    "EXTERNAL": len(EXTERNAL),
}
_GET = re.compile(r"^  (%\S+) = get (\w+) %(\w+)\.(\w+)$", re.M)
_PUT = re.compile(r"^  put (\w+) (\S+), %(\w+)\.(\w+)$", re.M)
_PLACE = re.compile(r"^  (%\S+) = place %(\w+)\.(\w+)$", re.M)


def x86(target):
    """Whether the target is an Intel or AMD processor."""
    return target.triple.startswith(("x86_64", "i686"))


def expand(text, target):
    """Plain LLVM text."""
    if x86(target):
        pause = "  call void @llvm.x86.sse2.pause()\n"
    elif target.triple.startswith(("aarch64", "arm64")):
        pause = "  call void @llvm.aarch64.hint(i32 1)\n"
    else:
        pause = ""

    def word(name, base, field):
        return f"  {name} = getelementptr i64, ptr %{base}, i64 {_TABLES[base][field]}"

    def get(m):
        name, kind, base, field = m.groups()
        return f"{word(name + '.at', base, field)}\n  {name} = load {kind}, ptr {name}.at, align 8"

    def put(m):
        kind, value, base, field = m.groups()
        to = f"%{base}.{field}.to{m.start()}"
        return f"{word(to, base, field)}\n  store {kind} {value}, ptr {to}, align 8"

    text = re.sub(r"\$([A-Z_]+)", lambda m: str(_CONSTANTS[m.group(1)]), text)
    text = _PLACE.sub(lambda m: word(*m.groups()), text)
    return _PUT.sub(put, _GET.sub(get, text)).replace("  pause\n", pause)
