r"""The inner and outer loop of PNMTA where both can be solved: tasks of least squares (Eqs 10-13).

A task has a support and a query; its losses are mean squared errors of $\hat y = x \cdot \theta$. Their
Hessians $H = \frac2n X^\top X$ do not depend on $\theta$, so $k$ inner steps are an affine map, $\theta_k =
(I - \alpha H)^k \theta_0 + c$, and meta-gradient and optimum have closed forms. The functions follow the
notebook `notebooks/pnmta/bilevel`; networks are in `metarec.derivations.unrolled`.

Shapes: $\theta$ is `[d]`, tasks come first everywhere else: `x` `[tasks, n, d]`, labels `[tasks, n]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch
from torch import Generator, Tensor

from metarec.derivations.check import estimate, text
from metarec.errors import ProtocolError
from metarec.layers.adaptation import Order, Params, adapt, per_task, pointwise_loss

# Tasks to average over in each profile.
COSTS = {"recorded": 64, "quick": 16, "full": 1024}


@dataclass(frozen=True)
class Side:
    """The support, or the query, of every task: `x` `[tasks, n, d]`, `labels` `[tasks, n]`."""

    x: Tensor
    labels: Tensor

    @property
    def hessian(self) -> Tensor:
        r"""$H = \frac2n X^\top X$, `[tasks, d, d]`."""
        return 2 / self.x.shape[-2] * self.x.mT @ self.x

    @property
    def pull(self) -> Tensor:
        r"""$b = \frac2n X^\top y$, `[tasks, d]`: the gradient is $H\theta - b$."""
        return 2 / self.x.shape[-2] * (self.x.mT @ self.labels.unsqueeze(-1)).squeeze(-1)

    def loss(self, theta: Tensor) -> Tensor:
        r"""$\frac1n \sum_j (x_j \cdot \theta - y_j)^2$, `[tasks]`; `theta` is `[d]` or `[tasks, d]`."""
        scores = (self.x @ theta.unsqueeze(-1)).squeeze(-1)
        return pointwise_loss("explicit", scores, self.labels, torch.ones_like(scores, dtype=torch.bool))


@dataclass(frozen=True)
class Tasks:
    """Tasks with a support and a query each."""

    support: Side
    query: Side

    @property
    def dim(self) -> int:
        """Parameters of the predictor."""
        return self.support.x.shape[-1]


@dataclass(frozen=True)
class Settings:
    """The notebook's parameters, checked; a wrong one is a `ProtocolError`."""

    profile: str
    alpha: float
    steps: int
    dim: int
    n_support: int

    def __post_init__(self) -> None:
        if self.profile not in COSTS:
            raise ProtocolError(f"profile is {self.profile!r}; choose recorded, quick or full.")
        if not self.alpha > 0 or self.steps < 2 or self.dim < 2 or self.n_support < 2:
            raise ProtocolError("Needs alpha > 0, and steps, dim and n_support of 2 or more.")

    @property
    def n_tasks(self) -> int:
        """Tasks to average over."""
        return COSTS[self.profile]

    def tasks(self, seed: int, n_tasks: int | None = None) -> Tasks:
        """Tasks drawn by `simulate`."""
        return simulate(n_tasks or self.n_tasks, self.n_support, 10, self.dim, _stream(seed))


def simulate(
    n_tasks: int, n_support: int, n_query: int, dim: int, generator: Generator, noise: float = 0.5
) -> Tasks:
    r"""Users who differ in taste and in how widely they choose; float64.

    Entry $i$ of $x$ has a s.d. $s_{ui}$ of the user's own, uniform on [0.3, 1.5]; the user's $\theta_{ui}$ is
    $s_{ui} + \frac12 \epsilon$: who chooses widely along a direction also cares about it. Were curvature and
    taste unrelated, first and second order would end in nearly the same place.
    """
    draw: dict[str, Any] = {"generator": generator, "dtype": torch.float64}
    width = 0.3 + 1.2 * torch.rand(n_tasks, dim, **draw)
    taste = width + 0.5 * torch.randn(n_tasks, dim, **draw)
    sides = []
    for n in (n_support, n_query):
        x = width.unsqueeze(-2) * torch.randn(n_tasks, n, dim, **draw)
        labels = (x @ taste.unsqueeze(-1)).squeeze(-1) + noise * torch.randn(n_tasks, n, **draw)
        sides.append(Side(x, labels))
    return Tasks(*sides)


