"""einsum: Einstein's summation convention, reduced to batched matrix products.

Operands are contracted two at a time. Of the labels of such a pair, those that occur in both and are still needed
later are batch dimensions, those in both that are not needed are summed by the matrix product, and the rest are its
rows and columns.
"""

import math

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..primitive import public
from .matmul import matmul_p
from .operands import check_operands
from .shape import expand_p, permute_p, reshape_p


@public(method=False)
def einsum(equation, *operands):
    """Sum products of the operands' elements as ``equation`` says.

    Labels are letters; ``...`` stands for broadcasting dimensions; a label twice in one operand takes the diagonal;
    without ``->`` the result has the labels that occur once, in alphabetical order. The sublist form ``einsum(a, [0,
    1], b, [1, 2], [0, 2])`` is taken too.
    Raises ShapeError or ArgumentError for an equation that does not fit the operands.

    >>> import chainrule as torch
    >>> torch.einsum("ij,jk->ik", torch.eye(2), torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[1., 2.],
            [3., 4.]])
    """
    if not isinstance(equation, str):
        equation, operands = _from_sublists((equation, *operands))
    if len(operands) == 1 and isinstance(operands[0], (tuple, list)):
        operands = operands[0]
    if not operands:
        raise ArgumentError("einsum(): must provide at least one operand")
    check_operands("einsum", *operands)
    inputs, output = _parse(equation, operands)
    sizes = {}
    tensors = []
    for i, (labels, t) in enumerate(zip(inputs, operands, strict=True)):
        t, labels = _diagonals(t, labels, i)
        for label, n in zip(labels, t._data.shape, strict=True):
            if n != 1:
                if sizes.get(label, 1) not in (1, n):
                    raise ShapeError(
                        f"einsum(): subscript {_shown(label)} has size {n} for operand {i} which does not broadcast "
                        f"with previously seen size {sizes[label]}"
                    )
                sizes[label] = n
            else:
                sizes.setdefault(label, 1)
        tensors.append((t, labels))
    for pair in _order(tensors, output, sizes):
        a, b = (tensors[i] for i in pair)
        rest = [t for i, t in enumerate(tensors) if i not in pair]
        needed = set(output).union(*[labels for _, labels in rest])
        tensors = [*rest, _contract(a, b, needed)]
    t, labels = _summed(*tensors[0], set(output))
    missing = [label for label in output if label not in labels]
    if missing:
        raise ShapeError(
            f"einsum(): output subscript {_shown(missing[0])} does not appear in the equation for any input operand"
        )
    t = _arranged(t, labels, output)
    shape = tuple([sizes[label] for label in output])
    return t if t._data.shape == shape else expand_p(t, shape=shape)


# ---- the equation: labels are letters, and ints for the dimensions of an ellipsis


