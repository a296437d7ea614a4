"""Datasets, samplers, collation and the loader in one process."""

import collections
import types

import numpy as np
import pytest

import chainrule as ct
from chainrule.utils import data
from chainrule.utils.data import fetch

Point = collections.namedtuple("Point", ["x", "y"])


class Squares(data.Dataset):
    def __init__(self, n=10):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        return float(i), i * i


class Count(data.IterableDataset):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(self.n))


class Sized(Count):
    def __len__(self):
        return self.n - 1


def lists(loader):
    return [b.tolist() for b in loader]


# --- datasets ---


def test_tensor_dataset():
    d = data.TensorDataset(ct.arange(4.0), ct.arange(8).reshape(4, 2))
    assert len(d) == 4
    x, y = d[2]
    assert (x.item(), y.tolist()) == (2.0, [4, 5])
    assert [t.tolist() for t in d[1:3]] == [[1.0, 2.0], [[2, 3], [4, 5]]]
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        data.TensorDataset(ct.ones(3), ct.ones(4))


def test_stack_dataset():
    a, b = Squares(3), [10, 20, 30]
    assert data.StackDataset(a, b)[1] == ((1.0, 1), 20)
    assert data.StackDataset(x=a, y=b)[2] == {"x": (2.0, 4), "y": 30}
    assert data.StackDataset(x=a, y=b).__getitems__([0, 2])[1] == {"x": (2.0, 4), "y": 30}
    assert data.StackDataset(a, data.Subset(b, [2, 1, 0])).__getitems__([0])[0] == ((0.0, 0), 30)
    with pytest.raises(ValueError, match="At least one dataset"):
        data.StackDataset()
    with pytest.raises(ValueError, match="both types are given"):
        data.StackDataset(a, x=b)
    with pytest.raises(ValueError, match="Size mismatch between datasets"):
        data.StackDataset(a, [1])


def test_concat_and_chain():
    both = Squares(2) + Squares(3)
    assert isinstance(both, data.ConcatDataset)
    assert [both[i][1] for i in range(len(both))] == [0, 1, 0, 1, 4]
    assert both[-1] == (2.0, 4)
    with pytest.raises(ValueError, match="absolute value of index"):
        both[-6]
    with pytest.raises(IndexError, match="out of range for a ConcatDataset of length 5"):
        both[5]
    assert list(Count(2) + Count(3)) == [0, 1, 0, 1, 2]
    assert len(Sized(3) + Sized(2)) == 3
    with pytest.raises(AssertionError, match="use ChainDataset"):
        data.ConcatDataset([Count(1)])
    with pytest.raises(AssertionError, match="should not be an empty iterable"):
        data.ConcatDataset([])
    with pytest.raises(AssertionError, match="only supports IterableDataset"):
        list(data.ChainDataset([Squares()]))


def test_subset():
    s = data.Subset(Squares(), [3, 5, 7])
    assert s[1] == (5.0, 25)
    assert s.__getitems__([0, 2]) == [(3.0, 9), (7.0, 49)]
    with pytest.raises(NotImplementedError, match="must also override __getitems__"):

        class Odd(data.Subset):
            def __getitem__(self, i):
                return 0

        Odd(Squares(), [1])


def test_random_split():
    parts = data.random_split(range(10), [3, 7], generator=ct.Generator().manual_seed(1))
    again = data.random_split(range(10), [3, 7], generator=ct.Generator().manual_seed(1))
    assert [list(p) for p in parts] == [list(p) for p in again]
    assert sorted([*parts[0], *parts[1]]) == list(range(10))
    assert [len(p) for p in data.random_split(range(11), [0.5, 0.3, 0.2])] == [6, 3, 2]
    with pytest.raises(ValueError, match="does not equal the length"):
        data.random_split(range(10), [3, 3])
    with pytest.raises(ValueError, match="Fraction at index 0 is not between"):
        data.random_split(range(10), [1.5, -0.5])
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        data.random_split(range(1), [0.9, 0.1])


# --- samplers ---


