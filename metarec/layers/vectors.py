"""Interaction vectors: frozen ones of users and items, or learned embeddings where there are none."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.data.schema import Schema
from metarec.layers.embedding import Blocks, FieldEmbedding, side_fields


class FrozenVectors(nn.Module):
    """Rows of a fixed table `[n, d]`: a buffer, shared by stacked replicas and left out of checkpoints."""

    vectors: Tensor

    def __init__(self, vectors: np.ndarray):
        super().__init__()
        own = torch.tensor(vectors, dtype=torch.get_default_dtype())
        self.register_buffer("vectors", own, persistent=False)
        self.d_out = own.shape[-1]

    def forward(self, index: Tensor) -> Tensor:
        """`[...]` ids to `[..., d]`; no gradient reaches the table."""
        return F.embedding(index, self.vectors)


class PairVectors(nn.Module):
    r"""$x = \{M_u x_u, M_i x_i\}$, the vectors of user and item side by side, in two blocks of columns.

    Frozen where the schema has `user_vectors` and `item_vectors` (CMML's scenarios), learned with size `d` a
    field elsewhere (its users). The released programs put the user first in the former and the item first in
    the latter; so do we.
    """

    def __init__(self, schema: Schema, d: int):
        super().__init__()
        self.item = _side(schema, "item", d)
        self.user = _side(schema, "user", d)
        self.user_first = isinstance(self.user, FrozenVectors)
        self.d_out = int(self.item.d_out) + int(self.user.d_out)

    def forward(self, user: Tensor, item: Tensor) -> Blocks:
        """`user` `[..., n or 1]` and `item` `[..., n]` to blocks `[..., n or 1, d]`."""
        both = [self.user(user), self.item(item)]
        return both if self.user_first else both[::-1]


def _side(schema: Schema, side: str, d: int) -> FrozenVectors | FieldEmbedding:
    vectors = schema.user_vectors if side == "user" else schema.item_vectors
    return FieldEmbedding(side_fields(schema, side), d) if vectors is None else FrozenVectors(vectors)
