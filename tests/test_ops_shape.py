"""Operators that move elements, against PyTorch: shapes, views, joining, rearranging, triangles, padding."""

import re

import numpy as np
import pytest

import chainrule as cr
from peer import check, check_error, check_forward, check_second_order, check_vmap

torch = pytest.importorskip("torch")

SHAPES = """
x.view(6, 4)
x.view((4, -1))
x.view(-1)
x.view(2, 3, 2, 2)
s.view(1, 1)
e.view(3, 0)
x.transpose(0, 1).view(3, 2, 2, 2)
x.reshape(6, 4)
x.reshape(-1, 2)
x[:, 1:].reshape(2, 8)
T.reshape(x, (24,))
x.view_as(x)
v.reshape_as(v.view(2, 2))
x.flatten()
x.flatten(1)
x.flatten(0, 1)
x.flatten(1, 1)
s.flatten()
x.ravel()
x.unflatten(2, (2, 2))
x.unflatten(-1, (-1, 2))
x[:, :1].squeeze()
x[:, :1].squeeze(1)
x[:, :1].squeeze(0)
x[:1, :1].squeeze((0, 1))
s.squeeze(0)
x.unsqueeze(0)
x.unsqueeze(-1)
x.unsqueeze(2)
s.unsqueeze(0)
v.expand(3, 4)
v.expand(2, -1)
x[:, :1].expand(-1, 5, -1)
x.expand(x.shape)
s.expand(2, 2)
v.expand_as(x)
T.broadcast_to(v, (2, 4))
T.broadcast_tensors(x, v, s)
x.permute(2, 0, 1)
x.permute((-1, 0, 1))
T.permute(x, dims=(1, 0, 2))
s.permute(())
x.transpose(0, 2)
x.transpose(-1, 0)
x.swapaxes(0, 1)
x.swapdims(0, 1)
s.transpose(0, -1)
m.t()
v.t()
T.adjoint(x)
x.movedim(0, 2)
x.movedim((0, 1), (2, 0))
x.moveaxis(2, 0)
T.atleast_1d(s)
T.atleast_2d(v)
T.atleast_2d(s, v, m)
T.atleast_3d(v, m, x, s)
x.clone()
m.t().clone()
x.contiguous()
m.t().contiguous()
""".strip().splitlines()

PARTS = """
x.select(1, 2)
x.select(-1, -1)
x.narrow(1, 1, 2)
x.narrow(1, -2, 2)
x.narrow(0, 2, 0)
x.narrow_copy(2, 1, 2)
x.unbind(1)
x.unbind(-1)
v.unbind()
x.split(2, 1)
x.split([1, 2], 1)
x.split((3, 1), -1)
e.split(1)
x.split_with_sizes([1, 2], 1)
x.chunk(2, 1)
x.chunk(5, 2)
e.chunk(2)
x.tensor_split(2, 1)
x.tensor_split((1, 2), 1)
x.tensor_split((3, 1, 7), 1)
x.tensor_split(I(1, 2), 1)
x.hsplit(3)
v.hsplit(2)
x.vsplit(2)
x.dsplit([1, 3])
x.unfold(2, 2, 1)
x.unfold(1, 2, 2)
v.unfold(0, 3, 1)
x.diagonal()
x.diagonal(1, 1, 2)
x.diagonal(-1, 0, 2)
x.diagonal(7)
T.linalg.diagonal(x, offset=1)
x.as_strided((2, 2), (1, 2))
x.as_strided((3, 3), (1, 1), 2)
v.as_strided((2, 3), (1, 1))
""".strip().splitlines()