def test_random_sampler():
    g = ct.Generator().manual_seed(0)
    s = data.RandomSampler(range(6), generator=g)
    first, second = list(s), list(s)
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    assert list(data.RandomSampler(range(6), generator=g.manual_seed(0))) == first
    many = list(data.RandomSampler(range(3), num_samples=7))
    assert len(many) == 7
    assert sorted(many[:3]) == sorted(many[3:6]) == [0, 1, 2]
    drawn = list(data.RandomSampler(range(3), replacement=True, num_samples=50))
    assert len(drawn) == 50
    assert set(drawn) == {0, 1, 2}
    ct.manual_seed(3)
    a = list(data.RandomSampler(range(20)))
    ct.manual_seed(3)
    assert list(data.RandomSampler(range(20))) == a
    with pytest.raises(TypeError, match="replacement should be a boolean"):
        data.RandomSampler(range(3), replacement=1)
    with pytest.raises(ValueError, match="num_samples should be a positive integer value, but got num_samples=0"):
        data.RandomSampler([])


def test_subset_and_weighted_samplers():
    assert sorted(data.SubsetRandomSampler([4, 2, 9])) == [2, 4, 9]
    s = data.WeightedRandomSampler([1.0, 0.0, 3.0], 4000, generator=ct.Generator().manual_seed(0))
    counts = np.bincount(list(s), minlength=3)
    assert counts[1] == 0
    assert 0.7 < counts[2] / 4000 < 0.8
    assert sorted(data.WeightedRandomSampler(ct.tensor([1.0, 0.0, 3.0]), 2, replacement=False)) == [0, 2]
    cases = [
        (lambda: data.WeightedRandomSampler([1.0], 0), "num_samples should be a positive"),
        (lambda: data.WeightedRandomSampler([1.0], 1, replacement=0), "replacement should be a boolean"),
        (lambda: data.WeightedRandomSampler([[1.0]], 1), "weights should be a 1d sequence|float"),
        (lambda: list(data.WeightedRandomSampler([-1.0, 2.0], 1)), "non-negative finite numbers"),
        (lambda: list(data.WeightedRandomSampler([1.0, 0.0], 2, replacement=False)), "from 1 positive weights"),
    ]
    for call, text in cases:
        with pytest.raises((ValueError, TypeError), match=text):
            call()


def test_batch_sampler():
    b = data.BatchSampler(data.SequentialSampler(range(7)), 3, False)
    assert list(b) == [[0, 1, 2], [3, 4, 5], [6]]
    assert [a.tolist() for a in b.arrays()] == list(b)
    assert len(b) == 3
    b = data.BatchSampler(data.SequentialSampler(range(7)), 3, True)
    assert list(b) == [[0, 1, 2], [3, 4, 5]] == [a.tolist() for a in b.arrays()]
    assert len(b) == 2
    with pytest.raises(ValueError, match="batch_size should be a positive integer"):
        data.BatchSampler(range(3), 0, False)
    with pytest.raises(ValueError, match="drop_last should be a boolean"):
        data.BatchSampler(range(3), 1, 1)


# --- collation ---


def samples(library, tensor):
    return [
        [1, 2],
        [True, False],
        [1.5, 2],
        [np.float32(1), np.float32(2)],
        [np.int8(1), np.int8(3)],
        [np.bool_(True)],
        [np.array([1.0, 2.0]), np.array([3.0, 4.0])],
        [np.array(1), np.array(2)],
        [tensor([1.0]), tensor([2.0])],
        [tensor(1.0), tensor(2.0)],
        ["a", "b"],
        [b"a", b"b"],
        [(1, "a"), (2, "b")],
        [[1, 2.0], [3, 4.0]],
        [{"a": 1, "b": [tensor([1])]}, {"a": 2, "b": [tensor([2])]}],
        [Point(1, tensor(2.0)), Point(3, tensor(4.0))],
        [collections.OrderedDict(a=1), collections.OrderedDict(a=2)],
        [types.MappingProxyType({"a": 1})],
        [range(3), range(3)],
    ]


def plain(value):
    """Tensors of both libraries as (dtype, list), so that results can be compared."""
    if hasattr(value, "requires_grad"):
        return str(value.dtype), value.tolist()
    if isinstance(value, collections.abc.Mapping):
        return type(value), {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value), [plain(v) for v in value]
    return value


def test_collate_and_convert_match_pytorch():
    torch = pytest.importorskip("torch")
    from torch.utils.data import default_collate, default_convert

    for ours, theirs in zip(samples(ct, ct.tensor), samples(torch, torch.tensor), strict=True):
        assert plain(data.default_collate(ours)) == plain(default_collate(theirs))
        assert plain(data.default_convert(ours)) == plain(default_convert(theirs))
    for value in (np.array(["a"]), np.str_("a"), np.float64(2), {"a": np.arange(2)}, 3, None):
        assert plain(data.default_convert(value)) == plain(default_convert(value))


