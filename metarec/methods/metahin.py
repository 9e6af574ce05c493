r"""MetaHIN (Lu et al., KDD 2020): MAML on two levels, over meta-paths and over the task.

A task is a user. The user is what the neighbours of its items say (`metarec.layers.metapaths`): along each
path $p$ the mean vector $\bar e_p$ of the neighbours gives a context, and the scorer reads an item beside it:

    x_p = LeakyReLU(W_n e_p + b_n),     y = scorer([e_i | x_p]).

*Co-adaptation*, for every path at once:

1. semantic step: $W_n, b_n$ descend the support loss of the scorer as it is; contexts are taken anew;
2. the scorer's start is transformed by the context: $\omega_p = \omega \odot \sigma(G \bar x_p)$, a gate for
   each weight, $\bar x_p$ the mean context of the support;
3. task step: $\omega_p$ descends the support loss.

Then paths are weighed, $a = softmax_p(-L_p)$, held constant, and the query is scored by the mean scorer
$\sum_p a_p \omega_p'$ on the mean context $\sum_p a_p x_p$. Both losses are squared errors of one support.

The released program takes $L_p$ from the *query*, at test too: labels that are to be predicted choose the
weights of the paths. Here $L_p$ is the loss on the support after the task step. It also drops every task of
more than five support ratings, ignores the fields of the user, and pools the neighbours of all rows into one
context a task (`pool="task"`; one a row, as printed, is `pool="item"`). Its contexts of the query are pooled
over the whole query, so an item's score depends on the other items asked for, though on no label.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.adaptation import Order, Params, adapt, modulated_mlp, pointwise_loss
from metarec.layers.embedding import FieldEmbedding
from metarec.layers.labels import LabelScale
from metarec.layers.metapaths import MetaPaths, Neighbours
from metarec.layers.mlp import MLP, mlp_params, task_linear
from metarec.layers.pooling import masked_mean
from metarec.methods.base import Method, Noise, Stable, Stage, Terms, options_from
from metarec.tasks.batch import Query, Support, TaskBatch
from metarec.tasks.episodes import Episodes


@dataclass(frozen=True)
class MetaHINOptions(Stable):
    """Sizes, paths, and the three loops. Steps, step sizes and `d_context` are the released ones.

    `attributes` are the item fields that paths lead through; by default the two with most values, which are
    actor and director of MovieLens and author and publisher of Book-Crossing.
    """

    d: int = 32
    d_context: int = 32
    hidden: tuple[int, ...] = (64, 64)
    attributes: tuple[str, ...] | None = None
    pool: Literal["task", "item"] = "task"
    semantic_steps: int = 1
    semantic_lr: float = 5e-3
    steps: int = 1
    inner_lr: float = 5e-3
    order: Order = "second"
    epochs: int = 30
    batch: int = 32
    lr: float = 5e-4
    window: int = 1


class Side(NamedTuple):
    """Item vectors `[tasks, n, d_i]`; means of their neighbours `[tasks, paths, n, d_i]`, or one for all."""

    items: Tensor
    means: Tensor


class Scorer(NamedTuple):
    r"""A scorer for each task and path, `[tasks, paths, ...]`, the columns of its first layer in two parts.

    `rest["0.weight"]` are those for the context. Those for the item are $C - D^\top X$ with `start` $C$
    `[..., d_hidden, d_i]`, `moved` $D$ `[..., n_support, d_hidden]` and `rows` $X$ `[tasks, 1, n_support,
    d_i]`, the support's items; multiplied out they would be by far the largest tensor of a task.
    """

    rest: Params
    start: Tensor
    moved: Tensor
    rows: Tensor


class Adapted(NamedTuple):
    """What co-adaptation leaves: context layer and scorer, and the weights of the paths `[tasks, paths]`."""

    context: Params
    scorer: Scorer
    weights: Tensor


class MetaHIN(Method):
    """Meta-path contexts, a gated scorer, and co-adaptation. Needs item fields.

    The graph is that of one split, so replicas, each with a split of its own, cannot be stacked.
    """

    Options = MetaHINOptions
    replicable = False

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o: MetaHINOptions = options_from(MetaHINOptions, options, "MetaHIN")
        if not schema.item_fields:
            raise ProtocolError("MetaHIN draws meta-paths through item fields; use a data set that has some.")
        self.options, self.kind = o, schema.kind
        self.n_items = schema.n_items
        self.item = FieldEmbedding(schema.item_fields, o.d)
        self.paths = MetaPaths(schema, _most_valued(schema) if o.attributes is None else tuple(o.attributes))
        d_i = self.item.d_out
        self.context = nn.Linear(d_i, o.d_context)
        self.scorer = MLP((d_i + o.d_context, *o.hidden, 1))
        self.shapes = {name: p.shape for name, p in mlp_params(self.scorer).items()}
        self.scale = LabelScale(o.standardise and self.kind == "explicit")
        self.gate = nn.Linear(o.d_context, sum(shape.numel() for shape in self.shapes.values()))

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

    def fit(self, train: Episodes) -> None:
        """The scale of the training labels, and the graph's links between users and items: supports of
        training users, no query.
        """
        super().fit(train)
        self.paths.fit(train)

    def pools_query(self) -> str:
        """One context of all rows of a task, the query's with them."""
        return "pool='item'" if self.options.pool == "task" else ""

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`query`: mean over tasks of the loss on the query after co-adaptation."""
        scores = self.scores(batch.support, batch.query)
        labels = self.scale.standard(batch.query_labels)
        return {"query": pointwise_loss(self.kind, scores, labels, batch.query.mask).mean()}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Predicted labels `[tasks, n_query]`; for implicit labels the probability of a 1."""
        scores = self.scores(support, query)
        return torch.sigmoid(scores) if self.kind == "implicit" else self.scale.rating(scores)

    def describe(self, support: Support) -> dict[str, Tensor]:
        """The weight of each path, `[tasks]`, by name."""
        side, _ = self.sides(support, Query(support.user, support.item, support.mask))
        weights = self.adapted(side, support).weights
        return {f"weight {name}": weights[..., p] for p, name in enumerate(self.paths.names)}

    def scores(self, support: Support, query: Query) -> Tensor:
        """Scores of the mean scorer on the mean context, `[tasks, n_query]`."""
        side, asked = self.sides(support, query)
        adapted = self.adapted(side, support)

        def mean(t: Tensor) -> Tensor:
            return torch.einsum("tp,tp...->t...", adapted.weights, t)

        rest, start, moved, rows = adapted.scorer
        items = task_linear(asked.items, mean(start), None)
        items = items - asked.items @ rows.squeeze(-3).mT @ mean(moved)
        context = mean(in_context(adapted.context, asked.means))
        return score({name: mean(p) for name, p in rest.items()}, items, context)

    def sides(self, support: Support, query: Query) -> tuple[Side, Side]:
        """Items and pooled neighbours of the support and of the query."""
        if support.user.shape[-1] != 1:
            raise ProtocolError("MetaHIN takes the support as links of one user; give it such tasks.")
        vectors = self.item(torch.arange(self.n_items, device=support.item.device))
        of_support, of_query = self.paths(vectors, support, query)
        return (
            Side(F.embedding(support.item, vectors), self.pooled(of_support, support.mask)),
            Side(F.embedding(query.item, vectors), self.pooled(of_query, query.mask)),
        )

    def pooled(self, paths: list[Neighbours], mask: Tensor) -> Tensor:
        """Mean vectors of neighbours `[tasks, paths, n, d_i]`, or `[tasks, paths, 1, d_i]` over all rows."""
        if self.options.pool == "item":
            means = [p.total / p.number.clamp(min=1).unsqueeze(-1) for p in paths]
        else:
            kept = mask.to(paths[0].total.dtype).unsqueeze(-2)
            numbers = [(kept * p.number.unsqueeze(-2)).sum(-1, keepdim=True) for p in paths]
            means = [kept @ p.total / number.clamp(min=1) for p, number in zip(paths, numbers, strict=True)]
        return torch.stack(means, -3)

    def adapted(self, side: Side, support: Support) -> Adapted:
        """Co-adaptation to the support, all tasks and paths at once."""
        o, means = self.options, side.means
        labels = self.scale.standard(support.labels).unsqueeze(-2)
        mask = support.mask.unsqueeze(-2)

        def loss(scorer: Mapping[str, Tensor], items: Tensor, context: Tensor) -> Tensor:
            return pointwise_loss(self.kind, score(scorer, items, context), labels, mask)

        shared, columns = self._halved(mlp_params(self.scorer))
        items = task_linear(side.items, columns, None).unsqueeze(-3)
        start = {"weight": self.context.weight, "bias": self.context.bias}
        context = adapt(
            lambda p: loss(shared, items, in_context(p, means)),
            {name: p.expand(*means.shape[:-2], *p.shape) for name, p in start.items()},
            steps=o.semantic_steps,
            lr=o.semantic_lr,
            order=o.order,
            max_step=o.inner_max_step,
            axes=2,
        )
        x = in_context(context, means)
        gated, columns = self._halved(self.gated(x, mask))
        scorer, items = self._task_step(gated, columns, side.items.unsqueeze(-3), lambda p, i: loss(p, i, x))
        weights = torch.softmax(-loss(scorer.rest, items, x), -1).detach()
        return Adapted(context, scorer, weights)

    def _task_step(
        self, params: Params, columns: Tensor, x: Tensor, loss: Callable[[Params, Tensor], Tensor]
    ) -> tuple[Scorer, Tensor]:
        r"""Descend the loss of the support; returns also what the first layer makes of its items `x`.

        The gradient of the item columns is $\Delta^\top X$ with $\Delta$ that of their outputs
        `[..., n, d_hidden]`. A step moves the outputs by $-\alpha X X^\top \Delta$, so no copy of the columns
        has to be moved (as in `adaptation.adapt_mlp`).
        """
        o = self.options
        # A first-order step is a constant: only the rows that it multiplies carry gradients.
        rows = x.detach() if o.order == "first" else x
        gram = x @ rows.mT
        inside, fixed = o.inner_lr * gram, gram.detach() if o.order == "first" else gram
        deltas: list[Tensor] = []

        def step(outputs: Tensor, delta: Tensor) -> Tensor:
            deltas.append(delta)
            return outputs - inside @ delta

        adapted = adapt(
            lambda p: loss(p, p["items"]),
            params | {"items": task_linear(x, columns, None)},
            steps=o.steps,
            lr=o.inner_lr,
            order=o.order,
            update={"items": step},
            max_step=o.inner_max_step,
            square={"items": lambda delta: (delta * (fixed @ delta)).sum((-2, -1))},
            axes=2,
        )
        items = adapted.pop("items")
        moved = o.inner_lr * torch.stack(deltas).sum(0) if deltas else torch.zeros_like(items)
        return Scorer(adapted, columns, moved, rows), items

    def _halved(self, scorer: Params) -> tuple[Params, Tensor]:
        """The scorer with the columns of its first layer for the context, and those for the item."""
        d_i, d_context = self.item.d_out, self.options.d_context
        columns, rest = scorer["0.weight"].split([d_i, d_context], -1)
        return scorer | {"0.weight": rest}, columns

    def gated(self, x: Tensor, mask: Tensor) -> Params:
        r"""$\omega_p = \omega \odot \sigma(G \bar x_p)$ for contexts `x` `[tasks, paths, n, d_context]`."""
        mean = masked_mean(x, mask.expand(x.shape[:-1])) if self.options.pool == "item" else x.squeeze(-2)
        gates = torch.sigmoid(self.gate(mean)).split([s.numel() for s in self.shapes.values()], -1)
        named = mlp_params(self.scorer)
        return {
            name: named[name] * gate.reshape(*gate.shape[:-1], *shape)
            for (name, shape), gate in zip(self.shapes.items(), gates, strict=True)
        }


def in_context(params: Mapping[str, Tensor], means: Tensor) -> Tensor:
    r"""$x_p = LeakyReLU(W_n \bar e_p + b_n)$: `[..., n, d_i] -> [..., n, d_context]`."""
    return F.leaky_relu(task_linear(means, params["weight"], params["bias"]))


def score(params: Mapping[str, Tensor], items: Tensor, context: Tensor) -> Tensor:
    """Scores `[..., n]` from what the first layer makes of the items; `context` may be one for all rows."""
    return modulated_mlp(params, items + task_linear(context, params["0.weight"], params["0.bias"]))


def _most_valued(schema: Schema) -> tuple[str, ...]:
    """Names of the two item fields with most values."""
    return tuple(f.name for f in sorted(schema.item_fields, key=lambda f: -f.size)[:2])
