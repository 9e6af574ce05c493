r"""TaNP, the task-adaptive neural process (Lin et al., WWW 2021, section 4).

A task is a user. An encoder maps the labelled interactions to a Gaussian over a latent $z$ (the stochastic
process of that user), a second encoder and a pool of cluster centres map the support to a task embedding
$o$, and $o$ modulates every hidden layer of the decoder that predicts from $[x | z]$. Implements eq-tanp-2.

Shapes: `x` `[tasks, n, d_x]`, `z` `[tasks, d_z]`, `o` `[tasks, d_task]`, assignments `c` `[tasks, k]`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from metarec.data.schema import Schema
from metarec.errors import ProtocolError
from metarec.layers.embedding import Blocks, PairEncoder
from metarec.layers.ids import Activation, IdEmbedding
from metarec.layers.labels import BUFFERS, LabelScale
from metarec.layers.mlp import MLP
from metarec.layers.modulation import FiLMDecoder, Modulation
from metarec.layers.pooling import masked_average, masked_mean
from metarec.methods.base import Method, Noise, Stage, Terms, options_from, to_width
from metarec.tasks.batch import Query, Support, TaskBatch


@dataclass(frozen=True)
class TaNPOptions:
    r"""Every place where paper and released code part, as a switch. Defaults are the released ones.

    Sizes are those of the authors' Last.FM run script. `temperature` is the degree of freedom alpha of
    eq-tanp-11, `cluster_weight` the lambda of eq-tanp-19, `clusters` the k of the pool. With
    `user_identity="shared"` all users have one identity, so that the labels of the support alone can tell
    them apart; with `own` (paper and code) a training user is also known by an embedding, and a test user
    brings one that was never trained. `embed="content"` makes an interaction of an embedding of size
    `d_field` for each field of user and item in place of the ids, as on MovieLens (section 5.1) and in
    PNMTA's comparison; `user_identity`, `embed_activation` and `embed_sizes` then mean nothing. `standardise`
    encodes and predicts ratings as $(y - \bar y) / s$ (`layers.labels`); paper and code take them raw.
    """

    variant: Modulation = "gating"
    pool: bool = True
    user_identity: Literal["own", "shared"] = "own"
    embed: Literal["ids", "content"] = "ids"
    d_field: int = 32
    embed_activation: Activation = "relu"
    embed_sizes: tuple[int, int] = (32, 16)
    latent_sizes: tuple[int, ...] = (32, 16, 32)
    d_posterior: int = 32
    d_z: int = 32
    task_sizes: tuple[int, ...] = (32, 32, 16)
    decoder_sizes: tuple[int, ...] = (32, 32, 16)
    clusters: int = 10
    temperature: float = 1.0
    squared: bool = False
    output_map: bool = False
    last_relu: bool = False
    sigma: Literal["log-variance", "log-sigma"] = "log-variance"
    likelihood: Literal["mse", "bce"] = "mse"
    cluster_target: Literal["released", "intended", "none"] = "released"
    detach_target: bool = True
    cluster_weight: float = 0.1
    target: Literal["random", "query"] = "random"
    context_min: int = 20
    sample_z: bool = True
    epochs: int = 150
    batch: int = 32
    lr: float = 1e-4
    window: int = 1
    standardise: bool = False


# What the paper prints where it differs from the released code (section 4 and 5.2.3).
PAPER: dict[str, Any] = {
    "embed_activation": "sigmoid",
    "embed_sizes": (32, 32),
    "squared": True,
    "output_map": True,
    "last_relu": True,
    "sigma": "log-sigma",
    "cluster_target": "intended",
    "target": "query",
    "lr": 5e-5,
}


class Regions(NamedTuple):
    """Masks `[tasks, n]` over a pooled task: for the prior, for the posterior, and for the prediction."""

    context: Tensor
    target: Tensor
    predicted: Tensor


class Customised(NamedTuple):
    """The customization module's output: task mean `t`, assignments `c` `[tasks, k]`, embedding `o`."""

    t: Tensor
    c: Tensor
    o: Tensor


