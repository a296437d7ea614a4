"""interpolate and upsample: images, volumes and sequences at another size."""

import math
import warnings

from ..errors import ArgumentError, ArgumentValueError, UnsupportedError
from ..primitive import public
from .adaptive import adaptive_average
from .loss_common import check_tensors
from .resample import resample_p, scale_of

_RANKS = {
    "nearest": (3, 4, 5),
    "nearest-exact": (3, 4, 5),
    "area": (3, 4, 5),
    "linear": (3,),
    "bilinear": (4,),
    "bicubic": (4,),
    "trilinear": (5,),
    "lanczos": (4,),
}
_KINDS = {"linear": "linear", "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos"}
_SMOOTH = ("bilinear", "bicubic", "lanczos")


@public(namespaces=("nn.functional",), method=False)
def interpolate(
    input,
    size=None,
    scale_factor=None,
    mode="nearest",
    align_corners=None,
    recompute_scale_factor=None,
    antialias=False,
):
    """Resize the spatial dimensions of (N, C, ...) to ``size``, or by ``scale_factor``.

    mode: "nearest", "nearest-exact", "area" (3-D to 5-D input), "linear" (3-D), "bilinear", "bicubic", "lanczos" (4-D),
    "trilinear" (5-D).
    align_corners: the corner elements keep their values (linear and cubic modes).  recompute_scale_factor: use the
    ratio of the sizes, not the factor given.  antialias: smooth before shrinking (the 4-D modes; "lanczos" needs it).
    Raises ArgumentValueError for arguments that do not go together, UnsupportedError for a mode the input's rank does
    not have.

    >>> import chainrule as torch
    >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
    tensor([[[1., 1., 2., 2.]]])
    """
    check_tensors("interpolate", input=input)
    if mode not in _RANKS:
        raise UnsupportedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported for the modes: "
            f"{' | '.join(_RANKS)}; got mode {mode!r} and {input._data.ndim}D input"
        )
    cornered = mode in _KINDS
    if not cornered and align_corners is not None:
        raise ArgumentValueError(
            "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
        )
    shape = input._data.shape
    n = len(shape) - 2
    if len(shape) not in _RANKS[mode]:
        raise UnsupportedError(
            f"Got {len(shape)}D input, but {mode} mode needs {' or '.join(f'{r}D' for r in _RANKS[mode])} input"
        )
    size, factors = _sizes(shape[2:], n, size, scale_factor, recompute_scale_factor)
    if mode == "lanczos" and align_corners:
        raise ArgumentValueError("Lanczos mode does not support align_corners=True")
    if mode == "lanczos" and not antialias:
        raise ArgumentValueError("Lanczos mode requires antialias=True")
    if antialias and mode not in _SMOOTH:
        raise ArgumentValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
        )
    if any(m <= 0 for m in (*shape[1:], *size)):
        raise ArgumentError(
            f"Input and output sizes should be greater than 0, but got input {list(shape)} and output {list(size)}"
        )
    if mode == "area":
        return adaptive_average(input, tuple(size))
    maps = []
    for m, out, factor in zip(shape[2:], size, factors, strict=True):
        scale = scale_of(m, out, factor)
        maps.append(
            (_KINDS[mode], m, out, scale, bool(align_corners), bool(antialias)) if cornered else (mode, m, out, scale)
        )
    return resample_p(input, maps=tuple(maps))


def _sizes(current, n, size, scale_factor, recompute):
    """The output sizes, and the factors to use for positions (None: the ratio of the sizes)."""
    if size is not None and scale_factor is not None:
        raise ArgumentValueError("only one of size or scale_factor should be defined")
    if size is None and scale_factor is None:
        raise ArgumentValueError("either size or scale_factor should be defined")
    given = size if size is not None else scale_factor
    what = "output size" if size is not None else "scale_factor"
    values = list(given) if isinstance(given, (tuple, list)) else [given] * n
    if len(values) != n:
        raise ArgumentValueError(
            f"Input and {what} must have the same number of spatial dimensions, but got input with spatial "
            "dimensions of "
            f"{list(current)} and {what} of {values}. Please provide input tensor in (N, C, d1, d2, ...,dK) format "
            f"and {what} in "
            "(o1, o2, ...,oK) format."
        )
    if size is not None:
        if recompute:
            raise ArgumentValueError("recompute_scale_factor is not meaningful with an explicit size.")
        if not all(hasattr(v, "__index__") for v in values):
            raise ArgumentError(
                "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, "
                f"int], but got {given!r}"
            )
        return [int(v) for v in values], [None] * n
    out = [math.floor(float(m) * f) for m, f in zip(current, values, strict=True)]
    return out, [None] * n if recompute else [float(f) for f in values]


def _deprecated(name):
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.", UserWarning, stacklevel=3
    )


@public(namespaces=("nn.functional",), method=False)
def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """``interpolate`` under its older name; warns."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


@public(namespaces=("nn.functional",), method=False)
def upsample_nearest(input, size=None, scale_factor=None):
    """``interpolate`` with mode "nearest", under its older name; warns."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


@public(namespaces=("nn.functional",), method=False)
def upsample_bilinear(input, size=None, scale_factor=None):
    """``interpolate`` with mode "bilinear" and aligned corners, under its older name; warns."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
