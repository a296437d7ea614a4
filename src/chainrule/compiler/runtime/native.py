"""The runtime itself as LLVM text: the walk over a schedule, the call from Python, and the thread pool.

All its state lies in arrays of 64-bit words that Python makes (``FRAME``, ``POOL``, ``SLOT``, ``RECORD``, ``EXTERNAL``
name the words).

A parallel task is a *job*. Its chunks are cut into one range per participant; each takes half of what is left of its
own range until nothing is left, then goes on with the others' ranges. So a thread meets the same part of the data in
every task while all are there, and one that is late or was put to sleep by the system delays nobody: the caller waits
only for threads that joined. The word ``state`` says everything about joining, in one compare-and-swap:
generation << 32 | open << 16 | how many have joined.
"""

import sys

LINE = 8  # words in a cache line


def _words(text):
    return {name: i for i, name in enumerate(text.split())}


FRAME = _words(
    "records tasks busy status scratch stamps have want dirty buffers starts places offsets args externals"
    " externals_count pool_cell threaded tick failed array_type tuple_items last_tick debug interval"
)
RECORD = _words("fn args chunks flags index ranges ranges_count spare")
EXTERNAL = _words("buffer nd dims strides descr flags spare1 spare2")
POOL = {
    **_words("state stop threads"),
    **{n: LINE * 2 + i for n, i in _words("fn args chunks control").items()},
    **{n: LINE * 4 + i for n, i in _words("owner").items()},
    **{n: LINE * 6 + i for n, i in _words("sleepers wakes").items()},
    "mutex": LINE * 8,  # at most 256 bytes each
    "condition": LINE * 12,
    "slots": LINE * 16,
}
SLOT = _words("next scratch pool index ranges spare")
SLOT_WORDS = LINE * 2

PARALLEL, CALLBACK, TICK, BOUNDS = 1, 2, 4, 8  # flags of a record
DONE, BUSY, NO_POOL, COUNT, LAYOUT = 0, 1, 2, 3, 4  # what a call returns; STOPPED + status if it was stopped
STOPPED = 16
RAISED, INTERRUPTED, OUT_OF_BOUNDS = 1, 2, 3  # status

_CLOCK = {"linux": 1, "darwin": 6}
SPIN = 50_000  # ns that an idle thread spins before it sleeps
threads_supported = sys.platform in _CLOCK


def _at(name, base, words, field):
    return f"  %{name} = getelementptr i64, ptr %{base}, i64 {words[field]}\n"


def _get(name, base, words, field, kind="i64"):
    return _at(name + ".at", base, words, field) + f"  %{name} = load {kind}, ptr %{name}.at, align 8\n"


def _put(value, base, words, field, kind="i64", tag=""):
    name = f"{base}.{field}{tag}.to"
    return _at(name, base, words, field) + f"  store {kind} {value}, ptr %{name}, align 8\n"


def _x86(target):
    return target.triple.startswith(("x86_64", "i686"))


def _pause(target):
    """Tells the core that this is a spinning loop."""
    if _x86(target):
        return "  call void @llvm.x86.sse2.pause()\n"
    if target.triple.startswith(("aarch64", "arm64")):
        return "  call void @llvm.aarch64.hint(i32 1)\n"
    return ""


def _clock(target):
    """``i64 @cr.now()``: nanoseconds of a clock that never goes back."""
    clock = _CLOCK.get(sys.platform)
    if clock is None:
        return "define i64 @cr.now() {\n  %t = call i64 @llvm.readcyclecounter()\n  ret i64 %t\n}\n"
    return f"""define i64 @cr.now() {{
  %t = alloca [2 x i64], align 8
  %rc = call i32 @clock_gettime(i32 {clock}, ptr %t)
  %s = load i64, ptr %t, align 8
  %n.at = getelementptr i64, ptr %t, i64 1
  %n = load i64, ptr %n.at, align 8
  %sn = mul i64 %s, 1000000000
  %all = add i64 %sn, %n
  ret i64 %all
}}
"""


