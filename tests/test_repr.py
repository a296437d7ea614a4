"""The text of a tensor is PyTorch's, character by character: a fixed table, and random arrays and options."""

import math

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import chainrule
from chainrule.errors import ArgumentError, ArgumentValueError, ChainruleError
from chainrule.tensors.format import (
    PRINT_OPTS,
    format_tensor,
    get_printoptions,
    printoptions,
    set_printoptions,
    shows_dtype,
)

DEFAULTS = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = [*map(np.dtype, "? u1 i1 i2 i4 i8 u2 u4 u8 f2 f4 f8".split()), BFLOAT16]


@pytest.fixture(autouse=True)
def default_options():
    assert get_printoptions() == DEFAULTS
    yield
    set_printoptions(profile="default")


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def text(data, default="torch.float32", **more):
    name = f"torch.{data.dtype.name}"
    return format_tensor(data, dtype_name=name, show_dtype=shows_dtype(name, default, empty=data.size == 0), **more)


def f32(*values):
    return np.array(values, np.float32)


inf, nan = math.inf, math.nan

TABLE = [
    (f32(6.0), {"grad_fn_name": "MulBackward0"}, "tensor([6.], grad_fn=<MulBackward0>)"),
    (np.array(1.5, np.float32), {}, "tensor(1.5000)"),
    (np.array(2.0, np.float32), {"requires_grad": True}, "tensor(2., requires_grad=True)"),
    (np.array(-0.0), {}, "tensor(-0., dtype=torch.float64)"),
    (np.array(7), {}, "tensor(7)"),
    (np.array(True), {}, "tensor(True)"),
    (f32(1, 2, 3), {}, "tensor([1., 2., 3.])"),
    (f32(0, -0.0), {}, "tensor([0., -0.])"),
    # Zeros are counted as one character wide although they take two, so their lines run past the line width.
    (np.zeros(25, np.float32), {}, "tensor([" + "0., " * 23 + "0.,\n        0.])"),
    (f32(1, -0.0), {}, "tensor([1., -0.])"),
    (f32(0.1, 2, -30), {}, "tensor([  0.1000,   2.0000, -30.0000])"),
    (f32(1, nan, -inf), {}, "tensor([1., nan, -inf])"),
    (f32(100, nan, inf), {}, "tensor([100.,  nan,  inf])"),
    (f32(0.5, nan, -inf), {}, "tensor([0.5000,    nan,   -inf])"),
    (f32(1e-5, nan, 0), {}, "tensor([1.0000e-05,        nan, 0.0000e+00])"),
    (f32(nan), {}, "tensor([nan])"),
    (f32(1, 1000), {}, "tensor([   1., 1000.])"),
    (f32(1, 1001), {}, "tensor([1.0000e+00, 1.0010e+03])"),
    (f32(0.1, 100), {}, "tensor([  0.1000, 100.0000])"),
    (f32(1e8), {}, "tensor([100000000.])"),
    (np.array([1e8 + 1]), {}, "tensor([1.0000e+08], dtype=torch.float64)"),
    (np.array([1e-4]), {}, "tensor([0.0001], dtype=torch.float64)"),
    (np.array([9.9e-5]), {}, "tensor([9.9000e-05], dtype=torch.float64)"),
    (np.array([5e-324, 1e308]), {}, "tensor([4.9407e-324, 1.0000e+308], dtype=torch.float64)"),
    (np.array([1, -20, 3]), {}, "tensor([  1, -20,   3])"),
    (np.array([True, False]), {}, "tensor([ True, False])"),
    (np.array([1, 2], np.uint8), {}, "tensor([1, 2], dtype=torch.uint8)"),
    (np.array([65504, 0.25], np.float16), {}, "tensor([6.5504e+04, 2.5000e-01], dtype=torch.float16)"),
    (np.array([1.5, 3], BFLOAT16), {}, "tensor([1.5000, 3.0000], dtype=torch.bfloat16)"),
    (f32(), {}, "tensor([])"),
    (np.zeros(0, np.int64), {}, "tensor([], dtype=torch.int64)"),
    (np.zeros((0, 3), np.float32), {}, "tensor([], size=(0, 3))"),
    (np.zeros((2, 0), bool), {}, "tensor([], size=(2, 0), dtype=torch.bool)"),
    (
        np.zeros((2, 0), np.float32),
        {"grad_fn_name": "ViewBackward0"},
        "tensor([], size=(2, 0), grad_fn=<ViewBackward0>)",
    ),
    (np.eye(2, dtype=np.float32), {}, "tensor([[1., 0.],\n        [0., 1.]])"),
    (np.arange(4).reshape(2, 2, 1), {}, "tensor([[[0],\n         [1]],\n\n        [[2],\n         [3]]])"),
    (
        np.full(15, 1.5, np.float32),
        {},
        "tensor([1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000,\n"
        "        1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000])",
    ),
    (
        np.full(8, 1.5),
        {"grad_fn_name": "MulBackward0"},
        "tensor([1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000, 1.5000],\n"
        "       dtype=torch.float64, grad_fn=<MulBackward0>)",
    ),
    (np.arange(1001), {}, "tensor([   0,    1,    2,  ...,  998,  999, 1000])"),
    (
        np.arange(2000, dtype=np.float32).reshape(1000, 2),
        {},
        "tensor([[0.0000e+00, 1.0000e+00],\n        [2.0000e+00, 3.0000e+00],\n        [4.0000e+00, 5.0000e+00],\n"
        "        ...,\n        [1.9940e+03, 1.9950e+03],\n        [1.9960e+03, 1.9970e+03],\n"
        "        [1.9980e+03, 1.9990e+03]])",
    ),
    (f32(1), {"class_name": "Image"}, "Image([1.])"),
    (f32(1, 2), {"contents": "..."}, "tensor(...)"),
]


