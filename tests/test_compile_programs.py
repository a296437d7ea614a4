"""Programs as PyTorch users write them, run eagerly and compiled in turn: memory with several names, arguments, results,
gradients. Each case is one that once went wrong."""

import copy
import dataclasses
import pickle

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule.errors import CaptureError
from program_pairs import agree, both, values, x_

pytest.importorskip("llvmlite")


# ---- memory that has several names


def test_in_place_through_data_and_detach():
    def program(wrap):
        p = nn.Parameter(x_(4))

        @wrap
        def step(x):
            p.grad = None
            (p * x).sum().backward()
            p.grad.data.clamp_(-0.5, 0.5)
            p.data -= 0.1 * p.grad.data
            view = p[1:3]
            view.detach().mul_(2)
            p.detach()[0:1].fill_(3.0)
            p.data.view(2, 2)[1].add_(view.detach())
            p.data[3] = 7.0
            return p * 1, p.grad * 1

        return [step(x_(4, seed=k)) for k in range(3)], p

    both(program, [1])


def test_weights_of_one_model_in_another():
    def program(wrap):
        online, target = nn.Linear(3, 2), nn.Linear(3, 2)

        @wrap
        def soft(x):
            for a, b in zip(target.parameters(), online.parameters()):
                a.data.copy_(0.9 * a.data + 0.1 * b.data)
            return target(x)

        @wrap
        def hard(x):
            own = online.state_dict()
            for name, t in target.state_dict().items():
                t.copy_(0.5 * t + 0.5 * own[name])
            return target(x)

        out = []
        for k in range(4):
            out.append((hard if k == 2 else soft)(x_(5, 3)))
            with torch.no_grad():
                online.weight.add_(1)
        return out, target.state_dict(), online.state_dict()

    both(program, [1, 1])


def test_copies_and_gradients_do_not_share():
    def program(wrap):
        p, q = nn.Parameter(x_(3)), nn.Parameter(x_(3, seed=1))

        @wrap
        def step():
            p.grad = q.grad = None
            (p + q).sum().backward()
            with torch.no_grad():
                p.grad.mul_(3)
                p.copy_(q)
                q.add_(1)
            a, b, c = (p * torch.arange(3)).unbind()
            return a + b + c, p.grad * 1, q.grad * 1

        return [step() for _ in range(3)], p, q

    both(program, [1])


def test_parts_of_a_tensor_that_changes():
    def program(wrap):
        p = torch.ones(6)

        @wrap
        def step(x):
            a, b, c = p.chunk(3)
            p.add_(1)
            a.mul_(3)
            for k, t in enumerate(p.split(2)):
                t.fill_(k + x[0])
            p.unbind()[5].add_(10)
            row = torch.zeros(2, 3)
            row[0] = x
            row[:, 1] += 2
            row.t()[0, 0] = 100.0
            with torch.no_grad():
                row[1:].zero_()
            return a + b + c, row

        return [step(x_(3, seed=k)) for k in range(3)], p

    both(program, [1])


def test_what_the_function_makes_itself_begins_anew():
    """Tensors and optimisers made inside, changed in place and returned, are no state that lasts."""

    def program(wrap):
        @wrap
        def f(x):
            r = torch.zeros(3)
            r += x
            kept = Plain()
            kept.again, kept.r = kept, torch.ones(3)  # a cycle
            kept.r[1:].add_(x[1:])
            view = torch.zeros(3)[1:]
            view.mul_(2).add_(1)
            return r, kept.r, view

        @wrap
        def fit(x):
            m = nn.Linear(3, 3, bias=False)
            nn.init.zeros_(m.weight)
            opt = torch.optim.Adam(m.parameters(), lr=0.1)
            for _ in range(2):
                opt.zero_grad()
                (m(x).sum() - 1).pow(2).backward()
                opt.step()
            return m.weight

        @wrap
        def attack(x):
            d = torch.zeros_like(x, requires_grad=True)
            for _ in range(2):
                (g,) = torch.autograd.grad(((x + d) ** 3).sum(), d)
                d.data = (d.data + 0.1 * g.sign()).clamp(-0.15, 0.15)
            return d

        return [(f(x_(3, seed=k)), fit(x_(3, seed=k)), attack(x_(3, seed=k))) for k in range(3)]

    both(program, [1, 1, 1])