def _control(target):
    """How a thread takes over the caller's floating-point control word (rounding, flushing of subnormals)."""
    if not _x86(target):
        return """define i64 @cr.control() {
  ret i64 0
}
define void @cr.set_control(i64 %c) {
  ret void
}
"""
    return """define i64 @cr.control() {
  %w = alloca i32, align 4
  call void @llvm.x86.sse.stmxcsr(ptr %w)
  %c = load i32, ptr %w, align 4
  %clear = and i32 %c, -64
  %r = zext i32 %clear to i64
  ret i64 %r
}
define void @cr.set_control(i64 %c) {
  %w = alloca i32, align 4
  %t = trunc i64 %c to i32
  store i32 %t, ptr %w, align 4
  call void @llvm.x86.sse.ldmxcsr(ptr %w)
  ret void
}
"""


def _share():
    """A participant's part of a job: its own range by halves, then what is left of the others'."""
    return f"""define internal void @cr.share(ptr %pool, i64 %me, ptr %fn, ptr %args, i64 %chunks, i64 %n, ptr %scratch) {{
entry:
  %slots = getelementptr i64, ptr %pool, i64 {POOL["slots"]}
  br label %victim
victim:
  %k = phi i64 [ 0, %entry ], [ %k.next, %leave ]
  %v0 = add i64 %me, %k
  %wrap = icmp uge i64 %v0, %n
  %v1 = sub i64 %v0, %n
  %v = select i1 %wrap, i64 %v1, i64 %v0
  %vend0 = add i64 %v, 1
  %vend1 = mul i64 %vend0, %chunks
  %end = udiv i64 %vend1, %n
  %w = mul i64 %v, {SLOT_WORDS}
  %slot = getelementptr i64, ptr %slots, i64 %w
  %next = getelementptr i64, ptr %slot, i64 {SLOT["next"]}
  br label %look
look:
  %begin = load atomic i64, ptr %next monotonic, align 8
  %left = sub i64 %end, %begin
  %some = icmp sgt i64 %left, 0
  br i1 %some, label %take, label %leave
take:
  %half0 = add i64 %left, 1
  %half = lshr i64 %half0, 1
  %upto = add i64 %begin, %half
  %try = cmpxchg ptr %next, i64 %begin, i64 %upto acq_rel monotonic
  %got = extractvalue {{ i64, i1 }} %try, 1
  br i1 %got, label %work, label %look
work:
  call void %fn(ptr %args, i64 %begin, i64 %upto, ptr %scratch)
  br label %look
leave:
  %k.next = add i64 %k, 1
  %more = icmp ult i64 %k.next, %n
  br i1 %more, label %victim, label %done
done:
  ret void
}}
"""


