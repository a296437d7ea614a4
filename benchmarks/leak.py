"""Memory over 10,000 training steps and 10,000 create_graph steps with Python's cycle collector switched off.

`python benchmarks/leak.py [--quick]`. Without the collector only reference counts free anything, so a graph that
refers to itself would stay. Counted are the container objects alive (exactly) and the process's resident memory.
"""

import argparse
import gc
import importlib
import os
import sys
from pathlib import Path


def training(torch):
    """One step of a small classifier with everything around it: dropout, norm, clipping, Adam, a scheduler."""
    nn = torch.nn
    model = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 4))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9999)
    x, target = torch.randn(16, 8), torch.randint(4, (16,))

    def step():
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()

    return step


def create_graph(torch):
    """A gradient penalty: the gradient's own graph is kept, differentiated and dropped."""
    weights = [torch.randn(4, 4, requires_grad=True), torch.randn(4, requires_grad=True)]
    x = torch.randn(8, 4)

    def step():
        for w in weights:
            w.grad = None
        loss = torch.tanh(x @ weights[0] + weights[1]).pow(2).mean()
        gradients = torch.autograd.grad(loss, weights, create_graph=True)
        (loss + sum(g.pow(2).sum() for g in gradients)).backward()

    return step


def backward_with_create_graph(torch):
    """`.grad` itself carries a graph. The cycle parameter -> grad -> graph -> parameter is the user's to cut."""
    w = torch.randn(4, requires_grad=True)

    def step():
        torch.exp(w * 0.5).sum().backward(create_graph=True)
        w.grad.pow(2).sum().backward()
        w.grad = None

    return step


def views_and_in_place(torch):
    """Views, writes into them, hooks and kept gradients."""
    w = torch.randn(4, 4, requires_grad=True)

    def step():
        w.grad = None
        y = w * 2
        y.register_hook(lambda g: g * 0.5)
        y[1:3].mul_(3.0)
        y[0, 0] = 1.0
        row = y.t()[2]
        row.retain_grad()
        row.add_(1.0)
        y.sum().backward()

    return step


def errors(torch):
    """A step that fails half-way and is caught."""
    w = torch.randn(4, requires_grad=True)

    def step():
        y = torch.exp(w).sum()
        y.backward()
        w.grad = None
        try:
            y.backward()
        except RuntimeError:
            pass

    return step


STEPS = [training, create_graph, backward_with_create_graph, views_and_in_place, errors]


def resident():
    """Resident memory of this process in KiB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def run(step, counts):
    """Runs on to each number of steps in `counts`; returns (steps, objects alive, resident KiB) for each."""
    rows = []
    gc.collect()
    gc.disable()
    try:
        done = 0
        for count in counts:
            for _ in range(count - done):
                step()
            done = count
            rows.append((count, len(gc.get_objects()) - len(rows), resident()))  # not counting our own rows
    finally:
        gc.enable()
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 steps in place of 10,000")
    parser.add_argument("--engine", choices=["torch", "chainrule"], default="chainrule")
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "src"))
    engine = importlib.import_module(arguments.engine)
    counts = (100, 500, 1_000) if arguments.quick else (1_000, 5_000, 10_000)
    print(f"{'steps':28} {'after':>8} {'objects':>9} {'grown':>6} {'resident KiB':>13} {'grown':>6}")
    for make in STEPS:
        first = None
        for count, objects, memory in run(make(engine), counts):
            first = first or (objects, memory)
            print(
                f"{make.__name__:28} {count:8,} {objects:9,} {objects - first[0]:6} {memory:13,} {memory - first[1]:6}",
                flush=True,
            )


if __name__ == "__main__":
    main()