def inner(theta: Tensor, tasks: Tasks, alpha: float, steps: int, order: Order = "second") -> Tensor:
    r"""$\theta_k$ of every task, `[tasks, d]`, by the loop that trains our methods (`adapt`)."""

    def loss(p: Params) -> Tensor:
        return tasks.support.loss(p["theta"])

    start = per_task({"theta": theta}, len(tasks.support.x))
    return adapt(loss, start, steps=steps, lr=alpha, order=order)["theta"]


def factor(hessian: Tensor, alpha: float, steps: int) -> Tensor:
    r"""$d\theta_k/d\theta_0 = (I - \alpha H)^k$, `[tasks, d, d]`."""
    eye = torch.eye(hessian.shape[-1], dtype=hessian.dtype)
    return torch.linalg.matrix_power(eye - alpha * hessian, steps)


def shift(side: Side, alpha: float, steps: int) -> Tensor:
    r"""$c = \alpha \sum_{i<k} (I - \alpha H)^i\, b$, where steps lead from $\theta_0 = 0$: `[tasks, d]`.

    Through the eigenvalues: $\sum_{i<k} (1 - \alpha\lambda)^i = (1 - (1 - \alpha\lambda)^k)/\alpha\lambda$,
    and $k$ where $\lambda = 0$, so a support smaller than $d$ is no special case.
    """
    values, vectors = torch.linalg.eigh(side.hessian)
    small = values < 1e-12
    safe = torch.where(small, 1.0, values)
    gain = torch.where(small, alpha * steps, (1 - (1 - alpha * safe) ** steps) / safe)
    return (vectors @ (gain * (vectors.mT @ side.pull.unsqueeze(-1)).squeeze(-1)).unsqueeze(-1)).squeeze(-1)


def inner_exact(theta: Tensor, tasks: Tasks, alpha: float, steps: int) -> Tensor:
    r"""$\theta_k = (I - \alpha H)^k \theta_0 + c$, `[tasks, d]`: no loop, no autograd."""
    moved = factor(tasks.support.hessian, alpha, steps) @ theta
    return moved + shift(tasks.support, alpha, steps)


def outer(theta: Tensor, tasks: Tasks, alpha: float, steps: int) -> Tensor:
    r"""The meta-objective: mean over tasks of the query loss at $\theta_k$."""
    return tasks.query.loss(inner_exact(theta, tasks, alpha, steps)).mean()


def meta_gradient(theta: Tensor, tasks: Tasks, alpha: float, steps: int, order: Order = "second") -> Tensor:
    r"""Gradient of the meta-objective for $\theta_0$, `[d]`, in closed form. Implements eq-pnmta-13.

    Second order: the mean of $(I - \alpha H_S)^k (H_Q\theta_k - b_Q)$. First order leaves the factor out.
    """
    at_end = inner_exact(theta, tasks, alpha, steps)
    slope = (tasks.query.hessian @ at_end.unsqueeze(-1)).squeeze(-1) - tasks.query.pull
    if order == "second":
        slope = (factor(tasks.support.hessian, alpha, steps) @ slope.unsqueeze(-1)).squeeze(-1)
    return slope.mean(0)


def meta_gradient_by_autograd(
    theta: Tensor, tasks: Tasks, alpha: float, steps: int, order: Order = "second"
) -> Tensor:
    """The same through the loop that trains our methods."""
    theta = theta.detach().requires_grad_()
    loss = tasks.query.loss(inner(theta, tasks, alpha, steps, order)).mean()
    return torch.autograd.grad(loss, theta)[0]


