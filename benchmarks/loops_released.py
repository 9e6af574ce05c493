"""The other side of the comparison: one task at a time, in the style of the released programs.

Every interaction is a row of zeros and ones that meets dense matrices, every task has a forward pass of its
own, and a batch ends in one backward pass and one step of Adam. Each loop comes in two forms. As released:
rows are stored as integers and made floats wherever they are used, sets are embedded as often as the released
programs embed them, sets are drawn inside. `lean`: nothing of that; rows are floats, draws are made
beforehand, nothing is embedded twice, no gradient is taken that is not used. It is what a careful author
would have written without batching over tasks, and the harder one to beat.

The weights are those of our models (`take`), so that losses can be compared before anything is timed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from metarec.data.schema import Schema
from metarec.methods.melu import MeLU
from metarec.methods.pnmta import PNMTA
from metarec.methods.tanp import TaNP

# Support and query of a user: rows of ones and zeros `[n, width]` and labels `[n]` of each.
Rows = tuple[Tensor, Tensor, Tensor, Tensor]


class Draw(NamedTuple):
    """Places of TaNP's target in the pooled task, of which the first `n_context` are the context; noise."""

    places: Tensor
    n_context: int
    eps: Tensor


class GatedLayer(nn.Module):
    """A layer of TaNP's decoder, gated by the task's embedding."""

    def __init__(self, d_in: int, d_out: int, d_task: int):
        super().__init__()
        self.linear = nn.Linear(d_in, d_out)
        self.gamma, self.beta, self.eta, self.delta = (nn.Linear(d_task, d_out, bias=False) for _ in range(4))

    def forward(self, x: Tensor, o: Tensor) -> Tensor:
        gamma, beta = torch.tanh(self.gamma(o)), torch.tanh(self.beta(o))
        eta, delta = torch.tanh(self.eta(o)), torch.sigmoid(self.delta(o))
        gamma, beta = gamma * delta + eta * (1 - delta), beta * delta + eta * (1 - delta)
        return F.relu(gamma * self.linear(x) + beta)


