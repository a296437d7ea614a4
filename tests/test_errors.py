"""What the errors of differentiation say: the operator, what was expected, what came, the line, what to do."""

import re

import pytest

import chainrule as torch
from chainrule import errors


def leaf(*values):
    return torch.tensor(values or (1.0, 2.0), requires_grad=True)


def second_backward():
    x = leaf()
    y = x.exp().sum()
    y.backward()
    y.backward()


def freed_by_grad():
    x = leaf()
    y = x.exp()
    torch.autograd.grad(y.sum(), x)
    torch.autograd.grad(y.sum(), x)


def changed_input():
    x = leaf() * 1
    y = x * x
    x.add_(1)
    y.sum().backward()


def changed_result():
    y = leaf().exp()
    y.mul_(2)
    y.sum().backward()


def changed_through_a_view():
    x = leaf() * 1
    v = x[0]
    y = x.sin()
    v.zero_()
    y.sum().backward()


def changed_weight():
    w, x = leaf(), leaf()
    y = w * x
    with torch.no_grad():
        w.sub_(0.1)
    y.sum().backward()


def not_a_scalar():
    (leaf() * 2).backward()


def gradient_of_another_shape():
    (leaf() * 2).backward(torch.ones(3))


def gradient_that_is_no_tensor():
    (leaf() * 2).backward([1.0, 2.0])


def no_graph():
    torch.ones(2).sum().backward()


def cut_by_no_grad():
    with torch.no_grad():
        y = leaf().sum()
    y.backward()


def integer_leaf():
    torch.tensor([1, 2], requires_grad=True)


def integer_leaf_later():
    torch.tensor([1, 2]).requires_grad_()


def unused_input():
    torch.autograd.grad(leaf().sum(), leaf())


def input_without_gradient():
    torch.autograd.grad(leaf().sum(), torch.ones(2))


def empty_inputs():
    leaf().sum().backward(inputs=[])


def leaf_in_place():
    leaf().add_(1)


def view_of_leaf_in_place():
    leaf()[0].add_(1)


def expanded_in_place():
    torch.ones(1).expand(3).add_(1)


def another_size_in_place():
    torch.ones(1).add_(torch.ones(3))


def another_kind_in_place():
    torch.ones(2, dtype=torch.int64).mul_(1.5)


def switched_off_on_a_result():
    (leaf() * 2).requires_grad_(False)


def retain_grad_without_gradient():
    torch.ones(2).retain_grad()


def hook_without_gradient():
    torch.ones(2).register_hook(print)


def numpy_of_a_variable():
    leaf().numpy()


def grad_of_another_shape():
    leaf().grad = torch.ones(3)


def saved_tensors_hooks():
    torch.autograd.graph.saved_tensors_hooks(print, print)


