"""The cache of machine code on disk: what is trusted, what survives, what is removed."""

import errno
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip("llvmlite")

from chainrule.compiler.runtime import cache, jit, load
from chainrule.compiler.runtime.cache import ObjectCache, key
from chainrule.compiler.target import host

TEXT = "define i64 @{name}(i64 %x) {{\n  %y = add i64 %x, {n}\n  ret i64 %y\n}}\n"
NAME = key("some text")
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")


@pytest.fixture
def store(tmp_path):
    return ObjectCache(tmp_path / "objects")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "objects"))
    monkeypatch.setattr(jit, "_loaded", {})  # so that nothing comes from memory
    monkeypatch.setattr(cache, "_shared", {})
    return tmp_path / "objects"


def fresh(n=1, name="f"):
    """Load one function as a new process would; returns the library."""
    jit._loaded.clear()
    cache._shared.clear()
    return load({name: TEXT.format(name=name, n=n)}, host(), debug=False)


def call(library, name="f", x=10):
    import ctypes

    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address(name))(x)


def test_an_entry_comes_back(store):
    assert store.get(NAME) is None
    store.put(NAME, b"machine code")
    assert store.get(NAME) == b"machine code"
    assert ObjectCache(store.place).get(NAME) == b"machine code"
    assert (store.hits, store.misses) == (1, 1)
    assert os.listdir(store.place) == [NAME]


def test_the_key_names_everything_once():
    assert len({key("a", "b"), key("ab", ""), key("", "ab"), key("b", "a"), key("a", "b", "")}) == 5


def test_the_second_process_does_not_compile(folder):
    first = fresh()
    second = fresh()
    assert first.compiled == ["f"] and first.cached == []
    assert second.compiled == [] and second.cached == ["f"]
    assert call(first) == call(second) == 11
    assert fresh(2).compiled == ["f"]  # another text
    assert sorted(len(f) for f in os.listdir(folder)) == [64, 64]


def test_another_cpu_is_another_entry(folder):
    text = {"f": TEXT.format(name="f", n=1)}
    load(text, host(), debug=False)
    assert load(text, host("sse2"), debug=False).compiled == ["f"]


def test_where_it_lies(monkeypatch, tmp_path):
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path))
    assert cache.folder() == tmp_path
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    assert cache.folder() is None
    monkeypatch.delenv("CHAINRULE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.folder() == tmp_path / "xdg" / "chainrule"
    monkeypatch.setenv("XDG_CACHE_HOME", "not absolute")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache.folder() == tmp_path / "home" / ".cache" / "chainrule"
    monkeypatch.setattr(cache, "_shared", {})
    assert cache.shared() is cache.shared()


def test_off(folder, monkeypatch):
    monkeypatch.setenv("CHAINRULE_CACHE", "off")
    assert fresh().compiled == ["f"] and fresh().compiled == ["f"]
    assert not folder.exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:10],
        lambda b: b[:-1],
        lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:],
        lambda b: b + b"more",
        lambda b: b"\0" * len(b),
        lambda b: b"chainrule-object\0" + b"\0" * 200,
    ],
    ids=["empty", "short", "cut", "bit", "longer", "zeros", "checksum"],
)
def test_a_damaged_entry_is_compiled_again(folder, damage):
    fresh()
    (name,) = os.listdir(folder)
    path = folder / name
    good = path.read_bytes()
    path.write_bytes(damage(good))
    again = fresh()
    assert again.compiled == ["f"] and call(again) == 11
    assert path.read_bytes() == good and fresh().cached == ["f"]


def test_an_entry_that_is_no_object_file_is_compiled_again(folder):
    fresh()
    (name,) = os.listdir(folder)
    cache.shared().put(name, b"not an object file, but with a right checksum")
    again = fresh()
    assert again.compiled == ["f"] and call(again) == 11


def test_an_entry_under_another_name_is_not_taken(store):
    store.put(NAME, b"code")
    os.rename(store.place / NAME, store.place / key("other"))
    assert store.get(key("other")) is None


@posix
def test_an_entry_others_can_write_is_not_trusted(store):
    store.put(NAME, b"code")
    path = store.place / NAME
    os.chmod(path, 0o666)
    assert store.get(NAME) is None
    os.chmod(path, 0o600)
    assert store.get(NAME) == b"code"


@posix
def test_an_entry_of_another_user_is_not_trusted(store, monkeypatch):
    store.put(NAME, b"code")
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    assert store.get(NAME) is None
    with pytest.warns(RuntimeWarning, match="is not used, because it belongs to another user"):
        assert ObjectCache(store.place).get(NAME) is None


@posix
def test_a_link_is_not_followed(store, tmp_path):
    store.put(NAME, b"code")
    os.rename(store.place / NAME, tmp_path / "elsewhere")
    os.symlink(tmp_path / "elsewhere", store.place / NAME)
    assert store.get(NAME) is None


