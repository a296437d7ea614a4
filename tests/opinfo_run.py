"""PyTorch's OpInfo samples through PyTorch and through chainrule: value and gradient, float64.

python tests/opinfo_run.py add mul nn.functional.conv2d   # these entries
python tests/opinfo_run.py --all                          # every public differentiable entry, with a count at the end
python tests/opinfo_run.py --required                     # the entries the project promises
"""

import argparse
import itertools
import sys
import traceback
import warnings

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

import chainrule as cr

REQUIRED = (
    """
__getitem__ __radd__ __rmul__ __rsub__ __rpow__ __rmatmul__ abs add addmm amax amin argmax atan2 baddbmm bmm
broadcast_to cat chunk clamp clone cos
cosh cross cumprod cumsum diag diagonal diff div dot einsum erf exp expand expm1 flatten flip gather hypot index_add
index_put index_select inner
kron lerp linalg.cholesky linalg.det linalg.inv linalg.norm linalg.slogdet linalg.solve linalg.vector_norm log log1p
log2 log10 log_softmax
logaddexp logsumexp masked_fill matmul max maximum mean meshgrid min minimum mm mul mv nan_to_num narrow neg norm outer
permute pow prod
reciprocal relu repeat reshape roll round rsqrt scatter scatter_add sigmoid sign sin sinh softmax sort split sqrt
square squeeze stack std sub sum
t tan tanh take_along_dim tensordot tile topk trace transpose tril triu unbind unfold unsqueeze var view where xlogy
""".split()
    + [
        "nn.functional." + n
        for n in """
adaptive_avg_pool2d avg_pool1d avg_pool2d batch_norm binary_cross_entropy binary_cross_entropy_with_logits conv1d
conv2d conv_transpose2d
cosine_similarity cross_entropy elu embedding gelu glu group_norm hardswish hardtanh huber_loss instance_norm
interpolate kl_div l1_loss layer_norm
leaky_relu linear logsigmoid max_pool1d max_pool2d mish mse_loss nll_loss normalize pad prelu relu relu6 rms_norm
scaled_dot_product_attention selu
silu smooth_l1_loss softplus softsign tanhshrink triplet_margin_loss unfold
""".split()
    ]
)

# Entries whose samples draw random numbers: values can't agree, so shape, dtype and the gradient's existence are all
# that is compared.
RANDOM = (
    "dropout",
    "rrelu",
    "bernoulli",
    "multinomial",
    "normal",
    "rand",
    "uniform",
    "exponential",
    "geometric",
    "cauchy",
    "log_normal",
    "lowrank",
)


class Unsupported(Exception):
    pass


DTYPES = {
    torch.float64: cr.float64,
    torch.float32: cr.float32,
    torch.int64: cr.int64,
    torch.int32: cr.int32,
    torch.int16: cr.int16,
    torch.int8: cr.int8,
    torch.uint8: cr.uint8,
    torch.bool: cr.bool,
    torch.float16: cr.float16,
}
FORMATS = {
    torch.contiguous_format: cr.contiguous_format,
    torch.preserve_format: cr.preserve_format,
    torch.channels_last: cr.channels_last,
    torch.channels_last_3d: cr.channels_last,
}


def convert(x, leaves):
    """PyTorch values as chainrule's; tensors that want gradients become leaves, paired in ``leaves``."""
    if isinstance(x, torch.Tensor):
        if x.dtype.is_complex or x.layout is not torch.strided:
            raise Unsupported(f"{x.dtype} {x.layout}")
        if id(x) in leaves:
            return leaves[id(x)][1]
        a = x.detach().numpy()
        t = cr.tensor(np.ascontiguousarray(a).reshape(a.shape))
        if x.requires_grad:
            t.requires_grad_()
        leaves[id(x)] = (x, t)
        return t
    if isinstance(x, torch.dtype):
        if x not in DTYPES:
            raise Unsupported(str(x))
        return DTYPES[x]
    if isinstance(x, torch.device):
        return cr.device("cpu")
    if isinstance(x, torch.memory_format):
        return FORMATS[x]
    if isinstance(x, torch.layout):
        return cr.strided
    if isinstance(x, torch.Size):
        return cr.Size(x)
    if isinstance(x, torch.nn.PairwiseDistance):
        return cr.nn.PairwiseDistance(x.norm, x.eps, x.keepdim)
    if isinstance(x, torch.Generator):
        return cr.Generator().manual_seed(0)
    if isinstance(x, complex):
        raise Unsupported("complex")
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(convert(v, leaves) for v in x))
    if isinstance(x, (tuple, list)):
        return type(x)(convert(v, leaves) for v in x)
    if isinstance(x, dict):
        return {k: convert(v, leaves) for k, v in x.items()}
    return x