def by_differences(function: Callable[[Tensor], Tensor], theta: Tensor, step: float = 1e-5) -> Tensor:
    r"""Central differences $(f(\theta + h e_i) - f(\theta - h e_i))/2h$ of a scalar function, `[d]`."""
    moves = step * torch.eye(len(theta), dtype=theta.dtype)
    return torch.stack([(function(theta + m) - function(theta - m)) / (2 * step) for m in moves])


def distance(a: Tensor, b: Tensor) -> Tensor:
    r"""$\lVert a - b \rVert$: 0 where two ways to compute a vector agree."""
    return (a - b).norm()


def relative(a: Tensor, b: Tensor) -> float:
    r"""$\lVert a - b \rVert / \lVert b \rVert$."""
    return float((a - b).norm() / b.norm())


def optimum(tasks: Tasks, alpha: float, steps: int, order: Order = "second") -> Tensor:
    r"""Where descent along the meta-gradient comes to rest, `[d]`: the root of an affine map.

    Second order: the minimum of the meta-objective. First order: where the mean slope at the adapted
    parameters vanishes, which is in general no minimum of anything printed.
    """
    a = factor(tasks.support.hessian, alpha, steps)
    c = shift(tasks.support, alpha, steps)
    left = a.mT if order == "second" else torch.eye(tasks.dim, dtype=a.dtype).expand_as(a)
    matrix = (left @ tasks.query.hessian @ a).mean(0)
    offset = tasks.query.pull - (tasks.query.hessian @ c.unsqueeze(-1)).squeeze(-1)
    return torch.linalg.solve(matrix, (left @ offset.unsqueeze(-1)).squeeze(-1).mean(0))


def joint_optimum(tasks: Tasks) -> Tensor:
    r"""The best $\theta$ without any adaptation: least squares over the queries of all tasks, `[d]`."""
    return torch.linalg.solve(tasks.query.hessian.mean(0), tasks.query.pull.mean(0))


def with_items_of_first(tasks: Tasks) -> Tasks:
    """Every task with the items of the first one, so that all curve alike; the labels stay."""

    def alike(side: Side) -> Side:
        return Side(side.x[:1].expand_as(side.x), side.labels)

    return Tasks(alike(tasks.support), alike(tasks.query))


def largest_step(tasks: Tasks) -> Tensor:
    r"""$2/\lambda_{\max}$ of each task's support loss, `[tasks]`: longer steps diverge."""
    return 2 / torch.linalg.eigvalsh(tasks.support.hessian)[:, -1]


def first_order_error(theta: Tensor, tasks: Tasks, alphas: Sequence[float], steps: int) -> list[float]:
    r"""$\lVert g_1 - g_2 \rVert / \lVert g_2 \rVert$ of the meta-gradients, one a step size."""
    both = [[meta_gradient(theta, tasks, a, steps, o) for o in ("first", "second")] for a in alphas]
    return [relative(first, second) for first, second in both]


def endings(train: Tasks, test: Tasks, settings: Sequence[tuple[float, int]]) -> pd.DataFrame:
    r"""Query loss on unseen tasks from where each kind of training comes to rest, a row an $(\alpha, k)$.

    The last column is the price of the first order, with a 95 % interval over tasks.
    """
    rows = {}
    for alpha, steps in settings:
        starts = {
            "no adaptation in training": joint_optimum(train),
            "first order": optimum(train, alpha, steps, "first"),
            "second order": optimum(train, alpha, steps, "second"),
        }
        losses = {n: test.query.loss(inner_exact(s, test, alpha, steps)) for n, s in starts.items()}
        price = estimate(losses["first order"] - losses["second order"])
        shown = {name: text(loss.mean()) for name, loss in losses.items()}
        rows[f"α = {alpha:g}, k = {steps}"] = {**shown, "price of first order": str(price)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="mean query loss")


def _stream(seed: int) -> Generator:
    return Generator().manual_seed(seed)
