"""LBFGS beside PyTorch's, with and without line search."""

import numpy as np
import pytest

import chainrule as ct

torch = pytest.importorskip("torch")


def rosenbrock(library, line_search, steps=10, **options):
    x = library.tensor([-1.5, 2.0], dtype=library.float64, requires_grad=True)
    y = library.tensor([[0.5]], dtype=library.float64, requires_grad=True)
    optimizer = library.optim.LBFGS([x, y], line_search_fn=line_search, **options)

    def closure():
        optimizer.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2 + ((y - x[0]) ** 2).sum()
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(steps)]
    return losses, [x, y], optimizer


@pytest.mark.parametrize(
    ("line_search", "options"),
    [
        (None, {"lr": 0.01, "max_iter": 5}),
        (None, {"lr": 0.1, "history_size": 3, "max_iter": 4}),
        ("strong_wolfe", {}),
        ("strong_wolfe", {"lr": 0.5, "max_iter": 3, "history_size": 2}),
        ("strong_wolfe", {"max_eval": 7}),
    ],
)
def test_lbfgs_matches_pytorch(line_search, options):
    ours, params, optimizer = rosenbrock(ct, line_search, **options)
    theirs, peers, peer = rosenbrock(torch, line_search, **options)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-12)
    for a, b in zip(params, peers, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=1e-6)
    state, other = optimizer.state_dict()["state"][0], peer.state_dict()["state"][0]
    assert state.keys() == other.keys()
    assert (state["func_evals"], state["n_iter"]) == (other["func_evals"], other["n_iter"])
    assert len(state["old_dirs"]) == len(other["old_dirs"])
    assert len(state["al"]) == len(other["al"])


def test_lbfgs_continues_from_its_state():
    _, params, optimizer = rosenbrock(ct, "strong_wolfe", steps=2, max_iter=4)
    saved = optimizer.state_dict()
    losses = {}
    for kind in ("same", "loaded"):
        x, y = [ct.tensor(p.detach().numpy().copy(), requires_grad=True) for p in params]
        other = ct.optim.LBFGS([x, y], line_search_fn="strong_wolfe", max_iter=4)
        if kind == "loaded":
            other.load_state_dict(saved)

        def closure(x=x, y=y, other=other):
            other.zero_grad()
            loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2 + ((y - x[0]) ** 2).sum()
            loss.backward()
            return loss

        losses[kind] = [float(other.step(closure)) for _ in range(3)]
        assert other.state[x]["n_iter"] > (8 if kind == "loaded" else 0)
    assert losses["loaded"][0] == losses["same"][0]
    assert losses["loaded"][1] != losses["same"][1]


def test_lbfgs_errors():
    p = ct.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match="doesn't support per-parameter options"):
        ct.optim.LBFGS([{"params": [p]}, {"params": [ct.tensor([1.0], requires_grad=True)]}])
    with pytest.raises(TypeError, match="needs a closure"):
        ct.optim.LBFGS([p]).step(None)
    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer = ct.optim.LBFGS([p], line_search_fn="armijo")

        def closure():
            optimizer.zero_grad()
            loss = (p * p).sum()
            loss.backward()
            return loss

        optimizer.step(closure)