JOINED = """
T.cat([x, x], 1)
T.cat((x, x[:1]), 0)
T.cat([v, u, v], -1)
T.cat([T.zeros(0, dtype=T.float64), x], 1)
T.cat([v, I(1, 2)])
T.concat([v, u])
T.concatenate([v, u], axis=0)
T.stack([v, u])
T.stack([v, u], 1)
T.stack([x, x], -1)
T.stack([s, s])
T.hstack([x, x])
T.hstack([v, s])
T.vstack([v, u])
T.row_stack([v, u])
T.dstack([v, u])
T.dstack([x, x])
T.column_stack([v, u])
T.column_stack([m, m])
T.block_diag(m, v, s)
T.meshgrid(v, w[:, 0], indexing="ij")
T.meshgrid(v, w[:, 0], s, indexing="xy")
T.cartesian_prod(v)
T.cartesian_prod(v, u, w[:, 0])
T.combinations(v)
T.combinations(v, 3)
T.combinations(v, 2, with_replacement=True)
T.combinations(v, 0)
x.view(T.int64)
x.unsafe_split(2, 1)
x.unsafe_chunk(2, 1)
""".strip().splitlines()

REARRANGED = """
x.flip(0)
x.flip(0, 2)
x.flip((-1,))
T.flip(x, [1])
T.fliplr(m)
T.flipud(v)
m.rot90()
x.rot90(2, (1, 2))
x.rot90(-1, (0, 2))
x.roll(1)
x.roll(-2, 1)
x.roll((1, 2), (0, 1))
x.repeat(2, 1, 1)
x.repeat(2, 1, 3, 1)
s.repeat(3)
v.repeat(0)
x.tile(2)
x.tile((2, 1, 1, 2))
T.tile(v, dims=(2,))
v.repeat_interleave(2)
x.repeat_interleave(3, 1)
x.repeat_interleave(2, -1)
x.repeat_interleave(I(0, 2, 1), 1)
x.repeat_interleave(I(2), 1, output_size=6)
T.repeat_interleave(I(0, 2, 1))
F.pixel_shuffle(img, 2)
F.pixel_unshuffle(img[:, :, :2], 2)
F.channel_shuffle(img, 2)
x.tril()
x.triu()
w.tril(-1)
w.triu(1)
T.tril_indices(3, 4, -1)
T.triu_indices(4, 3, 1, dtype=T.int32)
v.diag()
v.diag(-1)
m.diag(1)
w.diag()
x.diag_embed()
v.diag_embed(1, 0, 1)
x.diag_embed(-1, 0, 2)
m.diagflat(1)
m.trace()
w.trace()
""".strip().splitlines()

PADDED = """
F.pad(x, (1, 2))
F.pad(x, (1, 2, 0, 1, 3, 0), value=2.5)
F.pad(x, (-1, 2, 1, -1))
F.pad(x, ())
F.pad(m, (1, 1), "reflect")
F.pad(x, (2, 1, 1, 2), "reflect")
F.pad(img, (2, 1, 1, 2), "reflect")
F.pad(x, (-1, 2, 1, 1), "reflect")
F.pad(x, (5, 1), "replicate")
F.pad(img, (5, 1, 2, 0), "replicate")
F.pad(img, (1, -1, 2, 0, 1, 1), "replicate")
F.pad(x, (2, 1), "circular")
F.pad(img, (4, 1, 0, 2), "circular")
F.pad(img, (-1, 2, 1, -1), "circular")
F.unfold(img, 2)
F.unfold(img, (2, 3), dilation=(1, 1), padding=(1, 2), stride=(2, 1))
F.unfold(img[0], 2, dilation=2)
F.fold(img.reshape(2, 8, 6), (3, 4), 2)
F.fold(img.reshape(2, 8, 6)[0], (3, 4), 2)
F.fold(img.reshape(2, 4, 12), (4, 6), 2, stride=2, padding=1)
""".strip().splitlines()


@pytest.mark.parametrize("text", SHAPES + PARTS)
def test_views(text):
    check(text)


@pytest.mark.parametrize("text", JOINED + REARRANGED + PADDED)
def test_copies(text):
    """Which steps composites take differs (so their node names, and whether the last one is a view)."""
    check(text, names=False, views=False)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("T.cat([x, x])", "CatBackward0"),
        ("T.stack([v, u])", "StackBackward0"),
        ("x.flip(0)", "FlipBackward0"),
        ("x.roll(1, 0)", "RollBackward0"),
        ("x.repeat(2, 1, 1)", "RepeatBackward0"),
        ("x.tril()", "TrilBackward0"),
        ("v.diag()", "DiagEmbedBackward0"),
        ("m.diag()", "DiagonalBackward0_copy"),
        ("m.trace()", "TraceBackward0"),
        ("F.pad(x, (1, 1))", "ConstantPadNdBackward0"),
        ("F.pad(m, (1, 1), 'reflect')", "ReflectionPad1DBackward0"),
        ("F.unfold(img, 2)", "Im2ColBackward0"),
        ("F.fold(img.reshape(2, 8, 6), (3, 4), 2)", "Col2ImBackward0"),
    ],
)
def test_node_names(text, name):
    check(text, views=False)
    from peer import inputs

    assert type(eval(text, inputs(cr)).grad_fn).__name__ == name


