"""What a compiled function may do: arguments and results of every kind, gradients of every kind, state that changes."""

import collections
import warnings

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F

pytest.importorskip("llvmlite")

Pair = collections.namedtuple("Pair", "first second")


def close(a, b, rtol=2e-5, atol=2e-6):
    if isinstance(a, torch.Tensor):
        assert isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=atol)
    elif isinstance(a, dict):
        assert type(a) is type(b) and list(a) == list(b)
        for k in a:
            close(a[k], b[k], rtol, atol)
    elif isinstance(a, (list, tuple)):
        assert type(a) is type(b) and len(a) == len(b)
        for x, y in zip(a, b):
            close(x, y, rtol, atol)
    else:
        assert a == b


def check(f, *args, calls=2, **options):
    """Compiled and eager results of ``f(*args)`` agree."""
    g = torch.compile(f, options=options or None)
    for _ in range(calls):
        state = torch.get_rng_state()
        mine = g(*args)
        torch.set_rng_state(state)
        close(mine, f(*args))
    return g


def x_(*shape, seed=0, **kw):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32), **kw)


# ---- arguments and results


def test_nested_arguments_and_results():
    def f(a, b, options):
        y = a[0] * options["scale"] + b["x"][1]
        return {"y": y, "both": [y + 1, (b["x"][0], None, "text", 3)], "pair": Pair(y.sum(), y.mean())}

    args = ((x_(3), x_(3, seed=1)), {"x": [x_(3, seed=2), x_(3, seed=3)]}, {"scale": 2.5})
    out = torch.compile(f)(*args)
    close(out, f(*args))
    assert type(out["pair"]) is Pair and out["both"][1][1:] == (None, "text", 3)
    assert out["both"][1][0] is args[1]["x"][0]


def test_keyword_arguments_and_defaults():
    def f(x, y=None, *, scale=1.0):
        return x * scale if y is None else x * scale + y

    g = torch.compile(f)
    a, b = x_(3), x_(3, seed=1)
    for args, kw in (((a,), {}), ((a, b), {}), ((a,), {"y": b}), ((a,), {"scale": 3.0}), ((a, b), {"scale": 2.0})):
        for _ in range(2):
            close(g(*args, **kw), f(*args, **kw))
    assert len(g.compilations) == 5


@pytest.mark.parametrize("other", [2, 2.5, True, "sum", None])
def test_python_values_as_arguments(other):
    def f(x, other):
        if other is None:
            return x
        return x.sum() if other == "sum" else x * other

    check(f, x_(4), other)


def test_another_python_number_compiles_again():
    g = torch.compile(lambda x, n: x * n)
    x = x_(3)
    for n in (2, 3, 2, 2.0):
        close(g(x, n), x * n)
    assert g.compilations == ["float32[3], 2", "float32[3], 3", "float32[3], 2.0"]


def test_new_shapes_and_dtypes_stay_cached():
    g = torch.compile(lambda x: torch.tanh(x) * 2)
    xs = [x_(3), x_(4, 2), x_(3).double(), torch.tensor([1, 2])]
    for _ in range(2):
        for x in xs:
            close(g(x), torch.tanh(x) * 2)
    assert g.compilations == ["float32[3]", "float32[4, 2]", "float64[3]", "int64[2]"]


def test_too_many_kinds_run_eagerly():
    g = torch.compile(lambda x, n: x + n)
    for n in range(16):
        close(g(x_(2), n), x_(2) + n)
    with pytest.warns(UserWarning, match="compiled 16 times for arguments or state of different kinds"):
        close(g(x_(2), 16), x_(2) + 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        close(g(x_(2), 17), x_(2) + 17)
        close(g(x_(2), 3), x_(2) + 3)
    assert len(g.compilations) == 16


def test_dtypes():
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        x = x_(4, 5).to(dtype).requires_grad_()

        def f(x):
            y = (F.gelu(x) * 2 + x.sum(1, keepdim=True)).mean()
            return y, torch.autograd.grad(y, x)[0]

        mine, own = torch.compile(f)(x), f(x)
        close(mine, own, *((1e-10, 1e-12) if dtype == torch.float64 else (2e-2, 2e-2)))
    check(lambda i, m: (i + 1, i // 2, m & (i > 2), torch.where(m, i, -i), i.sum(), m.any()),
          torch.tensor([1, 2, 3, 4]), torch.tensor([True, False, True, False]))  # fmt: skip


def test_empty_inputs():
    check(lambda x: (x * 2, x.sum(), torch.cat([x, x])), torch.zeros(0, 3))
    model = nn.Linear(3, 2)
    check(lambda x: model(x), torch.zeros(0, 3))


def test_layouts():
    base = x_(6, 8)
    for x in (base.t(), base[:, ::2], base[1:, 3:], base.flip(0), base[:1].expand(6, 8)):
        check(lambda x: (x @ x.t(), x.exp().sum(0), x * 2), x)
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)[::-1].copy())
    check(lambda x: x + 1, x)


