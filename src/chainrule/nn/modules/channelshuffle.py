"""Mixing the channels of groups (Zhang et al. 2018)."""

from __future__ import annotations

from typing import Any

from .. import functional as F
from .module import Module
from .utils import spec

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """Take the channels of (N, C, ...) from the groups in turn.

    >>> import chainrule as torch
    >>> torch.nn.ChannelShuffle(2)(torch.arange(4.0).reshape(1, 4, 1, 1)).flatten()
    tensor([0., 2., 1., 3.])
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Any) -> Any:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return spec(self, "groups")