CASES = {
    second_backward: (
        errors.FreedGraphError,
        r"ExpBackward0 \(.*test_errors.py:\d+, in second_backward: y = x.exp\(\).sum\(\)\).*retain_graph=True",
    ),
    freed_by_grad: (
        errors.FreedGraphError,
        r"ExpBackward0 .*in freed_by_grad: y = x.exp\(\)\).*Specify retain_graph=True",
    ),
    changed_input: (
        errors.InPlaceError,
        r"MulBackward0 \(.*: y = x \* x\) saved its input of shape \(2,\) at version 0.*changed to version 1 by .*: x.add_\(1\)",
    ),
    changed_result: (
        errors.InPlaceError,
        r"ExpBackward0 \(.*: y = leaf\(\).exp\(\)\) saved its result at version 0.*by .*: y.mul_\(2\)",
    ),
    changed_through_a_view: (
        errors.InPlaceError,
        r"SinBackward0 \(.*: y = x.sin\(\)\).*by .*: v.zero_\(\).*\.clone\(\)",
    ),
    changed_weight: (errors.InPlaceError, r"MulBackward0 \(.*: y = w \* x\).*by .*: w.sub_\(0.1\)"),
    not_a_scalar: (
        errors.GradientError,
        r"implicitly created only for scalar outputs, got shape \(2,\). Reduce it first, e.g. with .sum\(\)",
    ),
    gradient_of_another_shape: (
        errors.ShapeError,
        r"grad_output\[0\] has a shape of \(3,\) and output\[0\] has a shape of \(2,\)",
    ),
    gradient_that_is_no_tensor: (errors.ArgumentError, "gradients can be either Tensors or None, but got list"),
    no_graph: (
        errors.GradientError,
        "does not require grad and does not have a grad_fn.*Set requires_grad=True on an input",
    ),
    cut_by_no_grad: (
        errors.GradientError,
        r"does not require grad and does not have a grad_fn.*no_grad\(\) or detach\(\) on the way",
    ),
    integer_leaf: (RuntimeError, "floating point"),
    integer_leaf_later: (
        errors.DTypeError,
        r"only Tensors of floating point dtype can require gradients, got torch.int64; convert with .float\(\) first",
    ),
    unused_input: (errors.GradientError, "appears to not have been used in the graph. Set allow_unused=True"),
    input_without_gradient: (
        errors.GradientError,
        r"does not require grad; call .requires_grad_\(\) on it before using it",
    ),
    empty_inputs: (errors.GradientError, "`inputs` argument to `backward\\(\\)` cannot be empty"),
    leaf_in_place: (
        errors.GradientError,
        r"a leaf Variable that requires grad is being used in an in-place operation \(add_\). Use it inside torch.no_grad\(\)",
    ),
    view_of_leaf_in_place: (
        errors.GradientError,
        "a view of a leaf Variable that requires grad is being used in an in-place operation",
    ),
    expanded_in_place: (
        errors.ShapeError,
        r"more than one element of the written-to tensor refers to a single memory location.*clone\(\)",
    ),
    another_size_in_place: (errors.ShapeError, r"output with shape \[1\] doesn't match the broadcast shape \[3\]"),
    another_kind_in_place: (
        errors.DTypeError,
        r"result type Float can't be cast to the desired output type Long.*convert it first with .to\(torch.float32\)",
    ),
    switched_off_on_a_result: (
        errors.GradientError,
        r"you can only change requires_grad flags of leaf variables.*detach\(\)",
    ),
    retain_grad_without_gradient: (errors.GradientError, "can't retain_grad on Tensor that has requires_grad=False"),
    hook_without_gradient: (errors.GradientError, "cannot register a hook on a tensor that doesn't require gradient"),
    numpy_of_a_variable: (
        errors.GradientError,
        r"Can't call numpy\(\) on Tensor that requires grad. Use tensor.detach\(\).numpy\(\) instead",
    ),
    grad_of_another_shape: (
        errors.ShapeError,
        r"assigned grad has data of a different size: expected \[2\], got \[3\]",
    ),
    saved_tensors_hooks: (errors.UnsupportedError, "saved_tensors_hooks is not supported.*use torch.utils.checkpoint"),
}


@pytest.mark.parametrize("call", CASES, ids=lambda f: f.__name__)
def test_text(call):
    kind, text = CASES[call]
    with pytest.raises(kind, match=re.compile(text, re.S)):
        call()


def test_every_error_is_also_what_pytorch_raises():
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and kind is not errors.ChainruleError:
            assert issubclass(kind, errors.ChainruleError)
            assert issubclass(kind, (RuntimeError, TypeError, ValueError, IndexError)), name


# ---- anomaly mode: the first NaN or infinity, and the line that made it


ANOMALIES = {
    "log forward": (
        lambda: torch.log(torch.tensor([0.0, 1.0])),
        r"log made the first inf, forward, at .*test_errors.py:\d+.*all its inputs were finite",
    ),
    "sqrt forward": (
        lambda: leaf(-1.0).sqrt(),
        r"sqrt made the first NaN, forward, at .*test_errors.py:\d+.*argument 1 = -1.0",
    ),
    "division forward": (lambda: leaf(1.0) / torch.zeros(1), r"div made the first inf, forward"),
    "sqrt backward": (
        lambda: leaf(0.0).sqrt().sum().backward(),
        r"'SqrtBackward0' returned inf values in its 0th output.*forward call was at .*test_errors.py:\d+",
    ),
    "power backward": (lambda: (leaf(0.0) ** 0.5).sum().backward(), r"'PowBackward0' returned inf values"),
    "0 / 0 backward": (lambda: ((leaf(0.0) ** 2).sqrt() * 1).sum().backward(), "'SqrtBackward0' returned inf values"),
}


@pytest.mark.parametrize("name", ANOMALIES)
def test_anomaly_mode(name):
    call, text = ANOMALIES[name]
    with torch.autograd.detect_anomaly(), pytest.raises(errors.NonFiniteError, match=text):
        call()
    assert not torch.autograd.is_anomaly_enabled()
    call()  # silent without it


def test_anomaly_mode_lets_through_what_was_put_in_on_purpose():
    with torch.autograd.detect_anomaly():
        x = leaf(0.5, 2.0)
        scores = torch.where(torch.tensor([True, False]), x, -torch.inf)
        scores.softmax(0).sum().backward()
        assert torch.isfinite(x.grad).all()
        torch.where(leaf(0.0, 4.0) > 0, 1.0, 0.0)
    with torch.autograd.detect_anomaly(infinities=False):
        torch.log(torch.tensor([0.0]))
    torch.autograd.set_detect_anomaly(True)
    try:
        with pytest.raises(errors.NonFiniteError):
            torch.log(torch.tensor([-1.0]))
    finally:
        torch.autograd.set_detect_anomaly(False)
