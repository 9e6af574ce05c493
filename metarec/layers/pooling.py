"""Permutation-invariant pooling over the entries of a task."""

from __future__ import annotations

import torch
from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of `x` `[..., n, d]` over the entries where `mask` `[..., n]` holds: `[..., d]`.

    With a mask `[..., sets, n]`, one axis more, the means over several sets: `[..., sets, d]`. Padding never
    changes the result; an empty set gives zeros. Implements eq-tanp-8.
    """
    weight = mask.to(x.dtype)
    total = weight @ x if mask.ndim == x.ndim else (weight.unsqueeze(-2) @ x).squeeze(-2)
    return total / weight.sum(-1, keepdim=True).clamp(min=1.0)


def masked_average(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of the scalars `values` `[..., n]` over `mask`: `[...]`; an empty set gives zero."""
    kept = torch.where(mask, values, 0.0)
    return kept.sum(-1) / mask.to(values.dtype).sum(-1).clamp(min=1.0)


def masked_max(x: Tensor, mask: Tensor) -> Tensor:
    """Largest entry of `x` `[..., n, d]` where `mask` `[..., n]` holds, feature by feature: `[..., d]`.

    Padding never changes the result; an empty set gives zeros.
    """
    kept = mask.unsqueeze(-1)
    largest = torch.where(kept, x, -torch.inf).amax(-2)
    return torch.where(kept.any(-2), largest, 0.0)
