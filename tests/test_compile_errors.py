"""What a compiled function must not do: the error names the line and what to write, and nothing has changed."""

import re
import subprocess
import sys

import numpy as np
import pytest

import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
from chainrule.errors import ArgumentError, CaptureError, ShapeError

pytest.importorskip("llvmlite")

KEPT = []
LAST = {}


class World:
    """A model with a buffer and an optimiser that has made a step, and all of its state as bytes."""

    def __init__(self, optimizer=torch.optim.Adam):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout(0.1), nn.Linear(4, 2))
        self.opt = optimizer(self.model.parameters(), lr=0.1)
        self.x, self.y = torch.randn(5, 3), torch.tensor([0, 1, 1, 0, 1])

    def plain_step(self):
        F.cross_entropy(self.model(self.x), self.y).backward()
        self.opt.step()

    def state(self):
        tensors = list(self.model.state_dict().values())
        found = [t.detach().numpy().tobytes() for t in tensors]
        for p in self.model.parameters():
            found.append(
                (p.requires_grad, id(p.grad), None if p.grad is None else p.grad.numpy().tobytes(), p._version)
            )
            state = self.opt.state.get(p, {})
            found.append({k: v.numpy().tobytes() for k, v in state.items() if isinstance(v, torch.Tensor)})
        found.append(torch.get_rng_state().tolist() if isinstance(torch.get_rng_state(), torch.Tensor) else
                     repr(torch.get_rng_state()))  # fmt: skip
        return found


def branch(w, out, loss):
    if loss > 0:
        return loss


def whole(w, out, loss):
    return int(loss)


def boolean(w, out, loss):
    assert loss


def item(w, out, loss):
    return loss.item()


def number(w, out, loss):
    return float(loss)


def shown(w, out, loss):
    print("loss", loss)


def text(w, out, loss):
    return f"{loss:.3f}"


def as_array(w, out, loss):
    return loss.detach().numpy()


def as_list(w, out, loss):
    return out.tolist()


def as_size(w, out, loss):
    return torch.zeros(out.argmax())


def in_a_loop(w, out, loss):
    for _ in range(out.argmax()):
        pass


def mask(w, out, loss):
    return out[out > 0]


def places(w, out, loss):
    return torch.nonzero(out)


def own_lists(w, out, loss):
    KEPT.append(loss)


def own_dicts(w, out, loss):
    LAST["loss"] = loss


def own_attributes(w, out, loss):
    w.last = loss


def module_attributes(w, out, loss):
    w.model.features = out


def closure(w, out, loss):
    w.opt.step(lambda: loss)


def generator_state(w, out, loss):
    torch.set_rng_state(STATE)


STATE = torch.get_rng_state()
ASKED = "the value of a tensor was asked for while the function was captured"
CASES = {
    branch: (ASKED, "if loss > 0:", "torch.where(condition, a, b)"),
    boolean: (ASKED, "assert loss"),
    whole: (ASKED, "return int(loss)"),
    item: (ASKED, "return loss.item()", "return the tensor and read it after the call"),
    number: (ASKED, "return float(loss)"),
    shown: (ASKED, 'print("loss", loss)'),
    text: (ASKED, 'return f"{loss:.3f}"'),
    as_array: (ASKED, "return loss.detach().numpy()"),
    as_list: (ASKED, "return out.tolist()"),
    as_size: (ASKED, "return torch.zeros(out.argmax())"),
    in_a_loop: (ASKED, "for _ in range(out.argmax()):"),
    mask: ("the shape of its result depends on values", "return out[out > 0]", "torch.where"),
    places: ("the shape of its result depends on values", "return torch.nonzero(out)", "torch.where"),
    own_lists: ("stores a tensor that it computes in KEPT[0]", "return the tensor instead"),
    own_dicts: ("stores a tensor that it computes in LAST['loss']",),
    own_attributes: ("stores a tensor that it computes in w.last",),
    module_attributes: ("stores a tensor that it computes in", ".features"),
    closure: ("Adam.step(closure)", "w.opt.step(lambda: loss)", "compute loss and gradients before the step"),
    generator_state: ("set_rng_state() with a state from outside", "torch.set_rng_state(STATE)"),
}


@pytest.mark.parametrize("stepped", [False, True])
@pytest.mark.parametrize("what", CASES, ids=lambda f: f.__name__)
def test_errors_change_nothing(what, stepped):
    KEPT.clear()
    LAST.clear()
    w = World()
    if stepped:
        w.plain_step()

    def step(x, y):
        w.opt.zero_grad()
        w.model[0].weight.requires_grad_(False)
        out = w.model(x)
        loss = F.cross_entropy(out, y)
        loss.backward()
        w.opt.step()
        return what(w, out, loss)

    before = w.state()
    compiled = torch.compile(step)
    for _ in range(2):
        with pytest.raises(CaptureError) as caught:
            compiled(w.x, w.y)
        for part in CASES[what]:
            assert part in str(caught.value)
        assert w.state() == before
        assert not KEPT and not LAST and not hasattr(w, "last") and not hasattr(w.model, "features")
    assert compiled.compilations == []
    w.plain_step()  # and the world still works


def test_own_errors_pass_through():
    w = World()

    def step(x, y):
        F.cross_entropy(w.model(x), y).backward()
        w.opt.step()
        return x @ torch.ones(7, 7)

    before = w.state()
    with pytest.raises(ShapeError):
        torch.compile(step)(w.x, w.y)
    assert w.state() == before


