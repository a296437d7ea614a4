"""Module: registration, walks, state dicts, hooks, copies; the same program in both libraries, the same answers."""

import copy
import gc
import pickle
import weakref
from collections import OrderedDict

import numpy as np
import pytest

import chainrule
from chainrule import nn

torch = pytest.importorskip("torch")
BOTH = (chainrule, torch)


def same(program):
    """Run a program with each library and compare what it returns."""
    ours, theirs = program(chainrule), program(torch)
    assert ours == theirs
    return ours


def error(call):
    try:
        call()
    except Exception as e:
        return next(k.__name__ for k in type(e).__mro__ if k.__module__ == "builtins"), str(e)
    raise AssertionError("no error")


def make_net(lib):
    class Net(lib.nn.Module):
        def __init__(self):
            super().__init__()
            self.first = lib.nn.Linear(2, 3)
            self.scale = lib.nn.Parameter(lib.ones(3))
            self.register_buffer("seen", lib.zeros(1))
            self.register_buffer("scratch", lib.zeros(2), persistent=False)
            self.body = lib.nn.Sequential(lib.nn.ReLU(), lib.nn.Linear(3, 1, bias=False))
            self.alias = self.first

        def forward(self, x):
            return self.body(self.first(x) * self.scale)

    return Net()


def test_names_and_walks():
    def program(lib):
        m = make_net(lib)
        return (
            repr(m),
            [n for n, _ in m.named_parameters()],
            [n for n, _ in m.named_parameters(recurse=False)],
            [n for n, _ in m.named_parameters(prefix="p", remove_duplicate=False)],
            [n for n, _ in m.named_buffers()],
            [(n, type(c).__name__) for n, c in m.named_modules()],
            [n for n, _ in m.named_modules(remove_duplicate=False)],
            [n for n, _ in m.named_children()],
            list(m.state_dict()),
            [(k, v) for k, v in m.state_dict()._metadata.items()],
            m.get_submodule("body.1") is m.body[1],
            m.get_parameter("body.1.weight") is m.body[1].weight,
            m.get_buffer("seen") is m.seen,
            sorted(set(dir(m)) & {"first", "scale", "seen", "body", "forward", "0"}),
            len(list(m.parameters())),
            hasattr(m, "missing"),
        )

    same(program)


def test_registration_errors():
    def program(lib):
        m = make_net(lib)

        class Late(lib.nn.Module):
            def __init__(self, value):
                self.x = value

        return [
            error(call)
            for call in (
                lambda: m.register_parameter("a.b", None),
                lambda: m.register_parameter("", None),
                lambda: m.register_parameter("forward", None),
                lambda: m.register_parameter("w", 3),
                lambda: m.register_parameter("w", m.scale * 2),
                lambda: m.register_parameter("w", lib.nn.Parameter(lib.ones(2)) * 2),
                lambda: m.register_buffer("b", 3),
                lambda: m.register_buffer(3, None),
                lambda: m.register_buffer("a.b", None),
                lambda: m.add_module("a.b", None),
                lambda: m.add_module("", None),
                lambda: m.add_module("scale", lib.nn.ReLU()),
                lambda: m.add_module("x", 5),
                lambda: setattr(m, "scale", lib.ones(3)),
                lambda: setattr(m, "scale", 5),
                lambda: setattr(m, "first", 5),
                lambda: setattr(m, "seen", 5),
                lambda: Late(lib.nn.ReLU()),
                lambda: m.get_submodule("body.7"),
                lambda: m.get_submodule("scale"),
                lambda: m.get_parameter("seen"),
                lambda: m.get_buffer("scale"),
                lambda: m.nothing,
                lambda: delattr(m, "nothing"),
                lambda: m.train(3),
                lambda: lib.nn.Module(1),
                lambda: lib.nn.Module(a=1),
                lambda: lib.nn.Module()(3),
                lambda: m.register_buffer,
            )[:-1]
        ]

    same(program)


