r"""A neural process small enough to be solved on paper.

An item has one trait $x \in [0, 1]$ and features $w(x) = (1, x, x^2, \dots)$; a user is $z \sim \mathcal
N(0, I_d)$, its first entry how generous the user is, its second how much the trait is liked. A rating,
centred, is $y_j = w(x_j) \cdot z + \varepsilon_j$ with $\varepsilon_j \sim \mathcal N(0, \sigma^2)$. This
is TaNP's generative model (eq-tanp-2) with a decoder that is linear in $z$: evidence, posterior and
prediction are Gaussian and exact, and every bound can be measured against the truth.

Shapes: leading axes `[...]` are tasks; `x`, `labels` `[..., n]`, features `w` `[..., n, d]`, `z` `[..., d]`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal as Normal

from metarec.errors import MetarecError


@dataclass(frozen=True)
class Interactions:
    """Rated items of one user or of many: traits `x` and `labels` `[..., n]`, size of $z$, noise s.d."""

    x: Tensor
    labels: Tensor
    dim: int
    noise: float

    @property
    def n(self) -> int:
        """Interactions per task."""
        return self.x.shape[-1]

    @property
    def features(self) -> Tensor:
        """$w(x)$, `[..., n, d]`."""
        return features(self.x, self.dim)

    def __getitem__(self, rows: slice | Tensor) -> Interactions:
        """Some of the interactions, or all of them in another order."""
        return replace(self, x=self.x[..., rows], labels=self.labels[..., rows])

    def split(self, n_support: int) -> tuple[Interactions, Interactions]:
        """Support (the first `n_support`) and query (the rest)."""
        if not 0 < n_support < self.n:
            raise MetarecError(
                f"A support of {n_support} leaves no query: choose 1 to {self.n - 1} of {self.n}."
            )
        return self[:n_support], self[n_support:]


def features(x: Tensor, dim: int) -> Tensor:
    r"""$w(x) = (1, x, \dots, x^{d-1})$: `[...] -> [..., dim]`."""
    return x.unsqueeze(-1) ** torch.arange(dim, dtype=x.dtype, device=x.device)


def simulate(
    n: int, dim: int, noise: float, generator: Generator, tasks: tuple[int, ...] = ()
) -> Interactions:
    """Users drawn from the model, `[*tasks, n]` in float64: `x` uniform on [0, 1], `z` from the prior."""
    draw: dict[str, Any] = {"generator": generator, "dtype": torch.float64, "device": generator.device}
    x = torch.rand(*tasks, n, **draw)
    z = torch.randn(*tasks, dim, **draw)
    mean = (features(x, dim) @ z.unsqueeze(-1)).squeeze(-1)
    return Interactions(x, mean + noise * torch.randn(*tasks, n, **draw), dim, noise)


def prior(data: Interactions) -> Normal:
    """$p(z) = N(0, I)$, for each task of `data`."""
    eye = torch.eye(data.dim, dtype=data.x.dtype, device=data.x.device)
    return Normal(data.x.new_zeros(*data.x.shape[:-1], data.dim), eye)


def log_likelihood(z: Tensor, data: Interactions) -> Tensor:
    r"""$\sum_j \log p(y_j | x_j, z)$ for draws `z` `[m, ..., d]`: `[m, ...]`, in nats."""
    mean = (data.features @ z.unsqueeze(-1)).squeeze(-1)
    return torch.distributions.Normal(mean, data.noise).log_prob(data.labels).sum(-1)


def posterior(data: Interactions, before: Normal | None = None) -> Normal:
    r"""$p(z | \text{data}) \propto b(z) \prod_j p(y_j | x_j, z)$, exact.

    The belief $b$ is `before`, else the prior. Precision $\Lambda = \Lambda_0 + W^\top W / \sigma^2$, mean
    $\Lambda^{-1}(\Lambda_0 \mu_0 + W^\top y/\sigma^2)$.
    """
    start = before or prior(data)
    w, variance = data.features, data.noise**2
    precision = start.precision_matrix + w.mT @ w / variance
    pull = start.precision_matrix @ start.mean.unsqueeze(-1) + w.mT @ data.labels.unsqueeze(-1) / variance
    return Normal(torch.linalg.solve(precision, pull).squeeze(-1), precision_matrix=precision)


def marginal(data: Interactions, belief: Normal | None = None) -> Normal:
    r"""Law of the labels `[..., n]` with $z$ integrated out: $N(W\mu, W \Sigma W^\top + \sigma^2 I)$.

    With the prior this is a Gaussian process with kernel $w(x) \cdot w(x')$ plus noise: the random function
    $f$ of Eq 1, integrated as a function, without naming $z$. Implements eq-tanp-1.
    """
    b = belief or prior(data)
    w = data.features
    eye = torch.eye(data.n, dtype=w.dtype, device=w.device)
    return Normal(
        (w @ b.mean.unsqueeze(-1)).squeeze(-1), w @ b.covariance_matrix @ w.mT + data.noise**2 * eye
    )


def log_evidence(data: Interactions, belief: Normal | None = None) -> Tensor:
    r"""$\log \int b(z) \prod_j p(y_j | x_j, z)\, dz$ in closed form, `[...]` in nats. Implements eq-tanp-2.

    The belief $b$ is the prior $p(z)$ for $\log p(y_{1:N} | x_{1:N})$, the exact $p(z | S)$ for
    $\log p(y_Q | x_Q, S)$, and $q(z | S)$ for the predictor that TaNP uses at test.
    """
    return marginal(data, belief).log_prob(data.labels)


def log_evidence_grid(data: Interactions, half_width: float = 6.0) -> Tensor:
    r"""The same integral over $z$, summed on a grid of $[-6, 6]^d$ for one task: no Gaussian algebra used.

    For a smooth integrand that vanishes at the border the error of the trapezoid rule falls like
    $e^{-c/h^2}$ in the spacing $h$: a grid of every other point must agree to $10^{-3}$, and the full one is
    then good to about ten digits. Otherwise, or for `d` above 3, a `MetarecError`.
    """
    if data.dim > 3:
        raise MetarecError(f"A grid over {data.dim} dimensions is too large; use dim 1, 2 or 3.")
    points = {1: 2001, 2: 401, 3: 121}[data.dim]
    axis = torch.linspace(-half_width, half_width, points, dtype=data.x.dtype, device=data.x.device)
    z = torch.cartesian_prod(*[axis] * data.dim).reshape(-1, data.dim)
    log_joint = (prior(data).log_prob(z) + log_likelihood(z, data)).reshape([points] * data.dim)
    fine, coarse = (
        torch.logsumexp(log_joint[(slice(None, None, stride),) * data.dim].flatten(), 0)
        + data.dim * (stride * (axis[1] - axis[0])).log()
        for stride in (1, 2)
    )
    if not (fine - coarse).abs() < 1e-3:
        raise MetarecError("The posterior is too narrow for the grid; use more noise or fewer interactions.")
    return fine


def draw(q: Normal, n: int, generator: Generator) -> Tensor:
    r"""$z = \mu + L\epsilon$ with $L L^\top = \Sigma$, $\epsilon \sim N(0, I)$: `[n, ..., d]`."""
    eps = torch.randn(n, *q.mean.shape, generator=generator, dtype=q.mean.dtype, device=q.mean.device)
    return q.mean + (q.scale_tril @ eps.unsqueeze(-1)).squeeze(-1)
