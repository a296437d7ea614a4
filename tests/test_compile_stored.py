"""Whole programs on disk: what comes back is what was compiled, and what is odd is compiled again."""

import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest

pytest.importorskip("llvmlite")

import chainrule as torch
from chainrule import nn
from chainrule.compiler import driver, stored, table
from chainrule.compiler.ir import Program
from chainrule.compiler.kernel import Kernel
from chainrule.compiler.runtime import At, External, cache, jit
from chainrule.compiler.target import host


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "objects"))
    monkeypatch.delenv("CHAINRULE_DEBUG", raising=False)
    monkeypatch.setattr(jit, "_loaded", {})
    monkeypatch.setattr(cache, "_shared", {})
    return tmp_path / "objects"


def forget():
    """As in a new process: no machine code in memory."""
    jit._loaded.clear()
    cache._shared.clear()


def entry(f):
    return next(iter(f.kinds.values()))[0]


def whole(f):
    """Did the program of a compiled function come from the disk?"""
    return entry(f).executable.whole


def data():
    r = np.random.default_rng(0)
    return torch.tensor(r.integers(0, 7, 4)), torch.tensor(r.random((4, 3)).astype("f4"))


def trained():
    """A step with dropout, an index that is checked, Adam and a constant array; its losses and parameters."""
    weights = torch.tensor([0.3, 0.1, 2.0])
    torch.manual_seed(3)
    model = nn.Sequential(nn.Embedding(7, 6), nn.Linear(6, 5), nn.Dropout(0.5), nn.Tanh(), nn.Linear(5, 3))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(x, y):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2 * weights).mean()
        loss.backward()
        optimizer.step()
        return loss

    f = torch.compile(step)
    losses = [f(*data()).numpy().tobytes() for _ in range(3)]
    return f, losses, [p.detach().numpy().tobytes() for p in model.parameters()]


def test_a_training_step_has_the_same_bits(folder):
    cold, *first = trained()
    assert not whole(cold)
    forget()
    warm, *again = trained()
    assert whole(warm)
    assert entry(warm).calls  # dropout draws in Python
    assert first == again


def test_checks_of_indices_still_raise(folder):
    for expected in (False, True):
        forget()
        f, *_ = trained()
        assert whole(f) is expected
        with pytest.raises(IndexError, match="out of range|out of bounds"):
            f(torch.tensor([0, 7, 1, 2]), data()[1])


def test_gradients_through_results(folder):
    def outcome():
        w = torch.ones(3, 3, requires_grad=True)
        f = torch.compile(lambda x: (x @ w).tanh())
        f(torch.tensor([[0.1, 0.2, 0.3]])).sum().backward()
        return f, w.grad.numpy().tobytes()

    cold, first = outcome()
    forget()
    warm, again = outcome()
    assert [whole(cold), entry(cold).backward.whole] == [False, False]
    assert [whole(warm), entry(warm).backward.whole] == [True, True]
    assert first == again


def test_constants_are_those_of_the_program_at_hand(folder):
    def times(array):
        return torch.compile(lambda x: x * torch.tensor(array))

    x = torch.ones(3)
    first, second = times([1.0, 2.0, 3.0]), times([4.0, 5.0, 6.0])
    assert first(x).tolist() == [1, 2, 3]
    forget()
    assert second(x).tolist() == [4, 5, 6]
    assert whole(second)


def test_calls_go_to_the_functions_at_hand(folder):
    def drawn(seed):
        torch.manual_seed(seed)
        f = torch.compile(lambda x: x + torch.rand(3) - torch.randn(3))
        return f, f(torch.zeros(3)).tolist(), f(torch.zeros(3)).tolist()

    def eager(seed):
        torch.manual_seed(seed)
        return [(torch.rand(3) - torch.randn(3)).tolist() for _ in range(2)]

    _, *first = drawn(1)
    forget()
    warm, *again = drawn(2)
    assert whole(warm)
    assert first == eager(1)
    assert again == eager(2)


def test_memory_is_used_before_the_disk(folder):
    f = torch.compile(lambda x: x.exp() + 1)
    f(torch.ones(4))
    g = torch.compile(lambda x: x.exp() + 1)
    g(torch.ones(4))
    assert whole(g)
    assert entry(g).executable.library.cached == []


