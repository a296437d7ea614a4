"""Multi-head attention as a function of tensors (Vaswani et al. 2017)."""

from __future__ import annotations

import math
import warnings
from typing import Any

from .. import dtypes, ops
from ..errors import ShapeError
from ..handle import Tensor
from ..ops import nn_functional as F
from ..primitive import public

__all__ = ["canonical_mask", "multi_head_attention_forward"]


def canonical_mask(mask: Any, name: str, other: Any, other_name: str, dtype: Any, check_other: bool = True) -> Any:
    """A mask to add to the scores: True becomes -inf; a floating-point mask stays as it is.

    Raises AssertionError for a mask that is neither bool nor floating point.
    """
    if mask is None:
        return None
    is_float = mask.dtype.is_floating_point
    if not is_float and mask.dtype != dtypes.bool:
        raise AssertionError(f"only bool and floating types of {name} are supported")
    if check_other and isinstance(other, Tensor) and other.dtype != mask.dtype:
        warnings.warn(
            f"Support for mismatched {name} and {other_name} is deprecated. Use same type for both instead.",
            stacklevel=3,
        )
    if is_float:
        return mask
    return ops.zeros(tuple(mask.shape), dtype=dtype).masked_fill_(mask, -math.inf)


@public(namespaces=("nn.functional",), method=False)
def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Project, attend in `num_heads` heads and project back; see `nn.MultiheadAttention` for the arguments.

    query (L, N, E), key (S, N, E_k), value (S, N, E_v), or all without N. Returns the output (L, N, E) and the
    weights: (N, L, S) averaged over the heads, (N, num_heads, L, S), or None without `need_weights`.
    """
    batched = _check_shapes(query, key, value, key_padding_mask, attn_mask, num_heads)
    if not batched:
        query, key, value = query.unsqueeze(1), key.unsqueeze(1), value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, batch, embed_dim = query.shape
    padding = canonical_mask(key_padding_mask, "key_padding_mask", attn_mask, "attn_mask", query.dtype)
    if is_causal and attn_mask is None:
        raise RuntimeError(
            "Need attn_mask if specifying the is_causal hint. You may use the Transformer module method "
            "`generate_square_subsequent_mask` to create this mask."
        )
    causal_only = is_causal and padding is None and not need_weights
    mask = None if causal_only else canonical_mask(attn_mask, "attn_mask", None, "", query.dtype, check_other=False)
    if embed_dim != embed_dim_to_check:
        raise AssertionError(f"was expecting embedding dimension of {embed_dim_to_check}, but got {embed_dim}")
    head_dim = embed_dim // num_heads
    if head_dim * num_heads != embed_dim:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if use_separate_proj_weight:
        if key.shape[:2] != value.shape[:2]:
            raise AssertionError(
                f"key's sequence and batch dims {key.shape[:2]} do not match value's {value.shape[:2]}"
            )
        biases = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        weights = (q_proj_weight, k_proj_weight, v_proj_weight)
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, biases, strict=True))
    else:
        if key.shape != value.shape:
            raise AssertionError(f"key shape {key.shape} does not match value shape {value.shape}")
        q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias)
    mask = _check_mask(mask, length, key.shape[0], batch * num_heads)

    grown = 0  # keys added at the end, which no mask hides
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias cannot be added to static key." if static_k is not None
                                 else "bias cannot be added to static value.")  # fmt: skip
        k = ops.cat([k, bias_k.repeat(1, batch, 1)])
        v = ops.cat([v, bias_v.repeat(1, batch, 1)])
        grown += 1
    elif bias_k is not None or bias_v is not None:
        raise AssertionError("bias_k is set but bias_v is None" if bias_v is None
                             else "bias_v is set but bias_k is None")  # fmt: skip

    def heads(x: Tensor, static: Tensor | None, name: str) -> Tensor:
        """(length, batch, embed_dim) to (batch·num_heads, length, head_dim)."""
        if static is None:
            return x.reshape(x.shape[0], batch * num_heads, head_dim).transpose(0, 1)
        if static.shape[0] != batch * num_heads:
            raise AssertionError(f"expecting {name}.size(0) of {batch * num_heads}, but got {static.shape[0]}")
        if static.shape[2] != head_dim:
            raise AssertionError(f"expecting {name}.size(2) of {head_dim}, but got {static.shape[2]}")
        return static

    q, k, v = heads(q, None, "q"), heads(k, static_k, "static_k"), heads(v, static_v, "static_v")
    if add_zero_attn:
        nothing = ops.zeros((batch * num_heads, 1, head_dim), dtype=k.dtype)
        k, v = ops.cat([k, nothing], 1), ops.cat([v, nothing], 1)
        grown += 1
    if grown and mask is not None:
        mask = F.pad(mask, (0, grown))
    if grown and padding is not None:
        padding = F.pad(padding, (0, grown))
    source = k.shape[1]
    if padding is not None:
        if tuple(padding.shape) != (batch, source):
            raise AssertionError(
                f"Expected key_padding_mask of shape {(batch, source - grown)}, "
                f"but got {(padding.shape[0], padding.shape[1] - grown)}"
            )
        padding = padding.reshape(batch, 1, 1, source).expand(-1, num_heads, -1, -1)
        padding = padding.reshape(batch * num_heads, 1, source)
        mask = padding if mask is None else mask + padding
    dropout = dropout_p if training else 0.0

    if need_weights:
        scores = (q * math.sqrt(1.0 / head_dim)) @ k.transpose(-2, -1)
        if mask is not None:
            scores = scores + mask
        weights = F.softmax(scores, dim=-1)
        if dropout > 0.0:
            weights = F.dropout(weights, p=dropout)
        out = weights @ v
    else:
        if mask is not None:
            mask = mask.unsqueeze(0) if mask.shape[0] == 1 else mask.reshape(batch, num_heads, -1, source)
        split = (batch, num_heads, -1, head_dim)
        out = F.scaled_dot_product_attention(
            q.reshape(split), k.reshape(split), v.reshape(split), mask, dropout, causal_only
        )
        out = out.reshape(batch * num_heads, length, head_dim)
        weights = None
    out = out.transpose(0, 1).reshape(length, batch, embed_dim)
    out = F.linear(out, out_proj_weight, out_proj_bias)
    if weights is not None:
        weights = weights.reshape(batch, num_heads, length, source)
        if average_attn_weights:
            weights = weights.mean(dim=1)
        if not batched:
            weights = weights.squeeze(0)
    return (out if batched else out.squeeze(1)), weights


def _project(query: Tensor, key: Tensor, value: Tensor, weight: Any, bias: Any) -> tuple:
    """q, k, v from one stacked weight, in as few products as the inputs' identity allows."""
    if weight is None:
        raise AssertionError("use_separate_proj_weight is False but in_proj_weight is None")
    if query is key and key is value:
        return F.linear(query, weight, bias).chunk(3, -1)
    size = query.shape[-1]
    if key is value:
        w_q, w_kv = weight.split([size, 2 * size])
        b_q, b_kv = (None, None) if bias is None else bias.split([size, 2 * size])
        return (F.linear(query, w_q, b_q), *F.linear(key, w_kv, b_kv).chunk(2, -1))
    biases = (None,) * 3 if bias is None else bias.chunk(3)
    inputs = (query, key, value)
    return tuple(F.linear(x, w, b) for x, w, b in zip(inputs, weight.chunk(3), biases, strict=True))


