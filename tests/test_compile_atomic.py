"""A compiled step is done whole or not at all: failed checks, errors in calls out to Python and Ctrl-C come before it has
changed anything outside."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule.errors import IndexRangeError

pytest.importorskip("llvmlite")

OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1, amsgrad=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.01, centered=True),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


def shot(tensors, opt=None):
    """All there is to see of tensors and an optimiser, as bytes."""
    found = []
    for t in tensors:
        g = t.grad
        found.append((t.detach().numpy().tobytes(), t._version, id(g), None if g is None else g.numpy().tobytes()))
        if opt is not None and t in opt.state:
            found.append({k: np.asarray(v).tobytes() for k, v in opt.state[t].items()})
    return found, repr(torch.get_rng_state()), None if opt is None else len(opt.state)


def refused(step, *args, tensors, opt=None, error=IndexRangeError, match=None):
    """The call raises and changes nothing."""
    before = shot(tensors, opt)
    with pytest.raises(error, match=match) as caught:
        step(*args)
    assert shot(tensors, opt) == before
    return caught.value


class Classifier:
    def __init__(self, optimizer="Adam", backend="native", dropout=0.0):
        torch.manual_seed(0)
        layers = [nn.Embedding(7, 6), nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Dropout(dropout), nn.Linear(5, 3)]
        self.model = nn.Sequential(*layers)
        self.opt = OPTIMIZERS[optimizer](self.model.parameters())
        self.tensors = [*self.model.parameters(), *self.model.buffers()]

        def step(words, y):
            self.opt.zero_grad()
            loss = F.cross_entropy(self.model(words), y)
            loss.backward()
            self.opt.step()
            return loss

        self.plain, self.step = step, torch.compile(step, backend=backend)

    def refused(self, *args, **more):
        return refused(self.step, *args, tensors=self.tensors, opt=self.opt, **more)


GOOD = [0, 1, 6, 2], [0, 1, 2, 0]


def ints(x):
    return torch.tensor(x)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_bad_classes_and_words_change_nothing(optimizer, backend):
    one, two = Classifier(optimizer, backend), Classifier(optimizer, backend)
    words, y = map(ints, GOOD)
    for _ in range(3):
        told = one.refused(
            words, ints([0, 1, 3, 0]), match="^Target 3 is out of bounds: classes are numbered from 0 to 2"
        )
        assert str(told).endswith("step: loss = F.cross_entropy(self.model(words), y))") and __file__ in str(told)
        one.refused(ints([0, -1, 6, 2]), y, match="-1")
        one.refused(ints([0, 7, 6, 2]), y, match="^index out of range in self: 7 for a table of 7 rows .at ")
        one.refused(ints([9, 7, 6, 2]), ints([0, 1, 2, -5]))
        assert one.step(words, y).item() == two.step(words, y).item()
    np.testing.assert_array_equal(
        *[np.concatenate([t.detach().numpy().ravel() for t in c.tensors]) for c in (one, two)]
    )


def test_no_random_number_is_drawn_before_arguments_are_checked():
    c = Classifier(dropout=0.5)
    words, y = map(ints, GOOD)
    for _ in range(3):
        c.refused(words, ints([0, 1, 3, 0]))
        c.refused(ints([0, 1, 8, 0]), y)
        c.step(words, y)


def test_gradients_that_are_held_and_added_to():
    torch.manual_seed(0)
    model = nn.Linear(4, 3)

    @torch.compile
    def step(x, y):
        F.cross_entropy(model(x), y).backward()

    x, tensors = torch.randn(2, 4), list(model.parameters())
    refused(step, x, ints([0, 3]), tensors=tensors)
    step(x, ints([0, 1]))
    held = [p.grad for p in tensors]
    refused(step, x, ints([0, 3]), tensors=tensors)
    step(x, ints([0, 1]))
    assert all(p.grad is g for p, g in zip(tensors, held))
    refused(step, x, ints([-1, 0]), tensors=tensors)


def test_an_index_that_the_step_computes():
    """It is known only when half of the work is done."""
    torch.manual_seed(0)
    first, second = nn.Linear(4, 5), nn.Linear(4, 2)
    params = [*first.parameters(), *second.parameters()]
    opt = torch.optim.Adam(params, lr=0.1)
    moved = torch.zeros(4)

    def step(x, shift):
        opt.zero_grad()
        scores = first(x)
        scores.square().sum().backward()  # gradients before the index is known
        moved.add_(x.sum(0))
        picked = x.t()[(scores.argmax(1) * 0 + shift).clamp(max=9)]
        loss = second(picked[:, :4]).square().sum()
        loss.backward()
        opt.step()
        return loss

    x = torch.randn(4, 4)
    compiled = torch.compile(step)
    tensors = [*params, moved]
    for _ in range(2):
        refused(
            compiled, x, ints(4), tensors=tensors, opt=opt, match="index 4 is out of bounds for dimension 0 with size 4"
        )
        compiled(x, ints(3))
    refused(compiled, x, ints(-5), tensors=tensors, opt=opt, match="index -5 is out of bounds")


def test_a_written_value_that_the_index_needs():
    """The counter's new value must be made before the check; it goes to the counter only after it."""
    counter, table, total = torch.zeros((), dtype=torch.int64), torch.arange(3.0), torch.zeros(())

    @torch.compile
    def step():
        counter.add_(1)
        total.add_(table[counter])
        return total * 1

    for k in (1, 2):
        step()
        assert counter.item() == k
    for _ in range(2):
        refused(step, tensors=[counter, table, total], match="3 is out of bounds for dimension 0 with size 3")
    counter.zero_()
    assert step().item() == 4 and counter.item() == 1


