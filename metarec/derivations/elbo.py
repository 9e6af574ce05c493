r"""From the evidence of a neural process to TaNP's objective (Lin et al., WWW 2021, Eqs 1-4).

The functions follow the steps of the notebook `notebooks/tanp/elbo`; the losses of Eqs 17-19 are in
`metarec.derivations.losses`. All values are in nats and exact for any Gaussian $q$ on the model of
`metarec.derivations.linear_gaussian`; only those that take a generator draw numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, pi

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal as Normal
from torch.distributions import kl_divergence

from metarec.derivations.check import Estimate, estimate, log_mean_exp, percent, text
from metarec.derivations.linear_gaussian import (
    Interactions,
    draw,
    log_evidence,
    log_likelihood,
    marginal,
    posterior,
    prior,
    simulate,
)
from metarec.errors import ProtocolError

# What a profile costs: Monte Carlo draws, users to average over, training steps of the shared encoder.
COSTS = {"recorded": (20_000, 4_000, 500), "quick": (2_000, 400, 60), "full": (200_000, 40_000, 3_000)}


@dataclass(frozen=True)
class Settings:
    """The notebook's parameters, checked; a wrong one is a `ProtocolError`."""

    profile: str
    track: str
    seeds: int
    device: str
    n_interactions: int
    dim: int
    noise: float

    def __post_init__(self) -> None:
        if self.profile not in COSTS:
            raise ProtocolError(f"profile is {self.profile!r}; choose recorded, quick or full.")
        if self.track not in ("sound", "published"):
            raise ProtocolError(f"track is {self.track!r}; choose sound or published.")
        if self.seeds < 2 or self.n_interactions < 3 or self.dim not in (2, 3) or not self.noise > 0:
            raise ProtocolError("Needs seeds >= 2, n_interactions >= 3, dim 2 or 3, and noise > 0.")

    @property
    def draws(self) -> int:
        """Monte Carlo draws."""
        return COSTS[self.profile][0]

    @property
    def n_users(self) -> int:
        """Users to average over."""
        return COSTS[self.profile][1]

    @property
    def steps(self) -> int:
        """Training steps of the shared encoder."""
        return COSTS[self.profile][2]

    @property
    def n_support(self) -> int:
        """A third of the interactions."""
        return max(1, self.n_interactions // 3)

    def generator(self, seed: int) -> Generator:
        """A fresh stream of random numbers on the device."""
        return Generator(device=self.device).manual_seed(seed)

    def users(self, seed: int, *shape: int) -> Interactions:
        """Users drawn from the model, `[*shape, n_interactions]`; one user without `shape`."""
        return simulate(self.n_interactions, self.dim, self.noise, self.generator(seed), shape)


def evidence_by_sampling(data: Interactions, draws: int, generator: Generator) -> Estimate:
    r"""$\log \frac1m \sum_s p(y | x, z_s)$ with $z_s$ from the prior; its error by the delta method."""
    return log_mean_exp(log_likelihood(draw(prior(data), draws, generator), data))


def log_marginals(data: Interactions) -> Tensor:
    r"""$\sum_j \log p(y_j | x_j)$: what the evidence would be were the interactions independent."""
    p = marginal(data)
    return torch.distributions.Normal(p.mean, p.stddev).log_prob(data.labels).sum(-1)


def diagonal(mean: Tensor, sd: Tensor) -> Normal:
    r"""$N(\mu, \mathrm{diag}(\sigma^2))$ from `mean` and `sd` `[..., d]`, the family of TaNP's encoder."""
    mean, sd = torch.broadcast_tensors(mean, sd)
    return Normal(mean, scale_tril=torch.diag_embed(sd))


def widened(p: Normal, factor: float | Tensor) -> Normal:
    """The diagonal Gaussian with the mean of `p` and its marginal s.d. times `factor`."""
    return diagonal(p.mean, p.stddev * factor)


def scaled(p: Normal, factor: Tensor) -> Normal:
    """`p` with its s.d. in every direction times `factor` `[m]`: `[m, d]`."""
    return Normal(p.mean.expand(len(factor), -1), scale_tril=factor[:, None, None] * p.scale_tril)


def expected_log_density(q: Normal, p: Normal) -> Tensor:
    r"""$E_q[\log p(z)]$ of two Gaussians, `[...]` in nats.

    $-\frac12[\log|2\pi\Sigma_p| + \mathrm{tr}\,\Sigma_p^{-1}(\Sigma_q + \delta\delta^\top)]$ with $\delta =
    \mu_q - \mu_p$. With $p = q$ it is minus the entropy.
    """
    delta = (q.mean - p.mean).unsqueeze(-1)
    second = q.covariance_matrix + delta @ delta.mT
    trace = (p.precision_matrix * second).sum((-2, -1))
    return -0.5 * (torch.logdet(2 * pi * p.covariance_matrix) + trace)


def expected_log_likelihood(q: Normal, data: Interactions) -> Tensor:
    r"""$E_q[\sum_j \log p(y_j | x_j, z)]$, the reconstruction term: a sum over interactions, `[...]`."""
    return -0.5 * data.n * (log(2 * pi * data.noise**2) + squared_error(q, data) / data.noise**2)


def squared_error(q: Normal, data: Interactions) -> Tensor:
    r"""$E_q[\frac1N \sum_j (y_j - w_j \cdot z)^2]$, `[...]`. Implements eq-tanp-17.

    $= \frac1N\sum_j [(y_j - w_j\cdot\mu)^2 + w_j^\top\Sigma w_j]$: the paper's reconstruction loss with its
    expectation taken exactly. The released code takes one draw of $z$
    (`metarec.methods.tanp.reconstruction`).
    """
    w = data.features
    residual = data.labels - (w @ q.mean.unsqueeze(-1)).squeeze(-1)
    return (residual.square() + (w @ q.scale_tril).square().sum(-1)).mean(-1)


def elbo(q: Normal, data: Interactions, belief: Normal | None = None) -> Tensor:
    r"""$E_q[\sum_j \log p(y_j | x_j, z)] - KL(q \| b)$, `[...]` in nats. Implements eq-tanp-3.

    A lower bound of `log_evidence(data, belief)` for every $q$; the belief $b$ is the prior unless given.
    """
    return expected_log_likelihood(q, data) - kl_divergence(q, belief or prior(data))


def elbo_joint(q: Normal, data: Interactions) -> Tensor:
    r"""$E_q[\log p(z, y | x)] - E_q[\log q(z)]$, the bound before it is taken apart. Implements eq-tanp-3."""
    joint = expected_log_density(q, prior(data)) + expected_log_likelihood(q, data)
    return joint - expected_log_density(q, q)


def log_weights(q: Normal, data: Interactions, draws: int, generator: Generator) -> Tensor:
    r"""$\log\frac{p(z, y | x)}{q(z)}$ at draws of $q$, `[draws, ...]`; the bound is its mean."""
    z = draw(q, draws, generator)
    return prior(data).log_prob(z) + log_likelihood(z, data) - q.log_prob(z)


def conditional_objective(q_task: Normal, q_support: Normal, query: Interactions) -> Tensor:
    r"""$E_{q(z|\tau)}[\sum_{j\in Q}\log p(y_j|x_j,z) + \log\frac{q(z|S)}{q(z|\tau)}]$. Implements eq-tanp-4.

    Always a bound of $\log\int q(z|S)\prod_Q p(y_j|x_j,z)dz$; of $\log p(y_Q|x_Q,S)$ only where $q(z|S)$ is
    the exact $p(z|S)$. The released code adds the support's own labels to the sum.
    """
    return elbo(q_task, query, q_support)


def prior_gap(q_task: Normal, q_support: Normal, p_support: Normal) -> Tensor:
    r"""$E_{q(z|\tau)}[\log q(z|S) - \log p(z|S)]$: what using $q(z|S)$ adds to the objective."""
    return expected_log_density(q_task, q_support) - expected_log_density(q_task, p_support)


def best_fit(query: Interactions) -> Normal:
    r"""All belief on $\arg\max_z \sum_Q \log p(y_j | x_j, z)$, by least squares; s.d. 1e-6: `[d]`."""
    z = torch.linalg.lstsq(query.features, query.labels.unsqueeze(-1)).solution.squeeze(-1)
    return diagonal(z, torch.full_like(z, 1e-6))


def width(q: Normal) -> Tensor:
    r"""Typical s.d. of $q$, the geometric mean over directions: $|\Sigma|^{1/2d}$, `[...]`."""
    return torch.exp(torch.logdet(q.covariance_matrix) / (2 * q.mean.shape[-1]))


def overshoot(tasks: Interactions, n_support: int, factor: float | Tensor) -> tuple[Tensor, Tensor]:
    r"""Eq 4's objective and its own predictor's log-density, both minus $\log p(y_Q | x_Q, S)$: `[...]`.

    $q(z|\tau)$ is exact; $q(z|S)$ is diagonal, right in its mean and `factor` times too wide.
    """
    support, query = tasks.split(n_support)
    p_support = posterior(support)
    q_support = widened(p_support, factor)
    truth = log_evidence(query, p_support)
    objective = conditional_objective(posterior(tasks), q_support, query)
    return objective - truth, log_evidence(query, q_support) - truth


def overshoot_table(tasks: Interactions, n_support: int, factors: Sequence[float]) -> pd.DataFrame:
    """`overshoot` over many users, a row a `factor`: means with 95 % intervals (nats) and share above 0."""
    rows = {}
    for factor in factors:
        objective, predictor = overshoot(tasks, n_support, factor)
        rows[f"{factor:g}"] = {
            "L − truth": str(estimate(objective)),
            "predictor − truth": str(estimate(predictor)),
            "users overshot": percent(objective > 0),
            "by at most": text(objective.max(), 3),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="s.d. times")


def empty_query_share(total: int, context_min: int = 20) -> float:
    r"""Share of draws in which the released sampler makes the target equal to the context.

    $n_c$ is uniform on `context_min`..`total - 1` and the extra targets on 0..`total - n_c - 1`, so the
    share is the mean of $1/(\text{total} - n_c)$.
    """
    left = np.arange(1, total - context_min + 1)
    return float(np.mean(1 / left))


def empty_query_count(total: int, context_min: int = 20) -> float:
    """The same share by counting: every context, and for each of them every target that can follow."""
    by_context = []
    for n_context in range(context_min, total):
        targets = [n_context + extra for extra in range(total - n_context)]
        by_context.append(np.mean([n_target == n_context for n_target in targets]))
    return float(np.mean(by_context))
