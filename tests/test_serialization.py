"""save and load: round trips, other readers, errors that help, pickles only on request."""

import io
import math
import pickle
from collections import Counter, OrderedDict, namedtuple
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import chainrule as ct
from chainrule.errors import ArgumentError, FileFormatError


def trip(obj, **options):
    file = io.BytesIO()
    ct.save(obj, file)
    file.seek(0)
    return ct.load(file, **options)


def same(a, b):
    """Equal in value, type and order, NaN included."""
    assert type(a) is type(b)
    if isinstance(a, ct.Tensor):
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert a.requires_grad == b.requires_grad
        same(a.detach().numpy(), b.detach().numpy())
    elif isinstance(a, (np.ndarray, np.generic)):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    elif isinstance(a, dict):
        assert len(a) == len(b)
        for (k, v), (m, w) in zip(a.items(), b.items(), strict=True):
            same(k, m)
            same(v, w)
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for v, w in zip(a, b, strict=True):
            same(v, w)
    elif isinstance(a, ct.Generator):
        same(a.get_state(), b.get_state())
    elif isinstance(a, complex):
        same(a.real, b.real)
        same(a.imag, b.imag)
    elif isinstance(a, float):
        assert (a != a and b != b) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    else:
        assert a == b


PLAIN = {
    "none": None,
    "bools": [True, False],
    "ints": [0, -1, 1 << 100],
    "floats": [0.1, -0.0, 1e300, 5e-324, math.inf, -math.inf, math.nan],
    "complex": complex(-0.0, math.inf),
    "strings": ["", "a\n\"b'", "ä€😀", "\x00"],
    "bytes": b"\x00\xff",
    "tuple": (1, (2.0, [3]), ()),
    "sets": [{1, 2}, frozenset({"a"})],
    "keys": {1: "int", "1": "str", 1.5: 0, None: 0, (1, "a"): 0, False: 0},
    "ordered": OrderedDict([("b", 1), ("a", 2)]),
    "counter": Counter("aab"),
    "size": ct.Size([2, 3]),
    "dtype": [ct.float32, ct.bool, ct.int64],
    "device": ct.device("cpu"),
    "array": np.arange(6, dtype=np.int16).reshape(2, 3),
    "scalars": [np.float32(1.5), np.int8(-3), np.bool_(True)],
    "generator": ct.Generator().manual_seed(5),
    "tagged": {"tensor": "x", "float": "nan", "dict": [[1, 2]]},
    "rng": ct.get_rng_state(),
}


@pytest.mark.parametrize("key", PLAIN)
def test_plain_data_round_trips(key):
    same(trip(PLAIN[key]), PLAIN[key])
    same(trip({"outer": [PLAIN[key]]}), {"outer": [PLAIN[key]]})


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.complex_numbers(), st.text(), st.binary(max_size=20)
)
KEYS = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.tuples(st.integers(), st.text()))
ARRAYS = arrays(st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]), array_shapes(max_side=3))
TENSORS = ARRAYS.map(lambda a: ct.tensor(a))
NESTED = st.recursive(
    st.one_of(SCALARS, ARRAYS, TENSORS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.dictionaries(st.text(), inner, max_size=4).map(OrderedDict),
    ),
    max_leaves=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NESTED)
def test_any_plain_data_round_trips(obj):
    file = io.BytesIO()
    ct.save(obj, file)
    safetensors.deserialize(file.getvalue())  # the reference reader accepts the file
    file.seek(0)
    same(ct.load(file), obj)


@pytest.mark.parametrize(
    "dtype",
    [
        "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8",
        "uint8", "uint16", "uint32", "uint64", "bool",
    ],
)  # fmt: skip
def test_every_dtype_and_shape(dtype):
    if dtype == "bfloat16":
        pytest.importorskip("ml_dtypes")
    for shape in [(), (0,), (3,), (2, 0, 3), (2, 3)]:
        t = ct.ones(shape).to(getattr(ct, dtype))
        same(trip(t), t)
        same(trip({"t": t, "one": [t]}), {"t": t, "one": [t]})


