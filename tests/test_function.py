"""Custom operators (autograd.Function): what forward may save, mark and return, beside PyTorch."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr

pt = pytest.importorskip("torch")


def agree(program):
    for i, (a, b) in enumerate(zip(program(cr), program(pt), strict=True)):
        if isinstance(b, pt.Tensor):
            np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, err_msg=str(i))
        else:
            assert a == b, i


def leaves(lib):
    return lib.tensor([1.0, 2.0], dtype=lib.float64, requires_grad=True), lib.tensor(
        [3.0, 0.5], dtype=lib.float64, requires_grad=True
    )


def saves_inputs(lib):
    class Mul(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b, k):
            ctx.save_for_backward(a, b)
            ctx.k = k
            return a * b * k

        @staticmethod
        def backward(ctx, g):
            a, b = ctx.saved_tensors
            return g * b * ctx.k, g * a * ctx.k, None

    x, y = leaves(lib)
    z = Mul.apply(x, y, 3.0)
    (g,) = lib.autograd.grad(z.sum(), x, create_graph=True)
    (h,) = lib.autograd.grad((g * g).sum(), y)
    return z, g, h, type(z.grad_fn).__name__, z.requires_grad


def saves_output(lib):
    class Exp(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            y = a.exp()
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx, g):
            (y,) = ctx.saved_tensors
            return g * y

    x, _ = leaves(lib)
    (g,) = lib.autograd.grad(Exp.apply(x).sum(), x, create_graph=True)
    (h,) = lib.autograd.grad(g.sum(), x, create_graph=True)
    (k,) = lib.autograd.grad(h.sum(), x)
    return g, h, k


def saves_intermediate(lib):
    class Sinh(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            up, down = a.exp(), (-a).exp()
            ctx.save_for_backward(up, down)
            return (up - down) / 2, up, down

        @staticmethod
        def backward(ctx, g, g_up, g_down):
            up, down = ctx.saved_tensors
            return g * (up + down) / 2 + g_up * up - g_down * down

    x, _ = leaves(lib)
    (g,) = lib.autograd.grad(Sinh.apply(x)[0].sum(), x, create_graph=True)
    return g, *lib.autograd.grad(g.sum(), x)


def setup_context(lib):
    class Scale(lib.autograd.Function):
        @staticmethod
        def forward(a, k):
            return a * k

        @staticmethod
        def setup_context(ctx, inputs, output):
            a, k = inputs
            ctx.k = k
            ctx.save_for_backward(a, output)

        @staticmethod
        def backward(ctx, g):
            a, y = ctx.saved_tensors
            return g * ctx.k + 0 * a * y, None

    x, _ = leaves(lib)
    return lib.autograd.grad(Scale.apply(x, 4.0).sum(), x)


def dirty(lib):
    class Double(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            a.mul_(2)
            ctx.mark_dirty(a)
            return a

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x, _ = leaves(lib)
    y = x * 1
    z = Double.apply(y)
    z.sum().backward()
    return z is y, y, x.grad, type(y.grad_fn).__name__


def non_differentiable(lib):
    class SortAndPlaces(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            values, places = a.sort(descending=True)
            ctx.mark_non_differentiable(places)
            ctx.save_for_backward(places)
            return values, places

        @staticmethod
        def backward(ctx, g, g_places):
            (places,) = ctx.saved_tensors
            out = g.new_zeros(g.shape)
            out[places] = g
            return out

    x, _ = leaves(lib)
    values, places = SortAndPlaces.apply(x)
    (values * lib.tensor([1.0, 10.0], dtype=lib.float64)).sum().backward()
    return values.requires_grad, places.requires_grad, x.grad


def materialized(lib):
    seen = []

    def make(flag):
        class Two(lib.autograd.Function):
            @staticmethod
            def forward(ctx, a):
                ctx.set_materialize_grads(flag)
                return a * 2, a * 3

            @staticmethod
            def backward(ctx, g, h):
                seen.append(h is None)
                return g * 2 if h is None else g * 2 + h * 3

        return Two

    grads = []
    for flag in (True, False):
        x, _ = leaves(lib)
        grads += lib.autograd.grad(make(flag).apply(x)[0].sum(), x)
    return str(seen), *grads


def needs_input_grad(lib):
    seen = []

    class Add(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b, k):
            seen.append(ctx.needs_input_grad)
            return a + b * k

        @staticmethod
        def backward(ctx, g):
            seen.append(ctx.needs_input_grad)
            return g, None, None

    x, y = leaves(lib)
    Add.apply(x, y.detach(), 2).sum().backward()
    return str(seen), x.grad


def unused_arguments(lib):
    class First(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            return a.clone()

        @staticmethod
        def backward(ctx, g):
            return g, None

    x, y = leaves(lib)
    First.apply(x, y).sum().backward()
    return x.grad, y.grad


def returns_an_input(lib):
    class Identity(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a

        @staticmethod
        def backward(ctx, g):
            return g * 7

    x, _ = leaves(lib)
    z = Identity.apply(x)
    z.sum().backward()
    return z is x, x.grad, z.is_leaf


def inside_no_grad(lib):
    class Twice(lib.autograd.Function):
        @staticmethod
        def forward(ctx, a):
            return a * 2

        @staticmethod
        def backward(ctx, g):
            return g * 2

    x, _ = leaves(lib)
    with lib.no_grad():
        y = Twice.apply(x)
    return y.requires_grad, y.grad_fn is None, Twice.apply(x.detach()).requires_grad


PROGRAMS = [
    saves_inputs,
    saves_output,
    saves_intermediate,
    setup_context,
    dirty,
    non_differentiable,
    materialized,
    needs_input_grad,
    unused_arguments,
    returns_an_input,
    inside_no_grad,
]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_as_pytorch(program):
    agree(program)


def make(lib, forward=None, backward=None):
    space = {"forward": staticmethod(forward or (lambda ctx, a: a * 2))}
    if backward:
        space["backward"] = staticmethod(backward)
    return type("Custom", (lib.autograd.Function,), space).apply


ERRORS = {
    "too few gradients": (
        lambda lib: make(lib, lambda ctx, a, b: a * b, lambda ctx, g: g),
        2,
        "returned an incorrect number of gradients",
    ),
    "gradient for a number": (
        lambda lib: lambda a: make(lib, lambda ctx, a, k: a * k, lambda ctx, g: (g, g))(a, 2.0),
        1,
        "returned a gradient different than None at position 2",
    ),
    "wrong shape": (
        lambda lib: make(lib, None, lambda ctx, g: g[:1].expand(3)),
        1,
        "returned an invalid gradient at index 0",
    ),
    "no backward": (lambda lib: make(lib), 1, "You must implement either the backward or vjp method"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_of_backward(name):
    f, n, text = ERRORS[name]
    for lib in (cr, pt):
        with pytest.raises((RuntimeError, NotImplementedError), match=text):
            f(lib)(*leaves(lib)[:n]).sum().backward()


def test_saving_what_is_no_tensor():
    for lib in (cr, pt):
        f = make(lib, lambda ctx, a: (ctx.save_for_backward(3), a)[1], lambda ctx, g: g)
        with pytest.raises(TypeError, match="save_for_backward can only save variables"):
            f(leaves(lib)[0])


def test_once_differentiable():
    for lib in (cr, pt):
        once = lib.autograd.function.once_differentiable
        f = make(
            lib, lambda ctx, a: (ctx.save_for_backward(a), a * a)[1], once(lambda ctx, g: g * 2 * ctx.saved_tensors[0])
        )
        x, w = leaves(lib)
        (g,) = lib.autograd.grad((f(x) * w).sum(), x, create_graph=True)
        np.testing.assert_allclose(g.detach().numpy(), [6.0, 2.0])
        with pytest.raises(RuntimeError, match="marked with @once_differentiable"):
            g.sum().backward()


def test_saved_tensors_after_the_graph_was_freed_and_after_a_change_in_place():
    f = make(cr, lambda ctx, a: (ctx.save_for_backward(a), a * a)[1], lambda ctx, g: g * 2 * ctx.saved_tensors[0])
    x, _ = leaves(cr)
    y = f(x)
    y.sum().backward()
    with pytest.raises(cr.errors.FreedGraphError, match="CustomBackward .*test_function.py:.*retain_graph=True"):
        y.sum().backward()
    inner = x * 1
    y = f(inner)
    inner.add_(1)
    with pytest.raises(
        cr.errors.InPlaceError, match="CustomBackward .*saved its input of shape .*test_function.py:.*inner.add_"
    ):
        y.sum().backward()


def test_inside_vmap_and_the_transforms():
    f = make(
        cr, lambda ctx, a: (ctx.save_for_backward(a), a * a * a)[1], lambda ctx, g: g * 3 * ctx.saved_tensors[0] ** 2
    )
    x = cr.tensor([1.0, 2.0, 3.0])
    assert cr.func.vmap(f)(x).tolist() == [1.0, 8.0, 27.0]
    assert cr.func.vmap(cr.func.grad(f))(x).tolist() == [3.0, 12.0, 27.0]
    assert cr.func.grad(cr.func.grad(f))(cr.tensor(2.0)).item() == 12.0
    assert cr.func.jvp(f, (x,), (cr.ones(3),))[1].tolist() == [3.0, 12.0, 27.0]
    assert cr.func.hessian(lambda x: f(x).sum())(x).diagonal().tolist() == [6.0, 12.0, 18.0]
    assert cr.func.jacrev(f)(x).diagonal().tolist() == [3.0, 12.0, 27.0]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_nothing_stays_behind(program):
    gc.collect()
    gc.disable()
    try:
        refs = [weakref.ref(t) for t in program(cr) if isinstance(t, cr.Tensor)]
        assert [r() for r in refs] == [None] * len(refs)
    finally:
        gc.enable()


def test_a_graph_that_was_never_walked_is_freed():
    f = make(cr, lambda ctx, a: (lambda y: (ctx.save_for_backward(a, y), y)[1])(a * a), lambda ctx, g: g)
    gc.collect()
    gc.disable()
    try:
        x, _ = leaves(cr)
        y = f(x)
        refs = [weakref.ref(x), weakref.ref(y), weakref.ref(y.grad_fn)]
        del x, y
        assert [r() for r in refs] == [None] * 3
    finally:
        gc.enable()
