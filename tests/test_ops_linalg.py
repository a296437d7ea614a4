"""Linear algebra against PyTorch: values, first and second derivatives, batches, singular matrices, errors."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule.errors import ArgumentError, DTypeError, GradientError, LinAlgError, ShapeError, UnsupportedError
from peer_calls import compare, fails, normal

torch = pytest.importorskip("torch")

BATCHES = [(), (2,), (2, 3), (0,)]


def square(*batch, n=4):
    return normal(*batch, n, n) + 2 * np.eye(n)


def definite(*batch, n=4):
    a = normal(*batch, n, n)
    return a @ a.swapaxes(-1, -2) + np.eye(n)


def symmetric(a):
    return (a + a.transpose(-1, -2)) / 2


@pytest.mark.parametrize("batch", BATCHES)
class TestSquare:
    def test_inverse_and_determinant(self, batch):
        a = square(*batch)
        compare(lambda lib, a: lib.linalg.inv(a), a)
        compare(lambda lib, a: lib.inverse(a), a, order=1)
        compare(lambda lib, a: lib.linalg.det(a), a)
        compare(lambda lib, a: lib.linalg.slogdet(a)[1], a)
        compare(lambda lib, a: lib.logdet(a), definite(*batch))

    def test_solve(self, batch):
        a = square(*batch)
        compare(lambda lib, a, b: lib.linalg.solve(a, b), a, normal(*batch, 4, 2))
        compare(lambda lib, a, b: lib.linalg.solve(a, b), a, normal(*batch, 4))
        compare(lambda lib, a, b: lib.linalg.solve(a, b, left=False), a, normal(*batch, 2, 4))

    def test_power_and_exponential(self, batch):
        a = square(*batch) / 2
        for n in (0, 1, 2, 3, 7, -2):
            compare(lambda lib, a, n=n: lib.linalg.matrix_power(a, n), a, rtol=1e-8, atol=1e-8)
        compare(lambda lib, a: lib.matrix_exp(a), a, rtol=1e-8, atol=1e-8)

    def test_cholesky(self, batch):
        a = definite(*batch)
        compare(lambda lib, a: lib.linalg.cholesky(a), a)
        compare(lambda lib, a: lib.linalg.cholesky(a, upper=True), a)
        low = np.tril(square(*batch))
        for upper in (False, True):
            factor = np.swapaxes(low, -1, -2).copy() if upper else low
            compare(lambda lib, b, a, u=upper: lib.cholesky_solve(b, a, upper=u), normal(*batch, 4, 2), factor)
            compare(lambda lib, a, u=upper: lib.cholesky_inverse(a, upper=u), factor)

    @pytest.mark.parametrize("upper", [True, False])
    @pytest.mark.parametrize("unit", [True, False])
    @pytest.mark.parametrize("left", [True, False])
    def test_triangular(self, batch, upper, unit, left):
        b = normal(*batch, 4, 2) if left else normal(*batch, 2, 4)
        compare(
            lambda lib, a, b: lib.linalg.solve_triangular(a, b, upper=upper, left=left, unitriangular=unit),
            square(*batch),
            b,
        )

    def test_eigh(self, batch):
        def f(lib, a):
            w, v = lib.linalg.eigh(symmetric(a))
            return w, v.abs()

        compare(f, square(*batch), rtol=1e-7, atol=1e-7)
        compare(lambda lib, a: lib.linalg.eigvalsh(symmetric(a), "U"), square(*batch))

    def test_lu_solve(self, batch):
        packed, pivots = square(*batch), np.broadcast_to(np.array([2, 2, 4, 4], np.int32), (*batch, 4)).copy()
        for how in ({}, {"adjoint": True}):
            compare(
                lambda lib, a, p, b, how=how: lib.linalg.lu_solve(a, p, b, **how), packed, pivots, normal(*batch, 4, 2)
            )
        compare(lambda lib, a, p, b: lib.linalg.lu_solve(a, p, b, left=False), packed, pivots, normal(*batch, 2, 4))

    def test_condition_number(self, batch):
        for p in (None, 2, -2):
            compare(lambda lib, a, p=p: lib.linalg.cond(a, p), square(*batch), rtol=1e-7, atol=1e-7)
        for p in ("fro", 1, -1, math.inf, "nuc"):
            compare(lambda lib, a, p=p: lib.linalg.cond(a.detach(), p), square(*batch), order=0)

    def test_householder(self, batch):
        compare(lambda lib, a, t: lib.linalg.householder_product(a, t), normal(*batch, 4, 3), normal(*batch, 2))
        compare(
            lambda lib, a, t, b: lib.ormqr(a, t, b, transpose=True),
            normal(*batch, 4, 3),
            normal(*batch, 3),
            normal(*batch, 4, 2),
        )


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
class TestAnyShape:
    def test_lu(self, batch, shape):
        a = normal(*batch, *shape)
        compare(lambda lib, a: lib.linalg.lu(a.detach()), a, order=0)
        compare(lambda lib, a: lib.linalg.lu_factor(a.detach()), a, order=0)
        if batch != (0,):
            compare(lambda lib, a: lib.linalg.lu(a)[1:], a)
            compare(lambda lib, a: lib.linalg.lu_factor(a)[0], a)

    def test_lu_unpack(self, batch, shape):
        def f(lib, a):
            packed, pivots = lib.linalg.lu_factor(a)
            return tuple(lib.lu_unpack(packed, pivots))

        compare(f, normal(*batch, *shape), order=0)

    def test_qr(self, batch, shape):
        a = normal(*batch, *shape)
        compare(lambda lib, a: tuple(lib.linalg.qr(a)), a, order=2 if shape[0] >= shape[1] else 1)
        compare(lambda lib, a: tuple(lib.linalg.qr(a.detach(), mode="complete")), a, order=0)
        compare(lambda lib, a: tuple(lib.linalg.qr(a.detach(), mode="r")), a, order=0)

    def test_svd(self, batch, shape):
        def f(lib, a):
            u, s, v = lib.linalg.svd(a, full_matrices=False)
            return u.abs(), s, v.abs()

        compare(f, normal(*batch, *shape), rtol=1e-6, atol=1e-6)
        compare(lambda lib, a: lib.linalg.svdvals(a), normal(*batch, *shape))

    def test_full_svd_puts_the_matrix_together(self, batch, shape):
        a = cr.tensor(normal(*batch, *shape)).requires_grad_()
        u, s, vh = cr.linalg.svd(a)
        k = min(shape)
        back = u[..., :k] * s.unsqueeze(-2) @ vh[..., :k, :]
        np.testing.assert_allclose(back.detach().numpy(), a.detach().numpy(), atol=1e-12)
        back.sum().backward()
        np.testing.assert_allclose(a.grad.numpy(), np.ones((*batch, *shape)), atol=1e-9)

    def test_pinv_rank_lstsq(self, batch, shape):
        a = normal(*batch, *shape)
        compare(lambda lib, a: lib.linalg.pinv(a), a, rtol=1e-8, atol=1e-8)
        compare(lambda lib, a: lib.linalg.matrix_rank(a), a, order=0)
        for driver in ("gels", "gelsy", "gelsd", "gelss"):
            compare(
                lambda lib, a, b, d=driver: tuple(lib.linalg.lstsq(a.detach(), b.detach(), driver=d)),
                a,
                normal(*batch, shape[0], 2),
                order=0,
            )
        compare(
            lambda lib, a, b: lib.linalg.lstsq(a, b)[0], a, normal(*batch, shape[0], 2), order=1, rtol=1e-7, atol=1e-7
        )


def test_batches_broadcast():
    compare(lambda lib, a, b: lib.linalg.solve(a, b), square(2, 1), normal(3, 4, 2))
    compare(lambda lib, a, b: lib.linalg.solve(a, b), square(3), normal(4))
    compare(lambda lib, a, b: lib.linalg.solve_triangular(a, b, upper=True), square(2, 1), normal(3, 4, 2))


def test_tensor_solve_and_inverse():
    compare(lambda lib, a: lib.linalg.tensorinv(a, ind=1), normal(6, 2, 3))
    compare(lambda lib, a, b: lib.linalg.tensorsolve(a, b), normal(2, 3, 6), normal(2, 3))
    compare(lambda lib, a, b: lib.linalg.tensorsolve(a, b, dims=(0, 2)), normal(2, 3, 6), normal(2, 3))


def test_vander():
    compare(lambda lib, x: lib.linalg.vander(x), normal(2, 4))
    compare(lambda lib, x: lib.linalg.vander(x, N=3), normal(4))


@pytest.mark.filterwarnings("ignore:torch.* is deprecated")
def test_older_names():
    a, low = normal(4, 3), np.tril(square())
    compare(lambda lib, a: tuple(lib.qr(a)), a)
    compare(lambda lib, a: lib.svd(a)[1], a)
    compare(lambda lib, a: lib.pinverse(a), a)
    compare(lambda lib, a: lib.slogdet(a)[1], low)
    compare(lambda lib, a: tuple(lib.geqrf(a.detach())), a, order=0)


def test_triangular_solve_returns_a_copy_of_the_matrix():
    a, b = cr.tensor(np.triu(square())), cr.tensor(normal(4, 2))
    x, copy = cr.triangular_solve(b, a)
    np.testing.assert_allclose((a @ x).numpy(), b.numpy(), atol=1e-12)
    assert copy is not a
    np.testing.assert_array_equal(copy.numpy(), a.numpy())


# ---- singular matrices


def singular_matrix(n=3):
    a = normal(n, n)
    a[-1] = a[:-1].sum(0)
    return a


def test_the_determinant_of_a_singular_matrix_has_a_gradient():
    compare(lambda lib, a: lib.linalg.det(a), singular_matrix(), order=1)
    compare(lambda lib, a: lib.linalg.det(a), np.zeros((3, 3)), order=1)
    exact = np.array([[1.0, 2.0], [2.0, 4.0]])  # exactly singular: the inverse does not exist
    compare(lambda lib, a: lib.linalg.det(a), exact, order=1)


def test_triangular_systems_with_a_zero_give_infinities():
    compare(
        lambda lib, a, b: lib.linalg.solve_triangular(a.detach(), b.detach(), upper=True),
        np.zeros((2, 2)),
        np.ones((2, 1)),
        order=0,
    )


def test_ex_forms_report_instead_of_raising():
    a = np.stack([np.eye(3), np.zeros((3, 3)), np.diag([1.0, 0.0, 1.0])])
    for lib in (torch, cr):
        assert lib.linalg.inv_ex(lib.tensor(a)).info.tolist() == [0, 1, 2]
        assert lib.linalg.solve_ex(lib.tensor(a), lib.ones(3, 3).double()).info.tolist() == [0, 1, 2]
        assert lib.linalg.cholesky_ex(lib.tensor(a)).info.tolist() == [0, 1, 2]
        assert lib.linalg.lu_factor_ex(lib.tensor(a)).info.tolist() == [0, 1, 2]
    assert np.isinf(cr.linalg.inv_ex(cr.tensor(a)).inverse.numpy()[1]).all()
    with pytest.raises(LinAlgError, match=r"linalg.inv_ex: \(Batch element 1\): The diagonal element 1 is zero"):
        cr.linalg.inv_ex(cr.tensor(a), check_errors=True)


def test_equal_singular_values_do_not_spoil_what_does_not_depend_on_the_vectors():
    a = cr.eye(3, dtype=cr.float64).requires_grad_()
    cr.linalg.svdvals(a).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), np.eye(3), atol=1e-12)
    b = cr.eye(3, dtype=cr.float64).requires_grad_()
    cr.linalg.eigvalsh(b).sum().backward()
    np.testing.assert_allclose(b.grad.numpy(), np.eye(3), atol=1e-12)


def test_float32_stays_float32():
    a = cr.tensor(square().astype(np.float32))
    results = [
        cr.linalg.inv(a),
        cr.linalg.det(a),
        cr.linalg.cholesky(a @ a.t() + cr.eye(4)),
        *cr.linalg.qr(a),
        *cr.linalg.svd(a),
        *cr.linalg.lu(a),
        cr.linalg.pinv(a),
        cr.matrix_exp(a),
        cr.linalg.solve_triangular(a, a, upper=True),
    ]
    assert {t.dtype for t in results} == {cr.float32}


def test_named_results_print_as_in_pytorch():
    assert repr(cr.linalg.slogdet(cr.eye(2))) == repr(torch.linalg.slogdet(torch.eye(2)))
    assert repr(cr.linalg.qr(cr.eye(2))).startswith("torch.return_types.linalg_qr(\nQ=tensor(")


SINGULAR = "The diagonal element 1 is zero, the inversion could not be completed because the input matrix is singular."
ERRORS = [
    (lambda t: t.linalg.inv(t.zeros(3, 3)), LinAlgError, "linalg.inv: " + SINGULAR),
    (lambda t: t.linalg.inv(t.zeros(2, 3, 3)), LinAlgError, "linalg.inv: (Batch element 0): " + SINGULAR),
    (
        lambda t: t.linalg.solve(t.zeros(3, 3), t.ones(3)),
        LinAlgError,
        "torch.linalg.solve: The solver failed because the input matrix is singular.",
    ),
    (
        lambda t: t.linalg.cholesky(t.stack([t.eye(3), -t.eye(3)])),
        LinAlgError,
        "linalg.cholesky: (Batch element 1): The factorization could not be completed because the input is not "
        "positive-definite "
        "(the leading minor of order 1 is not positive-definite).",
    ),
    (
        lambda t: t.linalg.lu_factor(t.zeros(2, 2)),
        LinAlgError,
        "U[1,1] is zero and using it on lu_solve would result in a division by zero",
    ),
    (
        lambda t: t.linalg.inv(t.ones(2, 3)),
        ShapeError,
        "linalg.inv: A must be batches of square matrices, but they are 2 by 3 matrices",
    ),
    (lambda t: t.linalg.inv(t.ones(3)), ShapeError, "linalg.inv: The input tensor A must have at least 2 dimensions"),
    (
        lambda t: t.linalg.det(t.ones(3, 3, dtype=t.int64)),
        DTypeError,
        "linalg.det: Expected a floating point tensor as input. Got int64",
    ),
    (
        lambda t: t.linalg.inv(t.ones(3, 3, dtype=t.float16)),
        DTypeError,
        "Low precision dtypes not supported. Got float16",
    ),
    (
        lambda t: t.linalg.solve(t.eye(3), t.ones(2)),
        ShapeError,
        "linalg.solve: Incompatible shapes of A and B for the equation AX = B (3x3 and 2x1)",
    ),
    (lambda t: t.linalg.solve(t.eye(3), t.ones(3).double()), DTypeError, "Expected A and B to have the same dtype"),
    (lambda t: t.linalg.eigh(t.eye(2), UPLO="X"), ArgumentError, "Expected UPLO argument to be 'L' or 'U', but got X"),
    (lambda t: t.linalg.qr(t.eye(2), mode="x"), ShapeError, "qr received unrecognized mode 'x'"),
    (
        lambda t: t.linalg.lstsq(t.ones(3, 2), t.ones(4, 2)),
        ShapeError,
        "input.size(-2) should match other.size(-2), got 3 and 4",
    ),
    (
        lambda t: t.linalg.lstsq(t.ones(3, 2), t.ones(3, 2), driver="x"),
        ShapeError,
        "parameter `driver` should be one of",
    ),
    (lambda t: t.linalg.tensorinv(t.ones(2, 3), ind=1), ShapeError, "prod(self.shape[ind:]) == prod(self.shape[:ind])"),
]


@pytest.mark.parametrize(("f", "error", "text"), ERRORS, ids=[e[2][:40] for e in ERRORS])
def test_errors(f, error, text):
    fails(f, error, text, same_kind=error is not ArgumentError)


def test_what_needs_complex_numbers_says_so():
    with pytest.raises(UnsupportedError, match=r"linalg.eig: .* use linalg.eigh"):
        cr.linalg.eig(cr.eye(2))
    with pytest.raises(UnsupportedError, match=r"linalg.eigvals: .* use linalg.eigvalsh"):
        cr.linalg.eigvals(cr.eye(2))


def test_the_complete_qr_of_a_tall_matrix_has_no_gradient():
    a = cr.ones(3, 2, requires_grad=True)
    with pytest.raises(
        GradientError, match="not differentiable when mode='complete' and nrows > ncols; use mode='reduced'"
    ):
        cr.linalg.qr(a, mode="complete").R.sum().backward()


def test_low_rank_approximations():
    """A matrix of rank 2 comes back from two random projections of it."""
    a = cr.tensor(normal(7, 2) @ normal(2, 5))
    for x in (a, a.t()):
        u, s, v = cr.svd_lowrank(x, q=2)
        np.testing.assert_allclose((u * s @ v.t()).numpy(), x.numpy(), atol=1e-12)
    u, s, v = cr.pca_lowrank(a, q=2)
    np.testing.assert_allclose((u * s @ v.t()).numpy(), (a - a.mean(0)).numpy(), atol=1e-12)
    np.testing.assert_allclose(s.numpy(), torch.pca_lowrank(torch.tensor(a.numpy()), q=2)[1].numpy(), rtol=1e-9)


OUT = {
    "linalg.inv": lambda lib, a, **k: lib.linalg.inv(a, **k),
    "linalg.solve": lambda lib, a, **k: lib.linalg.solve(a, a, **k),
    "linalg.cholesky": lambda lib, a, **k: lib.linalg.cholesky(a @ a.t(), **k),
    "matmul": lambda lib, a, **k: lib.matmul(a, a, **k),
    "mm": lambda lib, a, **k: lib.mm(a, a, **k),
    "addmm": lambda lib, a, **k: lib.addmm(a, a, a, **k),
    "linalg.multi_dot": lambda lib, a, **k: lib.linalg.multi_dot([a, a, a], **k),
    "linalg.matrix_power": lambda lib, a, **k: lib.linalg.matrix_power(a, 3, **k),
    "linalg.pinv": lambda lib, a, **k: lib.linalg.pinv(a, **k),
}


@pytest.mark.parametrize("name", OUT)
def test_out_receives_the_result(name):
    f = OUT[name]
    a = cr.tensor(square())
    out = cr.zeros(4, 4, dtype=cr.float64)
    result = f(cr, a, out=out)
    assert result is out
    np.testing.assert_array_equal(out.numpy(), f(cr, a).numpy())


def test_out_of_several_results():
    a = cr.tensor(square())
    q, r = cr.zeros(4, 4, dtype=cr.float64), cr.zeros(4, 4, dtype=cr.float64)
    cr.linalg.qr(a, out=(q, r))
    np.testing.assert_allclose((q @ r).numpy(), a.numpy(), atol=1e-12)
