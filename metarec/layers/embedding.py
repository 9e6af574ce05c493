"""Content embeddings: one table a field, looked up by index; nothing is ever one-hot."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import sparse
from torch import Tensor, nn

from metarec.data.ratings import Field
from metarec.data.schema import Schema, identities

# Columns of interaction vectors in pieces: `[tasks, n, d]`, or `[tasks, 1, d]` where a task's entries agree.
Blocks = Sequence[Tensor]
# The counts of shared values of all pairs are kept, a byte each, up to this many pairs (32 MiB).
MAX_PAIRS = 2**25


def side_fields(schema: Schema, side: str) -> tuple[Field, ...]:
    """The fields of one side, `user` or `item`; without any, one field `id` with a value of its own each."""
    fields, n = (
        (schema.user_fields, schema.n_users) if side == "user" else (schema.item_fields, schema.n_items)
    )
    return fields or ((schema.user_ids if side == "user" else schema.item_ids) or identities(n),)


class FieldEmbedding(nn.Module):
    r"""The concatenated embeddings of the fields of one side, `[..., n_fields * d]`. Implements eq-tanp-5.

    A single-valued field looks up the row of its value. A multi-valued one takes the mean of the rows of its
    values, $\frac{1}{c}\sum_{v} m_v\,\theta_v$ with $m$ the multi-hot vector and $c$ its number of ones; an
    entry without any value gives zeros (the released MeLU divides by zero there). Tables are `[values, d]`:
    standard normal for single-valued fields and uniform within $1/\sqrt{\text{values}}$ for multi-valued
    ones, as the Embedding and the bias-free Linear of the released MeLU start; `start` multiplies both.

    Feature tables are index buffers: shared by stacked replicas, left out of checkpoints. `pairs` also keeps,
    for multi-valued fields of few enough entries, how many values each pair of entries shares (see
    `overlap`).
    """

    def __init__(self, fields: Sequence[Field], d: int, *, pairs: bool = False, start: float = 1.0):
        super().__init__()
        self.fields = {f.name.replace(".", "_"): f.multi for f in fields}
        self.paired = {name for name in self.fields if pairs and len(fields[0].values) ** 2 <= MAX_PAIRS}
        self.d_out = d * len(fields)
        self.tables = nn.ParameterDict()
        for name, f in zip(self.fields, fields, strict=True):
            self.tables[name] = nn.Parameter(start * _start(f, d))
            self._keep(f"{name}_values", f.values)
            if f.multi:
                self._keep_entries(name, f.values)
                if name in self.paired:
                    self._keep(f"{name}_pairs", _shared_values(f))

    def forward(self, index: Tensor, tables: Mapping[str, Tensor] | None = None) -> Tensor:
        """`[...]` ids of users or items to `[..., n_fields * d]`; `tables` stand in for the module's own."""
        chosen: Mapping[str, Tensor] = dict(self.tables.items()) if tables is None else tables
        return torch.cat([self._embed(name, chosen[name], index) for name in self.fields], -1)

    def overlap(self, left: Tensor, right: Tensor) -> Tensor:
        r"""$m_i \cdot m_j / (c_i c_j)$ of each field: `[..., a]`, `[..., b]` -> `[..., fields, a, b]`.

        Here $m_i$ is the multi-hot row of entry $i$ and $c_i$ the number of its values. A gradient step on
        the embedding of entry $j$ moves the embedding of entry $i$ by this share. In a single-valued field it
        is 1 where the two values agree and 0 elsewhere.
        """
        return torch.stack([self._overlap(name, left, right) for name in self.fields], -3)

    def _embed(self, name: str, table: Tensor, index: Tensor) -> Tensor:
        values = self.get_buffer(f"{name}_values")
        if not self.fields[name]:
            return F.embedding(values[index], table)
        count = self.get_buffer(f"{name}_count").to(table.dtype).clamp(min=1).unsqueeze(-1)
        entries, owner = self.get_buffer(f"{name}_entries"), self.get_buffer(f"{name}_owner")
        # Either way costs as many rows as it looks up, and the shapes say which looks up fewer.
        if len(entries) <= index.numel() * values.shape[1]:
            rows = table.index_select(0, entries)
            total = rows.new_zeros(len(values), rows.shape[-1]).index_add(0, owner, rows)
            return F.embedding(index, total / count)
        chosen = values[index]
        rows = F.embedding(chosen.clamp(min=0), table) * (chosen >= 0).unsqueeze(-1)
        return rows.sum(-2) / count[index]

    def _overlap(self, name: str, left: Tensor, right: Tensor) -> Tensor:
        values, dtype = self.get_buffer(f"{name}_values"), self.tables[name].dtype
        if not self.fields[name]:
            return (values[left].unsqueeze(-1) == values[right].unsqueeze(-2)).to(dtype)
        if name in self.paired:
            pair = left.unsqueeze(-1) * len(values) + right.unsqueeze(-2)
            shared = self.get_buffer(f"{name}_pairs")[pair]
        else:
            shared = _count_shared(values[left], values[right])
        count = self.get_buffer(f"{name}_count").clamp(min=1)
        return shared.to(dtype) / (count[left].unsqueeze(-1) * count[right].unsqueeze(-2))

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(values)), persistent=False)

    def _keep_entries(self, name: str, values: np.ndarray) -> None:
        owner, slot = np.nonzero(values >= 0)
        self._keep(f"{name}_owner", owner)
        self._keep(f"{name}_entries", values[owner, slot])
        self._keep(f"{name}_count", np.bincount(owner, minlength=len(values)))