def test_assignment_moves_between_tables():
    def program(lib):
        m = lib.nn.Module()
        m.x = 3
        m.x = lib.nn.Parameter(lib.ones(1))
        found = [("x" in m._parameters, "x" in m._buffers)]
        m.x = None
        found.append((m.x is None, list(m._parameters), list(m.state_dict())))
        del m.x
        m.x = lib.nn.ReLU()
        found.append((list(m._modules), list(m._parameters)))
        del m.x
        m.x = lib.nn.Buffer(lib.ones(2))
        m.y = lib.nn.Buffer(lib.ones(2), persistent=False)
        m.x = lib.zeros(3)
        found.append((list(m.state_dict()), [n for n, _ in m.named_buffers()]))
        m._parameters["direct"] = lib.nn.Parameter(lib.ones(1))
        found.append((m.direct is m._parameters["direct"], hasattr(m, "direct")))
        del m._parameters["direct"]
        found.append(hasattr(m, "direct"))
        return found

    same(program)


def test_state_dict_round_trip_and_errors():
    def program(lib):
        m, other = make_net(lib), make_net(lib)
        out = [repr(m.load_state_dict(other.state_dict()))]
        out.append(bool((m.first.weight == other.first.weight).all()))
        bad = OrderedDict(other.state_dict())
        bad["extra"] = bad.pop("seen")
        bad["first.extra"] = bad["extra"]
        bad["body.1.weight"] = lib.ones(2, 3)
        bad["scale"] = 5
        out.append(error(lambda: m.load_state_dict(bad)))
        bad["scale"] = lib.ones(3)
        del bad["body.1.weight"]
        result = m.load_state_dict(bad, strict=False)
        out += [result.missing_keys, result.unexpected_keys, repr(result)]
        out.append(error(lambda: m.load_state_dict(3)))
        assigned = other.state_dict()
        m.load_state_dict(assigned, assign=True)
        out.append(m.scale.data_ptr() == assigned["scale"].data_ptr())
        out.append((type(m.scale).__name__, m.scale.requires_grad))
        out.append(list(m.state_dict(prefix="net.")))
        out.append(m.state_dict(keep_vars=True)["scale"] is m.scale)
        return out

    same(program)


def test_state_dict_shares_memory_and_loading_keeps_objects():
    m = make_net(chainrule)
    weight = m.first.weight
    state = {k: v.clone() + 1 for k, v in m.state_dict().items()}
    m.state_dict()["scale"].fill_(7.0)
    assert m.scale.tolist() == [7.0, 7.0, 7.0]
    m.load_state_dict(state)
    assert m.first.weight is weight
    np.testing.assert_array_equal(weight.detach().numpy(), state["first.weight"].numpy())


def test_state_dict_hooks_and_extra_state():
    def program(lib):
        class WithExtra(lib.nn.Linear):
            def get_extra_state(self):
                return {"answer": 42}

            def set_extra_state(self, state):
                self.loaded = state

        log = []
        m = lib.nn.Sequential(WithExtra(1, 1))
        m.register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
        m.register_state_dict_post_hook(lambda mod, sd, prefix, meta: log.append(("post", len(sd))))
        m.register_load_state_dict_pre_hook(lambda mod, sd, prefix, *rest: log.append(("load", mod is m, len(rest))))
        m.register_load_state_dict_post_hook(lambda mod, keys: keys.missing_keys.clear())
        state = m.state_dict()
        log.append(list(state))
        del state["0.bias"]
        log.append(repr(m.load_state_dict(state)))
        log.append(m[0].loaded)
        return log

    same(program)


