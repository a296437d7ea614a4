"""Runs the workloads of one engine in a process of its own, on orders from standard input: see compiled.py.

An order is one JSON line ``[key, calls]``; the answer is the seconds that so many calls took. The first order for a key
builds the workload; with ``calls`` 0 the answer is the time of the first call, which traces and compiles.
"""

import gc
import json
import os
import sys
import time

from workloads_peers import FURTHER, TABLE


def steps(engine):
    """key -> a function that makes the step."""
    if engine == "jax":
        from workloads_jax import WORKLOADS

        return WORKLOADS
    if engine == "chainrule":
        import chainrule

        threads = int(os.environ["OMP_NUM_THREADS"])
        chainrule.set_num_threads(threads)
        return {w.key: lambda w=w: chainrule.compile(w.start(chainrule)[0]) for w, *_ in (*TABLE, *FURTHER)}
    import torch

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))

    class Fused:
        """PyTorch with its fused optimisers."""

        def __getattr__(self, name):
            return getattr(torch, name)

        class optim:
            @staticmethod
            def Adam(params, **kw):
                return torch.optim.Adam(params, fused=True, **kw)

            @staticmethod
            def AdamW(params, **kw):
                return torch.optim.AdamW(params, fused=True, **kw)

            @staticmethod
            def SGD(params, **kw):
                return torch.optim.SGD(params, fused=True, **kw)

    def make(w):
        step = w.start(Fused())[0]
        return torch.compile(step) if engine == "torch.compile" else step

    return {w.key: lambda w=w: make(w) for w, *_ in (*TABLE, *FURTHER)}


def peak(engine, step):
    """Bytes at the peak of one step beside parameters, optimiser state and inputs."""
    if engine == "chainrule":
        entry = next(iter(step.kinds.values()))[0]
        arena = entry.executable.plan.arena  # first: a program from the disk is simplified when its plan is asked for
        results = sum(v.nbytes for v in entry.program.outputs)
        constants = sum(a.nbytes for a in entry.program.constants.values())
        return arena + results + constants
    from torch.profiler import ProfilerActivity, profile

    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as p:
        step()
    now = most = least = 0
    for event in p.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            # The step begins by freeing the last one's gradients: they count from there.
            most, least = max(most, now), min(least, now)
    return most - least


def main(engine):
    made, makers = {}, steps(engine)
    print(json.dumps(True), flush=True)
    for line in sys.stdin:
        key, calls = json.loads(line)
        try:
            if key not in made:
                step = makers[key]()
                start = time.perf_counter()
                step()
                made[key] = step, time.perf_counter() - start
                for _ in range(3):
                    step()
            step, first = made[key]
            if calls == 0:
                answer = first
            elif calls < 0:
                answer = peak(engine, step)
            else:
                gc.collect()
                start = time.perf_counter()
                for _ in range(calls):
                    step()
                answer = time.perf_counter() - start
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
