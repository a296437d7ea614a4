"""The loader with worker processes: order, errors, deaths, shutdown."""

import gc
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings

import numpy as np
import pytest

import chainrule as ct
from chainrule.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, get_worker_info


@pytest.fixture(autouse=True)
def few_processors():
    """Machines with one processor warn about two workers; that is not what is tested here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


class Slow(Dataset):
    """The first samples take longest, so that a loader that takes what comes first would be out of order."""

    def __len__(self):
        return 12

    def __getitem__(self, i):
        time.sleep(0.03 if i < 2 else 0.0)
        return i


class Who(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, i):
        info = get_worker_info()
        return info.id, info.num_workers, info.seed, int(np.random.randint(1 << 30)), ct.randint(1 << 30, (1,)).item()


class Sharded(IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        info = get_worker_info()
        return iter(range(info.id, self.n, info.num_workers) if info else range(self.n))


class CustomError(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)


class Failing(Dataset):
    def __init__(self, error):
        self.error = error

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == 3:
            raise self.error
        return i


class Dies(Dataset):
    def __init__(self, how):
        self.how = how

    def __len__(self):
        return 6

    def __getitem__(self, i):
        if i == 2:
            self.how()
        return i


def lists(loader):
    return [b.tolist() for b in loader]


def processes(iterator):
    return list(iterator._workers)


def test_order_does_not_depend_on_speed():
    expected = lists(DataLoader(Slow(), batch_size=2))
    assert lists(DataLoader(Slow(), batch_size=2, num_workers=3)) == expected
    anyhow = lists(DataLoader(Slow(), batch_size=2, num_workers=3, in_order=False))
    assert sorted(anyhow) == expected
    assert anyhow != expected


def test_shuffling_is_the_same_with_and_without_workers():
    d = TensorDataset(ct.arange(20), ct.arange(40.0).reshape(20, 2))
    results = []
    for workers in (0, 2):
        ct.manual_seed(1)
        loader = DataLoader(d, batch_size=3, shuffle=True, num_workers=workers)
        results.append([[[t.tolist() for t in batch] for batch in loader] for _ in range(2)])
    assert results[0] == results[1]
    assert results[0][0] != results[0][1]


def test_batches_are_writeable_and_large_ones_arrive():
    class Large(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return {"x": np.full((300, 400), i), "name": str(i), "empty": ct.empty(0)}

    for i, batch in enumerate(DataLoader(Large(), num_workers=2)):
        batch["x"].add_(1)
        assert batch["x"].shape == (1, 300, 400)
        assert bool((batch["x"] == i + 1).all())
        assert batch["name"] == [str(i)]
        assert batch["empty"].shape == (1, 0)


def test_worker_info_and_seeds():
    ct.manual_seed(7)
    rows = list(DataLoader(Who(), batch_size=None, num_workers=2))
    assert [r[0] for r in rows] == [0, 1] * 4
    assert {r[1] for r in rows} == {2}
    seeds = sorted({r[2] for r in rows})
    assert seeds[1] == seeds[0] + 1
    assert len({r[3] for r in rows}) == len({r[4] for r in rows}) == 8
    ct.manual_seed(7)
    assert rows == list(DataLoader(Who(), batch_size=None, num_workers=2))
    assert get_worker_info() is None


def test_worker_init_fn():
    def init(worker):
        os.environ["CHAINRULE_TEST_WORKER"] = str(worker * 10)

    class Env(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return int(os.environ["CHAINRULE_TEST_WORKER"])

    assert lists(DataLoader(Env(), num_workers=2, worker_init_fn=init)) == [[0], [10], [0], [10]]
    assert "CHAINRULE_TEST_WORKER" not in os.environ

    def broken(worker):
        raise RuntimeError(f"no license for worker {worker}")

    with pytest.raises(RuntimeError, match="Caught RuntimeError in DataLoader worker process 0.*\n(.*\n)*.*no license"):
        list(DataLoader(Env(), num_workers=2, worker_init_fn=broken))


@pytest.mark.parametrize("n", [0, 1, 7, 8])
def test_iterable_dataset_is_sharded(n):
    out = lists(DataLoader(Sharded(n), batch_size=2, num_workers=3))
    assert sorted(sum(out, [])) == list(range(n))
    out = lists(DataLoader(Sharded(n), batch_size=2, num_workers=3, drop_last=True))
    assert all(len(b) == 2 for b in out)
    assert sorted(DataLoader(Sharded(n), batch_size=None, num_workers=2)) == list(range(n))


def test_iterable_order_matches_pytorch():
    torch = pytest.importorskip("torch")
    from torch.utils import data as peer

    class Theirs(peer.IterableDataset):
        def __iter__(self):
            info = peer.get_worker_info()
            return iter(range(info.id * 10, info.id * 10 + [1, 5, 2][info.id]))

    class Ours(IterableDataset):
        def __iter__(self):
            info = get_worker_info()
            return iter(range(info.id * 10, info.id * 10 + [1, 5, 2][info.id]))

    ours = lists(DataLoader(Ours(), batch_size=2, num_workers=3))
    theirs = lists(peer.DataLoader(Theirs(), batch_size=2, num_workers=3))
    assert ours == theirs
    assert torch is not None


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (ValueError("bad sample 3"), ValueError, "bad sample 3"),
        (KeyError("missing"), KeyError, "missing"),
        (CustomError(1, 2), RuntimeError, "CustomError"),
        (type("Local", (LookupError,), {})("here"), LookupError, "Caught Local"),
    ],
    ids=lambda v: getattr(v, "__name__", str(v)),
)
def test_errors_keep_type_and_traceback(error, kind, text):
    iterator = iter(DataLoader(Failing(error), num_workers=2))
    assert [next(iterator).item() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(kind) as caught:
        next(iterator)
    message = str(caught.value)
    assert type(caught.value) is kind
    assert f"Caught {type(error).__name__} in DataLoader worker process 1.\nOriginal Traceback" in message
    assert "in __getitem__\n    raise self.error" in message
    assert text in message
    # As in PyTorch, the loader goes on after an error.
    assert [b.item() for b in iterator] == [4, 5]


@pytest.mark.parametrize("workers", [0, 1])
def test_stop_iteration_in_a_dataset_is_an_error(workers):
    with pytest.raises(RuntimeError, match="the dataset raised StopIteration for"):
        list(DataLoader(Failing(StopIteration()), num_workers=workers))


def test_a_batch_that_cannot_be_pickled():
    loader = DataLoader(range(2), num_workers=1, collate_fn=lambda batch: lambda: batch)
    with pytest.raises((AttributeError, RuntimeError), match="in DataLoader worker process 0(.*\n)*.*pickle"):
        list(loader)


def test_a_dead_worker_is_reported():
    def leave():
        os._exit(7)

    with pytest.raises(RuntimeError, match=r"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly with exit code 7"):
        list(DataLoader(Dies(leave), num_workers=2))

    def kill():
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(RuntimeError, match="exited unexpectedly with exit code -9"):
        list(DataLoader(Dies(kill), num_workers=1))


def test_timeout():
    loader = DataLoader(Dies(lambda: time.sleep(30)), num_workers=1, timeout=0.2)
    start = time.monotonic()
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.2 seconds"):
        list(loader)
    assert time.monotonic() - start < 10


def test_early_break_ends_the_workers():
    class Big(Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, i):
            return np.zeros(200_000)  # more than a pipe holds: the workers are waiting to send

    iterator = iter(DataLoader(Big(), num_workers=2))
    next(iterator)
    workers = [w.pid for w in processes(iterator)]
    start = time.monotonic()
    del iterator
    gc.collect()
    assert time.monotonic() - start < 5
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_workers_end_with_the_epoch():
    iterator = iter(DataLoader(Slow(), num_workers=2))
    workers = [w.pid for w in processes(iterator)]
    list(iterator)
    for pid in workers:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert list(iterator) == []


def test_persistent_workers():
    class Pid(Dataset):
        def __len__(self):
            return 6

        def __getitem__(self, i):
            return os.getpid(), i

    loader = DataLoader(Pid(), num_workers=2, persistent_workers=True)
    first = [tuple(t.item() for t in b) for b in loader]
    for _ in range(2):
        assert [tuple(t.item() for t in b) for b in loader] == first
    # Break off in the middle: what was under way must not show up in the next epoch.
    for _ in loader:
        break
    assert [tuple(t.item() for t in b) for b in loader] == first

    loader = DataLoader(Sharded(5), batch_size=2, num_workers=2, persistent_workers=True)
    epochs = [lists(loader) for _ in range(3)]
    assert epochs[0] == epochs[1] == epochs[2] == [[0, 2], [1, 3], [4]]


def test_two_loaders_at_once():
    a, b = (DataLoader(Slow(), batch_size=4, num_workers=1) for _ in range(2))
    assert [(x.tolist(), y.tolist()) for x, y in zip(a, b, strict=True)] == [(x, x) for x in lists(a)]


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_start_methods(method, tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(f"""
        import chainrule as torch
        from chainrule.utils.data import DataLoader, TensorDataset

        if __name__ == "__main__":
            data = TensorDataset(torch.arange(6))
            loader = DataLoader(data, batch_size=2, num_workers=1, multiprocessing_context="{method}")
            print([b[0].tolist() for b in loader])
        """)
    )
    out = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, timeout=60)
    assert (out.stdout, out.stderr) == ("[[0, 1], [2, 3], [4, 5]]\n", "")


INTERRUPTED = """
import sys, time, os
import chainrule as torch
from chainrule.utils.data import DataLoader, Dataset