class PairEncoder(nn.Module):
    r"""Interaction vectors $v_x = [\theta_{i,1}c_i^1; \ldots; \theta_{u,1}c_u^1; \ldots]$, `[..., n,
    d_pair]`.

    Implements eq-pnmta-1. The item's fields stand first, as in the released MeLU; the paper prints the user's
    first, the same model up to the order of the columns.
    """

    def __init__(self, schema: Schema, d: int, *, pairs: bool = False, start: float = 1.0):
        super().__init__()
        self.item = FieldEmbedding(side_fields(schema, "item"), d, pairs=pairs, start=start)
        self.user = FieldEmbedding(side_fields(schema, "user"), d, pairs=pairs, start=start)
        self.d_out = self.item.d_out + self.user.d_out

    def forward(self, user: Tensor, item: Tensor, tables: Mapping[str, Tensor] | None = None) -> Tensor:
        """`user` (`[..., n]`, or `[..., 1]` to broadcast) and `item` `[..., n]` to `[..., n, d_pair]`."""
        return joined(self.blocks(user, item, tables))

    def blocks(
        self, user: Tensor, item: Tensor, tables: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """The two parts of $v_x$, the item's `[..., n, d_item]` and the user's `[..., n or 1, d_user]`."""
        return self.items(item, tables), self.users(user, tables)

    def items(self, item: Tensor, tables: Mapping[str, Tensor] | None = None) -> Tensor:
        """The item's part alone, `[..., n, d_item]`."""
        own: Tensor = self.item(item, None if tables is None else _side(tables, "item."))
        return own

    def users(self, user: Tensor, tables: Mapping[str, Tensor] | None = None) -> Tensor:
        """The user's part alone, `[..., n or 1, d_user]`."""
        own: Tensor = self.user(user, None if tables is None else _side(tables, "user."))
        return own

    def tables(self) -> dict[str, Tensor]:
        """Every table by `item.<field>` or `user.<field>`, in the order of the columns of the output."""
        both = {"item": self.item, "user": self.user}
        return {f"{side}.{name}": e.tables[name] for side, e in both.items() for name in e.fields}


def joined(blocks: Blocks) -> Tensor:
    """Blocks of columns `[..., n or 1, d]` side by side, `[..., n, sum of d]`."""
    lengths = [block.shape[-2] for block in blocks]
    n = max(lengths) if min(lengths) else 0
    return torch.cat([block.expand(*block.shape[:-2], n, block.shape[-1]) for block in blocks], -1)


def _side(tables: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tables.items() if name.startswith(prefix)}


def _start(f: Field, d: int) -> Tensor:
    """A table as it starts; the row of the unknown value starts at the mean of the others, which is 0."""
    bound = 1 / math.sqrt(f.size)
    table = torch.empty(f.size, d).uniform_(-bound, bound) if f.multi else torch.randn(f.size, d)
    if f.unknown is not None:
        table[f.unknown] = 0.0
    return table


def _shared_values(f: Field) -> np.ndarray:
    """How many values entries `i` and `j` of a multi-valued field share, at `i * n + j`."""
    owner, slot = np.nonzero(f.values >= 0)
    column = f.values[owner, slot]
    hot = sparse.csr_array((np.ones(len(owner), np.uint8), (owner, column)), (len(f.values), f.size))
    return np.asarray((hot @ hot.T).todense()).ravel()


def _count_shared(left: Tensor, right: Tensor) -> Tensor:
    """Shared values of padded lists: `left` `[..., a, k]`, `right` `[..., b, k]` -> `[..., a, b]`."""
    count = left.new_zeros(*left.shape[:-1], right.shape[-2])
    for i in range(left.shape[-1]):
        one = left[..., i].unsqueeze(-1)
        for j in range(right.shape[-1]):
            count = count + ((one == right[..., j].unsqueeze(-2)) & (one >= 0))
    return count
