"""gradcheck finds wrong derivatives of every kind, and autograd.functional agrees with PyTorch."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.autograd import functional, gradcheck, gradgradcheck
from chainrule.errors import GradcheckError

pt = pytest.importorskip("torch")
# PyTorch's own forward mode compiles its decompositions with what it calls deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")

X = np.random.default_rng(0).uniform(0.2, 1.0, (2, 3))
W = np.random.default_rng(1).uniform(-1.0, 1.0, (3, 2))


def leaf(a=X):
    return cr.tensor(a, requires_grad=True)


def operator(forward, backward):
    """A custom operator from two functions of arrays' tensors."""

    class Custom(cr.autograd.Function):
        @staticmethod
        def forward(ctx, *args):
            ctx.save_for_backward(*args)
            return forward(*args)

        @staticmethod
        def backward(ctx, *grads):
            return backward(*grads, *ctx.saved_tensors)

    return Custom.apply


GOOD = {
    "one input": lambda x, w: x.sin() * x,
    "two inputs": lambda x, w: cr.tanh(x @ w),
    "two outputs": lambda x, w: (x.exp(), (w * w).sum()),
    "an output that is not differentiable": lambda x, w: (x * 2, x.detach()),
    "integer output": lambda x, w: (x.cumsum(0), x.argmax()),
    "views": lambda x, w: x.t()[1:] * w[1:],
    "list of outputs": lambda x, w: list(x.unbind(0)),
}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", GOOD)
def test_right_derivatives_pass(name, fast):
    args = (leaf(X), leaf(W))
    before = [a.detach().clone() for a in args]
    assert gradcheck(
        GOOD[name],
        args,
        fast_mode=fast,
        check_forward_ad=True,
        check_batched_grad=True,
        check_batched_forward_grad=True,
        check_grad_dtypes=True,
    )
    assert gradgradcheck(GOOD[name], args, fast_mode=fast, check_fwd_over_rev=True, check_batched_grad=True)
    for a, b in zip(args, before):
        assert cr.equal(a.detach(), b) and a.grad is None


def test_a_wrong_derivative_is_shown_with_both_jacobians():
    bad = operator(lambda x: x * 2, lambda g, x: g * 3)
    text = "Jacobian mismatch for output 0 with respect to input 0"
    with pytest.raises(GradcheckError, match=text) as caught:
        gradcheck(bad, leaf(X[0, :2]))
    assert "numerical:tensor([[2.0000, 0.0000]" in str(caught.value)
    assert "analytical:tensor([[3., 0.]" in str(caught.value)
    with pytest.raises(GradcheckError, match=text):
        gradcheck(bad, leaf(), fast_mode=True)
    assert gradcheck(bad, leaf(), raise_exception=False) is False
    with pytest.raises(
        GradcheckError, match="Jacobian computed with forward mode mismatch for output 0 with respect to input 0"
    ):
        gradcheck(bad, leaf(), check_backward_ad=False, check_forward_ad=True)
    with pytest.raises(GradcheckError, match="output 1 with respect to input 1"):
        gradcheck(lambda a, b: (a + b, bad(b)), (leaf(), leaf()))
    assert issubclass(GradcheckError, RuntimeError)


def test_a_wrong_second_derivative():
    half = operator(lambda x: x * x, lambda g, x: g * 2 * x.detach())
    assert gradcheck(half, leaf())
    with pytest.raises(GradcheckError, match="Jacobian mismatch"):
        gradgradcheck(half, leaf())


def test_what_else_it_finds():
    with pytest.raises(GradcheckError, match="backward not multiplied by grad_output|Jacobian mismatch"):
        gradcheck(operator(lambda x: x.sum(), lambda g, x: cr.ones_like(x)), leaf())
    draws = iter(np.random.default_rng(0).uniform(1e-7, 2e-7, 1000))
    with pytest.raises(GradcheckError, match="not reentrant"):
        gradcheck(operator(lambda x: x * 1, lambda g, x: g * (1 + next(draws))), leaf())
    draws = iter(np.random.default_rng(0).uniform(1e-7, 2e-7, 1000))
    assert gradcheck(operator(lambda x: x * 1, lambda g, x: g * (1 + next(draws))), leaf(), nondet_tol=1e-6)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(cr.sin, cr.ones(2))
    with pytest.raises(RuntimeError, match="The 0th input has a dimension with stride 0"):
        gradcheck(cr.sin, cr.ones(1, dtype=cr.float64).expand(3).requires_grad_())
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        gradcheck(lambda x: x * 2, cr.ones(2, requires_grad=True), atol=1, eps=1e-2)
    with pytest.raises(AssertionError, match="at least one of check_forward_ad or check_backward_ad"):
        gradcheck(cr.sin, leaf(), check_backward_ad=False)
    with pytest.raises(GradcheckError, match="expected to be zero"):
        gradcheck(lambda x: x.detach() * 2, leaf())


