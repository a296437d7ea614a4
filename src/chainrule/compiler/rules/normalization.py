"""Normalisations by their definitions: forward and backward then share mean and deviation."""

from ...primitive.registry import primitives
from ..lowering import lowers, namespace


def _normalise(name):
    @lowers(name)
    def rule(x, w=None, b=None, *, dims, affine, eps):
        o = namespace(x.builder)
        mean = o.mean(x, dim=dims, keepdim=True)
        centred = x - mean
        rstd = o.rsqrt(o.mean(centred * centred, dim=dims, keepdim=True) + eps)
        return primitives[name].define(o, x, w, b, dims=dims, affine=affine, eps=eps), mean, rstd

    return rule


for _name in ("layer_norm", "batch_norm", "group_norm"):
    _normalise(_name)
