r"""MetaCS-DNN (Bharadhwaj, IJCNN 2019; "MetaDNN" in CMML): MAML on everything, the embedding tables included.

The model is MeLU's; the difference is what adapts. No program of the author is known; the papers that compare
with it describe it this way (PNMTA, appendix C.2; CMML's released user-cold-start program).

A copy of every table for each task would be large and almost all of it idle: only rows that occur in the
support ever move. A step on a table $\theta$, whose rows are averaged by $m_j$ into the embedding $e_j =
m_j\theta$ of entry $j$, moves the embedding of any entry $i$ by $-\alpha\sum_j (m_i \cdot m_j)\,\partial
L/\partial e_j$. We carry the embeddings of the task's own entries and that overlap of their fields: the same
numbers as full tables, without one.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from torch.func import vmap

from metarec.layers.adaptation import (
    Params,
    Square,
    Update,
    adapt,
    first_layer,
    modulated_mlp,
    per_task,
    task_size,
)
from metarec.layers.mlp import mlp_params
from metarec.methods.base import Noise
from metarec.methods.melu import MeLU
from metarec.tasks.batch import Query, Support


class MetaCS(MeLU):
    """MeLU whose inner loop adapts the rows of the embedding tables too. Options as for MeLU."""

    pairs: ClassVar[bool] = True

    def scores(self, support: Support, query: Query, noise: Noise) -> Tensor:
        """Output of the adapted head on the adapted embeddings of the query, `[tasks, n_query]`."""
        x_support, x_query = self.inputs(support, query)
        size, loss = self.step_size(x_support, support), self.support_loss(support)
        slopes: dict[str, list[Tensor]] = {"item": [], "user": []}
        inside, across = self.overlaps(support, support), self.overlaps(query, support)

        def step(side: str) -> Update:
            def move(x: Tensor, slope: Tensor) -> Tensor:
                slopes[side].append(slope)
                return x - task_size(size, 3) * spread(inside[side], slope)

            return move

        def of_task(p: Params, mask: Tensor | None = None) -> Tensor:
            return loss(modulated_mlp(p, first_layer(p, (p["item"], p["user"]))), mask)

        def square(side: str) -> Square:
            return lambda slope: (slope * spread(inside[side], slope)).sum((-2, -1))

        state = per_task(mlp_params(self.head), len(support.item))
        p = adapt(
            of_task,
            state | {"item": x_support[0], "user": x_support[1]},
            steps=self.options.steps,
            lr=size,
            order=self.options.order,
            masks=self.step_masks(support, noise),
            update={"item": step("item"), "user": step("user")},
            max_step=self.options.inner_max_step,
            square={"item": square("item"), "user": square("user")},
        )
        x = [
            before - task_size(size, 3) * spread(across[side], torch.stack(slopes[side]).sum(0))
            for side, before in zip(("item", "user"), x_query, strict=True)
        ]
        return modulated_mlp(p, first_layer(p, x))

    def overlaps(self, left: Support | Query, right: Support | Query) -> dict[str, Tensor]:
        """Overlap of the items' and of the users' fields, each `[tasks, fields, n_left, n_right]`."""
        return {
            "item": self.encoder.item.overlap(left.item, right.item),
            "user": self.encoder.user.overlap(left.user, right.user),
        }

    def path(self, support: Support, query: Query) -> list[Params]:
        """Head and whole tables, a copy a task, before the first inner step and after each (small sets)."""
        tables, loss = self.encoder.tables(), self.support_loss(support)

        def scores(p: Params, user: Tensor, item: Tensor) -> Tensor:
            x = self.encoder.blocks(user, item, {name: p[name] for name in tables})
            return modulated_mlp(p, first_layer(p, x))

        def of_task(p: Params) -> Tensor:
            return loss(vmap(scores)(p, support.user, support.item), None)

        x_support, _ = self.inputs(support, query)
        start = per_task(tables | mlp_params(self.head), len(support.item))
        return self._path(of_task, start, support, x_support)


def spread(overlap: Tensor, slope: Tensor) -> Tensor:
    """Carry gradients of embeddings to all entries that share values: field by field, `overlap` times
    `slope`.

    `overlap` is `[tasks, fields, a, b]`, `slope` `[tasks, b, fields * d]`; the result is `[tasks, a, fields *
    d]`.
    """
    by_field = slope.unflatten(-1, (overlap.shape[-3], -1)).movedim(-2, -3)
    return (overlap @ by_field).movedim(-3, -2).flatten(-2)