ERRORS = [
    ("x.view(5, 5)", "shape '[5, 5]' is invalid for input of size 24"),
    ("x.view(-1, -1)", "only one dimension can be inferred"),
    ("x.view(-2, 3)", "invalid shape dimension -2"),
    ("x.view(-1, 5)", "shape '[-1, 5]' is invalid for input of size 24"),
    ("x[:0].reshape(-1, 0)", "because the unspecified dimension size -1 can be any value and is ambiguous"),
    ("x.transpose(0, 1).view(24)", "view size is not compatible with input tensor's size and stride"),
    ("x.flatten(2, 1)", "flatten() has invalid args: start_dim cannot come after end_dim"),
    (
        "x.unflatten(2, (3, 2))",
        "unflatten: Provided sizes [3, 2] don't multiply up to the size of dim 2 (4) in the input tensor",
    ),
    ("x.unsqueeze(5)", "Dimension out of range (expected to be in range of [-4, 3], but got 5)"),
    ("x.squeeze(-4)", "Dimension out of range (expected to be in range of [-3, 2], but got -4)"),
    (
        "x.expand(2, 5, 4)",
        "The expanded size of the tensor (5) must match the existing size (3) at non-singleton dimension 1.",
    ),
    (
        "x.expand(3, 4)",
        "the number of sizes provided (2) must be greater or equal to the number of dimensions in the tensor (3)",
    ),
    (
        "x.expand(-1, 2, 3, 4)",
        "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension 0",
    ),
    (
        "T.broadcast_tensors(x, x[0, :2])",
        "The size of tensor a (3) must match the size of tensor b (2) at non-singleton dimension 1",
    ),
    ("T.broadcast_shapes((2, 3), (2,))", "Attempting to broadcast a dimension of length 2 at -1!"),
    ("x.permute(0, 1)", "input.dim() = 3 is not equal to len(dims) = 2"),
    ("x.permute(0, 1, 1)", "permute(): duplicate dims are not allowed."),
    ("x.t()", "t() expects a tensor with <= 2 dimensions, but self is 3D"),
    ("x.movedim((0, 1), (1,))", "movedim: Invalid source or destination dims: source"),
    ("x.movedim((0, 0), (1, 2))", "movedim: repeated dim in `source` ([0, 0])"),
    ("x.narrow(0, 1, 2)", "start (1) + length (2) exceeds dimension size (2)."),
    ("x.narrow(0, 3, 0)", "start out of range (expected to be in range of [-2, 2], but got 3)"),
    ("x.narrow(0, 0, -1)", "narrow(): length must be non-negative."),
    ("x.select(1, 3)", "select(): index 3 out of range for tensor of size [2, 3, 4] at dimension 1"),
    ("s.unbind()", "Dimension specified as 0 but tensor has no dimensions"),
    ("s.split(1)", "split expects at least a 1-dimensional tensor"),
    (
        "x.split([1, 1], 1)",
        "split_with_sizes expects split_sizes to sum exactly to 3 (input tensor's size at dimension 1)",
    ),
    ("x.split([1, -1, 3], 1)", "split_with_sizes expects split_sizes have only non-negative entries"),
    ("x.split(-1, 1)", "split expects split_size be non-negative, but got split_size=-1"),
    ("x.split(0, 1)", "split_size can only be 0 if dimension size is 0, but got dimension size of 3"),
    ("x.chunk(0)", "chunk expects `chunks` to be greater than 0, got: 0"),
    ("x.tensor_split(0, 1)", "number of sections must be larger than 0, got 0"),
    (
        "x.hsplit(2)",
        "torch.hsplit attempted to split along dimension 1, but the size of the dimension 3 is not divisible by the",
    ),
    ("m.dsplit(2)", "torch.dsplit requires a tensor with at least 3 dimension, but got a tensor with 2 dimensions!"),
    ("x.unfold(2, 5, 1)", "maximum size for tensor at dimension 2 is 4 but size is 5"),
    ("x.unfold(2, 2, 0)", "step is 0 but must be > 0"),
    ("x.diagonal(0, 1, 1)", "diagonal dimensions cannot be identical 1, 1"),
    ("v.as_strided((20,), (1,))", "are out of bounds for storage of size"),
    ("T.cat([])", "expected a non-empty list of Tensors"),
    (
        "T.cat([x, x[:1]], 1)",
        "Sizes of tensors must match except in dimension 1. Expected size 2 but got size 1 for tensor number 1",
    ),
    ("T.cat([x, m], 1)", "Tensors must have same number of dimensions: got 3 and 2"),
    ("T.cat([x, 1])", "expected Tensor as element 1 in argument 0, but got int"),
    ("T.cat(x)", "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"),
    ("T.cat([s, s])", "zero-dimensional tensor (at position 0) cannot be concatenated"),
    (
        "T.stack([x, m])",
        "stack expects each tensor to be equal size, but got [2, 3, 4] at entry 0 and [3, 3] at entry 1",
    ),
    ("T.stack([])", "stack expects a non-empty TensorList"),
    ("T.block_diag(x)", "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input 0 has 3 dimensions"),
    ("T.meshgrid(v, v, indexing='a')", 'torch.meshgrid: indexing must be one of "xy" or "ij", but received: a'),
    ("T.meshgrid(m, indexing='ij')", "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got:"),
    ("T.cartesian_prod(m)", "Expect a 1D vector, but got shape [3, 3]"),
    ("x.flip(0, 0)", "dim 0 appears multiple times in the list of dims"),
    ("v.fliplr()", "Input must be >= 2-d."),
    ("s.flipud()", "Input must be >= 1-d."),
    ("x.rot90(1, (0, 0))", "expected rotation dims to be different, but got dim0 = 0 and dim1 = 0"),
    ("x.roll((1, 2), (0,))", "shifts and dimensions must align. shifts: 2, dims:1"),
    ("x.repeat(2)", "Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor"),
    ("x.repeat(-1, 1, 1)", "Trying to create tensor with negative dimension -2: [-2, 3, 4]"),
    (
        "x.repeat_interleave(I(1, 2, 3), 0)",
        "repeats must have the same size as input along dim, but got repeats.size(0) = 3",
    ),
    (
        "F.pixel_shuffle(img, 3)",
        "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square of upscale_factor",
    ),
    ("F.pixel_unshuffle(img, 2)", "pixel_unshuffle expects height to be divisible by downscale_factor"),
    ("v.tril()", "tril: input tensor must have at least 2 dimensions"),
    ("x.trace()", "trace: expected a matrix, but got tensor with dim 3"),
    ("x.diag()", "diag(): Supports 1D or 2D tensors. Got 3D"),
    ("F.pad(x, (1,))", "Padding length must be divisible by 2"),
    (
        "F.pad(m, (1, 1) * 3)",
        "Padding length should be less than or equal to two times the input dimension but got padding length 6",
    ),
    (
        "F.pad(x, (4, 0), 'reflect')",
        "Padding size should be less than the corresponding input dimension, but got: padding (4, 0)",
    ),
    ("F.pad(x, (1, 1), 'reflect', 2.0)", 'Padding mode "reflect" doesn\'t take in value argument'),
    ("F.pad(x, (1, 1), 'foo')", "Unrecognised padding mode foo"),
    ("F.pad(v, (1, 1), 'reflect')", "Padding size 2 is not supported for 1D input tensor."),
    ("F.pad(x, (5, 1), 'circular')", "Padding value causes wrapping around more than once."),
    ("F.unfold(img, 5)", "calculated shape of the array of sliding blocks as"),
    (
        "F.fold(img.reshape(2, 8, 6), (3, 3), 2)",
        "to match the calculated number of sliding blocks 2 * 2 = 4, but got input.size(2)=6.",
    ),
]


