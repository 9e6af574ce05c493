"""Rows of a large table by index, with a gradient that costs no more than it must."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def rows(table: Tensor, ids: Tensor) -> Tensor:
    """Rows `[..., d]` of `table` `[n, d]` at `ids` `[...]`, with the numbers of `F.embedding`.

    On a CPU the gradient of `F.embedding` goes through all indices once for each thread, row by row; that of
    `index_select`, the same sums in the same order, takes a third of the time. But `vmap` turns the latter
    into an element-wise gather, slower than both, so for stacked tables it is told how. On a GPU it is the
    embedding's gradient that keeps the order.
    """
    if table.device.type != "cpu":
        return F.embedding(ids, table)
    if torch._C._functorch.is_batchedtensor(table):
        stacked: Tensor = _Rows.apply(table, ids)
        return stacked
    return _select(table, ids)


class _Rows(torch.autograd.Function):
    """`_select` with a rule for `vmap`: tables `[K, n, d]` are one table of $Kn$ rows.

    Only the rule is ever used. Gradients are those of what it calls, so there is no `backward`.
    """

    @staticmethod
    def forward(table: Tensor, ids: Tensor) -> Tensor:
        return _select(table, ids)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Nothing to keep; without this method `vmap` takes no rule."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, int | None], table: Tensor, ids: Tensor
    ) -> tuple[Tensor, int]:
        assert in_dims[0] is not None  # a shared table takes the short way
        table = table.movedim(in_dims[0], 0)
        ids = ids.expand(info.batch_size, *ids.shape) if in_dims[1] is None else ids.movedim(in_dims[1], 0)
        first = torch.arange(len(table), device=ids.device) * table.shape[1]
        return _select(table.flatten(0, 1), ids + first.view(-1, *[1] * (ids.ndim - 1))), 0


def _select(table: Tensor, ids: Tensor) -> Tensor:
    return table.index_select(0, ids.flatten()).unflatten(0, ids.shape)
