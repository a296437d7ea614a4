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


@pytest.mark.parametrize("targets", [[1, 5, 19, 7, 2], [0, 1, 3, 2, 1], 9])
def test_adaptive_softmax(targets):
    args = (8, 20, [4, 9])
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0, head_bias=True).double()
    ours = nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0, head_bias=True).double()
    ours.load_state_dict({k: chainrule.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    assert repr(ours) == repr(theirs)
    x = np.random.default_rng(0).standard_normal((5, 8) if isinstance(targets, list) else 8) * 3
    results = []
    for lib, module in ((chainrule, ours), (torch, theirs)):
        t = lib.tensor(x, requires_grad=True)
        out, loss = module(t, lib.tensor(targets))
        loss.backward()
        rows = t.detach() if t.dim() == 2 else t.detach().unsqueeze(0)
        extra = [module.log_prob(rows), module.predict(rows)]
        results.append([out, loss, t.grad, *[p.grad for p in module.parameters()], *extra])
    for i, (a, b) in enumerate(zip(*results, strict=True)):
        # A cluster without rows has no gradient at all in PyTorch, as here.
        close(a, b, str(i))


def test_every_layer_of_pytorch_is_here_or_known_to_be_missing():
    missing = {n for n in torch.nn.modules.__all__ if not hasattr(nn, n)}
    assert missing == {"Container", "CrossMapLRN2d", "LinearCrossEntropyLoss", "LinearCrossEntropyOptions", "NLLLoss2d"}


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        ("Dropout", (4,)),
        ("Dropout1d", (2,)),
        ("Dropout2d", (2, 2)),
        ("Dropout3d", (2, 2, 2)),
        ("AlphaDropout", (4,)),
        ("FeatureAlphaDropout", (4,)),
    ],
)
def test_dropout_in_training(name, rest):
    chainrule.manual_seed(0)
    x = chainrule.randn(20, 50, *rest, requires_grad=True)
    layer = getattr(nn, name)(0.4)
    y = layer(x)
    y.sum().backward()
    kept = x.grad.numpy() != 0
    assert 0.5 < kept.mean() < 0.7
    per_channel = kept.reshape(20, 50, -1)
    whole = (per_channel.all(2) | ~per_channel.any(2)).all()
    assert whole == (name not in ("Dropout", "AlphaDropout"))
    if "Alpha" not in name:
        np.testing.assert_allclose(x.grad.numpy()[kept], 1 / 0.6, rtol=1e-6)
    else:
        assert y.detach().numpy().std() == pytest.approx(1.0, abs=0.12)
    assert layer.eval()(x).tolist() == x.tolist()


def test_rrelu_in_training():
    chainrule.manual_seed(0)
    y = nn.RReLU(0.2, 0.4)(chainrule.full((1000,), -1.0))
    assert -0.4 <= float(y.min()) < -0.39
    assert -0.21 < float(y.max()) <= -0.2


def test_batch_norm_over_several_batches():
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((4, 3)) for _ in range(3)]
    for momentum in (None, 0.3):
        results = []
        for lib in (chainrule, torch):
            m = lib.nn.BatchNorm1d(3, momentum=momentum).double()
            for b in batches:
                m(lib.tensor(b))
            m.eval()
            results.append([m.running_mean, m.running_var, m.num_batches_tracked, m(lib.tensor(batches[0]))])
        for a, b in zip(*results, strict=True):
            close(a, b, str(momentum))


def test_embedding_bag_with_offsets_and_weights():
    table = np.random.default_rng(0).standard_normal((6, 3))
    results = []
    for lib in (chainrule, torch):
        bag = lib.nn.EmbeddingBag.from_pretrained(lib.tensor(table), freeze=False, mode="sum", include_last_offset=True)
        w = lib.tensor([0.5, 1.0, 2.0, -1.0], dtype=lib.float64, requires_grad=True)
        y = bag(lib.tensor([1, 1, 5, 2]), lib.tensor([0, 1, 1, 4]), w)
        (y * y).sum().backward()
        results.append([y, bag.weight.grad, w.grad])
    for a, b in zip(*results, strict=True):
        close(a, b, "bag")


