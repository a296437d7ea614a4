"""Operators that reorder dimensions, or add and drop those of size 1. All are views."""

from ..config import modes
from ..errors import GradientError, ShapeError
from ..primitive import public
from ..primitive.arguments import one_dim, tensor_argument
from ..primitive.view import view as view_operator
from .cast import alias_p
from .shape import FULL, permute_p, sizes_of, view_p

# ---- primitives


transpose_p = view_operator(
    "transpose",
    lambda x, dim0, dim1: x.swapaxes(dim0, dim1),
    lambda o, g, s, *, dim0, dim1: o.transpose(g, dim0=dim0, dim1=dim1),
    front=True,
)
t_p = view_operator("t", lambda x: x.swapaxes(-1, -2), lambda o, g, s: o.t(g), front=True)
unsqueeze_p = view_operator(
    "unsqueeze",
    lambda x, dim: x[(..., None, *FULL[-dim - 1])],
    lambda o, g, s, *, dim: o.squeeze(g, dim=(dim,)),
    front=True,
)
squeeze_p = view_operator(
    "squeeze",
    lambda x, dim, form=2: x.squeeze(dim),
    lambda o, g, s, *, dim, form=2: _unsqueeze(o, g, dim),
    front=True,
    node_name=lambda arrays, params: f"SqueezeBackward{params.get('form', 2)}",
)


def _unsqueeze(o, g, dim):
    for d in sorted(dim, reverse=True):
        g = o.unsqueeze(g, dim=d)
    return g


# ---- dimensions of size 1


@public
def squeeze(input, dim=None):
    """Without the dimensions of size 1: all of them, or those named by ``dim`` (an int or a tuple).

    >>> import chainrule as torch
    >>> torch.squeeze(torch.zeros(1, 3, 1), 0).shape
    torch.Size([3, 1])
    """
    shape = tensor_argument(input, "squeeze")._data.shape
    n = len(shape)
    if dim is None:
        return squeeze_p(input, dim=tuple([i - n for i in range(n) if shape[i] == 1]), form=0)
    if isinstance(dim, (tuple, list)):
        dims = [one_dim(d, n, "squeeze") for d in dim]
        for d in dims:
            if dims.count(d) > 1:
                raise ShapeError(f"dim {d + n} appears multiple times in the list of dims")
        return squeeze_p(input, dim=tuple([d for d in dims if n and shape[d] == 1]), form=2)
    d = one_dim(dim, n, "squeeze")
    return squeeze_p(input, dim=(d,) if n and shape[d] == 1 else (), form=1)


@public
def unsqueeze(input, dim):
    """A dimension of size 1 inserted at ``dim``.

    >>> import chainrule as torch
    >>> torch.unsqueeze(torch.zeros(3), 1).shape
    torch.Size([3, 1])
    """
    return unsqueeze_p(input, dim=one_dim(dim, tensor_argument(input, "unsqueeze")._data.ndim + 1, "unsqueeze"))


@public
def atleast_1d(*tensors):
    """Each tensor with at least one dimension; one tensor gives a tensor, several a tuple.

    >>> import chainrule as torch
    >>> torch.atleast_1d(torch.tensor(1.0))
    tensor([1.])
    """
    return _each(tensors, "atleast_1d", _one_d)


@public
def atleast_2d(*tensors):
    """Each tensor with at least two dimensions, new ones in front.

    >>> import chainrule as torch
    >>> torch.atleast_2d(torch.tensor([1.0, 2.0])).shape
    torch.Size([1, 2])
    """
    return _each(tensors, "atleast_2d", two_d)


@public
def atleast_3d(*tensors):
    """Each tensor with at least three dimensions: (n,) becomes (1, n, 1) and (n, m) becomes (n, m, 1).

    >>> import chainrule as torch
    >>> torch.atleast_3d(torch.zeros(2, 3)).shape
    torch.Size([2, 3, 1])
    """
    return _each(tensors, "atleast_3d", three_d)


def _each(tensors, operator, change):
    if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)):
        return tuple([change(tensor_argument(t, operator, "tensors")) for t in tensors[0]])
    out = tuple([change(tensor_argument(t, operator, "tensors")) for t in tensors])
    return out[0] if len(out) == 1 else out


def _one_d(t):
    return view_p(t, shape=(1,)) if t._data.ndim == 0 else t


def two_d(t):
    n = t._data.ndim
    return view_p(t, shape=(1, 1)) if n == 0 else unsqueeze_p(t, dim=-2) if n == 1 else t


def three_d(t):
    n = t._data.ndim
    if n == 0:
        return view_p(t, shape=(1, 1, 1))
    if n == 1:
        t = unsqueeze_p(t, dim=-2)
    return unsqueeze_p(t, dim=-1) if n <= 2 else t


# ---- order of dimensions


