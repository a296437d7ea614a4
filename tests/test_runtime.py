"""The runtime of compiled steps: kernels in memory, schedules, threads, callouts, bounds checks."""

import ctypes
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as cr
from chainrule.compiler.kernel import Kernel, Task
from chainrule.compiler.runtime import (
    Arena,
    At,
    Callout,
    Check,
    CheckError,
    Copy,
    External,
    Schedule,
    ScheduleError,
    aligned,
    bounds,
    jit,
    layout,
    load,
    load_kernels,
    pool,
)
from chainrule.compiler.target import host, llvm_binding
from chainrule.config import _quota, threads
from chainrule.errors import ArgumentError, ArgumentValueError, UnsupportedError
from runtime_kernels import LANES, chunk_sums, fill, loop, saxpy, through_scratch, wait

N = 64 * LANES


@pytest.fixture(autouse=True, scope="module")
def cache_folder(tmp_path_factory):
    with pytest.MonkeyPatch.context() as m:
        m.setenv("CHAINRULE_CACHE", str(tmp_path_factory.mktemp("objects")))
        yield


@pytest.fixture(autouse=True)
def thread_count():
    before = threads._count
    yield
    if threads._count != before:
        threads._count = before
        pool.release()


def make(kernels, tasks, buffers, debug=False, **more):
    library = load_kernels(kernels, host(), debug=debug)
    return Schedule(library, tasks, buffers, **more)


def vector(n=N, writable=True):
    return External((n,), "float32", writable=writable)


def random(n=N, seed=0):
    return np.random.default_rng(seed).standard_normal(n).astype("float32")


# ---- running


def test_tasks_run_in_order():
    f, s = fill(64), saxpy(64)
    step = make([f, s], [Task(f, ("x",)), Task(s, ("x", "y")), Task(s, ("y", "x"))], {"x": vector(), "y": vector()})
    x, y = np.zeros(N, "float32"), np.ones(N, "float32")
    step((x, y))
    assert (y == 7).all() and (x == 17).all()


def test_an_empty_schedule_runs():
    assert make([], [], {})() is None


def test_arrays_may_move_between_calls():
    s = saxpy(64)
    step = make([s], [Task(s, ("x", "y"))], {"x": vector(writable=False), "y": vector()})
    for seed in range(5):
        x, y = random(seed=seed), np.zeros(N, "float32")
        step((x, y))
        np.testing.assert_array_equal(y, 2 * x)
    assert step.address("y") == y.ctypes.data


def test_arena_arrays_addresses_and_offsets():
    s = saxpy(2)
    arena = Arena(4096)
    arena.view(0, (16,), "float32")[:] = 1
    held = np.arange(32, dtype="float32")
    other = np.full(16, 5, "float32")
    step = make(
        [s],
        [Task(s, ("held", "mine"), (64, 0)), Task(s, ("late", "mine"))],
        {"held": held, "mine": At(0, 64), "late": None},
        arena=arena,
    )
    step.set_address("late", other.ctypes.data)
    step()
    np.testing.assert_array_equal(arena.view(0, (16,), "float32"), 1 + 2 * held[16:] + 10)
    step.set_array("late", held[:16])
    step()
    np.testing.assert_array_equal(arena.view(0, (16,), "float32"), 1 + 4 * held[16:] + 10 + 2 * held[:16])


