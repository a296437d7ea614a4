"""Sums over many 16-bit floats: rounded once, at the end, as PyTorch rounds them."""

import numpy as np
import pytest

import chainrule as cr

pt = pytest.importorskip("torch")
pytest.importorskip("ml_dtypes")

SUMS = {
    "sum": lambda lib, x: x.sum(0),
    "mean": lambda lib, x: (x * 300).mean(),
    "var": lambda lib, x: x.var(0),
    "std": lambda lib, x: x.std(),
    "norm": lambda lib, x: x.norm(),
    "norm 1": lambda lib, x: x.norm(p=1, dim=0),
    "logsumexp": lambda lib, x: lib.logsumexp(x, 0),
    "softmax": lambda lib, x: lib.softmax(x, 0),
    "log_softmax": lambda lib, x: lib.log_softmax(x, 0),
    "cumsum": lambda lib, x: x.cumsum(0)[-1],
    "broadcast": lambda lib, x: lib.autograd.grad((x * (w := lib.ones(3, dtype=x.dtype, requires_grad=True))).sum(), w)[
        0
    ],
    "bias": lambda lib, x: lib.autograd.grad(
        lib.nn.functional.linear(x, x[:2], b := lib.zeros(2, dtype=x.dtype, requires_grad=True)).sum(), b
    )[0],
}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("name", SUMS)
def test_sums_are_as_precise_as_pytorchs(name, dtype):
    values = np.random.default_rng(0).uniform(0.3, 0.5, (4000, 3)).astype(np.float32).tolist()
    mine, theirs = (SUMS[name](lib, lib.tensor(values).to(getattr(lib, dtype))) for lib in (cr, pt))
    assert str(mine.dtype) == str(theirs.dtype)
    ulp = 2.0**-10 if dtype == "float16" else 2.0**-7
    np.testing.assert_allclose(mine.float().tolist(), theirs.float().tolist(), rtol=2 * ulp)