def _zero(x):
    x = x.clone()  # a leaf must not be changed
    return x.zero_()


def _drawn(name):
    return lambda x, *args, **kw: getattr(x.clone(), name + "_")(*args, **kw)


# Entries that OpInfo wraps in a function with another order of arguments, or of something made of them.
REORDERED = {
    "zero_": _zero,
    **{name: _drawn(name) for name in "cauchy exponential geometric log_normal uniform".split()},
    "svd_lowrank": lambda a, b, **kw: cr.svd_lowrank(a @ b.mT, **kw),
    "pca_lowrank": lambda a, b, **kw: cr.pca_lowrank(a @ b.mT, **kw),
    "linalg.pinv.singular": lambda a, b: cr.linalg.pinv(a @ b.mT),
    "linalg.lstsq.grad_oriented": lambda a, b, driver: cr.linalg.lstsq(a, b, driver=driver)[:2],
    "where": lambda x, condition, other: cr.where(condition, x, other),
    "einsum": lambda tensors, equation: cr.einsum(equation, tensors),
    "nn.functional.embedding": lambda weight, index, **kw: cr.nn.functional.embedding(index, weight, **kw),
}


def find(op):
    """chainrule's function for an entry: the namespace path, or the method for dunders and method-only entries."""
    name = op.name
    for known in (op.full_name, name):
        if known in REORDERED:
            return REORDERED[known]
    if name == "where":  # its samples come as for the method
        return lambda self, condition, other, **kwargs: cr.where(condition, self, other, **kwargs)
    if name in ("polygamma", "special.polygamma"):
        return lambda x, n, **kwargs: cr.polygamma(n, x, **kwargs)
    owner = cr
    parts = name.split(".")
    try:
        for p in parts:
            owner = getattr(owner, p)
        if callable(owner) and not isinstance(owner, type):
            return owner  # not the dtypes torch.float, torch.half ...
    except AttributeError:
        pass
    if len(parts) == 1 and hasattr(cr.Tensor, name):
        member = getattr(cr.Tensor, name)
        return member if callable(member) else lambda x: getattr(x, name)
    return None


def flat(result):
    if isinstance(result, (torch.Tensor, cr.Tensor)):
        return [result]
    if isinstance(result, (tuple, list)):
        return [t for r in result for t in flat(r)]
    if isinstance(result, dict):
        return [t for r in result.values() for t in flat(r)]
    return [] if result is None else [result]


def arr(t):
    return (
        t.numpy(force=True) if isinstance(t, torch.Tensor) else t._data if isinstance(t, cr.Tensor) else np.asarray(t)
    )


def compare(label, mine, theirs, rtol, atol, check_values=True):
    mine, theirs = arr(mine), arr(theirs)
    if mine.shape != theirs.shape:
        raise AssertionError(f"{label}: shape {mine.shape}, PyTorch {theirs.shape}")
    if mine.dtype != theirs.dtype:
        raise AssertionError(f"{label}: dtype {mine.dtype}, PyTorch {theirs.dtype}")
    if check_values:
        np.testing.assert_allclose(mine, theirs, rtol=rtol, atol=atol, equal_nan=True, err_msg=label)


def check_sample(op, mine_fn, sample, rtol=1e-7, atol=1e-8):
    """Raise if chainrule's value or gradient differs from PyTorch's; Unsupported if the sample is complex or sparse."""
    leaves = {}
    args = convert([sample.input, *sample.args], leaves)
    kwargs = convert(dict(sample.kwargs), leaves)
    random = any(r in op.name for r in RANDOM) or sample.kwargs.get("dropout_p", 0) > 0
    state = torch.get_rng_state()
    theirs = op.op(sample.input, *sample.args, **sample.kwargs)
    torch.set_rng_state(state)
    out_theirs = [t for t in flat(theirs)]
    if any(isinstance(t, torch.Tensor) and t.dtype.is_complex for t in out_theirs):
        raise Unsupported("complex result")
    mine = mine_fn(*args, **kwargs)
    out_mine = flat(mine)
    if len(out_mine) != len(out_theirs):
        raise AssertionError(f"{len(out_mine)} results, PyTorch {len(out_theirs)}")
    for i, (m, t) in enumerate(zip(out_mine, out_theirs)):
        if isinstance(t, torch.Tensor):
            compare(f"value[{i}]", m, t, rtol, atol, not random)
        elif m != t and not (m != m and t != t):
            raise AssertionError(f"value[{i}]: {m!r}, PyTorch {t!r}")
    if not op.supports_autograd:
        return
    pairs = [(m, t) for m, t in zip(out_mine, out_theirs) if isinstance(t, torch.Tensor) and t.requires_grad]
    for m, t in zip(out_mine, out_theirs):
        if isinstance(t, torch.Tensor) and t.requires_grad != m.requires_grad:
            raise AssertionError(f"requires_grad {m.requires_grad}, PyTorch {t.requires_grad}")
    if not pairs:
        return
    want = [(t, m) for t, m in leaves.values() if t.requires_grad and t.is_leaf]
    if not want:
        return
    rng = np.random.default_rng(0)
    seeds = [rng.standard_normal(tuple(t.shape)) for _, t in pairs]
    cast = [s.astype(arr(t).dtype) for s, (_, t) in zip(seeds, pairs)]
    g_t = torch.autograd.grad(
        [t for _, t in pairs], [t for t, _ in want], [torch.tensor(s) for s in cast], allow_unused=True
    )
    g_m = cr.autograd.grad([m for m, _ in pairs], [m for _, m in want], [cr.tensor(s) for s in cast], allow_unused=True)
    for i, (m, t) in enumerate(zip(g_m, g_t)):
        if t is None or m is None:
            if (t is None) != (m is None):
                other = m if t is None else t
                if arr(other).any():
                    raise AssertionError(f"gradient[{i}]: {m}, PyTorch {t}")
            continue
        compare(f"gradient[{i}]", m, t, rtol, atol, not random)


