"""save and load when things go wrong: damaged files, failures and kills in the middle of a write."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

import chainrule as ct
from chainrule.errors import FileFormatError
from chainrule.interop import atomic, tensor_file


def noted(text):
    """A file without tensors and with the given description."""
    return build({"__metadata__": {"chainrule": text}})


def build(header, data=b"", pad=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data + pad


ONE = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
DAMAGED = {
    "empty": (b"", "neither a safetensors file nor a pickle: it is empty"),
    "short": (b"\x08\x00", "neither a safetensors file nor a pickle: it starts with"),
    "text": (b"hello, this is text", "neither a safetensors file nor a pickle"),
    "image": (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither a safetensors file nor a pickle"),
    "header too long": ((1 << 40).to_bytes(8, "little") + b"{", "its first bytes are no header"),
    "header cut": ((100).to_bytes(8, "little") + b'{"a":', "truncated: it ends within the header"),
    "not JSON": (build(b'{"a": }'), "its header is not JSON"),
    "deep JSON": (build(b'{"a":' * 50_000), "its header is not JSON"),
    "entry": (build({"a": [1]}), "the description of tensor 'a' is not valid"),
    "negative": (build({"a": {**ONE, "shape": [-1]}}), "the description of tensor 'a' is not valid"),
    "bool": (build({"a": {**ONE, "shape": [True]}}, bytes(4)), "the description of tensor 'a' is not valid"),
    "dtype": (build({"a": {**ONE, "dtype": "F8_E5M2"}}, bytes(4)), "dtype F8_E5M2, which chainrule does not have"),
    "size": (build({"a": {**ONE, "shape": [2]}}, bytes(4)), r"4 bytes cannot hold shape \[2\] of dtype F32"),
    "overlap": (build({"a": ONE, "b": ONE}, bytes(4)), "do not follow those of the tensor before"),
    "hole": (build({"a": {**ONE, "data_offsets": [4, 8]}}, bytes(8)), "do not follow those of the tensor before"),
    "cut": (build({"a": ONE}, bytes(3)), "truncated"),
    "metadata": (build({"__metadata__": {"a": 1}}), "its metadata is not a map of texts"),
    "structure": (noted("{}"), "its description cannot be understood"),
    "structure JSON": (noted("{"), "its description cannot be understood"),
    "tree": (
        noted('{"version":1,"tree":{"tensor":"x"}}'),
        r"its description cannot be understood \(KeyError: 'x'\)",
    ),
    "tag": (noted('{"version":1,"tree":{"eval":"1"}}'), "unknown kind 'eval'"),
    "dtype name": (noted('{"version":1,"tree":{"dtype":"np"}}'), "cannot be understood"),
    "version": (noted('{"version":9,"tree":1}'), "layout version 9"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(name, tmp_path):
    content, text = DAMAGED[name]
    path = tmp_path / "file"
    path.write_bytes(content)
    for source in (path, io.BytesIO(content)):
        with pytest.raises(FileFormatError, match=text):
            ct.load(source)


def test_bytes_after_the_last_tensor(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(build({"a": ONE}, bytes(4), b"more"))
    with pytest.raises(FileFormatError, match="4 bytes follow its last tensor"):
        ct.load(path)


def test_every_truncation_is_noticed(tmp_path):
    file = io.BytesIO()
    ct.save({"a": ct.ones(3), "b": [1, ct.ones(2, 2)]}, file)
    whole = file.getvalue()
    path = tmp_path / "file"
    for end in range(0, len(whole), 7):
        path.write_bytes(whole[:end])
        for options in ({}, {"mmap": True}):
            with pytest.raises(FileFormatError):
                ct.load(path, **options)
        with pytest.raises(FileFormatError):
            ct.load(io.BytesIO(whole[:end]))


def test_flipped_bytes_never_escape_as_other_errors():
    file = io.BytesIO()
    ct.save({"a": ct.ones(3), "b": [1, (2.5, None)], "g": ct.Generator()}, file)
    whole = file.getvalue()
    rng = np.random.default_rng(0)
    failed = 0
    for _ in range(600):
        broken = bytearray(whole)
        broken[rng.integers(0, 500) % len(broken)] = rng.integers(0, 256)
        try:
            ct.load(io.BytesIO(bytes(broken)))
        except FileFormatError:
            failed += 1
    assert failed > 100


# --- atomic writes ---


def leftovers(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("where", ["write", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_save_leaves_the_old_file(where, error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    ct.save([1], path)

    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        if where == "write":
            patch.setattr(tensor_file, "_raw", fail)
        else:
            patch.setattr(atomic.os, where, fail)
        with pytest.raises(type(error)):
            ct.save({"x": ct.ones(3)}, path)
    assert ct.load(path) == [1]
    assert leftovers(tmp_path) == ["file"]
    with pytest.raises(TypeError, match="not plain data"):
        ct.save([object()], path)
    assert ct.load(path) == [1]


def test_a_failed_first_save_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_file, "_raw", lambda array: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        ct.save(ct.ones(2), tmp_path / "file")
    assert leftovers(tmp_path) == []


def test_killed_while_writing(tmp_path):
    """Whenever the process is killed, the file is complete: the old one or the new one."""
    path = tmp_path / "file"
    script = textwrap.dedent(f"""
        import time
        import chainrule as torch
        from chainrule.interop import tensor_file

        raw = tensor_file._raw

        def slow(array):  # so that nearly every moment is one in the middle of a write
            time.sleep(0.002)
            return raw(array)

        tensor_file._raw = slow
        print("ready", flush=True)
        k = 0
        while True:
            k += 1
            torch.save({{"k": k, "x": [torch.full((2000,), float(k + i)) for i in range(20)]}}, {str(path)!r})
    """)
    seen = set()
    for delay in (0.0, 0.013, 0.029, 0.041):
        writer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        try:
            assert writer.stdout.readline() == b"ready\n"
            deadline = time.monotonic() + 20
            while not path.exists() and time.monotonic() < deadline:
                time.sleep(0.001)
            time.sleep(delay)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
            writer.stdout.close()
        out = ct.load(path)
        assert [float(x[-1]) for x in out["x"]] == [out["k"] + i for i in range(20)]
        seen.add(out["k"])
    assert seen


def test_permissions_and_links(tmp_path):
    old = os.umask(0o027)
    try:
        ct.save([1], tmp_path / "new")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640
    (tmp_path / "new").chmod(0o604)
    ct.save([2], tmp_path / "new")
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o604
    (tmp_path / "link").symlink_to("new")
    ct.save([3], tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert ct.load(tmp_path / "new") == [3]
    ct.save([4], "/dev/null")
    assert leftovers(tmp_path) == ["link", "new"]


def test_a_header_beyond_the_limit(monkeypatch):
    monkeypatch.setattr(tensor_file, "MAX_HEADER", 1000)
    with pytest.raises(FileFormatError, match="put long lists of numbers into tensors"):
        ct.save(list(range(1000)), io.BytesIO())
