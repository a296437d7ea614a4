"""``gradcheck`` and ``gradgradcheck``: derivatives compared with finite differences, with PyTorch's arguments and
messages.

Slow mode compares whole Jacobians J. Fast mode compares vᵀJu for two random vectors, at the price of one evaluation
per input (pytorch/pytorch issue 53876).
"""

import warnings

import numpy as np

from ..config import no_grad
from ..errors import ArgumentValueError, GradcheckError, GradientError
from ..handle import Tensor, wrap
from .backward import grad
from .forward import push_batch, push_forward

_UNDEFINED = (
    'Please look at "Notes about undefined output gradients": a backward must treat a gradient that is missing as zeros'
)


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Whether the derivatives of ``func`` agree with finite differences, at the float64 tensors ``inputs`` that
    require gradients.

    func: takes the inputs, returns a tensor or a tuple of them.  eps: the step of the differences.  atol, rtol: as in
    ``allclose``.
    raise_exception: raise GradcheckError (a RuntimeError) with both Jacobians, instead of returning False.
    nondet_tol: how far two backward passes over one graph may differ.  check_undefined_grad: missing output gradients
    act as zeros.
    check_grad_dtypes: gradients have their input's dtype.  check_batched_grad, check_batched_forward_grad: also with a
    batch of
    gradients at once.  check_forward_ad, check_backward_ad: which modes.  fast_mode: compare vᵀJu for random u and v.
    masked: for sparse tensors, which do not exist here; no effect.

    >>> import chainrule as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradcheck(torch.sin, x)
    True
    """
    if not (check_forward_ad or check_backward_ad):
        raise AssertionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise AssertionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise AssertionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    inputs = as_tuple(inputs)
    try:
        check_inputs(inputs)
        case = Case(func, inputs, eps, atol, rtol, fast_mode)
        if not case.outputs:
            case.no_differentiable_outputs()
            return True
        if check_backward_ad:
            case.reverse(nondet_tol, check_grad_dtypes)
        if check_forward_ad:
            case.forward(check_grad_dtypes)
            if check_undefined_grad:
                case.zero_tangents()
        if check_batched_forward_grad:
            case.batched_forward()
        if check_backward_ad:
            if check_batched_grad:
                case.batched_reverse()
            case.zero_cotangents()
            if check_undefined_grad:
                case.missing_cotangents()
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """``gradcheck`` of the gradient of ``func``: the second derivatives, with respect to inputs and ``grad_outputs``.

    grad_outputs: where the gradients start (default: random).  gen_non_contig_grad_outputs: make those non-contiguous.
    check_rev_over_rev, check_fwd_over_rev: how the gradient is differentiated.  The others: as in ``gradcheck``.

    >>> import chainrule as torch
    >>> x = torch.tensor([0.5, 2.0], dtype=torch.float64, requires_grad=True)
    >>> torch.autograd.gradgradcheck(torch.sin, x)
    True
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise AssertionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    if check_undefined_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_undefined_grad=True requires check_rev_over_rev to be True")
    if check_batched_grad and not check_rev_over_rev:
        raise AssertionError("Setting check_batched_grad=True requires check_rev_over_rev to be True")
    inputs = as_tuple(inputs)
    if grad_outputs is None:
        starts = tuple([random_start(y, gen_non_contig_grad_outputs) for y in differentiable(func(*inputs))])
    else:
        starts = as_tuple(grad_outputs)
    wanted = [isinstance(x, Tensor) and x.requires_grad for x in inputs]
    count = len(starts)

    def first_derivative(*args):
        xs, gs = args[: len(args) - count], args[len(args) - count :]
        chosen = [x for x, w in zip(xs, wanted, strict=True) if w]
        grads = grad(differentiable(func(*xs)), chosen, list(gs), create_graph=True, allow_unused=True)
        return tuple([g for g in grads if g is not None])

    return gradcheck(
        first_derivative,
        inputs + starts,
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        nondet_tol=nondet_tol,
        check_undefined_grad=check_undefined_grad,
        check_grad_dtypes=check_grad_dtypes,
        check_batched_grad=check_batched_grad,
        check_forward_ad=check_fwd_over_rev,
        check_backward_ad=check_rev_over_rev,
        fast_mode=fast_mode,
        masked=masked,
    )


