"""How many operations a call takes: floating-point operations, a multiplication and an addition counted each.

==========================  ==========================================================================================
a product of matrices       2·k per element of the result, k the length of the dimension that is summed over
linear, with bias           2·in + 1 per element of the result
convolution                 2·(in channels / groups)·(elements of the kernel) per element of the result, 1 with bias
its transposes              as the convolution between the same two arrays; so is ``conv_transpose``
attention                   4·L·S·E for the two products, per head and batch, and what stands between them
softmax, log_softmax        5 per element: maximum, difference, exponential, sum, and quotient (difference)
layer, group, batch norm    5 per element: mean, difference, square, sum, scale; 2 more with weight and bias
recurrent, per step and     tanh or relu: 2·H + 2; LSTM: 8·H + 13; GRU: 6·H + 10, and 3 with bias; H is the size of the
element of the state        state, and what is done with the inputs of all steps is a ``linear`` before
element by element          1 per element of the result, whatever the function
sums and the like           1 per element of the input
what only moves elements    0
==========================  ==========================================================================================

Padding is computed with like anything else. Of solvers and decompositions the leading term in n counts.
"""

import math

_ADDING = frozenset(
    "sum mean cumsum trace sum_to sum_batch window_sum col2im scatter_add index_add unembed ungather resample".split()
)
_NORMS = frozenset(("layer_norm", "group_norm", "batch_norm"))


def operations(graph, call):
    """Floating-point operations of a call; see the module's text."""
    ins = [None if k is None else graph.nodes[k] for k in call.inputs]
    out = size_of(graph, call)
    prim = call.primitive
    if prim is None:
        return out
    name = prim.name
    if name in _FORMULAS:
        return _FORMULAS[name](ins, out, call)
    if prim.family == "pointwise":
        return out
    if prim.view or (prim.family == "linear" and name not in _ADDING):
        return 0
    if multiplications(graph, call) is not None:
        bias = ins[2] if name in ("linear", "convolution") and len(ins) > 2 else None
        return 2 * multiplications(graph, call) + (out if bias is not None else 0)
    if name in ("softmax", "log_softmax", "cross_entropy"):
        return 5 * ins[0].size
    if name in _NORMS:
        return (5 + sum(n is not None for n in ins[1:3])) * ins[0].size
    return max([out, *[n.size for n in ins if n is not None]])


def size_of(graph, call):
    """The elements of a call's first result."""
    return math.prod(call.specs[0][0]) if call.specs and call.specs[0] and call.specs[0][0] is not None else 0


def multiplications(graph, call):
    """Multiplications of a product of two of the call's arguments, forward or in either's derivative.

    None if the call is no product. A product is linear in both, so that all three take the same number.
    """
    prim = call.primitive
    rule = None if prim is None else _PRODUCTS.get(prim.name)
    if rule is None:
        return None
    ins = [None if k is None else graph.nodes[k].shape for k in call.inputs]
    return None if None in ins[:2] else rule(ins, call.specs[0][0], call.params or {})


def _summed(shape, turned):
    return shape[0] if len(shape) == 1 else shape[-2] if turned else shape[-1]


def _per_output(shape):
    """What one output channel of a convolution's weight holds."""
    return math.prod(shape[1:])


# per product: multiplications, given the arguments' shapes, the result's, and the parameters
_PRODUCTS = {
    "matmul": lambda s, y, p: math.prod(y) * _summed(s[0], p.get("ta", False)),
    "mv": lambda s, y, p: math.prod(y) * s[1][-1],
    "dot": lambda s, y, p: math.prod(s[0]),
    "cross": lambda s, y, p: 2 * math.prod(y),
    "linear": lambda s, y, p: math.prod(y) * s[0][-1],
    "convolution": lambda s, y, p: math.prod(y) * _per_output(s[1]),
    "conv_input": lambda s, y, p: math.prod(s[0]) * _per_output(s[1]),
    "conv_weight": lambda s, y, p: math.prod(s[0]) * _per_output(y),
    "rnn_scan": lambda s, y, p: math.prod(y) * s[1][-1],
    "lstm_scan": lambda s, y, p: 4 * math.prod(y) * s[1][-1],
    "gru_scan": lambda s, y, p: 3 * math.prod(y) * s[1][-1],
}


def _square(leading):
    """A decomposition of matrices: ``leading`` times n³ for each."""
    return lambda ins, out, call: round(leading * ins[0].size * ins[0].shape[-1])


def _solve(ins, out, call):
    n = ins[0].shape[-1]
    return round(2 / 3 * ins[0].size * n) + 2 * n * out


_FORMULAS = {
    "cross": lambda ins, out, call: 3 * out,
    "max_pool": lambda ins, out, call: out * (math.prod(call.params["kernel"]) - 1),
    "rnn_scan": lambda ins, out, call: out * (2 * ins[1].shape[-1] + 2),
    "lstm_scan": lambda ins, out, call: out * (8 * ins[1].shape[-1] + 13),
    "gru_scan": lambda ins, out, call: out * (6 * ins[1].shape[-1] + 10 + 3 * (len(ins) > 3 and ins[3] is not None)),
    "linalg_inv": _square(2),
    "linalg_det": _square(2 / 3),
    "linalg_slogdet": _square(2 / 3),
    "linalg_cholesky": _square(1 / 3),
    "linalg_solve": _solve,
    "linalg_solve_triangular": lambda ins, out, call: ins[0].shape[-1] * out,
}