def test_tensor_kinds():
    p = ct.nn.Parameter(ct.ones(2))
    frozen = ct.nn.Parameter(ct.ones(2), requires_grad=False)
    leaf = ct.ones(2, requires_grad=True)
    same(trip([p, frozen, leaf, ct.ones(2)]), [p, frozen, leaf, ct.ones(2)])
    strided = ct.arange(12.0).reshape(3, 4).t()[1:, ::2]
    same(trip(strided), strided)
    out = trip({"w": ct.ones(2)})["w"]
    out.add_(1)
    assert out.tolist() == [2.0, 2.0]


def test_checkpoint_continues_training(tmp_path):
    def make():
        ct.manual_seed(0)
        model = ct.nn.Sequential(ct.nn.Linear(3, 8), ct.nn.Tanh(), ct.nn.Linear(8, 1))
        optimizer = ct.optim.Adam(model.parameters(), lr=0.01, amsgrad=True)
        return model, optimizer, ct.optim.lr_scheduler.MultiStepLR(optimizer, [2, 4], 0.5)

    def train(parts, steps):
        model, optimizer, scheduler = parts
        for _ in range(steps):
            optimizer.zero_grad()
            (model(ct.ones(4, 3)) ** 2).sum().backward()
            optimizer.step()
            scheduler.step()

    parts = make()
    train(parts, 3)
    path = tmp_path / "checkpoint.safetensors"
    names = ("model", "optimizer", "scheduler")
    states = {n: part.state_dict() for n, part in zip(names, parts, strict=True)}
    ct.save({**states, "epoch": 3, "best": math.inf}, path)
    other = make()
    saved = ct.load(path)
    assert (saved["epoch"], saved["best"]) == (3, math.inf)
    assert list(saved["optimizer"]["state"]) == [0, 1, 2, 3]
    assert saved["optimizer"]["param_groups"][0]["betas"] == (0.9, 0.999)
    assert type(saved["model"]) is OrderedDict
    assert saved["model"]._metadata == parts[0].state_dict()._metadata
    for n, part in zip(names, other, strict=True):
        part.load_state_dict(saved[n])
    train(parts, 3)
    train(other, 3)
    same(list(parts[0].parameters()), list(other[0].parameters()))


def test_shared_memory_is_shared_again():
    w = ct.arange(3.0)
    out = trip({"a": w, "b": w, "c": w.detach(), "part": w[:2], "other": w.clone(), "deep": [{"d": w}]})
    out["a"].fill_(7.0)
    assert out["b"].tolist() == out["c"].tolist() == out["deep"][0]["d"].tolist() == [7.0] * 3
    assert out["part"].tolist() == [0.0, 1.0]
    assert out["other"].tolist() == [0.0, 1.0, 2.0]
    # Changed through one of them, what another saved for backward is known to be stale.
    x = out["b"].requires_grad_()
    y = (x * x).sum()
    out["a"].fill_(1.0)
    with pytest.raises(RuntimeError, match="in place|inplace|in-place"):
        y.backward()


# --- other readers and writers ---


def test_flat_dict_is_readable_by_safetensors(tmp_path):
    w = ct.arange(6.0).reshape(2, 3)
    state = OrderedDict(z=w, a=ct.tensor(True), tied=w, half=ct.ones(3).to(ct.float16), empty=ct.ones(0, 2))
    path = tmp_path / "flat.safetensors"
    ct.save(state, path)
    theirs = safetensors.numpy.load_file(path)
    assert theirs.keys() == state.keys()
    for key, value in state.items():
        np.testing.assert_array_equal(theirs[key], value.numpy())
        assert theirs[key].dtype == value.numpy().dtype
    ours = ct.load(path)
    same(ours, state)
    ours["z"].fill_(0.0)
    assert not ours["tied"].any()


def test_nested_file_is_valid_safetensors(tmp_path):
    path = tmp_path / "nested.safetensors"
    ct.save({"model": {"w": ct.ones(2)}, "a.b": ct.zeros(1), "a": {"b": ct.ones(1)}, "__metadata__": ct.ones(3)}, path)
    theirs = safetensors.numpy.load_file(path)
    assert theirs.keys() == {"model.w", "a.b", "a.b#2", "__metadata__#0"}
    assert ct.load(path)["a"]["b"].tolist() == [1.0]
    same(trip({"__metadata__": ct.ones(3)}), {"__metadata__": ct.ones(3)})