def spread(samples, count):
    """``count`` of the samples, from the first to the last at equal distances; all if they are no more."""
    samples = list(samples)
    if len(samples) <= count:
        return samples
    return [samples[i] for i in np.linspace(0, len(samples) - 1, count).round().astype(int)]


def run_entry(op, verbose=False, check=None, function=None, limit=None, dtype=torch.float64, among=None):
    """(passed, failed, unsupported, first error) over the samples of one entry: all, the first ``limit``, or ``among``
    of all."""
    check = check_sample if check is None else check
    mine = find(op) if function is None else function
    if mine is None:
        return 0, 0, 0, "missing"
    passed = failed = unsupported = 0
    first = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        samples = op.sample_inputs("cpu", dtype, requires_grad=op.supports_autograd)
        samples = spread(samples, among) if among is not None else itertools.islice(samples, limit)
        for k, sample in enumerate(samples):
            try:
                check(op, mine, sample)
                passed += 1
            except Unsupported:
                unsupported += 1
            except Exception as error:
                failed += 1
                if first is None:
                    where = traceback.format_exc() if verbose else ""
                    first = f"sample {k} {sample.summary()[:300]}: {type(error).__name__}: {str(error).strip()[:400]}\n{where}"
    return passed, failed, unsupported, first


def public(op):
    return not op.name.startswith(
        ("_refs", "ops.", "_", "sparse", "masked.", "fft", "signal", "jiterator", "torch.ops")
    ) or op.name.startswith("__")


def entries(names=None):
    seen = {}
    for op in op_db:
        if torch.float64 not in op.supported_dtypes("cpu"):
            continue
        if names is None or op.name in names or op.full_name in names:
            if names is None and not public(op):
                continue
            seen.setdefault(op.full_name, op)
    return seen


def main():
    p = argparse.ArgumentParser()
    p.add_argument("names", nargs="*")
    p.add_argument("--all", action="store_true")
    p.add_argument("--required", action="store_true")
    p.add_argument(
        "--modes", default="", help="also forward, second, vmap (comma-separated): other ways to differentiate"
    )
    p.add_argument("-v", "--verbose", action="store_true")
    a = p.parse_args()
    chosen = entries(REQUIRED if a.required else None if a.all else a.names)
    if a.all:
        chosen = {k: op for k, op in chosen.items() if op.supports_autograd}
    checks = {"value and gradient": None}
    if a.modes:
        from derivative_modes import MODES

        checks = {mode: MODES[mode] for mode in a.modes.split(",")}
        chosen = {k: op for k, op in chosen.items() if op.supports_autograd}
    for title, check in checks.items():
        report(title, chosen, check, a.verbose)


def report(title, chosen, check, verbose):
    """One line per entry and a count."""
    good = none = 0
    for full_name, op in chosen.items():
        passed, failed, unsupported, first = run_entry(op, verbose, check)
        ok = failed == 0 and passed > 0
        nothing = failed == passed == 0 and first is None
        good += ok
        none += nothing
        mark = "ok  " if ok else "none" if nothing else "FAIL"
        print(
            f"{mark} {full_name}: {passed} passed, {failed} failed, {unsupported} unsupported"
            + ("" if ok else f"  {first}")
        )
        sys.stdout.flush()
    print(
        f"{title}: {good} of {len(chosen)} entries pass all their real-valued, dense samples"
        + (f" ({none} have none)" if none else "")
    )


if __name__ == "__main__":
    import opinfo_run  # the module that derivative_modes imports, so that there is one class Unsupported

    opinfo_run.main()