def as_tuple(x):
    return tuple(x) if isinstance(x, (tuple, list)) else (x,)


def differentiable(outputs):
    return tuple([y for y in as_tuple(outputs) if isinstance(y, Tensor) and y.requires_grad])


def random_start(y, noncontiguous):
    draws = np.random.default_rng(0).uniform(-1, 1, (*y._data.shape, 2 if noncontiguous else 1)).astype(y._data.dtype)
    return wrap(draws[..., 0]).requires_grad_()


def check_inputs(inputs):
    """At least one input must require a gradient; float32 makes finite differences useless; overlapping memory breaks
    them."""
    any_wanted = False
    for i, x in enumerate(inputs):
        if not isinstance(x, Tensor) or not x.requires_grad:
            continue
        any_wanted = True
        if x._data.dtype != np.float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point. This check will likely "
                "fail if all the inputs "
                "are not of double precision floating point.",
                stacklevel=3,
            )
        if any(s == 0 and n > 1 for s, n in zip(x._data.strides, x._data.shape, strict=True)):
            raise GradientError(
                f"The {i}th input has a dimension with stride 0. gradcheck only supports inputs that are "
                "non-overlapping to be able to "
                "compute the numerical gradients correctly. You should call .contiguous on the input before passing "
                "it to gradcheck."
            )
    if not any_wanted:
        raise ArgumentValueError(
            "gradcheck expects at least one input tensor to require gradient, but none of the them have "
            "requires_grad=True."
        )


