r"""MeLU, the meta-learned user preference estimator (Lee et al., KDD 2019): MAML on the decision layers.

A task is a user. Content embeddings make the interaction vector $x$, an MLP head scores it, and a few
gradient steps on the support adapt the head, and the head alone, to the user; the embeddings move in the
outer loop only.

The released program copies adapted weights by value, so no gradient passes through its inner step, and it
restores the shared ones before the outer backward pass: neither first- nor second-order MAML, and an error in
recent PyTorch. Here the order is an option and second order the default.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Generator, Tensor

from metarec.data.schema import Schema
from metarec.layers.adaptation import (
    Order,
    Params,
    adapt_mlp,
    adapt_path,
    first_layer,
    modulated_mlp,
    per_task,
    pointwise_loss,
    step_masks,
)
from metarec.layers.embedding import Blocks, PairEncoder
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.mlp import MLP, mlp_params
from metarec.layers.modulators import Modulate
from metarec.methods.base import Method, Noise, Stable, Stage, Terms, options_from, to_width
from metarec.tasks.batch import Query, Support, TaskBatch


@dataclass(frozen=True)
class MeLUOptions(Stable):
    """Sizes, the inner loop and the outer loop.

    `d` is the size of each field's embedding and `hidden` the widths of the head. The inner loop takes
    `steps` steps of size `inner_lr` on the whole support, or on `inner_batch` draws from it a step. Step
    sizes and epochs are those of the re-implementation that CMML compares with; see `RELEASED` for MeLU's
    own. `start` multiplies the starting values of the tables.
    """

    d: int = 32
    hidden: tuple[int, ...] = (64, 64)
    steps: int = 5
    inner_lr: float = 0.01
    inner_batch: int | None = None
    order: Order = "second"
    epochs: int = 30
    batch: int = 32
    lr: float = 3e-4
    window: int = 1
    start: float = 1.0


# Defaults of MeLU's released program: its inner step is too small to change a prediction.
RELEASED: dict[str, Any] = {"steps": 1, "inner_lr": 5e-6, "lr": 5e-5, "epochs": 20}


class MeLU(Method):
    """Content encoder and a head that adapts to each user by gradient steps on its support."""

    per_replica: tuple[str, ...] = ("inner_lr", *BUFFERS)
    Options: ClassVar[type[MeLUOptions]] = MeLUOptions
    pairs: ClassVar[bool] = False

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o = options_from(self.Options, options, type(self).__name__)
        self.options: Any = o
        self.kind = schema.kind
        self.encoder = PairEncoder(schema, o.d, pairs=self.pairs, start=o.start)
        self.head = MLP((self.encoder.d_out, *o.hidden, 1))
        self.inner_lr: Tensor
        self.register_buffer("inner_lr", torch.tensor(o.inner_lr, dtype=torch.float64))
        self.scale = LabelScale(o.standardise and self.kind == "explicit")

    def stages(self) -> tuple[Stage, ...]:
        o = self.options
        return (
            Stage(
                "meta-train",
                epochs=o.epochs,
                batch=o.batch,
                lr=o.lr,
                window=o.window,
                max_norm=o.max_norm,
            ),
        )

    def draw(self, batch: TaskBatch, generator: Generator) -> Noise:
        return self._draw(batch.support, generator)

    def draw_predict(self, support: Support, query: Query, generator: Generator) -> Noise:
        return self._draw(support, generator)

    def resize(self, noise: Noise, support: int, query: int, full_support: int) -> Noise:
        return {name: to_width(value, support) for name, value in noise.items()}

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`query`: mean over tasks of the loss on the query after the inner loop."""
        scores = self.scores(batch.support, batch.query, noise)
        labels = self.scale.standard(batch.query_labels)
        return {"query": pointwise_loss(self.kind, scores, labels, batch.query.mask).mean()}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Predicted labels `[tasks, n_query]`; for implicit labels the probability of a 1."""
        scores = self.scores(support, query, noise or {})
        return torch.sigmoid(scores) if self.kind == "implicit" else self.scale.rating(scores)

    def scores(self, support: Support, query: Query, noise: Noise) -> Tensor:
        """Output of the adapted head on the query, `[tasks, n_query]`."""
        x_support, x_query = self.inputs(support, query)
        return adapt_mlp(
            mlp_params(self.head),
            x_support,
            x_query,
            self.support_loss(support),
            steps=self.options.steps,
            lr=self.step_size(x_support, support),
            order=self.options.order,
            masks=self.step_masks(support, noise),
            modulate=self.condition(x_support, x_query, support, query),
            max_step=self.options.inner_max_step,
        )

    def inputs(self, support: Support, query: Query) -> tuple[Blocks, Blocks]:
        """Interaction vectors of support and query, in an item's and a user's block."""
        tables, n = self.tables(), support.item.shape[-1]
        items = self.encoder.items(torch.cat([support.item, query.item], -1), tables)
        users = self.encoder.users(support.user, tables), self.encoder.users(query.user, tables)
        return (items[..., :n, :], users[0]), (items[..., n:, :], users[1])

    def tables(self) -> Mapping[str, Tensor] | None:
        """The tables of the encoder as a task sees them; None for the encoder's own."""
        return None

    def condition(
        self, x_support: Blocks, x_query: Blocks, support: Support, query: Query
    ) -> Modulate | None:
        """What modulates the hidden layers of the head before they adapt; MeLU has nothing."""
        return None

    def step_size(self, x_support: Blocks, support: Support) -> Tensor:
        """The size of the inner steps, one number or `[tasks]`."""
        return self.inner_lr

    def support_loss(self, support: Support) -> Callable[[Tensor, Tensor | None], Tensor]:
        """The loss of each task on scores of its support, over all of it or over a mini-batch mask."""
        labels = self.scale.standard(support.labels)

        def loss(scores: Tensor, mask: Tensor | None) -> Tensor:
            return pointwise_loss(self.kind, scores, labels, support.mask if mask is None else mask)

        return loss

    def step_masks(self, support: Support, noise: Noise) -> Tensor | None:
        """Mini-batches of the inner steps, `[steps, tasks, n_support]`; None for the whole support."""
        if "inner" not in noise:
            return None
        return step_masks(noise["inner"], support.mask, self.options.inner_batch)

    def path(self, support: Support, query: Query) -> list[Params]:
        """What adapts, before the first inner step and after each, as stacks `[tasks, ...]` to look at."""
        x_support, x_query = self.inputs(support, query)
        loss = self.support_loss(support)
        modulate = self.condition(x_support, x_query, support, query)

        def of_weights(p: Params) -> Tensor:
            return loss(modulated_mlp(p, first_layer(p, x_support), modulate), None)

        return self._path(of_weights, per_task(mlp_params(self.head), len(support.item)), support, x_support)

    def _path(
        self, loss: Callable[[Params], Tensor], start: Params, support: Support, x_support: Blocks
    ) -> list[Params]:
        o, lr = self.options, self.step_size(x_support, support)
        return adapt_path(loss, start, steps=o.steps, lr=lr, order=o.order, max_step=o.inner_max_step)

    def _draw(self, support: Support, generator: Generator) -> Noise:
        if self.options.inner_batch is None:
            return {}
        *tasks, n = support.mask.shape
        shape = (*tasks, self.options.steps, n)
        return {"inner": torch.rand(shape, generator=generator, device=generator.device)}