@pytest.mark.parametrize(("text", "message"), ERRORS)
def test_errors(text, message):
    check_error(text, message)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("x.transpose(0, 1).reshape(6, 4) ** 2", "x"),
        ("v.expand(3, 4) ** 2", "v"),
        ("x.permute(2, 0, 1) ** 3", "x"),
        ("T.cat([v, u]) * T.cat([u, v])", "vu"),
        ("T.stack([v * u, u])", "vu"),
        ("x.unfold(2, 2, 1) ** 2", "x"),
        ("x.as_strided((3, 3), (1, 1)) ** 2", "x"),
        ("x.diagonal(1, 1, 2) ** 2", "x"),
        ("x.split(2, 1)[0] ** 2", "x"),
        ("v.diag(1) ** 2", "v"),
        ("m.trace() ** 2", "m"),
        ("m.tril() ** 2", "m"),
        ("x.roll(1, 1) ** 2", "x"),
        ("v.repeat(2, 3) ** 2", "v"),
        ("x.repeat_interleave(2, 1) ** 2", "x"),
        ("T.block_diag(m, v) ** 2", "mv"),
        ("F.pad(x, (1, -1), value=1.0) ** 2", "x"),
        ("F.pad(x, (2, 1, 1, 0), 'reflect') ** 2", "x"),
        ("F.pad(x, (2, 1, 1, 0), 'replicate') ** 2", "x"),
        ("F.pad(x, (2, 1, 1, 0), 'circular') ** 2", "x"),
        ("F.unfold(x[None], 2, padding=1) ** 2", "x"),
        ("F.fold(x.reshape(1, 4, 6), (3, 4), 2) ** 2", "x"),
        ("x.rot90(1, (0, 2)) ** 2", "x"),
        ("x.flip(0, 2) ** 2", "x"),
        ("T.combinations(v).prod(1)", "v"),
    ],
)
def test_second_order(text, names):
    check_second_order(text, *names)


