"""The quick error function behind GELU: close to the exact one everywhere, and with its derivatives."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.ops.fast_erf import erf_p, fast_erf

special = pytest.importorskip("scipy.special")


def test_it_is_close_to_the_exact_function():
    x = np.concatenate([np.linspace(-6, 6, 200_001), np.logspace(-20, 0, 1001)]).astype(np.float32)
    exact = special.erf(x.astype(np.float64))
    y = fast_erf(x)
    assert y.dtype == np.float32
    assert np.abs(y - exact).max() < 4e-7
    small = np.abs(x) < 0.5
    assert np.abs(y[small] / np.where(exact == 0, 1, exact)[small] - 1)[exact[small] != 0].max() < 5e-7
    assert np.abs(y).max() == 1


def test_the_ends_and_what_is_not_a_number():
    x = np.array([np.inf, -np.inf, np.nan, 0.0, 1e30], np.float32)
    np.testing.assert_array_equal(fast_erf(x), np.array([1, -1, np.nan, 0, 1], np.float32))


def test_other_precisions_are_exact():
    x = np.linspace(-3, 3, 7)
    np.testing.assert_array_equal(fast_erf(x), special.erf(x))


def test_blocks_and_shapes():
    x = np.linspace(-3, 3, 70_000, dtype=np.float32).reshape(7, 100, 100)
    y = fast_erf(x.transpose(2, 0, 1))
    np.testing.assert_allclose(y, special.erf(x).transpose(2, 0, 1), atol=5e-7)
    assert fast_erf(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert fast_erf(np.array(0.5, np.float32)).shape == ()


def test_derivatives():
    x = cr.tensor(np.linspace(-2, 2, 5)).requires_grad_()
    assert cr.autograd.gradcheck(erf_p, [x])
    assert cr.autograd.gradgradcheck(erf_p, [x])


def test_gelu_in_single_precision():
    torch = pytest.importorskip("torch")
    x = np.linspace(-8, 8, 10_001, dtype=np.float32)
    ours, theirs = cr.tensor(x).requires_grad_(), torch.tensor(x).requires_grad_()
    y, z = cr.nn.functional.gelu(ours), torch.nn.functional.gelu(theirs)
    np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), atol=1.5e-6)
    y.sum().backward()
    z.sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), atol=1e-6)