def test_parameters_that_are_not_contiguous():
    results = []
    for wrap in (lambda f: f, torch.compile):
        w = nn.Parameter(x_(4, 6).t())
        assert not w.is_contiguous()
        opt = torch.optim.SGD([w], lr=0.1, momentum=0.9)

        @wrap
        def step(x, w=w, opt=opt):
            opt.zero_grad()
            loss = ((x @ w) ** 2).mean()
            loss.backward()
            opt.step()
            return loss

        losses = [step(x_(3, 6)) for _ in range(3)]
        results.append((losses, w, w.grad))
    close(*results)


def test_the_same_tensor_twice():
    g = torch.compile(lambda a, b: a * 2 + b)
    x, y = x_(5), x_(5, seed=1)
    close(g(x, x), x * 3)
    close(g(x, y), x * 2 + y)
    close(g(x, x), x * 3)


def test_overlapping_arguments():
    base = x_(10)
    check(lambda a, b: a * 2 + b, base[:6], base[4:])

    def shift(a, b):
        a.copy_(b)
        return a.sum()

    one, two = x_(10), x_(10)
    shift(one[:6], one[4:])
    torch.compile(shift)(two[:6], two[4:])
    close(one, two)


def test_returns_what_it_got():
    x = x_(3)
    g = torch.compile(lambda x: (x, x, 3))
    assert g(x)[0] is x and g(x)[1] is x


# ---- gradients


def test_gradient_through_a_compiled_function():
    f = lambda x, w: (torch.tanh(x @ w), (x * w.sum()).exp())  # noqa: E731
    g = torch.compile(f)
    for seed in range(2):
        x, w = x_(3, 4, seed=seed, requires_grad=True), x_(4, 2, seed=seed + 5, requires_grad=True)
        a, b = f(x, w), g(x, w)
        close(a, b)
        weights = [x_(3, 2, seed=9), x_(3, 4, seed=8)]
        close(torch.autograd.grad(a, (x, w), weights), torch.autograd.grad(b, (x, w), weights))
    x.requires_grad_(False)
    y = g(x, w)[0].sum()
    close(torch.autograd.grad(y, w), torch.autograd.grad(f(x, w)[0].sum(), w))


def test_module_trained_from_outside():
    torch.manual_seed(0)
    models = [nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2))]
    models.append(nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)))
    models[1].load_state_dict(models[0].state_dict())
    fast = torch.compile(models[1])
    opts = [torch.optim.SGD(m.parameters(), lr=0.1) for m in (models[0], fast)]
    assert list(fast.state_dict()) == ["_orig_mod." + k for k in models[0].state_dict()]
    for k in range(4):
        x, losses = x_(16, 4, seed=k), []
        state = torch.get_rng_state()
        for model, opt in zip((models[0], fast), opts):
            torch.set_rng_state(state)
            opt.zero_grad()
            loss = F.mse_loss(model(x), torch.ones(16, 2))
            loss.backward()
            opt.step()
            losses.append(loss)
        close(*losses)
    close(models[0].state_dict(), models[1].state_dict())
    for m in (models[0], fast):
        m.eval()
    close(models[0](x), fast(x))
    assert not models[1].training


def test_grad_inside_and_double_backward():
    w = x_(4, requires_grad=True)

    def penalty(x):
        y = (torch.sin(w) * x).sum() ** 2
        (g,) = torch.autograd.grad(y, w, create_graph=True)
        loss = y + (g**2).sum()
        loss.backward()
        return loss

    first = penalty(x_(4, seed=1))
    want, w.grad = w.grad, None
    g = torch.compile(penalty)
    close(g(x_(4, seed=1)), first)
    close(w.grad, want)