# ---- what is not taken


def files(folder):
    return sorted(p for p in folder.iterdir() if p.is_file())


def test_damaged_files_are_made_again(folder):
    cold, *first = trained()
    for p in files(folder):
        data = bytearray(p.read_bytes())
        data[len(data) // 2] ^= 1
        p.write_bytes(data)
    forget()
    again, *second = trained()
    assert not whole(again)
    assert first == second
    forget()
    assert whole(trained()[0])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"junk",
        b"\x02\0\0\0\0\0\0\0{}",
        b"\x7f" * 8,
        b"\xff" * 40,
    ],
)
def test_entries_without_sense_are_made_again(folder, monkeypatch, content):
    names = []
    monkeypatch.setattr(stored, "name_of", lambda *a, real=stored.name_of: names.append(real(*a)) or names[-1])
    torch.compile(lambda x: x.exp() * 2)(torch.ones(4))
    cache.shared().put(names[0], content)
    forget()
    f = torch.compile(lambda x: x.exp() * 2)
    assert f(torch.zeros(4)).tolist() == [2, 2, 2, 2]
    assert not whole(f)
    forget()
    f = torch.compile(lambda x: x.exp() * 2)
    f(torch.zeros(4))
    assert whole(f)


def test_machine_code_that_is_cut_off(folder):
    torch.compile(lambda x: x.exp() * 3)(torch.ones(4))
    store = cache.shared()
    (name,) = [p.name for p in files(folder) if b'"kernels"' in p.read_bytes()]
    store.put(name, store.get(name)[:-20])
    forget()
    f = torch.compile(lambda x: x.exp() * 3)
    assert f(torch.zeros(4)).tolist() == [3, 3, 3, 3]
    assert not whole(f)


def test_off_and_debug(folder, monkeypatch):
    def made(**options):
        forget()
        f = torch.compile(lambda x: x.exp() * 5, **options)
        assert f(torch.zeros(4)).tolist() == [5, 5, 5, 5]
        return entry(f).executable

    assert not made().whole
    assert made().whole
    assert not made(options={"debug": True}).whole
    assert not hasattr(made(backend="reference"), "whole")
    monkeypatch.setenv("CHAINRULE_DEBUG", "1")
    assert not made().whole
    monkeypatch.delenv("CHAINRULE_DEBUG")
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    assert not made().whole


def test_files_of_others_are_not_taken(folder):
    if os.name != "posix":
        pytest.skip("POSIX permissions")
    cold, *first = trained()
    for p in files(folder):
        p.chmod(0o666)
    forget()
    again, *second = trained()
    assert not whole(again)
    assert first == second


def test_unreadable_sources(folder, monkeypatch):
    monkeypatch.setattr(stored, "SOURCES", None)
    for _ in range(2):
        f = torch.compile(lambda x: x.exp() * 7)
        f(torch.zeros(4))
        assert not whole(f)


# ---- the key


def program(shape=(4,), dtype="float32", number=2.0, fn="mul", out=0, write=False, swap=False):
    p = Program()
    x = p.input(shape, dtype)
    y = p.map(fn, x, p.scalar(number, dtype))
    z = p.map("sub", y, x) if swap else p.map("sub", x, y)
    p.outputs = [(y, z)[out]]
    if write:
        p.writes = {0: z}
    return p


def test_equal_programs_have_one_key():
    assert stored.fingerprint(program()) == stored.fingerprint(program())


@pytest.mark.parametrize(
    "different",
    [
        {"shape": (5,)},
        {"shape": (4, 1)},
        {"dtype": "float64"},
        {"number": 3.0},
        {"fn": "add"},
        {"out": 1},
        {"write": True},
        {"swap": True},
    ],
)
def test_different_programs_have_different_keys(different):
    assert stored.fingerprint(program()) != stored.fingerprint(program(**different))


def test_zeros_and_nans_are_told_apart():
    numbers = [0.0, -0.0, np.nan, -np.nan, np.inf, 5e-324]
    assert len({stored.fingerprint(program(number=n, dtype="float64")) for n in numbers}) == len(numbers)


def test_the_target_counts(folder):
    p = program()
    assert stored.name_of(p, host()) != stored.name_of(p, host("sse2"))