@pytest.mark.parametrize("needs", ["scores", "gradient"])
def test_memory_of_gradients(needs):
    """The gradients' arrays of the last step serve as memory for others, but only after the check; a gradient that the
    check needs is made elsewhere."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 40))
    params = list(model.parameters())
    opt = torch.optim.SGD(params, lr=0.1)

    def step(x, shift):
        opt.zero_grad()
        scores = model(x)
        scores.sin().sum().backward()
        number = (params[0].grad if needs == "gradient" else scores).abs().argmax() * 0 + shift
        opt.step()
        return scores.sum(1)[number]

    x, compiled = torch.randn(30, 40), torch.compile(step)
    for _ in range(3):
        refused(compiled, x, ints(30), tensors=params, opt=opt, match="index 30 is out of bounds")
        before = [p.detach().clone() for p in params]
        compiled(x, ints(0))
        for p, old in zip(params, before):
            np.testing.assert_allclose(p.detach().numpy(), (old - 0.1 * p.grad).numpy(), rtol=1e-4, atol=1e-6)


def test_writes_come_behind_checks_and_need_no_copies():
    c = Classifier(dropout=0.5)
    tasks = c.step.explain(*map(ints, GOOD)).schedule.splitlines()
    first = next(k for k, t in enumerate(tasks) if "out" in t or any(f"(in{n}" in t for n in (2, 3)))
    checks = [k for k, t in enumerate(tasks) if ": check (" in t]
    assert checks and checks[-1] < first and not any(": copy (" in t for t in tasks)
    assert checks[-1] < next(k for k, t in enumerate(tasks) if "random" in t)


def test_two_buffers_change_places():
    a, b, i = torch.arange(4.0), torch.arange(4.0) * 10, torch.tensor(0)

    @torch.compile
    def step(k):
        old = a.clone()
        a.copy_(b)
        b.copy_(old + old[k])

    refused(step, ints(4), tensors=[a, b, i])
    step(ints(1))
    assert a.tolist() == [0, 10, 20, 30] and b.tolist() == [1, 2, 3, 4]
    refused(step, ints(4), tensors=[a, b, i])


def test_an_error_in_a_call_out_to_python():
    """What runs in Python may raise: it comes before the first write too."""

    torch.manual_seed(0)
    model = nn.Linear(3, 3)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    seen = torch.zeros(3)

    @torch.compile
    def step(x, m):
        opt.zero_grad()
        seen.add_(x.sum(0))
        model(x).sum().backward()
        opt.step()
        return torch.linalg.eigvalsh(m)

    x, good = torch.randn(2, 3), torch.eye(3)
    tensors = [*model.parameters(), seen]
    step(x, good)
    refused(step, x, good * float("nan"), tensors=tensors, opt=opt, error=Exception)
    step(x, good)


def test_training_from_outside():
    torch.manual_seed(0)
    model = torch.compile(nn.Sequential(nn.Embedding(5, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)))
    tensors = [*model.parameters(), *model.buffers()]
    model(ints([0, 1, 2])).sum().backward()
    refused(model, ints([0, 5, 1]), tensors=tensors, match="5 for a table of 5 rows")
    model(ints([0, 4, 1])).sum().backward()


def test_while_somebody_watches(tmp_path):
    c = Classifier()
    words, y = map(ints, GOOD)
    with torch.watch(c.model, c.opt, store=str(tmp_path / "run.db")) as w:
        for _ in range(12):
            c.step(words, y)
            c.refused(words, ints([0, 1, 3, 0]), match="^Target 3 is out of bounds")
    assert w is not None


def test_copies_are_native():
    """A value made of elements that its place holds elsewhere, without Python."""
    a = torch.arange(300.0).reshape(20, 15)

    def step():
        a.copy_(a.flip(0) * 2)

    compiled = torch.compile(step)
    want = a.flip(0) * 2
    e = compiled.explain()
    compiled()
    assert a.tolist() == want.tolist()
    assert not e.calls and "1: copy (at0, in0)" in e.schedule and "is copied to input 0 at the end" in e.plan


@pytest.mark.parametrize("seed", range(25))
def test_random_programs(seed):
    """Parameters, buffers and indices in random order: the same results as eager, or nothing changed."""
    rng = np.random.default_rng(seed)
    n = 6
    plan = [(rng.integers(5), *rng.integers(4, size=3)) for _ in range(rng.integers(4, 12))]
    opts = []

    def world():
        torch.manual_seed(seed)
        tensors = [torch.randn(n) for _ in range(4)] + [torch.randn(n, requires_grad=True) for _ in range(2)]
        opt = torch.optim.SGD(tensors[4:], lr=0.1, momentum=0.5)
        opts.append(opt)

        def step(index):
            opt.zero_grad()
            for kind, i, j, k in plan:
                a, b, p = tensors[i], tensors[j], tensors[4 + k % 2]
                at = index + (0 if k < 2 else (b.argmax() * 0))
                if kind == 0:
                    a.mul_(0.5).add_(b[at])
                elif kind == 1:
                    a.copy_(b.flip(0))
                elif kind == 2:
                    (p * a.index_select(0, at.reshape(1))).sum().backward()
                elif kind == 3:
                    a.add_(torch.tanh(p.detach() + b))
                else:
                    a[at] = b.sum()
            for p in tensors[4:]:
                (p * p).sum().backward()
            opt.step()
            return sum(t.sum() for t in tensors).detach()

        return tensors, opt, step

    (mine, opt, step), (theirs, _, eager) = world(), world()
    compiled = torch.compile(step)
    checked = any(kind in (0, 2, 4) for kind, *_ in plan)
    for index in (7, 2, -7, -6, 0, 6):
        low = 0 if any(kind == 2 for kind, *_ in plan) else -n  # index_select takes no negative ones
        if checked and not low <= index < n:
            refused(compiled, ints(index), tensors=mine, opt=opt)
        else:
            np.testing.assert_allclose(compiled(ints(index)).item(), eager(ints(index)).item(), rtol=1e-4)
            for a, b in zip(mine, theirs):
                np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-4, atol=1e-5)


# ---- Ctrl-C


def script(text):
    head = """
        import os, signal, sys, threading, time
        import numpy as np
        import chainrule as torch
        import chainrule.nn as nn
        from chainrule.compiler.runtime import schedule
        schedule._TICK_INTERVAL = 20_000_000

        def press(after):
            def later():
                time.sleep(after)
                os.kill(os.getpid(), signal.SIGINT)
            threading.Thread(target=later).start()
    """
    text = textwrap.dedent(head) + textwrap.dedent(text)
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=120)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_in_a_step_that_trains():
    """Before anything is written the step ends at once; from the first write on it goes on to its end."""
    r = script(
        """
        torch.manual_seed(0)
        model = nn.Sequential(*[layer for _ in range(12) for layer in (nn.Linear(600, 600), nn.Tanh())])
        opt = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
        def step(x):
            opt.zero_grad()
            loss = model(x).square().mean()
            loss.backward()
            opt.step()
            return loss
        compiled = torch.compile(step)
        x = torch.randn(700, 600)
        for _ in range(2):
            compiled(x)
        start = time.perf_counter()
        compiled(x)
        whole = time.perf_counter() - start

        def copy():
            return [p.detach().clone() for p in model.parameters()], [p._version for p in model.parameters()], [
                opt.state[p]["momentum_buffer"].clone() for p in model.parameters()]
        def load(kept):
            with torch.no_grad():
                for p, q, m in zip(model.parameters(), kept[0], kept[2]):
                    p.copy_(q)
                    opt.state[p]["momentum_buffer"].copy_(m)
        def like(one, two):
            return all((a == b).all().item() for a, b in zip(one[0] + one[2], two[0] + two[2]))
        before = copy()
        compiled(x)
        after = copy()
        outcomes = []
        for part in (0.02, 0.4, 0.8):
            load(before)
            versions = [p._version for p in model.parameters()]
            press(part * whole)
            start = time.perf_counter()
            try:
                compiled(x)
                time.sleep(10)
                outcomes.append("too late")
            except KeyboardInterrupt:
                took = time.perf_counter() - start
                now = copy()
                moved = {a - b for a, b in zip(now[1], versions)}
                outcomes.append((like(now, before) and moved == {0}) or (like(now, after) and moved == {1}))
                if took > 4 * whole + 2:
                    outcomes.append(f"took {took} of {whole}")
            load(before)
            compiled(x)
            outcomes.append(like(copy(), after))
        print(outcomes)
        """
    )
    assert r.stdout == f"{[True] * 6}\n" and not r.stderr, r.stdout + r.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_ctrl_c_in_a_long_function():
    """Nothing is written outside, so it ends between two kernels."""
    r = script(
        """
        @torch.compile
        def f(x, w):
            for _ in range(200):
                x = torch.tanh(x @ w)
            return x
        x, w = torch.randn(700, 700), torch.randn(700, 700) / 26
        want = f(x, w)
        executable = next(iter(f.kinds.values()))[0].executable
        assert executable.finished
        press(0.05)
        try:
            f(x, w)
        except KeyboardInterrupt:
            print(not executable.finished)
        print((f(x, w) == want).all().item() and executable.finished)
        """
    )
    assert r.stdout == "True\nTrue\n" and not r.stderr, r.stdout + r.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("layout", ["as compiled", "turned"])
def test_a_signal_right_after_a_step(layout):
    """What it raises comes when all is written: versions and gradients are told too."""
    r = script(
        f"""
        w = torch.ones(600, 400)
        w = (w.t() if {layout == "turned"} else w).requires_grad_()
        opt = torch.optim.SGD([w], lr=1.0)
        def step(x):
            opt.zero_grad()
            ((w * x) ** 2).sum().backward()
            opt.step()
        compiled = torch.compile(step)
        class Alarm(Exception):
            pass
        def ring(*args):
            raise Alarm
        signal.signal(signal.SIGALRM, ring)
        found = set()
        x = torch.zeros(())
        compiled(x)
        for k in range(80):
            w.grad, before, version = None, w.detach().clone(), w._version
            half = x + 0.5
            try:
                signal.setitimer(signal.ITIMER_REAL, 2e-6 * (1 + 31 * k % 600))
                compiled(half)
                time.sleep(1)
            except Alarm:
                pass
            if w.grad is None:
                found.add((w._version - version, (w == before).all().item(), "before"))
            else:
                right = torch.allclose(w.grad, before * 0.5) and torch.allclose(w, before - w.grad)
                found.add((w._version - version, right, "after"))
            with torch.no_grad():
                w.fill_(1.0)
        print(found <= {{(0, True, "before"), (1, True, "after")}}, (1, True, "after") in found, len(found), found)
        """
    )
    assert r.stdout.startswith("True True ") and not r.stderr, r.stdout + r.stderr


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_parameters_that_are_views(optimizer):
    """All in one flat array, as some keep them."""

    def world():
        torch.manual_seed(0)
        flat = torch.randn(14)
        w, b, t = flat[:6].view(2, 3), flat[6:8], flat[8:].view(3, 2).t()
        params = [p.requires_grad_() for p in (w, b, t)]
        opt = OPTIMIZERS[optimizer](params)

        def step(x, y):
            opt.zero_grad()
            loss = F.cross_entropy(F.linear(x, w * t, b), y)
            loss.backward()
            opt.step()
            return loss.detach() + flat.detach().sum()

        return flat, params, opt, step

    (flat, params, opt, step), (other, _, _, plain) = world(), world()
    compiled, x = torch.compile(step), torch.randn(4, 3)
    for _ in range(3):
        np.testing.assert_allclose(
            compiled(x, ints([0, 1, 1, 0])).item(), plain(x, ints([0, 1, 1, 0])).item(), rtol=1e-5
        )
        np.testing.assert_allclose(flat.numpy(), other.numpy(), rtol=1e-5)
        refused(compiled, x, ints([0, 2, 1, 0]), tensors=[flat, *params], opt=opt)
