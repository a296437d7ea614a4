"""Every layer beside PyTorch's: text, names of the state, output, and gradients of inputs and parameters."""

import numpy as np
import pytest

import chainrule
from chainrule import nn

torch = pytest.importorskip("torch")

# kind of input: a shape (normal numbers), ("int", high, shape), ("prob", shape), ("sign", shape), ("bool", shape)
IMAGE = (2, 4, 6, 5)
LINE = (2, 4, 7)
VOLUME = (2, 2, 4, 5, 4)


def row(name, args=(), kwargs=None, inputs=((3, 4),), call=None, mode="train", tag=""):
    kwargs = kwargs or {}
    text = ",".join([repr(a) for a in args] + [f"{k}={v!r}" for k, v in kwargs.items()])
    return pytest.param(name, args, kwargs, inputs, call or {}, mode, id=f"{name}({text}){tag}")


ELEMENTWISE = [
    row(name, args, kwargs)
    for name, args, kwargs in [
        ("ReLU", (), {}), ("ReLU6", (), {}), ("LeakyReLU", (0.2,), {}), ("ELU", (0.7,), {}), ("CELU", (1.3,), {}),
        ("SELU", (), {}), ("GELU", (), {}), ("GELU", ("tanh",), {}), ("SiLU", (), {}), ("Mish", (), {}),
        ("Sigmoid", (), {}), ("Tanh", (), {}), ("Hardtanh", (-0.5, 0.8), {}), ("Hardswish", (), {}),
        ("Hardsigmoid", (), {}), ("Hardshrink", (0.3,), {}), ("Softshrink", (0.3,), {}), ("Softplus", (2.0, 3.0), {}),
        ("Softsign", (), {}), ("Softmax", (1,), {}), ("Softmin", (), {"dim": 0}), ("LogSoftmax", (-1,), {}),
        ("LogSigmoid", (), {}), ("Tanhshrink", (), {}), ("Threshold", (0.1, -2.0), {}), ("GLU", (), {}),
        ("GLU", (1,), {}), ("PReLU", (), {}), ("PReLU", (4,), {"init": 0.1}), ("Identity", (1, 2), {"x": 3}),
    ]
]  # fmt: skip