def test_strided_and_zero_dimensional_externals():
    s = saxpy(1)
    e = External((2, 2, 2), "float32", (4, 8, 16))
    step = make([s], [Task(s, ("x", "y"))], {"x": e, "y": vector(8), "n": External((), "float64")})
    x = np.arange(8, dtype="float32").reshape(2, 2, 2).T
    y = np.zeros(8, "float32")
    step((x, y, np.array(1.0)))
    np.testing.assert_array_equal(y, 2 * np.arange(8))
    with pytest.raises(ScheduleError, match=r"x must be a float32\[2, 2, 2\] with strides \(4, 8, 16\), got"):
        step((np.ascontiguousarray(x), y, np.array(1.0)))


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (lambda y: y.astype("float64"), r"y must be a writable float32\[512\] in C order, got float64\[512\]"),
        (lambda y: y[:-1], r"got float32\[511\]"),
        (lambda y: y[None], r"got float32\[1, 512\]"),
        (lambda y: np.zeros(2 * N, "float32")[::2], r"with strides \(8,\)"),
        (lambda y: np.frombuffer(y.tobytes(), "float32"), "read-only"),
        (lambda y: np.zeros(4 * N + 1, "uint8")[1:].view("float32"), "writable"),
        (lambda y: y.tolist(), "y must be a NumPy array float32.512., got list"),
        (lambda y: np.ma.array(y), "got MaskedArray"),
    ],
)
def test_an_array_of_another_layout_is_refused_before_anything_runs(bad, text):
    s = saxpy(64)
    step = make([s], [Task(s, ("x", "y"))], {"x": vector(writable=False), "y": vector()})
    x, y = random(), np.zeros(N, "float32")
    wrong = bad(y)
    with pytest.raises(ScheduleError, match=text) as e:
        step((x, wrong))
    assert e.value.index == 1 and (y == 0).all()
    with pytest.raises(ScheduleError, match="expected 2 arrays, got 1"):
        step((x,))
    step((x, y))
    np.testing.assert_array_equal(y, 2 * x)


def test_wrong_tables_are_refused():
    s = saxpy(1)
    with pytest.raises(ArgumentError, match="saxpy has 2 operands, the task names 1 buffers"):
        make([s], [Task(s, ("x",))], {"x": vector()})
    with pytest.raises(ArgumentError, match="refers to the buffer 'y', which `buffers` lacks"):
        make([s], [Task(s, ("x", "y"))], {"x": vector()})
    with pytest.raises(ArgumentError, match="lies in the arena, but `arena` is None"):
        make([s], [Task(s, ("x", "x"))], {"x": At(0)})
    with pytest.raises(ArgumentError, match="a buffer is At, External, an array, an address or None, got 'here'"):
        make([s], [Task(s, ("x", "x"))], {"x": "here"})


def test_times_of_tasks():
    w = wait(200_000)
    place = np.zeros(1, "int64")
    step = make([w], [Task(w, ("p",))] * 3, {"p": place}, timed=True)
    step()
    t = step.times()
    assert t.shape == (3,) and (t > 20_000).all() and place[0] == 600_000
    step.timed = False
    before = step.times().copy()
    step()
    assert not step.timed and (step.times() == before).all()
    later = make([w], [Task(w, ("p",))], {"p": place})
    with pytest.raises(ArgumentError, match="no run was timed; make the schedule with timed=True"):
        later.times()
    later.timed = True
    later()
    assert later.times()[0] > 20_000


# ---- threads


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 64])
def test_the_same_bits_for_any_number_of_threads(chunks):
    n = chunks * LANES
    kernels = [fill(chunks), saxpy(chunks), chunk_sums(chunks), through_scratch(chunks)]
    f, s, c, t = kernels
    tasks = [Task(f, ("x",)), Task(s, ("a", "x")), Task(t, ("x", "y")), Task(c, ("y", "out"))]
    step = make(kernels, tasks, {"a": vector(n), "x": vector(n), "y": vector(n), "out": vector(chunks)})
    a, results = random(n), []
    for count in (1, 2, 3, 4):
        cr.set_num_threads(count)
        out = np.zeros(chunks, "float32")
        step((a, np.zeros(n, "float32"), np.zeros(n, "float32"), out))
        results.append(out.tobytes())
        assert chunks == 1 or (pool.cell[0] == 1) == (count == 1)
    assert len(set(results)) == 1
    np.testing.assert_allclose(out, (3 + 2 * a).reshape(chunks, LANES).sum(1), rtol=1e-5)


SET_CONTROL = """define i32 @control(i32 %new) {
  %w = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %w)
  %old = load i32, ptr %w
  store i32 %new, ptr %w
  call void @llvm.x86.sse.ldmxcsr(ptr %w)
  ret i32 %old
}
"""


