"""Compiled functions and threads: eager work beside a capture, first calls at once, fork."""

import os
import queue
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule.config import switches
from chainrule.errors import CaptureError

pytest.importorskip("llvmlite")


class Other:
    """A function run in another thread, and what came of it."""

    def __init__(self, function):
        def run():
            try:
                self.result = function()
            except BaseException as error:
                self.error = error

        self.result = self.error = None
        self.thread = threading.Thread(target=run)
        self.thread.start()

    def done(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.result


def beside(work, function, *args):
    """``work()`` in another thread, begun while ``function`` is captured, which goes on for a while."""
    go, wait = queue.SimpleQueue(), time.sleep

    def later():
        go.get()
        return switches.tracer is not None, work()

    def step(*args):
        result = function(*args)
        go.put(None)
        wait(0.15)
        return result

    other = Other(later)
    result = torch.compile(step)(*args)
    captured, got = other.done()
    assert captured
    return result, got


def world():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])

    def step(x, y):
        opt.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return model, opt, x, y, step


WORK = {
    "forward": lambda m, x: F.linear(x, m[0].weight, m[0].bias).detach().numpy().copy(),
    "general": lambda m, x: torch.cumsum(m[0].weight, 0).detach().numpy().copy(),
    "pointwise": lambda m, x: (m[0].weight.detach() * 2).numpy().copy(),
    "view": lambda m, x: m[0].weight.detach().t()[1:].numpy().copy(),
    "numpy": lambda m, x: m[0].weight.detach().numpy().copy(),
    "asarray": lambda m, x: np.array(m[0].weight.detach()),
    "item": lambda m, x: m[0].weight[0, 0].item(),
    "repr": lambda m, x: repr(m[0].weight),
    "format": lambda m, x: f"{m[0].weight[0, 0]:.3f}",
    "tolist": lambda m, x: m[0].bias.tolist(),
    "bool": lambda m, x: bool((m[0].weight > 0).any()),
    "state_dict": lambda m, x: {k: v.numpy().copy() for k, v in m.state_dict().items()},
    "gradient": lambda m, x: torch.autograd.grad(m[0](x).tanh().sum(), m[0].weight)[0].numpy().copy(),
    "argument": lambda m, x: x.sum().item(),
}


@pytest.mark.parametrize("what", WORK)
def test_eager_work_beside_a_capture(what):
    """It sees the values from before the call or from after it."""
    work = WORK[what]
    model, _, x, y, step = world()
    old = work(model, x)
    _, got = beside(lambda: work(model, x), step, x, y)
    new = work(model, x)
    assert any(str(got) == str(one) for one in (old, new))
    other, _, x, y, plain = world()
    plain(x, y)
    for p, q in zip(model.parameters(), other.parameters()):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-4, atol=1e-6)


def test_eager_training_beside_a_capture():
    """Backward, an optimiser's step and in-place operators wait until the capture is over."""
    model, opt, x, y, step = world()
    w = model[0].weight

    def work():
        w.grad = None
        (w * 3).sum().backward()
        assert (w.grad.numpy() > 2).any()
        with torch.no_grad():
            w.add_(100)
        torch.optim.SGD([w], lr=0).step()
        return w.detach().mean().item()

    _, got = beside(work, step, x, y)
    assert abs(got - 100) < 1 and abs(w.detach().mean().item() - 100) < 1
    _, got = beside(lambda: (opt.zero_grad(), model.zero_grad(), [p.grad for p in model.parameters()])[2], step, x, y)
    assert got == [None] * 6


def test_random_numbers_beside_a_capture():
    dropout = nn.Dropout(0.5)
    _, got = beside(lambda: (torch.rand(3).tolist(), torch.get_rng_state()), lambda x: dropout(x), torch.ones(8))
    assert len(got[0]) == 3 and all(0 <= v < 1 for v in got[0]) and got[1].dtype == torch.uint8


