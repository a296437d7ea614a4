"""Resampling against PyTorch: interpolate, grid_sample, affine_grid."""

import math

import numpy as np
import pytest

import chainrule as cr
from peer_calls import compare, normal

torch = pytest.importorskip("torch")


def functional(name, **how):
    return lambda lib, *args: getattr(lib.nn.functional, name)(*args, **how)


MODES = [
    (n, m)
    for n in (1, 2, 3)
    for m in ("nearest", "nearest-exact", "area", {1: "linear", 2: "bilinear", 3: "trilinear"}[n])
]


@pytest.mark.parametrize(("n", "mode"), [*MODES, (2, "bicubic")])
def test_interpolate(n, mode):
    x = normal(2, 3, *(7, 6, 5)[:n])
    for corners in (True, False) if mode.endswith(("linear", "cubic")) else (None,):
        for size in (1, 3, 10):
            compare(functional("interpolate", size=(size,) * n, mode=mode, align_corners=corners), x, order=1)
        for factor, recompute in ((0.5, None), (1.7, None), (1.7, True), (2, None)):
            how = {"scale_factor": factor, "recompute_scale_factor": recompute, "mode": mode, "align_corners": corners}
            compare(functional("interpolate", **how), x, order=1)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic", "lanczos"])
def test_interpolate_with_antialias(mode):
    for size in (2, 3, 10):
        compare(functional("interpolate", size=(size, size), mode=mode, antialias=True), normal(2, 3, 7, 6))


def test_interpolation_does_not_spread_what_it_does_not_use():
    x = np.array([[[1.0, 2.0, 3.0, math.inf, 5.0, 6.0, 7.0]]])
    for mode in ("linear", "nearest", "area"):
        compare(functional("interpolate", size=3, mode=mode), x, order=0)
    y = cr.nn.functional.interpolate(cr.tensor(x), size=3, mode="linear")
    assert np.isfinite(y.numpy()).tolist() == [[[True, False, True]]]


@pytest.mark.parametrize("corners", [True, False])
@pytest.mark.parametrize("outside", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, outside, corners):
    f = functional("grid_sample", mode=mode, padding_mode=outside, align_corners=corners)
    compare(f, normal(2, 3, 5, 4), normal(2, 3, 4, 2), order=1)
    if mode != "bicubic":
        compare(f, normal(2, 3, 5, 4, 3), normal(2, 3, 4, 2, 3), order=1)


def test_affine_grid():
    for corners in (True, False):
        compare(functional("affine_grid", size=(2, 3, 4, 5), align_corners=corners), normal(2, 2, 3))
        compare(functional("affine_grid", size=(2, 3, 4, 5, 2), align_corners=corners), normal(2, 3, 4))


def test_the_default_of_align_corners_warns():
    with pytest.warns(UserWarning, match="has changed to align_corners=False since 1.3.0"):
        cr.nn.functional.grid_sample(cr.ones(1, 1, 2, 2), cr.zeros(1, 1, 1, 2))
