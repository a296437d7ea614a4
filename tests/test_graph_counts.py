"""Operation counts against counts by hand, and against the same computation spelled out operator by operator."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import recurrence

F = nn.functional


def counted(function, *args):
    """``{operator: operations}`` of a traced function, added up."""
    found = {}
    for c in cr.graph(function, *args).cost().nodes:
        found[c.node.operator.partition("[")[0]] = found.get(c.node.operator.partition("[")[0], 0) + c.operations
    return found


@pytest.mark.parametrize(
    "a, b",
    [
        ((3, 4), (4, 5)),
        ((2, 3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (6, 4, 5)),
        ((4,), (4, 5)),
        ((3, 4), (4,)),
        ((7, 3, 4), (4, 5)),
    ],
)
def test_products_of_matrices(a, b):
    result = np.zeros(a) @ np.zeros(b)
    assert sum(counted(lambda x, y: x @ y, cr.ones(*a), cr.ones(*b)).values()) == 2 * 4 * result.size


def test_linear_and_dot():
    assert counted(F.linear, cr.ones(6, 3), cr.ones(5, 3), cr.ones(5)) == {"linear": 6 * 5 * (2 * 3 + 1)}
    assert counted(F.linear, cr.ones(2, 6, 3), cr.ones(5, 3)) == {"linear": 2 * 12 * 5 * 3}
    assert counted(cr.dot, cr.ones(8), cr.ones(8)) == {"dot": 16}


def loops(x, w, stride, padding, dilation, groups):
    """The multiplications of a convolution, one by one, padding included."""
    n, _, *size = x
    out, per_group, *kernel = w
    results = [(s + 2 * padding - dilation * (k - 1) - 1) // stride + 1 for s, k in zip(size, kernel)]
    times = 0
    for _ in itertools.product(range(n), range(out), *map(range, results)):
        for _ in itertools.product(range(per_group), *map(range, kernel)):
            times += 1
    return times, n * out * int(np.prod(results))


@pytest.mark.parametrize("how", [{}, {"stride": 2, "padding": 1}, {"dilation": 2}, {"groups": 2, "padding": 2}])
@pytest.mark.parametrize("dims", [1, 2])
def test_convolutions(how, dims):
    how = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **how}
    x, w = (2, 4, *[7, 6][:dims]), (6, 4 // how["groups"], *[3, 2][:dims])
    conv = (F.conv1d, F.conv2d)[dims - 1]
    times, results = loops(x, w, **how)
    assert sum(counted(lambda x, w: conv(x, w, **how), cr.ones(*x), cr.ones(*w)).values()) == 2 * times
    found = counted(lambda x, w, b: conv(x, w, b, **how), cr.ones(*x), cr.ones(*w), cr.ones(6))
    assert sum(found.values()) == 2 * times + results


def test_transposed_convolutions_take_what_the_convolution_takes():
    x, w = cr.ones(2, 4, 5, 5), cr.ones(4, 3, 3, 3)
    back, _ = loops((2, 3, 11, 11), (4, 3, 3, 3), 2, 0, 1, 1)
    assert counted(lambda x, w: F.conv_transpose2d(x, w, stride=2), x, w)["conv_input"] == 2 * back


def test_attention():
    q, k, v = cr.ones(2, 3, 5, 4), cr.ones(2, 3, 7, 4), cr.ones(2, 3, 7, 4)
    found = counted(F.scaled_dot_product_attention, q, k, v)
    heads, length, keys, size = 6, 5, 7, 4
    assert found["matmul"] == heads * 4 * length * keys * size
    assert found["softmax"] == heads * length * keys * 5


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent_layers_take_what_their_steps_take(kind):
    """The count of the one operator for all steps is that of the definition, operator by operator."""
    time, rows, size = 5, 2, 3
    gates = {"RNN": 1, "LSTM": 4, "GRU": 3}[kind]
    p, h, w = cr.randn(time, rows, gates * size), cr.randn(rows, size), cr.randn(gates * size, size)
    state = (h, h) if kind == "LSTM" else (h,)
    steps = getattr(recurrence, f"{kind.lower()}_steps")
    spelled = counted(lambda *a: cr.stack([s[0] for s in steps(*a)[0]]), p, *state, w)
    layer = getattr(recurrence, f"_{kind.lower()}")

    def fused(*a):
        found = layer(*a, reverse=False, **({"relu": False} if kind == "RNN" else {}))
        return found[0] if isinstance(found, tuple) else found

    extra = {"GRU": (None,)}.get(kind, ())
    assert counted(lambda *a: fused(*a, *extra), p, *state, w) == {f"{kind.lower()}_scan": sum(spelled.values())}


def test_a_whole_recurrent_net_by_hand():
    net = nn.LSTM(3, 4, num_layers=2, bidirectional=True)
    steps, rows = 5, 2
    found = counted(lambda x: net(x)[0], cr.randn(steps, rows, 3))
    per_step = 4 * (8 * 4 + 13)
    assert found["lstm_scan"] == 4 * steps * rows * per_step
    assert found["linear"] == sum(2 * steps * rows * 16 * (2 * inputs + 1) for inputs in (3, 8))
    gru = nn.GRU(3, 4)
    assert counted(lambda x: gru(x)[0], cr.randn(steps, rows, 3))["gru_scan"] == steps * rows * 4 * (6 * 4 + 13)
    rnn = nn.RNN(3, 4)
    assert counted(lambda x: rnn(x)[0], cr.randn(steps, rows, 3))["rnn_scan"] == steps * rows * 4 * (2 * 4 + 2)


def test_norms_softmax_and_moves():
    norm = nn.LayerNorm(3)
    assert counted(norm, cr.randn(4, 3)) == {"layer_norm": 7 * 12}
    assert counted(lambda x: F.layer_norm(x, (3,)), cr.randn(4, 3)) == {"layer_norm": 5 * 12}
    assert counted(lambda x: x.softmax(-1), cr.randn(4, 3)) == {"softmax": 60}
    assert sum(counted(lambda x, y: cr.cat([x.t(), y])[1:], cr.randn(4, 3), cr.randn(2, 4)).values()) == 0
    assert counted(lambda x: F.max_pool2d(x, 2), cr.randn(1, 2, 4, 4)) == {"max_pool": 8 * 3}


def test_backward_of_a_product_takes_two_products():
    g = cr.graph(lambda x, w: x @ w, cr.ones(4, 3), cr.ones(3, 5))
    assert g.reverse_operations() == 2 * 4 * 3 * 5
    assert g.forward_mode("x", np.ones((4, 3))).multiplications == 4 * 3 * 5


def test_results_that_no_node_shows_are_kept_for_backward_all_the_same():
    net = nn.LayerNorm(3)
    g = cr.graph(net, cr.randn(4, 3))
    (norm,) = g.find("layer_norm")
    assert norm.name == "layer_norm" and len(g.operators) == 1
    c = g.cost()
    values = sum(n.value.nbytes for n in g.nodes)
    assert c.bytes == values + 2 * 4 * 4  # mean and scale of every row
    assert c.peak >= c.saved