@pytest.mark.parametrize("data, more, expected", TABLE, ids=[repr(row[2][:40]) for row in TABLE])
def test_table(data, more, expected):
    assert text(data, **more) == expected


def peer_text(torch, data, requires_grad=False, grad_fn_name=None, class_name="tensor", contents=None):
    """PyTorch's text of the same array, brought into the same state."""
    if data.dtype == BFLOAT16:
        tensor = torch.from_numpy(data.copy().view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(data.copy())
    if class_name != "tensor":
        tensor = tensor.as_subclass(type(class_name, (torch.Tensor,), {}))
    if requires_grad or grad_fn_name:
        tensor.requires_grad_()
    if grad_fn_name == "MulBackward0":
        tensor = tensor * 1
    elif grad_fn_name == "ViewBackward0":
        tensor = tensor.view(tensor.shape)
    return repr(tensor) if contents is None else tensor.__repr__(tensor_contents=contents)


@pytest.mark.parametrize("data, more, expected", TABLE, ids=[repr(row[2][:40]) for row in TABLE])
def test_table_is_what_the_peer_prints(torch, data, more, expected):
    assert peer_text(torch, data, **more) == expected


# Magnitudes that lie around every switch of the format, next to ordinary and special numbers.
reals = st.one_of(
    st.sampled_from([0.0, -0.0, nan, inf, -inf, 1e-4, 1e8, 1e3, 5e-324, 1e308, 65504.0]),
    st.integers(-2000, 2000).map(float),
    st.builds(lambda m, e: m * 10.0**e, st.integers(-9999, 9999), st.integers(-9, 9)),
    st.floats(),
)


def elements(dtype):
    if dtype.kind in "biu":
        return st.one_of(hnp.from_dtype(dtype), st.integers(0, 1 if dtype.kind == "b" else 120).map(dtype.type))

    def narrow(values):
        with np.errstate(all="ignore"):
            return np.array(values).astype(dtype)[()]

    return reals.map(narrow)


@st.composite
def arrays(draw):
    dtype = draw(st.sampled_from(DTYPES))
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=9))
    pool = draw(st.lists(elements(dtype), min_size=1, max_size=6))
    # A few values spread at random give every kind of column in big arrays too, and keep examples readable.
    data = np.array(pool, dtype)[np.random.default_rng(draw(st.integers(0, 99))).integers(len(pool), size=shape)]
    data = np.asarray(data).reshape(shape)
    return data.T if draw(st.booleans()) else data