def test_data_is_exchanged():
    p, q = nn.Parameter(torch.ones(3)), nn.Parameter(torch.zeros(3))

    def step():
        q.data = p.data
        return q * 1

    with pytest.raises(CaptureError, match="was replaced, so that it shares memory.*copy_"):
        torch.compile(step)()
    assert q.tolist() == [0, 0, 0]


def test_arguments_on_one_array():
    f = torch.compile(lambda a, b: a * 10 + b)
    x, y = torch.ones(2), torch.full((2,), 2.0)
    for a, b in ((x, x.detach()), (x, y), (x, x.view(2)), (y, x[:]), (x, x)):
        agree(values(f(a, b)), values(a * 10 + b))
    w = torch.ones(2)
    g = torch.compile(lambda x: x * w)
    for x in (w.detach(), y, w):
        agree(values(g(x)), values(x * w))


def test_results_in_the_memory_of_others():
    def program(wrap):
        w = nn.Parameter(x_(3, 2))
        f = wrap(lambda x: (x, x.view(-1), x[0], w.t(), w.detach(), w.view(-1)))
        twice = wrap(lambda x: [x + 1] * 2)
        x = x_(2, 3)
        for _ in range(2):
            same, flat, row, turned, plain, long = f(x)
            flat.mul_(2)
            row.add_(1)
            plain[0].add_(5)
            with torch.no_grad():
                turned.mul_(2)
            (long**2).sum().backward()
        a, b = twice(x)
        lin = nn.Linear(2, 1)

        @wrap
        def gradients(x):
            lin.zero_grad()
            lin(x).sum().backward()
            return [p.grad for p in lin.parameters()]

        for _ in range(2):
            grads = gradients(x_(3, 2))
        assert all(g is p.grad for g, p in zip(grads, lin.parameters()))
        return grads, same is x, a is b, plain.requires_grad, x, w, w.grad

    both(program)


# ---- arguments, results, gradients


@dataclasses.dataclass
class Batch:
    x: torch.Tensor
    y: torch.Tensor
    name: str = "batch"


class Plain:
    pass


def test_dataclasses_and_objects():
    def program(wrap):
        lin = nn.Linear(3, 2)
        f = wrap(lambda b: Batch(lin(b.x) - b.y, b.x * 2, b.name))
        g = wrap(lambda o: o.x * o.k)
        out = [vars(f(Batch(x_(4, 3, seed=k), x_(4, 2)))) for k in range(3)]
        o = Plain()
        for k in range(3):
            o.x, o.k = x_(2, seed=k), k
            out.append(g(o))
        return out

    made = both(program)
    assert len(made[0].compilations) == 1

    def hidden(x):
        o = Plain()
        o.x = x * 2
        return o

    with pytest.raises(CaptureError, match="returns a Plain that holds tensors; return them in tuples"):
        torch.compile(hidden)(x_(2))


def test_models_as_arguments():
    def program(wrap):
        f = wrap(lambda m, x: m(x))
        m, out = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4)), []
        for k in range(5):
            m.train(k % 2 == 0)
            out.append(f(m, x_(5, 3, seed=k)))
            if k == 2:
                m[0].weight = nn.Parameter(x_(4, 3))
        return out, m.state_dict()

    both(program)