def test_embedding_from_pretrained_is_frozen():
    table = chainrule.ones(3, 2)
    e = nn.Embedding.from_pretrained(table)
    assert not e.weight.requires_grad
    assert e.weight.data_ptr() == table.data_ptr()
    assert nn.Embedding.from_pretrained(table, freeze=False).weight.requires_grad


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling(dims):
    shape = (2, 3, 6, 4, 4)[: dims + 2]
    results = []
    x = np.random.default_rng(0).standard_normal(shape)
    for lib in (chainrule, torch):
        t = lib.tensor(x, requires_grad=True)
        pool = getattr(lib.nn, f"MaxPool{dims}d")(2, return_indices=True)
        unpool = getattr(lib.nn, f"MaxUnpool{dims}d")(2)
        y, indices = pool(t)
        z = unpool(y, indices)
        wider = unpool(y, indices, output_size=[s + 1 for s in shape[2:]])
        ((z * z).sum() + wider.sum()).backward()
        results.append([z, wider, indices, t.grad])
        text = repr(unpool)
    assert text == repr(getattr(nn, f"MaxUnpool{dims}d")(2))
    for a, b in zip(*results, strict=True):
        close(a, b, "unpool")


CTC = [
    ([[1, 1, 2], [3, 2, 0]], [6, 5], [3, 2], {}),
    ([1, 1, 2, 3, 2], [6, 5], [3, 2], {}),
    ([[1, 1, 3], [3, 0, 1]], [6, 3], [3, 0], {"blank": 2}),
    ([[1, 1, 1], [3, 2, 1]], [4, 6], [3, 2], {}),  # too short for the first target
    ([[1, 1, 1], [3, 2, 1]], [4, 6], [3, 2], {"zero_infinity": True}),
]


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(("targets", "inputs", "lengths", "kwargs"), CTC)
def test_ctc_loss(targets, inputs, lengths, kwargs, reduction):
    x = np.random.default_rng(0).standard_normal((6, 2, 4))
    results = []
    for lib in (chainrule, torch):
        t = lib.tensor(x, requires_grad=True)
        loss = lib.nn.CTCLoss(reduction=reduction, **kwargs)(
            t.log_softmax(-1), lib.tensor(targets), lib.tensor(inputs), lib.tensor(lengths)
        )
        loss.sum().backward()
        results.append([loss, t.grad] if bool(loss.isfinite().all()) else [loss])
    for a, b in zip(*results, strict=True):
        close(a, b, reduction)


def test_ctc_loss_without_batch_twice_differentiable_and_its_errors():
    x = np.random.default_rng(0).standard_normal((5, 4))
    results = [
        lib.nn.functional.ctc_loss(
            lib.tensor(x).log_softmax(-1), lib.tensor([1, 2]), lib.tensor([5]), lib.tensor([2]), reduction="none"
        )
        for lib in (chainrule, torch)
    ]
    close(results[0], results[1].squeeze(0), "unbatched")
    F, one = nn.functional, chainrule.tensor([[1]])
    t = chainrule.tensor(x[:3], requires_grad=True).unsqueeze(1)
    (g,) = chainrule.autograd.grad(F.ctc_loss(t.log_softmax(-1), one, [3], [1]), t, create_graph=True)
    assert bool(chainrule.autograd.grad((g * g).sum(), t)[0].isfinite().all())
    for call, kind, text in [
        (lambda: F.ctc_loss(t, one, [4], [1]), RuntimeError, "Expected input_lengths to have value at most 3"),
        (lambda: F.ctc_loss(t, one, [3], [2]), RuntimeError, "size at least 2 at dimension 1"),
        (lambda: F.ctc_loss(t, one, [3, 3], [1]), RuntimeError, r"must be of size batch_size \(1\)"),
        (lambda: F.ctc_loss(t, one[0], [3], [2]), RuntimeError, "expected 2 labels"),
        (lambda: F.ctc_loss(t, one, [3], [1], blank=9), ValueError, "blank must be in label range"),
        (lambda: F.ctc_loss(t, one, [3], [1], reduction="max"), ValueError, "max is not a valid value for reduction"),
        (lambda: F.ctc_loss(t, [[1]], [3], [1]), TypeError, "log_probs and targets: expected tensors"),
    ]:
        with pytest.raises(kind, match=text):
            call()


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_max_pool(dims):
    x = np.random.default_rng(0).standard_normal((2, 3, 7, 6, 5)[: dims + 2])
    samples = np.random.default_rng(1).uniform(size=(2, 3, dims))
    results = []
    for lib in (chainrule, torch):
        t = lib.tensor(x, requires_grad=True)
        pool = getattr(lib.nn, f"FractionalMaxPool{dims}d")(
            2, output_size=(3, 4, 3)[:dims], return_indices=True, _random_samples=lib.tensor(samples)
        )
        y, where = pool(t)
        y.sum().backward()
        results.append([y, where, t.grad])
    for a, b in zip(*results, strict=True):
        close(a, b, "fractional")


