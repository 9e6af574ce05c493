"""TaskBatch: what a method sees. Padded index tensors, looked up on the device, with masks."""

from __future__ import annotations

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
    """Episodes on a device: index tensors in CSR form; batches are gathers, nothing crosses to the host."""

    def __init__(self, episodes: Episodes, device: torch.device | str = "cpu", dtype: torch.dtype | None = None):
        r, rows = episodes.ratings, episodes.rows
        self.episodes = episodes
        self.device = torch.device(device)
        self.single_user = episodes.by == "user"
        self.dtype = dtype or torch.get_default_dtype()
        self.user = torch.as_tensor(r.user[rows]).to(self.device)
        self.item = torch.as_tensor(r.item[rows]).to(self.device)
        self.labels = torch.as_tensor(r.label[rows]).to(self.device, self.dtype)
        self.offsets = torch.as_tensor(episodes.offsets).to(self.device)
        self.n_support = torch.as_tensor(episodes.n_support).to(self.device)
        self.width_support = int(episodes.n_support.max(initial=0))
        self.width_query = int(episodes.n_query.max(initial=0))

    def __len__(self) -> int:
        return len(self.episodes)

    def batch(self, tasks: Tensor, width_support: int | None = None, width_query: int | None = None) -> TaskBatch:
        """The tasks `[..., tasks]` (indices) as a `TaskBatch`, padded to the widths given (default: the widest)."""
        start, n_s = self.offsets[tasks], self.n_support[tasks]
        end = self.offsets[tasks + 1]
        user, item, labels, mask = self._side(start, n_s, width_support or self.width_support)
        support = Support(user, item, mask, labels)
        user, item, labels, mask = self._side(start + n_s, end - start - n_s, width_query or self.width_query)
        return TaskBatch(support, Query(user, item, mask), labels)

    def all(self) -> TaskBatch:
        """Every task in one batch."""
        return self.batch(torch.arange(len(self), device=self.device))

    def widths(self, tasks: np.ndarray) -> tuple[int, int]:
        """Support and query width that the tasks (any shape, on the host) need."""
        return int(self.episodes.n_support[tasks].max()), int(self.episodes.n_query[tasks].max())

    def rows(self, index: Tensor) -> RowBatch:
        """Flat interactions `[rows]` of these episodes, support and query alike (for pretraining)."""
        return RowBatch(self.user[index], self.item[index], self.labels[index])

    def _side(self, start: Tensor, length: Tensor, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        position = torch.arange(width, device=self.device)
        mask = position < length[..., None]
        # A padded entry repeats a row of its own task, so every index is valid; the mask keeps it out of sums.
        index = start[..., None] + torch.minimum(position, (length[..., None] - 1).clamp(min=0))
        index = index.clamp(max=len(self.item) - 1)
        user = self.user[index[..., :1] if self.single_user else index]
        labels = torch.where(mask, self.labels[index], 0.0)
        return user, self.item[index], labels, mask
