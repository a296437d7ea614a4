"""``out=``: the result is written into the given tensor, by every operator, also those that PyTorch spells with ``out``."""

import ast
import inspect
import textwrap

import pytest

import chainrule as torch
from chainrule.errors import ChainruleError
from chainrule.primitive.registry import functions

A = torch.tensor([[2.0, 1.0], [1.0, 3.0]])
V = torch.tensor([1.0, 2.0])

CALLS = [
    (torch.matmul, (A, A)), (torch.mm, (A, A)), (torch.bmm, (A[None], A[None])), (torch.mv, (A, V)),
    (torch.dot, (V, V)), (torch.outer, (V, V)), (torch.kron, (V, V)), (torch.inner, (A, A)),
    (torch.tensordot, (A, A, 1)), (torch.addmm, (A, A, A)), (torch.addmv, (V, A, V)), (torch.baddbmm, (A[None],) * 3),
    (torch.chain_matmul, (A, A, A)), (torch.linalg.inv, (A,)), (torch.linalg.det, (A,)), (torch.linalg.solve, (A, V)),
    (torch.linalg.cholesky, (A,)), (torch.linalg.matrix_power, (A, 3)), (torch.arange, (4,)), (torch.linspace, (0, 1, 5)),
    (torch.eye, (3,)), (torch.full, ((2, 2), 7.0)), (torch.sin, (A,)), (torch.add, (A, A)), (torch.cat, ([A, A],)),
]  # fmt: skip


@pytest.mark.parametrize("function, args", CALLS, ids=[f.__name__ for f, _ in CALLS])
def test_the_result_is_written_to_out(function, args):
    expected = function(*args)
    out = torch.full(expected.shape, -1.0, dtype=expected.dtype)
    assert function(*args, out=out) is out
    assert torch.equal(out, expected)


def test_several_results_are_written_to_a_tuple():
    values, vectors = torch.empty(2), torch.empty(2, 2)
    torch.linalg.eigh(A, out=(values, vectors))
    assert torch.allclose(vectors @ torch.diag(values) @ vectors.T, A)


@pytest.mark.parametrize(
    "p", [p for p in functions if "out" in inspect.signature(p.function).parameters], ids=lambda p: p.name
)
def test_no_function_takes_out_and_forgets_it(p):
    """A function that names ``out`` must use it; without the name, the registry writes the result."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(p.function)))
    except SyntaxError:  # a lambda within a call
        return
    raises = isinstance(tree.body[0], ast.FunctionDef) and isinstance(tree.body[0].body[-1], ast.Raise)
    assert raises or "out" in {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}


def test_out_that_needs_a_gradient_is_refused():
    with pytest.raises(ChainruleError, match="out="):
        torch.matmul(A, A, out=torch.zeros(2, 2, requires_grad=True))


def test_out_of_a_lesser_kind_is_refused():
    with pytest.raises(ChainruleError, match="can't be cast to the desired output type torch.int64"):
        torch.mul(A, 1.5, out=torch.zeros(2, 2, dtype=torch.int64))
