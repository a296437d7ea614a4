"""The walk over a schedule's tasks and the call from Python, as LLVM text (the words are those of layout.py)."""

from . import native_pool
from .layout import CLOCK, expand
from .native_kernels import KERNELS

# The tasks in order; returns the status. ``pool`` is null where the caller works alone.
_WALK = """define internal i64 @cr.walk(ptr %f, ptr %pool) {
entry:
  %records = get ptr %f.records
  %tasks = get i64 %f.tasks
  %scratch = get ptr %f.scratch
  %stamps = get ptr %f.stamps
  %status = place %f.status
  put i64 0, %f.status
  put i64 0, %f.last_tick
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
  %word = mul i64 %i, $RECORD
  %r = getelementptr i64, ptr %records, i64 %word
  %fn = get ptr %r.fn
  %args = get ptr %r.args
  %chunks = get i64 %r.chunks
  %flags = get i64 %r.flags
  %plain = icmp eq i64 %flags, 0
  br i1 %plain, label %serial, label %special
serial:
  call void %fn(ptr %args, i64 0, i64 %chunks, ptr %scratch)
  br label %after
special:
  %bounds = and i64 %flags, $BOUNDS
  %checked = icmp ne i64 %bounds, 0
  br i1 %checked, label %arm, label %timely
arm:
  %dbg = get ptr %f.debug
  %ranges = get ptr %r.ranges
  %count = get i64 %r.ranges_count
  store ptr %ranges, ptr %dbg, align 8
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
  %tick = and i64 %flags, $TICK
  %ticks = icmp ne i64 %tick, 0
  br i1 %ticks, label %ask, label %kind
ask:
  %now = call i64 @cr.now()
  %last = get i64 %f.last_tick
  %interval = get i64 %f.interval
  %since = sub i64 %now, %last
  %due = icmp sgt i64 %since, %interval
  %early = icmp eq i64 %last, 0
  br i1 %early, label %reset, label %asked
reset:
  put i64 %now, %f.last_tick
  br label %kind
asked:
  br i1 %due, label %python, label %kind
python:
  put i64 %now, %f.last_tick
  %tick.fn = get ptr %f.tick
  %signal = call i64 %tick.fn(i64 -1)
  %go = icmp eq i64 %signal, 0
  br i1 %go, label %kind, label %interrupted
interrupted:
  store i64 $INTERRUPTED, ptr %status, align 8
  br label %stopped
kind:
  %cb = and i64 %flags, $CALLBACK
  %iscb = icmp ne i64 %cb, 0
  br i1 %iscb, label %callback, label %parallel
callback:
  %index = get i64 %r.index
  %rc = call i64 %fn(i64 %index)
  %ok = icmp eq i64 %rc, 0
  br i1 %ok, label %after, label %raised
raised:
  store i64 $RAISED, ptr %status, align 8
  br label %stopped
parallel:
  %par = and i64 %flags, $PARALLEL
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
  put i64 %i, %f.failed
  %why = load i64, ptr %status, align 8
  %code = add i64 %why, $STOPPED
  ret i64 %code
fine:
  put i64 1, %f.done
  ret i64 $DONE
}
define internal void @cr.move(ptr %f, i64 %buffer, i64 %address) {
entry:
  %have = get ptr %f.have
  %slot = getelementptr i64, ptr %have, i64 %buffer
  %old = load i64, ptr %slot, align 8
  %same = icmp eq i64 %old, %address
  br i1 %same, label %done, label %changed
changed:
  store i64 %address, ptr %slot, align 8
  %starts = get ptr %f.starts
  %places = get ptr %f.places
  %offsets = get ptr %f.offsets
  %args = get ptr %f.args
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
}
"""