options = st.fixed_dictionaries(
    {},
    optional={
        "precision": st.integers(0, 8),
        "threshold": st.sampled_from([0, 5, 10.5, 100, inf]),
        "edgeitems": st.integers(0, 4),
        "linewidth": st.integers(0, 130),
        "sci_mode": st.booleans(),
        "profile": st.sampled_from(["default", "short", "full"]),
    },
)


@settings(max_examples=300, deadline=None)
@given(arrays(), options, st.sampled_from(["float32", "float64", "float16"]), st.data())
def test_random_arrays_and_options_match_the_peer(torch, data, chosen, default, draw):
    peer_options = torch._tensor_str
    more = {}
    if data.dtype.kind not in "biu":
        more = draw.draw(
            st.sampled_from([{}, {"requires_grad": True}, {"grad_fn_name": "MulBackward0"}, {"class_name": "Sub"}])
        )
    before = torch.get_default_dtype()
    try:
        torch.set_default_dtype(getattr(torch, default))
        with printoptions(**chosen), peer_options.printoptions(**chosen):
            assert get_printoptions() == peer_options.get_printoptions()
            assert text(data, f"torch.{default}", **more) == peer_text(torch, data, **more)
    finally:
        torch.set_default_dtype(before)
    assert get_printoptions() == peer_options.get_printoptions() == DEFAULTS


@settings(deadline=None)
@given(st.integers(1, 40), st.integers(950, 1050), st.sampled_from(DTYPES))
def test_arrays_around_the_threshold_match_the_peer(torch, columns, count, dtype):
    rows = count // columns
    data = (np.arange(rows * columns).reshape(rows, columns) * 0.37 - 3).astype(np.int64).astype(dtype)
    assert text(data) == peer_text(torch, data)


def test_a_summary_reads_only_the_corners():
    """10^12 elements: reading a single row would be noticed."""
    data = np.broadcast_to(np.float32(1.5), (10**6, 10**3, 10**3))
    shown = text(data)
    assert shown.count("1.5000") == 6**3
    assert shown.count("...") == 6 * 6 + 6 + 1


def test_many_dimensions(torch):
    data = np.arange(3000.0).reshape((1,) * 40 + (3000,))
    assert text(data) == peer_text(torch, data)


def test_profiles_and_single_options():
    set_printoptions(profile="short", precision=3)
    assert get_printoptions() == {**DEFAULTS, "precision": 3, "edgeitems": 2}
    set_printoptions(profile="full", sci_mode=True)
    assert get_printoptions() == {**DEFAULTS, "threshold": inf, "sci_mode": True}
    assert text(f32(1)) == "tensor([1.0000e+00])"
    set_printoptions(linewidth=40)
    assert get_printoptions() == {**DEFAULTS, "threshold": inf, "linewidth": 40}


def test_printoptions_are_restored_after_an_error():
    with pytest.raises(KeyError), printoptions(precision=1, sci_mode=False):
        assert PRINT_OPTS.precision == 1 and PRINT_OPTS.sci_mode is False
        raise KeyError
    assert get_printoptions() == DEFAULTS


@pytest.mark.parametrize(
    "chosen, kind, message",
    [
        ({"profile": "long"}, ValueError, "profile must be one of 'default', 'short', 'full', got 'long'"),
        ({"precision": 2.0}, TypeError, "precision must be an int, got float 2.0"),
        ({"precision": -1}, ValueError, "precision must be at least 0, got -1"),
        ({"edgeitems": "3"}, TypeError, "edgeitems must be an int, got str '3'"),
        ({"threshold": "all"}, TypeError, "threshold must be a number, got str 'all'"),
        ({"threshold": nan}, TypeError, "threshold must be a number, got float nan"),
        ({"linewidth": inf}, ValueError, "linewidth must be finite, got inf"),
    ],
)
def test_bad_options_are_refused_and_change_nothing(chosen, kind, message):
    with pytest.raises(ChainruleError, match=message) as caught:
        set_printoptions(**{"precision": 1, "sci_mode": True, **chosen})
    assert isinstance(caught.value, kind) and isinstance(caught.value, (ArgumentError, ArgumentValueError))
    assert get_printoptions() == DEFAULTS


