"""Parametrizations that are known to help: weight norm, spectral norm, orthogonal weights."""

from __future__ import annotations

from typing import Any

from ... import ops
from ...config import no_grad
from ...errors import ArgumentValueError, IndexRangeError
from ...handle import Tensor
from ...ops import nn_functional as F
from ..modules.conv import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from ..modules.module import Module
from .parametrize import register_parametrization

__all__ = ["orthogonal", "spectral_norm", "weight_norm"]


def norm_except_dim(v: Tensor, dim: int) -> Tensor:
    """The 2-norm over all dimensions but `dim` (kept, with size 1); over all if `dim` is -1."""
    if dim == -1:
        return ops.linalg.vector_norm(v)
    return ops.linalg.vector_norm(v, 2, [d for d in range(v.dim()) if d != dim], keepdim=True)


class _WeightNorm(Module):
    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = -1 if dim is None else dim

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Make `name` the product of a length g and a direction v (Salimans & Kingma 2016), per index of `dim`.

    >>> import chainrule as torch
    >>> layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(20, 40))
    >>> [(n, tuple(p.shape)) for n, p in layer.named_parameters() if "weight" in n]
    [('parametrizations.weight.original0', (40, 1)), ('parametrizations.weight.original1', (40, 20))]
    """
    register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def rename(state_dict: Any, prefix: str, *_: Any) -> None:
        # State dicts of the older torch.nn.utils.weight_norm.
        old = [f"{prefix}{name}_g", f"{prefix}{name}_v"]
        if all(key in state_dict for key in old):
            for i, key in enumerate(old):
                state_dict[f"{prefix}parametrizations.{name}.original{i}"] = state_dict.pop(key)

    module._register_load_state_dict_pre_hook(rename)
    return module


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        n = weight.dim()
        if not -n <= dim < n:
            raise IndexRangeError(f"Dimension out of range (expected to be in range of [-{n}, {n - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ArgumentValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.dim = dim % n
        self.eps = eps
        if n > 1:
            self.n_power_iterations = n_power_iterations
            with no_grad():
                matrix = self._matrix(weight)
                u, v = (matrix.new_empty((size,)).normal_(0, 1) for size in matrix.shape)
                self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
                self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
                self._iterate(matrix, 15)

    def _matrix(self, weight: Tensor) -> Tensor:
        if self.dim != 0:
            weight = weight.permute(self.dim, *(d for d in range(weight.dim()) if d != self.dim))
        return weight.flatten(1)

    def _iterate(self, matrix: Tensor, times: int) -> None:
        with no_grad():
            for _ in range(times):
                self._u.copy_(F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                self._v.copy_(F.normalize(matrix.t() @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Tensor) -> Tensor:
        if weight.dim() == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._iterate(matrix, self.n_power_iterations)
        # Copies, because the next forward changes the buffers in place.
        u, v = self._u.clone(), self._v.clone()
        return weight / (u @ (matrix @ v))

    def right_inverse(self, value: Tensor) -> Tensor:
        return value


def spectral_norm(
    module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> Module:
    """Divide `name` by its largest singular value, estimated by power iteration (Miyato et al. 2018).

    Raises ArgumentValueError if the module has no such tensor.

    >>> import chainrule as torch
    >>> layer = torch.nn.utils.parametrizations.spectral_norm(torch.nn.Linear(20, 40))
    >>> bool((torch.linalg.matrix_norm(layer.weight, 2) - 1).abs() < 0.2)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, default_dim(module, dim), eps))
    return module


def default_dim(module: Module, dim: int | None) -> int:
    """The dimension of the outputs: 1 for a transposed convolution, else 0."""
    if dim is not None:
        return dim
    return 1 if isinstance(module, (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)) else 0


class _Orthogonal(Module):
    def __init__(self, weight: Tensor, orthogonal_map: str, use_trivialization: bool) -> None:
        super().__init__()
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            base = _orthonormal(weight.detach())
            self.register_buffer("base", base)

    def forward(self, x: Tensor) -> Tensor:
        n, k = x.shape[-2:]
        wide = n < k
        if wide:
            x = x.transpose(-2, -1)
            n, k = k, n
        x = x.tril(-1)
        if n != k:
            x = ops.cat([x, x.new_zeros((*x.shape[:-2], n, n - k))], -1)
        a = x - x.transpose(-2, -1)
        if self.orthogonal_map == "matrix_exp":
            q = ops.linalg.matrix_exp(a)
        else:
            one = ops.eye(n, dtype=x.dtype)
            q = ops.linalg.solve(one + 0.5 * a, one - 0.5 * a)
        if "base" in self._buffers:
            q = self.base @ q
        q = q[..., :k]
        return q.transpose(-2, -1) if wide else q

    def right_inverse(self, q: Tensor) -> Tensor:
        if "base" not in self._buffers:
            raise NotImplementedError("It is not possible to assign to the matrix exponential or the Cayley map "
                                      "when use_trivialization=False.")  # fmt: skip
        wide = q.shape[-2] < q.shape[-1]
        self.base = _orthonormal(q)
        start = ops.zeros_like(q.transpose(-2, -1) if wide else q)
        return start.transpose(-2, -1) if wide else start


def _orthonormal(weight: Tensor) -> Tensor:
    """A square orthogonal matrix whose first columns span the columns of `weight` (rows, if it is wide)."""
    tall = weight.transpose(-2, -1) if weight.shape[-2] < weight.shape[-1] else weight
    q, r = ops.linalg.qr(tall, mode="complete")
    signs = r.diagonal(dim1=-2, dim2=-1).sign()
    k = tall.shape[-1]
    return ops.cat([q[..., :k] * signs.unsqueeze(-2), q[..., k:]], -1)


def orthogonal(
    module: Module, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True
) -> Module:
    """Keep `name` orthogonal (orthonormal rows or columns): Q = base·map(skew-symmetric matrix).

    `orthogonal_map` is "matrix_exp" or "cayley". Raises ArgumentValueError for another map (householder among
    them) and for tensors with less than 2 dimensions.
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.dim() < 2:
        raise ArgumentValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.dim()} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp"
    if orthogonal_map not in ("matrix_exp", "cayley"):
        raise ArgumentValueError(f'orthogonal_map has to be one of "matrix_exp", "cayley". Got: {orthogonal_map}')
    register_parametrization(module, name, _Orthogonal(weight, orthogonal_map, use_trivialization), unsafe=True)
    return module
