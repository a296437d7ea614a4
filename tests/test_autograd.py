"""The backward pass: roots, targets, hooks, modes, threads, long chains, nothing left behind."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import backward, engine, grad

pt = pytest.importorskip("torch")


def agree(program):
    """Run a program of (lib) that returns tensors (or None, bools, strings) here and in PyTorch; all results must be
    equal."""
    ours, theirs = program(cr), program(pt)
    assert len(ours) == len(theirs)
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if isinstance(b, pt.Tensor):
            assert tuple(a.shape) == tuple(b.shape), i
            assert str(a.dtype) == str(b.dtype), i
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-6, err_msg=str(i))
        else:
            assert a == b, i


def xy(lib):
    return lib.tensor([1.0, 2.0, 3.0], requires_grad=True), lib.tensor([0.5, -1.0, 2.0], requires_grad=True)


def several_roots(lib):
    x, y = xy(lib)
    lib.autograd.backward([(x * y).sum(), (x + 1) * 2, x], [None, lib.ones(3), lib.tensor([1.0, 2.0, 3.0])])
    return x.grad, y.grad


def accumulation(lib):
    x, y = xy(lib)
    for _ in range(3):
        (x * y).sum().backward()
    return x.grad, y.grad


def retained_graph(lib):
    x, y = xy(lib)
    z = (x * y).exp().sum()
    z.backward(retain_graph=True)
    first = x.grad.clone()
    z.backward()
    return first, x.grad


def nothing_saved(lib):
    """A graph that saved nothing can be walked again."""
    x, y = xy(lib)
    z = (x + y).sum()
    z.backward()
    z.backward()
    return x.grad, y.grad


def inputs_only(lib):
    x, y = xy(lib)
    z = x * y
    z.sum().backward(inputs=[x])
    return x.grad, y.grad


def inputs_non_leaf(lib):
    x, y = xy(lib)
    z = x * y
    (z * z).sum().backward(inputs=[z, y])
    return z.grad, y.grad, x.grad


def create_graph(lib):
    x, y = xy(lib)
    (x**3 * y).sum().backward(create_graph=True)
    g = x.grad
    (h,) = lib.autograd.grad(g.sum(), x)
    return g, h, g.requires_grad


def third_order(lib):
    x, _ = xy(lib)
    y = x**4
    out = []
    for _ in range(3):
        (y,) = lib.autograd.grad(y.sum(), x, create_graph=True)
        out.append(y)
    return out


def unused(lib):
    x, y = xy(lib)
    return (
        *lib.autograd.grad((x * 2).sum(), [x, y], allow_unused=True),
        *lib.autograd.grad((x * 2).sum(), [x, y], materialize_grads=True),
    )


def batched_gradients(lib):
    x, y = xy(lib)
    z = x * y.exp()
    return lib.autograd.grad(z, [x, y], lib.eye(3), is_grads_batched=True)


def retain_grad(lib):
    x, y = xy(lib)
    z = x * y
    w = z.exp()
    z.retain_grad()
    w.retain_grad()
    w.sum().backward()
    return z.grad, w.grad, z.retains_grad, x.retains_grad, z.is_leaf


def retain_grad_of_one_output(lib):
    x, y = xy(lib)
    a, b, c = (x * y).unbind(0)
    b.retain_grad()
    values, indices = lib.sort(x * y)
    values.retain_grad()
    (a * b + c + (values * lib.tensor([1.0, 2.0, 3.0])).sum()).backward()
    return b.grad, values.grad, x.grad, y.grad


def hooks_in_order(lib):
    x, y = xy(lib)
    seen = []
    z = x * y
    z.register_hook(lambda g: seen.append(("first", g.tolist())))
    z.register_hook(lambda g: g * 2)
    z.register_hook(lambda g: seen.append(("third", g.tolist())))
    x.register_hook(lambda g: seen.append(("leaf", g.tolist())))
    x.register_hook(lambda g: g + 1)
    z.sum().backward()
    return str(seen), x.grad, y.grad


def hooks_and_grad(lib):
    x, y = xy(lib)
    z = x * y
    z.register_hook(lambda g: g * 3)
    x.register_hook(lambda g: g * 2)
    return *lib.autograd.grad(z.sum(), [x, y], retain_graph=True), *lib.autograd.grad(z.sum(), z)


def hook_removed(lib):
    x, y = xy(lib)
    z = x * y
    handle = z.register_hook(lambda g: g * 100)
    keep = z.register_hook(lambda g: g * 2)
    handle.remove()
    handle.remove()
    z.sum().backward()
    keep.remove()
    return x.grad, y.grad


def hook_and_retained_gradient(lib):
    x, y = xy(lib)
    z = x * y
    z.retain_grad()
    z.register_hook(lambda g: g * 2)
    z.sum().backward()
    return z.grad, x.grad


def hook_on_multi_output(lib):
    x, y = xy(lib)
    a, b, c = (x * y).unbind(0)
    b.register_hook(lambda g: g * 5)
    (a + b).backward()
    return x.grad, y.grad


def hook_that_computes(lib):
    x, y = xy(lib)
    z = x * y
    z.register_hook(lambda g: g * z)
    (g,) = lib.autograd.grad(z.sum(), x, create_graph=True)
    (h,) = lib.autograd.grad(g.sum(), y)
    return g, h


def accumulate_hook(lib):
    x, y = xy(lib)
    seen = []

    def step(p):
        seen.append(p.grad.tolist())
        p.grad = None

    x.register_post_accumulate_grad_hook(step)
    (x * y).sum().backward()
    return str(seen), x.grad, y.grad


def node_hooks(lib):
    x, y = xy(lib)
    seen = []
    z = x * y
    z.grad_fn.register_prehook(lambda gs: (gs[0] * 2,))
    z.grad_fn.register_hook(lambda gi, go: seen.append((len(gi), go[0].tolist())))
    z.grad_fn.register_hook(lambda gi, go: (gi[0] * 10, gi[1]))
    z.sum().backward()
    return str(seen), x.grad, y.grad


def graph_shape(lib):
    x, y = xy(lib)
    z = (x * y).sum()
    ((node, nr),) = z.grad_fn.next_functions
    (left, _), (right, _) = node.next_functions
    a, b = x.unbind(0)[:2]
    return (
        z.grad_fn.name(),
        node.name(),
        nr,
        type(left).__name__,
        left.variable is x,
        right.variable is y,
        (b * 2).grad_fn.next_functions[0][1],
        (x * 2).grad_fn.next_functions[1],
        x.grad_fn,
    )


def same_input_twice(lib):
    x, y = xy(lib)
    z = x * x + lib.stack([x, x]).sum(0) + lib.where(x > 0, x, x) + lib.cat([x, x])[:3]
    return lib.autograd.grad(z.sum(), [x, x])


def leaf_as_root(lib):
    x = lib.tensor(2.0, requires_grad=True)
    x.backward()
    x.backward(lib.tensor(3.0))
    return x.grad, *lib.autograd.grad(x, x)


def zero_size(lib):
    x = lib.zeros(0, 3, requires_grad=True)
    w = lib.ones(3, 2, requires_grad=True)
    ((x @ w).exp().sum() + x.sum()).backward()
    return x.grad, w.grad


def mixed_dtypes(lib):
    x = lib.tensor([1.0, 2.0], dtype=lib.float32, requires_grad=True)
    y = lib.tensor([3.0, 4.0], dtype=lib.float64, requires_grad=True)
    (x * y + x.double().exp() + y.float()).sum().backward()
    return x.grad, y.grad


def detached(lib):
    x, y = xy(lib)
    z = x * y
    (z.detach() * x).sum().backward()
    d = z.detach()
    return x.grad, y.grad, d.requires_grad, d.is_leaf


def requires_grad_later(lib):
    x = lib.ones(3)
    y = x * 2
    x.requires_grad_()
    z = x * 3
    return y.requires_grad, z.requires_grad, *lib.autograd.grad(z.sum(), x), x.requires_grad_(False).requires_grad


def modes(lib):
    x, _ = xy(lib)
    out = []
    with lib.no_grad():
        out.append((x * 2).requires_grad)
        with lib.enable_grad():
            out.append((x * 2).requires_grad)
        out.append(lib.is_grad_enabled())
    with lib.set_grad_enabled(False):
        out.append((x * 2).requires_grad)
    out.append(lib.is_grad_enabled())
    lib.set_grad_enabled(False)
    out.append(lib.is_grad_enabled())
    lib.set_grad_enabled(True)
    with lib.inference_mode():
        out += [lib.is_inference_mode_enabled(), (x * 2).requires_grad]
        with lib.inference_mode(False):
            out.append((x * 2).requires_grad)

    @lib.no_grad()
    def f():
        return (x * 2).requires_grad

    @lib.no_grad
    def g():
        return (x * 2).requires_grad

    @lib.no_grad()
    def numbers():
        sent = yield (x * 2).requires_grad
        yield sent, (x * 2).requires_grad

    gen = numbers()
    out += [f(), g(), next(gen), lib.is_grad_enabled(), gen.send("hello"), (x * 2).requires_grad]
    try:
        with lib.no_grad():
            raise KeyError
    except KeyError:
        out.append(lib.is_grad_enabled())
    return out


def multi_grad_hook(lib):
    x, y = xy(lib)
    seen = []
    with lib.autograd.graph.register_multi_grad_hook([x, y], lambda gs: seen.append([g.tolist() for g in gs])):
        (x * y).sum().backward()
    (x * y).sum().backward()
    return (str(seen),)


PROGRAMS = [
    several_roots,
    accumulation,
    retained_graph,
    nothing_saved,
    inputs_only,
    inputs_non_leaf,
    create_graph,
    third_order,
    unused,
    batched_gradients,
    retain_grad,
    retain_grad_of_one_output,
    hooks_in_order,
    hooks_and_grad,
    hook_removed,
    hook_and_retained_gradient,
    hook_on_multi_output,
    hook_that_computes,
    accumulate_hook,
    node_hooks,
    graph_shape,
    same_input_twice,
    leaf_as_root,
    zero_size,
    mixed_dtypes,
    detached,
    requires_grad_later,
    modes,
    multi_grad_hook,
]


@pytest.mark.filterwarnings("ignore:Using backward\\(\\) with create_graph=True:UserWarning")
@pytest.mark.filterwarnings("ignore:.*grad attribute of a Tensor that is not a leaf:UserWarning")
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_as_pytorch(program):
    agree(program)


def test_hooks_may_not_change_shape():
    x = cr.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g[:2])
    with pytest.raises(RuntimeError, match=r"hook has changed the size of value: expected \(3,\), got \(2,\)"):
        y.sum().backward()


def test_a_hook_that_changes_the_dtype_leaves_the_leafs_dtype():
    x = cr.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g.double())
    try:
        y.sum().backward()
    except RuntimeError as error:
        assert "dtype" in str(error) or "type" in str(error)  # PyTorch refuses
    else:
        assert x.grad.dtype == cr.float32


# ---- threads


def test_grad_mode_belongs_to_a_thread():
    seen = []
    with cr.no_grad():
        t = threading.Thread(target=lambda: seen.append(cr.is_grad_enabled()))
        t.start()
        t.join()
    assert seen == [True]


def test_backward_in_many_threads_at_once():
    errors = []

    def work(seed):
        try:
            rng = np.random.default_rng(seed)
            for _ in range(20):
                a = rng.standard_normal((4, 4))
                x = cr.tensor(a, requires_grad=True)
                (x @ x).sin().sum().backward()
                np.testing.assert_allclose(x.grad.numpy(), np.cos(a @ a) @ a.T + a.T @ np.cos(a @ a))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert errors == []


def test_one_graph_walked_by_several_threads():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).exp()
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(grad(y.sum(), x, retain_graph=True)[0])) for _ in range(6)
    ]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for g in results:
        np.testing.assert_allclose(g.numpy(), [2 * np.e, 4 * np.exp(4.0)], rtol=1e-6)


# ---- long chains, memory


def test_a_long_chain_builds_differentiates_and_is_freed():
    """200,000 operators: no recursion anywhere, and time that grows with the length only."""

    def once(n):
        start = time.perf_counter()
        x = cr.tensor(1.0, requires_grad=True)
        y = x
        for _ in range(n):
            y = y + 1.0
        y.backward()
        assert x.grad.item() == 1.0
        del y
        return (time.perf_counter() - start) / n

    short = min(once(2_000) for _ in range(3))
    assert once(200_000) < 20 * short


def test_a_long_chain_that_was_never_differentiated_is_freed():
    y = cr.tensor(1.0, requires_grad=True)
    for _ in range(200_000):
        y = y * 1.0
    node = weakref.ref(y.grad_fn)
    del y
    assert node() is None


def test_a_deep_graph_under_create_graph():
    x = cr.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(5_000):
        y = y * 1.0
    (g,) = grad(y, x, create_graph=True)
    assert g.item() == 1.0


def plain():
    x = cr.ones(3, requires_grad=True)
    y = (x * 2).exp()
    y.sum().backward()
    return [x, y, y.grad_fn]


def undifferentiated():
    x = cr.ones(3, requires_grad=True)
    y = (x * 2).exp().sigmoid()
    return [x, y, y.grad_fn]


def retained():
    x = cr.ones(3, requires_grad=True)
    y = (x * 2).exp()
    y.retain_grad()
    a, b = y.split([1, 2])
    a.retain_grad()
    (a.sum() + b.sum()).backward()
    return [x, y, a, y.grad_fn]


def hooked():
    x = cr.ones(3, requires_grad=True)
    y = x * 2
    y.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g)
    y.grad_fn.register_hook(lambda gi, go: None)
    y.sum().backward()
    return [x, y, y.grad_fn]


def in_place():
    x = cr.ones(3, requires_grad=True)
    y = x * 2
    y[0] = 5.0
    v = y[1:]
    v.mul_(3)
    y.exp_()
    v.grad_fn  # noqa: B018 (makes the node of the view again)
    y.sum().backward()
    return [x, y, v, y.grad_fn]


def second_order():
    x = cr.ones(3, requires_grad=True)
    (g,) = grad((x.exp() * x).sum(), x, create_graph=True)
    (h,) = grad(g.sum(), x, create_graph=True)
    return [x, g, h, h.grad_fn]


def leaf_views():
    x = cr.ones(3, requires_grad=True)
    return [x, x[1:], x.view(3, 1), x.detach()]


def transforms():
    x = cr.ones(3)
    w = cr.ones(3, requires_grad=True)
    y = cr.func.grad(lambda x: (x * w).sum().exp())(x)
    z = cr.func.vmap(lambda x: x * w.sum())(x)
    h = cr.func.hessian(lambda x: (x**3).sum())(x)
    return [x, w, y, z, h]


def accumulators():
    x = cr.ones(3, requires_grad=True)
    y = x * 2
    return [x, y, y.grad_fn, y.grad_fn.next_functions[0][0]]


@pytest.mark.parametrize(
    "make",
    [plain, undifferentiated, retained, hooked, in_place, second_order, leaf_views, transforms, accumulators],
    ids=lambda f: f.__name__,
)
def test_nothing_stays_behind_without_the_cycle_collector(make):
    gc.collect()
    gc.disable()
    try:
        refs = [weakref.ref(t) for t in make()]
        assert [r() for r in refs] == [None] * len(refs)
    finally:
        gc.enable()


def test_released_values_are_gone_while_the_result_lives():
    x = cr.ones(3, requires_grad=True)
    inner = x * 2
    y = (inner * inner).sum()
    ref = weakref.ref(inner)
    del inner
    assert ref() is not None
    y.backward()
    assert ref() is None


# ---- several results of one operator, in rare combinations


def test_some_outputs_unused_at_every_order():
    x = cr.tensor([3.0, 1.0, 2.0], dtype=cr.float64, requires_grad=True)
    values, indices = x.exp().sort()
    assert not indices.requires_grad
    (g,) = grad(values[2], x, create_graph=True)
    (h,) = grad(g.sum(), x)
    np.testing.assert_allclose(h.numpy(), [np.exp(3.0), 0, 0])


def test_backward_with_a_list_and_a_tuple():
    x = cr.ones(2, requires_grad=True)
    backward((x.sum(), x.prod()))
    backward([x.sum()], [cr.tensor(2.0)])
    assert x.grad.tolist() == [4.0, 4.0]


def test_hooks_of_a_node_may_remove_themselves():
    x = cr.ones(2, requires_grad=True)
    y = x * 2
    seen = []
    before = y.grad_fn.register_prehook(lambda g: (seen.append("before"), before.remove())[1])
    y.grad_fn.register_prehook(lambda g: seen.append("before too"))
    after = y.grad_fn.register_hook(lambda g, h: (seen.append("after"), after.remove())[1])
    y.grad_fn.register_hook(lambda g, h: seen.append("after too"))
    y.sum().backward()
    assert seen == ["before", "before too", "after", "after too"]


def test_a_leaf_takes_a_gradient_nobody_else_holds_without_a_copy():
    made = []

    class Keep(cr.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1.0

        @staticmethod
        def backward(ctx, g):
            made.append(g * 2)
            return made[-1]

    x = cr.ones(3, requires_grad=True)
    Keep.apply(x).sum().backward()
    x.grad.add_(1)
    assert made[0].tolist() == [2.0, 2.0, 2.0]  # held elsewhere: copied

    a, b = cr.ones(3, requires_grad=True), cr.ones(3, requires_grad=True)
    (a + b).backward(cr.ones(3))
    a.grad.add_(1)
    assert b.grad.tolist() == [1.0, 1.0, 1.0]  # one array for two leaves: copied

    given = []
    keep = engine.keep
    engine.keep = lambda g, leaf, sole: (given.append(sole), keep(g, leaf, sole))[1]
    try:
        (cr.ones(3, requires_grad=True) * cr.ones(3)).backward(cr.ones(3))
    finally:
        engine.keep = keep
    assert given == [True]


def test_a_gradient_that_cannot_be_added_to():
    x = cr.ones(3, requires_grad=True)
    x.grad = cr.ones(1).expand(3)
    with pytest.raises(RuntimeError, match=r"\.grad can't be added to.*Assign a \.clone\(\)"):
        (x * x).sum().backward()


def test_gradients_with_a_graph_share_no_memory():
    a, b, g = cr.ones(3, requires_grad=True), cr.ones(3, requires_grad=True), cr.ones(3)
    y = a + b
    y.retain_grad()
    y.backward(g, create_graph=True)
    a.grad.add_(5)
    y.grad.add_(7)
    assert b.grad.tolist() == g.tolist() == [1.0, 1.0, 1.0]


def test_a_gradient_with_a_graph_keeps_it_when_another_is_added():
    x = cr.ones(2, requires_grad=True)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    assert repr(first) == "tensor([3., 3.], grad_fn=<CopyBackwards>)"
    (x**2).sum().backward()
    assert x.grad is first and repr(first) == "tensor([5., 5.], grad_fn=<CopyBackwards>)"
