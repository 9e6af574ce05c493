r"""From the likelihood to the losses that TaNP trains (Lin et al., WWW 2021, section 4.6, Eqs 17-19)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from math import log, pi
from typing import Literal

import pandas as pd
import torch
from scipy import optimize, stats
from torch import Generator, Tensor
from torch.distributions import MultivariateNormal as Normal
from torch.distributions import kl_divergence

from metarec.derivations.check import Estimate, estimate, text
from metarec.derivations.elbo import diagonal, expected_log_likelihood, squared_error, width
from metarec.derivations.linear_gaussian import Interactions, draw, log_evidence, posterior
from metarec.methods import tanp

Likelihood = Literal["mse", "bce"]


def as_normal(q: tanp.Gaussian) -> Normal:
    r"""TaNP's encoder output, mean and log-variance `[..., d]`, as a distribution."""
    return diagonal(q.mu, torch.exp(0.5 * q.logvar))


def kl_by_sampling(q: tanp.Gaussian, p: tanp.Gaussian, draws: int, generator: Generator) -> Estimate:
    r"""$E_q[\log q(z) - \log p(z)]$ from draws of $q$, with its standard error."""
    left, right = as_normal(q), as_normal(p)
    z = draw(left, draws, generator)
    return estimate(left.log_prob(z) - right.log_prob(z))


def beta(n_query: int, variance: float) -> float:
    r"""Weight of the KL that a mean squared error plus KL implies, $\beta = N_Q / (2\sigma^2)$."""
    return n_query / (2 * variance)


def implied_noise(n_query: int) -> float:
    r"""The noise s.d. $\sqrt{N_Q/2}$ at which mean squared error plus KL is the plain bound, $\beta = 1$."""
    return (n_query / 2) ** 0.5


def loss_of_task(q_task: Normal, q_support: Normal, predicted: Interactions) -> Tensor:
    r"""$L_r + L_c$ as TaNP trains it: mean squared error plus KL, `[...]`; a loss, so lower is better."""
    return squared_error(q_task, predicted) + kl_divergence(q_task, q_support)


def from_beta_bound(q_task: Normal, q_support: Normal, predicted: Interactions, noise: float) -> Tensor:
    r"""`loss_of_task`, by way of the weighted bound under `noise`: the same number for every $\sigma$.

    $-\frac{2\sigma^2}{N}\big[E_q \log p(y | x, z) - \beta\,KL\big] - \sigma^2 \log 2\pi\sigma^2$ with
    $\beta = N / (2\sigma^2)$.
    """
    data = replace(predicted, noise=noise)
    kl = kl_divergence(q_task, q_support)
    bound = expected_log_likelihood(q_task, data) - beta(data.n, noise**2) * kl
    return -2 * noise**2 / data.n * bound - noise**2 * log(2 * pi * noise**2)


def from_evidence(q_support: Normal, predicted: Interactions, noise: float) -> Tensor:
    r"""The least `loss_of_task`, from the evidence under the implied noise: minus it, less its constant."""
    constant = predicted.n / 2 * log(2 * pi * noise**2)
    return -log_evidence(replace(predicted, noise=noise), q_support) - constant


def weights(sizes: Sequence[int], noises: Sequence[float]) -> pd.DataFrame:
    """For each size of the query: the implied noise, and the weight of the KL under other noises."""
    table = {"implied σ (β = 1)": [text(implied_noise(n), 3) for n in sizes]}
    table |= {f"β if σ = {sd:g}": [f"{beta(n, sd**2):g}" for n in sizes] for sd in noises}
    return pd.DataFrame(table, index=[f"{n}" for n in sizes]).rename_axis(columns="query size")


def best_for_loss(q_support: Normal, predicted: Interactions) -> Normal:
    r"""The Gaussian $q(z|\tau)$ that minimises `loss_of_task`: the posterior under noise $\sqrt{N_Q/2}$."""
    return posterior(replace(predicted, noise=implied_noise(predicted.n)), q_support)


def posterior_widths(user: Interactions, n_support: int, counts: list[int]) -> pd.DataFrame:
    r"""Typical s.d. of $z$ (geometric mean over directions) after `counts` queries of one user.

    `exact` is $p(z | \tau)$; `loss` is what the mean squared error plus KL asks for, with the exact $p(z |
    S)$.
    """
    support, query = user.split(n_support)
    before = posterior(support)
    rows = []
    for n in counts:
        exact, loss = posterior(query[:n], before), best_for_loss(before, query[:n])
        rows.append({"n_query": n} | {k: float(width(q)) for k, q in (("exact", exact), ("loss", loss))})
    return pd.DataFrame(rows)


