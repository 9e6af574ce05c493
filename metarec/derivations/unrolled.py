r"""PNMTA's own inner loop taken apart: its Jacobian, what reaches which parameter, and its span.

Where `metarec.derivations.bilevel` solves a model on paper, this module looks into the networks that are
trained. Symbols as in the paper: $\theta_e^*$ the frozen encoder, $\theta_p$ the predictor, $\phi_e$ and
$\phi_p$ the modulators; $\alpha$, $k$ size and number of the inner steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor
from torch.func import grad, jacrev

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.data.synthetic import synthetic
from metarec.derivations.bilevel import relative
from metarec.derivations.check import text
from metarec.layers.adaptation import (
    Order,
    adapt,
    adapt_mlp,
    adapt_path,
    first_layer,
    modulated_mlp,
    per_task,
    pointwise_loss,
)
from metarec.layers.mlp import MLP, mlp_params, task_mlp
from metarec.methods import initialised
from metarec.methods.pnmta import PNMTA
from metarec.tasks import EpisodeTensors
from metarec.tasks.batch import TaskBatch
from metarec.tasks.rules import cold_start_episodes

GROUPS: Mapping[str, str] = {
    "encoder.": "θₑ*, pretrained encoder",
    "head.": "θₚ, predictor",
    "encoder_modulator.": "φₑ, encoder modulator",
    "predictor_modulator.": "φₚ, predictor modulator",
}


def planted() -> Ratings:
    """A planted rating table, small enough for dense algebra."""
    return synthetic(1, n_users=60, n_items=40, ratings_per_user=(14, 24), n_scenarios=3)


def batch_of(ratings: Ratings, tasks: int) -> TaskBatch:
    """The first `tasks` training users by PNMTA's cold-start rule, in float64."""
    data = EpisodeTensors(cold_start_episodes(ratings).train, dtype=torch.float64)
    return data.batch(torch.arange(tasks))


def pnmta(ratings: Ratings, seed: int = 0, **options: Any) -> PNMTA:
    r"""PNMTA as published but for its size, in float64; its modulators a little off their start.

    At that start, $\omega_w \approx 0$ and $\phi_w = 1$, much of what this module measures is near nothing.
    """
    small = {"d": 4, "hidden": (8, 8), "generator": (8,), "gamma_start": "one"}
    with initialised(seed):
        method = PNMTA(Schema.of(ratings), **{**small, **options}).double()
        for p in method.encoder_modulator.parameters():
            p.data += 0.1 * torch.randn_like(p)
    return method


