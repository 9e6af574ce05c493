r"""Meta-Embedding (Pan et al., SIGIR 2019) for new users: a generator of the id embedding that is missing.

The base model scores the vector $[\varphi_u | v_i | c_u]$ of a user's identity, the item's fields and the
user's fields. Stage 1 trains it on single interactions of the training users, with a learned $\varphi_u$
each. Stage 2 freezes all of it and trains a generator

    phi_u = h_w(c_u) = 0.2 tanh(W c_u),

such that $\varphi_u$ serves at once and after $k$ steps on the support $S_u$ alike:

    phi_u' = phi_u - eta grad L(S_u; phi_u)    (k times),
    minimise over W    a L(S_u; phi_u) + (1 - a) L(Q_u; phi_u').

A new user gets $\varphi_u$ from the generator and $\varphi_u'$ from its support; nothing else moves.

The paper generates embeddings of new *items* (ads) and PNMTA's comparison those of users, as here; where the
original has two mini-batches of an item, we have support and query. The released notebook generates one
embedding a *row* and steps it on that row's share of the batch loss: a step of $\eta$ / batch size on one
interaction. The algorithm printed, and this code, have one $\varphi_u$ a user and the mean gradient over its
support. At test the notebook goes on with one step of Adam a mini-batch; here prediction does what
meta-training did.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.adaptation import Order, Params, adapt, modulated_mlp, pointwise_loss
from metarec.layers.embedding import FieldEmbedding, side_fields
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.mlp import MLP, mlp_params
from metarec.methods.base import Method, Noise, Stable, Stage, Terms, options_from
from metarec.tasks.batch import Query, RowBatch, Support, TaskBatch


@dataclass(frozen=True)
class MetaEmbOptions(Stable):
    """Sizes, pretraining, generator, inner loop and outer loop.

    `d` is the size of each field's embedding and of $\\varphi$. `alpha` weighs the support loss before
    against the query loss after adaptation; 0.1 and `scale` (0.2) are the released ones, which also has
    `inner_lr` 1e-4 and one step. `epochs`, `batch` and `lr` are those of stage 2.
    """

    d: int = 32
    hidden: tuple[int, ...] = (64, 64)
    pretrain_epochs: int = 20
    pretrain_batch: int = 1024
    pretrain_lr: float = 1e-3
    scale: float = 0.2
    alpha: float = 0.1
    steps: int = 5
    inner_lr: float = 0.01
    order: Order = "second"
    epochs: int = 30
    batch: int = 32
    lr: float = 1e-3
    window: int = 1


class MetaEmb(Method):
    """A frozen predictor, and the one vector of it that is generated for each user and adapts.

    Without user fields the generator has a constant input: it learns one shared start for all new users.
    """

    Options = MetaEmbOptions
    per_replica = ("inner_lr", *BUFFERS)

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o: MetaEmbOptions = options_from(MetaEmbOptions, options, "MetaEmb")
        self.options, self.kind = o, schema.kind
        self.item = FieldEmbedding(side_fields(schema, "item"), o.d)
        self.user = FieldEmbedding(schema.user_fields, o.d) if schema.user_fields else None
        d_user = 0 if self.user is None else self.user.d_out
        self.identity = nn.Parameter(0.01 * torch.randn(schema.n_users, o.d))
        self.predictor = MLP((o.d + self.item.d_out + d_user, *o.hidden, 1))
        self.generator = nn.Linear(max(d_user, 1), o.d, bias=False)
        self.inner_lr: Tensor
        self.register_buffer("inner_lr", torch.tensor(o.inner_lr, dtype=torch.float64))
        self.scale = LabelScale(o.standardise and self.kind == "explicit")

    def stages(self) -> tuple[Stage, ...]:
        """Everything but the generator on rows; then the generator, and nothing else, on tasks."""
        o = self.options
        base = ("identity", "item.", "user.", "predictor.")
        pretrain = Stage(
            "pretrain",
            terms="pretrain_terms",
            unit="rows",
            epochs=o.pretrain_epochs,
            batch=o.pretrain_batch,
            lr=o.pretrain_lr,
            trained=base,
        )
        meta = Stage(
            "meta-train",
            epochs=o.epochs,
            batch=o.batch,
            lr=o.lr,
            trained=("generator.",),
            window=o.window,
            max_norm=o.max_norm,
        )
        return pretrain, meta

    def pretrain_terms(self, rows: RowBatch) -> Terms:
        """`pretrain`: mean loss of single interactions with the learned identity of their users."""
        first = self.first_layer(rows.user, rows.item) + self.identity_part(self.identity[rows.user])
        every = torch.ones_like(rows.labels, dtype=torch.bool)
        labels = self.scale.standard(rows.labels)
        return {"pretrain": pointwise_loss(self.kind, self.behind(first), labels, every)}

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """Means over tasks: `support`, alpha times the loss before adapting; `query`, 1 - alpha times that
        after.
        """
        alpha, support = self.options.alpha, batch.support
        phi, first = self.generate(support), self.first_layer(support.user, support.item)
        scores = self.scores(self.adapted(phi, first, support), batch.query)
        labels = self.scale.standard(batch.query_labels)
        after = pointwise_loss(self.kind, scores, labels, batch.query.mask)
        before = self.support_loss(phi, first, support)
        return {"support": alpha * before.mean(), "query": (1 - alpha) * after.mean()}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Predicted labels `[tasks, n_query]`; for implicit labels the probability of a 1."""
        first = self.first_layer(support.user, support.item)
        scores = self.scores(self.adapted(self.generate(support), first, support), query)
        return torch.sigmoid(scores) if self.kind == "implicit" else self.scale.rating(scores)

    def generate(self, support: Support) -> Tensor:
        r"""$\varphi_u = s \tanh(W c_u)$ of each user, `[tasks, d]`, from its fields alone."""
        if support.user.shape[-1] != 1:
            raise ProtocolError("MetaEmb generates one embedding a user; give it tasks of one user each.")
        if self.user is None:
            content = self.generator.weight.new_ones((*support.user.shape[:-1], 1))
        else:
            content = self.user(support.user).squeeze(-2)
        return self.options.scale * torch.tanh(self.generator(content))

    def adapted(self, phi: Tensor, first: Tensor, support: Support) -> Tensor:
        r"""$\varphi_u'$ after the steps on the support, `[tasks, d]`; `first` as for `support_loss`."""
        o = self.options

        def loss(p: Params) -> Tensor:
            return self.support_loss(p["phi"], first, support)

        adapted = adapt(
            loss,
            {"phi": phi},
            steps=o.steps,
            lr=self.inner_lr,
            order=o.order,
            max_step=o.inner_max_step,
        )
        return adapted["phi"]

    def support_loss(self, phi: Tensor, first: Tensor, support: Support) -> Tensor:
        """Loss of each task on its support, `[tasks]`, `first` being that support's `first_layer`."""
        scores = self.behind(first + self.identity_part(phi).unsqueeze(-2))
        labels = self.scale.standard(support.labels)
        return pointwise_loss(self.kind, scores, labels, support.mask)

    def scores(self, phi: Tensor, query: Query) -> Tensor:
        """Scores `[tasks, n]` of users with identities `phi` `[tasks, d]`."""
        first = self.first_layer(query.user, query.item)
        return self.behind(first + self.identity_part(phi).unsqueeze(-2))

    def first_layer(self, user: Tensor, item: Tensor) -> Tensor:
        """The first layer's pre-activations `[..., hidden]` of items and user fields, without the identity.

        The identity enters them as one more summand (`identity_part`), so they are computed once a task
        however many steps it takes.
        """
        params, d = mlp_params(self.predictor), self.options.d
        weight, items = params["0.weight"], self.item(item)
        first = F.linear(items, weight[:, d : d + items.shape[-1]], params["0.bias"])
        if self.user is None:
            return first
        return first + F.linear(self.user(user), weight[:, d + items.shape[-1] :])

    def identity_part(self, phi: Tensor) -> Tensor:
        r"""What $\varphi$ `[..., d]` adds to the first layer, `[..., hidden]`."""
        return F.linear(phi, mlp_params(self.predictor)["0.weight"][:, : self.options.d])

    def behind(self, first: Tensor) -> Tensor:
        """The predictor from its first pre-activations on, `[..., hidden] -> [...]`."""
        return modulated_mlp(mlp_params(self.predictor), first)
