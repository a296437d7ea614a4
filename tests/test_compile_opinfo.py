"""Every operator the project promises, compiled: PyTorch's OpInfo samples, value and gradient as eagerly."""

import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("llvmlite")

from compiled_samples import checker  # noqa: E402 (they import torch)
from opinfo_run import REQUIRED, entries, run_entry  # noqa: E402

ENTRIES = entries(REQUIRED)
SAMPLES = 6  # per entry natively; on the reference all of them (max_pool has hundreds of slow ones: 60)

# Samples that can't be captured, and why.
DATA_DEPENDENT = {
    "__getitem__": "an index that is a mask: how many elements it picks depends on values",
    "index_put": "an index that is a mask",
    "narrow": "a start that is a tensor",
    "masked_select": "how many elements are picked depends on values",
}
REFUSED = ("depends on values", "the value of a tensor was asked for")


def run(name, check, **options):
    """Run an entry's samples; those of DATA_DEPENDENT may be refused, but not all of them."""
    refused = []

    def tolerant(op, function, sample):
        try:
            check(op, function, sample)
        except Exception as error:
            if name in DATA_DEPENDENT and type(error).__name__ == "CaptureError":
                assert any(text in str(error) for text in REFUSED)
                refused.append(sample)
            else:
                raise

    passed, failed, _, first = run_entry(ENTRIES[name], check=tolerant, **options)
    assert not failed, first
    assert passed > len(refused), first
    return refused


@pytest.mark.parametrize("name", ENTRIES)
def test_reference(name):
    refused = run(name, checker("reference"), limit=60 if "max_pool" in name else None)
    assert bool(refused) == (name in DATA_DEPENDENT)


@pytest.mark.parametrize("name", ENTRIES)
def test_native(name):
    run(name, checker("native"), limit=SAMPLES)


POINTWISE = (
    """abs add amax amin atan2 clamp cos cosh cumsum div erf exp expm1 hypot lerp log log1p log2 log10 log_softmax
logaddexp logsumexp max maximum mean min minimum mul neg norm pow prod reciprocal round rsqrt sigmoid sign sin sinh
softmax sqrt square std sub sum tan tanh var where xlogy matmul linalg.vector_norm""".split()
    + [
        "nn.functional." + n
        for n in """batch_norm conv2d cross_entropy elu gelu glu group_norm hardswish huber_loss layer_norm
leaky_relu linear logsigmoid max_pool2d mish mse_loss relu rms_norm scaled_dot_product_attention selu silu softplus
softsign tanhshrink""".split()
    ]
)


@pytest.mark.parametrize("name", [n for n in ENTRIES if n.split(".variant")[0] in POINTWISE])
def test_single_precision(name):
    if torch.float32 not in ENTRIES[name].supported_dtypes("cpu"):
        pytest.skip("not in float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(name, checker("native"), limit=3, dtype=torch.float32)
