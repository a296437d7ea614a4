"""Optimisers: ten steps beside PyTorch's, state layout, and everything that may change between two steps."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import chainrule as ct
from chainrule.optim import flat

torch = pytest.importorskip("torch")

# Small (packed), 0-d, and one that is updated in place in several blocks (see `small_blocks`).
SHAPES = [(5, 7), (7,), (), (3, 2, 2), (30, 25), (1,)]
RNG = np.random.default_rng(0)
START = [RNG.normal(size=s) for s in SHAPES]
OFFSET = [RNG.normal(size=s) for s in SHAPES]

DECAY, CLIMB = {"weight_decay": 0.1}, {"maximize": True}
CASES = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, **DECAY}),
    ("SGD", {"lr": 0.1, **DECAY, **CLIMB}),
    ("SGD", {"lr": 0.1, "momentum": 0.5, **CLIMB}),
    ("Adam", {}),
    ("Adam", DECAY),
    ("Adam", {"amsgrad": True}),
    ("Adam", {"lr": 0.01, **DECAY, **CLIMB}),
    ("Adam", {"betas": (0.8, 0.9), "eps": 1e-3, "amsgrad": True, **DECAY}),
    ("Adam", {"decoupled_weight_decay": True, **DECAY}),
    ("AdamW", {}),
    ("AdamW", {"amsgrad": True, **DECAY, **CLIMB}),
    ("Adamax", {}),
    ("Adamax", {"betas": (0.5, 0.9), "eps": 1e-2, **DECAY, **CLIMB}),
    ("NAdam", {}),
    ("NAdam", {"momentum_decay": 0.1, "betas": (0.7, 0.8), **DECAY, **CLIMB}),
    ("NAdam", {"decoupled_weight_decay": True, **DECAY}),
    ("RAdam", {"lr": 0.01}),
    ("RAdam", {"betas": (0.7, 0.8), **DECAY, **CLIMB}),
    ("RAdam", {"decoupled_weight_decay": True, **DECAY}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "alpha": 0.8, "eps": 1e-3, **DECAY, **CLIMB}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.5, "eps": 1e-3, **DECAY, **CLIMB}),
    ("Adadelta", {}),
    ("Adadelta", {"rho": 0.5, "eps": 1e-2, "lr": 0.3, **DECAY, **CLIMB}),
    ("Rprop", {}),
    ("Rprop", {"lr": 0.3, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.5), **CLIMB}),
    ("ASGD", {}),
    ("ASGD", {"lr": 0.1, "t0": 3, "lambd": 0.1, "alpha": 0.6, **DECAY, **CLIMB}),
]
IDS = [f"{name}-{'-'.join(options)}" for name, options in CASES]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(flat, "BLOCK_BYTES", 1 << 11)
    monkeypatch.setattr(flat, "PACK_BYTES", 1 << 10)


def make(library, start=START):
    if library is torch:
        return [torch.tensor(v, requires_grad=True) for v in start]
    return [ct.tensor(v, requires_grad=True) for v in start]


def give_gradients(library, params, skip=()):
    """A nonlinear gradient that depends on the parameters, the same for both libraries."""
    for i, p in enumerate(params):
        value = p.detach().numpy()
        grad = np.asarray(np.sin(3 * value + OFFSET[i % len(OFFSET)]) + 0.1 * value, dtype=value.dtype)
        p.grad = None if i in skip else library.tensor(grad)


def run(library, name, options, steps=10, skips=None, start=START):
    params = make(library, start)
    optimizer = getattr(library.optim, name)(params, **options)
    for k in range(steps):
        give_gradients(library, params, (skips or {}).get(k, ()))
        optimizer.step()
    return params, optimizer


def same(ours, theirs, tolerance=1e-12):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize(("name", "options"), CASES, ids=IDS)
def test_ten_steps_match_pytorch(name, options):
    """Values and saved state; in steps 4 and 5 two parameters have no gradient."""
    skips = {4: (1,), 5: (1, 4)}
    params, optimizer = run(ct, name, options, skips=skips)
    peers, peer = run(torch, name, options, skips=skips)
    same(params, peers)
    ours, theirs = optimizer.state_dict(), peer.state_dict()
    assert [list(group) for group in ours["param_groups"]] == [list(group) for group in theirs["param_groups"]]
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"].keys() == theirs["state"].keys()
    for i, entries in theirs["state"].items():
        assert list(ours["state"][i]) == list(entries)
        for key, value in entries.items():
            assert str(ours["state"][i][key].dtype) == str(value.dtype)
            np.testing.assert_allclose(ours["state"][i][key].numpy(), value.numpy(), rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "NAdam"])
def test_float32(name):
    start = [v.astype(np.float32) for v in START]
    options = {"lr": 0.01}
    ours, _ = run(ct, name, options, start=start)
    theirs, _ = run(torch, name, options, start=start)
    assert all(p.dtype == ct.float32 for p in ours)
    same(ours, theirs, 1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "ASGD", "Rprop"])
def test_lr_may_be_a_tensor(name):
    plain, _ = run(ct, name, {"lr": 0.03125})
    tensor, optimizer = run(ct, name, {"lr": ct.tensor(0.03125)})
    same(plain, tensor)
    assert isinstance(optimizer.param_groups[0]["lr"], ct.Tensor)


def test_a_gradient_set_that_keeps_changing():
    """Packing is given up after a while; the numbers stay right before, at and after that point."""
    rng = np.random.default_rng(1)
    steps = 4 * flat.MAX_REARRANGEMENTS
    skips = {k: tuple(np.flatnonzero(rng.random(len(SHAPES)) < 0.4)) for k in range(steps)}
    for name in ("Adam", "SGD"):
        options = {"lr": 0.01} if name == "Adam" else {"lr": 0.01, "momentum": 0.9, "dampening": 0.2}
        ours, _ = run(ct, name, options, steps, skips)
        theirs, _ = run(torch, name, options, steps, skips)
        same(ours, theirs)


def test_memory_layouts():
    """Transposed parameters and gradients, views of one array that overlap, and an empty parameter."""
    base = np.arange(24.0).reshape(4, 6)
    results = []
    for library, wrap in ((ct, ct.from_numpy), (torch, torch.from_numpy)):
        memory = base.copy()
        params = [wrap(memory.T[:, :2]), wrap(memory[:, 4:]), wrap(np.empty((0, 3))), wrap(np.ones((3, 2)))]
        for p in params:
            p.requires_grad_()
        optimizer = library.optim.Adam(params, lr=0.1)
        for _ in range(3):
            for p in params:
                p.grad = library.tensor(np.sin(p.detach().numpy()).T.copy()).t()
            optimizer.step()
        results.append([memory, *[p.detach().numpy() for p in params]])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)


def test_step_changes_the_parameter_in_place_and_marks_it():
    p = ct.tensor([1.0, 2.0], requires_grad=True)
    memory = p.detach().numpy()
    optimizer = ct.optim.SGD([p], lr=1.0)
    out = (p * p).sum()
    p.grad = ct.tensor([1.0, 1.0])
    optimizer.step()
    assert memory.tolist() == [0.0, 1.0]
    with pytest.raises(RuntimeError, match="in place|inplace|in-place"):
        out.backward()


def test_the_gradient_is_only_read():
    p = ct.tensor(START[0], requires_grad=True)
    for name, options in CASES:
        grad = ct.tensor(OFFSET[0])
        p.grad = grad
        getattr(ct.optim, name)([p], **options).step()
        assert np.array_equal(grad.numpy(), OFFSET[0]), name
        assert p.grad is grad


# --- state: it lives in optimizer.state, whatever happens to that ---


def test_state_tensors_are_live():
    """Writing into a state tensor, and replacing it, both count at the next step."""
    for replace in (False, True):
        params, optimizer = run(ct, "Adam", {}, 3)
        peers, peer = run(torch, "Adam", {}, 3)
        for p, q in zip(params, peers, strict=True):
            if replace:
                optimizer.state[p]["exp_avg"] = ct.tensor(np.full(p.shape, 0.5))
                optimizer.state[p]["step"] = ct.tensor(7.0)
            else:
                optimizer.state[p]["exp_avg"].fill_(0.5)
                optimizer.state[p]["step"].fill_(7.0)
            peer.state[q]["exp_avg"].fill_(0.5)
            peer.state[q]["step"].fill_(7.0)
        for library, ps, o in ((ct, params, optimizer), (torch, peers, peer)):
            give_gradients(library, ps)
            o.step()
        same(params, peers)
        assert float(optimizer.state[params[0]]["step"]) == 8.0


def test_counters_that_differ_within_a_pack():
    params, optimizer = run(ct, "Adam", {}, 2)
    peers, peer = run(torch, "Adam", {}, 2)
    optimizer.state[params[1]]["step"].fill_(40.0)
    peer.state[peers[1]]["step"].fill_(40.0)
    for library, ps, o in ((ct, params, optimizer), (torch, peers, peer)):
        for _ in range(3):
            give_gradients(library, ps)
            o.step()
    same(params, peers)


def test_options_changed_between_steps():
    """A learning rate, amsgrad switched on, momentum switched on and off, and an added group."""
    results = []
    for library in (ct, torch):
        params = make(library)
        optimizer = library.optim.SGD(params[:3], lr=0.1)
        for k in range(8):
            give_gradients(library, params)
            group = optimizer.param_groups[0]
            if k == 2:
                group["lr"] = 0.05
                group["momentum"] = 0.9
            if k == 4:
                optimizer.add_param_group({"params": params[3:], "lr": 0.2})
            if k == 6:
                group["momentum"] = 0
            optimizer.step()
        results.append(params)
    same(*results)


def test_parameter_data_replaced_between_steps():
    params, optimizer = run(ct, "Adam", {}, 2)
    before = params[0].detach().numpy().copy()
    params[0].data = ct.tensor(before + 1)
    give_gradients(ct, params)
    optimizer.step()
    assert np.abs(params[0].detach().numpy() - before).min() > 0.9


def test_copies_do_not_share_state():
    params, optimizer = run(ct, "Adam", {}, 3)
    loads = pickle.loads(pickle.dumps(optimizer))
    deep = copy.deepcopy({"params": params, "optimizer": optimizer})
    for copied, own in ((loads, loads.param_groups[0]["params"]), (deep["optimizer"], deep["params"])):
        give_gradients(ct, own)
        copied.step()
    give_gradients(ct, params)
    optimizer.step()
    same(params, deep["params"])
    same(params, loads.param_groups[0]["params"])
    assert float(optimizer.state[params[0]]["step"]) == 4.0
    assert repr(loads) == repr(optimizer)


@pytest.mark.parametrize(("name", "options"), [CASES[1], CASES[10], CASES[17], CASES[25], CASES[33]])
def test_load_state_dict_continues(name, options):
    params, optimizer = run(ct, name, options, 5)
    middle = [p.detach().numpy().copy() for p in params]
    saved = optimizer.state_dict()
    again = make(ct, middle)
    other = getattr(ct.optim, name)(again, **options)
    other.load_state_dict(saved)
    for ps, o in ((params, optimizer), (again, other)):
        for _ in range(3):
            give_gradients(ct, ps)
            o.step()
    same(params, again)
    # Loaded state is a copy: the second optimizer did not move the first one's.
    key = next(k for k, v in saved["state"][0].items() if v.ndim)
    assert optimizer.state[params[0]][key].numpy() is not other.state[again[0]][key].numpy()
    assert not np.shares_memory(optimizer.state[params[0]][key].numpy(), other.state[again[0]][key].numpy())


def test_loads_a_state_dict_from_pytorch():
    peers, peer = run(torch, "Adam", {"amsgrad": True}, 4)
    saved = peer.state_dict()
    saved = {
        "state": {i: {k: ct.tensor(v.numpy()) for k, v in e.items()} for i, e in saved["state"].items()},
        "param_groups": saved["param_groups"],
    }
    params = make(ct, [p.detach().numpy() for p in peers])
    optimizer = ct.optim.Adam(params)
    optimizer.load_state_dict(saved)
    for library, ps, o in ((ct, params, optimizer), (torch, peers, peer)):
        give_gradients(library, ps)
        o.step()
    same(params, peers)


def test_load_state_dict_errors():
    params = make(ct)
    optimizer = ct.optim.SGD(params)
    saved = optimizer.state_dict()
    with pytest.raises(ValueError, match="different number of parameter groups"):
        ct.optim.SGD([{"params": params[:2]}, {"params": params[2:]}]).load_state_dict(saved)
    with pytest.raises(ValueError, match="doesn't match the size of optimizer's group"):
        ct.optim.SGD(params[:2]).load_state_dict(saved)
    _, trained = run(ct, "Adam", {}, 1)
    wrong = make(ct, START[::-1])
    other = ct.optim.Adam(wrong)
    other.load_state_dict(trained.state_dict())
    give = [ct.tensor(np.ones(p.shape)) for p in wrong]
    for p, g in zip(wrong, give, strict=True):
        p.grad = g
    with pytest.raises(ValueError, match=r"state 'exp_avg' has shape .* but its parameter has shape"):
        other.step()


def test_named_parameters():
    params = make(ct)[:2]
    optimizer = ct.optim.SGD([("weight", params[0]), ("bias", params[1])], lr=0.1)
    assert optimizer.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    with pytest.raises(ValueError, match="Some param names are missing"):
        ct.optim.SGD([("weight", params[0]), params[1]])
    with pytest.raises(ValueError, match="cannot add param group without names"):
        optimizer.add_param_group({"params": make(ct)[2]})


# --- the base class ---


def test_argument_errors():
    p = ct.tensor([1.0], requires_grad=True)
    optim = ct.optim
    cases = [
        (ValueError, "optimizer got an empty parameter list", lambda: optim.SGD([])),
        (TypeError, "params argument given to the optimizer should be an iterable", lambda: optim.SGD(p)),
        (TypeError, "optimizer can only optimize Tensors, but one of the params is int", lambda: optim.SGD([1])),
        (TypeError, "ordering of tensors in sets", lambda: optim.SGD([{"params": {p}}])),
        (TypeError, "param_group must be a dict", lambda: optim.SGD([p]).add_param_group([p])),
        (ValueError, "can't optimize a non-leaf Tensor", lambda: optim.SGD([p * 2])),
        (ValueError, "appear in more than one parameter group", lambda: optim.SGD([p]).add_param_group({"params": p})),
        (ValueError, "Invalid learning rate: -1", lambda: optim.SGD([p], lr=-1)),
        (ValueError, "Invalid learning rate: nan", lambda: optim.Adam([p], lr=float("nan"))),
        (ValueError, "Tensor lr must be 1-element", lambda: optim.SGD([p], lr=ct.tensor([0.1, 0.2]))),
        (ValueError, "Invalid momentum value: -0.1", lambda: optim.SGD([p], momentum=-0.1)),
        (ValueError, "Nesterov momentum requires a momentum", lambda: optim.SGD([p], nesterov=True)),
        (ValueError, "Invalid weight_decay value: -1", lambda: optim.Adam([p], weight_decay=-1)),
        (ValueError, "Invalid epsilon value: -1", lambda: optim.Adam([p], eps=-1)),
        (ValueError, "Invalid beta parameter at index 1: 1.0", lambda: optim.Adam([p], betas=(0.9, 1.0))),
        (ValueError, "betas must be either both floats", lambda: optim.Adam([p], betas=(0, 0.5))),
        (ValueError, "Invalid rho value: 2", lambda: optim.Adadelta([p], rho=2)),
        (ValueError, "Invalid eta values: 1.5, 2", lambda: optim.Rprop([p], etas=(1.5, 2))),
        (ValueError, "Invalid alpha value: -1", lambda: optim.RMSprop([p], alpha=-1)),
        (ValueError, "Invalid lr_decay value: -1", lambda: optim.Adagrad([p], lr_decay=-1)),
        (RuntimeError, "`fused` and `foreach` cannot be", lambda: optim.Adam([p], fused=True, foreach=True)),
        (RuntimeError, "`fused` does not support", lambda: optim.SGD([p], fused=True, differentiable=True)),
        (NotImplementedError, "differentiable=True is not supported", lambda: optim.SGD([p], differentiable=True)),
        (ValueError, "lr as a Tensor is not supported", lambda: optim.Adam([p], lr=ct.tensor(0.1), foreach=True)),
        (ValueError, "required optimization parameter lr", lambda: NeedsLr([p])),
        (NotImplementedError, "must define step", lambda: NeedsLr([{"params": [p], "lr": 1}]).step()),
    ]
    for kind, text, call in cases:
        with pytest.raises(kind, match=text):
            call()


class NeedsLr(ct.optim.Optimizer):
    def __init__(self, params):
        super().__init__(params, {"lr": ct.optim.optimizer.required})


def test_integer_parameter_is_refused():
    p = ct.tensor([1, 2])
    p.grad = ct.tensor([1, 1])
    with pytest.raises(RuntimeError, match="SGD: a parameter has the integer dtype int64"):
        ct.optim.SGD([p], lr=1).step()


def test_expanded_parameter_is_refused():
    p = ct.tensor([1.0]).expand(3).detach().requires_grad_()
    p.grad = ct.ones(3)
    with pytest.raises(RuntimeError, match="read-only memory|expanded view"):
        ct.optim.SGD([p], lr=1).step()


def test_duplicate_parameters_warn_and_step_twice():
    results = []
    for library in (ct, torch):
        p = library.tensor([1.0], requires_grad=True)
        with pytest.warns(UserWarning, match="duplicate parameters"):
            optimizer = library.optim.SGD([p, p], lr=0.25)
        p.grad = library.tensor([1.0])
        optimizer.step()
        results.append(p.tolist())
    assert results[0] == results[1] == [0.5]


def test_repr_is_pytorchs():
    ours = ct.optim.Adam([{"params": make(ct)[:1]}, {"params": make(ct)[1:], "lr": 0.5}])
    theirs = torch.optim.Adam([{"params": make(torch)[:1]}, {"params": make(torch)[1:], "lr": 0.5}])
    assert repr(ours) == repr(theirs)


def test_zero_grad():
    params, optimizer = run(ct, "SGD", {"lr": 0.1}, 1)
    grad = params[0].grad
    optimizer.zero_grad(set_to_none=False)
    assert params[0].grad is grad
    assert not grad.numpy().any()
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)


def test_zero_grad_drops_the_gradients_graph():
    p = ct.tensor([2.0], requires_grad=True)
    ct.autograd.backward((p**3).sum(), create_graph=True)
    assert p.grad.grad_fn is not None
    ct.optim.SGD([p]).zero_grad(set_to_none=False)
    assert p.grad.grad_fn is None
    assert not p.grad.requires_grad


def test_closure_runs_with_gradients_and_its_loss_is_returned():
    p = ct.tensor([3.0], requires_grad=True)
    optimizer = ct.optim.SGD([p], lr=0.5)

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with ct.no_grad():
        assert optimizer.step(closure).item() == 9.0
    assert p.item() == 0.0


def test_hooks():
    p = ct.tensor([1.0], requires_grad=True)
    optimizer = ct.optim.SGD([p], lr=0.5)
    p.grad = ct.tensor([1.0])
    calls = []
    with (
        optimizer.register_step_pre_hook(lambda o, a, k: calls.append(("pre", o is optimizer))),
        optimizer.register_step_post_hook(lambda o, a, k: calls.append(("post", p.item()))),
        ct.optim.optimizer.register_optimizer_step_pre_hook(lambda o, a, k: calls.append(("all", 0))),
    ):
        optimizer.step()
    optimizer.step()
    assert calls == [("all", 0), ("pre", True), ("post", 0.5)]

    with optimizer.register_step_pre_hook(lambda o, a, k: (a, {"closure": lambda: 42})):
        assert optimizer.step() == 42
    with optimizer.register_step_pre_hook(lambda o, a, k: 3), pytest.raises(RuntimeError, match="must return None"):
        optimizer.step()

    optimizer.register_state_dict_post_hook(lambda o, d: {**d, "extra": 1})
    seen = []
    optimizer.register_load_state_dict_pre_hook(lambda o, d: seen.append(d["extra"]))
    optimizer.register_load_state_dict_post_hook(lambda o: seen.append("done"))
    optimizer.register_state_dict_pre_hook(lambda o: seen.append("collect"))
    optimizer.load_state_dict(optimizer.state_dict())
    assert seen == ["collect", 1, "done"]


def test_own_optimizer_with_hooks_and_super():
    class Halving(ct.optim.SGD):
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p.grad = p.grad * 0.5
            return super().step(closure)

    p = ct.tensor([1.0], requires_grad=True)
    p.grad = ct.tensor([1.0])
    optimizer = Halving([p], lr=1.0)
    calls = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    optimizer.step()
    assert p.item() == 0.5
    assert calls == [1]


def test_no_warning_on_the_normal_path():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(ct, "Adam", {}, 2)
