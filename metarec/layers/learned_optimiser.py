"""s2Meta's learned optimiser: an LSTM for each parameter tensor, and one that says when to stop."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

P = 10.0  # of `smooth`


class State(NamedTuple):
    """Output and cell of an LSTM, `[..., hidden]`."""

    h: Tensor
    c: Tensor


def smooth(x: Tensor) -> tuple[Tensor, Tensor]:
    r"""Size and sign of a number of any magnitude, both of order one.

    $(\log|x| / p, \mathrm{sign}\,x)$ where $|x| \ge e^{-p}$, else $(-1, e^p x)$, with $p = 10$; the released
    program adds $10^{-20}$ under the logarithm.
    """
    large = x.abs() >= math.exp(-P)
    size = torch.where(large, torch.log(x.abs() + 1e-20) / P, -1.0)
    return size, torch.where(large, torch.sign(x), math.exp(P) * x)


class Cell(nn.Module):
    """An LSTM cell with a learned start; gates stand in the order input, forget, cell, output."""

    def __init__(self, d_in: int, d: int):
        super().__init__()
        self.w_input = nn.Parameter(nn.init.xavier_normal_(torch.empty(4 * d, d_in)))
        self.w_hidden = nn.Parameter(nn.init.xavier_normal_(torch.empty(4 * d, d)))
        self.b_input = nn.Parameter(torch.zeros(4 * d))
        self.b_hidden = nn.Parameter(torch.zeros(4 * d))
        self.h0, self.c0 = nn.Parameter(torch.randn(d)), nn.Parameter(torch.randn(d))

    def start(self) -> State:
        """The first state, `[hidden]`: the same for every coordinate and task."""
        return State(self.h0, self.c0)

    def forward(self, x: Tensor, state: State) -> State:
        """`[..., d_in]` and a state that broadcasts against it -> `[..., hidden]`."""
        gates = F.linear(x, self.w_input, self.b_input) + F.linear(state.h, self.w_hidden, self.b_hidden)
        i, f, g, o = gates.chunk(4, -1)
        c = torch.sigmoid(f) * state.c + torch.sigmoid(i) * torch.tanh(g)
        return State(torch.sigmoid(o) * torch.tanh(c), c)


class CoordinateLSTM(nn.Module):
    r"""The rule by which one parameter tensor $w$ moves, coordinate by coordinate.

    $w \leftarrow \beta\odot w - \alpha\odot g$, where $\alpha$ and $\beta$ are sigmoids of what an LSTM makes
    of gradient, weight and loss. The normalised output of the LSTM is what it carries on. $\alpha$ starts
    near 0.5 and $\beta$ near 0.993, as released. The released program also means to raise the bias of the
    forget gate and hits some of the input gate's; all start at zero here.
    """

    def __init__(self, hidden: int):
        super().__init__()
        self.cell = Cell(5, hidden)
        self.norm = nn.LayerNorm(hidden)
        self.rate, self.forget = nn.Linear(hidden, 1), nn.Linear(hidden, 1)
        for layer, bias in ((self.rate, 0.0), (self.forget, 5.0)):
            nn.init.xavier_normal_(layer.weight)
            nn.init.constant_(layer.bias, bias)

    def forward(self, w: Tensor, g: Tensor, loss: Tensor, state: State) -> tuple[Tensor, State]:
        """`w` and its bounded gradient `g` `[tasks, ...]`, the `loss` of each task `[tasks]` -> new `w`.

        The LSTM reads constants: no gradient passes through `g`, `loss` or what it reads of `w`.
        """
        known = smooth(loss)[0].reshape(-1, *[1] * (w.ndim - 1)).expand_as(w)
        x = torch.stack([*smooth(g), *smooth(w.detach()), known], -1)
        h, c = self.cell(x, state)
        h = self.norm(h)
        alpha, beta = (torch.sigmoid(layer(h)).squeeze(-1) for layer in (self.rate, self.forget))
        return beta * w - alpha * g, State(h, c)


class StopController(nn.Module):
    """How likely the inner loop is to stop before a step, from the norms of its gradients and its loss."""

    def __init__(self, tensors: int):
        super().__init__()
        d = tensors + 1
        self.cell = Cell(d, 2 * d)
        self.out = nn.Linear(2 * d, 1)
        nn.init.zeros_(self.out.bias)

    def forward(self, norms: Tensor, loss: Tensor, state: State) -> tuple[Tensor, State]:
        """`norms` `[tasks, tensors]` and `loss` `[tasks]` -> logits of stopping `[tasks]`."""
        read = smooth(torch.cat([norms, loss.unsqueeze(-1)], -1))[0]
        state = self.cell(read, state)
        logit: Tensor = self.out(state.h)
        return logit.squeeze(-1), state
