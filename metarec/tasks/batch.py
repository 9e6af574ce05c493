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
        self.user = self._column([p.ratings.user[p.rows] for p in parts])
        self.item = self._column([p.ratings.item[p.rows] for p in parts])
        self.labels = self._column([p.ratings.label[p.rows] for p in parts]).to(self.dtype)
        self.host_support = np.concatenate([p.n_support for p in parts])
        self.host_query = np.concatenate([p.n_query for p in parts])
        ends = np.cumsum(self.host_support + self.host_query)
        self.offsets = self._column([np.concatenate([[0], ends]).astype(np.int64)])
        self.n_support = self._column([self.host_support])
        sizes = [len(part) for part in parts]
        self.host_first = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int64)
        self.widths = [(int(p.n_support.max(initial=0)), int(p.n_query.max(initial=0))) for p in parts]
        self.width_support, self.width_query = (max(side) for side in zip(*self.widths, strict=True))

    def __len__(self) -> int:
        """Tasks of the first part (all parts of one training have as many)."""
        return len(self.parts[0])

    def batch(
        self, tasks: Tensor, width_support: int | None = None, width_query: int | None = None
    ) -> TaskBatch:
        """Tasks `[..., tasks]` as a `TaskBatch`, padded to the widths given (default: the widest of all)."""
        start, n_s = self.offsets[tasks], self.n_support[tasks]
        end = self.offsets[tasks + 1]
        w_s = self.width_support if width_support is None else width_support
        w_q = self.width_query if width_query is None else width_query
        first, mask_s = self._places(start, n_s, w_s)
        then, mask_q = self._places(start + n_s, end - start - n_s, w_q)
        user_s = self.user[start[..., None] if self.single_user else first]
        user_q = user_s if self.single_user else self.user[then]
        support = Support(user_s, self.item[first], mask_s, torch.where(mask_s, self.labels[first], 0.0))
        query = Query(user_q, self.item[then], mask_q)
        return TaskBatch(support, query, torch.where(mask_q, self.labels[then], 0.0))

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