def test_collate_errors():
    with pytest.raises(TypeError, match="must contain tensors, numpy arrays, numbers, dicts or lists; found .*object"):
        data.default_collate([object()])
    with pytest.raises(TypeError, match="found <U1"):
        data.default_collate([np.array(["a"])])
    with pytest.raises(RuntimeError, match=r"should be of equal size, but got lengths \[1, 2\]"):
        data.default_collate([[1], [1, 2]])
    with pytest.raises(RuntimeError, match="equal size"):
        data.default_collate([ct.ones(2), ct.ones(3)])


def test_collate_keeps_the_graph_of_recorded_samples():
    w = ct.ones(2, requires_grad=True)
    batch = data.default_collate([w, 2 * w])
    batch.sum().backward()
    assert w.grad.tolist() == [3.0, 3.0]


# --- the loader ---


def test_batches():
    loader = data.DataLoader(Squares(5), batch_size=2)
    batches = list(loader)
    assert len(loader) == len(batches) == 3
    assert [b[1].tolist() for b in batches] == [[0, 1], [4, 9], [16]]
    assert batches[0][0].dtype == ct.float64
    assert len(data.DataLoader(Squares(5), batch_size=2, drop_last=True)) == 2
    assert len(list(data.DataLoader(Squares(5), batch_size=2, drop_last=True))) == 2
    assert lists(data.DataLoader(range(4), batch_size=2, collate_fn=lambda b: ct.tensor(b) * 10)) == [[0, 10], [20, 30]]


def test_batch_size_none():
    out = list(data.DataLoader([np.arange(2), np.arange(3)], batch_size=None))
    assert [type(o) for o in out] == [ct.Tensor, ct.Tensor]
    assert list(data.DataLoader(Count(3), batch_size=None)) == [0, 1, 2]
    assert list(data.DataLoader(["a", "b"], batch_size=None, shuffle=False)) == ["a", "b"]


def test_samplers_in_the_loader():
    assert lists(data.DataLoader(range(10), sampler=[3, 1, 4], batch_size=2)) == [[3, 1], [4]]
    assert lists(data.DataLoader(range(10), batch_sampler=[[3, 1, 4], [1]])) == [[3, 1, 4], [1]]
    g = ct.Generator().manual_seed(5)
    a = [lists(data.DataLoader(range(9), batch_size=4, shuffle=True, generator=g)) for _ in range(2)]
    g.manual_seed(5)
    assert [lists(data.DataLoader(range(9), batch_size=4, shuffle=True, generator=g)) for _ in range(2)] == a
    assert a[0] != a[1]


def test_iterable_dataset():
    assert lists(data.DataLoader(Count(5), batch_size=2)) == [[0, 1], [2, 3], [4]]
    assert lists(data.DataLoader(Count(5), batch_size=2, drop_last=True)) == [[0, 1], [2, 3]]
    assert lists(data.DataLoader(Count(4), batch_size=2)) == [[0, 1], [2, 3]]
    with pytest.raises(TypeError, match="has no len"):
        len(data.DataLoader(Count(5)))
    loader = data.DataLoader(Sized(4), batch_size=None)
    assert len(loader) == 3
    with pytest.warns(UserWarning, match="was reported to be 3.*but 4 samples have been fetched"):
        list(loader)


def test_getitems_is_used():
    class Several(Squares):
        def __getitems__(self, indices):
            return [-i for i in indices]

    assert lists(data.DataLoader(Several(4), batch_size=4)) == [[0, -1, -2, -3]]


