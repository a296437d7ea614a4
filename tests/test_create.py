"""Creation and random numbers."""

import math

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")

CALLS = [
    lambda T: T.tensor([1, 2]),
    lambda T: T.tensor([1.5, 2]),
    lambda T: T.tensor([True, False]),
    lambda T: T.tensor(3),
    lambda T: T.tensor([]),
    lambda T: T.tensor([[], []]),
    lambda T: T.tensor([[1, 2.0], [3, 4]]),
    lambda T: T.tensor(np.float64(2)),
    lambda T: T.tensor(np.arange(3, dtype=np.int16)),
    lambda T: T.tensor([T.tensor(1.0), T.tensor(2.0)]),
    lambda T: T.tensor([1, 2], dtype=T.float64),
    lambda T: T.tensor(2.0, dtype=T.int32),
    lambda T: T.zeros(2, 3),
    lambda T: T.zeros((2, 0)),
    lambda T: T.zeros([]),
    lambda T: T.ones(3, dtype=T.bool),
    lambda T: T.full((2,), 3),
    lambda T: T.full((2, 2), 1.5),
    lambda T: T.full((1,), True),
    lambda T: T.eye(3),
    lambda T: T.eye(2, 3),
    lambda T: T.arange(5),
    lambda T: T.arange(1, 4),
    lambda T: T.arange(0, 1, 0.25),
    lambda T: T.arange(5, 0, -2),
    lambda T: T.arange(3.0),
    lambda T: T.arange(0, 10, 3, dtype=T.float64),
    lambda T: T.linspace(0, 1, 5),
    lambda T: T.linspace(3, 3, 1),
    lambda T: T.linspace(0, 10, 4, dtype=T.int64),
    lambda T: T.linspace(-2, 5, 0),
    lambda T: T.logspace(0, 2, 3),
    lambda T: T.logspace(0, 3, 4, base=2),
    lambda T: T.zeros_like(T.ones(2, dtype=T.int64)),
    lambda T: T.ones_like(T.zeros(2, 2), dtype=T.float64),
    lambda T: T.full_like(T.zeros(2), 7),
    lambda T: T.ones(2).new_zeros(3),
    lambda T: T.ones(2, dtype=T.float64).new_tensor([1, 2]),
    lambda T: T.ones(2).new_full((2,), 5),
    lambda T: T.Tensor([1, 2]),
    lambda T: T.LongTensor([1, 2]),
    lambda T: T.as_tensor([1, 2]),
    lambda T: T.asarray([1.0]),
    lambda T: T.scalar_tensor(3),
    lambda T: T.empty(0, 3),
    lambda T: T.tensor((1, 2)),
    lambda T: T.tensor([[[1]]]),
]


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_creation_matches(call):
    mine, theirs = call(cr), call(torch)
    assert str(mine.dtype) == str(theirs.dtype)
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6)


@pytest.mark.parametrize("bad, error, text", [
    (lambda: cr.tensor([[1, 2], [3]]), ValueError, "expected sequence of length 2 at dim 1"),
    (lambda: cr.tensor("a"), TypeError, "data type"),
    (lambda: cr.tensor([object()]), TypeError, "could not infer dtype"),
    (lambda: cr.zeros(-1), RuntimeError, "negative dimension -1"),
    (lambda: cr.zeros("a"), TypeError, "sizes must be ints"),
    (lambda: cr.arange(0, 1, 0), RuntimeError, "step must be nonzero"),
    (lambda: cr.arange(3, 0), RuntimeError, "inconsistent with step sign"),
    (lambda: cr.tensor([2**70]), RuntimeError, "Overflow when unpacking long"),
    (lambda: cr.zeros(2, device="cuda"), NotImplementedError, "computes on the CPU"),
    (lambda: cr.randint(3, 1, (2,)), RuntimeError, "expects 'from' to be less than 'to'"),
    (lambda: cr.rand(2, dtype=cr.int64), RuntimeError, "not implemented for"),
    (lambda: cr.multinomial(cr.tensor([0.0, 0.0]), 1), RuntimeError, "sum of probabilities <= 0"),
    (lambda: cr.multinomial(cr.tensor([-1.0, 2.0]), 1), RuntimeError, "element < 0"),
    (lambda: cr.multinomial(cr.tensor([1.0, 2.0]), 3), RuntimeError, "without replacement"),
    (lambda: cr.bernoulli(cr.tensor([2.0])), RuntimeError, r"in \[0, 1\]"),
    (lambda: cr.normal(0.0, -1.0, (2,)), RuntimeError, "std >= 0.0"),
    (lambda: cr.rand(2, generator=3), TypeError, "expected a torch.Generator"),
])  # fmt: skip
def test_bad_arguments(bad, error, text):
    with pytest.raises(error, match=text):
        bad()


def test_tensor_copies():
    a = np.zeros(2)
    t = cr.tensor(a)
    a[0] = 1
    assert t.tolist() == [0, 0]


def test_seeds_and_states_reproduce():
    cr.manual_seed(3)
    a = cr.randn(5)
    state = cr.get_rng_state()
    b = cr.rand(3)
    cr.manual_seed(3)
    assert cr.randn(5).tolist() == a.tolist()
    cr.set_rng_state(state)
    assert cr.rand(3).tolist() == b.tolist()
    g = cr.Generator().manual_seed(1)
    x = cr.randperm(10, generator=g)
    h = cr.Generator()
    h.set_state(cr.Generator().manual_seed(1).get_state())
    assert cr.randperm(10, generator=h).tolist() == x.tolist()
    assert g.initial_seed() == 1
    with pytest.raises(TypeError, match="uint8 tensor of 45 bytes"):
        g.set_state(cr.zeros(3))


def test_distributions_of_random_numbers():
    cr.manual_seed(0)
    n = 20_000
    u = cr.rand(n, dtype=cr.float64)
    assert 0 <= u.min().item() and u.max().item() < 1
    assert abs(u.mean().item() - 0.5) < 5 / math.sqrt(12 * n)
    z = cr.randn(n, dtype=cr.float64)
    assert abs(z.mean().item()) < 5 / math.sqrt(n)
    assert abs(z.var().item() - 1) < 5 * math.sqrt(2 / n)
    k = cr.randint(2, 5, (n,))
    assert sorted(set(k.tolist())) == [2, 3, 4]
    assert sorted(cr.randperm(100).tolist()) == list(range(100))
    p = cr.tensor([1.0, 0.0, 3.0])
    m = cr.multinomial(p, n, replacement=True)
    assert abs((m == 2).float().mean().item() - 0.75) < 5 * math.sqrt(0.75 * 0.25 / n)
    assert not (m == 1).any()
    first = cr.stack([cr.multinomial(p, 2) for _ in range(500)])
    assert not (first == 1).any()
    assert abs((first[:, 0] == 2).float().mean().item() - 0.75) < 5 * math.sqrt(0.75 * 0.25 / 500)
    e = cr.empty(n).exponential_(2.0)
    assert abs(e.mean().item() - 0.5) < 5 * 0.5 / math.sqrt(n)
    b = cr.bernoulli(cr.full((n,), 0.25))
    assert abs(b.mean().item() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / n)
    v = cr.empty(n).uniform_(-2, 4)
    assert -2 <= v.min().item() and v.max().item() < 4


def test_fills_in_place():
    x = cr.empty(3)
    assert x.zero_() is x and x.tolist() == [0, 0, 0]
    assert x.fill_(2.5).tolist() == [2.5] * 3
    w = cr.ones(2, requires_grad=True)
    y = w * 3
    y.zero_()
    y.sum().backward()
    assert w.grad.tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad"):
        w.fill_(1)
