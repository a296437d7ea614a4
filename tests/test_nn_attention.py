"""MultiheadAttention and the transformer beside PyTorch's."""

import numpy as np
import pytest

import chainrule
from chainrule import nn

from test_nn_recurrent import compare, pair  # isort: skip

torch = pytest.importorskip("torch")

ATTENTION = [
    ({}, {}),
    ({"bias": False}, {"need_weights": False}),
    ({"batch_first": True}, {"average_attn_weights": False}),
    ({"add_bias_kv": True, "add_zero_attn": True}, {"masks": "float"}),
    ({"add_zero_attn": True, "batch_first": True}, {"masks": "bool"}),
    ({"kdim": 6, "vdim": 2}, {"masks": "bool"}),
    ({"kdim": 6, "vdim": 2, "bias": False}, {"need_weights": False}),
    ({}, {"masks": "bool", "need_weights": False}),
    ({}, {"masks": "3d"}),
    ({"dropout": 0.0}, {"masks": "3d", "need_weights": False}),
]


def masks(lib, kind, target, source, batch, heads):
    if kind is None:
        return {}
    hidden = lib.tensor(np.triu(np.ones((target, source)), 2) > 0)
    padding = lib.tensor(np.arange(source)[None, :] >= np.array([source, source - 1])[:batch, None])
    if kind == "bool":
        return {"attn_mask": hidden, "key_padding_mask": padding}
    if kind == "float":
        rng = np.random.default_rng(3)
        return {
            "attn_mask": lib.tensor(rng.standard_normal((target, source))),
            "key_padding_mask": lib.tensor(rng.standard_normal((batch, source))),
        }
    return {"attn_mask": hidden.unsqueeze(0).repeat(batch * heads, 1, 1)}


@pytest.mark.parametrize(("kwargs", "call"), ATTENTION)
@pytest.mark.parametrize("kind", ["self", "cross", "three"])
def test_attention(kwargs, call, kind):
    if kind != "three" and "kdim" in kwargs:
        kind = "three"
    ours, theirs, rng = pair("MultiheadAttention", (4, 2), kwargs)
    call = dict(call)
    mask = call.pop("masks", None)
    target, source = (3, 3) if kind == "self" else (3, 5)
    shapes = {"self": [(3, 2, 4)], "cross": [(3, 2, 4), (5, 2, 4)]}.get(
        kind, [(3, 2, 4), (5, 2, kwargs.get("kdim", 4)), (5, 2, kwargs.get("vdim", 4))]
    )
    arrays = [rng.standard_normal(s) for s in shapes]
    if kwargs.get("batch_first"):
        arrays = [a.transpose(1, 0, 2).copy() for a in arrays]

    def make(lib, module, *x):
        q, k, v = (x[0], x[min(1, len(x) - 1)], x[-1])
        return module(q, k, v, **call, **masks(lib, mask, target, source, 2, 2))

    compare(ours, theirs, arrays, make)


def test_attention_without_batch():
    ours, theirs, rng = pair("MultiheadAttention", (4, 2), {})
    arrays = [rng.standard_normal((3, 4)), rng.standard_normal((5, 4))]

    def make(lib, module, q, k):
        return module(q, k, k, key_padding_mask=lib.tensor([False, False, True, False, True]))

    compare(ours, theirs, arrays, make)


def test_causal_hint():
    ours, theirs, rng = pair("MultiheadAttention", (4, 2), {})

    def make(lib, module, x):
        mask = lib.nn.Transformer.generate_square_subsequent_mask(3).double()
        plain = module(x, x, x, attn_mask=mask, need_weights=False)[0]
        return plain, module(x, x, x, attn_mask=mask, need_weights=False, is_causal=True)[0]

    compare(ours, theirs, [rng.standard_normal((3, 2, 4))], make)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda m, x: m(x, x, x, is_causal=True), RuntimeError, "Need attn_mask if specifying the is_causal hint"),
        (lambda m, x: m(x[..., :2], x, x), AssertionError, "was expecting embedding dimension of 4, but got 2"),
        (lambda m, x: m(x, x, x[:1]), AssertionError, "does not match value shape"),
        (lambda m, x: m(x, x, x, attn_mask=chainrule.ones(2, 2)), RuntimeError, "2D attn_mask is .* should be"),
        (lambda m, x: m(x, x, x, attn_mask=chainrule.ones(3, 3).long()), AssertionError, "only bool and floating"),
        (lambda m, x: m(x[0, 0], x, x), AssertionError, "received 1-D query"),
        (lambda m, x: m(x, x, x, key_padding_mask=chainrule.ones(1, 3)), AssertionError, r"shape \(2, 3\), but got"),
        (lambda m, x: nn.MultiheadAttention(5, 2), AssertionError, "embed_dim must be divisible by num_heads"),
        (lambda m, x: nn.MultiheadAttention(0, 2), ValueError, "must be greater than 0"),
    ],
)
def test_attention_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call(nn.MultiheadAttention(4, 2), chainrule.ones(3, 2, 4))