def test_calls_of_compiled_functions_beside_a_capture():
    model, _, x, y, step = world()
    evaluate = torch.compile(lambda x: model(x).argmax(1))
    model.eval()
    evaluate(x)
    model.train()
    _, got = beside(lambda: evaluate(x).shape, step, x, y)
    assert got == (6,)


def test_a_captured_function_with_threads_of_its_own():
    x, w = torch.randn(4), torch.randn(4)
    elsewhere = ThreadPoolExecutor(1).submit

    @torch.compile
    def f(x):
        return elsewhere(lambda: (x * w).tanh()).result()

    @torch.compile
    def g(x):
        y = x * 2
        return elsewhere(lambda: y + 1).result()

    with pytest.raises(CaptureError, match="a function is captured in another thread. A captured function can't"):
        g(x)
    assert type(x._data) is np.ndarray and (x + 1).isfinite().all()
    with pytest.MonkeyPatch.context() as m:
        m.setattr("chainrule.capture.tracer.PATIENCE", 0.2)
        with pytest.raises(CaptureError, match="compute in threads of its own"):
            f(x)
    assert type(x._data) is np.ndarray and (w + 1).isfinite().all()


def test_two_threads_make_the_same_first_call():
    for _ in range(8):
        model, _, x, y, step = world()
        other, _, _, _, plain = world()
        compiled, start = torch.compile(step), threading.Barrier(4)

        def run(compiled=compiled, start=start, x=x, y=y):
            start.wait()
            for _ in range(3):
                compiled(x, y)

        for t in [Other(run) for _ in range(4)]:
            t.done()
        assert len(compiled.compilations) == 1
        for _ in range(12):
            plain(x, y)
        assert model[1].num_batches_tracked.item() == 12
        for p, q in zip(model.parameters(), other.parameters()):
            np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-3, atol=1e-5)


def test_stress():
    """Captures without end, and eager work on the same tensors in two other threads."""
    model, _, x, y, _ = world()
    model.eval()
    end, before = threading.Event(), sys.getswitchinterval()
    names = [n for n in WORK if n != "argument"]
    want = {n: str(WORK[n](model, x)) for n in names}

    def work(seed):
        rng, count = np.random.default_rng(seed), 0
        while not end.is_set():
            name = names[rng.integers(len(names))]
            assert str(WORK[name](model, x)) == want[name], name
            count += 1
        return count

    answer = model(x).detach().numpy()
    sys.setswitchinterval(1e-4)
    try:
        others = [Other(lambda k=k: work(k)) for k in range(2)]
        stop = time.monotonic() + 2
        captures = 0
        while time.monotonic() < stop:
            compiled = torch.compile(lambda x, k=captures: model(x).detach() * k)
            np.testing.assert_allclose(compiled(x).numpy(), answer * captures, rtol=1e-4, atol=1e-4)
            captures += 1
        end.set()
        counts = [t.done() for t in others]
    finally:
        end.set()
        sys.setswitchinterval(before)
    assert captures > 3 and min(counts) > 3


# ---- fork


def script(text, **more):
    head = """
        import os, sys, threading, time, warnings
        import numpy as np
        import chainrule as torch
        import chainrule.nn as nn
        import chainrule.nn.functional as F
        warnings.simplefilter("ignore")  # Python 3.12 warns of fork in a process with threads

        def ended(pid, seconds=20):
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    return os.waitstatus_to_exitcode(status)
                time.sleep(0.01)
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            return "it hangs"
    """
    text = textwrap.dedent(head) + textwrap.dedent(text)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=300, **more)


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