def test_numbers_that_the_function_changes():
    class Counter:
        count = 0

    c, n = Counter(), 0
    c.count = 0

    def by_attribute(x):
        c.count += 1
        return x * c.count

    def by_name(x):
        nonlocal n
        n += 1
        return x * n

    with pytest.raises(CaptureError, match="the function changes count .it was 0"):
        torch.compile(by_attribute)(torch.ones(2))
    with pytest.raises(CaptureError, match="the function changes n .it was 0.*with add_.. or copy_.."):
        torch.compile(by_name)(torch.ones(2))
    assert c.count == 0 and n == 0


def test_lbfgs():
    p = nn.Parameter(torch.ones(3))
    opt = torch.optim.LBFGS([p])

    @torch.compile
    def step():
        (p**2).sum().backward()
        opt.step(lambda: (p**2).sum())

    with pytest.raises(CaptureError, match=r"LBFGS.step\(\).*line search.*leave"):
        step()
    assert p.grad is None and p.tolist() == [1, 1, 1] and not opt.state


def test_anomaly_mode():
    with torch.autograd.detect_anomaly(), pytest.raises(CaptureError, match="anomaly mode is on"):
        torch.compile(lambda x: x * 2)(torch.ones(2))


def test_backward_to_the_outside():
    x = torch.ones(3, requires_grad=True)
    h = x * 2

    def f():
        (h * 3).sum().backward()

    with pytest.raises(CaptureError, match="backward.. inside the function reaches a tensor that was computed outs"):
        torch.compile(f)()
    assert x.grad is None


def test_arrays_as_arguments():
    with pytest.raises(TypeError, match=r"NumPy array of shape \(3,\).*torch.from_numpy"):
        torch.compile(lambda x: x)(np.ones(3))


def test_wrong_options():
    for kw, text in (
        ({"dynamic": True}, "dynamic=True is not supported"),
        ({"backend": "tpu"}, "backend must be 'native' or 'reference', got 'tpu'"),
        ({"options": {"level": 3}}, r"unknown options \['level'\]"),
    ):
        with pytest.raises(ArgumentError, match=text):
            torch.compile(lambda x: x, **kw)
    with pytest.raises(ArgumentError, match="expected a function or a module, got int"):
        torch.compile(3)
    with pytest.raises(ArgumentError, match="got the class Linear; make one first"):
        torch.compile(nn.Linear)
    f = lambda x: x  # noqa: E731
    assert torch.compile(f, disable=True) is f


@pytest.mark.parametrize("index", [[0, 5], [-6, 0]])
@pytest.mark.parametrize("what", ["take", "index_select", "gather", "index", "embedding", "scatter", "nll"])
def test_indices_out_of_range(what, index):
    x, i = torch.arange(5.0).reshape(5, 1).repeat(1, 2), torch.tensor(index)
    f = {
        "take": lambda: torch.take(x[:, 0], i),
        "index_select": lambda: torch.index_select(x, 0, i),
        "gather": lambda: torch.gather(x, 0, i.reshape(1, 2)),
        "index": lambda: x[i],
        "embedding": lambda: F.embedding(i, x),
        "scatter": lambda: torch.scatter(x, 0, i.reshape(1, 2), 1.0),
        "nll": lambda: F.nll_loss(x.t(), i),
    }[what]
    with pytest.raises((IndexError, RuntimeError), match="out of (range|bounds)") as eager:
        f()
    g = torch.compile(f)
    for _ in range(2):
        with pytest.raises(type(eager.value)) as compiled:
            g()
        told = re.fullmatch(r"(.*) \(at (.*):(\d+), in (.*)\)", str(compiled.value), re.DOTALL)
        assert told[1] == str(eager.value) and told[2] == __file__ and f'"{what}": lambda' in told[4]
    i.copy_(torch.tensor([0, 1]))
    assert g().isfinite().all()


def test_without_llvmlite():
    """It is said before the function has run at all."""
    program = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "llvmlite":
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Blocker())
import chainrule as torch
import chainrule.nn as nn
model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Dropout())
opt = torch.optim.Adam(model.parameters())
def step(x):
    print("it runs")
    model(x).sum().backward()
    opt.step()
    return x
def state():
    tensors = [*model.parameters(), *model.buffers()]
    return [(t.tolist(), t.grad, t._version) for t in tensors], dict(opt.state), torch.get_rng_state().tolist()
before, x = state(), torch.ones(3, 2)
compiled = torch.compile(step)
for call in (compiled, compiled, compiled.explain, torch.compile(model)):
    try:
        call(x)
    except NotImplementedError as error:
        print(error, state() == before, x.tolist())
print(torch.compile(lambda x: x * 2, backend="reference")(torch.ones(2)).tolist())
step(x)
"""
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    said = (
        'chainrule.compile needs llvmlite: pip install "chainrule[compile]" True [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]\n'
    )
    assert out == 4 * said + "[2.0, 2.0]\nit runs\n"


def test_a_cpu_level_that_is_not_there():
    """The same for a target that there is no machine for."""

    def f(x):
        raise AssertionError("it runs")

    with pytest.raises(ValueError, match="CHAINRULE_CPU='avx1024': expected one of"):
        torch.compile(f, options={"target": "avx1024"})(torch.ones(2))
