"""Random programs: writes into parts of arrays, sums over the steps of a loop, recurrent networks. What the compiler
makes of them, for every vector width and with one thread and two, against the core instructions one by one and against
eager code."""

import random

import numpy as np
import pytest

import chainrule as torch

pytest.importorskip("llvmlite")

from chainrule.compiler import reference
from chainrule.compiler.driver import Native
from chainrule.compiler.ir import Program, contiguous, verify
from chainrule.compiler.target import host

KIND = "float64"


def levels():
    found = []
    for level in ("sse2", "avx2", "avx512"):
        try:
            found.append(host(level))
        except ValueError:
            pass
    return found


@pytest.fixture(autouse=True)
def same_number_of_threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def compare(p, seed, debug=False):
    """The native program against the reference: results and what is written to inputs; and twice the same bits."""
    verify(p)
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(v.shape) for v in p.inputs]
    want, writes = reference.evaluate(p, [a.copy() for a in arrays])
    want = [np.array(a) for a in want] + [np.array(writes.get(k, a)) for k, a in enumerate(arrays)]
    found = levels()
    native = Native(p, target=found[seed % len(found)], whole=False, debug=debug)
    before = None
    for threads in (1, 2):
        torch.set_num_threads(threads)
        mine = [a.copy() for a in arrays]
        got = [*native(mine, [np.full(v.shape, 77.0) for v in p.outputs]), *mine]
        for k, (a, b) in enumerate(zip(got, want, strict=True)):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9, err_msg=f"{k} of {len(p.outputs)} results, inputs")
        assert before is None or all(a.tobytes() == b.tobytes() for a, b in zip(before, got, strict=True))
        before = got


# ---- writes into parts of arrays