def test_only_the_shape_of_an_argument_matters():
    def program(wrap):
        lin = nn.Linear(3, 2)
        opt = torch.optim.SGD(lin.parameters(), lr=0.1)

        @wrap
        def step(x):
            opt.zero_grad()
            loss = (lin(x) ** 2).sum()
            loss.backward()
            opt.step()
            return loss, torch.zeros(len(x))

        return [step(x_(n, 3)) for n in (4, 0, 1, 0, 5)], lin.weight, lin.weight.grad

    both(program, [4])
    f = torch.compile(lambda x: torch.ones(len(x)))
    assert [len(f(torch.ones(n))) for n in (2, 2, 3, 2)] == [2, 2, 3, 2]


def test_gradients_of_arguments_add_up():
    def program(wrap):
        f = wrap(lambda x: (x**2).sum().backward())
        a, b = x_(3, requires_grad=True), x_(3, seed=1, requires_grad=True)
        for x in (a, a, a, b, b):
            f(x)
        return a.grad, b.grad

    both(program, [2])


def test_arguments_that_are_equal():
    f = torch.compile(lambda x, k: x[k] if isinstance(k, slice) else x.to(k) if isinstance(k, torch.device) else x * k)
    for make in (lambda: np.float32(2), lambda: slice(0, 2), lambda: torch.device("cpu")):
        for _ in range(3):
            f(x_(3), make())
    assert len(f.compilations) == 3

    class Scale:
        def __init__(self, x):
            self.x = x

        def __eq__(self, other):
            return True

        __hash__ = None

    g = torch.compile(lambda x, s: x * s.x)
    agree(values([g(x_(3), Scale(torch.tensor(k))) for k in (1.0, 2.0)]), values([x_(3), x_(3) * 2]))
    with pytest.raises(CaptureError, match="is a generator; collect what it yields"):
        torch.compile(lambda x: (x * k for k in range(3)))(x_(3))
    with pytest.raises(CaptureError, match=r"asked for while the function was captured \(bool\(\): a branch on it"):
        torch.compile(lambda x: x if x.sum() > 0 else -x)(x_(3))


def test_backward_through_results():
    lin, x = nn.Linear(3, 3), x_(2, 3)
    f = torch.compile(lambda x: lin(x).tanh().sum())
    loss = f(x)
    loss.backward(retain_graph=True)
    loss.backward()
    with pytest.raises(RuntimeError, match="a second time"):
        loss.backward()

    def mixed(x):
        with torch.enable_grad():
            a = lin(x)
        return a, lin(x)

    for mode in (torch.no_grad(), torch.enable_grad()):
        with mode:
            agree([t.requires_grad for t in torch.compile(mixed)(x)], [t.requires_grad for t in mixed(x)])


def test_results_with_and_without_a_graph():
    def program(wrap):
        a, b = nn.Linear(3, 3), nn.Linear(3, 2)

        @wrap
        def f(x):
            h = a(x).tanh()
            loss = (h**2).sum()
            loss.backward()
            return loss, h, b(x).tanh(), b(x + 1).tanh()

        for k in range(2):
            _, _, y, z = f(x_(4, 3, seed=k))
            (y * z).sum().backward()
        return a.weight.grad, b.weight.grad

    both(program, [2])


def test_clipping_that_refuses_infinities():
    def program(wrap):
        lin = nn.Linear(3, 2)
        opt = torch.optim.SGD(lin.parameters(), lr=0.1)

        @wrap
        def step(x):
            opt.zero_grad()
            loss = (lin(x) ** 2).mean()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(lin.parameters(), 0.5, error_if_nonfinite=True)
            opt.step()
            return loss, norm

        out = [step(x_(4, 3))]
        with pytest.raises(RuntimeError, match="total norm of order 2.0 .* is non-finite"):
            step(x_(4, 3) * float("inf"))
        return [*out, step(x_(4, 3))], lin.state_dict()

    both(program, [1])


