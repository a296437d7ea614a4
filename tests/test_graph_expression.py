"""Expressions: what they mean, and that anything else is refused at once, with the column."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import chainrule as cr
from chainrule.graphs.expression import ExpressionError, parse, parse_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x - 1 - 2", -1), ("8 / x / 2", 2), ("-x**2", -4), ("2**-x", 0.25), ("x**2**3", 256), ("-2*-x", 4), ("+x", 2),
        ("(x + 1) * 3", 9), ("2 * 3 + x", 8), ("x·3 − 1", 5), ("1e1 * x", 20), (".5 * x", 1), ("[x, 2*x][1]", 4),
        ("[[x, 1], [2, 3]].T @ [1, 2]", [6, 7]), ("max([x, 5]) * min(x, 3)", 10), ("pi * x", 2 * np.pi),
        ("where(x > 1, sqrt(x), 0)", 2**0.5), ("where(x <= 1, 1, x)", 2), ("q = x + 1; r = q * q; r - q", 6),
        ("sum([[1, 2], [3, 4]] @ [x, x])", 20), ("mean([x, 4])", 3), ("q = x * 2;", 4), ("e = x + 1; e * e", 9),
        ("transpose([[1, 2], [3, 4]]) @ [x, 0]", [2, 4]), ("abs(-x) + relu(-x) + sigmoid(0 * x)", 2.5), ("x if_", None),
    ],
)  # fmt: skip
def test_meaning(text, value):
    if value is None:
        with pytest.raises(ExpressionError, match="a sign is missing before 'if_'"):
            cr.graph(text, x=2)
    else:
        np.testing.assert_allclose(cr.graph(text, x=2).output.value, value)


BAD = [
    ("__import__('os')", 1, "unknown function '__import__'"), ("'a'", 1, "unexpected character"),
    ("(" * 10**6, 201, "brackets are nested deeper than 200"), ("[" * 10**6, 201, "nested deeper than 200"),
    ("9**9**9", 2, "is too large for a float"), ("x + 9e307 * 10", 11, "is too large for a float"),
    ("1e999 * x", 1, "1e999 is too large"), ("x +", 4, "expected a value, got the end"), ("x y", 3, "a sign is missing"),
    ("2x", 2, "a product is written 2*x"), ("(x", 3, "the bracket of column 1 is never closed"),
    ("x)", 2, "there is no open bracket"), ("(x]", 3, "expected ')' for the bracket of column 1, got ']'"),
    ("f(x)", 1, "unknown function 'f'"), ("x(2)", 1, "x is a value, not a function"), ("y + x", 1, "unknown name 'y'"),
    ("tanh(x, x)", 1, "tanh takes 1 argument, got 2"), ("tanh + x", 1, "tanh is a function: write tanh(...)"),
    ("x.real", 2, "values have no attributes"), ("x^2", 2, "powers are written x**2"), ("", 1, "the expression is empty"),
    ("x;;x", 3, "expected a value, got ';'"), ("q = q + x", 5, "unknown name 'q'"), ("x = 1", 1, "'x' is taken already"),
    ("q = x; q = 2", 8, "'q' has a value already"), ("1 < x < 3", 7, "comparisons can't be chained"),
    ("x == = 1", 6, "expected a value"), ("[]", 2, "an empty list has no value"), ("[x, [x]]", 1, "must have one length"),
    ("x + [1, 2] + [1, 2, 3]", 12, "must match the size"), ("x @ 2", 3, "for numbers use *"),
    ("where(x, 1, 2)", 1, "must be a comparison"), ("[x, 1][2]", 7, "out of bounds"), ("x, 1", 2, "a comma outside"),
    ("max()", 1, "max takes 1 or 2 arguments, got 0"), ("lambda x: x", 8, "a sign is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "column", "message"), BAD, ids=lambda v: str(v)[:20])
def test_errors_say_where(text, column, message):
    start = time.perf_counter()
    with pytest.raises(ExpressionError) as found:
        cr.graph(text, x=1)
    assert time.perf_counter() - start < 1
    assert message in found.value.message and found.value.column == column
    assert f"(column {column})" in str(found.value) and len(str(found.value)) < 1000


def test_results_stay_small():
    row = "[" + ",".join(["1"] * 2000) + "]"
    column = "[" + ",".join(["[x]"] * 2000) + "]"
    with pytest.raises(ExpressionError, match="a result of 4000000 elements is too large here"):
        cr.graph(f"{column} * {row}", x=1)


def test_values_must_fit():
    with pytest.raises(cr.errors.ArgumentValueError, match="'y' has a value, but does not occur"):
        cr.graph("x * 2", x=1, y=2)
    with pytest.raises(cr.errors.ArgumentError, match="x: expected a number, a vector or a matrix"):
        cr.graph("x * 2", x="os")
    with pytest.raises(cr.errors.ArgumentValueError, match="'tanh' can't be the name of a variable"):
        cr.graph("x * tanh", x=1, tanh=2)


def test_values_as_text():
    assert parse_value("[[1, -2], [3, 4e-1]]") == [[1, -2], [3, 0.4]]
    for bad in ("x", "1 + 1", "tanh(1)", "1; 2", "q = 1"):
        with pytest.raises(ExpressionError):
            parse_value(bad)


@given(st.text(alphabet="x1.+-*/@<>=()[],; tanhwere'\"^_²\n", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_expression_or_an_expression_error(text):
    try:
        parse(text)
        cr.graph(text, x=1.5)
    except (ExpressionError, cr.errors.ArgumentValueError) as error:
        assert str(error)


@st.composite
def arithmetic(draw, depth=0):
    if depth == 4 or draw(st.booleans()):
        return draw(st.sampled_from(["x", "y", "2.0", "3.0"]))
    kind = draw(st.sampled_from(["+", "-", "*", "**", "neg", "()"]))
    a = draw(arithmetic(depth=depth + 1))
    if kind == "neg":
        return f"-{a}"
    if kind == "()":
        return f"({a})"
    return f"{a} ** 2.0" if kind == "**" else f"{a} {kind} {draw(arithmetic(depth=depth + 1))}"


@given(arithmetic())
@settings(max_examples=150, deadline=None)
def test_operators_bind_as_in_python(text):
    text = f"0.0 * (x + y) + {text}"
    try:
        wanted = eval(text, {"x": 1.25, "y": -0.5})  # our own text: numbers, x, y and operators
    except OverflowError:
        return
    if abs(wanted) < 1e100:
        np.testing.assert_allclose(cr.graph(text, x=1.25, y=-0.5).output.value, wanted, rtol=1e-12)