def _check_mask(mask: Any, length: int, source: int, heads: int) -> Any:
    if mask is None:
        return None
    if mask.dim() not in (2, 3):
        raise ShapeError(f"attn_mask's dimension {mask.dim()} is not supported")
    expected = (length, source) if mask.dim() == 2 else (heads, length, source)
    if tuple(mask.shape) != expected:
        raise ShapeError(f"The shape of the {mask.dim()}D attn_mask is {mask.shape}, but should be {expected}.")
    return mask.unsqueeze(0) if mask.dim() == 2 else mask


def _check_shapes(query: Tensor, key: Tensor, value: Tensor, padding: Any, mask: Any, num_heads: int) -> bool:
    """True if the inputs have a batch dimension."""
    n = query.dim()
    if n not in (2, 3):
        raise AssertionError(f"query should be unbatched 2D or batched 3D tensor but received {n}-D query tensor")
    kind = "batched (3-D)" if n == 3 else "unbatched (2-D)"
    if key.dim() != n or value.dim() != n:
        raise AssertionError(
            f"For {kind} `query`, expected `key` and `value` to be {n}-D but found {key.dim()}-D and "
            f"{value.dim()}-D tensors respectively"
        )
    if padding is not None and padding.dim() != n - 1:
        raise AssertionError(
            f"For {kind} `query`, expected `key_padding_mask` to be `None` or {n - 1}-D but found "
            f"{padding.dim()}-D tensor instead"
        )
    if mask is not None and mask.dim() not in (2, 3):
        raise AssertionError(
            f"For {kind} `query`, expected `attn_mask` to be `None`, 2-D or 3-D but found {mask.dim()}-D tensor instead"
        )
    if n == 2 and mask is not None and mask.dim() == 3:
        expected = (num_heads, query.shape[0], key.shape[0])
        if tuple(mask.shape) != expected:
            raise AssertionError(f"Expected `attn_mask` shape to be {expected} but got {tuple(mask.shape)}")
    return n == 3
