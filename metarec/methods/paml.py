r"""PAML: personalized adaptive meta-learning (Yu et al., AAAI 2021), in its regularised form REG-PAML.

MAML whose inner step size depends on the user: $\alpha_u = \alpha_0\,r_u$ with $r_u = 2\,\mathrm{sigmoid}(
\mathrm{MLP}_\psi(h_u))$ and $h_u$ the user's embedding; $\theta$ and $\psi$ are trained by the outer
gradient. REG-PAML asks similar users for similar step sizes without storing users. No program is released and
the exact regulariser could not be verified; ours is the mean over pairs of users in the batch of $k(h_u,
h_v)(r_u - r_v)^2$ with $k(h, h') = \exp(-\lVert h - h'\rVert^2 / (2 w^2 d))$, and $h$ held constant in $k$.

The last layer of $\psi$ starts at zero, so that training starts as MeLU with the step size $\alpha_0$.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from metarec.data.schema import Schema
from metarec.layers.embedding import Blocks
from metarec.layers.mlp import MLP
from metarec.layers.pooling import masked_mean
from metarec.methods.base import Noise, Terms
from metarec.methods.melu import MeLU, MeLUOptions
from metarec.tasks.batch import Support, TaskBatch


@dataclass(frozen=True)
class PAMLOptions(MeLUOptions):
    r"""As `MeLUOptions`; `inner_lr` is $\alpha_0$.

    `rate_hidden` are the hidden widths of $\psi$, `similarity` the weight of the regulariser and `width` the
    $w$ of its kernel, in standard deviations of a coordinate of $h$ as it starts.
    """

    rate_hidden: tuple[int, ...] = (32,)
    similarity: float = 0.1
    width: float = 1.0


class PAML(MeLU):
    """MeLU with a step size for each user, and a penalty where similar users have different ones."""

    per_replica: tuple[str, ...] = (*MeLU.per_replica, "similarity")
    Options: ClassVar[type[MeLUOptions]] = PAMLOptions

    def __init__(self, schema: Schema, **options: Any):
        super().__init__(schema, **options)
        o: PAMLOptions = self.options
        # Without fields a cold user's own row tells nothing; the items of the support stand in for it.
        self.by_items = not schema.user_fields
        d = self.encoder.item.d_out if self.by_items else self.encoder.user.d_out
        self.rate = MLP((d, *o.rate_hidden, 1))
        last = self.rate.layers[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.similarity: Tensor
        self.register_buffer("similarity", torch.tensor(o.similarity, dtype=torch.float64))

    def user_vectors(self, x_support: Blocks, support: Support) -> Tensor:
        """$h_u$ of each task, `[tasks, d]`: the user's embedding, or with ids only the mean of its support's
        items.
        """
        items, users = x_support
        if not self.by_items and users.shape[-2] == 1:  # one user a task, known even by an empty support
            return users.squeeze(-2)
        return masked_mean(items if self.by_items else users, support.mask)

    def ratios(self, h: Tensor) -> Tensor:
        """$r_u$, the step size in units of the base one: `[tasks, d] -> [tasks]`, between 0 and 2."""
        return 2 * torch.sigmoid(self.rate(h).squeeze(-1))

    def step_size(self, x_support: Blocks, support: Support) -> Tensor:
        return self.inner_lr * self.ratios(self.user_vectors(x_support, support))

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`query` as for MeLU, and `similarity`: the weighted mean over pairs of tasks of the penalty."""
        h = self.user_vectors(self.encoder.blocks(batch.support.user, batch.support.item), batch.support)
        penalty = self.similarity * disagreement(h.detach(), self.ratios(h), self.options.width)
        return {**super().terms(batch, noise), "similarity": penalty}

    def describe(self, support: Support) -> dict[str, Tensor]:
        """`step size` of each task, `[tasks]`."""
        x = self.encoder.blocks(support.user, support.item)
        return {"step size": self.step_size(x, support)}


def disagreement(h: Tensor, rate: Tensor, width: float) -> Tensor:
    r"""Mean of $k(h_u, h_v)(r_u - r_v)^2$ over pairs $u \ne v$: `h` `[tasks, d]`, `rate` `[tasks]`."""
    tasks, d = h.shape
    squares = h.square().sum(-1)
    distance = squares.unsqueeze(-1) + squares - 2 * h @ h.mT
    kernel = torch.exp(-distance.clamp(min=0) / (2 * width**2 * d))
    difference = (rate.unsqueeze(-1) - rate).square()
    return (kernel * difference).sum() / max(tasks * (tasks - 1), 1)