def test_reads_files_of_others(tmp_path):
    path = tmp_path / "theirs.safetensors"
    arrays = {
        "w": np.arange(6, dtype=np.float32).reshape(2, 3),
        "i": np.array(3),
        "h": np.ones(3, np.float16),
        "b": np.array([True, False, True]),
        "e": np.empty((0, 4)),
    }
    safetensors.numpy.save_file(arrays, path, {"note": "hello"})
    for options in ({}, {"mmap": True}):
        ours = ct.load(path, **options)
        assert type(ours) is dict
        assert ours.keys() == arrays.keys()
        for key, value in arrays.items():
            same(ours[key].numpy(), value)


def test_reads_and_is_read_by_pytorch(tmp_path):
    torch = pytest.importorskip("torch")
    peer = pytest.importorskip("safetensors.torch")
    model = torch.nn.Linear(3, 2)
    peer.save_file(model.state_dict(), tmp_path / "theirs.safetensors")
    ours = ct.nn.Linear(3, 2)
    ours.load_state_dict(ct.load(tmp_path / "theirs.safetensors"))
    np.testing.assert_array_equal(ours.weight.detach().numpy(), model.weight.detach().numpy())
    ct.save(ours.state_dict(), tmp_path / "ours.safetensors")
    model.load_state_dict(peer.load_file(tmp_path / "ours.safetensors"))
    torch.save(model.state_dict(), tmp_path / "theirs.pt")
    with pytest.raises(FileFormatError, match=r"was written by PyTorch's torch.save. Convert it there: .*save_file"):
        ct.load(tmp_path / "theirs.pt")


# --- where to and where from ---


def test_paths_and_files(tmp_path):
    for target in (tmp_path / "a", str(tmp_path / "b")):
        ct.save({"x": ct.ones(2)}, target)
        assert ct.load(target)["x"].tolist() == [1.0, 1.0]
    with open(tmp_path / "c", "wb") as f:
        f.write(b"head")
        ct.save([1], f)
        ct.save([2.0, ct.ones(1)], f)
    with open(tmp_path / "c", "rb") as f:
        assert f.read(4) == b"head"
        assert ct.load(f) == [1]
        assert ct.load(f)[0] == 2.0

    class OnlyRead:
        """A stream such as a decompressor: small pieces, no readinto, no seek."""

        def __init__(self, data):
            self.file = io.BytesIO(data)

        def read(self, n=-1):
            return self.file.read(n)

    file = io.BytesIO()
    ct.save({"x": ct.ones(100)}, file)
    assert ct.load(OnlyRead(file.getvalue()))["x"].sum().item() == 100.0
    for call, text in (
        (lambda: ct.save(1, io.StringIO()), "f is open as text"),
        (lambda: ct.load(io.StringIO()), "f is open as text"),
        (lambda: ct.save(1, 3), "expected a path or a binary file open for writing, got int"),
        (lambda: ct.load(3), "expected a path or a binary file open for reading, got int"),
    ):
        with pytest.raises(ArgumentError, match=text):
            call()
    with pytest.raises(FileNotFoundError):
        ct.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        ct.save(1, tmp_path / "no folder" / "x")
    with pytest.raises(IsADirectoryError):
        ct.save(1, tmp_path)


def test_mmap(tmp_path):
    path = tmp_path / "m"
    ct.save({"x": ct.arange(4.0), "n": [1, ct.tensor(2)], "e": ct.empty(0)}, path)
    before = path.read_bytes()
    out = ct.load(path, mmap=True)
    out["x"].add_(1)
    assert out["x"].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert out["n"][1].item() == 2
    assert path.read_bytes() == before
    assert type(out["x"].numpy()) is np.ndarray
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        ct.load(io.BytesIO(before), mmap=True)


