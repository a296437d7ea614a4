"""The operator tables. Public functions carry PyTorch's names and signatures; ``registry.functions`` lists them all."""

from types import SimpleNamespace

from ..primitive.registry import functions
from . import (
    arithmetic, attention, axes, cast, comparison, conv, create, cross_entropy, distance, einsum, exponential,
    extremes, loss, matmul, normalization, norms, order, pool, power, products, random, reduce, rounding, scan,
    selection, shape, softmax, special_functions, trigonometric,
)

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
