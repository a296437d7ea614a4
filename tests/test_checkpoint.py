"""utils.checkpoint: the same gradients from less memory."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as torch
from chainrule.utils.checkpoint import checkpoint, checkpoint_sequential


def leaf(seed, *shape):
    return torch.tensor(np.random.default_rng(seed).uniform(0.2, 1, shape), requires_grad=True)


def block(x, w):
    h = (x @ w).tanh()
    return h * h.exp(), h.sum()


def gradients(run, **kw):
    x, w = leaf(0, 3, 3), leaf(1, 3, 3)
    a, b = run(x * 1, w)
    return torch.autograd.grad(a.sum() * b, [x, w], **kw)


def through(x, w, **kw):
    return checkpoint(block, x, w, use_reentrant=False, **kw)


def test_the_same_gradients():
    for got, expected in zip(gradients(through), gradients(block)):
        assert torch.equal(got, expected)


def test_higher_order():
    def second(run):
        g = gradients(run, create_graph=True)
        x_w = [leaf(0, 3, 3), leaf(1, 3, 3)]
        a, b = run(*x_w)
        first = torch.autograd.grad(a.sum() * b, x_w, create_graph=True)
        return g, torch.autograd.grad(sum((f * f).sum() for f in first), x_w)

    (a, b), (c, d) = second(through), second(block)
    for got, expected in zip((*a, *b), (*c, *d)):
        np.testing.assert_allclose(got.detach().numpy(), expected.detach().numpy(), rtol=1e-12)


def test_parameters_inside_and_nesting():
    w = leaf(1, 3, 3)

    def inner(x):
        return checkpoint(lambda y: (y @ w).sin(), x, use_reentrant=False)

    x = leaf(0, 3, 3)
    checkpoint(lambda x: inner(x) * w, x, use_reentrant=False).sum().backward()
    got = w.grad
    w.grad = None
    ((x @ w).sin() * w).sum().backward()
    assert torch.equal(got, w.grad)


def test_the_random_state_is_given_back():
    torch.manual_seed(3)
    x = torch.ones(100, dtype=torch.float64, requires_grad=True)
    y = checkpoint(lambda x: torch.nn.functional.dropout(x, 0.5), x, use_reentrant=False)
    after = torch.rand(1)
    torch.rand(7)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    torch.manual_seed(3)
    torch.nn.functional.dropout(x, 0.5)
    assert torch.equal(after, torch.rand(1))


def test_a_function_that_changes_its_mind():
    calls = []

    def fickle(x):
        calls.append(1)
        return x.sin() if len(calls) == 1 else x.sin().cos()

    x = leaf(0, 3)
    with pytest.raises(
        torch.errors.GradientError,
        match="recorded 2 operators when it was run again for the backward pass and 1 the first time",
    ):
        checkpoint(fickle, x, use_reentrant=False).sum().backward()


def test_under_no_grad_and_kwargs():
    x = leaf(0, 3)
    with torch.no_grad():
        assert not checkpoint(torch.sin, x, use_reentrant=False).requires_grad
    y = checkpoint(lambda x, *, scale: x * scale, x, use_reentrant=False, scale=3.0)
    y.sum().backward()
    assert x.grad.tolist() == [3.0] * 3


def test_sequential():
    layers = [torch.nn.Linear(3, 3), torch.nn.Tanh(), torch.nn.Linear(3, 3), torch.nn.Sigmoid()]
    model = torch.nn.Sequential(*layers)
    x = torch.ones(2, 3, requires_grad=True)
    checkpoint_sequential(model, 2, x, use_reentrant=False).sum().backward()
    got = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(x).sum().backward()
    for a, p in zip(got, model.parameters()):
        assert torch.equal(a, p.grad)


def test_what_is_saved_inside_is_freed_before_the_backward_pass():
    kept = []

    def f(x):
        h = x.exp()
        kept.append(weakref.ref(h))
        return (h * h).sum()

    gc.disable()
    try:
        x = leaf(0, 3)
        y = checkpoint(f, x, use_reentrant=False)
        assert kept[0]() is None
        y.backward()
        np.testing.assert_allclose(x.grad.numpy(), 2 * np.exp(2 * x.detach().numpy()))
    finally:
        gc.enable()


def test_each_run_happens_in_its_context():
    from contextlib import contextmanager

    seen = []

    @contextmanager
    def mark(what):
        seen.append(what)
        yield

    x = torch.ones(2, requires_grad=True)
    y = checkpoint(lambda t: (t * t).sum(), x, context_fn=lambda: (mark("first"), mark("again")))
    assert seen == ["first"]
    y.backward()
    assert seen == ["first", "again"]
    with pytest.raises(ValueError, match="determinism_check must be 'default' or 'none'"):
        checkpoint(lambda t: t, x, determinism_check="maybe")