def test_map_location():
    for place in (None, "cpu", ct.device("cpu"), {"cuda:0": "cpu"}, lambda storage, location: storage):
        assert trip([1], map_location=place) == [1]
    for place in ("cuda", {"cpu": "cuda:1"}):
        with pytest.raises(NotImplementedError, match="chainrule computes on the CPU"):
            trip([1], map_location=place)


# --- what cannot be saved as data ---


class Custom:
    pass


def test_errors_name_the_place_and_the_remedy():
    Point = namedtuple("Point", "x")
    model = ct.nn.Linear(1, 1)
    loop = []
    loop.append({"again": loop})
    cases = [
        (model, r"save: obj is a Linear, which is not plain data. Save obj.state_dict\(\) instead"),
        ({"net": [model]}, r"obj\['net'\]\[0\] is a Linear.* Save obj\['net'\]\[0\].state_dict\(\) instead"),
        ({"opt": ct.optim.SGD(model.parameters())}, r"obj\['opt'\] is a SGD.*state_dict\(\) instead, and load it with"),
        ({"f": lambda: 0}, r"obj\['f'\] is a function.*A function cannot be saved"),
        ([Custom()], r"obj\[0\] is a Custom, .*tensors, numbers, strings, lists and dicts"),
        ({"p": Point(1)}, r"obj\['p'\] is a Point.* Save tuple\(obj\['p'\]\)"),
        ({"d": __import__("collections").defaultdict(list)}, r"Save dict\(obj\['d'\]\) instead"),
        ({"a": np.array([None])}, r"obj\['a'\] has the dtype object, which the file format cannot hold"),
        (loop, r"obj\[0\]\['again'\] contains itself"),
    ]
    for obj, text in cases:
        with pytest.raises(TypeError, match=text):
            ct.save(obj, io.BytesIO())
    with pytest.raises(TypeError, match=r"ask for it: save\(obj, f, pickle=True\)"):
        ct.save(model, io.BytesIO())
    with pytest.raises(ValueError, match="pickle_module and pickle_protocol have no meaning"):
        ct.save(1, io.BytesIO(), pickle_protocol=4)


def test_pickle_only_on_request(tmp_path):
    path = tmp_path / "model.pickle"
    model = ct.nn.Linear(2, 1)
    ct.save(model, path, pickle=True)
    with pytest.raises(FileFormatError, match=r"is a pickle, and loading .* can run any code.*weights_only=False"):
        ct.load(path)
    with pytest.raises(FileFormatError, match="is a pickle"):
        ct.load(path, weights_only=True)
    again = ct.load(path, weights_only=False)
    same(list(again.parameters()), list(model.parameters()))
    for protocol in (2, 5):
        ct.save({"x": Custom}, path, pickle=True, pickle_protocol=protocol)
        assert ct.load(io.BytesIO(path.read_bytes()), weights_only=False) == {"x": Custom}
    with pytest.raises(ValueError, match="pickle_protocol=1"):
        ct.save(1, path, pickle=True, pickle_protocol=1)
    assert trip([1], weights_only=False) == [1]


def test_a_harmful_pickle_is_not_run(tmp_path):
    class Harm:
        def __reduce__(self):
            return Path.touch, (tmp_path / "harmed",)

    data = pickle.dumps(Harm())
    with pytest.raises(FileFormatError, match="is a pickle"):
        ct.load(io.BytesIO(data))
    assert not (tmp_path / "harmed").exists()


def test_our_header_is_what_the_reference_accepts():
    file = io.BytesIO()
    ct.save({"a": ct.ones(3).to(ct.int8), "b": ct.ones(2), "c": ct.ones(1).to(ct.bool)}, file)
    names = [name for name, _ in safetensors.deserialize(file.getvalue())]
    assert sorted(names) == ["a", "b", "c"]


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_header_as_long_as_a_pickle_begins_is_no_pickle(length):
    file = io.BytesIO()
    ct.save("", file)
    empty = len(file.getvalue().rstrip()) - 8
    file = io.BytesIO()
    ct.save("x" * (length - empty), file)
    assert int.from_bytes(file.getvalue()[:8], "little") == length
    file.seek(0)
    assert ct.load(file) == "x" * (length - empty)