def test_hooks_that_come_and_go():
    def program(wrap):
        lin, act = nn.Linear(3, 2), nn.ReLU()
        opt = torch.optim.SGD(lin.parameters(), lr=0.1)

        @wrap
        def step(x):
            opt.zero_grad()
            loss = act(lin(x)).sum()
            loss.backward()
            opt.step()
            return loss, lin.weight.grad * 1

        out = [step(x_(4, 3))]
        handles = [lin.weight.register_hook(lambda g: g * 10), act.register_forward_hook(lambda m, i, o: o * 3)]
        out += [step(x_(4, 3)), step(x_(4, 3))]
        for handle in handles:
            handle.remove()
        return [*out, step(x_(4, 3))], lin.state_dict()

    both(program, [2])
    kept, lin = {}, nn.Linear(3, 2)
    lin.register_forward_hook(lambda m, i, o: kept.update(out=o.detach()))
    with pytest.raises(CaptureError, match=r"stores a tensor that it computes in .*\['out'\]"):
        torch.compile(lin)(x_(2, 3))
    assert not kept


def test_samples_of_distributions():
    def program(wrap):
        policy = nn.Linear(4, 3)
        act = wrap(lambda s: torch.distributions.Categorical(logits=policy(s)).sample())
        pick = wrap(lambda w: (torch.multinomial(w, 2), torch.multinomial(torch.ones(5), 3)))
        place = wrap(lambda x, edges: (torch.bucketize(x, edges), torch.searchsorted(edges, x, right=True)))
        edges = torch.tensor([-1.0, 0.0, 0.0, 1.0])
        return [(act(x_(6, 4, seed=k)), pick(x_(2, 4, seed=k).abs()), place(x_(5, seed=k), edges)) for k in range(3)]

    both(program, [1, 1, 1])
    pick = torch.compile(lambda w: torch.multinomial(w, 2))
    with pytest.raises(RuntimeError, match="contains either"):
        pick(torch.tensor([1.0, -1.0, 2.0]))


def test_vmap_inside_over_operators_without_a_batched_form():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))

    def per_sample(x):
        params = dict(model.named_parameters())
        g = torch.func.grad(lambda p, v: torch.func.functional_call(model, p, (v,)).squeeze(-1))
        return torch.func.vmap(g, in_dims=(None, 0))(params, x)

    agree(values(torch.compile(per_sample)(x_(5, 3))), values(per_sample(x_(5, 3))))


def test_masks_and_averages():
    def program(wrap):
        norm = nn.BatchNorm1d(4, momentum=None)

        @wrap
        def f(q, mask):
            return F.scaled_dot_product_attention(q, q, q, mask), norm(q)

        mask = torch.tensor([[True, False, True, False], [False] * 4, [True] * 4, [True, True, False, False]])
        return [f(x_(2, 4, 5, seed=k), mask) for k in range(3)], norm.state_dict()

    both(program)


def test_copies_and_pickles():
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    fast, x = torch.compile(model), x_(5, 3)
    fast(x)
    other = copy.deepcopy(fast)
    with torch.no_grad():
        other[0].weight.zero_()
    model.eval()
    assert len(fast) == 2 and bool(fast)
    for c in (fast, pickle.loads(pickle.dumps(fast)), torch.compile(fast)):
        c.eval()
        agree(values(c(x)), values(model(x)))

    class Trainer:
        gain = 2.0

        @torch.compile
        def step(self, x):
            return x * self.gain

    one = Trainer()
    one.step(x)
    two = copy.deepcopy(one)
    two.gain = 3.0
    agree(values([one.step(x), two.step(x)]), values([x * 2, x * 3]))
    assert copy.deepcopy(Trainer.step) is Trainer.step


def test_modes_and_backends_of_pytorch():
    for kw in ({"mode": "max-autotune"}, {"backend": "inductor"}, {"backend": "eager"}, {"fullgraph": True}):
        agree(values(torch.compile(lambda x: x * 2, **kw)(x_(3))), values(x_(3) * 2))
    with pytest.raises(TypeError, match="mode must be one of .*, got 'fast'"):
        torch.compile(lambda x: x, mode="fast")
