"""Normalisation of each channel of each sample on its own (Ulyanov et al. 2016)."""

from __future__ import annotations

import warnings
from typing import Any

from ...errors import ArgumentValueError
from .. import functional as F
from .batchnorm import _LazyNorm, _NormBase

__all__ = [
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Any) -> Any:
        self._check_input_dim(input)
        unbatched = input.dim() == self._ndims[0]
        dim = 0 if unbatched else 1
        if input.shape[dim] != self.num_features:
            if self.affine:
                raise ArgumentValueError(
                    f"expected input's size at dim={dim} to match num_features ({self.num_features}), "
                    f"but got: {input.shape[dim]}."
                )
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. You can silence this warning by not passing "
                "in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        x = F.instance_norm(
            input.unsqueeze(0) if unbatched else input, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats, 0.0 if self.momentum is None else self.momentum, self.eps,
        )  # fmt: skip
        return x.squeeze(0) if unbatched else x


class InstanceNorm1d(_InstanceNorm):
    """Normalise over the length: (N, C, L) or (C, L). Scale and shift are off unless `affine=True`."""

    _ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalise over the image: (N, C, H, W) or (C, H, W). Scale and shift are off unless `affine=True`.

    >>> import chainrule as torch
    >>> y = torch.nn.InstanceNorm2d(3)(torch.randn(2, 3, 5, 5))
    >>> bool(y.mean((2, 3)).abs().max() < 1e-5)
    True
    """

    _ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalise over the volume: (N, C, D, H, W) or (C, D, H, W)."""

    _ndims = (4, 5)


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """`InstanceNorm1d` that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """`InstanceNorm2d` that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """`InstanceNorm3d` that takes `num_features` from its first input."""

    cls_to_become = InstanceNorm3d
