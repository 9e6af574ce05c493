"""MeLU and PNMTA one task at a time, as released and lean (see `loop_layers`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from benchmarks.loop_layers import copy_mlp, linears, stack
from metarec.data.schema import Schema
from metarec.methods.melu import MeLU
from metarec.methods.pnmta import PNMTA


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