@posix
def test_a_folder_others_can_write_is_not_used(folder):
    fresh()
    os.chmod(folder, 0o777)
    with pytest.warns(RuntimeWarning, match=r"is not used, because others may write to it\. Make it yours alone"):
        assert fresh().compiled == ["f"]
    os.chmod(folder, 0o700)
    assert fresh().cached == ["f"]


def test_a_folder_that_can_not_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CHAINRULE_CACHE", str(tmp_path / "file" / "objects"))
    assert call(fresh()) == 11


def test_a_read_only_folder_is_read(store, monkeypatch):
    store.put(NAME, b"code")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    locked = ObjectCache(store.place)
    locked.put(key("new"), b"other")
    assert locked.get(NAME) == b"code" and locked.get(key("new")) is None
    assert os.listdir(store.place) == [NAME]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_full_disk_costs_one_warning(folder, monkeypatch, number):
    fresh()

    def full(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as m:
        m.setattr(os, "replace", full)
        with pytest.warns(RuntimeWarning, match="can not write to the object cache") as w:
            jit._loaded.clear()
            cache._shared.clear()
            for n in range(3):
                jit._loaded.clear()
                text = {"f": TEXT.format(name="f", n=100 + n)}
                assert call(load(text, host(), debug=False)) == 110 + n
        assert len(w) == 1
        assert [f for f in os.listdir(folder) if f.startswith(".new")] == []
    assert fresh().cached == ["f"]  # what was there is still used


FULL = """
import resource, sys, warnings
from test_object_cache import *
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))  # a file can not grow beyond: a real write that fails
with warnings.catch_warnings(record=True) as w:
    warnings.simplefilter("always")
    for n in range(3):
        assert call(load({"f": TEXT.format(name="f", n=n)}, host(), debug=False)) == 10 + n
assert len(w) == 1 and "can not write to the object cache" in str(w[0].message), w
"""


@posix
def test_a_write_that_really_fails(folder):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    r = subprocess.run([sys.executable, "-c", FULL], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert r.returncode == 0, r.stderr
    assert os.listdir(folder) == []


def test_a_write_that_stops_in_the_middle(store, monkeypatch):
    class Full:
        def __init__(self, fd, mode):
            self.fd = fd

        def __enter__(self):
            return self

        def __exit__(self, *exc):
            os.close(self.fd)

        def write(self, data):
            os.write(self.fd, data[:20])
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(os, "fdopen", Full)
        with pytest.warns(RuntimeWarning, match="No space left on device"):
            store.put(NAME, b"code" * 100)
    assert os.listdir(store.place) == [] and store.get(NAME) is None


def test_a_folder_removed_in_between_is_made_again(store):
    store.put(NAME, b"code")
    shutil.rmtree(store.place)
    assert store.get(NAME) is None
    store.put(NAME, b"code")
    assert store.get(NAME) == b"code"


def test_the_least_recently_used_go_first(tmp_path):
    store = ObjectCache(tmp_path, limit=10_000)
    names = [key(str(i)) for i in range(12)]
    now = time.time()
    for i, name in enumerate(names[:9]):
        store.put(name, b"x" * 1000)
        os.utime(tmp_path / name, (now - 7200 + i, now - 7200 + i))
    assert store.get(names[0]) is not None  # now the newest
    for name in names[9:]:
        store.put(name, b"x" * 1000)
    left = {n for n in names if (tmp_path / n).exists()}
    assert names[0] in left and names[1] not in left and names[11] in left
    assert sum(f.stat().st_size for f in tmp_path.iterdir()) <= 10_000


def test_foreign_files_stay_and_old_unfinished_ones_go(tmp_path):
    store = ObjectCache(tmp_path, limit=10)
    for name in ("README", ".new-old", ".new-young"):
        (tmp_path / name).write_text("x" * 100)
    os.utime(tmp_path / ".new-old", (1, 1))
    store.put(NAME, b"x" * 100)
    assert sorted(os.listdir(tmp_path)) == [".new-young", "README"]


def test_several_threads_compile_and_keep_the_same(folder):
    errors = []

    def work():
        try:
            for n in range(10):
                assert call(load({"f": TEXT.format(name="f", n=n)}, host(), debug=False)) == 10 + n
        except BaseException as e:
            errors.append(e)

    ts = [threading.Thread(target=work) for _ in range(4)]
    for t in ts:
        t.start()
    for t in ts:
        t.join()
    assert not errors and len(os.listdir(folder)) == 10


WORK = """
import sys
from test_object_cache import *
for n in range(15):
    jit._loaded.clear()
    assert call(load({"f": TEXT.format(name="f", n=n)}, host(), debug=False)) == 10 + n
    for name in [f for f in os.listdir(cache.folder()) if len(f) == 64][: n % 3]:  # as if to make room
        cache._remove(cache.folder() / name)
"""


def test_several_processes_at_once(folder):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(__file__), *sys.path])}
    ps = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", WORK], env=env, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    ends = [p.communicate(timeout=60)[1] for p in ps]
    assert [p.returncode for p in ps] == [0] * 4, ends
    for name in os.listdir(folder):
        assert len(name) == 64 and ObjectCache(folder).get(name) is not None
