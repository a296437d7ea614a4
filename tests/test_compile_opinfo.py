"""PyTorch's OpInfo samples, compiled: value and gradient as eagerly.

The operators that the project promises with all samples on the core instructions, and every public operator natively
with some; ``python tests/compiled_samples.py --all`` runs all samples of all of them.
"""

import warnings

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("llvmlite")

from compiled_samples import ABSENT, REFUSED, UNDEFINED, checker, tolerant  # noqa: E402 (they import torch)
from opinfo_run import REQUIRED, entries, run_entry  # noqa: E402

ENTRIES = entries(REQUIRED)
EVERY = {name: op for name, op in {**ENTRIES, **entries()}.items() if name not in UNDEFINED}
SAMPLES = 12  # per entry natively; on the reference all of them (max_pool has hundreds of slow ones: 60)


def run(name, check, **options):
    """Run an entry's samples; those that the table REFUSED speaks of may be refused. Returns these."""
    refused = []
    passed, failed, _, first = run_entry(EVERY[name], check=tolerant(name, check, refused), **options)
    assert not failed, first
    assert passed, first
    return refused


@pytest.mark.parametrize("name", ENTRIES)
def test_reference(name):
    refused = run(name, checker("reference"), limit=60 if "max_pool" in name else None)
    assert bool(refused) == (name in REFUSED)


@pytest.mark.parametrize("name", [name for name in EVERY if name not in ABSENT])
def test_native(name):
    refused = run(name, checker("native"), among=None if name in REFUSED else SAMPLES)
    assert bool(refused) == (name in REFUSED)


@pytest.mark.parametrize("name", ABSENT)
def test_no_sample_passes_eagerly(name):
    passed, failed, _, _ = run_entry(EVERY[name], check=checker("native"), among=SAMPLES)
    assert passed == failed == 0


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