@pytest.mark.skipif(not host().triple.startswith("x86_64"), reason="needs MXCSR")
def test_threads_flush_subnormals_if_the_caller_does():
    library = load({"control": SET_CONTROL}, host(), debug=False)
    control = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_int32)(library.address("control"))
    cr.set_num_threads(2)
    n = 1 << 16
    s = saxpy(n // LANES)
    step = make([s], [Task(s, ("x", "y"))], {"x": vector(n), "y": vector(n)})
    x = np.full(n, 1e-40, "float32")
    for flush in (True, False) * 20:
        y = np.zeros(n, "float32")
        old = control(0x9FC0 if flush else 0x1F80)
        try:
            step((x, y))
        finally:
            control(old)
        assert len(np.unique(y)) == 1 and (y[0] == 0) == flush


@pytest.mark.parametrize("count", [2, 3, 16])
def test_many_runs_with_and_without_pauses(count):
    cr.set_num_threads(count)
    s = saxpy(16)
    step = make([s], [Task(s, ("x", "y"))] * 5, {"x": vector(128), "y": vector(128)})
    x, y = np.ones(128, "float32"), np.zeros(128, "float32")
    total = 0
    for i in range(4000):
        step((x, y))
        total += 10
        if i % 100 == 0:
            time.sleep(0.0003)  # long enough for the threads to fall asleep
    assert (y == total).all()


def test_two_threads_with_one_schedule_and_with_their_own():
    s, w = saxpy(16), wait(2000)
    shared = make(
        [s, w],
        [Task(s, ("x", "y"))] * 3 + [Task(w, ("p",))],
        {"x": vector(128), "y": vector(128), "p": np.zeros(1, "int64")},
    )
    ones, errors = np.ones(128, "float32"), []
    common = np.zeros(128, "float32")

    def work():
        try:
            own = make([s], [Task(s, ("x", "y"))] * 3, {"x": vector(128), "y": vector(128)})
            mine = np.zeros(128, "float32")
            for _ in range(400):
                own((ones, mine))
                shared((ones, common))
            assert (mine == 6 * 400).all()
        except BaseException as e:
            errors.append(e)

    both = [threading.Thread(target=work) for _ in range(3)]
    for t in both:
        t.start()
    for t in both:
        t.join(30)
    assert not errors and (common == 6 * 1200).all()


def test_a_change_of_the_thread_count_during_runs():
    s = saxpy(16)
    step = make([s], [Task(s, ("x", "y"))] * 20, {"x": vector(128), "y": vector(128)})
    x, y = np.ones(128, "float32"), np.zeros(128, "float32")
    stop = threading.Event()
    runs = 0

    def change():
        for i in range(30):
            cr.set_num_threads(2 + i % 3)
        stop.set()

    t = threading.Thread(target=change)
    t.start()
    while not stop.is_set() or runs < 10:
        step((x, y))
        runs += 1
    t.join()
    assert y[0] == min(40 * runs, 2**24) or runs * 40 > 2**24


def test_the_number_of_threads(monkeypatch):
    monkeypatch.setattr(threads, "_count", None)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,2")
    assert cr.get_num_threads() == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "none")
    assert cr.get_num_threads() == min(len(os.sched_getaffinity(0)), _quota() or 1000)
    with pytest.raises(ArgumentValueError, match="set_num_threads: expected a number of at least 1, got 0"):
        cr.set_num_threads(0)


def test_scratch_grows_in_a_pool_at_work():
    cr.set_num_threads(2)
    s, t = saxpy(64), through_scratch(64)
    step = make([s], [Task(s, ("x", "y"))], {"x": vector(), "y": vector()})
    x, y = random(), np.zeros(N, "float32")
    step((x, y))
    before = pool._current.scratch_bytes
    large = Kernel("through_scratch", t.text, 2, chunks=64, scratch=before + 1)
    step = make([large], [Task(large, ("x", "y"))], {"x": vector(), "y": vector()})
    assert pool._current.scratch_bytes > before
    for _ in range(100):
        y[:] = 0
        step((x, y))
        np.testing.assert_array_equal(y, x)


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.max": "nonsense"}, None),
        ({}, None),
    ],
)
def test_a_quota_of_processor_time_counts(tmp_path, files, count):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert _quota(str(tmp_path)) == count


def test_small_tasks_stay_on_the_calling_thread():
    small, large = saxpy(16, flops=100, bytes=100), saxpy(16, flops=10**6, bytes=10**6)
    buffers = {"x": vector(128), "y": vector(128)}
    assert not make([small], [Task(small, ("x", "y"))], buffers)._threaded
    assert make([large], [Task(large, ("x", "y"))], buffers)._threaded


