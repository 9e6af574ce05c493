"""TaskBatch: what a method sees. Padded index tensors, looked up on the device, with masks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from metarec.tasks.episodes import Episodes


class Support(NamedTuple):
    """The labelled side of a batch of tasks.

    `item`, `mask`, `labels` are `[tasks, n_support]`; `user` is `[tasks, 1]` when a task is a user (it
    broadcasts) and `[tasks, n_support]` when a task mixes users. Padded entries have mask False, label 0 and
    repeat a valid index.
    """

    user: Tensor
    item: Tensor
    mask: Tensor
    labels: Tensor


class Query(NamedTuple):
    """The side to be predicted, `[tasks, n_query]`. It has no labels, so a method cannot read them."""

    user: Tensor
    item: Tensor
    mask: Tensor


class TaskBatch(NamedTuple):
    """A batch of tasks. `query_labels` `[tasks, n_query]` is handed to objectives, never to `predict`."""

    support: Support
    query: Query
    query_labels: Tensor


class RowBatch(NamedTuple):
    """Flat interactions for pretraining: `user`, `item`, `labels`, all `[rows]`."""

    user: Tensor
    item: Tensor
    labels: Tensor


class EpisodeTensors:
    """Episodes on a device: index tensors in CSR form; batches are gathers, nothing crosses to the host.

    Given several `Episodes` (one a replica, each with its own split), their tasks stand one after another and
    `host_first` `[replicas]` says where each begins and `widths` how wide its widest support and query are.
    """

    def __init__(
        self,
        episodes: Episodes | Sequence[Episodes],
        device: torch.device | str = "cpu",
        dtype: torch.dtype | None = None,
    ):
        parts = [episodes] if isinstance(episodes, Episodes) else list(episodes)
        self.parts = parts
        self.device = torch.device(device)
        self.dtype = dtype or torch.get_default_dtype()
        self.single_user = all(part.by == "user" for part in parts)
        self.user = self._column([p.user for p in parts])
        self.item = self._column([p.item for p in parts])
        self.labels = self._column([p.label for p in parts]).to(self.dtype)
        sizes = [len(part) for part in parts]
        self.host_first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self.shared = any(part.lender is not None for part in parts)
        own, self.host_query = (
            np.concatenate([getattr(p, n) for p in parts]) for n in ("n_support", "n_query")
        )
        ends = np.concatenate([[0], np.cumsum(own + self.host_query)]).astype(np.int64)
        lender = np.concatenate(
            [_lenders(p) + first for p, first in zip(parts, self.host_first, strict=True)]
        )
        self.host_lender, self.host_support = lender, own[lender]
        self.offsets, self.from_support, self.from_query = (
            self._column([a]) for a in (ends, ends[:-1][lender], ends[:-1] + own)
        )
        self.n_support, self.n_query = self._column([self.host_support]), self._column([self.host_query])
        self.widths = [(int(p.n_support.max(initial=0)), int(p.n_query.max(initial=0))) for p in parts]
        self.width_support, self.width_query = (max(side) for side in zip(*self.widths, strict=True))

    def __len__(self) -> int:
        """Tasks of the first part (all parts of one training have as many)."""
        return len(self.parts[0])

    def batch(
        self, tasks: Tensor, width_support: int | None = None, width_query: int | None = None
    ) -> TaskBatch:
        """Tasks `[..., tasks]` as a `TaskBatch`, padded to the widths given (default: the widest of all)."""
        w_s = self.width_support if width_support is None else width_support
        w_q = self.width_query if width_query is None else width_query
        query, labels = self.queries(tasks, w_q)
        return TaskBatch(self.supports(tasks, w_s), query, labels)

    def supports(self, tasks: Tensor, width: int) -> Support:
        """The supports of tasks `[..., tasks]`, `width` wide; a list has that of its lender."""
        start, n = self.from_support[tasks], self.n_support[tasks]
        rows, mask = self._places(start, n, width)
        user = self.user[start[..., None] if self.single_user else rows]
        return Support(user, self.item[rows], mask, torch.where(mask, self.labels[rows], 0.0))

    def queries(self, tasks: Tensor, width: int) -> tuple[Query, Tensor]:
        """The queries of tasks `[..., tasks]`, `width` wide, and their labels."""
        start = self.from_query[tasks]
        rows, mask = self._places(start, self.n_query[tasks], width)
        user = self.user[start[..., None] if self.single_user else rows]
        return Query(user, self.item[rows], mask), torch.where(mask, self.labels[rows], 0.0)

    def owners(self) -> np.ndarray:
        """One task for each support: all tasks, or the lenders where a support serves many lists."""
        return np.unique(self.host_lender)

    def all(self) -> TaskBatch:
        """Every task in one batch `[tasks, ...]`."""
        return self.batch(torch.arange(len(self.host_support), device=self.device))

    def rows(self, index: Tensor) -> RowBatch:
        """Flat interactions of these episodes, support and query alike (for pretraining)."""
        return RowBatch(self.user[index], self.item[index], self.labels[index])

    def _column(self, arrays: list[np.ndarray]) -> Tensor:
        return torch.as_tensor(np.concatenate(arrays)).to(self.device)

    def _places(self, start: Tensor, length: Tensor, width: int) -> tuple[Tensor, Tensor]:
        """Rows `[..., tasks, width]` of a side that begins at `start`, and the mask of those it has.

        A padded entry repeats a row of its own task, so that every index is valid; an empty support repeats
        the first of the query, which no task is without.
        """
        position = torch.arange(width, device=self.device)
        last = (length[..., None] - 1).clamp(min=0)
        return start[..., None] + torch.minimum(position, last), position < length[..., None]


def _lenders(part: Episodes) -> np.ndarray:
    return np.arange(len(part)) if part.lender is None else part.lender
