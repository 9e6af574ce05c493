"""The network without meta-learning: encoder and predictor fitted to single interactions, adapted to nobody.

A control of this project's own for PNMTA's section 1, which says that a model fed one user at a time learns
less than one fed shuffled interactions. `stream` is the only difference: a step takes the interactions of one
user, or as many (the mean over users, rounded down) drawn without regard to the user. So both streams see
every training interaction once an epoch, in equally many steps but for rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from metarec.data.schema import Schema
from metarec.layers.adaptation import pointwise_loss
from metarec.layers.embedding import PairEncoder
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.mlp import MLP
from metarec.layers.pooling import masked_average
from metarec.methods.base import Method, Noise, Stage, Terms, options_from
from metarec.tasks.batch import Query, RowBatch, Support, TaskBatch
from metarec.tasks.episodes import Episodes


@dataclass(frozen=True)
class PlainOptions:
    """Sizes as in `MeLUOptions`, epochs, the step size of Adam, the stream of interactions, and whether to
    train on standardised labels (`layers.labels`).
    """

    d: int = 32
    hidden: tuple[int, ...] = (64, 64)
    stream: Literal["shuffled", "users"] = "shuffled"
    epochs: int = 10
    lr: float = 1e-3
    standardise: bool = False


class Plain(Method):
    r"""$\hat y = P(E(x))$, eq-pnmta-3, by plain stochastic gradients."""

    Options = PlainOptions
    per_replica = BUFFERS

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o = options_from(PlainOptions, options, type(self).__name__)
        self.options: PlainOptions = o
        self.kind = schema.kind
        self.encoder = PairEncoder(schema, o.d)
        self.head = MLP((self.encoder.d_out, *o.hidden, 1))
        self.rows = 0
        self.scale = LabelScale(o.standardise and self.kind == "explicit")

    def fit(self, train: Episodes) -> None:
        """Rows of a step of the shuffled stream, as many as a training user has on average; the scale of
        labels.
        """
        super().fit(train)
        self.rows = int(train.offsets[-1]) // len(train)

    def stages(self) -> tuple[Stage, ...]:
        """Training on one stream, and a pass with step size 0 that measures the error on training users."""
        o = self.options
        train = Stage("train", "row_terms", "rows", epochs=o.epochs, batch=self.rows, lr=o.lr)
        if o.stream == "users":
            train = Stage("train", epochs=o.epochs, batch=1, lr=o.lr)
        return (train, Stage("measure", "training_error", epochs=1, lr=0.0))

    def row_terms(self, rows: RowBatch) -> Terms:
        """`loss`: mean over the rows of a step of the loss of a row."""
        every = torch.ones_like(rows.labels, dtype=torch.bool)
        labels = self.scale.standard(rows.labels)
        return {"loss": pointwise_loss(self.kind, self._scores(rows.user, rows.item), labels, every)}

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`loss`: the same over all interactions of the user of a step, support and query alike."""
        support, query = batch.support, batch.query
        scores = self._scores(support.user[..., :1], torch.cat([support.item, query.item], -1))
        labels = self.scale.standard(torch.cat([support.labels, batch.query_labels], -1))
        mask = torch.cat([support.mask, query.mask], -1)
        return {"loss": pointwise_loss(self.kind, scores, labels, mask).mean()}

    def training_error(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`train MAE`: mean over training users of the mean absolute error on their query."""
        found = self.predict(batch.support, batch.query)
        return {"train MAE": masked_average((found - batch.query_labels).abs(), batch.query.mask).mean()}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Predicted labels `[tasks, n_query]`, the same whatever the support says."""
        scores = self._scores(query.user, query.item)
        return torch.sigmoid(scores) if self.kind == "implicit" else self.scale.rating(scores)

    def _scores(self, user: Tensor, item: Tensor) -> Tensor:
        scores: Tensor = self.head(self.encoder(user, item)).squeeze(-1)
        return scores