# ---- other processes


def script(body, timeout=60, **more):
    """Run a program with the kernels at hand; returns the finished process."""
    head = "import sys; sys.path.insert(0, sys.argv[1])\nfrom test_runtime import *\n"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", head + textwrap.dedent(body), str(pathlib.Path(__file__).parent)],
        capture_output=True, text=True, timeout=timeout, check=False, **more,
    )  # fmt: skip


STEP = """
cr.set_num_threads(2)
s = saxpy(16)
step = make([s], [Task(s, ("x", "y"))] * 5, {"x": vector(128), "y": vector(128)})
x, y = np.ones(128, "float32"), np.zeros(128, "float32")
step((x, y))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_after_use_runs_in_both_processes():
    r = script(
        STEP
        + """
import warnings
warnings.simplefilter("ignore")  # Python 3.12 warns of fork in a process with threads
for round in range(5):
    child = os.fork()
    if not child:
        before = pool._current
        for i in range(50):
            step((x, y))
        os._exit(0 if before is None and pool._current is not None and (y == 10 * (51 + 10 * round)).all() else 1)
    for i in range(10):
        step((x, y))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (y == 510).all()
"""
    )
    assert r.returncode == 0, r.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_while_another_thread_runs_the_schedule():
    r = script(
        STEP
        + """
import warnings
warnings.simplefilter("ignore")
w = wait(3_000_000)
long = make([w], [Task(w, ("p",))] * 50, {"p": np.zeros(1, "int64")})
t = threading.Thread(target=long, daemon=True)
t.start()
time.sleep(0.02)
assert long._frame[layout.FRAME["busy"]] == 1
child = os.fork()
if not child:
    step((x, y))
    os._exit(0 if long._frame[layout.FRAME["busy"]] == 0 and (y == 20).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    )
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize(
    "end",
    [
        "",
        "time.sleep(0.01)",
        "os._exit(0)",
        "threading.Thread(target=lambda: [step((x, y)) for _ in range(10**7)], daemon=True).start()\ntime.sleep(0.05)",
    ],
    ids=["spinning", "asleep", "at once", "in the middle of a run"],
)
def test_the_interpreter_ends(end):
    start = time.monotonic()
    r = script(STEP + end, timeout=30)
    assert r.returncode == 0 and not r.stderr, r.stderr
    assert time.monotonic() - start < 20


def test_ctrl_c_ends_a_long_step():
    r = script(
        """
from chainrule.compiler.runtime import schedule
schedule._TICK_INTERVAL = 1_000_000
w = wait(300_000, flops=10**9)
place = np.zeros(1, "int64")
step = make([w], [Task(w, ("p",))] * 20_000, {"p": place})
def later():
    time.sleep(0.3)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=later).start()
start = time.monotonic()
try:
    step()
    print("not interrupted")
except KeyboardInterrupt:
    took = time.monotonic() - start
    print("interrupted" if took < 3 else took, place[0] % 300_000, place[0] < 20_000 * 300_000)
"""
    )
    assert r.stdout == "interrupted 0 True\n" and not r.stderr, r.stdout + r.stderr


def test_ctrl_c_comes_right_after_a_short_step():
    turns = 3_000_000
    w = wait(turns)
    step = make([w], [Task(w, ("p",))], {"p": np.zeros(1, "int64")})

    def press():
        while not step._frame[layout.FRAME["busy"]]:
            time.sleep(0)
        os.kill(os.getpid(), signal.SIGINT)

    t = threading.Thread(target=press)
    with pytest.raises(KeyboardInterrupt):
        t.start()
        while True:
            step()
    t.join()
    done = step.buffers["p"][0]
    assert done > 0 and done % turns == 0
    step()
    assert step.buffers["p"][0] == done + turns


