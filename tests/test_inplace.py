"""In-place operators, views and version counters: random programs run step by step here and in PyTorch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr

pt = pytest.importorskip("torch")

# A step is (name, i, j, k): tensors are chosen by i and j modulo how many there are, k is a detail.
VIEWS = {
    "select": lambda lib, x, y, k: x.select(0, k % x.shape[0]),
    "slice": lambda lib, x, y, k: x[k % 2 :],
    "slice step": lambda lib, x, y, k: x[::2],
    "transpose": lambda lib, x, y, k: x.transpose(0, -1),
    "flatten": lambda lib, x, y, k: x.view(-1),
    "unsqueeze": lambda lib, x, y, k: x.unsqueeze(k % 2),
    "squeeze": lambda lib, x, y, k: x.squeeze(),
    "narrow": lambda lib, x, y, k: x.narrow(-1, 0, 1),
    "expand": lambda lib, x, y, k: x.expand(2, *x.shape),
    "diagonal": lambda lib, x, y, k: x.diagonal(),
    "column": lambda lib, x, y, k: x[..., k % x.shape[-1]],
    "detach": lambda lib, x, y, k: x.detach(),
}
CHANGES = {
    "mul_": lambda lib, x, y, k: x.mul_(1.5),
    "add_": lambda lib, x, y, k: x.add_(y),
    "sub_": lambda lib, x, y, k: x.sub_(y, alpha=0.5),
    "imul": lambda lib, x, y, k: x.__imul__(y),
    "sin_": lambda lib, x, y, k: x.sin_(),
    "tanh_": lambda lib, x, y, k: x.tanh_(),
    "sigmoid_": lambda lib, x, y, k: x.sigmoid_(),
    "relu_": lambda lib, x, y, k: x.relu_(),
    "copy_": lambda lib, x, y, k: x.copy_(y),
    "zero_": lambda lib, x, y, k: x.zero_(),
    "fill_": lambda lib, x, y, k: x.fill_(0.5),
    "masked_fill_": lambda lib, x, y, k: x.masked_fill_(x > 0.3, 0.25),
    "set int": lambda lib, x, y, k: x.__setitem__(k % x.shape[0], 0.75),
    "set tensor": lambda lib, x, y, k: x.__setitem__(slice(0, 1), y.sum()),
    "set mask": lambda lib, x, y, k: x.__setitem__(x > 0.5, 0.1),
    "set list": lambda lib, x, y, k: x.__setitem__([0, x.shape[0] - 1], y.mean()),
    "index_fill_": lambda lib, x, y, k: x.index_fill_(0, lib.tensor([0]), 0.4),
    "clamp_": lambda lib, x, y, k: x.clamp_(-0.8, 0.8),
}
OTHERS = {
    "mul": lambda lib, x, y, k: x * y,
    "add": lambda lib, x, y, k: x + y,
    "square": lambda lib, x, y, k: x * x,
    "sin": lambda lib, x, y, k: x.sin(),
    "tanh": lambda lib, x, y, k: x.tanh(),
    "exp": lambda lib, x, y, k: (x * 0.1).exp(),
    "sum": lambda lib, x, y, k: x.sum(0),
    "clone": lambda lib, x, y, k: x.clone(),
    "cat": lambda lib, x, y, k: lib.cat([x, y]),
    "matmul": lambda lib, x, y, k: x @ y,
    "gather": lambda lib, x, y, k: x[[0, 0]],
    "div": lambda lib, x, y, k: x / (y * y + 1),
}
QUIET = {  # the same changes with recording off
    f"{name} unrecorded": (lambda f: lambda lib, x, y, k: unrecorded(lib, f, x, y, k))(f)
    for name, f in CHANGES.items()
    if name in ("mul_", "copy_", "add_", "set int")
}
STEPS = VIEWS | CHANGES | OTHERS | QUIET


def unrecorded(lib, f, x, y, k):
    with lib.no_grad():
        return f(lib, x, y, k)


class Run:
    """One library's half of a program."""

    def __init__(self, lib):
        self.lib = lib
        rng = np.random.default_rng(0)
        a = lib.tensor(rng.uniform(-1, 1, (3, 3)), requires_grad=True)
        b = lib.tensor(rng.uniform(-1, 1, (3,)), requires_grad=True)
        self.leaves = [a, b]
        self.tensors = [a, b, lib.tensor(rng.uniform(-1, 1, (3, 3))), a * 2, b.sin()]

    def step(self, name, i, j, k):
        """The kind of error, or None."""
        x, y = self.tensors[i % len(self.tensors)], self.tensors[j % len(self.tensors)]
        try:
            result = STEPS[name](self.lib, x, y, k)
        except (RuntimeError, IndexError, ValueError, TypeError) as error:
            return error
        if result is not None and result is not x:
            self.tensors.append(result)
        return None

    def gradients(self):
        """``(error, gradients of the leaves)`` of a weighted sum of everything."""
        total = 0
        for n, t in enumerate(self.tensors):
            if t.requires_grad:
                total = total + (t * (0.3 + 0.1 * n)).sum()
        try:
            total.backward()
        except RuntimeError as error:
            return error, None
        return None, [leaf.grad for leaf in self.leaves]


