"""chainrule.distributions beside torch.distributions: densities, moments, divergences, gradients, draws and errors."""

import math

import numpy as np
import pytest

import chainrule
from chainrule import distributions as ours

torch = pytest.importorskip("torch")
theirs = pytest.importorskip("torch.distributions")

A, B = [-1.5, 0.25, 2.0], [0.5, 1.5, 3.0]
P, LOGITS = [[0.2, 0.5, 0.3], [0.7, 0.05, 0.25]], [[0.1, -2.0, 1.0], [3.0, 0.0, -1.0]]

# name, class, tensor arguments, values to score
CASES = [
    ("normal", "Normal", {"loc": A, "scale": B}, [[0.0, 1.0, 2.0], [-3.0, 0.25, 8.0]]),
    ("laplace", "Laplace", {"loc": A, "scale": B}, [[0.0, 1.0, 2.5], [-3.0, 0.5, 8.0]]),
    ("exponential", "Exponential", {"rate": B}, [[0.0, 1.0, 2.0], [3.0, 0.25, 8.0]]),
    ("uniform", "Uniform", {"low": A, "high": [0.0, 0.5, 6.0]}, [[-1.0, 0.3, 2.5], [-1.5, 0.26, 5.9]]),
    ("bernoulli", "Bernoulli", {"probs": [0.1, 0.5, 0.9]}, [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
    ("bernoulli logits", "Bernoulli", {"logits": A}, [[0.0, 1.0, 1.0], [1.0, 0.0, 0.0]]),
    ("categorical", "Categorical", {"probs": P}, [[0, 1], [2, 2]]),
    ("categorical logits", "Categorical", {"logits": LOGITS}, [[0, 1], [2, 2]]),
]
case = pytest.mark.parametrize(("kind", "arguments", "values"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])


def build(engine, module, kind, arguments):
    leaves = {k: engine.tensor(v, dtype=engine.float64, requires_grad=True) for k, v in arguments.items()}
    return getattr(module, kind)(**leaves), leaves


def pair(kind, arguments):
    return build(chainrule, ours, kind, arguments)[0], build(torch, theirs, kind, arguments)[0]


def same(mine, other, **tolerance):
    np.testing.assert_allclose(mine.detach().numpy(), other.detach().numpy(), rtol=1e-9, atol=1e-11, **tolerance)
    assert str(mine.dtype) == str(other.dtype)


@case
def test_log_prob_and_its_gradients(kind, arguments, values):
    results = []
    for engine, module in ((chainrule, ours), (torch, theirs)):
        distribution, leaves = build(engine, module, kind, arguments)
        discrete = kind in ("Bernoulli", "Categorical")
        value = engine.tensor(values, dtype=engine.int64 if kind == "Categorical" else engine.float64)
        value.requires_grad_(not discrete)
        log_prob = distribution.log_prob(value)
        log_prob.sum().backward()
        results.append((log_prob, *(leaf.grad for leaf in leaves.values()), *([] if discrete else [value.grad])))
    for mine, other in zip(*results, strict=True):
        if other is None:  # the density of a uniform does not depend on where the value is
            assert kind == "Uniform" and mine is None
        else:
            same(mine, other)


@case
@pytest.mark.parametrize("what", ["mean", "mode", "variance", "stddev", "entropy", "perplexity"])
def test_moments_and_entropy(kind, arguments, values, what):
    mine, other = pair(kind, arguments)
    value, expected = getattr(mine, what), getattr(other, what)
    same(value() if callable(value) else value, expected() if callable(expected) else expected, equal_nan=True)


@case
def test_shapes_repr_expand_and_support(kind, arguments, values):
    mine, other = pair(kind, arguments)
    for a, b in ((mine, other), (mine.expand((4, *mine.batch_shape)), other.expand((4, *other.batch_shape)))):
        assert tuple(a.batch_shape) == tuple(b.batch_shape) and tuple(a.event_shape) == tuple(b.event_shape)
        assert repr(a) == repr(b)
        assert repr(a.support) == repr(b.support)
        assert a.sample((5, 2)).shape == tuple(b.sample((5, 2)).shape)
    assert mine.has_rsample == other.has_rsample and mine.has_enumerate_support == other.has_enumerate_support
    if mine.has_enumerate_support:
        for expand in (True, False):
            same(mine.enumerate_support(expand), other.enumerate_support(expand))
    else:
        with pytest.raises(NotImplementedError, match="does not implement enumerate_support"):
            mine.enumerate_support()


@pytest.mark.parametrize("kind", ["Normal", "Laplace", "Exponential", "Uniform"])
def test_cdf_and_icdf(kind):
    arguments, values = next((c[2], c[3]) for c in CASES if c[1] == kind)
    mine, other = pair(kind, arguments)
    for name, at in (("cdf", values), ("icdf", [[0.01, 0.4, 0.9]])):
        value, expected = chainrule.tensor(at, dtype=chainrule.float64), torch.tensor(at, dtype=torch.float64)
        same(getattr(mine, name)(value), getattr(other, name)(expected))


PAIRS = [
    ("Normal", {"loc": A, "scale": B}, "Normal", {"loc": [0.0, 1.0, 2.0], "scale": [1.0, 0.5, 2.0]}),
    ("Laplace", {"loc": A, "scale": B}, "Laplace", {"loc": [0.0, 1.0, 2.0], "scale": [1.0, 0.5, 2.0]}),
    ("Exponential", {"rate": B}, "Exponential", {"rate": [1.0, 2.0, 0.1]}),
    ("Uniform", {"low": A, "high": [0.0, 0.5, 6.0]}, "Uniform", {"low": [-2.0, 0.0, 3.0], "high": [1.0, 1.0, 9.0]}),
    ("Uniform", {"low": A, "high": [0.0, 0.5, 6.0]}, "Normal", {"loc": A, "scale": B}),
    ("Bernoulli", {"probs": [0.0, 0.3, 1.0, 0.5]}, "Bernoulli", {"probs": [0.5, 0.6, 0.9, 0.0]}),
    ("Categorical", {"probs": P}, "Categorical", {"logits": LOGITS}),
    ("Categorical", {"probs": [[0.5, 0.5, 0.0]]}, "Categorical", {"probs": [[0.4, 0.6, 0.0]]}),
    ("Categorical", {"probs": [[0.5, 0.5]]}, "Categorical", {"probs": [[1.0, 0.0]]}),
]


@pytest.mark.parametrize(("p", "p_arguments", "q", "q_arguments"), PAIRS)
def test_kl_divergence(p, p_arguments, q, q_arguments):
    results = []
    for engine, module in ((chainrule, ours), (torch, theirs)):
        one, leaves = build(engine, module, p, p_arguments)
        two, more = build(engine, module, q, q_arguments)
        divergence = module.kl_divergence(one, two)
        divergence[divergence < math.inf].sum().backward()
        results.append((divergence, [*leaves.values(), *more.values()]))
    (mine, my_leaves), (other, their_leaves) = results
    same(mine, other)
    interior = all(0 < x < 1 for x in np.ravel([*p_arguments.values()])) or p not in ("Bernoulli", "Categorical")
    if interior and bool((other < math.inf).all()):
        for my_leaf, their_leaf in zip(my_leaves, their_leaves, strict=True):
            same(my_leaf.grad, their_leaf.grad)


@pytest.mark.parametrize(("kind", "arguments"), [(c[1], c[2]) for c in CASES], ids=[c[0] for c in CASES])
def test_draws_follow_the_distribution(kind, arguments):
    chainrule.manual_seed(0)
    distribution, _ = build(chainrule, ours, kind, arguments)
    n = 40_000
    draws = distribution.sample((n,))
    assert not draws.requires_grad
    if kind == "Categorical":
        frequencies = np.stack([(draws.numpy() == k).mean(0) for k in range(3)], axis=-1)
        np.testing.assert_allclose(frequencies, distribution.probs.detach().numpy(), atol=5 * 0.5 / n**0.5)
    else:
        error = 5 * distribution.stddev.detach().numpy() / n**0.5
        assert (np.abs(draws.numpy().mean(0) - distribution.mean.detach().numpy()) < error).all()
        np.testing.assert_allclose(draws.numpy().std(0), distribution.stddev.detach().numpy(), rtol=0.05)


@pytest.mark.parametrize(
    ("kind", "arguments"), [(c[1], c[2]) for c in CASES if c[1] not in ("Bernoulli", "Categorical")]
)
def test_rsample_is_differentiable(kind, arguments):
    distribution, leaves = build(chainrule, ours, kind, arguments)
    chainrule.manual_seed(3)
    draws = distribution.rsample((4,))
    draws.sum().backward()
    draws = draws.detach().numpy()
    chainrule.manual_seed(3)
    for name, leaf in leaves.items():  # the same noise at slightly changed parameters
        chainrule.manual_seed(3)
        moved = {k: v.detach() + (1e-6 if k == name else 0) for k, v in leaves.items()}
        difference = (getattr(ours, kind)(**moved).rsample((4,)).numpy() - draws).sum(0) / 1e-6
        np.testing.assert_allclose(leaf.grad.numpy(), difference, rtol=1e-4, atol=1e-6)


def test_numbers_give_scalars_of_the_default_dtype():
    normal = ours.Normal(0, 1)
    assert normal.batch_shape == () and normal.sample().shape == ()
    assert normal.sample().dtype == chainrule.float32
    assert repr(normal) == repr(theirs.Normal(0, 1)) == "Normal(loc: 0.0, scale: 1.0)"
    assert repr(ours.Normal(chainrule.zeros(2), 1)) == "Normal(loc: torch.Size([2]), scale: torch.Size([2]))"


def test_independent():
    results = []
    for engine, module in ((chainrule, ours), (torch, theirs)):
        base = module.Normal(engine.zeros(2, 3), engine.ones(2, 3))
        d = module.Independent(base, 1)
        e = module.Independent(module.Normal(engine.ones(2, 3), engine.ones(2, 3)), 1)
        results.append(
            [
                tuple(d.batch_shape),
                tuple(d.event_shape),
                repr(d),
                repr(d.support),
                d.has_rsample,
                d.log_prob(engine.ones(2, 3)).tolist(),
                d.entropy().tolist(),
                module.kl_divergence(d, e).tolist(),
                tuple(d.expand((5, 2)).sample().shape),
                tuple(d.rsample((7,)).shape),
                d.mean.tolist(),
            ]
        )
    assert results[0][:5] == results[1][:5]
    for mine, other in zip(results[0][5:], results[1][5:], strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


def test_policy_gradient_by_hand():
    """The gradient of log p(action) for softmax logits is one-hot(action) - p."""
    logits = chainrule.tensor([0.3, -1.0, 2.0], requires_grad=True)
    distribution = ours.Categorical(logits=logits)
    action = distribution.sample()
    distribution.log_prob(action).backward()
    expected = np.eye(3)[action.item()] - distribution.probs.detach().numpy()
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-6)


# module name, call on (engine, distributions), the text both raise
ERRORS = [
    (lambda t, d: d.Normal(0.0, -1.0), "Expected parameter scale .* to satisfy the constraint GreaterThan"),
    (lambda t, d: d.Normal(t.tensor([math.nan, 0.0]), 1.0), r"Expected parameter loc \(Tensor of shape \(2,\)\)"),
    (lambda t, d: d.Normal("a", 1.0), "Input arguments must all be instances of Number"),
    (lambda t, d: d.Normal(0.0, 1.0).log_prob(0.0), "The value argument to log_prob must be a Tensor"),
    (lambda t, d: d.Normal(t.zeros(3), 1.0).log_prob(t.zeros(2)), "Value is not broadcastable with batch_shape"),
    (lambda t, d: d.Independent(d.Normal(0.0, 1.0), 1), "Expected reinterpreted_batch_ndims <= len"),
    (lambda t, d: d.Bernoulli(1.5), r"to satisfy the constraint Interval\(lower_bound=0.0, upper_bound=1.0\)"),
    (lambda t, d: d.Bernoulli(), "Either `probs` or `logits` must be specified, but not both"),
    (lambda t, d: d.Bernoulli(0.5).log_prob(t.tensor(0.5)), r"within the support \(Boolean\(\)\)"),
    (lambda t, d: d.Categorical(t.ones(2), t.ones(2)), "Either `probs` or `logits` must be specified, but not both"),
    (lambda t, d: d.Categorical(t.tensor(1.0)), "`probs` parameter must be at least one-dimensional"),
    (lambda t, d: d.Categorical(t.tensor([-1.0, 2.0])), r"to satisfy the constraint Simplex\(\)"),
    (lambda t, d: d.Categorical(t.ones(3)).log_prob(t.tensor(3)), "IntegerInterval.lower_bound=0, upper_bound=2."),
    (lambda t, d: d.Uniform(1.0, 1.0), "Uniform is not defined when low ?>= ?high|low < high|GreaterThan|LessThan"),
    (lambda t, d: d.Exponential(1.0).log_prob(t.tensor(-1.0)), "GreaterThanEq"),
]


@pytest.mark.parametrize(("call", "text"), ERRORS)
def test_errors_read_like_pytorchs(call, text):
    for engine, module in ((torch, theirs), (chainrule, ours)):
        with pytest.raises(ValueError, match=text):
            call(engine, module)


def test_a_subclass_with_events_has_its_values_checked():
    for engine, module in ((torch, theirs), (chainrule, ours)):

        class Pair(module.Distribution):
            arg_constraints = {}
            support = module.constraints.independent(module.constraints.positive, 1)

        two = Pair((), engine.zeros(2).shape)
        two._validate_sample(engine.ones(5, 2))
        with pytest.raises(ValueError, match="The right-most size of value must match event_shape"):
            two._validate_sample(engine.ones(3))
        with pytest.raises(ValueError, match=r"within the support \(IndependentConstraint\(GreaterThan"):
            two._validate_sample(engine.zeros(2))


def test_validation_can_be_switched_off():
    assert math.isnan(ours.Normal(0.0, -1.0, validate_args=False).log_prob(chainrule.tensor(0.0)).item())
    ours.Distribution.set_default_validate_args(False)
    try:
        ours.Normal(0.0, -1.0)
    finally:
        ours.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="expected True or False, but got 2"):
        ours.Distribution.set_default_validate_args(2)


def test_kl_of_unknown_pairs_and_register_kl():
    with pytest.raises(NotImplementedError, match="No KL.* for p type Normal and q type Bernoulli"):
        ours.kl_divergence(ours.Normal(0.0, 1.0), ours.Bernoulli(0.5))
    with pytest.raises(TypeError, match="Expected type_q to be a Distribution subclass"):
        ours.register_kl(ours.Normal, int)

    class Shifted(ours.Normal):
        pass

    assert ours.kl_divergence(Shifted(1.0, 1.0), ours.Normal(0.0, 1.0)).item() == 0.5  # its base class's formula
    ours.register_kl(Shifted, ours.Normal)(lambda p, q: "mine")
    assert ours.kl_divergence(Shifted(1.0, 1.0), ours.Normal(0.0, 1.0)) == "mine"


def test_what_a_distribution_does_not_have():
    with pytest.raises(NotImplementedError, match="does not implement rsample"):
        ours.Bernoulli(0.5).rsample()
    with pytest.raises(NotImplementedError, match="does not implement icdf"):
        ours.Categorical(chainrule.ones(2)).icdf(chainrule.tensor(0.5))
    with pytest.raises(NotImplementedError, match="expects the same reinterpreted_batch_ndims, got 1 and 2"):
        base = ours.Normal(chainrule.zeros(2, 2), 1.0)
        ours.kl_divergence(ours.Independent(base, 1), ours.Independent(base, 2))


def test_log_prob_under_vmap_and_jacobian():
    """Values that are not known yet (a batch inside vmap) are not validated, and the rest works as ever."""
    locs, x = chainrule.tensor([0.0, 1.0, -2.0]), chainrule.tensor(0.5)
    batched = chainrule.func.vmap(lambda loc: ours.Normal(loc, 1.0).log_prob(x))(locs)
    np.testing.assert_allclose(batched.numpy(), ours.Normal(locs, 1.0).log_prob(x).numpy(), rtol=1e-6)
    slope = chainrule.func.grad(lambda loc: ours.Normal(loc, 1.0).log_prob(x))(chainrule.tensor(2.0))
    assert slope.item() == pytest.approx(-1.5)