def test_views_share_memory():
    """Writing through any view shows in the tensor it was made from."""
    base = cr.zeros(2, 3, 4)
    for view in (
        base.view(24),
        base.reshape(6, 4),
        base.flatten(),
        base.permute(2, 0, 1),
        base.transpose(0, 1),
        base.unsqueeze(0),
        base.select(1, 0),
        base.narrow(1, 0, 2),
        base.split(1)[0],
        base.unbind(2)[0],
        base.chunk(2, 1)[0],
        base.diagonal(),
        base.unfold(1, 2, 2),
        base.as_strided((2, 2), (1, 2)),
        base[0],
        base[:, 1:],
        base[..., None],
        base.view_as(base),
        base.squeeze(),
    ):
        before = base.sum().item()
        view += 1
        assert base.sum().item() > before, view.shape


@pytest.mark.parametrize(
    "change",
    ["unsqueeze_(0)", "squeeze_()", "transpose_(0, 1)", "swapaxes_(0, 2)", "as_strided_((2, 2), (1, 2))", "t_()"],
)
def test_in_place_forms_that_change_the_shape(change):
    """The tensor itself gets the new shape; its memory and its gradient go on."""

    def run(module):
        x = module.arange(6.0).view(2, 1, 3) if change != "t_()" else module.arange(6.0).view(2, 3)
        x.requires_grad_()
        y = x * 2
        z = eval(f"y.{change}", {"y": y})
        assert z is y
        (y * y).sum().backward()
        return y.detach().numpy(), x.grad.numpy()

    for p, q in zip(run(torch), run(cr), strict=True):
        np.testing.assert_array_equal(q, p)
    with pytest.raises(RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"):
        eval(f"x.{change}", {"x": cr.zeros(2, 3, requires_grad=True)})


def test_shapes_as_keywords():
    x = cr.zeros(2, 3)
    assert cr.reshape(x, shape=(3, 2)).shape == x.view(size=(3, 2)).shape == (3, 2)
    assert x.expand(size=(4, 2, 3)).shape == (4, 2, 3)
    assert x.permute(dims=(1, 0)).shape == (3, 2)
    assert len(x.split(split_size=1)) == 2
    assert cr.tile(x, dims=(2,)).shape == x.repeat(repeats=(1, 2)).shape == (2, 6)


def test_copying_forms():
    """view_copy and its kin have the view's values and memory of their own."""
    x = cr.arange(6.0).view(2, 3).requires_grad_()
    y = torch.arange(6.0).view(2, 3).requires_grad_()
    for name, *args in (
        ("alias_copy",),
        ("as_strided_copy", (2,), (3,)),
        ("diagonal_copy",),
        ("expand_copy", (4, 2, 3)),
        ("permute_copy", (1, 0)),
        ("select_copy", 1, 0),
        ("slice_copy", 1, 0, 2),
        ("split_copy", 1),
        ("split_with_sizes_copy", [1, 2], 1),
        ("squeeze_copy",),
        ("t_copy",),
        ("transpose_copy", 0, 1),
        ("unbind_copy",),
        ("unfold_copy", 1, 2, 1),
        ("unsqueeze_copy", 0),
        ("view_copy", (6,)),
    ):
        got, expected = getattr(cr, name)(x, *args), getattr(torch, name)(y, *args)
        for p, q in zip(expected, got, strict=True) if isinstance(got, tuple) else [(expected, got)]:
            np.testing.assert_array_equal(q.detach().numpy(), p.detach().numpy())
            assert not np.shares_memory(q.detach().numpy(), x.detach().numpy())
            assert q.requires_grad


def test_long_chains_of_views():
    """Ten thousand views of views: no recursion, no quadratic time, and the last one still finds its base."""
    x = cr.ones(2, 3, requires_grad=True)
    y = x * 1
    z = y
    for _ in range(10_000):
        z = z.t()
    z[0, 0] = 5.0
    assert y[0, 0].item() == 5.0
    z.sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 1.0], [1.0, 1.0, 1.0]]