def test_other_python_threads_go_on_during_a_long_step():
    w = wait(50_000_000)
    step = make([w], [Task(w, ("p",))], {"p": np.zeros(1, "int64")})
    counted, done = [0], threading.Event()

    def count():
        while not done.is_set():
            counted[0] += 1
            time.sleep(0)

    t = threading.Thread(target=count)
    t.start()
    while not counted[0]:
        time.sleep(0.001)
    before = counted[0]
    step.enter(())
    during = counted[0] - before
    done.set()
    t.join()
    assert during > 3  # none if the step kept the lock


# ---- callouts


def callout(f, *sizes):
    return Callout(f, tuple(((n,), "float32") for n in sizes), "mine")


def test_a_callout_sees_and_changes_the_buffers():
    s = saxpy(64)
    seen = []

    def double(a):
        seen.append((a.shape, a.dtype))
        a *= 2

    step = make(
        [s],
        [Task(s, ("x", "y")), Task(callout(double, N), ("y",)), Task(s, ("x", "y"))],
        {"x": vector(), "y": vector()},
    )
    x, y = random(), np.zeros(N, "float32")
    step((x, y))
    np.testing.assert_allclose(y, 6 * x, rtol=1e-6)
    assert seen == [((N,), np.dtype("float32"))]


class Ours(Exception):
    pass


@pytest.mark.parametrize("error", [Ours, KeyboardInterrupt, SystemExit])
def test_what_a_callout_raises_ends_the_step_and_comes_out(error):
    s = saxpy(64)

    def fail(a):
        raise error("from inside")

    step = make(
        [s], [Task(s, ("x", "y")), Task(callout(fail, N), ("y",)), Task(s, ("x", "y"))], {"x": vector(), "y": vector()}
    )
    x, y = random(), np.zeros(N, "float32")
    for i in range(3):
        with pytest.raises(error, match="from inside"):
            step((x, y))
        np.testing.assert_array_equal(y, (i + 1) * 2 * x)


def test_schedules_within_callouts():
    s = saxpy(64)
    buffers = {"x": vector(), "y": vector()}
    inner = make([s], [Task(s, ("x", "y"))], buffers)
    outer = make(
        [s], [Task(s, ("x", "y")), Task(callout(lambda x, y: inner((ones, total)), N, N), ("x", "y"))], buffers
    )
    ones, total = np.ones(N, "float32"), np.zeros(N, "float32")
    outer((ones, total))
    assert (total == 4).all()
    again = make([], [Task(callout(lambda x: again((x,)), N), ("x",))], {"x": vector()})
    with pytest.raises(ScheduleError, match="a callout called the schedule it belongs to"):
        again((ones,))


def test_schedules_are_freed():
    import gc
    import weakref

    step = make([], [Task(callout(lambda x: None, N), ("x",))], {"x": vector()})
    step((np.zeros(N, "float32"),))
    gone = weakref.ref(step)
    del step
    gc.collect()
    assert gone() is None


# ---- from text to machine code


def test_shared_functions_are_compiled_into_each_kernel():
    shared = {
        "twice": "define float @twice(float %x) alwaysinline {\n  %y = call float @times(float %x, float 2.0)\n  ret float %y\n}\n",
        "times": "define float @times(float %x, float %y) {\n  %z = fmul float %x, %y\n  ret float %z\n}\n",
    }
    body = (
        "  %x = load float, ptr %a0, align 4\n  %y = call float @twice(float %x)\n  store float %y, ptr %a0, align 4\n"
    )
    kernels = [loop(name, body, 1, chunks=2, needs=("twice",)) for name in ("one", "two")]
    library = load_kernels(kernels, host(), shared)
    assert list(library) == ["one", "two"]
    step = Schedule(library, [Task(k, ("x",)) for k in kernels], {"x": vector(16)})
    x = np.ones(16, "float32")
    step((x,))
    assert x[0] == 4 and x[8] == 4 and x[1] == 1
    assert "define internal float @times" in library.text("one")
    assert "ret" in library.assembly("two") and "@twice" not in library.optimized("one")
    with pytest.raises(KeyError, match="a kernel needs 'twice', which `shared` does not have"):
        load_kernels(kernels, host())


def test_declarations_are_merged():
    declare = "declare double @cos(double)"
    text = "define double @{0}(double %x) {{\n  %y = call double @cos(double %x)\n  ret double %y\n}}\n"
    texts = {"f": declare + "\n" + text.format("f"), "g": text.format("g")}
    library = load(texts, host(), declares=[declare], debug=False)
    assert library.text("f").count("declare") == 1
    assert ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(library.address("g"))(1.0) == np.cos(1.0)


