"""TaNP's bound and losses: closed forms against integrals, identities for random beliefs, estimates."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import multivariate_normal, norm
from torch.distributions import MultivariateNormal as Normal
from torch.distributions import kl_divergence
from torch.testing import assert_close

from metarec.derivations import check, elbo, losses, tightening
from metarec.derivations import linear_gaussian as lg
from metarec.errors import MetarecError, ProtocolError
from metarec.methods import tanp

SEEDS = st.integers(0, 2**31 - 1)
few = settings(max_examples=30, deadline=None)


def stream(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def users(
    seed: int, n: int = 9, dim: int = 2, noise: float = 0.5, tasks: tuple[int, ...] = ()
) -> lg.Interactions:
    return lg.simulate(n, dim, noise, stream(seed), tasks)


def belief(seed: int, dim: int = 2, tasks: tuple[int, ...] = ()) -> Normal:
    """Any Gaussian: random mean, random full covariance."""
    g = stream(seed)
    root = torch.randn(*tasks, dim, dim, generator=g, dtype=torch.float64)
    cov = root @ root.mT + 0.05 * torch.eye(dim, dtype=torch.float64)
    return Normal(torch.randn(*tasks, dim, generator=g, dtype=torch.float64), cov)


def diagonals(seed: int, d: int = 3, tasks: tuple[int, ...] = ()) -> tuple[tanp.Gaussian, tanp.Gaussian]:
    draws = torch.randn(4, *tasks, d, generator=stream(seed), dtype=torch.float64)
    return tanp.Gaussian(draws[0], draws[1]), tanp.Gaussian(draws[2], draws[3])


# Steps 1 and 2: the evidence


@pytest.mark.slow
def test_evidence_is_the_integral_over_z() -> None:
    user = users(0, n=5)
    w, y = user.features.numpy(), user.labels.numpy()

    def joint(b: float, a: float) -> float:
        likelihood = norm.pdf(y, w @ np.array([a, b]), user.noise).prod()
        return float(likelihood * norm.pdf(a) * norm.pdf(b))

    value, _ = integrate.dblquad(joint, -6, 6, -6, 6, epsabs=1e-12, epsrel=1e-9)
    assert float(lg.log_evidence(user)) == pytest.approx(np.log(value), abs=1e-7)


def test_evidence_is_scipys_multivariate_normal() -> None:
    user = users(1, dim=3)
    w = user.features.numpy()
    cov = w @ w.T + user.noise**2 * np.eye(user.n)
    assert float(lg.log_evidence(user)) == pytest.approx(
        multivariate_normal.logpdf(user.labels.numpy(), cov=cov)
    )


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_grid_agrees_without_gaussian_algebra(dim: int) -> None:
    user = users(2, dim=dim)
    assert_close(lg.log_evidence_grid(user), lg.log_evidence(user), rtol=0, atol=1e-10)


def test_grid_refuses_what_it_cannot_resolve() -> None:
    with pytest.raises(MetarecError, match="too narrow"):
        lg.log_evidence_grid(users(0, n=60, noise=0.02))
    with pytest.raises(MetarecError, match="4 dimensions"):
        lg.log_evidence_grid(users(0, dim=4))


@few
@given(SEEDS, st.integers(1, 8))
def test_order_does_not_matter_and_the_chain_rule_holds(seed: int, n_support: int) -> None:
    user = users(seed)
    shuffled = user[torch.randperm(user.n, generator=stream(seed))]
    assert_close(lg.log_evidence(shuffled), lg.log_evidence(user))
    support, query = user.split(n_support)
    parts = lg.log_evidence(support) + lg.log_evidence(query, lg.posterior(support))
    assert_close(parts, lg.log_evidence(user))
    assert_close(lg.posterior(query, lg.posterior(support)).mean, lg.posterior(user).mean)


def test_batched_users_equal_the_loop() -> None:
    many = users(3, tasks=(6,))
    q = belief(3, tasks=(6,))
    for i in range(6):
        one = replace(many, x=many.x[i], labels=many.labels[i])
        qi = Normal(q.mean[i], q.covariance_matrix[i])
        assert_close(lg.log_evidence(many)[i], lg.log_evidence(one))
        assert_close(elbo.elbo(q, many)[i], elbo.elbo(qi, one))


def test_sampling_covers_the_evidence() -> None:
    user = users(4)
    found = elbo.evidence_by_sampling(user, 50_000, stream(4))
    assert abs(found.mean - float(lg.log_evidence(user))) < 4 * found.error < 0.2


def test_a_support_must_leave_a_query() -> None:
    with pytest.raises(MetarecError, match="leaves no query"):
        users(0, n=3).split(3)


# Step 3: the bound


@few
@given(SEEDS, SEEDS, st.sampled_from([1, 2, 3]), st.floats(0.2, 3))
def test_gap_is_the_divergence_from_the_posterior(a: int, b: int, dim: int, noise: float) -> None:
    user, q = users(a, dim=dim, noise=noise), belief(b, dim)
    gap = lg.log_evidence(user) - elbo.elbo(q, user)
    # Relative to the size of the terms, which are large when the noise is small.
    assert_close(gap, kl_divergence(q, lg.posterior(user)), rtol=1e-9, atol=1e-10)
    assert float(gap) >= 0
    assert_close(elbo.elbo_joint(q, user), elbo.elbo(q, user), rtol=1e-9, atol=1e-10)


def test_bound_is_tight_at_the_posterior() -> None:
    user = users(5)
    assert_close(elbo.elbo(lg.posterior(user), user), lg.log_evidence(user), rtol=0, atol=1e-10)


def test_reconstruction_is_an_integral() -> None:
    user, q = users(6, n=4, dim=1), belief(6, 1)

    def integrand(z: float) -> float:
        mean = user.features.numpy()[:, 0] * z
        density = norm.pdf(z, float(q.mean), float(q.stddev))
        return float(density * norm.logpdf(user.labels.numpy(), mean, user.noise).sum())

    value, _ = integrate.quad(integrand, -30, 30, points=[float(q.mean)], limit=200)
    assert float(elbo.expected_log_likelihood(q, user)) == pytest.approx(value, abs=1e-8)


def test_expected_log_density_gives_entropy_and_divergence() -> None:
    q, p = belief(7, 3), belief(8, 3)
    assert_close(-elbo.expected_log_density(q, q), q.entropy())
    assert_close(elbo.expected_log_density(q, q) - elbo.expected_log_density(q, p), kl_divergence(q, p))


def test_log_weights_average_to_the_bound_and_exponentiate_to_the_evidence() -> None:
    user = users(9)
    q = elbo.widened(lg.posterior(user), 1.5)
    w = elbo.log_weights(q, user, 40_000, stream(9))
    found = check.estimate(w)
    assert abs(found.mean - float(elbo.elbo(q, user))) < 4 * found.error
    evidence = float(torch.logsumexp(w, 0)) - np.log(w.numel())
    assert evidence == pytest.approx(float(lg.log_evidence(user)), abs=0.05)


# Step 4: conditioning on the support


@few
@given(SEEDS, SEEDS, SEEDS)
def test_what_the_variational_prior_changes(a: int, b: int, c: int) -> None:
    user, q_task, q_support = users(a), belief(b), belief(c)
    support, query = user.split(3)
    p_support = lg.posterior(support)
    truth = lg.log_evidence(query, p_support)
    objective = elbo.conditional_objective(q_task, q_support, query)
    gap = elbo.prior_gap(q_task, q_support, p_support)
    assert_close(truth - objective, kl_divergence(q_task, lg.posterior(user)) - gap, rtol=1e-8, atol=1e-8)
    exact_prior = elbo.conditional_objective(q_task, p_support, query)
    assert_close(objective - exact_prior, gap, rtol=1e-8, atol=1e-8)
    assert float(exact_prior) <= float(truth) + 1e-9
    predictor = lg.log_evidence(query, q_support)
    assert_close(
        predictor - objective, kl_divergence(q_task, lg.posterior(query, q_support)), rtol=1e-8, atol=1e-8
    )


def test_single_users_overshoot_but_not_their_mean() -> None:
    objective, predictor = elbo.overshoot(users(10, tasks=(3000,)), 3, 1.0)
    assert bool((objective <= predictor + 1e-9).all())
    assert 0 < float((objective > 0).double().mean()) < 0.5
    mean = check.estimate(predictor)
    assert mean.mean + 5 * mean.error < 0


def test_free_beliefs_drive_the_objective_to_the_best_fit() -> None:
    user = users(11)
    support, query = user.split(3)
    q = elbo.best_fit(query)
    best = lg.log_likelihood(q.mean, query)
    assert_close(elbo.conditional_objective(q, q, query), best, rtol=0, atol=1e-6)
    assert float(best) > float(lg.log_evidence(query, lg.posterior(support)))
    for other in torch.randn(50, 2, generator=stream(0), dtype=torch.float64):
        assert float(lg.log_likelihood(other, query)) <= float(best)


@few
@given(SEEDS, SEEDS)
def test_a_target_with_the_context_bounds_a_doubled_likelihood(a: int, b: int) -> None:
    user, q = users(a), belief(b)
    once = lg.posterior(user.split(3)[0])
    gap = lg.log_evidence(user, once) - elbo.conditional_objective(q, once, user)
    assert_close(gap, kl_divergence(q, lg.posterior(user, once)), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("total", [21, 30, 56])
def test_empty_query_share_is_that_of_the_sampler(total: int) -> None:
    share = np.mean([np.mean([extra == 0 for extra in range(total - n)]) for n in range(20, total)])
    assert elbo.empty_query_share(total) == pytest.approx(float(share))


# Step 6: the divergence of diagonal Gaussians


@few
@given(SEEDS)
def test_diagonal_divergence(seed: int) -> None:
    q, p = diagonals(seed, tasks=(4,))
    ours = tanp.kl_gaussian(q, p)
    assert_close(ours, kl_divergence(losses.as_normal(q), losses.as_normal(p)))
    assert bool((ours >= 0).all())
    assert_close(tanp.kl_gaussian(q, q), torch.zeros_like(ours))


def test_divergence_is_an_integral() -> None:
    q, p = diagonals(12, d=1)

    def integrand(z: float) -> float:
        left = norm(float(q.mu), float(torch.exp(q.logvar / 2)))
        right = norm(float(p.mu), float(torch.exp(p.logvar / 2)))
        return float(left.pdf(z) * (left.logpdf(z) - right.logpdf(z)))

    value, _ = integrate.quad(integrand, -30, 30, points=[float(q.mu)], limit=200)
    assert float(tanp.kl_gaussian(q, p)) == pytest.approx(value, abs=1e-8)


def test_divergence_by_sampling() -> None:
    q, p = diagonals(13)
    found = losses.kl_by_sampling(q, p, 50_000, stream(13))
    assert abs(found.mean - float(tanp.kl_gaussian(q, p))) < 4 * found.error


# Steps 7 to 9: the losses


@few
@given(SEEDS, SEEDS, st.floats(0.2, 4))
def test_squared_error_plus_divergence_is_a_weighted_bound(a: int, b: int, noise: float) -> None:
    query, q, p = users(a, noise=noise), belief(b), belief(b ^ 1)
    weight = losses.beta(query.n, noise**2)
    bound = elbo.expected_log_likelihood(q, query) - weight * kl_divergence(q, p)
    scaled = -2 * noise**2 / query.n * bound - noise**2 * np.log(2 * np.pi * noise**2)
    assert_close(scaled, losses.loss_of_task(q, p, query), rtol=1e-9, atol=1e-9)


def test_weight_one_is_at_the_implied_noise() -> None:
    assert losses.beta(14, losses.implied_noise(14) ** 2) == pytest.approx(1.0)


def test_best_belief_for_the_loss_is_stationary_and_smallest() -> None:
    support, query = users(14).split(3)
    before = lg.posterior(support)
    best = losses.best_for_loss(before, query)
    mean = best.mean.clone().requires_grad_()
    root = torch.linalg.cholesky(best.covariance_matrix).requires_grad_()
    loss = losses.loss_of_task(Normal(mean, scale_tril=root), before, query)
    slopes = torch.autograd.grad(loss, [mean, root])
    assert float(slopes[0].abs().max()) < 1e-9
    assert float(slopes[1].tril().abs().max()) < 1e-9
    for seed in range(20):
        assert float(losses.loss_of_task(belief(seed), before, query)) >= float(loss.detach())


def test_loss_does_not_sharpen_with_more_queries() -> None:
    table = losses.posterior_widths(users(15, n=203), 3, [1, 10, 100, 200])
    assert table["exact"].is_monotonic_decreasing
    assert table["exact"].iloc[-1] < table["exact"].iloc[0] / 4
    assert table["loss"].iloc[-1] > table["loss"].iloc[0] / 1.5


@pytest.mark.parametrize("likelihood", ["mse", "bce"])
@few
@given(share=st.floats(0.02, 0.98))
def test_both_losses_are_least_at_the_conditional_mean(likelihood: losses.Likelihood, share: float) -> None:
    assert losses.best_prediction(share, likelihood) == pytest.approx(share, abs=1e-6)


def test_cross_entropy_by_hand() -> None:
    prediction = torch.tensor([0.25, 0.8], dtype=torch.float64)
    by_hand = -(0.3 * prediction.log() + 0.7 * (1 - prediction).log())
    assert_close(losses.expected_loss(0.3, prediction, "bce"), by_hand)
    assert_close(
        losses.expected_loss(0.3, prediction, "mse"), 0.3 * (1 - prediction) ** 2 + 0.7 * prediction**2
    )


def test_total_and_its_mini_batches() -> None:
    g = stream(16)
    recon, kl = torch.rand(2, 6, generator=g, dtype=torch.float64)
    c = torch.softmax(2 * torch.randn(6, 4, generator=g, dtype=torch.float64), -1)
    rows = losses.batches(6, 3)
    assert rows.shape == (20, 3)
    whole = losses.total_loss(recon, kl, losses.clustering_loss(c), 0.1)
    assert_close(whole, (recon + kl).sum() / 6 + 0.1 * losses.clustering_loss(c))
    assert_close(losses.total_loss(recon[rows], kl[rows], 0.0, 0.0).mean(), (recon + kl).mean())
    assert abs(float(losses.clustering_loss(c[rows]).mean() - losses.clustering_loss(c))) > 1e-3


def test_exact_gradient_is_the_slope() -> None:
    query = users(17).split(3)[1]
    _, prior = diagonals(17, 2)
    theta = torch.tensor([0.3, -0.4, -1.0, -2.0], dtype=torch.float64)

    def loss(t: torch.Tensor) -> torch.Tensor:
        q = tanp.Gaussian(*t.chunk(2))
        return elbo.squared_error(losses.as_normal(q), query) + tanp.kl_gaussian(q, prior)

    steps = 1e-6 * torch.eye(4, dtype=torch.float64)
    slope = torch.stack([(loss(theta + h) - loss(theta - h)) / 2e-6 for h in steps])
    assert_close(losses.exact_gradient(theta, prior, query), slope, rtol=1e-6, atol=1e-8)


def test_loss_of_task_by_its_two_detours() -> None:
    user = users(24)
    support, query = user.split(3)
    q_support, q_task = elbo.widened(lg.posterior(support), 1.3), elbo.widened(lg.posterior(user), 0.8)
    loss = losses.loss_of_task(q_task, q_support, query)
    for noise in (0.3, 1.0, 2.0):
        assert_close(losses.from_beta_bound(q_task, q_support, query, noise), loss)
    least = losses.loss_of_task(losses.best_for_loss(q_support, query), q_support, query)
    assert_close(losses.from_evidence(q_support, query, losses.implied_noise(query.n)), least)


def test_one_draw_gradients_are_unbiased_and_equal_the_loop() -> None:
    query = users(18).split(3)[1]
    _, prior = diagonals(18, 2)
    theta = torch.tensor([0.3, -0.4, -1.0, -2.0], dtype=torch.float64)
    draws = losses.one_draw_gradients(theta, prior, query, 20_000, stream(18))
    exact = losses.exact_gradient(theta, prior, query)
    assert losses.agreement(draws, exact) > 1e-4
    assert losses.agreement(draws, exact + 0.1) < 1e-10
    eps = torch.randn(20_000, 2, generator=stream(18), dtype=torch.float64)
    for i in range(3):
        leaf = theta.clone().requires_grad_()
        (slope,) = torch.autograd.grad(losses.one_draw_loss(leaf, eps[i], prior, query), leaf)
        assert_close(slope, draws[i])


# Step 10: tightening


def test_best_diagonal_in_closed_form() -> None:
    p = lg.posterior(users(19))
    precision = p.precision_matrix
    gap = 0.5 * (precision.diagonal().log().sum() - torch.logdet(precision))
    assert_close(kl_divergence(tightening.best_diagonal(p), p), gap)
    for factor in product([0.9, 1.1], repeat=2):
        other = elbo.diagonal(
            p.mean, tightening.best_diagonal(p).stddev * torch.tensor(factor, dtype=torch.float64)
        )
        assert float(kl_divergence(other, p)) > float(gap)


def test_free_beliefs_tighten_to_their_limits() -> None:
    user = users(20)
    limit = float(kl_divergence(tightening.best_diagonal(lg.posterior(user)), lg.posterior(user)))
    full, diagonal = tightening.tighten(user, "full"), tightening.tighten(user, "diagonal")
    assert full["gap"].iloc[-1] == pytest.approx(0.0, abs=1e-6)
    assert diagonal["gap"].iloc[-1] == pytest.approx(limit, abs=1e-6)
    assert (full["gap"] >= -1e-9).all()
    assert (diagonal["gap"] >= limit - 1e-9).all()


def test_encoders_see_a_set_and_never_its_size() -> None:
    many = users(21, tasks=(5,))
    encoders = tightening.Encoders(2, seeds=3).to(torch.float64)
    q = encoders(many)
    assert q.mean.shape == (3, 5, 2)
    assert_close(encoders(many[torch.randperm(many.n, generator=stream(0))]).mean, q.mean)
    twice = many[torch.arange(many.n).repeat(2)]
    assert_close(encoders(twice).stddev, q.stddev)
    assert bool((lg.posterior(twice).stddev < lg.posterior(many).stddev).all())


@pytest.mark.parametrize(("n", "noise"), [(9, 0.2), (60, 0.1)])
def test_free_beliefs_get_there_from_far_away(n: int, noise: float) -> None:
    user = users(23, n=n, noise=noise)
    limit = float(kl_divergence(tightening.best_diagonal(lg.posterior(user)), lg.posterior(user)))
    climb = tightening.tighten(user, "diagonal")
    assert climb["gap"].iloc[0] > 50
    assert climb["gap"].iloc[-1] == pytest.approx(limit, abs=1e-3)


def test_shared_encoders_improve_and_keep_the_family_gap() -> None:
    held_out = users(22, tasks=(100,))
    encoders, history = tightening.train_encoders(held_out, 2, stream(22), steps=60)
    assert history["gap"].iloc[-1] < 0.2 * history["gap"].iloc[0]
    lost = tightening.gaps(held_out, encoders)
    assert bool((lost["approximation"] >= 0).all()) and bool((lost["amortisation"] >= -1e-9).all())
    assert history["gap"].iloc[-1] == pytest.approx(float(sum(lost.values()).mean()))  # type: ignore[union-attr]


# The notebook's parameters and tables


def test_checks_refuse_what_does_not_hold() -> None:
    table = check.equal({"same": (1.0, 1.0 + 1e-13)})
    assert table.loc["same", "difference"] == "< 10⁻¹⁰"
    with pytest.raises(MetarecError, match=r"differ by 0\.1"):
        check.equal({"off": (1.0, 1.1)})
    with pytest.raises(MetarecError, match="nan"):
        check.equal({"undefined": (float("nan"), 1.0)})
    shown = check.covers({"mean": (0.0, check.Estimate(0.3, 0.1))})
    assert shown.loc["mean", "inside"] == "no"
    with pytest.raises(MetarecError, match="standard errors"):
        check.covers({"mean": (0.0, check.Estimate(0.6, 0.1))})
    with pytest.raises(MetarecError, match="at least two"):
        check.stacked(torch.ones(1))


@pytest.mark.parametrize(
    ("value", "shown"), [(1.23456, "1.235"), (-3e-16, "0"), (-20.0, "−20.00"), (0.5, "0.5000")]
)
def test_numbers_are_printed_alike_everywhere(value: float, shown: str) -> None:
    assert check.text(value) == shown


@pytest.mark.parametrize(
    "wrong",
    [
        {"profile": "fast"},
        {"track": "paper"},
        {"seeds": 1},
        {"dim": 4},
        {"noise": 0.0},
        {"n_interactions": 2},
    ],
)
def test_settings_refuse_what_the_notebook_cannot_run(wrong: dict[str, object]) -> None:
    good = {
        "profile": "quick",
        "track": "sound",
        "seeds": 5,
        "device": "cpu",
        "n_interactions": 12,
        "dim": 2,
        "noise": 0.5,
    }
    assert elbo.Settings(**good).n_support == 4  # type: ignore[arg-type]
    with pytest.raises(ProtocolError):
        elbo.Settings(**(good | wrong))  # type: ignore[arg-type]