LAYERS = [
    row("RReLU", mode="eval"),
    row("Softmax2d", inputs=(IMAGE,)),
    row("Linear", (4, 5)),
    row("Linear", (4, 5), {"bias": False}, ((2, 3, 4),)),
    row("Bilinear", (4, 3, 5), {}, ((2, 4), (2, 3))),
    row("Bilinear", (4, 3, 5), {"bias": False}, ((2, 2, 4), (2, 2, 3))),
    row("Conv1d", (4, 6, 3), {}, (LINE,)),
    row("Conv1d", (4, 6, 3), {"stride": 2, "padding": 1, "groups": 2}, ((4, 7),)),
    row("Conv1d", (4, 6, 4), {"padding": "same", "dilation": 2}, (LINE,)),
    row("Conv1d", (4, 6, 3), {"padding": 2, "padding_mode": "circular"}, (LINE,)),
    row("Conv2d", (4, 6, 3), {}, (IMAGE,)),
    row("Conv2d", (4, 6, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "bias": False}, (IMAGE,)),
    row("Conv2d", (4, 4, 3), {"padding": "same", "padding_mode": "reflect", "groups": 4}, (IMAGE,)),
    row("Conv2d", (4, 2, 2), {"padding": "valid", "dilation": (1, 2)}, (IMAGE,)),
    row("Conv2d", (4, 2, 3), {"padding": 1, "padding_mode": "replicate"}, ((4, 5, 5),)),
    row("Conv3d", (2, 4, 2), {"stride": (1, 2, 1), "padding": 1}, (VOLUME,)),
    row("Conv3d", (2, 4, 3), {"padding": "same"}, (VOLUME,)),
    row("ConvTranspose1d", (4, 3, 3), {"stride": 2, "padding": 1, "output_padding": 1}, (LINE,)),
    row("ConvTranspose2d", (4, 6, 3), {"stride": 2, "groups": 2, "bias": False}, (IMAGE,)),
    row("ConvTranspose2d", (4, 2, (2, 3)), {"dilation": 2}, (IMAGE,)),
    row("ConvTranspose2d", (4, 2, 3), {"stride": 2, "padding": 1}, ((2, 4, 3, 3),), {"output_size": (6, 6)}),
    row("ConvTranspose3d", (2, 3, 2), {"stride": 2}, (VOLUME,)),
    row("MaxPool1d", (2,), {}, (LINE,)),
    row("MaxPool1d", (3, 2), {"padding": 1, "ceil_mode": True}, (LINE,)),
    row("MaxPool2d", (2,), {}, (IMAGE,)),
    row("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}, (IMAGE,)),
    row("MaxPool3d", (2,), {"stride": 1}, (VOLUME,)),
    row("AvgPool1d", (3, 2), {"padding": 1, "count_include_pad": False}, (LINE,)),
    row("AvgPool2d", (2,), {"ceil_mode": True}, (IMAGE,)),
    row("AvgPool2d", ((3, 2),), {"stride": 2, "padding": 1, "divisor_override": 3}, (IMAGE,)),
    row("AvgPool3d", (2,), {}, (VOLUME,)),
    row("LPPool1d", (2, 3), {}, (("prob", LINE),)),
    row("LPPool2d", (3, 2), {"stride": 1}, (("prob", IMAGE),)),
    row("LPPool3d", (2, 2), {}, (("prob", VOLUME),)),
    row("AdaptiveAvgPool1d", (3,), {}, (LINE,)),
    row("AdaptiveAvgPool2d", ((2, None),), {}, (IMAGE,)),
    row("AdaptiveAvgPool2d", (4,), {}, (IMAGE,)),
    row("AdaptiveAvgPool3d", (2,), {}, (VOLUME,)),
    row("AdaptiveMaxPool1d", (3,), {}, (LINE,)),
    row("AdaptiveMaxPool2d", ((2, 3),), {}, (IMAGE,)),
    row("AdaptiveMaxPool3d", (2,), {}, (VOLUME,)),
    row("BatchNorm1d", (4,), {}, ((5, 4),)),
    row("BatchNorm1d", (4,), {"momentum": None, "eps": 1e-3}, (LINE,)),
    row("BatchNorm1d", (4,), {"affine": False, "track_running_stats": False}, (LINE,)),
    row("BatchNorm2d", (4,), {}, (IMAGE,)),
    row("BatchNorm2d", (4,), {}, (IMAGE,), mode="eval", tag="-eval"),
    row("BatchNorm2d", (4,), {"bias": False}, (IMAGE,)),
    row("BatchNorm3d", (2,), {}, (VOLUME,)),
    row("SyncBatchNorm", (4,), {}, (IMAGE,), mode="eval"),
    row("LayerNorm", (4,), {}),
    row("LayerNorm", ((4, 7),), {"bias": False, "eps": 1e-3}, (LINE,)),
    row("LayerNorm", (4,), {"elementwise_affine": False}),
    row("GroupNorm", (2, 4), {}, (IMAGE,)),
    row("GroupNorm", (4, 4), {"affine": False}, (LINE,)),
    row("InstanceNorm1d", (4,), {}, (LINE,)),
    row("InstanceNorm1d", (4,), {"affine": True}, ((4, 7),)),
    row("InstanceNorm2d", (4,), {"affine": True, "track_running_stats": True}, (IMAGE,)),
    row("InstanceNorm2d", (4,), {"track_running_stats": True}, (IMAGE,), mode="eval", tag="-eval"),
    row("InstanceNorm3d", (2,), {}, (VOLUME,)),
    row("RMSNorm", (4,), {}),
    row("RMSNorm", ((4, 7),), {"eps": 0.1, "elementwise_affine": False}, (LINE,)),
    row("LocalResponseNorm", (2,), {"alpha": 0.1, "k": 2.0}, (IMAGE,)),
    row("LocalResponseNorm", (3,), {}, (LINE,)),
    row("Dropout", (0.3,), mode="eval"),
    row("Dropout1d", (), {}, (LINE,), mode="eval"),
    row("Dropout2d", (), {}, (IMAGE,), mode="eval"),
    row("Dropout3d", (), {}, (VOLUME,), mode="eval"),
    row("AlphaDropout", mode="eval"),
    row("FeatureAlphaDropout", mode="eval"),
    row("Embedding", (7, 3), {}, (("int", 7, (2, 4)),)),
    row("Embedding", (7, 3), {"padding_idx": 2, "scale_grad_by_freq": True}, (("int", 7, (2, 4)),)),
    row("Embedding", (7, 3), {"padding_idx": -1, "max_norm": 0.5, "norm_type": 1.0}, (("int", 7, (4,)),)),
    row("EmbeddingBag", (7, 3), {}, (("int", 7, (2, 4)),)),
    row("EmbeddingBag", (7, 3), {"mode": "sum", "padding_idx": 1}, (("int", 7, (2, 4)),)),
    row("EmbeddingBag", (7, 3), {"mode": "max", "max_norm": 1.0}, (("int", 7, (2, 4)),)),
    row("Flatten", (), {}, (IMAGE,)),
    row("Flatten", (0, 1), {}, (IMAGE,)),
    row("Unflatten", (1, (2, 2)), {}, (LINE,)),
    row("Unfold", (2,), {"padding": 1, "stride": 2}, (IMAGE,)),
    row("Fold", ((4, 5), (2, 2)), {}, ((2, 8, 12),)),
    row("Upsample", (), {"scale_factor": 2}, (IMAGE,)),
    row("Upsample", (), {"size": 9, "mode": "linear"}, (LINE,)),
    row("Upsample", (), {"scale_factor": (2, 1.5), "mode": "bilinear", "align_corners": True}, (IMAGE,)),
    row("UpsamplingNearest2d", (), {"size": (7, 9)}, (IMAGE,)),
    row("UpsamplingBilinear2d", (), {"scale_factor": 2}, (IMAGE,)),
    row("PixelShuffle", (2,), {}, (IMAGE,)),
    row("PixelUnshuffle", (2,), {}, ((2, 3, 4, 6),)),
    row("ChannelShuffle", (2,), {}, (IMAGE,)),
    row("ZeroPad1d", (1,), {}, (LINE,)),
    row("ZeroPad2d", ((1, 0, 2, 1),), {}, (IMAGE,)),
    row("ZeroPad3d", (1,), {}, (VOLUME,)),
    row("ConstantPad1d", ((1, 2), 3.5), {}, (LINE,)),
    row("ConstantPad2d", (1, -1.0), {}, (IMAGE,)),
    row("ConstantPad3d", (1, 2.0), {}, (VOLUME,)),
    row("ReflectionPad1d", ((1, 2),), {}, (LINE,)),
    row("ReflectionPad2d", (2,), {}, (IMAGE,)),
    row("ReflectionPad3d", (1,), {}, (VOLUME,)),
    row("ReplicationPad1d", (2,), {}, (LINE,)),
    row("ReplicationPad2d", ((0, 1, 2, 3),), {}, (IMAGE,)),
    row("ReplicationPad3d", (1,), {}, (VOLUME,)),
    row("CircularPad1d", (2,), {}, (LINE,)),
    row("CircularPad2d", (1,), {}, (IMAGE,)),
    row("CircularPad3d", (1,), {}, (VOLUME,)),
    row("CosineSimilarity", (), {}, ((3, 4), (3, 4))),
    row("CosineSimilarity", (), {"dim": 0}, ((3, 4), (3, 4))),
    row("PairwiseDistance", (), {"p": 1.0, "keepdim": True}, ((3, 4), (3, 4))),
    row("PairwiseDistance", (), {}, ((3, 4), (3, 4))),
]

PROB, SIGN = ("prob", (3, 4)), ("sign", (3, 4))
LOSSES = [
    row(name, (), kwargs | {"reduction": reduction}, inputs)
    for reduction in ("mean", "sum", "none")
    for name, kwargs, inputs in [
        ("L1Loss", {}, ((3, 4), (3, 4))),
        ("MSELoss", {}, ((3, 4), (3, 4))),
        ("SmoothL1Loss", {"beta": 0.5}, ((3, 4), (3, 4))),
        ("HuberLoss", {"delta": 0.5}, ((3, 4), (3, 4))),
        ("CrossEntropyLoss", {"label_smoothing": 0.1, "ignore_index": 1}, ((5, 4), ("int", 4, (5,)))),
        ("CrossEntropyLoss", {}, ((3, 4), PROB)),
        ("CrossEntropyLoss", {}, ((2, 4, 3), ("int", 4, (2, 3)))),
        ("NLLLoss", {"ignore_index": 2}, ((5, 4), ("int", 4, (5,)))),
        ("BCELoss", {}, (PROB, PROB)),
        ("BCEWithLogitsLoss", {}, ((3, 4), PROB)),
        ("KLDivLoss", {}, ((3, 4), PROB)),
        ("KLDivLoss", {"log_target": True}, ((3, 4), (3, 4))),
        ("PoissonNLLLoss", {"full": True}, ((3, 4), PROB)),
        ("PoissonNLLLoss", {"log_input": False}, (PROB, PROB)),
        ("GaussianNLLLoss", {"full": True}, ((3, 4), (3, 4), PROB)),
        ("SoftMarginLoss", {}, ((3, 4), SIGN)),
        ("HingeEmbeddingLoss", {"margin": 0.5}, ((3, 4), SIGN)),
        ("CosineEmbeddingLoss", {"margin": 0.2}, ((3, 4), (3, 4), ("sign", (3,)))),
        ("MarginRankingLoss", {"margin": 0.3}, ((4,), (4,), ("sign", (4,)))),
        ("MultiLabelMarginLoss", {}, ((3, 4), ("labels", (3, 4)))),
        ("MultiLabelSoftMarginLoss", {}, ((3, 4), ("bits", (3, 4)))),
        ("MultiMarginLoss", {"p": 2, "margin": 0.7}, ((5, 4), ("int", 4, (5,)))),
        ("TripletMarginLoss", {"swap": True}, ((3, 4), (3, 4), (3, 4))),
        ("TripletMarginWithDistanceLoss", {"margin": 0.5}, ((3, 4), (3, 4), (3, 4))),
    ]
]


def make_input(kind, rng):
    if kind[0] == "int":
        return rng.integers(0, kind[1], kind[2])
    if kind[0] == "prob":
        x = rng.uniform(0.1, 1.0, kind[1])
        return x / x.sum(1, keepdims=True) if x.ndim == 2 else x
    if kind[0] == "sign":
        return rng.choice([-1.0, 1.0], kind[1])
    if kind[0] == "bits":
        return rng.choice([0.0, 1.0], kind[1])
    if kind[0] == "labels":
        x = np.stack([rng.permutation(kind[1][1]) for _ in range(kind[1][0])])
        x[:, 2] = -1
        return x
    return rng.standard_normal(kind)


def both(lib, module, arrays, needs, call):
    inputs = [lib.tensor(a, requires_grad=n) for a, n in zip(arrays, needs, strict=True)]
    out = module(*inputs, **call)
    grads = []
    if out.requires_grad:
        weights = lib.tensor(np.cos(np.arange(out.numel()).reshape(tuple(out.shape))))
        (out * weights).sum().backward()
        grads = [x.grad for x in inputs if x.requires_grad] + [p.grad for p in module.parameters()]
    return out, grads


# PyTorch computes these with a constant rounded to float32.
ROUNDED = ("LeakyReLU", "Hardsigmoid", "CELU")


def close(a, b, what, rtol=1e-9):
    assert (a is None) == (b is None), what
    if a is not None:
        np.testing.assert_allclose(a.detach().numpy(), b.detach().numpy(), rtol=rtol, atol=1e-10, err_msg=what)


@pytest.mark.filterwarnings("ignore:reduction")
@pytest.mark.parametrize(("name", "args", "kwargs", "inputs", "call", "mode"), ELEMENTWISE + LAYERS + LOSSES)
def test_layer(name, args, kwargs, inputs, call, mode):
    rng = np.random.default_rng(0)
    theirs = getattr(torch.nn, name)(*args, **kwargs).double()
    ours = getattr(nn, name)(*args, **kwargs).double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for p in (*theirs.parameters(), *theirs.buffers()):
        if p.is_floating_point():
            p.data = torch.tensor(rng.uniform(0.2, 1.0, tuple(p.shape)))
    state = {k: chainrule.tensor(v.numpy()) for k, v in theirs.state_dict().items()}
    assert repr(ours.load_state_dict(state)) == "<All keys matched successfully>"
    theirs.train(mode == "train")
    ours.train(mode == "train")
    arrays = [make_input(kind, rng) for kind in inputs]
    # Targets (all but the first input of a loss) get no gradient in PyTorch's losses over class numbers.
    floating = [np.issubdtype(a.dtype, np.floating) for a in arrays]
    is_loss = name.endswith("Loss")
    metric = name in ("CosineEmbeddingLoss", "MarginRankingLoss", "TripletMarginLoss", "TripletMarginWithDistanceLoss")
    needs = [f and (not is_loss or i == 0 or (metric and kind[0] != "sign"))
             for i, (f, kind) in enumerate(zip(floating, inputs, strict=True))]  # fmt: skip
    y, grads = both(chainrule, ours, arrays, needs, call)
    expected, expected_grads = both(torch, theirs, arrays, needs, call)
    close(y, expected, "output")
    assert len(grads) == len(expected_grads)
    for i, (g, e) in enumerate(zip(grads, expected_grads, strict=True)):
        close(g, e, f"gradient {i}", 1e-7 if name in ROUNDED else 1e-9)
    for (key, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        close(a, b, f"buffer {key}")