def test_a_value_that_nobody_makes_has_no_key(folder):
    p = program()
    p.outputs.append(Program().value((4,), "float32"))
    assert stored.name_of(p, host()) is None


# ---- the table as text


def test_a_table_comes_back():
    t = table.Table(
        kernels=[Kernel("k", "", 2, chunks=3, scratch=64, flops=10, bytes=20, title="add")],
        tasks=[(0, ("in0", "at0"), (4, 0)), (table.Call(1), ("const0", "out0"), ())],
        buffers={
            "in0": External((2, 3), np.dtype("float32"), (12, 4), True),
            "out0": External((), np.dtype("int64"), writable=True),
            "at0": At(0, 64),
            "const0": table.Constant(2),
        },
        arena=128,
        inputs=[0],
        used=[0, 2],
    )
    assert table.unpacked(table.packed(t)) == t


def test_a_table_that_names_a_missing_kernel():
    text = table.packed(table.Table(tasks=[(0, (), ())]))
    with pytest.raises(ValueError, match="there is no kernel 0"):
        table.unpacked(text)


# ---- what people see


def test_explain_after_a_warm_start(folder):
    def f(x):
        return (x.exp() * 2).sum()

    cold = torch.compile(f)
    cold(torch.ones(8))
    before = str(cold.explain(torch.ones(8)))
    forget()
    warm = torch.compile(f)
    warm(torch.ones(8))
    assert whole(warm)
    e = warm.explain(torch.ones(8))
    assert str(e) == before
    assert "define void" in e.llvm(0)
    assert "us in" in e.measured(rounds=2)


def test_stages_of_a_loaded_program_on_demand(folder):
    def f(x):
        return x.exp().sum()

    made = []
    for _ in range(2):
        forget()
        c = torch.compile(f)
        c(torch.ones(8))
        made.append(entry(c).executable)
    cold, warm = made
    assert (cold.whole, warm.whole) == (False, True)
    assert warm.plan.text() == cold.plan.text()
    assert [repr(g) for g in warm.groups] == [repr(g) for g in cold.groups]


SCRIPT = """
import chainrule as torch
from chainrule import nn

torch.manual_seed(0)
first, second, third = nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2)
scale, shift = torch.tensor([2.0, 3.0]), torch.tensor([0.5, 0.25])
optimizer = torch.optim.SGD([*first.parameters(), *second.parameters(), *third.parameters()], lr=0.1)

@torch.compile
def step(x):
    optimizer.zero_grad()
    loss = (third(second(first(x).tanh()).relu()) * scale + shift).square().sum()
    loss.backward()
    optimizer.step()
    return loss

x = torch.ones(2, 3)
print([step(x).item().hex() for _ in range(3)])
"""


def test_processes_share_programs(folder):
    """Whatever the order of sets is in them."""
    said = []
    for seed in ("1", "2", "3"):
        env = {**os.environ, "CHAINRULE_CACHE": str(folder), "CHAINRULE_LOG": "1", "PYTHONHASHSEED": seed}
        r = subprocess.run(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(SCRIPT)],
            env=env, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert r.returncode == 0, r.stderr
        said.append((r.stdout, r.stderr))
    assert len({out for out, _ in said}) == 1
    pattern = r"chainrule.compile: step\(float32\[2, 3\]\): \d+ ms \(capture \d+, (.*)\), \d+ tasks, \d+ kernels, (\d+|all) of them from the cache\n"
    stages = [re.fullmatch(pattern, err).groups() for _, err in said]
    assert [s.split(" ")[0] for s, _ in stages] == ["look", "load", "load"]
    assert [cached for _, cached in stages] == ["0", "all", "all"]


def test_kernels_that_differ_in_the_number_of_chunks_are_two():
    """The text of a fill does not say how many chunks there are."""
    p = Program()
    for rows in (64, 32):
        wide = p.view(p.scalar(2.0, "float32"), (rows, 4096), (0, 0))
        p.outputs.append(p.map("id", wide))
    native = driver.Native(p, debug=True)  # every access is checked
    first, second = native([])
    assert len(native.table.kernels) == 2 and (first == 2).all() and (second == 2).all()
