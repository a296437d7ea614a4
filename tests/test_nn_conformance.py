"""PyTorch's own samples of its modules (`module_db`) through both libraries: text, state, output and gradients."""

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

torch = pytest.importorskip("torch")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.testing._internal.common_modules import module_db

ABSENT = {"LinearCrossEntropyLoss"}
DTYPES = {torch.float64: cr.float64, torch.float32: cr.float32, torch.int64: cr.int64, torch.bool: cr.bool}
FUNCTIONS = {torch.nn.functional.gelu: nn.functional.gelu, torch.nn.functional.relu: nn.functional.relu}


def convert(x, seen):
    """PyTorch's arguments as ours; `seen` pairs the tensors."""
    if isinstance(x, torch.Tensor):
        if id(x) not in seen:
            ours = cr.tensor(x.detach().numpy())
            seen[id(x)] = (x, ours.requires_grad_() if x.requires_grad else ours)
        return seen[id(x)][1]
    if isinstance(x, torch.nn.TransformerEncoderLayer):
        act = FUNCTIONS[x.activation]
        a = x.self_attn
        sizes = (a.embed_dim, a.num_heads, x.linear1.out_features)
        bias = a.in_proj_bias is not None
        return nn.TransformerEncoderLayer(*sizes, x.dropout.p, act, x.norm1.eps, a.batch_first, x.norm_first, bias)
    if isinstance(x, (list, tuple)):
        return type(x)(convert(v, seen) for v in x)
    if isinstance(x, dict):
        return {k: convert(v, seen) for k, v in x.items()}
    if isinstance(x, torch.device):
        return "cpu"
    return DTYPES.get(x, FUNCTIONS.get(x, x)) if isinstance(x, torch.dtype) or callable(x) else x


def tensors(out):
    if isinstance(out, (torch.Tensor, cr.Tensor)):
        return [out]
    return [t for part in out for t in tensors(part)] if isinstance(out, (list, tuple)) else []


def close(ours, theirs, what):
    assert (ours is None) == (theirs is None), what
    if ours is not None:
        a, b = ours.detach().numpy(), theirs.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8, err_msg=what)


def random_in_training(name, module):
    return "Dropout" in name or name == "RReLU" or getattr(module, "dropout", 0) not in (0, 0.0)


def check(name, sample, training):
    init, call = sample.constructor_input, sample.forward_input
    seen = {}
    theirs = getattr(torch.nn, name)(*init.args, **init.kwargs).double()
    ours = getattr(nn, name)(*convert(init.args, seen), **convert(init.kwargs, seen)).double()
    for module in (theirs, ours):
        module.train(training and not random_in_training(name, theirs))
    if name.startswith("Lazy"):
        theirs(*call.args, **call.kwargs)
        ours(*convert(call.args, seen), **convert(call.kwargs, seen))
        theirs.zero_grad()
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: cr.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    found = ours(*convert(call.args, seen), **convert(call.kwargs, seen))
    expected = tensors(theirs(*call.args, **call.kwargs))
    found = tensors(found)
    assert len(found) == len(expected)
    losses = [0, 0]
    for a, b in zip(found, expected, strict=True):
        close(a, b, "output")
        assert a.requires_grad == b.requires_grad
        if b.requires_grad:
            weights = np.cos(np.arange(b.numel())).reshape(tuple(b.shape))
            losses[0] = losses[0] + (a * cr.tensor(weights)).sum()
            losses[1] = losses[1] + (b * torch.tensor(weights)).sum()
    if not isinstance(losses[1], int):
        losses[0].backward()
        losses[1].backward()
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
            close(a.grad, b.grad, "gradient of a parameter")
        for b, a in seen.values():
            if b.is_leaf:
                close(a.grad, b.grad, "gradient of an input")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("info", [i for i in module_db if i.module_cls.__name__ not in ABSENT],
                         ids=lambda i: i.module_cls.__name__)  # fmt: skip
def test_pytorchs_samples(info):
    name = info.module_cls.__name__
    checked = 0
    for training in (True, False):
        how = {"device": "cpu", "dtype": torch.float64, "requires_grad": True, "training": training}
        samples = [s for s in info.module_inputs_func(info, **how) if s.forward_input is not None]
        # The transformer's decoder alone has more than a hundred samples, most of them alike.
        for sample in samples[:: len(samples) // 12 + 1]:
            try:
                check(name, sample, training)
            except Exception as error:
                raise AssertionError(f"{name} {sample.desc} {sample.constructor_input.kwargs}: {error}") from error
            checked += 1
    assert checked