def same(ours, theirs, what):
    assert tuple(ours.shape) == tuple(theirs.shape), what
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-9, atol=1e-11, err_msg=str(what))


def overlapping(x):
    return any(s == 0 and n > 1 for s, n in zip(x.stride(), x.shape))


def skipped(run, name, i, j):
    """Whether PyTorch leaves undefined what the step does: source and target share memory, or elements of the target
    do."""
    if name not in CHANGES and name not in QUIET:
        return False
    x, y = run.tensors[i % len(run.tensors)], run.tensors[j % len(run.tensors)]
    return overlapping(x) or (x is not y and x.untyped_storage().data_ptr() == y.untyped_storage().data_ptr())


def check_program(program):
    ours, theirs = Run(cr), Run(pt)
    for name, i, j, k in program:
        if skipped(theirs, name, i, j):
            continue
        e_ours, e_theirs = ours.step(name, i, j, k), theirs.step(name, i, j, k)
        assert (e_ours is None) == (e_theirs is None), f"{program}: at {name}: {e_ours!r}, PyTorch {e_theirs!r}"
        for n, (a, b) in enumerate(zip(ours.tensors, theirs.tensors)):
            what = f"{program}: tensor {n} after {name}"
            same(a, b, what)
            assert a.requires_grad == b.requires_grad, what
            assert a.is_leaf == b.is_leaf, what
            assert (a.grad_fn is None) == (b.grad_fn is None), what
    e_ours, g_ours = ours.gradients()
    e_theirs, g_theirs = theirs.gradients()
    assert e_ours is None or e_theirs is not None, f"{program}: backward: {e_ours!r}, PyTorch gives gradients"
    if e_ours is None and e_theirs is not None:
        g_theirs = true_gradients(program)  # ours had kept a value of its own
    if e_ours is None:
        for n, (a, b) in enumerate(zip(g_ours, g_theirs)):
            assert (a is None) == (b is None)
            if a is not None:
                same(a, b, f"{program}: gradient of leaf {n}")
    else:
        assert isinstance(e_ours, cr.errors.InPlaceError), e_ours


class PrivateRun(Run):
    """PyTorch computing on copies, so that nothing it saves is ever changed: the gradients as they should be."""

    def step(self, name, i, j, k):
        x, y = self.tensors[i % len(self.tensors)], self.tensors[j % len(self.tensors)]
        try:
            if name in VIEWS:
                self.tensors.append(VIEWS[name](self.lib, x, y, k))
            elif name in OTHERS:
                self.tensors.append(OTHERS[name](self.lib, x.clone(), y.clone(), k).clone())
            else:
                with self.lib.set_grad_enabled(name in CHANGES):
                    copy = x.clone()
                    STEPS[name](self.lib, copy, y.clone(), k)
                    x.copy_(copy)
        except (RuntimeError, IndexError, ValueError, TypeError):
            pass


def true_gradients(program):
    run = PrivateRun(pt)
    for name, i, j, k in program:
        if not skipped(run, name, i, j):
            run.step(name, i, j, k)
    error, grads = run.gradients()
    assert error is None
    return grads


steps = st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 9), st.integers(0, 9), st.integers(0, 3))


@settings(max_examples=120, deadline=None, derandomize=True)
@given(st.lists(steps, min_size=1, max_size=9))
def test_random_programs_agree_with_pytorch(program):
    check_program(program)


# ---- what an in-place change does to what was saved and retained