class Case:
    """One function at one point, and what its derivatives are compared with."""

    def __init__(self, func, inputs, eps, atol, rtol, fast):
        self.func, self.inputs, self.eps, self.atol, self.rtol, self.fast = func, inputs, eps, atol, rtol, fast
        self.positions = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        self.wanted = [inputs[i] for i in self.positions]
        self.all_outputs = as_tuple(func(*inputs))
        self.outputs = differentiable(self.all_outputs)
        rng = np.random.default_rng(0)
        self.us = [unit_vector(rng, x) for x in self.wanted]
        self.vs = [unit_vector(rng, y) for y in self.outputs]

    # ---- finite differences

    def evaluate(self):
        """The differentiable outputs' values now, as copies."""
        return [
            np.array(y._data) for y in as_tuple(self.func(*self.inputs)) if isinstance(y, Tensor) and y.requires_grad
        ]

    def difference(self, array, index, step):
        """Central difference of all outputs when ``array[index]`` moves along ``step``; the input's memory is changed
        and restored."""
        kept = np.array(array)
        try:
            array[index] = kept[index] + step * self.eps
            plus = self.evaluate()
            array[index] = kept[index] - step * self.eps
            minus = self.evaluate()
        finally:
            array[...] = kept
        return [(p - m) / (2 * self.eps) for p, m in zip(plus, minus, strict=True)]

    def numerical(self):
        """``[input][output]``: Jacobians of shape (input size, output size); in fast mode Ju of shape (output
        size,)."""
        table = []
        for x, u in zip(self.wanted, self.us, strict=True):
            a = x._data
            if self.fast:
                table.append([d.reshape(-1) for d in self.difference(a, ..., u)])
                continue
            rows = [self.difference(a, np.unravel_index(k, a.shape), 1.0) for k in range(a.size)]
            table.append(
                [
                    np.stack([r[j].reshape(-1) for r in rows]) if rows else np.zeros((0, y._data.size))
                    for j, y in enumerate(self.outputs)
                ]
            )
        return table

    # ---- reverse mode

    def pull(self, j, v):
        """The gradients of output ``j`` started with the array ``v``; zeros for inputs it does not reach."""
        y = self.outputs[j]
        start = wrap(np.asarray(v, y._data.dtype).reshape(y._data.shape))
        return grad([y], self.wanted, [start], retain_graph=True, allow_unused=True)

    def reverse_jacobian(self, j, dtypes):
        y = self.outputs[j]
        columns = [[] for _ in self.wanted]
        for k in range(y._data.size):
            unit = np.zeros(y._data.size)
            unit[k] = 1
            for column, x, g in zip(columns, self.wanted, self.pull(j, unit), strict=True):
                column.append(np.zeros(x._data.size) if g is None else self.attributes(g, x, dtypes))
        return [np.stack(c, 1) if c else np.zeros((x._data.size, 0)) for c, x in zip(columns, self.wanted, strict=True)]

    def attributes(self, g, x, dtypes):
        if g._data.shape != x._data.shape:
            raise GradcheckError("Analytical gradient has incorrect size")
        if dtypes and g._data.dtype != x._data.dtype:
            raise GradcheckError("Gradient has dtype mismatch")
        return np.array(g._data, np.float64).reshape(-1)

    def reverse(self, nondet_tol, dtypes):
        numerical = self.numerical()
        for j in range(len(self.outputs)):
            if self.fast:
                pull = self.pull(j, self.vs[j])
                again = self.pull(j, self.vs[j])
                flat = [
                    [None if g is None else self.attributes(g, x, dtypes) for g, x in zip(p, self.wanted, strict=True)]
                    for p in (pull, again)
                ]
                first, second = [
                    [0.0 if g is None else g @ u.reshape(-1) for g, u in zip(p, self.us, strict=True)] for p in flat
                ]
            else:
                first, second = self.reverse_jacobian(j, dtypes), self.reverse_jacobian(j, dtypes)
            for i, (a, b) in enumerate(zip(first, second, strict=True)):
                if not np.all(np.abs(np.asarray(a) - b) <= nondet_tol) and not np.array_equal(a, b, equal_nan=True):
                    raise GradcheckError(
                        "Backward is not reentrant, i.e., running backward with same input and grad_output multiple "
                        "times gives different "
                        "values, although analytical gradient matches numerical gradient.The tolerance for "
                        f"nondeterminism was {nondet_tol}."
                    )
                n = numerical[i][j]
                if self.fast:
                    self.compare(a, self.vs[j].reshape(-1) @ n, i, j, self.us[i].sum() * self.vs[j].sum(), "")
                else:
                    self.compare(a, n, i, j, 1.0, "")

    def compare(self, analytical, numerical, i, j, scale, mode):
        if np.allclose(analytical, numerical, self.rtol, self.atol * scale, equal_nan=True):
            return
        text = (
            f"Jacobian {mode}mismatch for output {j} with respect to input {i},\n"
            f"numerical:{wrap(np.asarray(numerical))}\nanalytical:{wrap(np.asarray(analytical))}\n"
        )
        if self.fast:
            text += "These are vᵀJu for random u and v (fast mode); run with fast_mode=False for the Jacobians.\n"
        raise GradcheckError(text)

    # ---- forward mode

    def push(self, i, u):
        x = self.wanted[i]
        moved = push_forward([x], [wrap(np.asarray(u, x._data.dtype).reshape(x._data.shape))], self.outputs)
        return [np.zeros(y._data.shape) if t is None else t._data for t, y in zip(moved, self.outputs, strict=True)]

    def forward(self, dtypes):
        numerical = self.numerical()
        for i, x in enumerate(self.wanted):
            if self.fast:
                units = [self.us[i]]
            else:
                units = np.eye(x._data.size)
            pushed = [self.push(i, u) for u in units]
            for j, y in enumerate(self.outputs):
                rows = [p[j] for p in pushed]
                for r in rows:
                    if r.shape != y._data.shape:
                        raise GradcheckError("Forward AD gradient has incorrect size")
                    if dtypes and r.dtype != y._data.dtype:
                        raise GradcheckError("Forward AD gradient has dtype mismatch.")
                if self.fast:
                    self.compare(
                        rows[0].reshape(-1), numerical[i][j], i, j, self.us[i].sum(), "computed with forward mode "
                    )
                else:
                    a = np.stack([r.reshape(-1) for r in rows]) if rows else np.zeros((0, y._data.size))
                    self.compare(a, numerical[i][j], i, j, 1.0, "computed with forward mode ")

    def zero_tangents(self):
        for i, x in enumerate(self.wanted):
            for t in self.push(i, np.zeros(x._data.shape)):
                if np.any(t != 0):
                    raise GradcheckError(
                        "Expected all output tangents to be zero when all input tangents are zero, in forward mode."
                    )

    # ---- batches of gradients, zero gradients, missing gradients

    def batched_reverse(self):
        rng = np.random.default_rng(1)
        for j, y in enumerate(self.outputs):
            starts = rng.standard_normal((2, *y._data.shape)).astype(y._data.dtype)
            expected = [self.pull(j, v) for v in starts]
            got = self.attempt(
                lambda y=y, starts=starts: grad(
                    [y], self.wanted, [wrap(starts)], retain_graph=True, allow_unused=True, is_grads_batched=True
                )
            )
            for i, g in enumerate(got):
                self.same_batch(None if g is None else g._data, [e[i] for e in expected], i, j)

    def batched_forward(self):
        rng = np.random.default_rng(1)
        for i, x in enumerate(self.wanted):
            tangents = rng.standard_normal((2, *x._data.shape)).astype(x._data.dtype)
            expected = [self.push(i, t) for t in tangents]
            got = self.attempt(lambda x=x, tangents=tangents: push_batch(x, wrap(tangents), self.outputs))
            for j, t in enumerate(got):
                t = np.zeros((2, *self.outputs[j]._data.shape)) if t is None else t
                self.same_batch(t if isinstance(t, np.ndarray) else t._data, [wrap(e[j]) for e in expected], i, j)

    def attempt(self, call):
        try:
            return call()
        except RuntimeError as error:
            raise GradcheckError(f"While computing batched gradients, got: {error}") from error

    def same_batch(self, got, expected, i, j):
        if got is None or expected[0] is None:
            if not (got is None and expected[0] is None):
                raise GradcheckError(f"For output {j} and input {i}: batched gradients are missing on one side only")
            return
        want = np.stack([e._data for e in expected])
        if not np.allclose(got, want, equal_nan=True):
            raise GradcheckError(
                f"For output {j} and input {i}:\n\ngradcheck or gradgradcheck failed while testing batched gradient "
                "computation.\n\n"
                f"Got:\n{wrap(np.asarray(got))}\n\nExpected:\n{wrap(want)}"
            )

    def zero_cotangents(self):
        starts = [wrap(np.zeros(y._data.shape, y._data.dtype)) for y in self.outputs]
        for g, x in zip(
            grad(self.outputs, self.wanted, starts, retain_graph=True, allow_unused=True), self.wanted, strict=True
        ):
            if g is None:
                continue
            if g._data.shape != x._data.shape:
                raise GradcheckError("grad is incorrect size")
            if np.any(g._data != 0):
                raise GradcheckError("backward not multiplied by grad_output")

    def missing_cotangents(self):
        """Leave out one output's gradient at a time: what a rule gets for it must act as zeros."""
        if len(self.outputs) < 2:
            return
        for skip in range(len(self.outputs)):
            rest = [y for j, y in enumerate(self.outputs) if j != skip]
            starts = [wrap(np.zeros(y._data.shape, y._data.dtype)) for y in rest]
            try:
                grads = grad(rest, self.wanted, starts, retain_graph=True, allow_unused=True)
            except RuntimeError as error:
                raise GradcheckError(
                    f"Expected backward function to handle undefined output grads. {_UNDEFINED}"
                ) from error
            if any(g is not None and np.any(g._data != 0) for g in grads):
                raise GradcheckError(
                    "Expected all input grads to be undefined or zero when all output grads are undefined or zero. "
                    f"{_UNDEFINED}"
                )

    def no_differentiable_outputs(self):
        """Then the outputs must not depend on the inputs."""

        def values():
            with no_grad():
                return [
                    np.array(y._data, np.float64) for y in as_tuple(self.func(*self.inputs)) if isinstance(y, Tensor)
                ]

        for x in self.wanted:
            a = x._data
            kept = np.array(a)
            for index in [...] if self.fast else [np.unravel_index(k, a.shape) for k in range(a.size)]:
                try:
                    a[index] = kept[index] + self.eps
                    plus = values()
                    a[index] = kept[index] - self.eps
                    minus = values()
                finally:
                    a[...] = kept
                if any(np.any(p != m) for p, m in zip(plus, minus, strict=True)):
                    raise GradcheckError("Numerical gradient for function expected to be zero")


def unit_vector(rng, t):
    """A random direction without small entries, so that every element counts."""
    v = rng.uniform(0.1, 1.0, t._data.shape)
    norm = np.sqrt((v * v).sum())
    return v / norm if norm else v