class Slow(Dataset):
    def __len__(self):
        return 1000
    def __getitem__(self, i):
        time.sleep(0.05)
        return i

iterator = iter(DataLoader(Slow(), num_workers=2))
print(*[w.pid for w in iterator._workers], flush=True)
for batch in iterator:
    pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM], ids=lambda s: s.name)
def test_no_worker_outlives_the_main_process(number, monkeypatch, tmp_path):
    script = tmp_path / "run.py"
    script.write_text("import chainrule.utils.data.worker as w\nw.WATCH_INTERVAL = 0.2\n" + INTERRUPTED)
    main = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    pids = [int(p) for p in main.stdout.readline().split()]
    assert len(pids) == 2
    time.sleep(0.2)
    if number == signal.SIGINT:
        os.killpg(main.pid, number)  # what a terminal does on Ctrl-C
    else:
        main.send_signal(number)
    _, errors = main.communicate(timeout=20)
    assert main.returncode != 0
    if number == signal.SIGINT:
        # One traceback, the main process's: the workers are quiet.
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert errors.count("Traceback") == 1
    deadline = time.monotonic() + 10
    left = pids
    while left and time.monotonic() < deadline:
        left = [p for p in left if running(p)]
        time.sleep(0.05)
    assert not left


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_forked_child_leaves_the_workers_alone():
    iterator = iter(DataLoader(Slow(), num_workers=1))
    first = next(iterator)
    pid = os.fork()
    if pid == 0:
        iterator._finalizer()
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert [first.item(), *[b.item() for b in iterator]] == list(range(12))
