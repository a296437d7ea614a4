"""One optimiser step, and one batch from a `DataLoader`, beside PyTorch.

`python benchmarks/optimizers.py [--quick] [--threads N]`. The gradients stand still, so only the update is timed. Each
engine runs in a process of its own; PyTorch is measured with its default and with its fastest implementation.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"

DEEP = [shape for _ in range(20) for shape in ((64, 64), (64,))]  # 20 layers, 83,200 floats
MLP = [(256, 784), (256,), (128, 256), (128,), (10, 128), (10,)]  # 784-256-128-10, 235,146 floats
SMALL = [(32, 64), (32,), (10, 32), (10,)]  # 64-32-10

STEPS = {
    "Adam, 40 parameters of a deep MLP": (DEEP, "Adam", {}),
    "Adam, 784-256-128-10": (MLP, "Adam", {}),
    "Adam, 64-32-10": (SMALL, "Adam", {}),
    "SGD, 40 parameters of a deep MLP": (DEEP, "SGD", {"lr": 1e-6}),
    "SGD, 64-32-10": (SMALL, "SGD", {"lr": 1e-6}),
    "SGD with momentum, 64-32-10": (SMALL, "SGD", {"lr": 1e-6, "momentum": 0.9}),
}


def best(run, repeat, rounds):
    """Microseconds of one call: the best round, which other work on the machine disturbed least."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeat):
            run()
        times.append((time.perf_counter() - start) / repeat)
    return min(times) * 1e6


def measure(torch, fused, rounds):
    results = {}
    for name, (shapes, kind, options) in STEPS.items():
        params = [torch.ones(*shape, requires_grad=True) for shape in shapes]
        for p in params:
            p.grad = torch.full(p.shape, 1e-3)
        optimizer = getattr(torch.optim, kind)(params, **options, **({"fused": True} if fused else {}))
        for _ in range(20):
            optimizer.step()
        results[name] = best(optimizer.step, 100, rounds)
    if not fused:
        data = importlib.import_module(f"{torch.__name__}.utils.data")
        dataset = data.TensorDataset(torch.zeros(3200, 64), torch.zeros(3200, dtype=torch.int64))
        loader = data.DataLoader(dataset, batch_size=32, shuffle=True)
        results["DataLoader, batch of 32 from a TensorDataset"] = best(lambda: list(loader), 1, rounds) / len(loader)
    return results


def in_fresh_process(engine, arguments, fused=False):
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(arguments.threads),
        "PYTHONPATH": os.pathsep.join([str(SOURCE), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    command = [sys.executable, __file__, "--engine", engine]
    command += ["--fused"] if fused else []
    command += ["--quick"] if arguments.quick else []
    out = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(out.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--threads", type=int, default=1, help="PyTorch's threads (chainrule's update uses one)")
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--fused", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 15
    if arguments.engine:
        print(json.dumps(measure(importlib.import_module(arguments.engine), arguments.fused, rounds)))
        return
    ours = in_fresh_process("chainrule", arguments)
    theirs = in_fresh_process("torch", arguments)
    fused = in_fresh_process("torch", arguments, fused=True)
    print(f"{'microseconds':46} {'chainrule':>10} {'PyTorch':>10} {'fused':>10} {'ratio':>7}")
    for name, value in ours.items():
        other = f"{fused[name]:10.1f}" if name in fused else " " * 10
        print(f"{name:46} {value:10.1f} {theirs[name]:10.1f} {other} {value / theirs[name]:7.2f}")


if __name__ == "__main__":
    main()