def test_forward_hooks():
    def program(lib):
        log = []
        m = lib.nn.Linear(2, 1, bias=False)
        m.weight.data.fill_(1.0)
        x = lib.ones(1, 2)
        first = m.register_forward_hook(lambda mod, args, out: log.append("after"))
        m.register_forward_hook(lambda mod, args, out: log.append("before that") or out * 2, prepend=True)
        m.register_forward_pre_hook(lambda mod, args: (args[0] * 3,))
        m.register_forward_pre_hook(lambda mod, args, kwargs: log.append(sorted(kwargs)), with_kwargs=True)
        log.append(m(x).tolist())
        log.append(m(input=x * 0).tolist() if False else m(x * 2).tolist())
        first.remove()
        m.register_forward_hook(lambda mod, args, kwargs, out: log.append(len(args)), with_kwargs=True)
        m.register_forward_hook(lambda mod, args, out: log.append("always"), always_call=True)
        log.append(m(x).tolist())
        log.append(error(lambda: m(lib.ones(1, 3)))[0])
        m.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
        log.append(error(lambda: m(x)))
        return log

    same(program)


def test_global_forward_hook():
    log = []
    with nn.modules.module.register_module_forward_hook(lambda m, a, o: log.append(type(m).__name__)):
        nn.Sequential(nn.ReLU(), nn.Tanh())(chainrule.ones(1))
    nn.ReLU()(chainrule.ones(1))
    assert log == ["ReLU", "Tanh", "Sequential"]


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
def test_backward_hooks():
    def program(lib):
        log = []

        class Two(lib.nn.Module):
            def forward(self, a, b, c):
                return a * b, a + c

        def note(name):
            def hook(mod, *grads):
                log.append((name, [[None if g is None else g.tolist() for g in gs] for gs in grads]))

            return hook

        m = Two()
        m.register_full_backward_hook(note("full"))
        m.register_full_backward_pre_hook(note("pre"))
        a = lib.tensor([2.0], requires_grad=True)
        b = lib.tensor([5.0], requires_grad=True)
        p, q = m(a, b, lib.tensor([1.0]))
        (p * 3 + q).sum().backward()
        log.append((a.grad.tolist(), b.grad.tolist()))
        layer = lib.nn.Linear(1, 1)
        layer.weight.data.fill_(2.0)
        handle = layer.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 10,))
        layer(a).backward(lib.ones(1))
        log.append(a.grad.tolist())
        handle.remove()
        layer.register_full_backward_pre_hook(lambda mod, go: (go[0] * 100,))
        layer(a).backward(lib.ones(1))
        log.append((a.grad.tolist(), layer.weight.grad.tolist()))
        layer.register_full_backward_hook(note("no input gradient"))
        layer(lib.ones(1)).backward(lib.ones(1))
        return log

    same(program)


def test_backward_hook_with_wrong_count():
    layer = nn.Linear(1, 1)
    layer.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        layer(chainrule.ones(1, requires_grad=True)).backward()


def test_conversion_keeps_parameters():
    def program(lib):
        m = make_net(lib)
        m.register_buffer("count", lib.tensor(3))
        weight = m.scale
        m(lib.ones(1, 2)).sum().backward()
        m.double()
        return (
            m.scale is weight,
            str(weight.dtype),
            str(weight.grad.dtype),
            str(m.seen.dtype),
            str(m.count.dtype),
            str(m.to(lib.float32).scale.dtype),
            str(m.to("cpu", lib.float64).scale.dtype),
            str(m.to(lib.ones(1)).scale.dtype),
            str(m.half().scale.dtype),
            str(m.float().scale.dtype),
            m.cpu() is m,
            str(m.type(lib.float64).count.dtype),
            error(lambda: m.to(lib.int64)),
            weight.is_leaf,
            weight.requires_grad,
        )

    same(program)


@pytest.mark.parametrize("call", [lambda m: m.cuda(), lambda m: m.to("cuda"), lambda m: m.to("meta"),
                                  lambda m: m.share_memory(), lambda m: m.compile()])  # fmt: skip
def test_what_is_not_supported_says_so(call):
    with pytest.raises(NotImplementedError, match=r"CPU only|not supported"):
        call(nn.Linear(1, 1))


