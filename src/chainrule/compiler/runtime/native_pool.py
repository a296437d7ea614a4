"""The thread pool as LLVM text: sharing out a task's chunks, and the loop of a pool thread.

A parallel task is a *job*. Its chunks are cut into one range per participant; each takes half of what is left of its
own range until nothing is left, then goes on with the others' ranges. So a thread meets the same part of the data in
every task while all are there, and one that is late or was put to sleep by the system delays nobody: the caller waits
only for threads that joined. The word ``state`` says everything about joining, in one compare-and-swap:
generation << 32 | open << 16 | how many have joined.
"""

from .layout import CLOCK, expand, x86

# A participant's part of a job: its own range by halves, then what is left of the others'.
_SHARE = """define internal void @cr.share(ptr %pool, i64 %me, ptr %fn, ptr %args, i64 %chunks, i64 %n, ptr %scratch) {
entry:
  %slots = place %pool.slots
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
  %w = mul i64 %v, $SLOT_WORDS
  %slot = getelementptr i64, ptr %slots, i64 %w
  %next = place %slot.next
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
  %got = extractvalue { i64, i1 } %try, 1
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
}
"""

# The caller's side of a job: publish, take part, close, wait for those who joined.
_DISPATCH = """define internal void @cr.dispatch(ptr %pool, ptr %fn, ptr %args, i64 %chunks, ptr %scratch) {
entry:
  %n = get i64 %pool.threads
  put ptr %fn, %pool.fn
  put ptr %args, %pool.args
  put i64 %chunks, %pool.chunks
  %control = call i64 @cr.control()
  put i64 %control, %pool.control
  %slots = place %pool.slots
  br label %cut
cut:
  %i = phi i64 [ 0, %entry ], [ %i.next, %cut ]
  %b0 = mul i64 %i, %chunks
  %b = udiv i64 %b0, %n
  %w = mul i64 %i, $SLOT_WORDS
  %slot = getelementptr i64, ptr %slots, i64 %w
  %next = place %slot.next
  store atomic i64 %b, ptr %next monotonic, align 8
  %i.next = add i64 %i, 1
  %more = icmp ult i64 %i.next, %n
  br i1 %more, label %cut, label %publish
publish:
  %state = place %pool.state
  %old = load atomic i64, ptr %state monotonic, align 8
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
  pause
  %turn.next = add i64 %turn, 1
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
}
define internal void @cr.rouse(ptr %pool) {
  %sleepers.at = place %pool.sleepers
  %sleepers = load atomic i64, ptr %sleepers.at seq_cst, align 8
  %none = icmp eq i64 %sleepers, 0
  br i1 %none, label %done, label %wake
wake:
  %mutex = place %pool.mutex
  %condition = place %pool.condition
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %done
done:
  ret void
}
define internal void @cr.hello(ptr %pool) {
  %wakes = place %pool.wakes
  %w = atomicrmw add ptr %wakes, i64 1 seq_cst
  call void @cr.rouse(ptr %pool)
  ret void
}
define i64 @cr.claim(ptr %pool) {
  %owner = place %pool.owner
  %try = cmpxchg ptr %owner, i64 0, i64 1 acq_rel monotonic
  %got = extractvalue { i64, i1 } %try, 1
  %r = zext i1 %got to i64
  ret i64 %r
}
define void @cr.stop(ptr %pool) {
  %stop = place %pool.stop
  store atomic i64 1, ptr %stop seq_cst, align 8
  %mutex = place %pool.mutex
  %condition = place %pool.condition
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  ret void
}
"""

# A pool thread: join open jobs; spin for a while when there is none, then sleep until roused.
_WORKER = """define ptr @cr.worker(ptr %slot) {
entry:
  %pool = get ptr %slot.pool
  %me = get i64 %slot.index
  %n = get i64 %pool.threads
  %state = place %pool.state
  %stop = place %pool.stop
  %wakes = place %pool.wakes
  %sleepers = place %pool.sleepers
  %mutex = place %pool.mutex
  %condition = place %pool.condition
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
  %in = extractvalue { i64, i1 } %try, 1
  br i1 %in, label %joined, label %lost
lost:
  br label %look
joined:
  %fn = get ptr %pool.fn
  %args = get ptr %pool.args
  %chunks = get i64 %pool.chunks
  %control = get i64 %pool.control
  %scratch = get ptr %slot.scratch
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
  %long = icmp ugt i64 %idle.for, $SPIN
  br i1 %long, label %bed, label %still
still:
  br label %look
spin:
  pause
  br label %look
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
}
"""

_CONTROL = """define i64 @cr.control() {
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

_NO_CONTROL = """define i64 @cr.control() {
  ret i64 0
}
define void @cr.set_control(i64 %c) {
  ret void
}
"""

# Where there are no POSIX threads: the caller does it all.
_NO_THREADS = """define internal void @cr.dispatch(ptr %pool, ptr %fn, ptr %args, i64 %chunks, ptr %scratch) {
  call void %fn(ptr %args, i64 0, i64 %chunks, ptr %scratch)
  ret void
}
define internal void @cr.hello(ptr %pool) {
  ret void
}
"""

THREADS = CLOCK is not None
EXPORTS = ("cr.worker", "cr.claim", "cr.stop") if THREADS else ()
DECLARES = (
    "declare i32 @sched_yield()",
    "declare i32 @pthread_mutex_lock(ptr)",
    "declare i32 @pthread_mutex_unlock(ptr)",
    "declare i32 @pthread_cond_wait(ptr, ptr)",
    "declare i32 @pthread_cond_broadcast(ptr)",
)


def text(target):
    """The functions of the pool; they call ``cr.now``."""
    if not THREADS:
        return _NO_THREADS
    # A thread takes over the caller's floating-point control word (rounding, flushing of subnormals).
    control = _CONTROL if x86(target) else _NO_CONTROL
    return expand(control + _SHARE + _DISPATCH + _WORKER, target)