def _dispatch(target):
    """The caller's side of a job: publish, take part, close, wait for those who joined."""
    return f"""define internal void @cr.dispatch(ptr %pool, ptr %fn, ptr %args, i64 %chunks, ptr %scratch) {{
entry:
{_get("n", "pool", POOL, "threads")}{_put("%fn", "pool", POOL, "fn", "ptr")}{_put("%args", "pool", POOL, "args", "ptr")}\
{_put("%chunks", "pool", POOL, "chunks")}  %control = call i64 @cr.control()
{_put("%control", "pool", POOL, "control")}  %slots = getelementptr i64, ptr %pool, i64 {POOL["slots"]}
  br label %cut
cut:
  %i = phi i64 [ 0, %entry ], [ %i.next, %cut ]
  %b0 = mul i64 %i, %chunks
  %b = udiv i64 %b0, %n
  %w = mul i64 %i, {SLOT_WORDS}
  %slot = getelementptr i64, ptr %slots, i64 %w
  %next = getelementptr i64, ptr %slot, i64 {SLOT["next"]}
  store atomic i64 %b, ptr %next monotonic, align 8
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %n
  br i1 %more, label %cut, label %publish
publish:
{_at("state", "pool", POOL, "state")}  %old = load atomic i64, ptr %state monotonic, align 8
  %gen0 = lshr i64 %old, 32
  %gen1 = add i64 %gen0, 1
  %gen = shl i64 %gen1, 32
  %open = or i64 %gen, 65536
  store atomic i64 %open, ptr %state seq_cst, align 8
  call void @cr.rouse(ptr %pool)
  call void @cr.share(ptr %pool, i64 0, ptr %fn, ptr %args, i64 %chunks, i64 %n, ptr %scratch)
  %closed = atomicrmw and ptr %state, i64 -65537 acq_rel
  br label %wait
wait:
  %turn = phi i64 [ 0, %publish ], [ %turn.next, %again ]
  %s = load atomic i64, ptr %state acquire, align 8
  %joined = and i64 %s, 65535
  %alone = icmp eq i64 %joined, 0
  br i1 %alone, label %done, label %spin
spin:
{_pause(target)}  %turn.next = add i64 %turn, 1
  %low = and i64 %turn.next, 2047
  %patience = icmp eq i64 %low, 0
  br i1 %patience, label %yield, label %again
yield:
  %rc = call i32 @sched_yield()
  br label %again
again:
  br label %wait
done:
  ret void
}}
define internal void @cr.rouse(ptr %pool) {{
{_at("sleepers.at", "pool", POOL, "sleepers")}  %sleepers = load atomic i64, ptr %sleepers.at seq_cst, align 8
  %none = icmp eq i64 %sleepers, 0
  br i1 %none, label %done, label %wake
wake:
{_at("mutex", "pool", POOL, "mutex")}{_at("condition", "pool", POOL, "condition")}\
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}}
define internal void @cr.hello(ptr %pool) {{
{_at("wakes", "pool", POOL, "wakes")}  %w = atomicrmw add ptr %wakes, i64 1 seq_cst
  call void @cr.rouse(ptr %pool)
  ret void
}}
define i64 @cr.claim(ptr %pool) {{
{_at("owner", "pool", POOL, "owner")}  %try = cmpxchg ptr %owner, i64 0, i64 1 acq_rel monotonic
  %got = extractvalue {{ i64, i1 }} %try, 1
  %r = zext i1 %got to i64
  ret i64 %r
}}
define void @cr.stop(ptr %pool) {{
{_at("stop", "pool", POOL, "stop")}  store atomic i64 1, ptr %stop seq_cst, align 8
{_at("mutex", "pool", POOL, "mutex")}{_at("condition", "pool", POOL, "condition")}\
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  ret void
}}
"""


def _worker(target):
    """A pool thread: join open jobs; spin for a while when there is none, then sleep until roused."""
    return f"""define ptr @cr.worker(ptr %slot) {{
entry:
{_get("pool", "slot", SLOT, "pool", "ptr")}{_get("me", "slot", SLOT, "index")}{_get("n", "pool", POOL, "threads")}\
{_at("state", "pool", POOL, "state")}{_at("stop", "pool", POOL, "stop")}{_at("wakes", "pool", POOL, "wakes")}\
{_at("sleepers", "pool", POOL, "sleepers")}{_at("mutex", "pool", POOL, "mutex")}{_at("condition", "pool", POOL, "condition")}\
  br label %fresh
fresh:
  %seen = phi i64 [ 0, %entry ], [ %gen, %joined ], [ %seen, %woken ]
  %start = call i64 @cr.now()
  %known = load atomic i64, ptr %wakes seq_cst, align 8
  br label %look
look:
  %turn = phi i64 [ 0, %fresh ], [ %turn, %lost ], [ %turn.next, %spin ], [ 0, %still ]
  %s = load atomic i64, ptr %state acquire, align 8
  %gen = lshr i64 %s, 32
  %new = icmp ne i64 %gen, %seen
  %bit = and i64 %s, 65536
  %isopen = icmp ne i64 %bit, 0
  %job = and i1 %new, %isopen
  br i1 %job, label %join, label %idle
join:
  %s1 = add i64 %s, 1
  %try = cmpxchg ptr %state, i64 %s, i64 %s1 acq_rel monotonic
  %in = extractvalue {{ i64, i1 }} %try, 1
  br i1 %in, label %joined, label %lost
lost:
  br label %look
joined:
{_get("fn", "pool", POOL, "fn", "ptr")}{_get("args", "pool", POOL, "args", "ptr")}{_get("chunks", "pool", POOL, "chunks")}\
{_get("control", "pool", POOL, "control")}{_get("scratch", "slot", SLOT, "scratch", "ptr")}\
  call void @cr.set_control(i64 %control)
  call void @cr.share(ptr %pool, i64 %me, ptr %fn, ptr %args, i64 %chunks, i64 %n, ptr %scratch)
  %left = atomicrmw sub ptr %state, i64 1 release
  br label %fresh
idle:
  %end = load atomic i64, ptr %stop monotonic, align 8
  %quit = icmp ne i64 %end, 0
  br i1 %quit, label %bye, label %tired
tired:
  %turn.next = add i64 %turn, 1
  %low = and i64 %turn.next, 63
  %ask = icmp eq i64 %low, 0
  br i1 %ask, label %clock, label %spin
clock:
  %now = call i64 @cr.now()
  %idle.for = sub i64 %now, %start
  %long = icmp ugt i64 %idle.for, {SPIN}
  br i1 %long, label %bed, label %still
still:
  br label %look
spin:
{_pause(target)}  br label %look
bed:
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  %up = atomicrmw add ptr %sleepers, i64 1 seq_cst
  br label %check
check:
  %cs = load atomic i64, ptr %state seq_cst, align 8
  %cgen = lshr i64 %cs, 32
  %cnew = icmp ne i64 %cgen, %seen
  %cbit = and i64 %cs, 65536
  %copen = icmp ne i64 %cbit, 0
  %cjob = and i1 %cnew, %copen
  %cstop = load atomic i64, ptr %stop seq_cst, align 8
  %cquit = icmp ne i64 %cstop, 0
  %cwakes = load atomic i64, ptr %wakes seq_cst, align 8
  %called = icmp ne i64 %cwakes, %known
  %r0 = or i1 %cjob, %cquit
  %reason = or i1 %r0, %called
  br i1 %reason, label %rise, label %sleep
sleep:
  %c = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %check
rise:
  %down = atomicrmw sub ptr %sleepers, i64 1 seq_cst
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %woken
woken:
  br label %fresh
bye:
  ret ptr null
}}
"""


