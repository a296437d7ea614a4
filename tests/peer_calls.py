"""One function of arrays, called on PyTorch's tensors and on chainrule's: values, gradients and second derivatives."""

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")


def normal(*shape, seed=0):
    """Normal numbers, the same every time; different for different shapes."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def positive(*shape, seed=0):
    """Numbers between 0.05 and 0.95."""
    return np.random.default_rng([seed, *shape]).uniform(0.05, 0.95, shape)


def _leaf(lib, x, dtype):
    if isinstance(x, np.ndarray) and x.dtype.kind == "f":
        return lib.tensor(x.astype(dtype)).requires_grad_()
    return lib.tensor(x) if isinstance(x, np.ndarray) else x


def _weighted(lib, outputs, dtype, power):
    total = 0
    for k, y in outputs:
        w = np.cos(np.arange(y.numel()) + k).reshape(tuple(y.shape)).astype(dtype)
        total = total + (y**power * lib.tensor(w)).sum()
    return total


def _numbers(t):
    return None if t is None else t.detach().numpy()


def _evaluate(lib, f, arrays, dtype, order):
    """Outputs, and per order of differentiation the gradients of all float inputs."""
    inputs = [_leaf(lib, x, dtype) for x in arrays]
    leaves = [t for t in inputs if getattr(t, "requires_grad", False)]
    result = f(lib, *inputs)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    levels = []
    current = [(k, y) for k, y in enumerate(outputs) if y.requires_grad]
    for level in range(order):
        if not current:
            break
        total = _weighted(lib, current, dtype, 2 if level == 0 else 1)
        grads = lib.autograd.grad(total, leaves, create_graph=level + 1 < order, allow_unused=True)
        levels.append([_numbers(g) for g in grads])
        current = [(k, g) for k, g in enumerate(grads) if g is not None and g.requires_grad]
    return [_numbers(y) for y in outputs], levels


def compare(f, *arrays, dtype=np.float64, order=2, rtol=1e-9, atol=1e-9):
    """Assert that ``f(lib, *tensors)`` agrees for both libraries, with its derivatives up to ``order``."""
    expected, peer_levels = _evaluate(torch, f, arrays, dtype, order)
    got, levels = _evaluate(cr, f, arrays, dtype, order)
    assert len(got) == len(expected)
    for y, z in zip(got, expected, strict=True):
        assert y.dtype == z.dtype
        assert y.shape == z.shape
        np.testing.assert_allclose(y, z, rtol=rtol, atol=atol)
    for level in range(order):
        ours = levels[level] if level < len(levels) else []
        theirs = peer_levels[level] if level < len(peer_levels) else []
        count = max(len(ours), len(theirs))
        for i in range(count):
            a = ours[i] if ours else None
            b = theirs[i] if theirs else None
            shape = next((g.shape for g in (a, b) if g is not None), ())
            a, b = (np.zeros(shape) if g is None else g for g in (a, b))
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"derivative {level + 1} of input {i}")


def fails(f, error, text, same_kind=True):
    """Both libraries raise for ``f(lib)``; ours is ``error``, says ``text``, and is of the kind that PyTorch raises."""
    with pytest.raises(Exception) as peer:
        f(torch)
    with pytest.raises(error) as own:
        f(cr)
    assert text in str(own.value)
    if same_kind:
        kinds = [
            k
            for k in (RuntimeError, TypeError, ValueError, IndexError, NotImplementedError)
            if issubclass(peer.type, k)
        ]
        assert any(issubclass(own.type, k) for k in kinds), f"PyTorch raises {peer.type}, this is {own.type.__mro__}"
