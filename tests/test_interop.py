"""NumPy, DLPack, pickles and copies."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr


def test_from_numpy_shares_memory_both_ways():
    a = np.arange(4.0)
    t = cr.from_numpy(a)
    a[0] = 9
    assert t[0].item() == 9
    t[1] = 7
    assert a[1] == 7
    assert t.numpy() is a or np.shares_memory(t.numpy(), a)


def test_from_numpy_refuses_what_it_can_not_share():
    with pytest.raises(ValueError, match="negative, and tensors with negative strides are not supported"):
        cr.from_numpy(np.arange(4.0)[::-1])
    with pytest.raises(TypeError, match="expected np.ndarray"):
        cr.from_numpy([1.0])
    with pytest.raises(RuntimeError, match="byte order"):
        cr.from_numpy(np.arange(3, dtype=">f8"))


def test_numpy_functions_take_tensors():
    t = cr.tensor([1.0, 2.0])
    assert np.asarray(t).dtype == np.float32
    assert np.sum(np.asarray(t)) == 3
    assert np.asarray(t, dtype=np.float64).dtype == np.float64
    assert isinstance(np.ones(2, np.float32) + t, cr.Tensor)
    assert (np.float64(2) * t).tolist() == [2.0, 4.0]


def test_numpy_of_a_tensor_that_requires_grad():
    x = cr.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Use tensor.detach\(\).numpy\(\) instead"):
        x.numpy()
    with pytest.raises(RuntimeError, match=r"Use tensor.detach\(\).numpy\(\) instead"):
        np.asarray(x)
    assert x.numpy(force=True).tolist() == [1, 1]


def test_dlpack_from_and_to_numpy():
    a = np.arange(6.0).reshape(2, 3)
    t = cr.from_dlpack(a)
    assert np.shares_memory(t.numpy(), a)
    b = np.from_dlpack(t)
    assert np.shares_memory(b, a)
    assert t.__dlpack_device__() == (1, 0)
    with pytest.raises(RuntimeError, match="require gradient"):
        np.from_dlpack(cr.ones(2, requires_grad=True))


def test_dlpack_from_and_to_pytorch():
    torch = pytest.importorskip("torch")
    theirs = torch.arange(4.0)
    mine = cr.from_dlpack(theirs)
    mine[0] = 5
    assert theirs[0] == 5
    back = torch.from_dlpack(cr.arange(3.0))
    assert back.tolist() == [0, 1, 2]
    assert torch.from_dlpack(cr.ones(2, 3).expand(2, 3)).shape == (2, 3)


def test_pickle_and_deepcopy_of_leaves():
    x = cr.tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    for other in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert other.requires_grad
        assert other.tolist() == x.tolist()
        other.data[0] = 9
        assert x.tolist() == [1.0, 2.0]
    assert copy.deepcopy(x).grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="created explicitly by the user"):
        copy.deepcopy(x * 2)
    with pytest.raises(RuntimeError, match="created explicitly by the user"):
        pickle.dumps(x * 2)


def test_dtype_and_device_survive_pickling():
    assert pickle.loads(pickle.dumps(cr.float32)) is cr.float32
    assert cr.device("cpu") == cr.ones(1).device
    with pytest.raises(NotImplementedError, match="chainrule computes on the CPU"):
        cr.device("cuda")
    with pytest.raises(NotImplementedError, match="chainrule computes on the CPU"):
        cr.ones(1).to("cuda:0")


def test_item_tolist_and_python_numbers():
    t = cr.tensor(2.5)
    assert (t.item(), float(t), int(t), bool(t)) == (2.5, 2.5, 2, True)
    assert [10, 20, 30][cr.tensor(1)] == 20
    with pytest.raises(RuntimeError, match="a Tensor with 2 elements cannot be converted to Scalar"):
        cr.ones(2).item()
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        bool(cr.ones(2))
    with pytest.raises(TypeError, match="only integer tensors of a single element can be converted to an index"):
        [1, 2][cr.tensor(1.0)]
    with pytest.raises(TypeError, match="len.. of a 0-d tensor"):
        len(t)
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(t)


def test_other_classes_get_their_turn():
    class Other:
        def __radd__(self, x):
            return "radd"

    assert cr.ones(2) + Other() == "radd"
    assert (cr.ones(2) == None) is False  # noqa: E711
    with pytest.raises(TypeError):
        cr.ones(2) + "a"