def subclass_of(base):
    return type("Weight", (base,), {})


# One program for both libraries, and what they print.
PROGRAMS = [
    (lambda t: t.tensor([2.0], requires_grad=True) * 3, "tensor([6.], grad_fn=<MulBackward0>)"),
    (lambda t: t.tensor([1.5, 2.0], requires_grad=True), "tensor([1.5000, 2.0000], requires_grad=True)"),
    (lambda t: (t.tensor([2.0], requires_grad=True) * 3).detach(), "tensor([6.])"),
    (lambda t: t.tensor(2.5), "tensor(2.5000)"),
    (lambda t: t.zeros(0, 2, dtype=t.float64), "tensor([], size=(0, 2), dtype=torch.float64)"),
    (lambda t: t.tensor([1.5], dtype=t.bfloat16), "tensor([1.5000], dtype=torch.bfloat16)"),
    (lambda t: t.tensor([True, False]), "tensor([ True, False])"),
    (lambda t: t.arange(2000)[::2], "tensor([   0,    2,    4,    6,"),
    (lambda t: t.arange(6).reshape(2, 3).t(), "tensor([[0, 3],\n        [1, 4],\n        [2, 5]])"),
    (lambda t: t.nn.Parameter(t.ones(2)), "Parameter containing:\ntensor([1., 1.], requires_grad=True)"),
    (lambda t: t.nn.Parameter(t.ones(2), requires_grad=False), "Parameter containing:\ntensor([1., 1.])"),
    (
        lambda t: subclass_of(t.nn.Parameter)(t.ones(2)),
        "Parameter containing:\nParameter(Weight([1., 1.], requires_grad=True))",
    ),
    (lambda t: t.nn.Buffer(t.ones(2)), "tensor([1., 1.])"),
    (lambda t: [t.ones(1), t.zeros(1)], "[tensor([1.]), tensor([0.])]"),
]


@pytest.mark.parametrize("program, expected", PROGRAMS, ids=[repr(row[1][:40]) for row in PROGRAMS])
def test_tensors(program, expected):
    shown = program(chainrule)
    assert repr(shown) == str(shown)
    assert repr(shown).startswith(expected)


@pytest.mark.parametrize("program, expected", PROGRAMS, ids=[repr(row[1][:40]) for row in PROGRAMS])
def test_tensors_are_what_the_peer_prints(torch, program, expected):
    assert repr(program(chainrule)) == repr(program(torch))


def test_the_default_dtype_is_not_shown():
    chainrule.set_default_dtype(chainrule.float64)
    try:
        assert repr(chainrule.tensor([1.0])) == "tensor([1.])"
        assert repr(chainrule.tensor([1.0], dtype=chainrule.float32)) == "tensor([1.], dtype=torch.float32)"
    finally:
        chainrule.set_default_dtype(chainrule.float32)


def test_format_of_a_single_element_is_that_of_a_number():
    assert f"{chainrule.tensor(1.25):.1f} {chainrule.tensor(7):>3} {chainrule.tensor(1.5)}" == "1.2   7 1.5"
    assert f"{chainrule.tensor(1.5, requires_grad=True):.2f}" == "1.50"
    assert f"{chainrule.tensor(1.5, dtype=chainrule.bfloat16):.2f}" == "1.50"
    assert f"{chainrule.tensor([1.5])}" == "tensor([1.5000])"
    with pytest.raises(TypeError, match="unsupported format string passed to Tensor.__format__"):
        format(chainrule.ones(2), ".2f")


def test_tensor_contents_stand_in_for_the_values():
    assert chainrule.ones(3, dtype=chainrule.int32).__repr__(tensor_contents="...") == "tensor(..., dtype=torch.int32)"


def test_print_options_are_those_of_the_package():
    chainrule.set_printoptions(precision=1)
    assert repr(chainrule.tensor([0.25])) == "tensor([0.2])"
