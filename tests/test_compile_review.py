"""Programs found by reading the compiler against the grain: compiled and eager results agree."""

import numpy as np
import pytest

import chainrule as torch
from chainrule.compiler.simplify import stacks

pytest.importorskip("llvmlite")


def arrays(seed, n, *shape):
    r = np.random.default_rng(seed)
    return [torch.tensor(r.standard_normal(shape).astype(np.float32)) for _ in range(n)]


def close(mine, wanted):
    for a, b in zip(mine, wanted, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-5, atol=1e-5)


def products(xs, ys):
    total = xs[0].T @ ys[0]
    for x, y in zip(xs[1:], ys[1:], strict=True):
        total = total + x.T @ y
    return total


def test_two_sums_of_products_share_inputs_and_the_first_ends_before_the_second_begins():
    xs, ys, zs = arrays(0, 6, 4, 8), arrays(1, 6, 4, 5), arrays(2, 6, 4, 5)

    def f(xs, ys, zs):
        first = products(xs, ys)
        return first, products(xs, [z * first.sum() for z in zs])

    close(torch.compile(f)(xs, ys, zs), f(xs, ys, zs))


def test_sums_of_products_met_by_turns_share_one_stack():
    xs, ys, zs = arrays(0, 6, 4, 8), arrays(1, 6, 4, 5), arrays(2, 6, 4, 5)

    def f(xs, ys, zs):
        first, second = xs[0].T @ ys[0], xs[0].T @ zs[0]
        for x, y, z in zip(xs[1:], ys[1:], zs[1:], strict=True):
            first, second = first + x.T @ y, second + x.T @ z
        return first, second

    g = torch.compile(f)
    close(g(xs, ys, zs), f(xs, ys, zs))
    stacked = [v for k in g.kinds.values() for v in k[0].program.instrs if v.op == "update"]
    assert len(stacked) == 3 * 6  # xs once, ys and zs


def test_a_sum_that_is_no_sum_of_products_alone_is_walked_once():
    x, w = arrays(0, 2, 4, 4)

    def f(x, w):
        total = x @ w
        for k in range(1, 100):
            total = total + x * float(k)
        for k in range(5):
            total = total + (x * float(k)).T @ w
        return total

    walked = []
    real = stacks.leaves
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stacks, "leaves", lambda last: walked.append(last) or real(last))
        g = torch.compile(f, backend="reference")
        mine = g(x, w)
    np.testing.assert_allclose(mine.numpy(), f(x, w).numpy(), rtol=1e-3)
    assert len(walked) < 10


def test_an_argument_that_is_the_memory_the_step_writes():
    big = torch.tensor(np.random.default_rng(0).standard_normal(8).astype("f4"))
    same = torch.from_numpy(big.numpy()[:8])

    def f(x):
        same.copy_(x.flip(0))
        return x + x.sum()

    before = big.numpy().copy()
    expected = f(big).numpy().copy()
    big.numpy()[...] = before
    g = torch.compile(f)
    g(torch.ones(8))
    g(torch.ones(8))
    big.numpy()[...] = before
    np.testing.assert_allclose(g(big).numpy(), expected, rtol=1e-6)


def test_an_index_clamped_to_other_bounds_is_checked():
    f = torch.compile(lambda x, i: x[torch.minimum(i, torch.tensor(50))])
    with pytest.raises(IndexError, match="out of"):
        f(torch.randn(10), torch.tensor([1, 20]))
    g = torch.compile(lambda x, i: x[i.clamp(0, 9)])
    np.testing.assert_array_equal(g(torch.arange(10), torch.tensor([-5, 20])).numpy(), [0, 9])


def test_writing_to_an_expanded_argument():
    def h(x):
        x.add_(1)
        return x.sum()

    x = torch.randn(1, 5).expand(6, 5)
    with pytest.raises(RuntimeError, match="clone"):
        torch.compile(h)(x)
