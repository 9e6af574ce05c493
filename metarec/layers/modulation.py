"""Feature-wise modulation of the hidden layers of a decoder by a task embedding."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.layers.embedding import Blocks
from metarec.layers.mlp import block_linear

Modulation = Literal["none", "film", "gating"]


class FiLM(NamedTuple):
    r"""Scale $\gamma$ and shift $\beta$ of one layer, `[tasks, 1, d_out]`: the same for a task's entries."""

    gamma: Tensor
    beta: Tensor


class FiLMLayer(nn.Module):
    r"""One decoder layer, $g \leftarrow \mathrm{ReLU}(\gamma \odot (W g + b) + \beta)$, modulated by $o$.

    `film`: $\gamma = \tanh(W_\gamma o)$, $\beta = \tanh(W_\beta o)$. Implements eq-tanp-15.
    `gating`: with $\eta = \tanh(W_\eta o)$ and $\delta = \mathrm{sigmoid}(W_\delta o)$, both are mixed,
    $\gamma \leftarrow \gamma\odot\delta + \eta\odot(1-\delta)$ and likewise $\beta$. Implements eq-tanp-16.
    `none`: the plain layer (the "w/o tm" ablation). Generators have no bias and no "+1"; the released code
    agrees with the paper here.
    """

    def __init__(self, d_in: int, d_out: int, d_task: int, kind: Modulation):
        super().__init__()
        self.kind = kind
        self.linear = nn.Linear(d_in, d_out)
        if kind != "none":
            self.gamma = nn.Linear(d_task, d_out, bias=False)
            self.beta = nn.Linear(d_task, d_out, bias=False)
        if kind == "gating":
            self.eta = nn.Linear(d_task, d_out, bias=False)
            self.delta = nn.Linear(d_task, d_out, bias=False)

    def forward(self, x: Tensor | Blocks, film: FiLM | None) -> Tensor:
        r"""`x` `[tasks, n, d_in]`, or its columns in blocks, `film` from its decoder -> `[tasks, n, d_out]`.

        Computed as $\gamma\odot Wg + (\gamma\odot b + \beta)$: what entries share is made once a task.
        """
        blocks = [x] if isinstance(x, Tensor) else x
        h, shift = block_linear(blocks, self.linear.weight, self.linear.bias)
        if film is None:
            return F.relu(h + shift)
        return F.relu(torch.addcmul(film.gamma * shift + film.beta, film.gamma, h))

    def makers(self) -> list[nn.Linear]:
        r"""The generators of $\gamma$ and $\beta$, and with `gating` of $\eta$ and $\delta$."""
        return [self.gamma, self.beta] + ([self.eta, self.delta] if self.kind == "gating" else [])


class FiLMDecoder(nn.ModuleList):
    """Hidden layers `sizes[0] -> sizes[1] -> ...`, each modulated by the same task embedding."""

    def __init__(self, sizes: Sequence[int], d_task: int, kind: Modulation):
        super().__init__(FiLMLayer(a, b, d_task, kind) for a, b in pairwise(sizes))
        self.kind, self.widths = kind, list(sizes[1:])

    def forward(self, x: Tensor | Blocks, task: Tensor | None) -> Tensor:
        """`x` `[tasks, n, sizes[0]]`, or its columns in blocks, `task` `[tasks, d_task]` -> `[tasks, n,
        sizes[-1]]`; without a task nothing is modulated.
        """
        films: Sequence[FiLM | None] = [None] * len(self)
        if task is not None and self.kind != "none":
            films = self.generate(task.unsqueeze(-2))
        for layer, film in zip(self, films, strict=True):
            x = layer(x, film)
        assert isinstance(x, Tensor)
        return x

    def generate(self, task: Tensor) -> list[FiLM]:
        r"""$\gamma$ and $\beta$ of every layer from `[..., d_task]`: `[..., d_out]` each.

        One product and one activation for all layers and generators: what a lone run pays for is the number
        of its small kernels.
        """
        by_layer = [layer.makers() for layer in self if isinstance(layer, FiLMLayer)]
        by_name = list(zip(*by_layer, strict=True))
        weights = torch.cat([maker.weight for makers in by_name for maker in makers])
        made = F.linear(task, weights).unflatten(-1, (len(by_name), sum(self.widths)))
        if self.kind == "gating":
            first, delta = made.split([3, 1], -2)
            film, eta = torch.tanh(first).split([2, 1], -2)
            film = torch.lerp(eta, film, torch.sigmoid(delta))
        else:
            film = torch.tanh(made)
        gamma, beta = (part.split(self.widths, -1) for part in film.unbind(-2))
        return [FiLM(*pair) for pair in zip(gamma, beta, strict=True)]