def test_expanded_tensors_are_not_written_to():
    t = cr.zeros(3, 1).expand(3, 4)
    with pytest.raises(
        RuntimeError, match="more than one element of the written-to tensor refers to a single memory location"
    ):
        t += 1


def test_as_strided_counts_from_the_start_of_memory():
    """The offset is that of the storage, not of the view it is called on."""
    x, y = cr.arange(10.0), torch.arange(10.0)
    np.testing.assert_array_equal(x[2:].as_strided((2, 2), (1, 2)).numpy(), y[2:].as_strided((2, 2), (1, 2)).numpy())
    np.testing.assert_array_equal(
        x[2:].as_strided((2, 2), (1, 2), 1).numpy(), y[2:].as_strided((2, 2), (1, 2), 1).numpy()
    )


def test_as_strided_scatter_gradient():
    """The overwritten elements get no gradient. (PyTorch's own formula is wrong here, so this is stated by hand.)"""
    a, b = cr.arange(4.0).requires_grad_(), cr.ones(2, requires_grad=True)
    (cr.as_strided_scatter(a, b, (2,), (2,)) * cr.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert a.grad.tolist() == [0.0, 2.0, 0.0, 4.0]
    assert b.grad.tolist() == [1.0, 3.0]


def test_jvp_of_a_view_and_a_pad():
    """Forward mode follows from the same rules; padding with a value is affine, so its tangent is padded with zeros."""
    x = cr.tensor([[1.0, 2.0]], dtype=cr.float64)
    _, tangent = cr.func.jvp(lambda t: cr.nn.functional.pad(t.t(), (1, 0), value=5.0), (x,), (x,))
    assert tangent.tolist() == [[0.0, 1.0], [0.0, 2.0]]


MOVES = [t for t in SHAPES + PARTS + JOINED + REARRANGED + PADDED if not re.search("_indices|repeat_interleave.I", t)]


@pytest.mark.parametrize("text", [t for t in MOVES if t != "x.view(T.int64)"])
def test_forward_mode(text):
    check_forward(text)


@pytest.mark.parametrize(
    "text", [t for t in MOVES if "as_strided" not in t and "T.zeros(0" not in t and "int64" not in t]
)
def test_vmap(text):
    check_vmap(text)