def _from_sublists(args):
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

    def text(sublist):
        out = []
        for item in sublist:
            if item is Ellipsis:
                out.append("...")
            elif isinstance(item, int) and 0 <= item < 52:
                # PyTorch numbers A-Z first; only the order matters here, for the implicit output.
                out.append(letters[26 + item] if item < 26 else letters[item - 26])
            else:
                raise ArgumentError(
                    f"einsum(): expected subscripts in a sublist to be Ellipsis or ints from 0 to 51, got {item!r}"
                )
        return "".join(out)

    operands = args[: len(args) // 2 * 2 : 2]
    equation = ",".join(text(s) for s in args[1::2])
    if len(args) % 2:
        equation += "->" + text(args[-1])
    return equation, operands


def _parse(equation, operands):
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    terms = left.split(",")
    if len(terms) != len(operands):
        few = "fewer" if len(terms) > len(operands) else "more"
        raise ShapeError(
            f"einsum(): {few} operands were provided than specified in the equation ({len(operands)} and {len(terms)})"
        )
    parts = [_term(t, f"operand {i}") for i, t in enumerate(terms)]
    dots = 0
    for i, (labels, t) in enumerate(zip(parts, operands, strict=True)):
        n, plain = t._data.ndim, len([x for x in labels if x is not Ellipsis])
        if Ellipsis in labels:
            if plain > n:
                raise ShapeError(_count_error(i, plain, n, "at least "))
            dots = max(dots, n - plain)
        elif plain != n:
            raise ShapeError(_count_error(i, plain, n, ""))
    inputs = []
    for labels, t in zip(parts, operands, strict=True):
        wide = t._data.ndim - len(labels) + 1
        inputs.append(_filled(labels, range(dots - wide, dots)))
    if arrow:
        output = _filled(_term(right, "the output"), range(dots))
        twice = [x for x in output if output.count(x) > 1]
        if twice:
            raise ShapeError(f"einsum(): output subscript {_shown(twice[0])} appears more than once in the output")
    else:
        seen = [x for labels in inputs for x in labels if isinstance(x, str)]
        output = [*range(dots), *sorted(x for x in set(seen) if seen.count(x) == 1)]
    return inputs, output


def _term(text, where):
    labels = []
    dots, rest = text.count("..."), text.replace("...", "\0")
    for c in rest:
        if c == "\0":
            labels.append(Ellipsis)
        elif c.isascii() and c.isalpha():
            labels.append(c)
        elif c == ".":
            raise ShapeError(f"einsum(): found '.' for {where} that is not part of any ellipsis")
        else:
            raise ShapeError(
                f"einsum(): invalid subscript given at {where} of the equation string, subscripts must "
                f"be in [a-zA-Z], got {c!r}"
            )
    if dots > 1:
        raise ShapeError(f"einsum(): found '.' for {where} for which an ellipsis was already found")
    return labels


def _filled(labels, dots):
    return [y for x in labels for y in (dots if x is Ellipsis else (x,))]


def _count_error(i, plain, n, least):
    return (
        f"einsum(): the number of subscripts in the equation ({plain}) does not match the number of dimensions ({n}) "
        f"for operand {i}"
        + (" and no ellipsis was given" if not least else f"; with an ellipsis it may be {least}{plain}")
    )


def _shown(label):
    return label if isinstance(label, str) else "..."


# ---- one operand


def _diagonals(t, labels, i):
    """A label that occurs twice: multiply by the identity pattern and sum, that is take the diagonal."""
    labels = list(labels)
    while len(set(labels)) < len(labels):
        label = next(x for x in labels if labels.count(x) > 1)
        first = labels.index(label)
        second = labels.index(label, first + 1)
        shape = t._data.shape
        if shape[first] != shape[second]:
            raise ShapeError(
                f"einsum(): subscript {_shown(label)} is repeated for operand {i} but the sizes don't match, "
                f"{shape[second]} != {shape[first]}"
            )
        t = t.diagonal(dim1=first, dim2=second)
        labels = [x for k, x in enumerate(labels) if k not in (first, second)] + [label]
    return t, labels


def _summed(t, labels, needed):
    """Sum over the labels nobody needs."""
    drop = tuple([k - len(labels) for k, x in enumerate(labels) if x not in needed])
    if drop:
        t = t.sum(drop)
        labels = [x for x in labels if x in needed]
    return t, labels


def _arranged(t, labels, order):
    n = len(labels)
    dims = tuple([labels.index(x) - n for x in order])
    return t if dims == tuple(range(-n, 0)) else permute_p(t, dims=dims)


# ---- two operands


def _contract(a, b, needed):
    """The product of two operands, summed over what is not ``needed``."""
    (x, lx), (y, ly) = a, b
    x, lx = _summed(x, lx, needed | set(ly))
    y, ly = _summed(y, ly, needed | set(lx))
    # A size of 1 against n: summed there, it is a plain factor; otherwise it broadcasts by itself.
    sx, sy = dict(zip(lx, x._data.shape, strict=True)), dict(zip(ly, y._data.shape, strict=True))
    for label in [k for k in lx if k in sy and k not in needed and sx[k] != sy[k]]:
        if sx[label] == 1:
            y, ly = _summed(y, ly, set(ly) - {label})
            x, lx = _summed(x, lx, set(lx) - {label})
        else:
            x, lx = _summed(x, lx, set(lx) - {label})
            y, ly = _summed(y, ly, set(ly) - {label})
    both = [k for k in lx if k in ly]
    batch = [k for k in both if k in needed]
    inner = [k for k in both if k not in needed]
    rows, columns = [k for k in lx if k not in ly], [k for k in ly if k not in lx]
    x, y = _arranged(x, lx, batch + rows + inner), _arranged(y, ly, batch + inner + columns)
    if not inner:
        shape = x._data.shape + (1,) * len(columns)
        nb = len(batch)
        other = y._data.shape[:nb] + (1,) * len(rows) + y._data.shape[nb:]
        x = x if x._data.shape == shape else reshape_p(x, shape=shape)
        y = y if y._data.shape == other else reshape_p(y, shape=other)
        return x * y, batch + rows + columns
    nb, k = len(batch), len(inner)
    bx, by = x._data.shape[:nb], y._data.shape[:nb]
    mid, outs = x._data.shape[nb : nb + len(rows)], y._data.shape[nb + k :]
    size = math.prod(x._data.shape[nb + len(rows) :])
    if bx == by and nb > 1:  # one batch dimension is cheaper than several
        bx = by = (math.prod(bx),)
    batch_shape = np.broadcast_shapes(x._data.shape[:nb], y._data.shape[:nb])
    p = matmul_p(_shaped(x, (*bx, math.prod(mid), size)), _shaped(y, (*by, size, math.prod(outs))))
    return _shaped(p, (*batch_shape, *mid, *outs)), batch + rows + columns


def _shaped(t, shape):
    return t if t._data.shape == shape else reshape_p(t, shape=shape)


def _order(tensors, output, sizes):
    """Which two operands to contract next, as positions in the list that shrinks: the pair whose result is smallest."""
    terms = [set(labels) for _, labels in tensors]
    if len(terms) == 2:
        return [(0, 1)]
    pairs = []
    while len(terms) > 1:
        best = None
        for i in range(len(terms)):
            for j in range(i + 1, len(terms)):
                needed = set(output).union(*[t for k, t in enumerate(terms) if k not in (i, j)])
                kept = (terms[i] | terms[j]) & needed
                gain = math.prod(sizes[x] for x in kept) - sum(math.prod(sizes[x] for x in terms[k]) for k in (i, j))
                if best is None or gain < best[0]:
                    best = (gain, i, j, kept)
        _, i, j, kept = best
        pairs.append((i, j))
        terms = [t for k, t in enumerate(terms) if k not in (i, j)] + [kept]
    return pairs