class TaNP(Method):
    """The model with its three variants: `film`, `gating` and `none` (the ablation "w/o tm")."""

    Options = TaNPOptions
    per_replica = ("cluster_weight", *BUFFERS)
    penalties = ("kl", "cluster")

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        o: TaNPOptions = options_from(TaNPOptions, options, "TaNP")
        self.options = o
        d_x = self._make_embedding(schema)
        self.latent_encoder = MLP((d_x + 1, *o.latent_sizes), last_relu=o.last_relu)
        self.posterior_hidden = nn.Linear(o.latent_sizes[-1], o.d_posterior)
        self.posterior_mu = nn.Linear(o.d_posterior, o.d_z)
        self.posterior_s = nn.Linear(o.d_posterior, o.d_z)
        d_task = o.task_sizes[-1]
        if o.variant != "none":
            self.task_encoder = MLP((d_x + 1, *o.task_sizes), last_relu=o.last_relu)
            if o.pool:
                self.cluster_pool = nn.Parameter(nn.init.xavier_uniform_(torch.empty(o.clusters, d_task)))
            if o.output_map:
                self.output_map = nn.Linear(d_task, d_task, bias=False)
        widths = (d_x + o.d_z, *o.decoder_sizes)
        self.decoder = FiLMDecoder(widths, d_task, o.variant)
        self.decoder_out = nn.Linear(widths[-1], 1)
        self.cluster_weight: Tensor
        self.register_buffer("cluster_weight", torch.tensor(o.cluster_weight, dtype=torch.float64))
        self.scale = LabelScale(o.standardise and schema.kind == "explicit" and o.likelihood == "mse")

    def stages(self) -> tuple[Stage, ...]:
        o = self.options
        return (Stage("meta-train", epochs=o.epochs, batch=o.batch, lr=o.lr, window=o.window),)

    def _make_embedding(self, schema: Schema) -> int:
        """Give the model what embeds an interaction; returns $d_x$."""
        o = self.options
        if o.embed == "content":
            if o.user_identity != "own":
                raise ProtocolError("TaNP: embed='content' knows no user_identity; leave it at 'own'.")
            if not (schema.user_fields or schema.item_fields):
                raise ProtocolError("TaNP: embed='content' needs user or item fields; use embed='ids'.")
            self.encoder = PairEncoder(schema, o.d_field)
            return self.encoder.d_out
        sizes = (*o.embed_sizes, o.embed_activation)
        self.item_embed = IdEmbedding(schema.n_items, *sizes, schema.item_ids)
        self.user_embed = IdEmbedding(schema.n_users, *sizes, schema.user_ids)
        return 2 * o.embed_sizes[1]

    def embed(self, user: Tensor, item: Tensor) -> Blocks:
        """$x = [v | u]$ as released (the paper prints $[u | v]$), an item's block and a user's.

        They are `[tasks, n, d]`, and `[tasks, 1, d]` for the user where a task is a user.
        """
        if self.options.embed == "content":
            return self.encoder.blocks(user, item)
        known = user if self.options.user_identity == "own" else torch.zeros_like(user)
        return self.item_embed(item), self.user_embed(known)

    def encode(self, x: Blocks, labels: Tensor) -> Tensor:
        """$r_j = h([x_j | y_j])$ for each interaction, `[tasks, n, d_r]`. Implements eq-tanp-7.

        The printed equation has a ReLU after the last layer too (`last_relu`); the released code has none.
        """
        return self.latent_encoder([*x, labels.unsqueeze(-1)])

    def posterior(self, r: Tensor, mask: Tensor) -> Gaussian:
        r"""$q(z | \cdot)$ from encoded interactions `r` over `mask`. Implements eq-tanp-9.

        `mask` is `[tasks, n]`, or `[tasks, sets, n]` for several sets of a task at once.
        The released code reads the last layer as a log-variance although it is named, and printed as,
        $\log\sigma$ (switch `sigma`).
        """
        hidden = F.relu(self.posterior_hidden(masked_mean(r, mask)))
        s = self.posterior_s(hidden)
        return Gaussian(self.posterior_mu(hidden), s if self.options.sigma == "log-variance" else 2 * s)

    def customise(self, x: Blocks, labels: Tensor, mask: Tensor) -> Customised:
        r"""Task embedding from the context. Implements eq-tanp-10, eq-tanp-11 and eq-tanp-12.

        $c_j \propto (1 + \lVert t - a_j\rVert^2/\alpha)^{-(\alpha+1)/2}$; the released code leaves out the
        square (`squared`), and both $W_o$ and the sigmoid of $o = \sigma(W_o(t + A c^\top))$ (`output_map`).
        """
        o = self.options
        t = masked_mean(self.task_encoder([*x, labels.unsqueeze(-1)]), mask)
        if not o.pool:
            return Customised(t, t.new_ones((*t.shape[:-1], 1)), t)
        c = student_t(t, self.cluster_pool, o.temperature, squared=o.squared)
        mixed = t + c @ self.cluster_pool
        return Customised(t, c, torch.sigmoid(self.output_map(mixed)) if o.output_map else mixed)

    def decode(self, x: Blocks, z: Tensor, o: Tensor | None) -> Tensor:
        """Output of the adaptive decoder on $[x | z]$, `[tasks, n]`, without an activation at the end."""
        return self.decoder_out(self.decoder([*x, z.unsqueeze(-2)], o)).squeeze(-1)

    def draw(self, batch: TaskBatch, generator: Generator) -> Noise:
        """Uniform `order` `[tasks, n]` and `sizes` `[tasks, 2]` for context and target, normal `eps`."""
        tasks, n = batch.query.mask.shape[:-1], batch.support.mask.shape[-1] + batch.query.mask.shape[-1]
        return {
            "order": torch.rand(*tasks, n, generator=generator, device=generator.device),
            "sizes": torch.rand(*tasks, 2, generator=generator, device=generator.device),
            "eps": torch.randn(*tasks, self.options.d_z, generator=generator, device=generator.device),
        }

    def resize(self, noise: Noise, support: int, query: int, full_support: int) -> Noise:
        if "order" not in noise:  # a prediction's
            return noise
        sides = noise["order"].tensor_split([full_support], -1)
        kept = [to_width(side, width) for side, width in zip(sides, (support, query), strict=True)]
        return {**noise, "order": torch.cat(kept, -1)}

    def regions(self, batch: TaskBatch, noise: Noise) -> Regions:
        """Context, target and predicted interactions of each pooled task, as masks `[tasks, n]`.

        `random` (released): the context size is uniform on `context_min`..n-1 and up to n-1 interactions in
        all are the target, so the target always contains the context and may equal it. A task with no more
        than
        `context_min` interactions has n-1 as the lower end. `query` (paper): the context is a fresh draw of
        as many interactions as the support has, the posterior sees the whole task, the loss only what is not
        context.
        """
        mask = torch.cat([batch.support.mask, batch.query.mask], -1)
        n = mask.sum(-1, keepdim=True)
        order = torch.where(mask, noise["order"], 2.0).argsort(-1)
        place = torch.arange(order.shape[-1], device=order.device).expand_as(order)
        rank = torch.zeros_like(order).scatter(-1, order, place)  # the inverse permutation
        if self.options.target == "query":
            context = rank < batch.support.mask.sum(-1, keepdim=True)
            return Regions(context, mask, mask & ~context)
        low = torch.clamp(n - 1, max=self.options.context_min)
        n_context = low + (noise["sizes"][..., :1] * (n - low)).long()
        n_target = n_context + (noise["sizes"][..., 1:] * (n - n_context)).long()
        target = rank < n_target
        return Regions(rank < n_context, target, target)

    def terms(self, batch: TaskBatch, noise: Noise) -> Terms:
        """The terms of the loss for one random choice of context and target; see `losses`."""
        return self.losses(batch, self.regions(batch, noise), noise["eps"])

    def losses(self, batch: TaskBatch, regions: Regions, eps: Tensor) -> Terms:
        r"""The three terms of the loss. Implements eq-tanp-4 and eq-tanp-19.

        `reconstruction`: mean over tasks of the mean squared error (or binary cross-entropy) of the predicted
        interactions with $z \sim q(z | \text{target})$; `kl`: mean over tasks of
        $KL(q(z|\text{target}) \| q(z|\text{context}))$, summed over the dimensions of $z$, weight 1;
        `cluster`: lambda times the clustering loss over this batch.
        """
        user, item, labels = pooled(batch)
        x, labels = self.embed(user, item), self.scale.standard(labels)
        r = self.encode(x, labels)
        both = self.posterior(r, torch.stack([regions.context, regions.target], -2))
        prior, post = (Gaussian(*parts) for parts in zip(*(part.unbind(-2) for part in both), strict=True))
        z = post.mu + eps.to(labels.dtype) * torch.exp(0.5 * post.logvar)
        custom = self.customise(x, labels, regions.context) if self.options.variant != "none" else None
        output = self.decode(x, z, None if custom is None else custom.o)
        terms = {
            "reconstruction": reconstruction(
                output, labels, regions.predicted, self.options.likelihood
            ).mean(),
            "kl": kl_gaussian(post, prior).mean(),
        }
        if custom is not None and self.options.pool and self.options.cluster_target != "none":
            terms["cluster"] = self.cluster_weight.to(labels.dtype) * self.cluster_loss(custom.c)
        return terms

    def cluster_loss(self, c: Tensor) -> Tensor:
        r"""$\frac1B\sum_{ij} D_{ij}\log(D_{ij}/C_{ij})$ over the batch. Implements eq-tanp-13.

        `released`: the released code normalises over an axis of size one, so $D \equiv 1$ and the loss is
        $-\frac1B\sum_{ij}\log c_{ij}$, a pull towards the uniform assignment; no gradient passes through $D$.
        `intended`: $D$ of eq-tanp-14; `detach_target` holds it constant, as deep embedded clustering does.
        The paper sums over all training tasks; the code, and we, take the mean over a mini-batch.
        """
        if self.options.cluster_target == "released":
            return -torch.log(c).sum(-1).mean()
        d = cluster_target(c)
        d = d.detach() if self.options.detach_target else d
        return (d * torch.log(d / c)).sum(-1).mean()

    def draw_predict(self, support: Support, query: Query, generator: Generator) -> Noise:
        if not self.options.sample_z:
            return {}
        shape = (*support.mask.shape[:-1], self.options.d_z)
        return {"eps": torch.randn(shape, generator=generator, device=generator.device)}

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        """Scores `[tasks, n_query]`, with $z$ from $q(z | S)$: its mean, or a draw when `noise` holds `eps`.

        The released code always draws, also at test; the probability is returned under the BCE likelihood.
        """
        x, labels = self.embed(support.user, support.item), self.scale.standard(support.labels)
        z, logvar = self.posterior(self.encode(x, labels), support.mask)
        if noise:
            z = z + noise["eps"].to(z.dtype) * torch.exp(0.5 * logvar)
        o = self.customise(x, labels, support.mask).o if self.options.variant != "none" else None
        output = self.decode(self.embed(query.user, query.item), z, o)
        return torch.sigmoid(output) if self.options.likelihood == "bce" else self.scale.rating(output)

    def describe(self, support: Support) -> dict[str, Tensor]:
        """Assignments `c` `[tasks, k]`, their normalised entropy and largest entry, and the sd of $z$.

        The entropy is 1 for equal assignments, so also for the only one to a single cluster.
        """
        x, labels = self.embed(support.user, support.item), self.scale.standard(support.labels)
        _, logvar = self.posterior(self.encode(x, labels), support.mask)
        found = {"z_sd": torch.exp(0.5 * logvar).mean(-1)}
        if self.options.variant != "none" and self.options.pool:
            c = self.customise(x, labels, support.mask).c
            k = c.shape[-1]
            entropy = -(c * torch.log(c)).sum(-1) / math.log(k) if k > 1 else torch.ones_like(c[..., 0])
            found |= {"assignments": c, "assignment_entropy": entropy, "assignment_max": c.max(-1).values}
        return found