def test_wrong_texts_are_named():
    with pytest.raises(RuntimeError, match="LLVM does not take the text of 'bad':(.|\n)*expected"):
        load({"bad": "define void @bad() {\n  nonsense\n}\n"}, host())
    with pytest.raises(ValueError, match="the text of 'a' does not define it; it defines .'b'."):
        load({"a": "define void @b() {\n  ret void\n}\n"}, host())
    same = "define void @b() {\n  ret void\n}\ndefine void @a() {\n  ret void\n}\n"
    with pytest.raises(ValueError, match="'b' is defined both by 'a' and by 'b'"):
        load({"a": same, "b": same}, host())
    with pytest.raises(KeyError, match="no text for the entry 'c'"):
        load({"a": same}, host(), entries=["c"])
    with pytest.raises(KeyError, match="Library: no function 'c'"):
        load({"a": same}, host()).address("c")


def test_two_kernels_of_one_name_must_be_equal():
    assert len(load_kernels([fill(3), fill(3)], host())) == 1
    with pytest.raises(ValueError, match="two kernels of different text have the name 'fill'"):
        load_kernels([fill(3), fill(3, 5.0)], host())


def test_code_that_nobody_holds_is_freed():
    library = load_kernels([fill(3, 1234.0)], host(), debug=False)
    before = len(jit._loaded)
    del library
    assert len(jit._loaded) == before - 1


def test_a_kernel_in_memory_is_not_compiled_again():
    k = fill(3, 41.0)
    first = load_kernels([k], host(), debug=False)
    second = load_kernels([k], host(), debug=False)
    assert first.compiled + first.cached == ["fill"] and second.compiled == second.cached == []
    assert first.address("fill") == second.address("fill")


@pytest.mark.parametrize("level", ["sse2", "avx2"])
def test_fewer_features(level):
    try:
        target = host(level)
    except ValueError:
        pytest.skip(f"this machine has no {level}")
    s = saxpy(64)
    step = Schedule(load_kernels([s], target), [Task(s, ("x", "y"))], {"x": vector(), "y": vector()})
    x, y = random(), np.zeros(N, "float32")
    step((x, y))
    np.testing.assert_array_equal(y, 2 * x)
    assert "zmm" not in step.library.assembly("saxpy")


def test_without_llvmlite(monkeypatch):
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    llvm_binding.cache_clear()
    monkeypatch.setattr(jit, "_ready", [])
    with pytest.raises(UnsupportedError, match=r'chainrule.compile needs llvmlite: pip install "chainrule\[compile\]"'):
        load({"a": "define void @a() {\n  ret void\n}\n"}, host())
    llvm_binding.cache_clear()


def test_arenas():
    for n in (0, 100, 5 << 20):
        a = Arena(n)
        assert a.address % 64 == 0 and a.bytes.nbytes == n and not a.bytes.any()
    assert aligned(5, 4096).ctypes.data % 4096 == 0
    with pytest.raises(ValueError, match="12 bytes at 92 do not fit into an arena of 100 bytes"):
        Arena(100).view(92, (3,), "float32")
    with pytest.raises(ValueError, match="must not be negative"):
        Arena(-1)
    a = Arena(100, guard=True)
    a.check()
    a.whole[4096 - 1] = 0
    with pytest.raises(RuntimeError, match="1 bytes written before the arena, the first at 4095"):
        a.check()


# ---- bounds


def one(body, operands=1, chunks=1, **more):
    return loop("probe", body, operands, chunks=chunks, title="a probe", **more)