@public
def permute(input, *args, dims=None):
    """``input`` with its dimensions in the order ``dims``.

    >>> import chainrule as torch
    >>> torch.permute(torch.zeros(2, 3, 5), (2, 0, 1)).shape
    torch.Size([5, 2, 3])
    """
    n = tensor_argument(input, "permute")._data.ndim
    dims = sizes_of(args if dims is None else (dims,), "permute")
    if len(dims) != n:
        raise ShapeError(
            "permute(): number of dimensions in the tensor input does not match the length of the desired ordering of "
            "dimensions i.e. "
            f"input.dim() = {n} is not equal to len(dims) = {len(dims)}"
        )
    dims = tuple([d if -n <= d < 0 else d - n if 0 <= d < n else one_dim(d, n, "permute") for d in dims])
    if len(set(dims)) != n:
        raise ShapeError("permute(): duplicate dims are not allowed.")
    return permute_p(input, dims=dims)


@public(aliases=("swapaxes", "swapdims"))
def transpose(input, dim0, dim1):
    """``input`` with two dimensions swapped.

    >>> import chainrule as torch
    >>> torch.transpose(torch.zeros(2, 3), 0, 1).shape
    torch.Size([3, 2])
    """
    n = tensor_argument(input, "transpose")._data.ndim
    d0, d1 = one_dim(dim0, n, "transpose"), one_dim(dim1, n, "transpose")
    return transpose_p(input, dim0=d0, dim1=d1) if n else alias_p(input, name="TransposeBackward0")


@public
def t(input):
    """The transpose of a matrix; tensors with fewer dimensions stay as they are.

    >>> import chainrule as torch
    >>> torch.t(torch.tensor([[1, 2], [3, 4]]))
    tensor([[1, 3],
            [2, 4]])
    """
    n = tensor_argument(input, "t")._data.ndim
    if n > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {n}D")
    return t_p(input) if n == 2 else alias_p(input, name="TBackward0")


def reversed_dims(input):
    """``Tensor.T``: all dimensions in reverse order."""
    return permute_p(input, dims=tuple(range(-1, -input._data.ndim - 1, -1)))


def matrix_transpose(input):
    """``Tensor.mT``: the last two dimensions swapped."""
    n = input._data.ndim
    if n < 2:
        raise ShapeError(f"tensor.mT is only supported on matrices or batches of matrices. Got {n}-D tensor.")
    return transpose_p(input, dim0=-2, dim1=-1)


def hermitian_transpose(input):
    """``Tensor.H``: the transpose of a matrix (numbers are real here)."""
    n = input._data.ndim
    if n not in (0, 2):
        raise ShapeError(f"tensor.H is only supported on matrices (2-D tensors). Got {n}-D tensor.")
    return transpose_p(input, dim0=-2, dim1=-1) if n else alias_p(input)


@public
def adjoint(input):
    """The last two dimensions swapped (numbers are real here, so nothing is conjugated).

    >>> import chainrule as torch
    >>> torch.adjoint(torch.zeros(2, 3)).shape
    torch.Size([3, 2])
    """
    n = tensor_argument(input, "adjoint")._data.ndim
    if n == 0:
        return alias_p(input)
    if n == 1:
        raise ShapeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return transpose_p(input, dim0=-2, dim1=-1)


@public(aliases=("moveaxis",))
def movedim(input, source, destination):
    """Dimensions ``source`` (an int or several) moved to ``destination``; the others keep their order.

    >>> import chainrule as torch
    >>> torch.movedim(torch.zeros(2, 3, 5), 0, -1).shape
    torch.Size([3, 5, 2])
    """
    n = tensor_argument(input, "movedim")._data.ndim
    source, destination = sizes_of((source,), "movedim"), sizes_of((destination,), "movedim")
    if len(source) != len(destination):
        raise ShapeError(
            f"movedim: Invalid source or destination dims: source ({list(source)} dims) should contain the same "
            "number of dims as "
            f"destination ({list(destination)} dims)"
        )
    src = [one_dim(d, n, "movedim") for d in source]
    dst = [one_dim(d, n, "movedim") for d in destination]
    for name, dims, given in (("source", src, source), ("destination", dst, destination)):
        if len(set(dims)) != len(dims):
            raise ShapeError(f"movedim: repeated dim in `{name}` ({list(given)})")
    if n == 0:
        return alias_p(input)
    order = [None] * n
    for s, d in zip(src, dst, strict=True):
        order[d] = s
    rest = iter([d for d in range(-n, 0) if d not in src])
    return permute_p(input, dims=tuple([next(rest) if d is None else d for d in order]))


# ---- the same tensor under other dimensions


def changing_shape(function, aliases=()):
    """Register the in-place form of a view operator: the tensor itself gets the view's shape; its memory stays."""
    name = function.__name__ + "_"

    def change(input, *args, **kwargs):
        if modes.grad and input._requires_grad and input._node is None:
            raise GradientError(
                f"a leaf Variable that requires grad is being used in an in-place operation ({name}). "
                f"Use it inside torch.no_grad(), or write x = x.{function.__name__}(...) instead."
            )
        view = function(input, *args, **kwargs)
        input._data = view._data
        if view._requires_grad:
            input._node, input._output_nr, input._requires_grad = view._node, 0, True
        if input._base is not None:
            input._view, input._seen = view._view, view._seen
        return input

    change.__name__ = change.__qualname__ = name
    change.__doc__ = f"In-place form of :func:`{function.__name__}`; returns the tensor itself."
    return public(change, namespaces=(), aliases=aliases)


changing_shape(squeeze)
changing_shape(unsqueeze)
changing_shape(transpose, aliases=("swapaxes_", "swapdims_"))
changing_shape(t)
