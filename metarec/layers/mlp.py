"""Multilayer perceptrons, shared by all tasks or with one copy of the weights a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers `sizes[0] -> sizes[1] -> ...` with ReLU between them.

    `last_relu` adds one after the last layer. Weights start as PyTorch's Linear does, uniform within
    1/sqrt(fan-in).
    """

    def __init__(self, sizes: Sequence[int], *, last_relu: bool = False):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.last_relu = last_relu

    def forward(self, x: Tensor) -> Tensor:
        """`[..., sizes[0]] -> [..., sizes[-1]]`."""
        last = len(self.layers) - 1
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if index < last or self.last_relu:
                x = F.relu(x)
        return x


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