ACCESSES = {
    "load": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  %v = load <4 x float>, ptr %q, align 4\n  store volatile <4 x float> %v, ptr %p0, align 4\n",
    "store": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  store <4 x float> zeroinitializer, ptr %q, align 4 ; a comment\n",
    "masked store": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  call void @llvm.masked.store.v8f32.p0(<8 x float> zeroinitializer, ptr align 4 %q, <8 x i1> <i1 1, i1 1, i1 1, i1 1, i1 0, i1 0, i1 0, i1 0>)\n",
    "masked load": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  %v = call <8 x float> @llvm.masked.load.v8f32.p0(ptr align 4 %q, <8 x i1> <i1 1, i1 0, i1 0, i1 1, i1 0, i1 0, i1 0, i1 0>, <8 x float> zeroinitializer)\n  store volatile <8 x float> %v, ptr %p0, align 4\n",
    "compress": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  call void @llvm.masked.compressstore.v8f32(<8 x float> zeroinitializer, ptr %q, <8 x i1> <i1 1, i1 0, i1 1, i1 1, i1 0, i1 0, i1 0, i1 1>)\n",
    "memset": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  call void @llvm.memset.p0.i64(ptr align 4 %q, i8 0, i64 16, i1 false)\n",
    "memcpy": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  call void @llvm.memcpy.p0.p0.i64(ptr %p0, ptr %q, i64 16, i1 false)\n",
    "gather": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  %qs = getelementptr float, ptr %q, <4 x i64> <i64 0, i64 1, i64 2, i64 3>\n  %v = call <4 x float> @llvm.masked.gather.v4f32.v4p0(<4 x ptr> align 4 %qs, <4 x i1> splat (i1 true), <4 x float> zeroinitializer)\n  store volatile <4 x float> %v, ptr %p0, align 4\n",
    "scatter": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  %qs = getelementptr float, ptr %q, <4 x i64> <i64 0, i64 1, i64 2, i64 3>\n  call void @llvm.masked.scatter.v4f32.v4p0(<4 x float> zeroinitializer, <4 x ptr> align 4 %qs, <4 x i1> splat (i1 true))\n",
    "atomic": "  %q = getelementptr i8, ptr %a0, i64 {at}\n  %r = getelementptr i8, ptr %q, i64 8\n  %old = atomicrmw add ptr %r, i64 0 monotonic\n",
}  # fmt: skip


@pytest.mark.parametrize("access", ACCESSES)
def test_every_kind_of_access_is_checked(access):
    memory = np.ones(64, "float32")
    inside, outside, before = (one(ACCESSES[access].format(at=at)) for at in (16, 20, -12))
    for k, fine in ((inside, True), (outside, False), (before, False)):
        memory[:] = 1
        x = memory[16:24]  # 32 bytes in the middle
        step = make([k], [Task(k, ("x",))], {"x": x}, debug=True)
        if fine:
            step()
        else:
            with pytest.raises(
                RuntimeError, match=r"out of bounds: probe \(a probe\) touches .* the nearest buffer is 'x', 32"
            ):
                step()
        assert (memory[:16] == 1).all() and (memory[24:] == 1).all()


def test_bounds_follow_the_arrays_of_the_call():
    s = saxpy(64)
    step = make([s], [Task(s, ("x", "y"))], {"x": vector(), "y": vector()}, debug=True)
    for seed in range(3):
        x, y = random(seed=seed), np.zeros(N, "float32")
        step((x, y))
        np.testing.assert_array_equal(y, 2 * x)
    long = saxpy(65)
    step = make(
        [long], [Task(long, ("x", "y"))], {"x": vector(), "y": At(0, 4 * N)}, arena=Arena(4 * N + 64), debug=True
    )
    with pytest.raises(
        RuntimeError, match="saxpy touches 32 bytes outside its operands; .* 2048 bytes, .* at its byte 2048"
    ):
        step((x,))


def test_scratch_operand_lists_and_own_memory_are_known():
    t = through_scratch(2)
    step = make([t], [Task(t, ("x", "y"))], {"x": vector(16), "y": vector(16)}, debug=True)
    x, y = random(16), np.zeros(16, "float32")
    step((x, y))
    np.testing.assert_array_equal(y, x)
    body = "  %v = load float, ptr @table, align 4\n  store float %v, ptr %here, align 4\n  %w = load float, ptr %here, align 4\n  store float %w, ptr %a0, align 4\n"
    k = loop("constants", body, 1, "  %here = alloca float, align 4\n")
    k = Kernel(k.name, "@table = private constant [2 x float] [float 7.0, float 8.0]\n" + k.text, 1)
    make([k], [Task(k, ("x",))], {"x": x}, debug=True)()
    assert x[0] == 7
    few = Kernel("few", t.text.replace("@through_scratch", "@few"), 2, scratch=99_999)
    step = make([few], [Task(few, ("x", "y"))], {"x": vector(16), "y": vector(16)}, debug=True)
    with pytest.raises(RuntimeError, match="out of bounds: few"):
        step((x, y))