# The call from Python: take the schedule, look at the arrays, re-point what moved, walk.
_ENTRY = """define i64 @cr.call(ptr %f, ptr %tuple) {
entry:
  %busy = place %f.busy
  %try = cmpxchg ptr %busy, i64 0, i64 1 acq_rel monotonic
  %mine = extractvalue { i64, i1 } %try, 1
  br i1 %mine, label %enter, label %occupied
occupied:
  ret i64 $BUSY
enter:
  put i64 0, %f.done
  %count = get i64 %f.externals_count
  %externals = get ptr %f.externals
  %items.off = get i64 %f.tuple_items
  %array.type = get i64 %f.array_type
  %kind.at = getelementptr i8, ptr %tuple, i64 8
  %kind = load i64, ptr %kind.at, align 8
  %kind.tuple = get i64 %f.tuple_type
  %is.tuple = icmp eq i64 %kind, %kind.tuple
  br i1 %is.tuple, label %counted, label %miscount
counted:
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
  %word = mul i64 %e, $EXTERNAL
  %spec = getelementptr i64, ptr %externals, i64 %word
  %item.at = getelementptr ptr, ptr %items, i64 %e
  %item = load ptr, ptr %item.at, align 8
  %type.at = getelementptr i8, ptr %item, i64 8
  %type = load i64, ptr %type.at, align 8
  %isarray = icmp eq i64 %type, %array.type
  br i1 %isarray, label %layout, label %wrong
layout:
  %nd = get i64 %spec.nd
  %dims = get ptr %spec.dims
  %strides = get ptr %spec.strides
  %descr = get i64 %spec.descr
  %need = get i64 %spec.flags
  %buffer = get i64 %spec.buffer
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
  put i64 %e, %f.failed
  br label %out
arrays.done:
  %dirty = get i64 %f.dirty
  %clean = icmp eq i64 %dirty, 0
  br i1 %clean, label %ready, label %repoint
repoint:
  put i64 0, %f.dirty
  %buffers = get i64 %f.buffers
  %wanted = get ptr %f.want
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
  %threaded = get i64 %f.threaded
  %parallel = icmp ne i64 %threaded, 0
  br i1 %parallel, label %find, label %solo
find:
  %cell = get ptr %f.pool_cell
  %pool.word = load atomic i64, ptr %cell acquire, align 8
  %nopool = icmp eq i64 %pool.word, 0
  br i1 %nopool, label %out, label %have.pool
have.pool:
  %ispool = icmp ne i64 %pool.word, 1
  br i1 %ispool, label %own, label %solo
own:
  %pool = inttoptr i64 %pool.word to ptr
  %owner = place %pool.owner
  %claim = cmpxchg ptr %owner, i64 0, i64 1 acq_rel monotonic
  %owned = extractvalue { i64, i1 } %claim, 1
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
  %code = phi i64 [ $COUNT, %miscount ], [ $LAYOUT, %wrong ], [ $NO_POOL, %find ],
    [ %team.code, %team ], [ %solo.code, %solo ]
  store atomic i64 0, ptr %busy release, align 8
  ret i64 %code
}
"""

# The same as a Python method of one argument, the tuple; its object is the array that holds the frame. The global lock
# is released unless the step is so short that handing it back and forth costs more.
_METHOD = """define ptr @cr.method(ptr %self, ptr %tuple) {
entry:
  %data = getelementptr i8, ptr %self, i64 16
  %f = load ptr, ptr %data, align 8
  %release = get i64 %f.release
  %short = icmp eq i64 %release, 0
  br i1 %short, label %held, label %free
held:
  %held.code = call i64 @cr.call(ptr %f, ptr %tuple)
  br label %out
free:
  %thread = call ptr @PyEval_SaveThread()
  %free.code = call i64 @cr.call(ptr %f, ptr %tuple)
  call void @PyEval_RestoreThread(ptr %thread)
  br label %out
out:
  %code = phi i64 [ %held.code, %held ], [ %free.code, %free ]
  %result = call ptr @PyLong_FromLongLong(i64 %code)
  ret ptr %result
}
"""

# Nanoseconds of a clock that never goes back.
_NOW = f"""define i64 @cr.now() {{
  %t = alloca [2 x i64], align 8
  %rc = call i32 @clock_gettime(i32 {CLOCK}, ptr %t)
  %s = load i64, ptr %t, align 8
  %n.at = getelementptr i64, ptr %t, i64 1
  %n = load i64, ptr %n.at, align 8
  %sn = mul i64 %s, 1000000000
  %all = add i64 %sn, %n
  ret i64 %all
}}
"""

# Where there is no such clock, cycles.
_CYCLES = """define i64 @cr.now() {
  %t = call i64 @llvm.readcyclecounter()
  ret i64 %t
}
"""

EXPORTS = ("cr.method", "cr.now", "cr.copy", "cr.verify", *native_pool.EXPORTS)
PYTHON = ("PyEval_SaveThread", "PyEval_RestoreThread", "PyLong_FromLongLong")
DECLARES = (
    "declare ptr @PyEval_SaveThread()",
    "declare void @PyEval_RestoreThread(ptr)",
    "declare ptr @PyLong_FromLongLong(i64)",
    "declare i32 @clock_gettime(i32, ptr)",
    *native_pool.DECLARES,
)


def text(target):
    """The whole runtime; ``cr.call`` is the entry, ``EXPORTS`` are called from outside too."""
    now = _CYCLES if CLOCK is None else _NOW
    return native_pool.text(target) + now + expand(_WALK + _ENTRY + _METHOD + KERNELS, target)
