"""Multilayer perceptrons, shared by all tasks or with one copy of the weights a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.layers.embedding import Blocks


class MLP(nn.Module):
    """Linear layers `sizes[0] -> sizes[1] -> ...` with ReLU between them.

    `last_relu` adds one after the last layer. Weights start as PyTorch's Linear does, uniform within
    1/sqrt(fan-in).
    """

    def __init__(self, sizes: Sequence[int], *, last_relu: bool = False):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.last_relu = last_relu

    def forward(self, x: Tensor | Blocks) -> Tensor:
        """`[..., sizes[0]] -> [..., sizes[-1]]`; the columns of `x` may come in blocks (`block_linear`)."""
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        h = first(x) if isinstance(x, Tensor) else torch.add(*block_linear(x, first.weight, first.bias))
        for layer in self.layers[1:]:
            h = layer(F.relu(h))
        return F.relu(h) if self.last_relu else h


def block_linear(x: Blocks, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """A linear layer on columns in blocks, as two terms: of entries `[..., n, d]`, of the task `[..., 1, d]`.

    Blocks are `[..., n, d_b]`, or `[..., 1, d_b]` where the entries of a task agree; those are multiplied
    once a task and not once an entry. Their sum is the layer's output on the joined columns.
    """
    n = max(block.shape[-2] for block in x)
    columns = weight.split([block.shape[-1] for block in x], -1)
    pairs = list(zip(x, columns, strict=True))
    own = [(b, w) for b, w in pairs if b.shape[-2] == n]
    shared = [(b, w) for b, w in pairs if b.shape[-2] != n]
    entries = F.linear(_side_by_side(b for b, _ in own), _side_by_side(w for _, w in own))
    if not shared:
        return entries, bias
    return entries, F.linear(_side_by_side(b for b, _ in shared), _side_by_side(w for _, w in shared), bias)


def _side_by_side(parts: Iterable[Tensor]) -> Tensor:
    """Columns next to each other; a lone part as it is."""
    tensors = list(parts)
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, -1)


def task_linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A linear layer whose weights may differ by task.

    `x` is `[tasks, n, d_in]`; `weight` `[tasks, d_out, d_in]` and `bias` `[tasks, d_out]`, or without the
    task axis when shared. Returns `[tasks, n, d_out]`.
    """
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    out = x @ weight.mT
    return out if bias is None else out + bias.unsqueeze(-2)


def mlp_params(module: MLP, prefix: str = "") -> dict[str, Tensor]:
    """The parameters of an `MLP` as `{prefix + "0.weight": ..., prefix + "0.bias": ...}`."""
    named = {}
    for index, layer in enumerate(module.layers):
        assert isinstance(layer, nn.Linear)
        named[f"{prefix}{index}.weight"] = layer.weight
        named[f"{prefix}{index}.bias"] = layer.bias
    return named


def task_mlp(params: Mapping[str, Tensor], x: Tensor, prefix: str = "") -> Tensor:
    """Apply an MLP given by `mlp_params`, each tensor shared or with a task axis in front; ReLU between."""
    depth = sum(1 for name in params if name.startswith(prefix) and name.endswith(".weight"))
    for index in range(depth):
        x = task_linear(x, params[f"{prefix}{index}.weight"], params[f"{prefix}{index}.bias"])
        if index < depth - 1:
            x = F.relu(x)
    return x