@pytest.mark.parametrize(("function", "outputs"), [("qr", 2), ("eigh", 2), ("svd", 3)], ids=lambda value: str(value))
def test_a_change_of_any_saved_output_is_noticed(function, outputs):
    for nr in range(outputs):
        x = cr.tensor([[2.0, 1.0], [1.0, 3.0]], requires_grad=True)
        out = getattr(cr.linalg, function)(x)
        out[nr].add_(0.5)
        with pytest.raises(RuntimeError, match=r"saved its result at version 0, which was changed to version 1"):
            sum((y * y).sum() for y in out).backward()


@pytest.mark.parametrize(
    "f",
    [
        lambda lib, x: lib.nn.functional.max_pool1d(x, 2),
        lambda lib, x: lib.nn.functional.adaptive_max_pool1d(x, 2),
        lambda lib, x: lib.nn.functional.batch_norm(x, None, None, training=True),
        lambda lib, x: lib.nn.functional.layer_norm(x, (4,)),
        lambda lib, x: lib.nn.functional.elu(x),
        lambda lib, x: lib.nn.functional.tanhshrink(x),
        lambda lib, x: lib.maximum(x, -x),
        lambda lib, x: lib.minimum(x, -x),
        lambda lib, x: lib.frexp(x)[0],
    ],
)
@pytest.mark.parametrize("change", [lambda y: y.relu_(), lambda y: y.reshape(-1).mul_(2), lambda y: y[0].exp_()])
def test_results_that_pytorch_lets_change(f, change):
    gradients = []
    for lib in (cr, pt):
        x = lib.tensor([[[0.3, -0.5, 1.1, 0.9]], [[-1.2, 0.7, 0.4, -0.6]]], dtype=lib.float64, requires_grad=True)
        y = f(lib, x * 1.0)
        change(y)
        (y * y).sum().backward()
        gradients.append(x.grad.tolist())
    np.testing.assert_allclose(*gradients, rtol=1e-10)


@pytest.mark.parametrize(
    "change",
    [
        lambda x, y: y.mul_(3),
        lambda x, y: y.mul_(3).exp_(),
        lambda x, y: y[:2].mul_(3),
        lambda x, y: y.__setitem__(0, x[1] * 5),
        lambda x, y: y.copy_(x * 4),
        lambda x, y: y.zero_(),
    ],
)
def test_retain_grad_means_the_tensor_as_it_is_in_the_end(change):
    results = []
    for lib in (cr, pt):
        x = lib.tensor([1.0, 0.5, 2.0], requires_grad=True)
        y = x * 2
        y.retain_grad()
        change(x, y)
        (y * y).sum().backward()
        results.append(y.grad.tolist() + x.grad.tolist())
    assert results[0] == pytest.approx(results[1])


def test_retain_grad_of_a_view_follows_its_base():
    for lib in (cr, pt):
        x = lib.ones(3, requires_grad=True)
        y = x * 2
        v = y[:2]
        v.retain_grad()
        y.mul_(3)
        (v * v).sum().backward()
        assert v.grad.tolist() == [12.0, 12.0] and not v.is_leaf


def test_second_order_through_an_output_changed_in_place():
    class Twice(cr.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0, x * 2.0

        @staticmethod
        def backward(ctx, g, h):
            return g + 2 * h

    def second(step):
        x = cr.tensor([0.3, 0.7], dtype=cr.float64, requires_grad=True)
        _, y = Twice.apply(x)
        (g,) = cr.autograd.grad(step(y).sum(), x, create_graph=True)
        return cr.autograd.grad((g * g).sum(), x)[0].tolist()

    assert second(lambda y: y.sin_()) == pytest.approx(second(lambda y: y.sin()))


def test_a_view_of_a_base_that_began_to_require_gradients_is_no_leaf():
    w, base = cr.ones(2, requires_grad=True), cr.zeros(2)
    v = base[:1]
    base.add_(w)
    assert not v.is_leaf


def test_zeroing_a_pooled_result_outside_the_graph_leaves_its_gradient():
    gradients = []
    for lib in (cr, pt):
        x = lib.tensor([[[0.1, 0.4, 0.3, 0.2]]], requires_grad=True)
        y = lib.nn.functional.max_pool1d(x * 2, 2)
        with lib.no_grad():
            y.zero_()
        y.sum().backward()
        gradients.append(x.grad.tolist())
    assert gradients[0] == gradients[1]
