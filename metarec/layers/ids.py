"""Embeddings of bare ids: TaNP's two layers on a one-hot vector, looked up instead of multiplied."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.data.ratings import Field
from metarec.layers.rows import rows

Activation = Literal["relu", "sigmoid"]


class IdEmbedding(nn.Module):
    r"""$u = \sigma(W_2\,\sigma(W_1 e + b_1) + b_2)$ for the one-hot vector $e$ of an id. Implements
    eq-tanp-6.

    `table` holds the columns of $W_1$ as rows `[n, d_hidden]`, so the product with $e$ is a row look-up.
    The paper has $\sigma$ = sigmoid and size 32; the released code has ReLU and 32 -> 16. Both layers start
    as PyTorch's Linear on the one-hot vector would: uniform within $1/\sqrt{n}$ and $1/\sqrt{d}$. `ids` may
    send several users or items to one row, that of the unknown, which starts at 0.
    """

    def __init__(
        self, n: int, d_hidden: int, d_out: int, activation: Activation = "relu", ids: Field | None = None
    ):
        super().__init__()
        bound = 1 / math.sqrt(n)
        self.table = nn.Parameter(torch.empty(n, d_hidden).uniform_(-bound, bound))
        self.row: Tensor | None
        self.register_buffer("row", None if ids is None else torch.as_tensor(ids.values), persistent=False)
        if ids is not None and ids.unknown is not None:
            self.table.data[ids.unknown] = 0.0
        self.bias = nn.Parameter(torch.empty(d_hidden).uniform_(-bound, bound))
        self.second = nn.Linear(d_hidden, d_out)
        self.activation = activation

    def forward(self, ids: Tensor) -> Tensor:
        """`[...]` ids to `[..., d_out]`."""
        act = F.relu if self.activation == "relu" else torch.sigmoid
        index = ids if self.row is None else self.row[ids]
        return act(self.second(act(rows(self.table, index) + self.bias)))
