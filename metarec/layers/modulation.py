"""Feature-wise modulation of the hidden layers of a decoder by a task embedding."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

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

    def forward(self, x: Tensor, task: Tensor | None) -> Tensor:
        """`x` `[tasks, n, d_in]`, `task` `[tasks, d_task]` -> `[tasks, n, d_out]`."""
        h = self.linear(x)
        if self.kind == "none" or task is None:
            return F.relu(h)
        gamma, beta = torch.tanh(self.gamma(task)), torch.tanh(self.beta(task))
        if self.kind == "gating":
            eta, delta = torch.tanh(self.eta(task)), torch.sigmoid(self.delta(task))
            gamma = gamma * delta + eta * (1 - delta)
            beta = beta * delta + eta * (1 - delta)
        return F.relu(gamma.unsqueeze(-2) * h + beta.unsqueeze(-2))