def flat_loss(sizes: Sequence[int], x: Tensor, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Support loss of an MLP as a function of all its weights in one vector `[p]`; `x` `[n, d]`."""
    shapes = {name: p.shape for name, p in mlp_params(MLP(sizes)).items()}
    every = torch.ones_like(labels, dtype=torch.bool)

    def loss(flat: Tensor) -> Tensor:
        pieces = flat.split([shape.numel() for shape in shapes.values()])
        params = {
            name: piece.reshape(shape) for (name, shape), piece in zip(shapes.items(), pieces, strict=True)
        }
        return pointwise_loss("explicit", task_mlp(params, x).squeeze(-1), labels, every)

    return loss


def flat_start(sizes: Sequence[int], seed: int) -> Tensor:
    """Freshly drawn weights of an MLP in one vector `[p]`, float64."""
    with initialised(seed):
        return torch.cat([p.detach().flatten() for p in mlp_params(MLP(sizes)).values()]).double()


def end(loss: Callable[[Tensor], Tensor], start: Tensor, alpha: float, steps: int) -> Tensor:
    r"""$\theta_k$ from $\theta_0$, `[p]`, by `adapt`."""

    def of_stack(p: Mapping[str, Tensor]) -> Tensor:
        return torch.func.vmap(loss)(p["flat"])

    return adapt(of_stack, per_task({"flat": start}, 1), steps=steps, lr=alpha)["flat"][0]


def jacobian(loss: Callable[[Tensor], Tensor], start: Tensor, alpha: float, steps: int) -> Tensor:
    r"""$d\theta_k / d\theta_0$, `[p, p]`, by differentiating the loop."""
    found: Tensor = jacrev(lambda flat: end(loss, flat, alpha, steps))(start)
    return found


def factors(loss: Callable[[Tensor], Tensor], start: Tensor, alpha: float, steps: int) -> list[Tensor]:
    r"""$I - \alpha \nabla^2 L(\theta_i)$ for $i = 0, \dots, k - 1$, each `[p, p]`."""

    def of_stack(p: Mapping[str, Tensor]) -> Tensor:
        return torch.func.vmap(loss)(p["flat"])

    path = adapt_path(of_stack, per_task({"flat": start}, 1), steps=steps, lr=alpha)
    eye = torch.eye(len(start), dtype=start.dtype)
    return [eye - alpha * second_derivatives(loss, p["flat"][0].detach()) for p in path[:-1]]


def second_derivatives(loss: Callable[[Tensor], Tensor], flat: Tensor) -> Tensor:
    """The Hessian of a scalar function, whole: `[p, p]`."""
    found: Tensor = jacrev(grad(loss))(flat)
    return found


def product(matrices: Sequence[Tensor]) -> Tensor:
    """The last matrix times ... times the first."""
    return torch.linalg.multi_dot(list(reversed(matrices))) if len(matrices) > 1 else matrices[0]


def gradients(method: PNMTA, batch: TaskBatch, order: Order) -> dict[str, Tensor]:
    """The gradient of the query loss for every group of `GROUPS`, each as one vector."""
    options = method.options
    method.options = replace(options, order=order)
    named = dict(method.named_parameters())
    found = torch.autograd.grad(
        method.terms(batch, {})["query"], list(named.values()), allow_unused=True, materialize_grads=True
    )
    method.options = options
    return {
        group: torch.cat([g.flatten() for n, g in zip(named, found, strict=True) if n.startswith(group)])
        for group in GROUPS
    }


def reach(method: PNMTA, batch: TaskBatch) -> pd.DataFrame:
    """Who moves where: a row a group of parameters, as measured on one batch.

    `inner loop`: how far a task's copy moves, as a share of its norm. `outer loop`: norm of the gradient of
    the query loss. `lost at first order`: norm of what the first order leaves out, as a share of it.
    """
    path = method.path(batch.support, batch.query)
    start, ended = ({f"head.{n}": p.detach() for n, p in path[i].items()} for i in (0, -1))
    first, second = gradients(method, batch, "first"), gradients(method, batch, "second")
    rows = {}
    for group, name in GROUPS.items():
        inside = [n for n in start if n.startswith(group) and not torch.equal(start[n], ended[n])]
        before, after = (torch.cat([p[n].flatten() for n in inside or start]) for p in (start, ended))
        norm = float(second[group].norm())
        lost = float((second[group] - first[group]).norm()) / norm if norm else 0.0
        rows[name] = {
            "inner loop": f"{100 * relative(after, before):.1f} %" if inside else "stays",
            "outer loop": text(norm, 3) if norm else "stays",
            "lost at first order": f"{100 * lost:.0f} %" if norm else "–",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="on one batch")


def routes(method: PNMTA, batch: TaskBatch) -> dict[str, tuple[Tensor, Tensor]]:
    r"""The two routes from a modulator to the query loss after one inner step, by group: `(direct, through)`.

    Direct: $\partial L_Q / \partial\phi$ with the adapted $\theta_p'$ held. Through the step: $-\alpha\,
    (\nabla_\phi \nabla_\theta L_S)^\top \nabla_{\theta'} L_Q$. Implements eq-pnmta-14.
    """
    support, query = batch.support, batch.query
    x_support, x_query = method.inputs(support, query)
    modulate = method.condition(x_support, x_query, support, query)
    theta = per_task(mlp_params(method.head), len(support.item))
    scores = modulated_mlp(theta, first_layer(theta, x_support), modulate)
    held = list(theta.values())
    step = torch.autograd.grad(method.support_loss(support)(scores, None).sum(), held, create_graph=True)
    alpha = float(method.inner_lr)
    moved = {
        n: (p - alpha * g).detach().requires_grad_() for (n, p), g in zip(theta.items(), step, strict=True)
    }
    scores = modulated_mlp(moved, first_layer(moved, x_query), modulate)
    loss = pointwise_loss(method.kind, scores, batch.query_labels, query.mask).mean()
    slope = torch.autograd.grad(loss, list(moved.values()), retain_graph=True)
    along = torch.stack([(g * s).sum() for g, s in zip(step, slope, strict=True)]).sum()
    found = {}
    for group in ("encoder_modulator.", "predictor_modulator."):
        phi = [p for n, p in method.named_parameters() if n.startswith(group)]
        direct = torch.autograd.grad(loss, phi, retain_graph=True)
        through = torch.autograd.grad(-alpha * along, phi, retain_graph=True)
        found[group] = (_flat(direct), _flat(through))
    return found


def by_differences(method: PNMTA, batch: TaskBatch, group: str, seed: int = 0, step: float = 1e-6) -> Tensor:
    """Slope of the query loss along a random direction of a group's parameters: numerically, and from the
    gradients of second and of first order, `[3]`.
    """
    phi = [p for n, p in method.named_parameters() if n.startswith(group)]
    generator = torch.Generator().manual_seed(seed)
    ways = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in phi]
    values = []
    with torch.no_grad():
        for move in (step, -2 * step, step):  # out, to the other side, and back
            for p, way in zip(phi, ways, strict=True):
                p.add_(way, alpha=move)
            values.append(method.terms(batch, {})["query"])
    slopes = [gradients(method, batch, order)[group] @ _flat(ways) for order in ("second", "first")]
    return torch.stack([(values[0] - values[1]) / (2 * step), *slopes])


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    return torch.cat([t.flatten() for t in tensors])


def first_layer_update(x: Tensor, labels: Tensor, hidden: int, alpha: float, steps: int) -> Tensor:
    """What `steps` steps add to a head's first layer, weights and bias side by side: `[hidden, d + 1]`."""
    with initialised(0):
        start = {n: p.detach().double() for n, p in mlp_params(MLP((x.shape[-1], hidden, 1))).items()}

    def loss(p: Mapping[str, Tensor]) -> Tensor:
        every = torch.ones_like(labels, dtype=torch.bool)
        return pointwise_loss("explicit", task_mlp(p, x.unsqueeze(0)).squeeze(-1), labels, every)

    ended = adapt(loss, per_task(start, 1), steps=steps, lr=alpha)
    gone = {n: (ended[n] - start[n])[0] for n in ("0.weight", "0.bias")}
    return torch.cat([gone["0.weight"], gone["0.bias"].unsqueeze(-1)], -1)


def outside_span(update: Tensor, x: Tensor) -> float:
    """The part of an update's rows that is no combination of the support's rows `[x_j, 1]`, as a share."""
    rows = torch.cat([x, torch.ones_like(x[:, :1])], -1)
    basis = torch.linalg.qr(rows.mT).Q
    return float((update - update @ basis @ basis.mT).norm() / update.norm())


def query_scores(method: PNMTA, batch: TaskBatch, span: bool) -> Tensor:
    """Query scores `[tasks, n_query]`; of the first layer, copies of the weights are carried, or (`span`) its
    outputs.
    """
    support, query = batch.support, batch.query
    x_support, x_query = method.inputs(support, query)
    return adapt_mlp(
        mlp_params(method.head),
        x_support,
        x_query,
        method.support_loss(support),
        steps=method.options.steps,
        lr=method.inner_lr,
        order=method.options.order,
        modulate=method.condition(x_support, x_query, support, query),
        span=span,
    )
