r"""DCN, the deep and cross network (Wang et al., ADKDD 2017): one model for all tasks, a baseline of CMML.

$x_{l+1} = x_0\,(x_l^\top w_l) + b_l + x_l$ beside an MLP on the same $x_0$, and a linear layer on both. It is
trained on the pooled training tasks and never looks at a support. CMML released the class alone, for its user
setting, and no training program; from it comes the linear map to 64 units in front.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.data.schema import Schema
from metarec.layers.adaptation import pointwise_loss
from metarec.layers.embedding import joined
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.mlp import MLP, mlp_params, task_linear, task_mlp
from metarec.layers.pairwise import hinge_loss
from metarec.layers.vectors import PairVectors
from metarec.methods.base import Method, Noise, Stage, Terms, options_from
from metarec.tasks.batch import Query, RowBatch, Support, TaskBatch


@dataclass(frozen=True)
class DCNOptions:
    """Sizes and training; defaults are what the paper prints for the scenario setting, `USER` for users.

    `width` is the size of $x_0$, `cross` the number of cross layers and `deep` the widths of the MLP. The
    released class has four cross layers where the paper says three, and draws their weights from N(0, 1),
    which makes its outputs explode at the start: `RELEASED`. Weights start here as Xavier's, biases at zero.
    A step takes `batch` scenarios and the pairs of their queries, `pairs` negatives after each positive, or
    `rows` single ratings.
    """

    width: int = 64
    cross: int = 3
    deep: tuple[int, ...] = (64, 64)
    start: Literal["xavier", "normal"] = "xavier"
    d: int = 32
    pairs: int = 1
    epochs: int = 450
    batch: int = 1
    rows: int = 128
    lr: float = 4e-7
    weight_decay: float = 1e-5
    standardise: bool = False


USER: dict[str, Any] = {"lr": 1e-3, "epochs": 30}
RELEASED: dict[str, Any] = {"cross": 4, "start": "normal"}


class DCN(Method):
    """Cross layers and an MLP on the vector of a pair."""

    Options: ClassVar[type[Any]] = DCNOptions
    per_replica = BUFFERS

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o = options_from(self.Options, options, type(self).__name__)
        self.options: Any = o
        self.kind = schema.kind
        self.vectors = PairVectors(schema, o.d)
        self.first = nn.Linear(self.vectors.d_out, o.width)
        self.deep = MLP((o.width, *o.deep))
        self.out = nn.Linear(o.width + o.deep[-1], 1)
        weight = torch.empty(o.cross, o.width)
        if o.start == "xavier":
            for row in weight:
                nn.init.xavier_uniform_(row.unsqueeze(0))
        self.cross_weight = nn.Parameter(weight if o.start == "xavier" else torch.randn(o.cross, o.width))
        bias = torch.zeros(o.cross, o.width) if o.start == "xavier" else torch.randn(o.cross, o.width)
        self.cross_bias = nn.Parameter(bias)
        self.scale = LabelScale(o.standardise and schema.kind == "explicit")

    def stages(self) -> tuple[Stage, ...]:
        o, pooled = self.options, self.kind == "explicit"
        return (
            Stage(
                "train",
                "row_terms" if pooled else "terms",
                "rows" if pooled else "tasks",
                epochs=o.epochs,
                batch=o.rows if pooled else o.batch,
                lr=o.lr,
                weight_decay=o.weight_decay,
            ),
        )

    def row_terms(self, rows: RowBatch) -> Terms:
        """`loss`: mean squared error of the ratings of a step."""
        x = joined(self.vectors(rows.user.unsqueeze(0), rows.item.unsqueeze(0)))
        labels = self.scale.standard(rows.labels.unsqueeze(0))
        every = torch.ones_like(labels, dtype=torch.bool)
        return {"loss": pointwise_loss("explicit", self.network(self.weights(), x), labels, every).mean()}

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """`loss`: mean over the scenarios of a step of the hinge loss on the pairs of their queries."""
        x = joined(self.vectors(batch.query.user, batch.query.item))
        scores = self.network(self.weights(), x)
        return {"loss": hinge_loss(scores, batch.query_labels, batch.query.mask, self.options.pairs).mean()}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Ratings, or scores that rank, `[tasks, n_query]`: the same whatever the support says."""
        return self.scale.rating(self.network(self.weights(), joined(self.vectors(query.user, query.item))))

    def weights(self) -> dict[str, Tensor]:
        """All parameters but the embeddings, by name."""
        own = {"cross.weight": self.cross_weight, "cross.bias": self.cross_bias}
        for name in ("first", "out"):
            layer = getattr(self, name)
            own |= {f"{name}.weight": layer.weight, f"{name}.bias": layer.bias}
        return own | mlp_params(self.deep, "deep.")

    def network(self, p: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """Scores `[tasks, n]` of `x` `[tasks, n, d_x]` under weights shared or with a task axis in front."""
        x0 = task_linear(x, p["first.weight"], p["first.bias"])
        deep = F.relu(task_mlp({k: v for k, v in p.items() if k.startswith("deep.")}, x0, "deep."))
        both = torch.cat([cross(x0, p["cross.weight"], p["cross.bias"]), deep], -1)
        return task_linear(both, p["out.weight"], p["out.bias"]).squeeze(-1)


def cross(x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    r"""$x_{l+1} = x_0\,(x_l^\top w_l) + b_l + x_l$, layer by layer.

    `x0` `[tasks, n, d]`, `weight` and `bias` `[layers, d]` or `[tasks, layers, d]`.
    """
    x = x0
    for w, b in zip(weight.unbind(-2), bias.unbind(-2), strict=True):
        x = x0 * (x * w.unsqueeze(-2)).sum(-1, keepdim=True) + b.unsqueeze(-2) + x
    return x
