"""The operator tables. Public functions carry PyTorch's names and signatures; ``registry.functions`` lists them all."""

from types import SimpleNamespace

from ..primitive.registry import functions
from . import (
    accumulate,
    activation,
    adaptive,
    affine,
    arithmetic,
    attention,
    axes,
    cast,
    comparison,
    conv,
    copies,
    create,
    cross_entropy,
    ctc,
    distance,
    dropout,
    einsum,
    embedding,
    embedding_bag,
    exponential,
    extremes,
    fast_erf,
    gathering,
    grid_sample,
    index_parts,
    indexing,
    interpolate,
    join,
    linalg_factor,
    linalg_lowrank,
    linalg_power,
    linalg_solve,
    linalg_spectral,
    linalg_triangular,
    linear_cross_entropy,
    loss,
    loss_margin,
    masks,
    matmul,
    normalization,
    norms,
    order,
    padding,
    pairwise,
    piecewise,
    polynomials,
    pool,
    power,
    products,
    random,
    rearrange,
    reduce,
    resample,
    rounding,
    scan,
    scatter,
    search,
    selection,
    shape,
    softmax,
    sorting,
    special_functions,
    statistics,
    strided,
    triangular,
    trigonometric,
    views,
)
from .indexing import getitem, index_assign

nn_functional = SimpleNamespace()
linalg = SimpleNamespace()
special = SimpleNamespace()

_SPACES = {"nn.functional": vars(nn_functional), "linalg": vars(linalg), "special": vars(special)}


def _fill():
    for entry in functions:
        for space in entry.namespaces:
            target = globals() if space == "torch" else _SPACES[space]
            for name in (entry.name, *entry.aliases):
                target[name] = entry.function


_fill()
