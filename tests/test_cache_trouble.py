"""A compiled training step, whatever is the matter with the disk cache: it costs a compilation, never the run."""

import os
import subprocess
import sys
import tempfile

import pytest

pytest.importorskip("llvmlite")

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs to be another user too")

STEP = """
import os, sys, warnings
if len(sys.argv) > 1 and sys.argv[1] == "full":
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # a file can not grow beyond: a real write that fails
import chainrule as torch
import chainrule.nn as nn
import chainrule.nn.functional as F
torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
opt = torch.optim.Adam(model.parameters(), lr=0.01)
@torch.compile
def step(x, y):
    opt.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
    return loss
torch.compile(lambda x: x, backend="reference")(torch.ones(1))  # all that is imported late
if len(sys.argv) > 1 and sys.argv[1] == "nobody":
    os.setuid(65534)
x, y = torch.randn(4, 6), torch.tensor([0, 1, 2, 1])
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    losses = [step(x, y).item() for _ in range(3)]
executable = next(iter(step.kinds.values()))[0].executable
print(losses, "warm" if executable.whole else f"cold, {len(executable.library.compiled)} compiled")
for w in told:
    print(w.category.__name__, w.message)
"""


def run(folder, *args, **more):
    env = {**os.environ, "CHAINRULE_CACHE": str(folder), "CHAINRULE_DEBUG": "", "CHAINRULE_LOG": ""}
    command = [sys.executable, "-c", STEP, *args]
    return subprocess.Popen(command, env=env | more, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def result(process):
    """``(losses, how it was made, warnings)``."""
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and not err, err
    first, *told = out.splitlines()
    losses, how = first.rsplit("] ", 1)
    return losses, how, told


@pytest.fixture(scope="module")
def losses(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first") / "objects"
    cold = result(run(folder))
    warm = result(run(folder))
    assert cold[1].startswith("cold") and cold[1] != "cold, 0 compiled" and warm[1] == "warm"
    assert cold[0] == warm[0] and cold[2] == warm[2] == []
    return cold[0]


@posix
def test_a_full_disk(tmp_path, losses):
    folder = tmp_path / "objects"
    got, how, told = result(run(folder, "full"))
    assert got == losses and how.startswith("cold")
    assert len(told) == 1 and told[0].startswith("RuntimeWarning chainrule.compile: can not write to the object cache")
    assert os.listdir(folder) == []
    result(run(folder))
    assert result(run(folder, "full")) == (losses, "warm", [])  # reading goes on


DAMAGE = {
    "empty": lambda data: b"",
    "cut in the head": lambda data: data[:20],
    "half": lambda data: data[: len(data) // 2],
    "a byte missing": lambda data: data[:-1],
    "zeros at the end": lambda data: data[: len(data) // 2] + bytes(len(data) - len(data) // 2),
    "a bit": lambda data: data[:-40] + bytes([data[-40] ^ 4]) + data[-39:],
    "something else": lambda data: b"\x7fELF" * 50,
}


def test_damaged_entries(tmp_path, losses):
    """All of them at once: everything is compiled again, and the entries are whole afterwards."""
    folder, ways = tmp_path / "objects", list(DAMAGE.values())
    result(run(folder))
    names = sorted(os.listdir(folder), key=lambda name: -(folder / name).stat().st_size)  # the whole program first
    for k, name in enumerate(names):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(ways[(k + 2) % len(ways)](data))
    got, made, told = result(run(folder))
    assert got == losses and made.startswith("cold") and made != "cold, 0 compiled" and told == []
    assert result(run(folder)) == (losses, "warm", [])


@posix
def test_others_may_write_to_the_folder(tmp_path, losses):
    folder = tmp_path / "objects"
    result(run(folder))
    os.chmod(folder, 0o702)
    got, made, told = result(run(folder))
    assert got == losses and made.startswith("cold") and made != "cold, 0 compiled"
    assert len(told) == 1 and "is not used, because others may write to it. Make it yours alone" in told[0]
    os.chmod(folder, 0o700)
    assert result(run(folder))[1] == "warm"
    for name in os.listdir(folder):
        os.chmod(folder / name, 0o666)
    assert result(run(folder))[1].startswith("cold")


@root
def test_a_folder_and_files_of_another_user(tmp_path, losses):
    folder = tmp_path / "objects"
    result(run(folder))
    for name in os.listdir(folder):
        os.chown(folder / name, 65534, 65534)
    got, made, told = result(run(folder))
    assert got == losses and made.startswith("cold") and made != "cold, 0 compiled" and told == []
    os.chown(folder, 65534, 65534)
    got, made, told = result(run(folder))
    assert got == losses and made.startswith("cold") and len(told) == 1
    assert "is not used, because it belongs to another user" in told[0]


@root
def test_a_read_only_folder(losses):
    """One's own, in which nothing can be made: it is read, and nothing is said."""
    with tempfile.TemporaryDirectory() as place:  # pytest's folders are closed to others
        os.chmod(place, 0o711)
        folder, filled = os.path.join(place, "objects"), os.path.join(place, "filled")
        os.mkdir(folder)
        os.chown(folder, 65534, 65534)
        os.chmod(folder, 0o500)
        got, made, told = result(run(folder, "nobody"))
        assert got == losses and made.startswith("cold") and told == [] and os.listdir(folder) == []
        result(run(filled))
        for name in os.listdir(filled):
            os.rename(os.path.join(filled, name), os.path.join(folder, name))
            os.chown(os.path.join(folder, name), 65534, 65534)
        assert result(run(folder, "nobody")) == (losses, "warm", [])


def test_processes_at_once(tmp_path, losses):
    folder = tmp_path / "objects"
    found = [result(p) for p in [run(folder) for _ in range(3)]]
    assert {f[0] for f in found} == {losses} and all(f[2] == [] for f in found)
    assert all(len(name) == 64 for name in os.listdir(folder))
    assert result(run(folder)) == (losses, "warm", [])


def test_no_folder(tmp_path, losses):
    (tmp_path / "file").write_text("")
    os.symlink(tmp_path / "nowhere", tmp_path / "link")
    for place in (tmp_path / "file" / "below", tmp_path / "link"):
        got, made, told = result(run(place))
        assert got == losses and made.startswith("cold") and told == []