def test_second_derivatives_of_results():
    g = torch.compile(lambda x: (x**3).sum())
    x = x_(3, requires_grad=True)
    (d,) = torch.autograd.grad(g(x), x, create_graph=True)
    d.sum().backward()
    close(x.grad, 6 * x.detach())

    counted = torch.zeros(())

    def h(x):
        counted.add_(1)
        return (x**3).sum()

    y = torch.compile(h)(x)
    with pytest.raises(
        RuntimeError, match="create_graph=True through h, which changes tensors or draws random numbers"
    ):
        torch.autograd.grad(y, x, create_graph=True)
    assert counted == 1


def test_func_inside():
    def f(x, w):
        loss = lambda w: (torch.tanh(x @ w) ** 2).sum()  # noqa: E731
        value, pull = torch.func.vjp(loss, w)
        return (
            torch.func.grad(loss)(w), value, pull(torch.ones(()))[0], torch.func.jvp(loss, (w,), (w,)),
            torch.func.jacrev(lambda w: torch.tanh(x @ w))(w), torch.func.hessian(loss)(w),
            torch.func.vmap(lambda r: (r * w).sum())(x), torch.func.vmap(torch.func.grad(lambda r: (r**3).sum()))(x),
        )  # fmt: skip

    check(f, x_(3, 4), x_(4, seed=1), calls=1)


def test_func_around():
    f = lambda x, w: (torch.tanh(x @ w) ** 2).sum()  # noqa: E731
    g = torch.compile(f)
    x, w = x_(3, 4), x_(4, seed=1)
    for transform in (
        lambda h: torch.func.grad(h, argnums=1)(x, w), lambda h: torch.func.jacrev(h)(x, w),
        lambda h: torch.func.vmap(h, in_dims=(0, None))(x, w), lambda h: torch.func.jvp(h, (x, w), (x, w)),
        lambda h: torch.func.hessian(h, argnums=1)(x, w),
    ):  # fmt: skip
        close(transform(g), transform(f))


def test_functional_call():
    model = nn.Linear(3, 2)

    def f(params, x):
        return torch.func.functional_call(model, params, (x,)).sum()

    params = {k: v.detach() * 2 for k, v in model.named_parameters()}
    check(f, params, x_(5, 3))
    check(lambda p, x: torch.func.grad(f)(p, x), params, x_(5, 3))
    before = [id(p) for p in model.parameters()]
    assert before == [id(p) for p in model.parameters()]


def test_checkpoint_with_dropout():
    from chainrule.utils.checkpoint import checkpoint

    block = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Dropout(0.5))

    def f(x):
        loss = checkpoint(block, x, use_reentrant=False).sum()
        return loss, torch.autograd.grad(loss, list(block.parameters()))

    check(f, x_(4, 6, requires_grad=True))


def test_own_function_inside():
    class Cube(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * x**2 + 1

    def f(x):
        y = Cube.apply(x).sum()
        return y, torch.autograd.grad(y, x)[0]

    check(f, x_(4, requires_grad=True))


def test_hooks_and_retained_gradients():
    def f(x):
        h = x * 2
        h.register_hook(lambda g: g * 10)
        h.retain_grad()
        (h**2).sum().backward()
        return h.grad

    for g in (f, torch.compile(f), torch.compile(f)):
        x = x_(4, requires_grad=True)
        close(g(x), 80 * x.detach() / 2)
        close(x.grad, 80 * x.detach())


def test_module_hooks():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU())
    model[0].register_forward_hook(lambda m, i, o: o + 1)
    model.register_forward_pre_hook(lambda m, i: (i[0] * 2,))
    x = x_(2, 3)
    with torch.no_grad():
        close(torch.compile(model)(x), model(x))


def test_no_grad():
    w = x_(3, requires_grad=True)

    @torch.no_grad()
    def f(x):
        return x * w

    check(f, x_(3))
    assert not torch.compile(f)(x_(3)).requires_grad
    g = torch.compile(lambda x: x * w)
    assert g(x_(3)).requires_grad
    with torch.no_grad():
        assert not g(x_(3)).requires_grad
    assert g(x_(3)).requires_grad
    assert len(g.compilations) == 2


def test_detach():
    def f(x):
        y = x * 2
        z = (y.detach() * x).sum()
        return torch.autograd.grad(z, x)[0], y.detach()

    check(f, x_(4, requires_grad=True))


def test_empty_containers_as_arguments():
    g = torch.compile(lambda x, options, rest: x * 2)
    for options, rest in (({}, []), ({}, ()), ({"a": 1}, [x_(2)])):
        close(g(x_(3), options, rest), x_(3) * 2)
    assert len(g.compilations) == 3