def test_the_environment_turns_checks_on(monkeypatch):
    monkeypatch.setenv("CHAINRULE_DEBUG", "1")
    assert jit.debugging()
    k = one(ACCESSES["store"].format(at=32))
    library = load_kernels([k], host())
    assert "@cr.check" in library.text("probe")
    step = Schedule(library, [Task(k, ("x",))], {"x": np.zeros(8, "float32")})
    with pytest.raises(RuntimeError, match="out of bounds"):
        step()
    monkeypatch.setenv("CHAINRULE_DEBUG", "0")
    assert not jit.debugging()


def test_a_type_without_a_known_size_is_an_error():
    with pytest.raises(ValueError, match="a type whose size is not known: '%pair'"):
        bounds.instrument("define void @f(ptr %p) {\n  %x = load %pair, ptr %p, align 8\n  ret void\n}\n")


# ---- copies and checks


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("nbytes", [0, 1, 4, layout.PIECE - 1, layout.PIECE, 40 * layout.PIECE + 13])
def test_copies(nbytes, count):
    threads.count = count
    x = np.random.default_rng(0).integers(0, 255, nbytes + 8).astype(np.uint8)
    y = np.zeros(nbytes + 8, np.uint8)
    step = make([], [Task(Copy(nbytes), ("x", "y"), (3, 5))], {"x": x, "y": y})
    for _ in range(3):
        y[:] = 0
        step()
        np.testing.assert_array_equal(y[5 : 5 + nbytes], x[3 : 3 + nbytes])
        assert not y[:5].any() and not y[5 + nbytes :].any()


@pytest.mark.parametrize("debug", [False, True])
def test_checks_end_the_run(debug):
    s = saxpy(64)
    bad = [np.zeros(2, bool) for _ in range(3)]
    buffers = {"x": vector(), "y": vector(), **{f"b{k}": b for k, b in enumerate(bad)}}
    step = make(
        [s],
        [Task(s, ("x", "y")), Task(Check((5, 6, 7)), ("b0", "b1", "b2"), (1, 0, 1)), Task(s, ("x", "y"))],
        buffers,
        debug,
    )
    x, y = random(), np.zeros(N, "float32")
    for wrong, number in (([], None), ([2], 2), ([1, 2], 1), ([], None), ([0], 0)):
        for k, b in enumerate(bad):
            b[:] = k in wrong, False
            if k != 1:
                b[:] = b[::-1].copy()
        y[:] = 0
        if number is None:
            step((x, y))
            assert step.finished
        else:
            with pytest.raises(CheckError) as caught:
                step((x, y))
            assert caught.value.number == 5 + number and not step.finished
        np.testing.assert_array_equal(y, (4 if number is None else 2) * x)


def test_ctrl_c_waits_for_the_end_once_something_is_written(monkeypatch):
    monkeypatch.setattr("chainrule.compiler.runtime.schedule._TICK_INTERVAL", 1)
    w = wait(100_000, flops=10**10)
    place = np.zeros(1, "int64")
    for commit in (0, 10, None):
        step = make([w], [Task(w, ("p",))] * 30, {"p": place}, commit=commit)
        ticks = [bool(r[layout.RECORD["flags"]] & layout.TICK) for r in step._records[:30]]
        last = 29 if commit is None else commit
        assert ticks == [i <= last for i in range(30)]
        place[0] = 0

        def press(signal=signal.SIGINT, step=step):
            while not step._frame[layout.FRAME["busy"]]:
                time.sleep(0)
            os.kill(os.getpid(), signal)

        t = threading.Thread(target=press)
        with pytest.raises(KeyboardInterrupt):
            t.start()
            while True:
                place[0] = 0
                step()
        t.join()
        if commit == 0:
            assert step.finished and place[0] == 30 * 100_000
        else:
            assert step.finished == (place[0] == 30 * 100_000)
