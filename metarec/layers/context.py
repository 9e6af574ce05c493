"""Encoders of a labelled support into one context vector a task: pooled, or read in sequence by a GRU."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from metarec.layers.embedding import Blocks, joined
from metarec.layers.mlp import MLP
from metarec.layers.pooling import masked_max, masked_mean

EncoderKind = Literal["gru", "mean", "max"]


class LabelCode(nn.Module):
    """What an encoder sees of a label: two bits for a 0 or 1, the output of a small network for a rating.

    The bits are `[1, 0]` for a positive and `[0, 1]` for a negative. Eq. 6 and 7 of CMML name no label; both
    forms are those of the released programs.
    """

    def __init__(self, kind: str, sizes: Sequence[int]):
        super().__init__()
        self.mlp = MLP((1, *sizes)) if kind == "explicit" else None
        self.d_out = sizes[-1] if kind == "explicit" else 2

    def forward(self, labels: Tensor) -> Tensor:
        """`[tasks, n]` -> `[tasks, n, d_code]`."""
        if self.mlp is None:
            return torch.stack([labels, 1 - labels], -1)
        code: Tensor = self.mlp(labels.unsqueeze(-1))
        return code


class ContextEncoder(nn.Module):
    r"""The context $C$ of a task from its support, `[tasks, d_out]`.

    `mean`, `max`: $C_k = f(x_k)$ for each entry, then $C = \mathrm{pool}_k\,C_k$. Implements eq-cmml-6.
    `gru`: the entries in sequence through a GRU, then $C = f(o_n)$ of its last output. Implements eq-cmml-7.
    $f$ is an MLP with ReLU between its layers. The released programs pool after the MLP too.
    """

    def __init__(self, d_in: int, d_out: int, kind: EncoderKind, hidden: Sequence[int], gru: int):
        super().__init__()
        self.kind = kind
        self.gru = GRU(d_in, gru) if kind == "gru" else None
        self.mlp = MLP((d_in if self.gru is None else gru, *hidden, d_out))

    def forward(self, x: Blocks, mask: Tensor, place: Tensor) -> Tensor:
        """Blocks `[tasks, n or 1, d]` over `mask` `[tasks, n]` -> `[tasks, d_out]`.

        A GRU reads the entries by increasing `place` `[tasks, n]`, equal ones as they stand.
        """
        if self.gru is None:
            pool = masked_mean if self.kind == "mean" else masked_max
            return pool(self.mlp(x), mask)
        order = torch.where(mask, place, math.inf).argsort(stable=True, dim=-1)
        tokens = torch.take_along_dim(joined(x), order.unsqueeze(-1), -2)
        last: Tensor = self.mlp(self.gru(tokens, mask.sum(-1)))
        return last


class GRU(nn.Module):
    r"""A gated recurrent unit of one layer, from zeros.

    $h \leftarrow (1 - z)\odot n + z\odot h$ with $r, z = \sigma(Wx + b + Uh + b')$ and
    $n = \tanh(Wx + b + r\odot(Uh + b'))$. Weights stand and start as in `torch.nn.GRU`, which
    `torch.func.vmap` cannot stack: hence a loop of our own for stacks and GPUs, and torch's for a lone
    method on a CPU.
    """

    def __init__(self, d_in: int, d: int):
        super().__init__()
        bound = 1 / math.sqrt(d)

        def start(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.empty(shape).uniform_(-bound, bound))

        self.w_input, self.w_hidden = start(3 * d, d_in), start(3 * d, d)
        self.b_input, self.b_hidden = start(3 * d), start(3 * d)

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        """The output after the first `length` `[tasks]` entries of `x` `[tasks, n, d_in]`: `[tasks, d]`."""
        start = x.new_zeros(*x.shape[:-2], self.w_hidden.shape[-1])
        # The start stands before the first output, at place 0, for a support without entries.
        outputs = torch.cat([start.unsqueeze(-2), self._outputs(x, start)], -2)
        return torch.take_along_dim(outputs, length[..., None, None], -2).squeeze(-2)

    def _outputs(self, x: Tensor, h: Tensor) -> Tensor:
        """Every output, `[tasks, n, d]`."""
        weights: list[Tensor] = [self.w_input, self.w_hidden, self.b_input, self.b_hidden]
        stacked = any(torch._C._functorch.is_batchedtensor(t) for t in (x, *weights))
        if x.device.type == "cpu" and x.ndim == 3 and not stacked:
            return torch.gru(x, h.unsqueeze(0), weights, True, 1, 0.0, False, False, True)[0]
        d, outputs = h.shape[-1], []
        for given in (x @ self.w_input.mT + self.b_input).unbind(-2):
            own = h @ self.w_hidden.mT + self.b_hidden
            r, z = torch.sigmoid(given[..., : 2 * d] + own[..., : 2 * d]).chunk(2, -1)
            n = torch.tanh(given[..., 2 * d :] + r * own[..., 2 * d :])
            h = torch.lerp(n, h, z)
            outputs.append(h)
        return torch.stack(outputs, -2)