def test_tensor_dataset_quick_path_is_the_general_path():
    """The quick path is taken, gives the same, in fresh memory; where it would not, it is not taken."""
    x, y = ct.arange(14.0).reshape(7, 2), ct.arange(7)
    d = data.TensorDataset(x, y)
    subset = data.Subset(data.Subset(d, [6, 5, 4, 3, 0]), ct.tensor([4, 1, 2, 0]))
    for dataset in (d, subset):
        for options in ({}, {"sampler": [1, 0, -1]}, {"batch_sampler": [[0, 2], []]}, {"drop_last": True}):
            assert fetch.tensor_fetcher(dataset, data.default_collate) is not None
            size = {} if "batch_sampler" in options else {"batch_size": 3}
            quick = list(data.DataLoader(dataset, **size, **options))

            def collate(batch):
                return data.default_collate(batch) if batch else [x[:0], y[:0]]

            general = list(data.DataLoader(dataset, **size, **options, collate_fn=collate))
            assert plain(quick) == plain(general)
            assert all(type(b) is list for b in quick)
    batch = next(iter(data.DataLoader(d, batch_size=7)))
    batch[0].fill_(-1.0)
    assert x.min().item() == 0.0
    w = ct.ones(3, 2, requires_grad=True)
    assert fetch.tensor_fetcher(data.TensorDataset(w), data.default_collate) is None
    next(iter(data.DataLoader(data.TensorDataset(w), batch_size=2)))[0].sum().backward()
    assert w.grad.tolist() == [[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]

    class Doubled(data.TensorDataset):
        def __getitem__(self, i):
            return tuple(2 * t for t in super().__getitem__(i))

    assert next(iter(data.DataLoader(Doubled(y), batch_size=3)))[0].tolist() == [0, 2, 4]
    assert lists(b for (b,) in data.DataLoader(data.TensorDataset(y), sampler=ct.tensor([2, 1]))) == [[2], [1]]
    with pytest.raises(IndexError):
        list(data.DataLoader(d, sampler=[7]))


def test_shuffling_is_the_same_on_both_paths():
    d = data.TensorDataset(ct.arange(10))

    def epochs(**options):
        ct.manual_seed(0)
        loader = data.DataLoader(d, batch_size=4, shuffle=True, **options)
        return [[b[0].tolist() for b in loader] for _ in range(2)]

    assert epochs() == epochs(collate_fn=lambda batch: data.default_collate(batch))


def test_argument_errors():
    d = Squares()
    cases = [
        ({"num_workers": -1}, ValueError, "num_workers option should be non-negative"),
        ({"timeout": -1}, ValueError, "timeout option should be non-negative"),
        ({"timeout": 3}, ValueError, "timeout option could only be specified with num_workers > 0"),
        ({"prefetch_factor": 2}, ValueError, "prefetch_factor option could only be specified in multiprocessing"),
        ({"prefetch_factor": -2, "num_workers": 1}, ValueError, "prefetch_factor option should be positive"),
        ({"persistent_workers": True}, ValueError, "persistent_workers option needs num_workers > 0"),
        ({"multiprocessing_context": "fork"}, ValueError, "can only be used with multi-process loading"),
        ({"multiprocessing_context": "x", "num_workers": 1}, ValueError, "should specify a valid start method"),
        ({"multiprocessing_context": 3, "num_workers": 1}, TypeError, "should be a valid context object"),
        ({"shuffle": True, "sampler": [1]}, ValueError, "sampler option is mutually exclusive with shuffle"),
        ({"batch_sampler": [[1]], "batch_size": 2}, ValueError, "batch_sampler option is mutually exclusive"),
        ({"batch_size": None, "drop_last": True}, ValueError, "batch_size=None option disables auto-batching"),
        ({"batch_size": 0}, ValueError, "batch_size should be a positive integer value, but got batch_size=0"),
    ]
    for options, kind, text in cases:
        with pytest.raises(kind, match=text):
            data.DataLoader(d, **options)
    for option in ({"shuffle": True}, {"sampler": [1]}, {"batch_sampler": [[1]]}):
        with pytest.raises(ValueError, match=f"expected unspecified {next(iter(option))} option, but got"):
            data.DataLoader(Count(3), **option)
    loader = data.DataLoader(d)
    with pytest.raises(ValueError, match="batch_size attribute should not be set after DataLoader is initialized"):
        loader.batch_size = 3
    with pytest.raises(NotImplementedError, match="Subclasses of Dataset should implement"):
        data.Dataset()[0]
    with pytest.raises(NotImplementedError, match="cannot be pickled"):
        import pickle

        pickle.dumps(iter(loader))


def test_pin_memory_is_accepted():
    assert len(list(data.DataLoader(Squares(3), pin_memory=True))) == 3


def test_worker_count_warning():
    with pytest.warns(UserWarning, match="will create 1000 worker processes"):
        data.DataLoader(Squares(3), num_workers=1000)