@needs_fork
def test_fork_while_another_thread_compiles(tmp_path):
    r = script(
        """
        def f(n):
            return torch.compile(lambda x: (torch.tanh(x @ x.t()) * n).sum(1).softmax(0))

        w = torch.randn(9, 4)
        old = f(1)
        want = old(w)
        stop = False
        def compile_on():
            n = 20
            while not stop:
                n += 1
                f(n)(torch.randn(n, 5))
                torch.compile(lambda: (w * n).exp())()
        t = threading.Thread(target=compile_on)
        t.start()
        codes = []
        for k in range(5):
            time.sleep(0.03)
            pid = os.fork()
            if pid == 0:
                try:
                    good = (old(w) == want).all().item() and type(w._data) is np.ndarray
                    x = torch.randn(30, 7 + k)
                    y = (torch.tanh(x @ x.t()) * 0.5).sum(1).softmax(0)
                    good &= torch.allclose(f(0.5)(x), y, atol=1e-5)
                    os._exit(0 if good else 3)
                finally:
                    os._exit(4)
            codes.append(ended(pid))
        stop = True
        t.join()
        print(codes, (old(w) == want).all().item())
        """,
        env={**os.environ, "CHAINRULE_CACHE": "off"},
    )
    assert r.stdout == f"{[0] * 5} True\n", r.stdout + r.stderr


@needs_fork
def test_forks_in_two_threads_at_once():
    r = script(
        """
        def child(x, want):
            pid = os.fork()
            if pid == 0:
                g = torch.compile(lambda x: (x * 3).cumsum(0))
                os._exit(0 if (g(x) == want).all().item() else 3)
            return pid
        x = torch.randn(5)
        want = (x * 3).cumsum(0)
        codes = []
        def run():
            for _ in range(3):
                codes.append(ended(child(x, want)))
        threads = [threading.Thread(target=run) for _ in range(2)]
        for t in threads: t.start()
        for t in threads: t.join()
        print(codes)
        """
    )
    assert r.stdout == f"{[0] * 6}\n", r.stdout + r.stderr


@needs_fork
def test_a_fork_does_not_wait_for_ever(monkeypatch):
    """For a capture that does not end the child gives the tensors their values back itself."""
    r = script(
        """
        from chainrule.capture import compiled
        compiled.FORK_WAIT = 0.2
        x, sleep = torch.arange(3.0), time.sleep
        slow = torch.compile(lambda: (x.mul_(2), sleep(2))[0])
        t = threading.Thread(target=slow)
        t.start()
        time.sleep(0.4)
        pid = os.fork()
        if pid == 0:
            good = x.tolist() == [0, 1, 2] and torch.compile(lambda: x + 1)().tolist() == [1, 2, 3]
            os._exit(0 if good else 3)
        print(ended(pid, 20))
        t.join()
        print(x.tolist())
        """
    )
    assert r.stdout == "0\n[0.0, 2.0, 4.0]\n", r.stdout + r.stderr


class Squares(torch.utils.data.Dataset):
    """Items that a compiled function makes, in the worker."""

    def __init__(self):
        self.make = torch.compile(lambda k: torch.ones(40, 40) @ torch.ones(40, 40) * k)
        self.make(torch.tensor(1.0))

    def __len__(self):
        return 24

    def __getitem__(self, k):
        return self.make(torch.tensor(float(k)))[0, :4], k % 3


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_workers_of_a_data_loader():
    """Forked from a process with compiled steps and a pool of threads; both sides go on with theirs."""
    torch.manual_seed(0)
    model, other = nn.Linear(4, 3), nn.Linear(4, 3)
    other.load_state_dict(model.state_dict())
    opts = [torch.optim.SGD(m.parameters(), lr=1e-4) for m in (model, other)]
    big = torch.compile(lambda x: torch.tanh(x @ x).sum())
    big(torch.ones(300, 300))

    def make(model, opt):
        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
            return loss

        return step

    step, plain = torch.compile(make(model, opts[0])), make(other, opts[1])
    loader = torch.utils.data.DataLoader(Squares(), batch_size=6, num_workers=2)
    seen = []
    for _ in range(3):
        for x, y in loader:
            np.testing.assert_allclose(step(x, y).item(), plain(x, y).item(), rtol=1e-4)
            big(torch.ones(300, 300))
            seen += x[:, 0].tolist()
    assert seen == [40.0 * k for k in range(24)] * 3