class Chains:
    """A program of updates: regions that meet or not, in any direction, with pieces made of anything there is, the
    array itself among it; results, and inputs that are written (maybe exchanged)."""

    def __init__(self, seed):
        self.r = r = random.Random(seed)
        self.p = p = Program()
        shapes = r.sample([(6, 4), (8,), (3, 4, 5), (), (1, 7), (5, 1), (16, 16), (7, 17)], 2)
        if r.random() < 0.15:
            shapes.append(r.choice([(40, 50, 60), (200_000,), (300, 700)]))
        self.pool = [p.input(s, KIND) for s in (shapes[-1], *shapes)]
        self.index = p.input((4,), KIND)  # rounded to -1 and 0
        v = None
        for _ in range(r.randint(2, 7)):
            if v is None or r.random() < 0.25:
                v = r.choice(self.pool)
                if r.random() < 0.3:
                    v = p.view(p.scalar(0, KIND), shapes[-1], [0] * len(shapes[-1]))
            v = (self.side_by_side if v.shape and r.random() < 0.5 else self.somewhere)(v)
            if r.random() < 0.35:
                self.pool.append(v)
        self.pool.append(v)
        p.outputs = [v, *(r.choice(self.pool) for _ in range(r.randint(0, 2)))]
        for n, old in enumerate(p.inputs[:-1]):
            alike = [u for u in self.pool if u.shape == old.shape and u is not old]
            if alike and r.random() < 0.35:
                p.writes[n] = r.choice(alike)
        p.lasting = [k for k in range(len(p.outputs)) if r.random() < 0.3]

    def update(self, v, shape, strides, offset, fn):
        params = {"strides": tuple(strides), "offset": offset, "fn": fn}
        return self.p.add("update", (v, self.piece(shape, v)), params, (v.shape, KIND))

    def side_by_side(self, v):
        """Equal pieces along one dimension, or every so many; some left out or written twice."""
        r, d = self.r, self.r.randrange(len(v.shape))
        count = r.choice([c for c in range(1, 7) if v.shape[d] % c == 0])
        shape, strides = list(v.shape), list(contiguous(v.shape))
        shape[d] //= count
        step = strides[d]
        apart = r.random() < 0.3
        strides[d] *= count if apart else 1
        numbers = r.sample(range(count), count)
        numbers = numbers[: r.choice([count, count, max(1, count - 1)])] + r.choice([[], [], numbers[:1]])
        for t in numbers:
            v = self.update(v, shape, strides, t * step * (1 if apart else shape[d]), r.choice(["set", "set", "add"]))
        return v

    def somewhere(self, v):
        """A slice in every dimension, some of them backwards."""
        r, shape, strides, offset = self.r, [], [], 0
        for n, s in zip(v.shape, contiguous(v.shape), strict=True):
            step = r.choice([1, 1, 2, 3, -1, -2])
            count = r.choice([1, -(-n // abs(step)), r.randint(1, -(-n // abs(step)))])
            start = r.randint(0, n - 1 - (count - 1) * abs(step)) + (count - 1) * abs(step) * (step < 0)
            offset += start * s
            shape.append(count)
            strides.append(step * s)
        return self.update(v, shape, strides, offset, r.choice(["set", "add"]))

    def piece(self, shape, v):
        r, p, form = self.r, self.p, self.r.random()
        if form < 0.1:
            return p.view(p.scalar(2, KIND), shape, [0] * len(shape))
        if form < 0.2 and v.shape and tuple(shape) == (4, *v.shape[1:]) and not is_view(v):
            index = p.map("convert", p.map("floor", p.map("sin", self.index)), dtype="int64")
            return p.map("neg", p.add("take", (v, index), {"dim": 0}, (shape, KIND)))
        source = v if form < 0.5 and not is_view(v) else r.choice([u for u in self.pool if not is_view(u)])
        found = self.window(source, shape)
        if form > 0.8:
            found = p.map("mul", found, self.window(r.choice(self.pool), shape))
        elif form > 0.3:
            found = p.map(r.choice(["neg", "tanh"]), found)
        return found

    def window(self, v, shape):
        """A view of ``v`` with this shape: one that runs through it, or stands still."""
        r = self.r
        strides = r.choice([list(contiguous(shape)), [r.choice([-1, 0, 1, 2]) for _ in shape]])
        reach = [sum((n - 1) * s for n, s in zip(shape, strides, strict=True) if s * way > 0) for way in (-1, 1)]
        if reach[1] - reach[0] >= v.size:
            strides, reach = [0] * len(shape), [0, 0]
        return self.p.view(v, shape, strides, r.randint(-reach[0], v.size - 1 - reach[1]))


def is_view(v):
    return v.instr is not None and v.instr.op == "view"


@pytest.mark.parametrize("seed", range(32))
def test_writes_into_parts(seed):
    compare(Chains(seed).p, seed, debug=seed % 8 == 7)


# ---- sums over the steps of a loop


def sums(seed):
    """A recurrent loop and several sums of products and of rows over its steps, of operands that lie in one array, are
    made step by step, are parts of what is made, stand still, or are read again later."""
    r, p = random.Random(seed), Program()
    k, width = r.choice([1, 2, 3, 8, 16, 31, 40, 64, 65]), r.choice([2, 4, 6])
    steps = min(r.choice([3, 4, 5, 9, 16, 31, 33]), max(4, 700 // k))
    x, other = p.input((steps, k, width), KIND), p.input((k, steps, width), KIND)
    w, u, total = (p.input((width, width), KIND) for _ in range(3))
    row = p.input((width,), KIND)
    h, made, late = p.map("neg", p.view(x, (k, width), (width, 1))), [], []
    for t in range(steps):
        part = p.view(x, (k, width), (width if k > 1 else 0, 1), t * k * width)
        h = p.map("tanh", p.map("add", p.dot(part, w), p.dot(h, u)))
        z = p.map("sin", p.map("add", h, row))
        made.append(
            [
                (x, width, (width, 1), t * k * width),
                (other, width, (steps * width, 1), t * width),
                (h, width, (width, 1), 0),
                (h, width, (-width, 1), (k - 1) * width),
                (h, width // 2, (width, 1), 0),
                (z, width, (width, 1), 0),
                (z, width // 2, (width, 1), width // 2),
                (row, width, (0, 1), 0),
            ]
        )
        late += [v for v in (h, z) if r.random() < 0.1]
    jobs = [(r.random() < 0.7, r.randrange(8), r.randrange(8)) for _ in range(r.randint(2, 5))]
    results = [None] * len(jobs)
    for t in r.choice([range(steps), reversed(range(steps))]):
        for n, (product, i, j) in enumerate(jobs):
            (a, m, (s, _), at), (b, c, strides, offset) = made[t][i], made[t][j]
            right = p.view(b, (k, c), strides, offset)
            v = p.dot(p.view(a, (m, k), (1, s), at), right) if product else p.reduce("sum", right, (0,))
            results[n] = v if results[n] is None else p.map("add", results[n], v)
            late += [results[n]] * (r.random() < 0.01)
    for v in results:
        form = r.random()
        if form < 0.2 and v.shape == w.shape:
            p.writes[2] = p.map("sub", w, v)
        elif form < 0.4 and v.shape == w.shape:
            p.writes[4] = v if form < 0.3 else p.map("add", total, v)
        else:
            p.outputs.append(v if form < 0.8 else p.map("mul", v, v))
    p.outputs += [v if r.random() < 0.4 else p.map("cos", v) for v in late] or [h]
    p.lasting = [n for n in range(len(p.outputs)) if r.random() < 0.4]
    return p


@pytest.mark.parametrize("seed", range(20))
def test_sums_over_steps(seed):
    compare(sums(seed), seed)


# ---- recurrent networks


def network(seed):
    """A recurrent network in float64, and a step with it: ``(step, inputs of three calls, parameters)``."""
    r, g = random.Random(seed), torch.Generator().manual_seed(seed)
    steps, batch, width = r.choice([1, 2, 4, 7, 16, 33, 60]), r.choice([1, 2, 5, 16]), r.choice([1, 2, 4, 6])
    cell = r.choice(["tanh", "twice", "lstm", "gru", "parts"])
    collect = r.choice(["last", "stack", "slots", "attention", "all", "windows", "pool"])
    use = r.choice(["grad", "sgd", "adam", "accumulate", "clip", "penalty"])
    backwards, cut = r.random() < 0.3, r.choice([0, 0, 5])
    gates = {"lstm": 4, "gru": 3}.get(cell, 1) * width

    def parameter(*shape):
        return torch.nn.Parameter(torch.randn(*shape, generator=g, dtype=torch.float64) * 0.4)

    w, u, b, v = parameter(3, gates), parameter(width, gates), parameter(gates), parameter(width, 2)
    p = parameter((width + 1) // 2, width)
    weights = [w, u, b, v, *([p] if cell == "parts" else [])]

    def advance(x, h, c):
        if cell == "gru":
            y, z = x @ w + b, h @ u
            i, f = (torch.sigmoid(y[:, k * width :][:, :width] + z[:, k * width :][:, :width]) for k in (0, 1))
            return (1 - f) * torch.tanh(y[:, 2 * width :] + i * z[:, 2 * width :]) + f * h, c
        y = x @ w + h @ u + b
        if cell == "lstm":
            i, f, n, o = y.chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(n)
            return torch.sigmoid(o) * torch.tanh(c), c
        if cell == "parts":
            y = y + h[:, : p.shape[0]] @ p
        return torch.tanh(torch.tanh(y) @ u + b if cell == "twice" else y), c

    def states(x):
        h, c, found = *torch.zeros(2, batch, width, dtype=torch.float64), []
        for t in reversed(range(steps)) if backwards else range(steps):
            h, c = advance(x[t], h, c)
            if cut and t % cut == 0:
                h, c = h.detach(), c.detach()
            found.append(h)
        return found

    def forward(x):
        hs = states(x)
        s = torch.stack(hs)
        if collect == "slots":
            s = torch.zeros(steps, batch, width, dtype=torch.float64)
            for t, h in enumerate(hs):
                s[t] = h * (t + 1)
        if collect == "attention":
            s = (torch.softmax((s * hs[-1]).sum(-1), 0)[..., None] * s).sum(0)
        if collect == "windows":
            s = torch.cat([s.unfold(0, min(3, steps), 1).sum(-1), s.flip(0), s.roll(1, 0)])
        if collect == "pool":
            s = torch.nn.functional.max_pool1d(torch.nn.functional.pad(s.permute(1, 2, 0), (1, 1)), 2).mean(2)
        if collect == "all":
            return sum(h @ v for h in hs)
        return (hs[-1] if collect == "last" else s) @ v

    optimizer = {"adam": torch.optim.Adam, "clip": torch.optim.Adam}.get(use, torch.optim.SGD)(weights, lr=0.05)

    def step(x):
        if use == "penalty":
            x = x.detach().requires_grad_()
        y = forward(x)
        loss = (y * y).mean()
        if use == "penalty":
            loss = loss + (torch.autograd.grad(loss, x, create_graph=True)[0] ** 2).sum()
        if use in ("grad", "penalty"):
            return [y, loss, *torch.autograd.grad(loss, weights, allow_unused=True)]
        if use != "accumulate":
            optimizer.zero_grad()
        loss.backward()
        if use == "clip":
            torch.nn.utils.clip_grad_norm_(weights, 0.5)
        if use != "accumulate":
            optimizer.step()
        return [loss.detach()]

    return step, [torch.randn(steps, batch, 3, generator=g, dtype=torch.float64) for _ in range(3)], weights


def run(seed, wrap):
    step, inputs, weights = network(seed)
    step = wrap(step)
    found = [t for x in inputs for t in step(x)] + weights + [w.grad for w in weights]
    return [None if t is None else np.array(t.detach().numpy()) for t in found]


@pytest.mark.parametrize("seed", range(12))
def test_recurrent_networks(seed):
    want = run(seed, lambda f: f)
    for a, b in zip(run(seed, torch.compile), want, strict=True):
        assert (a is None) == (b is None)
        if b is not None:
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-10)


# ---- losses that count nothing


@pytest.mark.parametrize("ignored", [-100, 2])
def test_no_gradient_where_all_targets_are_ignored(ignored):
    """The loss is 0 / 0; the gradient is 0 all the same, as in PyTorch."""
    x, target = torch.randn(3, 5), torch.full((3,), ignored)

    def f(x):
        x = x.detach().requires_grad_()
        loss = torch.nn.functional.cross_entropy(x, target, ignore_index=ignored)
        return loss.detach(), torch.autograd.grad(loss, x)[0]

    for loss, gradient in (f(x), torch.compile(f)(x)):
        assert np.isnan(loss.item()) and not gradient.numpy().any()