def pooled(batch: TaskBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Support and query as one: `user` (`[tasks, 1]` or `[tasks, n]`), `item`, `labels` `[tasks, n]`."""
    s, q = batch.support, batch.query
    user = s.user if s.user.shape[-1] == 1 else torch.cat([s.user, q.user], -1)
    return user, torch.cat([s.item, q.item], -1), torch.cat([s.labels, batch.query_labels], -1)


# --- what the terms of the loss are made of


class Gaussian(NamedTuple):
    """A diagonal Gaussian over `[tasks, d_z]` in mean and log-variance."""

    mu: Tensor
    logvar: Tensor


def student_t(t: Tensor, centres: Tensor, alpha: float, *, squared: bool) -> Tensor:
    r"""$c_j \propto (1 + \lVert t-a_j\rVert^p/\alpha)^{-(\alpha+1)/2}$, $p = 2$ as printed or 1 as released.

    `t` `[tasks, d]`, `centres` `[k, d]` -> `[tasks, k]`, rows summing to one. Implements eq-tanp-11.
    """
    square = (t.unsqueeze(-2) - centres).square().sum(-1)
    distance = square if squared else square.sqrt()
    return torch.softmax(-(alpha + 1) / 2 * torch.log1p(distance / alpha), -1)


def cluster_target(c: Tensor) -> Tensor:
    r"""$D_{ij} = (c_{ij}^2/f_j) / \sum_{j'} (c_{ij'}^2/f_{j'})$, $f_j = \sum_i c_{ij}$.

    Implements eq-tanp-14.
    """
    weight = c.square() / c.sum(-2, keepdim=True)
    return weight / weight.sum(-1, keepdim=True)


def kl_gaussian(q: Gaussian, p: Gaussian) -> Tensor:
    r"""$KL(q \| p)$ of diagonal Gaussians, summed over dimensions: `[tasks]`, in nats.

    $\frac12\sum_d\big[(e^{s_q} + (\mu_q-\mu_p)^2)/e^{s_p} - 1 + s_p - s_q\big]$ with log-variances $s$.
    """
    ratio = (q.logvar.exp() + (q.mu - p.mu).square()) / p.logvar.exp()
    return 0.5 * (ratio - 1 + p.logvar - q.logvar).sum(-1)


def reconstruction(output: Tensor, labels: Tensor, mask: Tensor, likelihood: str) -> Tensor:
    """Mean over `mask` of the squared error or of the binary cross-entropy on logits: `[tasks]`.

    Implements eq-tanp-17 (`mse`) and eq-tanp-18 (`bce`); the released code uses the former for 0/1 labels
    too.
    """
    if likelihood == "bce":
        return masked_average(F.binary_cross_entropy_with_logits(output, labels, reduction="none"), mask)
    return masked_average((output - labels).square(), mask)