def _walk():
    """The tasks in order; returns the status. ``pool`` is null where the caller works alone."""
    return f"""define internal i64 @cr.walk(ptr %f, ptr %pool) {{
entry:
{_get("records", "f", FRAME, "records", "ptr")}{_get("tasks", "f", FRAME, "tasks")}\
{_get("scratch", "f", FRAME, "scratch", "ptr")}{_get("stamps", "f", FRAME, "stamps", "ptr")}\
{_at("status", "f", FRAME, "status")}{_put("0", "f", FRAME, "status")}\
  %alone = icmp eq ptr %pool, null
  %timed = icmp ne ptr %stamps, null
  %any = icmp ne i64 %tasks, 0
  br i1 %timed, label %first, label %begin
first:
  %t0 = call i64 @cr.now()
  store i64 %t0, ptr %stamps, align 8
  br label %begin
begin:
  br i1 %any, label %task, label %fine
task:
  %i = phi i64 [ 0, %begin ], [ %i.next, %next ]
  %word = mul i64 %i, {len(RECORD)}
  %r = getelementptr i64, ptr %records, i64 %word
{_get("fn", "r", RECORD, "fn", "ptr")}{_get("args", "r", RECORD, "args", "ptr")}{_get("chunks", "r", RECORD, "chunks")}\
{_get("flags", "r", RECORD, "flags")}  %plain = icmp eq i64 %flags, 0
  br i1 %plain, label %serial, label %special
serial:
  call void %fn(ptr %args, i64 0, i64 %chunks, ptr %scratch)
  br label %after
special:
  %bounds = and i64 %flags, {BOUNDS}
  %checked = icmp ne i64 %bounds, 0
  br i1 %checked, label %arm, label %timely
arm:
{_get("dbg", "f", FRAME, "debug", "ptr")}{_get("ranges", "r", RECORD, "ranges", "ptr")}\
{_get("count", "r", RECORD, "ranges_count")}  store ptr %ranges, ptr %dbg, align 8
  %dbg1 = getelementptr i64, ptr %dbg, i64 1
  store i64 %count, ptr %dbg1, align 8
  %dbg2 = getelementptr i64, ptr %dbg, i64 2
  store ptr %status, ptr %dbg2, align 8
  br label %each
each:
  %c = phi i64 [ 0, %arm ], [ %c.next, %each ]
  %c.next = add i64 %c, 1
  call void %fn(ptr %args, i64 %c, i64 %c.next, ptr %scratch)
  %c.more = icmp ult i64 %c.next, %chunks
  br i1 %c.more, label %each, label %after
timely:
  %tick = and i64 %flags, {TICK}
  %ticks = icmp ne i64 %tick, 0
  br i1 %ticks, label %ask, label %kind
ask:
  %now = call i64 @cr.now()
{_get("last", "f", FRAME, "last_tick")}{_get("interval", "f", FRAME, "interval")}  %since = sub i64 %now, %last
  %due = icmp sgt i64 %since, %interval
  br i1 %due, label %python, label %kind
python:
{_put("%now", "f", FRAME, "last_tick")}{_get("tick.fn", "f", FRAME, "tick", "ptr")}  %signal = call i64 %tick.fn(i64 -1)
  %go = icmp eq i64 %signal, 0
  br i1 %go, label %kind, label %interrupted
interrupted:
  store i64 {INTERRUPTED}, ptr %status, align 8
  br label %stopped
kind:
  %cb = and i64 %flags, {CALLBACK}
  %iscb = icmp ne i64 %cb, 0
  br i1 %iscb, label %callback, label %parallel
callback:
{_get("index", "r", RECORD, "index")}  %rc = call i64 %fn(i64 %index)
  %ok = icmp eq i64 %rc, 0
  br i1 %ok, label %after, label %raised
raised:
  store i64 {RAISED}, ptr %status, align 8
  br label %stopped
parallel:
  %par = and i64 %flags, {PARALLEL}
  %notpar = icmp eq i64 %par, 0
  %single = or i1 %notpar, %alone
  br i1 %single, label %serial, label %together
together:
  call void @cr.dispatch(ptr %pool, ptr %fn, ptr %args, i64 %chunks, ptr %scratch)
  br label %after
after:
  br i1 %timed, label %stamp, label %check
stamp:
  %t = call i64 @cr.now()
  %k = add i64 %i, 1
  %stamp.at = getelementptr i64, ptr %stamps, i64 %k
  store i64 %t, ptr %stamp.at, align 8
  br label %check
check:
  %s = load atomic i64, ptr %status monotonic, align 8
  %good = icmp eq i64 %s, 0
  br i1 %good, label %next, label %stopped
next:
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %tasks
  br i1 %more, label %task, label %fine
stopped:
{_put("%i", "f", FRAME, "failed")}  %why = load i64, ptr %status, align 8
  %code = add i64 %why, {STOPPED}
  ret i64 %code
fine:
  ret i64 {DONE}
}}
define internal void @cr.move(ptr %f, i64 %buffer, i64 %address) {{
entry:
{_get("have", "f", FRAME, "have", "ptr")}  %slot = getelementptr i64, ptr %have, i64 %buffer
  %old = load i64, ptr %slot, align 8
  %same = icmp eq i64 %old, %address
  br i1 %same, label %done, label %changed
changed:
  store i64 %address, ptr %slot, align 8
{_get("starts", "f", FRAME, "starts", "ptr")}{_get("places", "f", FRAME, "places", "ptr")}\
{_get("offsets", "f", FRAME, "offsets", "ptr")}{_get("args", "f", FRAME, "args", "ptr")}\
  %s.at = getelementptr i64, ptr %starts, i64 %buffer
  %first = load i64, ptr %s.at, align 8
  %e.at = getelementptr i64, ptr %s.at, i64 1
  %last = load i64, ptr %e.at, align 8
  %any = icmp ult i64 %first, %last
  br i1 %any, label %place, label %done
place:
  %p = phi i64 [ %first, %changed ], [ %p.next, %place ]
  %p.at = getelementptr i64, ptr %places, i64 %p
  %where = load i64, ptr %p.at, align 8
  %o.at = getelementptr i64, ptr %offsets, i64 %p
  %offset = load i64, ptr %o.at, align 8
  %value = add i64 %address, %offset
  %a.at = getelementptr i64, ptr %args, i64 %where
  store i64 %value, ptr %a.at, align 8
  %p.next = add i64 %p, 1
  %more = icmp ult i64 %p.next, %last
  br i1 %more, label %place, label %done
done:
  ret void
}}
"""