class TaNPLoop(nn.Module):
    """TaNP on one-hot rows as wide as there are items and users; gating variant, released clustering loss."""

    def __init__(self, schema: Schema, ours: TaNP, *, lean: bool = False):
        super().__init__()
        o = ours.options
        self.n_items, self.n_users, self.weight = schema.n_items, schema.n_users, float(ours.cluster_weight)
        self.context_min, self.lean = o.context_min, lean
        self.item = stack((schema.n_items, *o.embed_sizes))
        self.user = stack((schema.n_users, *o.embed_sizes))
        d_x, d_task = 2 * o.embed_sizes[1], o.task_sizes[-1]
        self.latent = stack((d_x + 1, *o.latent_sizes))
        self.hidden = nn.Linear(o.latent_sizes[-1], o.d_posterior)
        self.mu, self.logvar = nn.Linear(o.d_posterior, o.d_z), nn.Linear(o.d_posterior, o.d_z)
        self.task = stack((d_x + 1, *o.task_sizes))
        self.pool = nn.Parameter(torch.empty(o.clusters, d_task))
        widths = (d_x + o.d_z, *o.decoder_sizes)
        self.layers = nn.ModuleList(GatedLayer(a, b, d_task) for a, b in pairwise(widths))
        self.out = nn.Linear(widths[-1], 1)
        self.take(ours)

    @torch.no_grad()
    def take(self, ours: TaNP) -> None:
        """Copy the weights of our model; a look-up table is the transposed first matrix."""
        for hot, embed in ((self.item, ours.item_embed), (self.user, ours.user_embed)):
            first, second = linears(hot)
            first.weight.copy_(embed.table.T)
            first.bias.copy_(embed.bias)
            second.load_state_dict(embed.second.state_dict())
        copy_mlp(self.latent, ours.latent_encoder)
        copy_mlp(self.task, ours.task_encoder)
        for a, b in ((self.hidden, ours.posterior_hidden), (self.mu, ours.posterior_mu)):
            a.load_state_dict(b.state_dict())
        self.logvar.load_state_dict(ours.posterior_s.state_dict())
        self.pool.copy_(ours.cluster_pool)
        for layer, theirs in zip(self.layers, ours.decoder, strict=True):
            layer.load_state_dict(theirs.state_dict())
        self.out.load_state_dict(ours.decoder_out.state_dict())

    def rows(self, user: int, items: Tensor) -> Tensor:
        """Rows `[n, n_items + n_users]` of one user, the item first."""
        who = torch.full_like(items, user)
        hot = torch.cat([F.one_hot(items, self.n_items), F.one_hot(who, self.n_users)], -1)
        return hot.to(self.pool.dtype) if self.lean else hot

    def draw(self, task: Rows, rng: np.random.Generator) -> Draw:
        """The released draw of context and target."""
        total = len(task[1]) + len(task[3])
        n_context = int(rng.integers(self.context_min, total))
        n_target = n_context + int(rng.integers(0, total - n_context))
        places = torch.as_tensor(rng.choice(total, n_target, replace=False), device=task[0].device)
        return Draw(places, n_context, torch.randn(1, self.mu.out_features, device=task[0].device))

    def embed(self, rows: Tensor) -> Tensor:
        items, users = (part.to(self.pool.dtype) for part in rows.split([self.n_items, self.n_users], 1))
        return torch.cat([F.relu(self.item(items)), F.relu(self.user(users))], 1)

    def posterior(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        hidden = F.relu(self.hidden(self.latent(torch.cat([x, y[:, None]], 1)).mean(0, keepdim=True)))
        return self.mu(hidden), self.logvar(hidden)

    def decode(self, x: Tensor, z: Tensor, o: Tensor) -> Tensor:
        h = torch.cat([x, z.expand(len(x), -1)], 1)
        for layer in self.layers:
            h = layer(h, o)
        return self.out(h).squeeze(1)

    def one(self, task: Rows, draw: Draw) -> tuple[Tensor, Tensor]:
        """Squared error plus KL of one task, and its assignments `[1, k]`."""
        rows, labels = torch.cat([task[0], task[2]]), torch.cat([task[1], task[3]])
        context = draw.places[: draw.n_context]
        y, y_c = labels[draw.places], labels[context]
        x = self.embed(rows[draw.places])
        x_c = x[: draw.n_context] if self.lean else self.embed(rows[context])
        mu, logvar = self.posterior(x, y)
        mu_c, logvar_c = self.posterior(x_c, y_c)
        t = self.task(torch.cat([x_c, y_c[:, None]], 1)).mean(0, keepdim=True)
        c = (1 / (1 + torch.norm(t - self.pool, dim=1)))[None]
        c = c / c.sum(1, keepdim=True)
        z = mu + draw.eps * torch.exp(0.5 * logvar)
        error = F.mse_loss(self.decode(x, z, t + c @ self.pool), y)
        kl = (logvar.exp() + (mu - mu_c) ** 2) / logvar_c.exp() - 1 + logvar_c - logvar
        return error + 0.5 * kl.sum(), c

    def loss(self, tasks: Sequence[Rows], draws: Sequence[Draw]) -> Tensor:
        """The mean over tasks, one after another, plus the clustering loss of the batch."""
        found = [self.one(task, draw) for task, draw in zip(tasks, draws, strict=True)]
        cluster = -torch.log(torch.cat([c for _, c in found])).sum(1).mean()
        return torch.stack([value for value, _ in found]).mean() + self.weight * cluster


class Side(NamedTuple):
    """Support or query of a user on content: indices `[n, singles]`, ones and zeros `[n, width]`, labels."""

    single: Tensor
    hot: Tensor
    labels: Tensor


class MeLULoop(nn.Module):
    """MeLU one user at a time, second order, by autograd with its graph kept.

    As released, every inner step embeds all rows again and takes the gradient of every weight, of which the
    head's are used. The lean form embeds once a task and takes the gradients of the head.
    """

    def __init__(self, schema: Schema, ours: MeLU, *, lean: bool = False):
        super().__init__()
        o = ours.options
        self.steps, self.lr, self.lean = o.steps, o.inner_lr, lean
        fields = (*schema.item_fields, *schema.user_fields)
        self.multi = [f.multi for f in fields]
        self.n_item_fields = len(schema.item_fields)
        self.widths = [f.size for f in fields if f.multi]
        self.wide = nn.ModuleList(nn.Linear(size, o.d, bias=False) for size in self.widths)
        self.single = nn.ModuleList(nn.Embedding(f.size, o.d) for f in fields if not f.multi)
        self.head = stack((o.d * len(fields), *o.hidden, 1))
        self.columns, self.hot = _columns(schema, lean)
        self.take(ours)

    @torch.no_grad()
    def take(self, ours: MeLU) -> None:
        weights = {multi: iter(self.weights(multi)) for multi in (True, False)}
        for table, multi in zip(ours.encoder.tables().values(), self.multi, strict=True):
            next(weights[multi]).copy_(table.T if multi else table)
        copy_mlp(self.head, ours.head)

    def side(self, user: Tensor, items: Tensor, labels: Tensor) -> Side:
        """The rows of one user (`[1]`) with items `[n]`, as stored by the released program."""
        item_columns, user_columns = self.columns
        single = torch.cat([item_columns[items], user_columns[user].expand(len(items), -1)], 1)
        return Side(single.to(labels.device), self.hot[items].to(labels.device), labels)

    def embed(self, side: Side, wide: Sequence[Tensor], single: Sequence[Tensor]) -> Tensor:
        """Interaction vectors `[n, d_pair]` from matrices `[d, values]` and tables `[values, d]`."""
        blocks = zip(side.hot.split(self.widths, 1), wide, strict=True)
        averaged = (F.linear(b.to(w.dtype), w) / b.to(w.dtype).sum(1, keepdim=True) for b, w in blocks)
        looked = (F.embedding(side.single[:, k], table) for k, table in enumerate(single))
        parts = {True: averaged, False: looked}
        return torch.cat([next(parts[multi]) for multi in self.multi], 1)

    def weights(self, multi: bool) -> list[Tensor]:
        """Matrices `[d, values]` of the multi-valued fields, or tables `[values, d]` of the others."""
        return list((self.wide if multi else self.single).parameters())

    def vectors(self, side: Side) -> Tensor:
        return self.embed(side, self.weights(True), self.weights(False))

    def forward(self, side: Side) -> Tensor:
        return self.head(self.vectors(side)).squeeze(1)

    def one(self, support: Side, query: Side) -> Tensor:
        """The loss of one user's query after the inner steps."""
        if self.lean:
            x, x_query = self.vectors(support), self.vectors(query)

            def scores(weights: dict[str, Tensor], rows: Tensor) -> Tensor:
                return functional_call(self.head, weights, (rows,)).squeeze(1)

            weights = self.descend(self.start(), lambda w: scores(w, x), support)
            return F.mse_loss(scores(weights, x_query), query.labels)
        every: dict[str, Tensor] = dict(self.named_parameters())
        weights = self.descend(every, lambda w: functional_call(self, w, (support,)), support)
        return F.mse_loss(functional_call(self, weights, (query,)), query.labels)

    def start(self) -> dict[str, Tensor]:
        return dict(self.head.named_parameters())

    def descend(
        self, weights: dict[str, Tensor], scores: Callable[[dict[str, Tensor]], Tensor], support: Side
    ) -> dict[str, Tensor]:
        """The weights after the inner steps, those of the head moved."""
        for _ in range(self.steps):
            loss = F.mse_loss(scores(weights), support.labels)
            slopes = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
            weights = {
                name: w - self.lr * slope if self.lean or name.startswith("head.") else w
                for (name, w), slope in zip(weights.items(), slopes, strict=True)
            }
        return weights

    def loss(self, tasks: Sequence[tuple[Side, Side]]) -> Tensor:
        """The mean over users, one after another."""
        return torch.stack([self.one(*task) for task in tasks]).mean()


class PNMTALoop(MeLULoop):
    """PNMTA's meta-training (-C and FiLM) written in MeLU's style; no program was ever released.

    Always lean: modulated matrices are made once a batch, vectors and modulation once a task, and the inner
    gradients are the predictor's alone.
    """

    def __init__(self, schema: Schema, ours: PNMTA):
        super().__init__(schema, ours, lean=True)
        modulator, predictor = ours.encoder_modulator, ours.predictor_modulator
        keys = [name.replace(".", "__") for name in ours.encoder.tables()]
        # A matrix `[d, values]` is scaled by its columns, a table `[values, d]` by its rows.
        self.scale, self.shift = (
            nn.ParameterList(
                (part[key].T if multi else part[key]).detach().clone()
                for key, multi in zip(keys, self.multi, strict=True)
            )
            for part in (modulator.weight, modulator.bias)
        )
        widths = [[layer.in_features for layer in linears(g)] for g in predictor.generators]
        self.generators = nn.ModuleList(
            stack((*w, 2 * n)) for w, n in zip(widths, ours.options.hidden, strict=True)
        )
        for mine, theirs in zip(self.generators, predictor.generators, strict=True):
            copy_mlp(mine, theirs)
        for weight in (*self.weights(True), *self.weights(False)):
            weight.requires_grad_(False)

    def modulated(self) -> tuple[list[Tensor], list[Tensor]]:
        """Both kinds of matrices after the encoder modulator."""
        weights = {multi: iter(self.weights(multi)) for multi in (True, False)}
        found: dict[bool, list[Tensor]] = {True: [], False: []}
        for scale, shift, multi in zip(self.scale, self.shift, self.multi, strict=True):
            found[multi].append(scale * next(weights[multi]) + shift)
        return found[True], found[False]

    def one_modulated(
        self, support: Side, query: Side, matrices: tuple[list[Tensor], list[Tensor]]
    ) -> Tensor:
        x, x_query = (self.embed(side, *matrices) for side in (support, query))
        v = torch.cat([x, x_query]).mean(0)
        omega = [generator(v).chunk(2) for generator in self.generators]

        def scores(w: dict[str, Tensor], rows: Tensor) -> Tensor:
            for k, (gamma, beta) in enumerate(omega):
                rows = F.relu(gamma * F.linear(rows, w[f"{2 * k}.weight"], w[f"{2 * k}.bias"]) + beta)
            last = 2 * len(omega)
            return F.linear(rows, w[f"{last}.weight"], w[f"{last}.bias"]).squeeze(1)

        weights = self.descend(self.start(), lambda w: scores(w, x), support)
        return F.mse_loss(scores(weights, x_query), query.labels)

    def loss(self, tasks: Sequence[tuple[Side, Side]]) -> Tensor:
        matrices = self.modulated()
        return torch.stack([self.one_modulated(*task, matrices) for task in tasks]).mean()


def stack(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    layers: list[nn.Module] = []
    for a, b in pairwise(widths):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def linears(module: nn.Module) -> list[nn.Linear]:
    return [m for m in module.modules() if isinstance(m, nn.Linear)]


@torch.no_grad()
def copy_mlp(mine: nn.Module, theirs: nn.Module) -> None:
    for a, b in zip(linears(mine), linears(theirs), strict=True):
        a.load_state_dict(b.state_dict())


def _columns(schema: Schema, lean: bool) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Single-valued indices of items and of users, and the wide rows of the items' multi-valued fields."""
    items = [torch.as_tensor(f.values) for f in schema.item_fields if not f.multi]
    users = [torch.as_tensor(f.values) for f in schema.user_fields]
    hot = []
    for f in schema.item_fields:
        if f.multi:
            values = torch.as_tensor(f.values) % (f.size + 1)  # padding, -1, falls into a column of its own
            rows = torch.zeros(len(values), f.size + 1, dtype=torch.float32 if lean else torch.int64)
            hot.append(rows.scatter_(1, values, 1)[:, :-1])
    return (torch.stack(items, 1), torch.stack(users, 1)), torch.cat(hot, 1)
