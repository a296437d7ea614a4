"""A program run eagerly and compiled, and whether all that it leaves behind agrees."""

import numpy as np

import chainrule as torch


def values(x):
    """Tensors as arrays, in the same nesting."""
    if isinstance(x, torch.Tensor):
        return np.array(x.detach().numpy())
    if isinstance(x, dict):
        return {k: values(v) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [values(v) for v in x]
    return x


def agree(a, b, rtol=3e-5):
    if isinstance(b, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(abs(b).max(initial=0), 1e-3))
    elif isinstance(b, (list, dict)):
        assert len(a) == len(b) and (isinstance(b, list) or list(a) == list(b))
        for key in range(len(b)) if isinstance(b, list) else b:
            agree(a[key], b[key], rtol)
    else:
        assert a == b


def both(program, compilations=None):
    """``program(wrap)`` makes its world and runs; eagerly and compiled it gives the same. Returns what was compiled."""
    made = []

    def wrap(f):
        made.append(torch.compile(f))
        return made[-1]

    torch.manual_seed(0)
    want = values(program(lambda f: f))
    after = torch.get_rng_state()
    torch.manual_seed(0)
    agree(values(program(wrap)), want)
    assert (torch.get_rng_state() == after).all()
    if compilations is not None:
        assert [len(f.compilations) for f in made] == compilations
    return made


def x_(*shape, seed=0, **kw):
    return torch.tensor(np.random.default_rng(seed).standard_normal(shape).astype(np.float32), **kw)