def test_an_operator_that_cannot_take_missing_gradients():
    class Both(cr.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 1, x * 1

        @staticmethod
        def backward(ctx, g, h):
            if g is None or h is None:
                raise RuntimeError("no gradient")
            return g + h

    with pytest.raises(RuntimeError, match="no gradient"):
        gradcheck(Both.apply, leaf(X[0]))
    assert gradcheck(lambda x: sum(Both.apply(x)), leaf(X[0]))


# ---- autograd.functional


FUNCTIONS = {
    "one to one": (lambda lib: lambda x: lib.tanh(x) * x, 1),
    "two to two": (lambda lib: lambda x, w: (lib.tanh(x @ w), w.exp() * 2), 2),
    "independent": (lambda lib: lambda x, w: x.sin(), 2),
}


def flat(x):
    return [t for part in x for t in flat(part)] if isinstance(x, tuple) else [x]


def same(ours, theirs):
    assert type(ours).__name__ == type(theirs).__name__ or not isinstance(theirs, tuple)
    ours, theirs = flat(ours), flat(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert tuple(a.shape) == tuple(b.shape)
        assert a.requires_grad == b.requires_grad
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=1e-9, atol=1e-12)


def both(call, options=None):
    """The same call in both libraries; PyTorch's forward mode nests its results in lists, so that is compared with its
    reverse mode."""
    options = options or {}
    plain = {k: v for k, v in options.items() if v != "forward-mode"}
    same(call(cr, functional, **options), call(pt, pt.autograd.functional, **plain))


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    "options",
    [{}, {"create_graph": True}, {"vectorize": True}, {"strategy": "forward-mode", "vectorize": True}],
    ids=str,
)
def test_jacobian(name, options):
    make, n = FUNCTIONS[name]
    for grad in (False, True):
        both(lambda lib, F, **kw: F.jacobian(make(lib), inputs(lib, n, grad), **kw), options)


def inputs(lib, n, grad=False):
    xs = tuple([lib.tensor(a, requires_grad=grad) for a in (X, W)[:n]])
    return xs[0] if n == 1 else xs


@pytest.mark.parametrize(
    "options",
    [{}, {"create_graph": True}, {"vectorize": True}, {"outer_jacobian_strategy": "forward-mode", "vectorize": True}],
    ids=str,
)
def test_hessian(options):
    both(lambda lib, F, **kw: F.hessian(lambda x: (x**3).sum(), inputs(lib, 1), **kw), options)
    both(lambda lib, F, **kw: F.hessian(lambda x, w: (x @ w).sin().sum(), inputs(lib, 2), **kw), options)


@pytest.mark.parametrize("create_graph", [False, True])
def test_products(create_graph):
    for name, (make, n) in FUNCTIONS.items():
        both(lambda lib, F: F.jvp(make(lib), inputs(lib, n), inputs(lib, n), create_graph))
        if name != "two to two":
            both(lambda lib, F: F.vjp(make(lib), inputs(lib, n), lib.tensor(X), create_graph))
    both(
        lambda lib, F: F.vjp(
            make_two(lib), inputs(lib, 2), (lib.ones(2, 2, dtype=lib.float64), lib.tensor(W)), create_graph
        )
    )

    def scalar(x, w):
        return (x @ w).sin().prod()

    both(lambda lib, F: F.hvp(scalar, inputs(lib, 2), inputs(lib, 2), create_graph))
    both(lambda lib, F: F.vhp(scalar, inputs(lib, 2), inputs(lib, 2), create_graph))
    both(lambda lib, F: F.vjp(lambda x: x.sum(), lib.tensor(X), None, create_graph))


def make_two(lib):
    return FUNCTIONS["two to two"][0](lib)


def test_functional_errors():
    for F, lib in ((functional, cr), (pt.autograd.functional, pt)):
        x = lib.tensor(X)
        with pytest.raises(
            RuntimeError, match="v can only be None if the user-provided function returns a single Tensor"
        ):
            F.vjp(lambda x: x, x)
        with pytest.raises(RuntimeError, match="v has invalid size: should be"):
            F.vjp(lambda x: x, x, lib.ones(3))
        with pytest.raises(
            TypeError, match="The inputs given to jacobian must be either a Tensor or a tuple of Tensors"
        ):
            F.jacobian(lambda x: x, 1.0)
        with pytest.raises(RuntimeError, match="should return a single Tensor"):
            F.hessian(lambda x: (x, x), x)
        with pytest.raises(RuntimeError, match="should contain a single element"):
            F.hessian(lambda x: x, x)
        with pytest.raises(RuntimeError, match="independent of input 1. This is not allowed in strict mode"):
            F.jacobian(lambda x, w: x.sin(), (x, lib.tensor(W)), strict=True)
        with pytest.raises(RuntimeError, match="does not require gradients. The outputs must be computed"):
            F.jacobian(lambda x: x.detach(), x, strict=True)
        with pytest.raises(AssertionError, match='Expected strategy to be either "forward-mode" or "reverse-mode"'):
            F.jacobian(lambda x: x, x, strategy="sideways")


# ---- dual numbers


def test_dual_numbers():
    for lib in (cr, pt):
        fw = lib.autograd.forward_ad
        x, t = lib.tensor(X), lib.tensor(X * 2)
        with fw.dual_level():
            dual = fw.make_dual(x, t)
            value, tangent = fw.unpack_dual((dual * dual).sin())
            np.testing.assert_allclose(value.detach().numpy(), np.sin(X * X))
            np.testing.assert_allclose(tangent.numpy(), np.cos(X * X) * 2 * X * X * 2)
            assert fw.unpack_dual(x).tangent is None
            with pytest.raises(RuntimeError, match="Nested forward mode AD is not supported at the moment"):
                fw.enter_dual_level()
        with pytest.raises(RuntimeError, match="Trying to create a dual Tensor for forward AD but no level exists"):
            fw.make_dual(x, t)


def test_forward_over_reverse_with_dual_numbers():
    fw = cr.autograd.forward_ad
    x = leaf()
    with fw.dual_level():
        dual = fw.make_dual(x, cr.ones_like(x.detach()))
        (g,) = cr.autograd.grad((dual**3).sum(), dual, create_graph=True)
        np.testing.assert_allclose(fw.unpack_dual(g).tangent.detach().numpy(), 6 * X)
