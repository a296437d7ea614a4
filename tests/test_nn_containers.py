"""Containers: the same program in both libraries, the same answers."""

from collections import OrderedDict

import pytest

import chainrule
from chainrule import nn

torch = pytest.importorskip("torch")


def error(call):
    try:
        call()
    except Exception as e:
        kind = next(k.__name__ for k in type(e).__mro__ if k.__module__ == "builtins")
        return kind, str(e).replace("chainrule", "torch")
    raise AssertionError("no error")


def same(program):
    ours, theirs = program(chainrule), program(torch)
    assert ours == theirs


def names(module):
    return [(k, type(m).__name__) for k, m in module._modules.items()]


def test_sequential():
    def program(lib):
        n = lib.nn
        s = n.Sequential(n.ReLU(), n.Tanh(), n.Sigmoid())
        out = [repr(s), len(s), names(s), type(s[-1]).__name__, repr(s[1:]), type(s[1:]).__name__]
        out.append([type(m).__name__ for m in s])
        s.append(n.ELU()).insert(0, n.GELU()).extend([n.SELU()])
        out.append(names(s))
        s.insert(-1, n.Mish())
        out.append(names(s))
        del s[1]
        out.append(names(s))
        del s[0:2]
        out.append(names(s))
        s[0] = n.Identity()
        out.append((repr(s.pop(0)), names(s)))
        out.append(names(s + n.Sequential(n.ReLU())))
        s += n.Sequential(n.Softplus())
        out.append(names(s))
        out.append((names(n.Sequential(n.ReLU()) * 2), names(3 * n.Sequential(n.ReLU(), n.Tanh()))))
        s *= 2
        out.append(names(s))
        named = n.Sequential(OrderedDict(a=n.Linear(2, 2), b=n.ReLU()))
        out += [repr(named), list(named.state_dict()), named.a is named[0], repr(named[:1])]
        out += [error(lambda: s[30]), error(lambda: s + 3), error(lambda: s * 0), error(lambda: s * 1.5)]
        out += [error(lambda: s.insert(99, n.ReLU())), sorted(k for k in dir(s) if k.isdigit())]
        out.append(repr(n.Sequential()))
        return out

    same(program)


def test_module_list():
    def program(lib):
        n = lib.nn
        m = n.ModuleList([n.Linear(2, 2), n.Linear(2, 2), n.ReLU()])
        out = [repr(m), len(m), repr(m[0:2]), list(m.state_dict())]
        m.append(n.Tanh())
        m.extend([n.ELU()])
        m.insert(1, n.GELU())
        m += [n.Mish()]
        out.append(names(m))
        out.append(names(m + [n.SELU()]))
        del m[2]
        out.append(names(m))
        del m[-2:]
        m[0] = n.Identity()
        out.append((names(m), repr(m.pop(1)), names(m), [type(c).__name__ for c in m]))
        out += [error(lambda: m[9]), error(lambda: m.extend(3))[0], repr(n.ModuleList()), error(lambda: m(3))]
        return out

    same(program)


def test_module_dict():
    def program(lib):
        n = lib.nn
        m = n.ModuleDict({"a": n.ReLU(), "b": n.Linear(1, 1)})
        out = [repr(m), len(m), "a" in m, list(m), list(m.keys()), list(m.state_dict())]
        m["c"] = n.Tanh()
        m.update([("d", n.ELU()), ["e", n.SELU()]])
        m.update(n.ModuleDict({"a": n.GELU()}))
        out.append(names(m))
        del m["c"]
        out.append((repr(m.pop("d")), [repr(v) for v in m.values()], [k for k, _ in m.items()]))
        out += [error(lambda: m["zz"]), error(lambda: m.update(3)), error(lambda: m.update([("x", n.ReLU(), 1)]))]
        m.clear()
        out.append((len(m), repr(m), hasattr(m, "a")))
        return out

    same(program)


def test_parameter_list():
    def program(lib):
        n = lib.nn
        p = n.ParameterList([lib.ones(2), n.Parameter(lib.ones(3, 1)), "text"])
        out = [repr(p), len(p), [type(v).__name__ for v in p], list(p.state_dict())]
        p.append(lib.zeros(1)).extend([lib.zeros(2, dtype=lib.float64)])
        p += [5]
        p[0] = lib.zeros(4)
        out += [repr(p), [k for k, _ in p.named_parameters()], repr(p[1:3]), p[-1], error(lambda: p[9])]
        out += [error(lambda: p.extend(3))[0], error(lambda: p(1)), repr(n.ParameterList())]
        return out

    same(program)


def test_parameter_dict():
    def program(lib):
        n = lib.nn
        p = n.ParameterDict({"a": lib.ones(2), "b": 3})
        out = [repr(p), len(p), "a" in p, list(p), [k for k, _ in p.named_parameters()], p["b"], p.get("z", 7)]
        p["c"] = lib.zeros(1, 2)
        p.update([("d", lib.ones(1))])
        out += [list(p.keys()), [k for k, _ in p.items()], len(list(p.values())), list(reversed(p))]
        out.append((p.setdefault("e"), p.setdefault("b", 9), p.pop("b"), p.popitem(), list(p)))
        out += [list(p.copy()), list(p | n.ParameterDict({"q": lib.ones(1)})), list(p.fromkeys(["x", "y"], 1))]
        out += [error(lambda: p[3])[0], error(lambda: p(3)), list(p.state_dict())]
        del p["a"]
        p.clear()
        out += [len(p), repr(p)]
        return out

    same(program)


def test_list_calls_are_recorded_in_order():
    m = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    x = chainrule.ones(1, 2)
    for layer in m:
        x = layer(x)
    x.sum().backward()
    assert all(p.grad is not None for p in m.parameters())
