"""What the passes make of loops over time: few products, one sum per bias, no more memory than the steps need."""

import numpy as np
import pytest

import chainrule as torch
from chainrule.compiler import reference
from chainrule.compiler.ir import Program
from chainrule.compiler.simplify import simplified

pytest.importorskip("llvmlite")


def rnn(steps, *, update, width=16, batch=4):
    """A recurrent step: its weights, and a function that returns the gradients, or makes a step with them."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(steps, batch, width, generator=g)
    w, u = (torch.nn.Parameter(0.2 * torch.randn(width, width, generator=g)) for _ in range(2))
    b = torch.nn.Parameter(0.1 * torch.randn(width, generator=g))
    opt = torch.optim.SGD([w, u, b], lr=0.1)

    def step(x):
        h = torch.zeros(batch, width)
        for t in range(steps):
            h = torch.tanh(x[t] @ w + h @ u + b)
        loss = (h * h).sum()
        if not update:
            return torch.autograd.grad(loss, [w, u, b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        return [w.detach().clone(), u.detach().clone(), b.detach().clone()]

    return step, x


def compiled(step, *args, **options):
    c = torch.compile(step, **options)
    result = c(*args)
    (entry,) = (e for entries in c.kinds.values() for e in entries)
    return result, entry


@pytest.mark.parametrize("update", [False, True])
@pytest.mark.parametrize("steps", [3, 5, 31, 32, 33, 47, 49, 100])
def test_sums_over_steps(steps, update):
    """Every way in which the steps are cut into parts, with the sums as results and as in-place updates."""
    want = rnn(steps, update=update)
    got = rnn(steps, update=update)
    expected = [np.array(t.detach()) for t in want[0](want[1])]
    result, _ = compiled(got[0], got[1])
    for mine, right in zip(result, expected, strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), right, rtol=2e-4, atol=2e-5)


def test_one_product_per_part_added_to_the_one_before():
    step, x = rnn(100, update=False)
    _, entry = compiled(step, x)
    instrs = entry.executable.detail.program.instrs
    tall = [i for i in instrs if i.op == "dot" and i.inputs[0].shape[0] == 16 and i.inputs[0].shape[1] > 16]
    # 100 steps of 4 rows: half a part of 128 rows, whole ones, the rest
    assert sorted(i.inputs[0].shape[1] for i in tall) == [64, 64, 80, 80, 128, 128, 128, 128]
    assert sum(len(i.inputs) == 2 for i in tall) == 2  # those that nothing came before
    assert sum(len(i.inputs) == 3 for i in tall) == len(tall) - 2
    rows = [i for i in instrs if i.op == "reduce" and i.inputs[0].shape[-1] == 16 and len(i.inputs[0].shape) == 2]
    assert len(rows) == len(tall) // 2  # the bias's gradient from the same stacks


def test_memory_of_a_long_loop():
    """Hidden states, once each; one stack of gradients; the results."""
    steps, width, batch = 200, 32, 16
    step, x = rnn(steps, update=False, width=width, batch=batch)
    _, entry = compiled(step, x)
    states = 4 * steps * batch * width
    assert entry.executable.detail.plan.arena < states + 128 * width * 4 * 2


@pytest.mark.parametrize("batch", [0, 1, 4])
def test_slices_of_the_states_have_stacks_of_their_own(batch):
    """Two weights, of which one sees the first columns of what the other sees; and batches of nothing."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(9, batch, 8, generator=g)
    w, u, v = (torch.nn.Parameter(0.2 * torch.randn(n, 8, generator=g)) for n in (8, 8, 3))

    def step(x):
        h = torch.zeros(batch, 8)
        for t in range(9):
            h = torch.tanh(x[t] @ w + h @ u + h[:, :3] @ v)
        return torch.autograd.grad((h * h).sum(), [w, u, v])

    for mine, right in zip(compiled(step, x)[0], step(x), strict=True):
        np.testing.assert_allclose(mine.numpy(), right.numpy(), rtol=2e-4, atol=2e-5)


def test_a_region_that_meets_itself_is_set_not_added():
    """The windows of a row overlap: what is set last stays, and only that is added."""
    p = Program()
    x, piece = p.input((8,), "float32"), p.input((5, 3), "float32")
    zeros = p.map("id", p.view(p.scalar(0, "float32"), (8,), (0,)))
    region = p.add("update", (zeros, piece), {"strides": (1, 1), "offset": 0, "fn": "set"}, ((8,), "float32"))
    p.outputs = [p.map("add", x, region)]
    arrays = [np.ones(8, "f4"), np.arange(15, dtype="f4").reshape(5, 3)]
    want = reference.evaluate(p, arrays)[0][0]
    np.testing.assert_array_equal(reference.evaluate(simplified(p), arrays)[0][0], want)
