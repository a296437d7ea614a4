"""Why an operator gave a NaN or an infinity, in words, from the values it was given."""

from __future__ import annotations

from typing import Any

import numpy as np


def reason(op: str, direction: str, kind: str, inputs: list, node: Any) -> tuple[str, str]:
    """(what happened, what to do)."""
    arrays = [a if a is not None and a.dtype.kind in "fiub" else None for a in inputs]
    x = arrays[0] if arrays else None
    y = arrays[1] if len(arrays) > 1 else None
    table = _FORWARD if direction == "forward" else _BACKWARD
    rule = table.get(op)
    found = rule(kind, x, y) if rule is not None else None
    if found is None:
        found = _general(op, direction, kind)
    return found


def _has(x: Any, test: Any) -> bool:
    return x is not None and x.size > 0 and bool(test(x).any())


def _log(kind: str, x: Any, y: Any) -> tuple[str, str]:
    clamp = "Keep the argument positive: log(x.clamp(min=1e-8)), or take log_softmax / logsigmoid of the logits."
    if kind == "NaN" or _has(x, lambda a: a < 0):
        return "the logarithm of a negative number is NaN", clamp
    return "the logarithm of 0 is -inf", clamp


def _log1p(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return "log1p of -1 or less has no finite value", "Keep the argument above -1 with clamp(min=-1 + 1e-7)."


def _sqrt(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return "the square root of a negative number is NaN", "Clamp the argument at 0: x.clamp(min=0).sqrt()."


def _div(kind: str, x: Any, y: Any) -> tuple[str, str]:
    eps = "Add a small number to the denominator, x / (y + 1e-8), or leave these elements out."
    if _has(y, lambda a: a == 0):
        if kind == "NaN":
            return "0 divided by 0 is NaN", eps
        return "a number divided by 0 is infinite", eps
    if kind == "NaN":
        return "0 divided by 0 is NaN", eps
    return "the quotient is larger than the dtype can hold: the denominator is tiny", eps


def _exp(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return (
        "exp overflows: in float32 its argument may be 88 at most",
        "Subtract the maximum first, or use softmax, logsumexp or log1p, which do; or clamp the argument.",
    )


def _pow(kind: str, x: Any, y: Any) -> tuple[str, str]:
    if _has(x, lambda a: a < 0) and kind == "NaN":
        return "a negative number to a fractional power is NaN", "Take the power of x.clamp(min=0) or of x.abs()."
    if _has(x, lambda a: a == 0):
        return "0 to a negative power is infinite", "Add a small number to the base."
    return "the power is larger than the dtype can hold", "Make the base or the exponent smaller, or clamp them."


def _inverse(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return "the argument is outside [-1, 1], or at its end", "Clamp it: x.clamp(-1 + 1e-6, 1 - 1e-6)."


def _softmax(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return (
        "a softmax over a row of nothing but -inf is 0/0 (or its input held an infinity)",
        "Leave at least one element of every row unmasked.",
    )


def _product(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return (
        "the numbers have grown beyond what the dtype can hold",
        "Lower the learning rate, clip gradients, or normalise between layers.",
    )


def _spread(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return (
        "a statistic of too few elements: the unbiased variance of one element is 0/0",
        "Use unbiased=False, or more than one element.",
    )


_FORWARD = {
    "log": _log, "log2": _log, "log10": _log, "log1p": _log1p, "xlogy": _log, "logit": _log,
    "sqrt": _sqrt, "rsqrt": lambda k, x, y: ("1 / sqrt of 0 is infinite, of a negative number NaN", "Add a small eps."),
    "div": _div, "reciprocal": lambda k, x, y: _div(k, np.ones(1), x), "true_divide": _div,
    "remainder": _div, "fmod": _div,
    "exp": _exp, "exp2": _exp, "expm1": _exp, "sinh": _exp, "cosh": _exp,
    "pow": _pow, "pow_number": _pow, "pow_half": _sqrt, "pow_base": _pow, "pow_smooth": _pow,
    "acos": _inverse, "asin": _inverse, "atanh": _inverse, "acosh": _inverse, "erfinv": _inverse,
    "softmax": _softmax, "log_softmax": _softmax, "logsumexp": _softmax, "cross_entropy": _softmax,
    "linear": _product, "matmul": _product, "convolution": _product, "mul": _product, "add": _product,
    "sub": _product, "sum": _product, "mean": _product, "square": _product, "mse_loss": _product, "prod": _product,
    "var": _spread, "std": _spread,
}  # fmt: skip


def _root_back(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return (
        "the derivative of the square root (or norm) at 0 is infinite, and infinity times 0 is NaN",
        "Add a small number under the root: (x + 1e-12).sqrt().",
    )


def _where_back(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return (
        "a branch that `where` did not select is not finite, and its derivative times 0 is NaN",
        "Make the argument safe before the operator: where(ok, x, 1).log(), not where(ok, x.log(), 0).",
    )


def _log_back(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return "the derivative of log at 0 is infinite", "Clamp the argument: x.clamp(min=1e-8).log()."


def _div_back(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return "the derivative of a quotient is infinite where the denominator is 0", "Add a small eps to the denominator."


def _pow_back(kind: str, x: Any, y: Any) -> tuple[str, str]:
    return "the derivative of a power below 1 at 0 is infinite", "Add a small number to the base."


_BACKWARD = {
    "sqrt": _root_back, "vector_norm": _root_back, "pow_half": _root_back, "euclidean_distance": _root_back,
    "std": _root_back, "rsqrt": _root_back, "hypot": _root_back,
    "where": _where_back, "log": _log_back, "xlogy": _log_back, "log2": _log_back, "log10": _log_back,
    "div": _div_back, "reciprocal": _div_back, "pow": _pow_back, "pow_number": _pow_back, "pow_smooth": _pow_back,
    "pow_base": _pow_back,
    "acos": _inverse, "asin": _inverse, "atanh": _inverse, "acosh": _inverse, "atan2": _div_back,
    "linear": _product, "matmul": _product, "convolution": _product, "mul": _product,
}  # fmt: skip


def _general(op: str, direction: str, kind: str) -> tuple[str, str]:
    if direction == "backward":
        return (
            f"the derivative of {op} is not finite at these values",
            "Keep its argument away from there, e.g. with clamp, or add a small eps.",
        )
    return (
        f"{op} has no finite value at these inputs",
        "Keep its argument inside the operator's domain, e.g. with clamp.",
    )