ONE = chainrule.ones(1)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "in_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 3, 3, groups=2), ValueError, "out_channels must be divisible by groups"),
        (lambda: nn.Conv2d(4, 4, 3, groups=0), ValueError, "groups must be a positive integer"),
        (lambda: nn.Conv1d(4, 4, 3, padding="half"), ValueError, "Invalid padding string 'half'"),
        (lambda: nn.Conv1d(4, 4, 3, padding="same", stride=2), ValueError, "not supported for strided"),
        (lambda: nn.Conv1d(4, 4, 3, padding_mode="mirror"), ValueError, "padding_mode must be one of"),
        (lambda: nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"), ValueError, 'Only "zeros" padding mode'),
        (lambda: nn.ConvTranspose1d(1, 1, 3, 2)(chainrule.ones(1, 1, 3), [99]), ValueError, "valid sizes range from"),
        (lambda: nn.ConvTranspose1d(1, 1, 3, 2)(chainrule.ones(1, 1, 3), [1, 2, 3, 4]), ValueError, "must have 1 or"),
        (lambda: nn.BatchNorm2d(3)(chainrule.ones(2, 3)), ValueError, r"expected 4D input \(got 2D input\)"),
        (lambda: nn.BatchNorm1d(3)(chainrule.ones(2)), ValueError, "expected 2D or 3D input"),
        (lambda: nn.InstanceNorm2d(3, affine=True)(chainrule.ones(2, 4, 5, 5)), ValueError, "to match num_features"),
        (lambda: nn.GroupNorm(3, 4), ValueError, r"num_channels \(4\) must be divisible by num_groups \(3\)"),
        (lambda: nn.Bilinear(0, 1, 1), ValueError, "in1_features must be > 0"),
        (lambda: nn.Dropout(1.5), ValueError, "dropout probability has to be between 0 and 1, but got 1.5"),
        (lambda: nn.Embedding(3, 2, padding_idx=3), AssertionError, "Padding_idx must be within num_embeddings"),
        (lambda: nn.Embedding(3, 2, sparse=True), NotImplementedError, "sparse gradients are not supported"),
        (lambda: nn.Embedding(3, 2, _weight=ONE), AssertionError, "Shape of weight does not match"),
        (lambda: nn.Embedding.from_pretrained(ONE), AssertionError, "expected to be 2-dimensional"),
        (lambda: nn.Hardtanh(1.0, 0.0), AssertionError, "must be greater than min_val"),
        (lambda: nn.Softmax2d()(ONE), ValueError, "expected input to be 3D or 4D, got 1D"),
        (lambda: nn.Unflatten(0, (1.5,)), TypeError, "found element of type float at pos 0"),
        (lambda: nn.Unflatten(0, 3), TypeError, "must be a tuple of ints, but found type int"),
        (lambda: nn.CircularPad2d(1)(ONE), ValueError, r"expected 3D or 4D input \(got 1D input\)"),
        (lambda: nn.MultiMarginLoss(p=3), ValueError, "only p == 1 and p == 2 supported"),
        (lambda: nn.MultiMarginLoss(weight=chainrule.ones(1, 1)), ValueError, "None or 1D tensor, got 2D"),
        (lambda: nn.TripletMarginLoss(margin=0), ValueError, "expected margin to be greater than 0, got 0"),
        (lambda: nn.HuberLoss(delta="x"), TypeError, "delta must be a float or int"),
        (lambda: nn.FractionalMaxPool2d(2), ValueError, "either an output size, or a pooling ratio"),
        (lambda: nn.FractionalMaxPool2d(2, 3, 0.5), ValueError, "only one of output_size and output_ratio"),
        (lambda: nn.FractionalMaxPool3d(2, output_ratio=1.5), ValueError, "must be between 0 and 1"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 9, []), ValueError, "length larger than 0"),
        (lambda: nn.AdaptiveLogSoftmaxWithLoss(4, 9, [5, 2]), ValueError, "unique, positive integers sorted"),
        (lambda: nn.Linear(2, 3, device="cuda"), (NotImplementedError, RuntimeError), "cuda"),
        (lambda: nn.LazyLinear(3)(input=ONE), TypeError, "first call needs the input as a positional argument"),
        (lambda: nn.LazyConv1d(3, 2)(ONE), RuntimeError, r"Expected 2D \(unbatched\) or 3D \(batched\) input"),
        (lambda: nn.LazyLinear(3).weight.shape, RuntimeError, "Can't access the shape of an uninitialized"),
    ],
)
def test_errors(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_legacy_reduction_flags():
    for size_average, reduce in [(True, None), (False, None), (None, False), (False, True), (True, False)]:
        with pytest.warns(UserWarning, match="will be deprecated"):
            expected = torch.nn.MSELoss(size_average, reduce).reduction
        assert nn.MSELoss(size_average, reduce).reduction == expected
