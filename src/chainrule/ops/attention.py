"""Scaled dot-product attention."""

import math

import numpy as np

from ..errors import ArgumentValueError, ShapeError
from ..handle import wrap
from ..primitive import public, recorded
from .loss_common import check_tensors
from .matmul import matmul, matmul_p
from .random import source


@public(namespaces=("nn.functional",), method=False)
def scaled_dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False
):
    """``softmax(query @ key.T * scale + mask) @ value``: query (..., L, E), key (..., S, E), value (..., S, Ev).

    attn_mask: bool (True: take part) or numbers to add, broadcastable to (..., L, S).  is_causal: position i sees 0..i.
    scale: None means ``1 / sqrt(E)``.  enable_gqa: fewer heads in key and value, each serving several of query's.
    A row whose mask is all False gives zeros. Dropout acts whenever ``dropout_p`` > 0.
    Raises ShapeError or ArgumentValueError for shapes and options that do not fit.

    >>> import chainrule as torch
    >>> q = torch.ones(1, 2, 4)
    >>> torch.nn.functional.scaled_dot_product_attention(q, q, q).shape
    torch.Size([1, 2, 4])
    """
    check_tensors("scaled_dot_product_attention", query=query, key=key, value=value, attn_mask=attn_mask)
    sq, sk, sv = query._data.shape, key._data.shape, value._data.shape
    if min(len(sq), len(sk), len(sv)) < 2:
        raise ShapeError(
            "scaled_dot_product_attention: Expected query, key, and value to all be at least 2 dimensional, but got "
            f"query.dim: {len(sq)}, key.dim: {len(sk)} and value.dim: {len(sv)} instead"
        )
    if not query._data.dtype == key._data.dtype == value._data.dtype:
        raise ShapeError(
            "scaled_dot_product_attention: Expected query, key, and value to have the same dtype, but got "
            f"query.dtype: {query._data.dtype} key.dtype: {key._data.dtype} and value.dtype: {value._data.dtype} "
            "instead"
        )
    if is_causal and attn_mask is not None:
        raise ShapeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    if not 0.0 <= dropout_p <= 1.0:
        raise ArgumentValueError(f"dropout probability has to be between 0 and 1, but got {dropout_p}")
    if enable_gqa:
        key, value = _shared_heads(query, key), _shared_heads(query, value)
    factor = (1 / math.sqrt(sq[-1]) if sq[-1] else math.inf) if scale is None else scale
    scores = _scores(query * factor, key)
    if is_causal:
        attn_mask = wrap(np.tri(sq[-2], sk[-2], dtype=bool))
    empty = None
    if attn_mask is not None:
        if attn_mask._data.dtype.kind == "b":
            full = is_causal or attn_mask._data.any(-1).all()
            if hasattr(type(full), "values_needed") or not full:  # a compiled function does not know
                # A row without any position would be 0 / 0; PyTorch gives zeros there.
                empty = recorded.logical_not(attn_mask.any(-1, keepdim=True))
                attn_mask = recorded.logical_or(attn_mask, empty)
            scores = recorded.where(attn_mask, scores, -math.inf)
        else:
            scores = scores + recorded.cast(attn_mask, query.dtype)
    weights = recorded.softmax(scores, dim=-1)
    if empty is not None:
        weights = recorded.where(empty, 0.0, weights)
    if dropout_p > 0.0:
        keep = wrap(source(None).random(weights._data.shape, np.float32) >= dropout_p)
        weights = recorded.where(keep, weights * (1 / (1 - dropout_p) if dropout_p < 1 else 0.0), 0.0)
    return matmul(weights, value)


def _scores(q, k):
    """query @ key.T without a transposed view when the batch dimensions are alike."""
    if q._data.ndim == k._data.ndim and q._data.shape[:-2] == k._data.shape[:-2]:
        if q._data.shape[-1] != k._data.shape[-1]:
            raise ShapeError(
                "scaled_dot_product_attention(): query and key must have the same last size, got "
                f"{list(q._data.shape)} and "
                f"{list(k._data.shape)}"
            )
        return matmul_p(q, k, tb=True)
    n = k._data.ndim
    return matmul(q, recorded.permute(k, dims=(*range(-n, -2), -1, -2)))


def _shared_heads(query, x):
    """Repeat each head of ``x`` for the heads of ``query`` that share it."""
    heads, own = query._data.shape[-3], x._data.shape[-3]
    if heads % own:
        raise ShapeError(
            f"scaled_dot_product_attention(): with enable_gqa the heads of query ({heads}) must be a multiple of "
            "those of key and "
            f"value ({own})"
        )
    if heads == own:
        return x
    shape = x._data.shape
    wide = recorded.expand(
        recorded.reshape(x, shape=(*shape[:-2], 1, *shape[-2:])), shape=(*shape[:-2], heads // own, *shape[-2:])
    )
    return recorded.reshape(wide, shape=(*shape[:-3], heads, *shape[-2:]))
