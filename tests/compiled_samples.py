"""OpInfo samples through the compiler: value and gradient, against the eager ones.

python tests/compiled_samples.py add mul nn.functional.conv2d [--backend reference]
python tests/compiled_samples.py --all
"""

import argparse
import sys
import warnings

import numpy as np

import chainrule as cr
from opinfo_run import Unsupported, convert, entries, flat, run_entry

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


def main():
    p = argparse.ArgumentParser()
    p.add_argument("names", nargs="*")
    p.add_argument("--all", action="store_true")
    p.add_argument("--backend", default="native")
    p.add_argument("-v", "--verbose", action="store_true")
    a = p.parse_args()
    chosen = entries(None if a.all else a.names)
    chosen = {k: op for k, op in chosen.items() if op.supports_autograd or not a.all}
    good = 0
    check = checker(a.backend)
    for name, op in chosen.items():
        passed, failed, unsupported, first = run_entry(op, a.verbose, check)
        good += failed == 0 and passed > 0
        out = sorted(CALLED_OUT.get(name, ()))
        mark = "ok  " if failed == 0 and passed else "none" if not failed else "FAIL"
        print(f"{mark} {name}: {passed} passed, {failed} failed, {unsupported} not eager  {out or ''} {first or ''}")
        sys.stdout.flush()
    print(f"compiled ({a.backend}): {good} of {len(chosen)} entries pass all samples that eager passes")


if __name__ == "__main__":
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main()
