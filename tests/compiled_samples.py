"""OpInfo samples through the compiler: value and gradient, against the eager ones.

python tests/compiled_samples.py add mul nn.functional.conv2d [--backend reference]
python tests/compiled_samples.py --all
"""

import argparse
import warnings

import numpy as np

import chainrule as cr
from opinfo_run import Unsupported, convert, entries, flat, run_entry

# Entries of which some samples are refused, and why. Nothing else may be.
REFUSED = {
    **dict.fromkeys("allclose equal item".split(), "a result that is a Python value (all samples of that kind)"),
    **dict.fromkeys("argwhere nonzero".split(), "there are as many places as elements that are not zero (all samples)"),
    **dict.fromkeys("unique unique_consecutive".split(), "there are as many as are different (all samples)"),
    "__getitem__": "an index that is a mask picks as many elements as it has true ones",
    "masked_select": "a mask picks as many elements as it has true ones (all samples)",
    "narrow": "where a view lies, if its start is a tensor",
    "repeat_interleave": "the size of the result, if repeats is a tensor and output_size is not given",
    "tensor_split": "the sizes of the parts, if they are given as a tensor",
}
UNDEFINED = ("empty", "empty_like", "empty_strided", "new_empty")  # what is in new memory is nobody's business
# Entries of which no sample passes eagerly, so that there is nothing to compile, and why.
ABSENT = {
    **dict.fromkeys(
        "cdouble cfloat chalf complex linalg.eig linalg.eigvals polar stft view_as_complex".split(), "complex numbers"
    ),
    **dict.fromkeys(
        """grid_sampler_2d grid_sampler_3d max_pool2d_with_indices_backward native_batch_norm native_dropout_backward
        native_group_norm native_layer_norm slice""".split(),
        "PyTorch's inside; the public function has an entry of its own",
    ),
    "__rdiv__": "Python 2's division",
    **dict.fromkeys(
        """empty_permuted hash_tensor histogramdd linalg.ldl_factor linalg.ldl_factor_ex linalg.ldl_solve
        new_empty_strided resize_as_""".split(),
        "not here",
    ),
    "nn.functional.linear_cross_entropy.chunked": "options= says how PyTorch cuts it",
    "nn.functional.linear_cross_entropy.chunked_none": "options= says how PyTorch cuts it",
    "to_sparse": "sparse tensors",
}

ASKED = ("depends on values", "the value of a tensor was asked for")
CALLED_OUT = {}  # entry -> names of primitives that were called out to


def checker(backend="native", **options):
    def check(op, function, sample):
        leaves = {}
        args = convert([sample.input, *sample.args], leaves)
        kwargs = convert(dict(sample.kwargs), leaves)
        want = [m for t, m in leaves.values() if t.requires_grad and t.is_leaf]

        def run(args, kwargs):
            out = [t for t in flat(function(*args, **kwargs))]
            diff = [t for t in out if isinstance(t, cr.Tensor) and t.requires_grad]
            grads = []
            if diff and want:
                # sin(k) as the gradient of result k, so that results do not cancel
                seeds = [cr.full_like(t, float(np.sin(k + 1))) for k, t in enumerate(diff)]
                grads = cr.autograd.grad(diff, want, seeds, allow_unused=True)
            return out, list(grads)

        state = cr.get_rng_state()
        try:
            eager = run(args, kwargs)
        except Exception as error:
            raise Unsupported(str(error)) from error
        if any(isinstance(t, cr.Tensor) and t._data.dtype.kind == "O" for t in eager[0]):
            raise Unsupported("objects")
        cr.set_rng_state(state)
        compiled = cr.compile(run, backend=backend, options=options)
        mine = compiled(args, kwargs)
        for entry in compiled.kinds.values():
            CALLED_OUT.setdefault(op.full_name, set()).update(name for name, _ in entry[0].calls)
        # An operand in single precision makes what follows from it that precise, whatever the result's dtype is.
        low = any(t._data.dtype == np.float32 for t in flat([*args, *kwargs.values()]) if isinstance(t, cr.Tensor))
        for name, a, b in (("value", mine[0], eager[0]), ("gradient", mine[1], eager[1])):
            for i, (m, e) in enumerate(zip(a, b)):
                if not isinstance(e, cr.Tensor):
                    assert (m is None) == (e is None) and (m == e or m != m), f"{name}[{i}]: {m!r}, eager {e!r}"
                    continue
                assert m._data.dtype == e._data.dtype, f"{name}[{i}]: {m._data.dtype}, eager {e._data.dtype}"
                assert m.shape == e.shape, f"{name}[{i}]: {m.shape}, eager {e.shape}"
                x, y = m._data, e._data
                scale = np.abs(y[np.isfinite(y)]).max() if y.dtype.kind == "f" and np.isfinite(y).any() else 0
                double = y.dtype == np.float64 and not low
                np.testing.assert_allclose(
                    x,
                    y,
                    rtol=1e-10 if double else 1e-4,
                    atol=(1e-12 if double else 1e-5) * max(scale, 1),
                    err_msg=f"{name}[{i}]",
                )

    return check


def tolerant(name, check, refused):
    """``check`` that lets pass, and puts into ``refused``, what the table says can't be captured."""

    def checked(op, function, sample):
        try:
            check(op, function, sample)
        except cr.errors.CaptureError as error:
            if name not in REFUSED or not any(text in str(error) for text in ASKED):
                raise
            refused.append(sample)

    return checked


def main():
    p = argparse.ArgumentParser()
    p.add_argument("names", nargs="*")
    p.add_argument("--all", action="store_true")
    p.add_argument("--backend", default="native")
    p.add_argument("-v", "--verbose", action="store_true")
    a = p.parse_args()
    chosen = entries(None if a.all else a.names)
    chosen = {name: op for name, op in chosen.items() if name not in UNDEFINED or name in a.names}
    marks, samples, left_out = [], 0, 0
    check = checker(a.backend)
    for name, op in chosen.items():
        refused = []
        passed, failed, unsupported, first = run_entry(op, a.verbose, tolerant(name, check, refused))
        passed -= len(refused)
        out = sorted(CALLED_OUT.get(name, ()))
        mark = "FAIL" if failed else "part" if refused else "ok  " if passed else "none"
        why = REFUSED[name] if refused else ABSENT.get(name, "no reason known") if mark == "none" else ""
        told = f"{passed} passed, {failed} failed, {len(refused)} refused, {unsupported} not eager"
        print(f"{mark} {name}: {told}  {' '.join(out)} {why} {first if failed else ''}".rstrip(), flush=True)
        marks.append(mark)
        samples, left_out = samples + passed, left_out + len(refused)
    print(
        f"compiled ({a.backend}): {marks.count('ok  ')} of {len(chosen)} entries pass all samples that eager passes, "
        f"{marks.count('part')} all but {left_out} samples whose shapes depend on values, {marks.count('none')} have "
        f"none, {marks.count('FAIL')} fail; {samples} samples passed"
    )


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
