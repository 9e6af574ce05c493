"""The context of a support in every order: what pooling and a GRU make of it (CMML, Eqs 6 and 7)."""

from __future__ import annotations

from itertools import permutations

import torch
from torch import Tensor

from metarec.layers.context import ContextEncoder


def in_all_orders(support: Tensor) -> Tensor:
    """A support `[n, d]` in every order, `[n!, n, d]`."""
    return support[torch.tensor(list(permutations(range(len(support)))))]


def contexts(encoder: ContextEncoder, supports: Tensor, place: Tensor | None = None) -> Tensor:
    """The context of each support `[supports, n, d]`, read by `place` `[supports, n]` or as it stands."""
    every = torch.ones(supports.shape[:2], dtype=torch.bool)
    order = torch.zeros(supports.shape[:2], dtype=supports.dtype) if place is None else place
    found: Tensor = encoder([supports], every, order).detach()
    return found


def distinct(rows: Tensor) -> int:
    """How many of the rows differ, to nine decimals."""
    return len(torch.unique(rows.mul(1e9).round(), dim=0))
