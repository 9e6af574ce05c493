"""TaNP one task at a time, as released and lean (see `loop_layers`)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.loop_layers import copy_mlp, linears, stack
from metarec.data.schema import Schema
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