def expected_loss(share: float, prediction: Tensor, likelihood: Likelihood) -> Tensor:
    r"""$\pi\,\ell(1, \hat y) + (1-\pi)\,\ell(0, \hat y)$ for a 0/1 label that is 1 with probability `share`.

    `prediction` $\hat y$ `[m]` in (0, 1); $\ell$ is the squared error or the cross-entropy that
    `metarec.methods.tanp` trains. Implements eq-tanp-18.
    """
    output = (torch.logit(prediction) if likelihood == "bce" else prediction).unsqueeze(-1)
    everywhere = torch.ones_like(output, dtype=torch.bool)
    one, zero = (
        tanp.reconstruction(output, torch.full_like(output, label), everywhere, likelihood)
        for label in (1.0, 0.0)
    )
    return share * one + (1 - share) * zero


def best_prediction(share: float, likelihood: Likelihood) -> float:
    """The prediction in (0, 1) with the smallest `expected_loss`, by search."""

    def loss(prediction: float) -> float:
        return float(expected_loss(share, torch.tensor([prediction], dtype=torch.float64), likelihood))

    return float(
        optimize.minimize_scalar(loss, bounds=(1e-6, 1 - 1e-6), method="bounded", options={"xatol": 1e-9}).x
    )


def total_loss(reconstruction: Tensor, kl: Tensor, cluster: Tensor | float, weight: float) -> Tensor:
    r"""$\frac1T\sum_i (L_{r,i} + L_{c,i}) + \lambda L_u$ from terms `[..., tasks]`. Implements eq-tanp-19."""
    return (reconstruction + kl).mean(-1) + weight * cluster


def terms_of_tasks(tasks: Interactions, n_support: int) -> tuple[Tensor, Tensor]:
    r"""$L_r$ and $L_c$ of each task, with exact posteriors for both beliefs: `[tasks]` each."""
    support, query = tasks.split(n_support)
    q_task, q_support = posterior(tasks), posterior(support)
    return squared_error(q_task, query), kl_divergence(q_task, q_support)


def random_assignments(tasks: int, k: int, generator: Generator) -> Tensor:
    """Soft assignments of `tasks` to `k` clusters, `[tasks, k]`, rows summing to one."""
    logits = torch.randn(tasks, k, generator=generator, dtype=torch.float64, device=generator.device)
    return torch.softmax(2 * logits, -1)


def clustering_loss(c: Tensor) -> Tensor:
    r"""$\frac1B \sum_{ij} D_{ij} \log(D_{ij} / C_{ij})$ of assignments `[..., tasks, k]`."""
    d = tanp.cluster_target(c)
    return (d * (d / c).log()).sum(-1).mean(-1)


def batches(tasks: int, size: int) -> Tensor:
    """Every mini-batch of `size` out of `tasks` tasks, as indices `[batches, size]`."""
    return torch.tensor(list(combinations(range(tasks), size)))


def one_draw_loss(theta: Tensor, eps: Tensor, prior: tanp.Gaussian, query: Interactions) -> Tensor:
    r"""$L_r + L_c$ with one draw $z = \mu + \epsilon \odot e^{s/2}$, from `theta` $= [\mu | s]$ `[2d]`."""
    mu, s = theta.chunk(2)
    z = mu + eps * torch.exp(0.5 * s)
    error = (query.labels - query.features @ z).square().mean()
    return error + tanp.kl_gaussian(tanp.Gaussian(mu, s), prior)


def one_draw_gradients(
    theta: Tensor, prior: tanp.Gaussian, query: Interactions, draws: int, generator: Generator
) -> Tensor:
    """Gradients of `one_draw_loss` by `theta`, one for each of `draws` draws: `[draws, 2d]`."""
    eps = torch.randn(draws, theta.numel() // 2, generator=generator, dtype=theta.dtype, device=theta.device)
    gradient = torch.func.grad(lambda t, e: one_draw_loss(t, e, prior, query))
    return torch.func.vmap(gradient, in_dims=(None, 0))(theta, eps)


def exact_gradient(theta: Tensor, prior: tanp.Gaussian, query: Interactions) -> Tensor:
    """Gradient of the loss with its expectation taken exactly: `[2d]`."""

    def loss(t: Tensor) -> Tensor:
        q = tanp.Gaussian(*t.chunk(2))
        return squared_error(as_normal(q), query) + tanp.kl_gaussian(q, prior)

    return torch.func.grad(loss)(theta)


def agreement(draws: Tensor, exact: Tensor) -> float:
    r"""p-value of Hotelling's test that `draws` `[n, k]` have the mean `exact` `[k]`, all entries at once."""
    n, k = draws.shape
    off = draws.mean(0) - exact
    t2 = float(n * off @ torch.linalg.solve(torch.cov(draws.T), off))
    return float(stats.f.sf(t2 * (n - k) / (k * (n - 1)), k, n - k))
