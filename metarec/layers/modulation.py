"""Feature-wise modulation of the hidden layers of a decoder by a task embedding."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.layers.embedding import Blocks
from metarec.layers.mlp import block_linear

Modulation = Literal["none", "film", "gating"]


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

    def forward(self, x: Tensor | Blocks, task: Tensor | None) -> Tensor:
        r"""`x` `[tasks, n, d_in]`, or its columns in blocks, `task` `[tasks, d_task]` -> `[tasks, n, d_out]`.

        Computed as $\gamma\odot Wg + (\gamma\odot b + \beta)$: what entries share is made once a task.
        """
        blocks = [x] if isinstance(x, Tensor) else x
        h, shift = block_linear(blocks, self.linear.weight, self.linear.bias)
        if self.kind == "none" or task is None:
            return F.relu(h + shift)
        gamma, beta = self.generate(task.unsqueeze(-2))
        return F.relu(torch.addcmul(gamma * shift + beta, gamma, h))

    def generate(self, task: Tensor) -> tuple[Tensor, Tensor]:
        r"""$\gamma$ and $\beta$ from `[..., d_task]`: `[..., d_out]` each."""
        makers = [self.gamma, self.beta] + ([self.eta, self.delta] if self.kind == "gating" else [])
        # One product for all of them: what a lone run pays for is the number of its small kernels.
        made = F.linear(task, torch.cat([m.weight for m in makers])).chunk(len(makers), -1)
        gamma, beta = torch.tanh(made[0]), torch.tanh(made[1])
        if self.kind != "gating":
            return gamma, beta
        eta, delta = torch.tanh(made[2]), torch.sigmoid(made[3])
        return torch.lerp(eta, gamma, delta), torch.lerp(eta, beta, delta)
