"""Dtypes and promotion, against PyTorch's own answers."""

import itertools

import numpy as np
import pytest

import chainrule as cr

torch = pytest.importorskip("torch")

NAMES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64"]


@pytest.mark.parametrize("a, b", list(itertools.product(NAMES, NAMES)))
def test_promote_types(a, b):
    assert str(cr.promote_types(getattr(cr, a), getattr(cr, b))) == str(
        torch.promote_types(getattr(torch, a), getattr(torch, b))
    )


@pytest.mark.parametrize("a, b", list(itertools.product(NAMES, NAMES)))
@pytest.mark.parametrize("shapes", [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())], ids=str)
def test_operators_promote(a, b, shapes):
    mine = cr.ones(shapes[0], dtype=getattr(cr, a)) * cr.ones(shapes[1], dtype=getattr(cr, b))
    theirs = torch.ones(shapes[0], dtype=getattr(torch, a)) * torch.ones(shapes[1], dtype=getattr(torch, b))
    assert str(mine.dtype) == str(theirs.dtype)
    assert tuple(mine.shape) == tuple(theirs.shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [True, 2, 2.5])
@pytest.mark.parametrize("op", ["__add__", "__mul__", "__truediv__", "__rsub__", "__lt__", "__pow__"])
def test_numbers_are_weak(name, number, op):
    def outcome(lib):
        try:
            return str(getattr(lib.ones(2, dtype=getattr(lib, name)), op)(number).dtype)
        except (RuntimeError, TypeError):
            return "error"

    assert outcome(cr) == outcome(torch)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("function", ["exp", "sin", "sqrt", "sum", "abs", "sigmoid", "round", "cumsum", "sign"])
def test_functions_of_every_dtype(name, function):
    def outcome(lib):
        try:
            x = lib.ones(3, dtype=getattr(lib, name))
            args = (0,) if function == "cumsum" else ()
            return str(getattr(lib, function)(x, *args).dtype)
        except (RuntimeError, TypeError, NotImplementedError):
            return "error"

    assert outcome(cr) == outcome(torch)


def test_a_default_dtype_can_be_set():
    try:
        cr.set_default_dtype(cr.float64)
        assert cr.tensor([1.0]).dtype is cr.float64
        assert cr.ones(2).dtype is cr.float64
        assert (cr.ones(2, dtype=cr.int64) / 2).dtype is cr.float64
    finally:
        cr.set_default_dtype(cr.float32)
    with pytest.raises(TypeError, match="only floating-point types are supported as the default type"):
        cr.set_default_dtype(cr.int64)


def test_complex_is_a_clear_error():
    with pytest.raises(NotImplementedError, match="complex numbers are not supported"):
        cr.tensor([1j])
    with pytest.raises(NotImplementedError, match=r"complex numbers \(complex64\) are not supported"):
        cr.from_numpy(np.ones(2, np.complex64))
    with pytest.raises(NotImplementedError, match="complex numbers are not supported"):
        cr.ones(2) * 1j


def test_integers_have_no_gradient():
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype can require gradients"):
        cr.tensor([1], requires_grad=True)


def test_bfloat16_and_half_compute_and_differentiate():
    for d in (cr.bfloat16, cr.float16):
        x = cr.tensor([1.0, 2.0], dtype=d, requires_grad=True)
        (x * x).sum().backward()
        assert x.grad.dtype is d
        assert x.grad.float().tolist() == [2.0, 4.0]


def test_mixed_dtypes_get_gradients_in_their_own_dtype():
    a = cr.ones(2, dtype=cr.float32, requires_grad=True)
    b = cr.ones(2, dtype=cr.float64, requires_grad=True)
    (a * b).sum().backward()
    assert a.grad.dtype is cr.float32
    assert b.grad.dtype is cr.float64


def test_finfo_and_iinfo():
    for name in ("float16", "float32", "float64", "bfloat16"):
        mine, theirs = cr.finfo(getattr(cr, name)), torch.finfo(getattr(torch, name))
        for field in ("bits", "eps", "max", "min", "tiny", "dtype"):
            assert getattr(mine, field) == getattr(theirs, field), (name, field)
    for name in ("int8", "uint8", "int32", "int64"):
        mine, theirs = cr.iinfo(getattr(cr, name)), torch.iinfo(getattr(torch, name))
        assert (mine.bits, mine.max, mine.min) == (theirs.bits, theirs.max, theirs.min)
