r"""Meta-paths over user-item-attribute links: what items a rated or a candidate item leads to.

A user $u$ with support $S_u$ and an item $m$ have, along each path, a multiset of neighbours:

    UM        S_u
    UMUM      m, S_u without m, and S_v without m for every other training user v with m in S_v
    UM-f-M    m, and for every value of its field f all other items with that value

Links of a training user are its support, those of any other user the support at hand; the pair $(u, m)$ that
is asked for is never a link unless it is in the support, and no label enters beyond which implicit pairs are
positive. Items reached twice count twice, so a product of two sparse matrices, never formed, gives every sum
of neighbours: users and values first collect the vectors of their items, then items those of their users and
values. MetaHIN's released program takes sets, the same but for items that share two actors or two users.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.data.ratings import Field
from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.tasks.batch import Query, Support
from metarec.tasks.episodes import Episodes


class Neighbours(NamedTuple):
    """Along one path: the sum of each row's neighbours `[tasks, n, d]` and their number `[tasks, n]`."""

    total: Tensor
    number: Tensor


class MetaPaths(nn.Module):
    """Sums of neighbours' vectors along UM, UMUM and one path for each of the item fields `attributes`.

    Raises `ProtocolError` for a field the items do not have, and when asked for neighbours before `fit`.
    """

    known: Tensor
    co_number: Tensor
    degree: Tensor

    def __init__(self, schema: Schema, attributes: tuple[str, ...]):
        super().__init__()
        self.kind, self.n_users, self.n_items = schema.kind, schema.n_users, schema.n_items
        fields = {f.name: f for f in schema.item_fields}
        for name in attributes:
            if name not in fields:
                raise ProtocolError(f"no item field {name!r} to draw a path through; there are {[*fields]}.")
        self.names = ("UM", "UMUM", *(f"UM-{name}-M" for name in attributes))
        for index, name in enumerate(attributes):
            self._link(index, fields[name])

    def _link(self, index: int, f: Field) -> None:
        """Links of one field: (item, value) pairs, and how many others each item reaches through them."""
        values = f.values if f.multi else f.values[:, None]
        if f.unknown is not None:  # two items of unknown values have nothing in common
            values = np.where(values == f.unknown, -1, values)
        owner, slot = np.nonzero(values >= 0)
        value = values[owner, slot]
        others = np.bincount(value, minlength=f.size)[value] - 1
        number = np.bincount(owner, weights=others, minlength=len(values)).astype(np.int64)
        self._keep(f"attribute{index}_values", values)
        self._keep(f"attribute{index}_number", number)
        self._keep_links(f"attribute{index}", owner, value, f.size)

    def fit(self, train: Episodes) -> None:
        """Take the links of training users: their support ratings, of implicit ones the positive."""
        use = ~train.is_query
        if self.kind == "implicit":
            use &= train.ratings.label[train.rows] > 0
        task = np.repeat(np.arange(len(train)), train.lengths)[use]
        item = train.ratings.item[train.rows][use]
        others = np.bincount(task, minlength=len(train))[task] - 1
        known = np.zeros(self.n_users, bool)
        known[train.ratings.user[train.rows]] = True
        self._keep_links("to_users", item, task, len(train))
        self._keep_links("to_items", task, item, self.n_items)
        self._keep("co_number", np.bincount(item, weights=others, minlength=self.n_items).astype(np.int64))
        self._keep("degree", np.bincount(item, minlength=self.n_items))
        self._keep("known", known)

    def forward(self, vectors: Tensor, support: Support, query: Query) -> tuple[list[Neighbours], ...]:
        """Neighbours of the support's rows and of the query's, a list over paths each.

        `vectors` `[n_items, d]` are those of all items. Tasks must be users: `support.user` `[tasks, 1]`.
        """
        if not hasattr(self, "known"):
            raise ProtocolError("the meta-paths have no links yet; call fit(train) first.")
        own = self._positive(support)
        tables = self._tables(vectors)
        inside = own, torch.zeros_like(query.mask)
        return tuple(
            self._neighbours(vectors, tables, support, own, item, here)
            for item, here in zip((support.item, query.item), inside, strict=True)
        )

    def _positive(self, support: Support) -> Tensor:
        """Which rows of the support are links, `[tasks, n_support]`."""
        return support.mask & (support.labels > 0) if self.kind == "implicit" else support.mask

    def _tables(self, vectors: Tensor) -> list[Tensor]:
        """What users (as a sum an item `[n_items, d]`) and values (a sum a value `[size, d]`) collect."""
        back = self._collect("to_items", self._collect("to_users", vectors))
        tables = [back - self.degree.to(vectors.dtype).unsqueeze(-1) * vectors]
        return tables + [self._collect(f"attribute{index}", vectors) for index in range(len(self.names) - 2)]

    def _neighbours(
        self,
        vectors: Tensor,
        tables: list[Tensor],
        support: Support,
        own: Tensor,
        item: Tensor,
        inside: Tensor,
    ) -> list[Neighbours]:
        """All paths for rows `item` `[tasks, n]`, of which those in `inside` are links of their own user."""
        x, weight = F.embedding(item, vectors), own.to(vectors.dtype)
        total = (weight.unsqueeze(-2) @ F.embedding(support.item, vectors)).expand_as(x)
        number = weight.sum(-1, keepdim=True).expand(item.shape)
        found = [Neighbours(total, number)]
        # A training user is among the users who have its own support items: count it once.
        self_in = inside.to(x.dtype)
        again = 1 - self_in * self.known[support.user].to(x.dtype)
        found.append(
            Neighbours(
                x + F.embedding(item, tables[0]) + again.unsqueeze(-1) * (total - self_in.unsqueeze(-1) * x),
                1 + self.co_number[item] + again * (number - self_in),
            )
        )
        for index, table in enumerate(tables[1:]):
            values = self.get_buffer(f"attribute{index}_values")[item]
            there = (values >= 0).to(x.dtype)
            reached = _sum_of_rows(table, values.clamp(min=0), there)
            others = self.get_buffer(f"attribute{index}_number")[item]
            back = there.sum(-1, keepdim=True)
            found.append(Neighbours(reached + (1 - back) * x, (1 + others).to(x.dtype)))
        return found

    def _keep_links(self, name: str, start: np.ndarray, end: np.ndarray, size: int) -> None:
        """Links `start -> end` `[links]` grouped by where they end, `0..size-1`."""
        self._keep(f"{name}_start", start[np.argsort(end, kind="stable")])
        count = np.bincount(end, minlength=size)
        self._keep(f"{name}_offset", np.cumsum(count) - count)

    def _collect(self, name: str, table: Tensor) -> Tensor:
        """Sum over links of the rows of `table` `[n, d]` they start at, one row for each end: `[size, d]`."""
        start, offset = (self.get_buffer(f"{name}_{part}") for part in ("start", "offset"))
        return F.embedding_bag(start, table, offset, mode="sum")

    def _keep(self, name: str, values: np.ndarray) -> None:
        self.register_buffer(name, torch.as_tensor(np.ascontiguousarray(values)), persistent=False)


def _sum_of_rows(table: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Weighted sum of the rows of `table` `[n, d]` named by `index` `[..., k]`: `[..., d]`."""
    flat, weights = index.flatten(0, -2), weight.flatten(0, -2)
    total = F.embedding_bag(flat, table, mode="sum", per_sample_weights=weights)
    return total.reshape(*index.shape[:-1], table.shape[-1])
