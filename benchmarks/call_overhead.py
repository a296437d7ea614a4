"""What a compiled step costs besides its arithmetic: the call, a task, a parallel task, waking the threads.

    python benchmarks/call_overhead.py [--quick] [--threads N]

Each figure is the best of several rounds. Needs llvmlite.
"""

import argparse
import time

import numpy as np

import chainrule as cr
from chainrule.compiler.kernel import Kernel, Task
from chainrule.compiler.runtime import Callout, External, Schedule, load_kernels
from chainrule.compiler.target import host

N = 1 << 16
# y += x, eight floats per chunk
ADD = """define void @add(ptr %args, i64 %begin, i64 %end, ptr %scratch) {
entry:
  %x = load ptr, ptr %args, align 8
  %y.at = getelementptr ptr, ptr %args, i64 1
  %y = load ptr, ptr %y.at, align 8
  br label %loop
loop:
  %i = phi i64 [ %begin, %entry ], [ %next, %loop ]
  %o = mul i64 %i, 32
  %xo = getelementptr i8, ptr %x, i64 %o
  %yo = getelementptr i8, ptr %y, i64 %o
  %xv = load <8 x float>, ptr %xo, align 4
  %yv = load <8 x float>, ptr %yo, align 4
  %s = fadd <8 x float> %xv, %yv
  store <8 x float> %s, ptr %yo, align 4
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %end
  br i1 %more, label %loop, label %done
done:
  ret void
}
"""


def best(f, seconds):
    """The shortest time of one call of ``f`` in µs, over rounds of about a millisecond."""
    f()
    start = time.perf_counter()
    f()
    n = max(1, int(1e-3 / (time.perf_counter() - start + 1e-9)))
    shortest, end = float("inf"), start + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(n):
            f()
        shortest = min(shortest, (time.perf_counter() - start) / n)
    return shortest * 1e6


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--quick", action="store_true")
    p.add_argument("--threads", type=int, default=cr.get_num_threads())
    args = p.parse_args()
    cr.set_num_threads(args.threads)
    seconds = 0.05 if args.quick else 0.6

    def kernel(floats, parallel):
        # flops = bytes = 0 says that the cost is not known: chunks are shared out; 1 says that it is not worth it
        return Kernel("add", ADD, 2, chunks=floats // 8, flops=0 if parallel else 1)

    library = load_kernels([kernel(8, False)], host())
    e = External((N,), "float32", writable=True)
    x, y, other = (np.zeros(N, "float32") for _ in range(3))

    def step(tasks):
        return Schedule(library, tasks, {"x": e, "y": e})

    empty = step([])
    print(f"{args.threads} threads; µs")
    print(f"{'no task, two arrays':44}{best(lambda: empty((x, y)), seconds):10.3f}")
    print(f"{'no task, the native entry alone':44}{best(lambda: empty.enter((x, y)), seconds):10.3f}")
    tiny = step([Task(kernel(8, False), ("x", "y"))] * 100)
    print(f"{'a task of 8 floats, of 100':44}{best(lambda: tiny((x, y)), seconds) / 100:10.4f}")

    def moving():
        tiny((x, y))
        tiny((x, other))

    print(f"{'100 such tasks, an array moved':44}{best(moving, seconds) / 2:10.3f}")
    out = step([Task(Callout(lambda a: None, (((N,), "float32"),)), ("x",))])
    print(f"{'a callout into Python':44}{best(lambda: out((x, y)), seconds):10.3f}")
    print("a task of n floats: on one thread, shared out, ideal (one thread / threads)")
    for floats in (64, 1024, 4096, 16384, N):
        one, many = (step([Task(kernel(floats, p), ("x", "y"))] * 20) for p in (False, True))
        a, b = (best(lambda s=s: s((x, y)), seconds) / 20 for s in (one, many))
        print(f"{floats:>12}{a:10.3f}{b:10.3f}{a / args.threads:10.3f}")
    many = step([Task(kernel(N, True), ("x", "y"))])
    times = []
    for _ in range(20 if args.quick else 200):
        time.sleep(0.001)
        start = time.perf_counter()
        many((x, y))
        times.append(time.perf_counter() - start)
    print(f"{f'{N} floats after a pause of 1 ms, median':44}{np.median(times) * 1e6:10.3f}")


if __name__ == "__main__":
    main()
