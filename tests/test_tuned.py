"""Hand-tuned rules stand beside the derived ones; both must say the same."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.primitive import primitives, raw

TUNED = [p for p in primitives.values() if getattr(p, "tuned", None)]


def test_there_are_some():
    assert TUNED


@pytest.mark.parametrize("prim", TUNED, ids=lambda p: p.name)
@pytest.mark.parametrize("shape", [(), (5,), (2, 0), (3, 4)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tuned_rule_is_the_derived_one(prim, shape, dtype):
    rng = np.random.default_rng(0)
    x = np.asarray(rng.standard_normal(shape), dtype)
    g = np.asarray(rng.standard_normal(shape), dtype)
    y = np.asarray(prim.kernel(x))
    before = g.copy(), y.copy()
    mine = np.asarray(prim.tuned(g, y, x))
    np.testing.assert_allclose(mine, g * prim.partials[0](raw, y, x), rtol=4 * np.finfo(dtype).eps)
    assert mine.dtype == dtype
    assert (g == before[0]).all() and (y == before[1]).all()


def test_numbers_as_operands_keep_their_sign_and_dtype():
    x = cr.tensor([1.0, -1.0])
    for _ in range(2):  # the second time from the memory of numbers
        assert str(x * 0.0) == "tensor([0., -0.])"
        assert str(x * -0.0) == "tensor([-0., 0.])"
        assert (x * 1e300).tolist() == [float("inf"), float("-inf")]
        assert (x * 2).dtype is cr.float32
        assert (x.double() * 2).dtype is cr.float64
        assert (x + float("nan")).isnan().all()


def test_a_gradient_in_another_dtype_is_cast():
    x = cr.ones(2, requires_grad=True)
    cr.tanh(x).backward(cr.ones(2, dtype=cr.float64))
    assert x.grad.dtype is cr.float32