def _entry():
    """The call from Python: take the schedule, look at the arrays, re-point what moved, walk."""
    return f"""define i64 @cr.call(ptr %f, ptr %tuple) {{
entry:
{_at("busy", "f", FRAME, "busy")}  %try = cmpxchg ptr %busy, i64 0, i64 1 acq_rel monotonic
  %mine = extractvalue {{ i64, i1 }} %try, 1
  br i1 %mine, label %enter, label %occupied
occupied:
  ret i64 {BUSY}
enter:
{_get("count", "f", FRAME, "externals_count")}{_get("externals", "f", FRAME, "externals", "ptr")}\
{_get("items.off", "f", FRAME, "tuple_items")}{_get("array.type", "f", FRAME, "array_type")}\
  %size.at = getelementptr i8, ptr %tuple, i64 16
  %size = load i64, ptr %size.at, align 8
  %items = getelementptr i8, ptr %tuple, i64 %items.off
  %fits = icmp eq i64 %size, %count
  br i1 %fits, label %some, label %miscount
miscount:
  br label %out
some:
  %any = icmp ne i64 %count, 0
  br i1 %any, label %array, label %arrays.done
array:
  %e = phi i64 [ 0, %some ], [ %e.next, %accept ]
  %word = mul i64 %e, {len(EXTERNAL)}
  %spec = getelementptr i64, ptr %externals, i64 %word
  %item.at = getelementptr ptr, ptr %items, i64 %e
  %item = load ptr, ptr %item.at, align 8
  %type.at = getelementptr i8, ptr %item, i64 8
  %type = load i64, ptr %type.at, align 8
  %isarray = icmp eq i64 %type, %array.type
  br i1 %isarray, label %layout, label %wrong
layout:
{_get("nd", "spec", EXTERNAL, "nd")}{_get("dims", "spec", EXTERNAL, "dims", "ptr")}\
{_get("strides", "spec", EXTERNAL, "strides", "ptr")}{_get("descr", "spec", EXTERNAL, "descr")}\
{_get("need", "spec", EXTERNAL, "flags")}{_get("buffer", "spec", EXTERNAL, "buffer")}\
  %item.nd = getelementptr i8, ptr %item, i64 24
  %its.nd32 = load i32, ptr %item.nd, align 4
  %its.nd = sext i32 %its.nd32 to i64
  %item.d = getelementptr i8, ptr %item, i64 56
  %its.descr = load i64, ptr %item.d, align 8
  %item.f = getelementptr i8, ptr %item, i64 64
  %its.flags32 = load i32, ptr %item.f, align 4
  %its.flags = zext i32 %its.flags32 to i64
  %nd.ok = icmp eq i64 %its.nd, %nd
  %descr.ok = icmp eq i64 %its.descr, %descr
  %f.has = and i64 %its.flags, %need
  %flags.ok = icmp eq i64 %f.has, %need
  %ok0 = and i1 %nd.ok, %descr.ok
  %ok1 = and i1 %ok0, %flags.ok
  br i1 %ok1, label %shape, label %wrong
shape:
  %item.dims = getelementptr i8, ptr %item, i64 32
  %its.dims = load ptr, ptr %item.dims, align 8
  %item.strides = getelementptr i8, ptr %item, i64 40
  %its.strides = load ptr, ptr %item.strides, align 8
  %contiguous = icmp eq ptr %strides, null
  %scalar = icmp eq i64 %nd, 0
  br i1 %scalar, label %accept, label %dim
dim:
  %d = phi i64 [ 0, %shape ], [ %d.next, %dim.next ]
  %want.at = getelementptr i64, ptr %dims, i64 %d
  %want = load i64, ptr %want.at, align 8
  %has.at = getelementptr i64, ptr %its.dims, i64 %d
  %has = load i64, ptr %has.at, align 8
  %dim.ok = icmp eq i64 %want, %has
  br i1 %dim.ok, label %stride, label %wrong
stride:
  br i1 %contiguous, label %dim.next, label %stride.look
stride.look:
  %swant.at = getelementptr i64, ptr %strides, i64 %d
  %swant = load i64, ptr %swant.at, align 8
  %shas.at = getelementptr i64, ptr %its.strides, i64 %d
  %shas = load i64, ptr %shas.at, align 8
  %stride.ok = icmp eq i64 %swant, %shas
  br i1 %stride.ok, label %dim.next, label %wrong
dim.next:
  %d.next = add i64 %d, 1
  %d.more = icmp ult i64 %d.next, %nd
  br i1 %d.more, label %dim, label %accept
accept:
  %data.at = getelementptr i8, ptr %item, i64 16
  %data = load i64, ptr %data.at, align 8
  call void @cr.move(ptr %f, i64 %buffer, i64 %data)
  %e.next = add i64 %e, 1
  %e.more = icmp ult i64 %e.next, %count
  br i1 %e.more, label %array, label %arrays.done
wrong:
{_put("%e", "f", FRAME, "failed")}  br label %out
arrays.done:
{_get("dirty", "f", FRAME, "dirty")}  %clean = icmp eq i64 %dirty, 0
  br i1 %clean, label %ready, label %repoint
repoint:
{_put("0", "f", FRAME, "dirty")}{_get("buffers", "f", FRAME, "buffers")}{_get("wanted", "f", FRAME, "want", "ptr")}\
  %has.buffers = icmp ne i64 %buffers, 0
  br i1 %has.buffers, label %buffer.move, label %ready
buffer.move:
  %bi = phi i64 [ 0, %repoint ], [ %bi.next, %buffer.next ]
  %ba.at = getelementptr i64, ptr %wanted, i64 %bi
  %ba = load i64, ptr %ba.at, align 8
  %set = icmp ne i64 %ba, 0
  br i1 %set, label %buffer.set, label %buffer.next
buffer.set:
  call void @cr.move(ptr %f, i64 %bi, i64 %ba)
  br label %buffer.next
buffer.next:
  %bi.next = add i64 %bi, 1
  %bi.more = icmp ult i64 %bi.next, %buffers
  br i1 %bi.more, label %buffer.move, label %ready
ready:
{_get("threaded", "f", FRAME, "threaded")}  %parallel = icmp ne i64 %threaded, 0
  br i1 %parallel, label %find, label %solo
find:
{_get("cell", "f", FRAME, "pool_cell", "ptr")}  %pool.word = load atomic i64, ptr %cell acquire, align 8
  %nopool = icmp eq i64 %pool.word, 0
  br i1 %nopool, label %out, label %have.pool
have.pool:
  %ispool = icmp ne i64 %pool.word, 1
  br i1 %ispool, label %own, label %solo
own:
  %pool = inttoptr i64 %pool.word to ptr
{_at("owner", "pool", POOL, "owner")}  %claim = cmpxchg ptr %owner, i64 0, i64 1 acq_rel monotonic
  %owned = extractvalue {{ i64, i1 }} %claim, 1
  br i1 %owned, label %team, label %solo
team:
  call void @cr.hello(ptr %pool)
  %team.code = call i64 @cr.walk(ptr %f, ptr %pool)
  store atomic i64 0, ptr %owner release, align 8
  br label %out
solo:
  %solo.code = call i64 @cr.walk(ptr %f, ptr null)
  br label %out
out:
  %code = phi i64 [ {COUNT}, %miscount ], [ {LAYOUT}, %wrong ], [ {NO_POOL}, %find ], [ %team.code, %team ], [ %solo.code, %solo ]
  store atomic i64 0, ptr %busy release, align 8
  ret i64 %code
}}
"""


_NO_THREADS = """define internal void @cr.dispatch(ptr %pool, ptr %fn, ptr %args, i64 %chunks, ptr %scratch) {
  call void %fn(ptr %args, i64 0, i64 %chunks, ptr %scratch)
  ret void
}
define internal void @cr.hello(ptr %pool) {
  ret void
}
"""

DECLARES = (
    "declare i32 @clock_gettime(i32, ptr)",
    "declare i32 @sched_yield()",
    "declare i32 @pthread_mutex_lock(ptr)",
    "declare i32 @pthread_mutex_unlock(ptr)",
    "declare i32 @pthread_cond_wait(ptr, ptr)",
    "declare i32 @pthread_cond_broadcast(ptr)",
)


def texts(target):
    """The runtime's functions as texts for ``load``: symbol -> definition; ``ENTRIES`` are called from outside."""
    body = _walk() + _entry() + _clock(target)
    if not threads_supported:
        return {"cr.call": _NO_THREADS + body}
    return {"cr.call": _control(target) + _share() + _dispatch(target) + _worker(target) + body}


ENTRIES = ("cr.now", "cr.worker", "cr.claim", "cr.stop") if threads_supported else ("cr.now",)