def test_to_refuses_unknown_arguments():
    with pytest.raises(TypeError, match="unexpected argument 'devise'"):
        nn.Linear(1, 1).to(devise="cpu")


def test_train_eval_apply_requires_grad_zero_grad():
    def program(lib):
        m = make_net(lib)
        order = []
        out = [m.eval() is m, [c.training for c in m.modules()], m.train().training]
        out.append(m.apply(lambda c: order.append(type(c).__name__)) is m)
        out.append(order)
        m.requires_grad_(False)
        out.append([p.requires_grad for p in m.parameters()])
        m.requires_grad_()
        m(lib.ones(1, 2)).sum().backward()
        m.zero_grad(set_to_none=False)
        out.append([float(p.grad.abs().sum()) for p in m.parameters()])
        m.zero_grad()
        out.append([p.grad for p in m.parameters()])
        m.set_submodule("body.0", lib.nn.Tanh())
        out.append(repr(m.body))
        return out

    same(program)


@pytest.mark.parametrize("copier", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(copier):
    m = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.LSTM(3, 2), nn.ParameterList([chainrule.ones(1)]))
    m[0].weight.requires_grad_(False)
    m[0].tag = "kept"
    twin = copier(m)
    assert repr(twin) == repr(m)
    assert twin[0].tag == "kept"
    assert not twin[0].weight.requires_grad
    assert twin[0].bias.requires_grad
    assert isinstance(twin[0].weight, nn.Parameter)
    assert list(twin.state_dict()) == list(m.state_dict())
    for (name, a), b in zip(m.state_dict().items(), twin.state_dict().values(), strict=True):
        assert a.data_ptr() != b.data_ptr(), name
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    twin[0].weight = nn.Parameter(chainrule.zeros(3, 2))
    assert float(m[0].weight.abs().sum()) > 0
    assert "weight" in twin[0]._parameters


def test_deepcopy_keeps_shared_parameters_shared():
    m = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    m[1].weight = m[0].weight
    twin = copy.deepcopy(m)
    assert twin[1].weight is twin[0].weight
    assert len(list(twin.parameters())) == 3


def test_a_module_is_freed_without_the_collector():
    gc.disable()
    try:
        m = make_net(chainrule)
        m(chainrule.ones(1, 2)).sum().backward()
        ref = weakref.ref(m)
        del m
        assert ref() is None
    finally:
        gc.enable()


def test_parameter():
    def program(lib):
        data = lib.ones(2)
        p = lib.nn.Parameter(data)
        q = copy.deepcopy(p)
        return (
            repr(p),
            repr(lib.nn.Parameter(data, requires_grad=False)),
            p.is_leaf,
            p.data_ptr() == data.data_ptr(),
            type(p * 2).__name__,
            type(q).__name__,
            q.data_ptr() == p.data_ptr(),
            isinstance(p, lib.Tensor),
            lib.nn.Parameter(p * 2).is_leaf,
            repr(pickle.loads(pickle.dumps(p))),
            lib.nn.Parameter(lib.tensor([1, 2]), requires_grad=False).dtype == lib.int64,
        )

    same(program)
    with pytest.raises(TypeError, match=r"Parameter: data: expected a tensor, got list"):
        nn.Parameter([1.0])


def test_lazy_layers():
    def program(lib):
        x = lib.ones(2, 4, 6)
        m = lib.nn.Sequential(lib.nn.LazyConv1d(3, 2), lib.nn.LazyBatchNorm1d(), lib.nn.Flatten(), lib.nn.LazyLinear(5))
        before = repr(m)
        y = m(x)
        return before, repr(m), tuple(y.shape), [tuple(p.shape) for p in m.parameters()], m[1].num_features

    assert program(chainrule)[1:] == program(torch)[1:]


def test_lazy_state_can_be_loaded():
    lazy = nn.LazyLinear(3)
    lazy.load_state_dict(nn.Linear(2, 3).state_dict())
    assert tuple(lazy.weight.shape) == (3, 2)
