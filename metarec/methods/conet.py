r"""CoNet (Hu et al., CIKM 2018), in the version whose numbers s2Meta and CMML print.

Two MLPs, of the target domain (the scenario) and of a source domain that its users are known from, read the
same user vector and exchange what they have found: $a_t' = \mathrm{ReLU}(W_t a_t + b_t + H a_s)$ and likewise
$a_s'$, with one matrix $H$ a layer for both ways. No training task is used: for each scenario the network is
trained from a random start on the support alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from metarec.data.schema import Schema
from metarec.layers.adaptation import Params, per_task, pointwise_loss, tune
from metarec.layers.embedding import joined
from metarec.layers.mlp import task_linear
from metarec.layers.vectors import FrozenVectors, PairVectors
from metarec.methods.base import Method, Noise, Stage, options_from, to_width
from metarec.tasks.batch import Query, Support

SOURCE = "source"  # the field of users that holds their items of the source domain


@dataclass(frozen=True)
class CoNetOptions:
    """Hidden widths of both MLPs, the weight of the L1 penalty on every $H$, and training on a support.

    The papers give no number of steps for these data; `steps` is ours. `max_value` clamps every entry of a
    gradient, as released.
    """

    hidden: tuple[int, ...] = (64, 32, 16, 8)
    sparse: float = 0.01
    steps: int = 100
    lr: float = 1e-3
    max_value: float = 0.25
    d: int = 32


class CoNet(Method):
    """Two crossed MLPs for each task; both are trained when the task is met.

    The source domain is a multi-valued field `source` of the users: items each has there, its vocabulary
    holding their ids in the table of item vectors. A user without any, and every user of a schema without the
    field, has a vector of zeros there, as released. The released program pairs each interaction with a random
    source item of its user, in training and again at test; without `noise` it is the middle one here. The
    source entry of a positive counts as a positive; the released program's source negatives are not known to
    us, so a negative of the target has none.
    """

    Options = CoNetOptions

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o: CoNetOptions = options_from(CoNetOptions, options, "CoNet")
        self.options, self.kind = o, schema.kind
        self.vectors = PairVectors(schema, o.d)
        field = next((f for f in schema.user_fields if f.name == SOURCE), None)
        self.has_source = field is not None and isinstance(self.vectors.item, FrozenVectors)
        self.source: Tensor
        if field is not None and self.has_source:
            ids = field.vocabulary.astype("int64")
            self.register_buffer("source", torch.as_tensor(ids[field.values]), persistent=False)
            self.register_buffer("owned", torch.as_tensor(field.values >= 0).sum(-1), persistent=False)
        sizes = (self.vectors.d_out, *o.hidden)
        for side in ("target", "with_source"):
            setattr(self, side, nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((*sizes, 1))))
        self.exchange = nn.ParameterList(
            nn.init.xavier_uniform_(torch.empty(b, a)) for a, b in pairwise(sizes)
        )

    def stages(self) -> tuple[Stage, ...]:
        return ()

    def draw_predict(self, support: Support, query: Query, generator: Generator) -> Noise:
        """Uniform shares that choose a source item for each entry of support and query."""
        shapes = {"support": support.mask.shape, "query": query.mask.shape}
        return {
            name: torch.rand(shape, generator=generator, device=generator.device)
            for name, shape in shapes.items()
        }

    def resize(self, noise: Noise, support: int, query: int, full_support: int) -> Noise:
        widths = {"support": support, "query": query}
        return {name: to_width(value, widths[name]) for name, value in noise.items()}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Logits, or ratings, `[tasks, n_query]`, after training on each support."""
        o = self.options
        shares: Mapping[str, Tensor | float] = noise or {"support": 0.5, "query": 0.5}
        both, known = self.inputs(Query(*support[:3]), shares["support"])
        in_source = known & (support.labels > 0) & support.mask

        def loss(p: Params) -> Tensor:
            target, source = self.network(p, *both)
            fit = pointwise_loss(self.kind, target, support.labels, support.mask)
            other = pointwise_loss("implicit", source, torch.ones_like(source), in_source)
            penalty = sum(v.abs().flatten(1).sum(-1) for k, v in p.items() if k.startswith("exchange"))
            return fit + other + o.sparse * penalty

        start = per_task(self.weights(), len(support.item))
        tuned = tune(loss, start, steps=o.steps, lr=o.lr, max_value=o.max_value)
        return self.network(tuned, *self.inputs(query, shares["query"])[0])[0]

    def inputs(self, entries: Query, share: Tensor | float) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Vectors of the target pairs and of the source pairs, `[tasks, n, d_x]`; which source is known."""
        user, item = self.vectors.user(entries.user), self.vectors.item(entries.item)
        known = torch.zeros_like(entries.mask)
        other = torch.zeros_like(item)
        if self.has_source:
            who = entries.user.expand_as(entries.item)
            count = self.get_buffer("owned")[who]
            place = (share * count).long().clamp(max=self.source.shape[-1] - 1)
            known = count > 0
            chosen = self.source[who, place]
            other = torch.where(known.unsqueeze(-1), self.vectors.item(torch.where(known, chosen, 0)), 0.0)
        return (joined([user, item]), joined([user, other])), known

    def weights(self) -> Params:
        """All parameters but the embeddings, by name."""
        return {
            name: p for name, p in self.named_parameters() if name.startswith(("target", "with", "exchange"))
        }

    def network(self, p: Params, target: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs of both MLPs `[tasks, n]`; they exchange on the way into every hidden layer."""

        def layer(side: str, x: Tensor, index: int) -> Tensor:
            return task_linear(x, p[f"{side}.{index}.weight"], p[f"{side}.{index}.bias"])

        for index in range(len(self.options.hidden)):
            matrix = p[f"exchange.{index}"]
            target, source = (
                F.relu(layer("target", target, index) + task_linear(source, matrix, None)),
                F.relu(layer("with_source", source, index) + task_linear(target, matrix, None)),
            )
        last = len(self.options.hidden)
        return layer("target", target, last).squeeze(-1), layer("with_source", source, last).squeeze(-1)