def layer_kwargs(**kwargs):
    return {"dim_feedforward": 6, "dropout": 0.0, **kwargs}


@pytest.mark.parametrize(
    "kwargs",
    [
        {},
        {"norm_first": True, "batch_first": True, "activation": "gelu"},
        {"bias": False, "layer_norm_eps": 1e-3},
    ],
)
@pytest.mark.parametrize("kind", ["plain", "bool", "float"])
def test_encoder_layer(kwargs, kind):
    ours, theirs, rng = pair("TransformerEncoderLayer", (4, 2), layer_kwargs(**kwargs))
    x = rng.standard_normal((2, 3, 4) if kwargs.get("batch_first") else (3, 2, 4))

    def make(lib, module, x):
        found = masks(lib, None if kind == "plain" else kind, 3, 3, 2, 2)
        return module(x, src_mask=found.get("attn_mask"), src_key_padding_mask=found.get("key_padding_mask"))

    compare(ours, theirs, [x], make)


@pytest.mark.parametrize("kwargs", [{}, {"norm_first": True, "batch_first": True, "activation": "gelu"}])
def test_decoder_layer(kwargs):
    ours, theirs, rng = pair("TransformerDecoderLayer", (4, 2), layer_kwargs(**kwargs))
    shapes = [(2, 3, 4), (2, 5, 4)] if kwargs.get("batch_first") else [(3, 2, 4), (5, 2, 4)]

    def make(lib, module, x, memory):
        own, cross = masks(lib, "bool", 3, 3, 2, 2), masks(lib, "bool", 3, 5, 2, 2)
        return module(
            x, memory, own["attn_mask"], cross["attn_mask"], own["key_padding_mask"], cross["key_padding_mask"]
        )

    compare(ours, theirs, [rng.standard_normal(s) for s in shapes], make)


def test_encoder_and_decoder_stacks():
    for name, inputs in (("TransformerEncoder", 1), ("TransformerDecoder", 2)):
        layers = {lib: getattr(lib.nn, f"{name}Layer")(4, 2, 6, 0.0, batch_first=True) for lib in (chainrule, torch)}
        ours = getattr(nn, name)(layers[chainrule], 2, nn.LayerNorm(4)).double()
        theirs = getattr(torch.nn, name)(layers[torch], 2, torch.nn.LayerNorm(4)).double()
        ours.load_state_dict({k: chainrule.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
        assert repr(ours) == repr(theirs)
        rng = np.random.default_rng(0)
        compare(ours, theirs, [rng.standard_normal((2, 3, 4)) for _ in range(inputs)], lambda lib, m, *x: m(*x))


@pytest.mark.parametrize("kwargs", [{}, {"batch_first": True, "norm_first": True}])
@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_transformer(kwargs):
    sizes = {"num_encoder_layers": 1, "num_decoder_layers": 2, "dim_feedforward": 5, "dropout": 0.0}
    ours, theirs, rng = pair("Transformer", (4, 2), {**sizes, **kwargs})
    shapes = [(2, 5, 4), (2, 3, 4)] if kwargs else [(5, 2, 4), (3, 2, 4)]

    def make(lib, module, src, tgt):
        mask = module.generate_square_subsequent_mask(3, dtype=lib.float64)
        padding = lib.tensor([[False] * 5, [False, False, False, True, True]])
        return module(src, tgt, tgt_mask=mask, src_key_padding_mask=padding, memory_key_padding_mask=padding)

    compare(ours, theirs, [rng.standard_normal(s) for s in shapes], make)


def test_transformer_errors():
    model = nn.Transformer(4, 2, 1, 1, 5)
    with pytest.raises(RuntimeError, match="the batch number of src and tgt must be equal"):
        model(chainrule.ones(3, 2, 4), chainrule.ones(3, 1, 4))
    with pytest.raises(RuntimeError, match="must be equal to d_model"):
        model(chainrule.ones(3, 2, 5), chainrule.ones(3, 2, 5))
    with pytest.raises(RuntimeError, match="activation should be relu/gelu, not sin"):
        nn.TransformerEncoderLayer(4, 2, activation="sin")
