"""Intervals, tests and predictions of one model: worked by hand, invariant, covering what they promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from metarec.stats.intervals import Estimate, estimate, interval, prediction, weighted

RUNS = 2000
Design = tuple[int, int, bool]  # seeds, users, nested
SEEDS, USERS, BOTH = (1.0, 0.1, 0.2), (0.02, 1.0, 0.3), (0.3, 1.0, 1.0)


# --- worked by hand


def test_one_value_a_seed_is_students_t() -> None:
    x = [0.61, 0.64, 0.60, 0.66, 0.63]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(x), scale=stats.sem(x))
    assert interval(x) == pytest.approx((np.mean(x), low, high))
    assert interval(np.reshape(x, (5, 1, 1))) == pytest.approx((np.mean(x), low, high))
    assert estimate(x).p == pytest.approx(stats.ttest_1samp(x, 0).pvalue)
    assert np.isnan(interval([0.5]).low) and estimate([0.5]).p == 1.0


def test_one_seed_is_students_t_over_users() -> None:
    x = np.random.default_rng(0).normal(0.3, 1, (1, 40))
    assert estimate(x).p == pytest.approx(stats.ttest_1samp(x[0], 0).pvalue)
    assert estimate(x, nested=True) == estimate(x)


def test_a_table_of_two_seeds_and_three_users() -> None:
    table = np.array([[1.0, 2.0, 6.0], [3.0, 6.0, 6.0]])
    # Means of seeds 3 and 5, of users 2, 4 and 6, of all 4.
    # MS_seeds = 3 (1 + 1) / 1 = 6; MS_users = 2 (4 + 0 + 4) / 2 = 8; the rest is +-1 but for user 2's zeros:
    rest = np.array([[0.0, -1.0, 1.0], [0.0, 1.0, -1.0]])
    np.testing.assert_array_equal(table - [[3], [5]] - [[2, 4, 6]] + 4, rest)
    # MS_rest = 4 / 2 = 2, so that the seeds' part is 6 / 6 = 1 and the users' (8 - 2) / 6 = 1.
    found = estimate(table)
    assert found.mean == 4
    assert found.parts == (pytest.approx((1.0, 1)), pytest.approx((1.0, 2)))
    half = np.sqrt(stats.t.ppf(0.975, 1) ** 2 + stats.t.ppf(0.975, 2) ** 2)
    assert interval(table) == pytest.approx((4, 4 - half, 4 + half))
    assert estimate(table, nested=True).parts == (pytest.approx((1.0, 1)),)


def test_users_that_add_nothing_leave_students_t_over_seeds() -> None:
    rest = np.random.default_rng(1).normal(size=(4, 30))
    values = rest - rest.mean(0)  # every user has the same mean: MS_users is 0, its part is cut at 0
    (_, (users, freedom)) = estimate(values + np.array([[1.0], [2.0], [3.0], [5.0]])).parts
    assert (users, freedom) == (0.0, 29)


def test_what_is_undefined_is_left_out() -> None:
    x = np.random.default_rng(2).normal(size=(4, 30))
    lost, gone = x.copy(), np.delete(np.delete(x, 2, 0), 7, 1)
    lost[2], lost[:, 7] = np.nan, np.nan
    assert estimate(lost) == estimate(gone)
    lost = x.copy()
    lost[0, :10] = np.nan
    assert estimate(lost).mean == pytest.approx(x[:, 10:].mean())
    by_seed = [x[0, 10:].mean(), *x[1:].mean(1)]
    assert estimate(lost, nested=True).p == pytest.approx(estimate(by_seed).p)
    assert estimate(np.full((2, 3), np.nan)).parts == ()


# --- invariances


@pytest.mark.parametrize("nested", [False, True])
def test_a_constant_shifts_a_factor_scales_and_order_is_nothing(nested: bool) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(5, 40)) + rng.normal(size=40) + rng.normal(size=(5, 1))
    here = np.array(interval(x, nested=nested))
    np.testing.assert_allclose(interval(x + 7, nested=nested), here + 7)
    np.testing.assert_allclose(interval(3 * x, nested=nested), 3 * here)
    np.testing.assert_allclose(interval(-x, nested=nested), -here[[0, 2, 1]])
    shuffled = x[rng.permutation(5)][:, rng.permutation(40)]
    np.testing.assert_allclose(interval(shuffled, nested=nested), here)
    assert estimate(-3 * x, nested=nested).p == pytest.approx(estimate(x, nested=nested).p)


@pytest.mark.parametrize("nested", [False, True])
def test_a_test_and_its_interval_agree_at_every_level(nested: bool) -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        x = rng.normal(size=(3, 20)) + rng.normal(size=20) + rng.normal(0.5, 1, (3, 1))
        one = estimate(x, nested=nested)
        assert one.half(one.p) == pytest.approx(abs(one.mean))
        assert (one.p < 0.05) == (one.interval().low > 0 or one.interval().high < 0)


def test_no_scatter_is_certain_unless_there_is_no_difference() -> None:
    assert estimate(np.full((3, 4), 0.25)).p == 0.0
    assert estimate(np.zeros((3, 4))).p == 1.0


def test_a_sum_of_independent_means_adds_their_variances() -> None:
    rng = np.random.default_rng(5)
    a, b = (estimate(rng.normal(size=(5, 30))) for _ in range(2))
    both = weighted([a, b], [0.25, 0.75])
    assert both.mean == pytest.approx(0.25 * a.mean + 0.75 * b.mean)
    assert both.error**2 == pytest.approx(0.0625 * a.error**2 + 0.5625 * b.error**2)


# --- what could have been seen


def test_the_detectable_size_is_that_of_a_t_test_with_80_percent_power() -> None:
    one = estimate(np.random.default_rng(6).normal(size=(1, 66)))
    power = TTestPower().power(one.detectable / one.error / np.sqrt(66), 66, 0.05)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    rng = np.random.default_rng(7)
    values = made(rng, (5, 60, False), USERS)
    size = np.mean([estimate(v).detectable for v in values[:200]])
    assert np.mean([estimate(v + size).p < 0.05 for v in values]) == pytest.approx(0.8, abs=0.04)


# --- coverage


def made(rng: np.random.Generator, design: Design, sigmas: Any, *, skewed: bool = False) -> np.ndarray:
    """Tables of the model around a mean of zero, `[runs, seeds, users]`; skewed ones are absolute errors."""
    seeds, users, nested = design

    def noise(*shape: int) -> np.ndarray:
        z = rng.normal(size=shape)
        return (np.abs(z) - np.sqrt(2 / np.pi)) / np.sqrt(1 - 2 / np.pi) if skewed else z

    of_seed, of_user, rest = sigmas
    return (
        of_seed * rng.normal(size=(RUNS, seeds, 1))
        + of_user * noise(RUNS, seeds if nested else 1, users)
        + rest * noise(RUNS, seeds, users)
    )


def coverage(values: np.ndarray, nested: bool, level: float = 0.95) -> float:
    """How often the interval holds the true mean, zero."""
    each = (estimate(v, nested=nested) for v in values)
    return float(np.mean([abs(one.mean) <= one.half(1 - level) for one in each]))


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("users", [20, 500])
@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("sigmas", [SEEDS, USERS, BOTH])
def test_intervals_cover_as_often_as_they_say(sigmas: Any, seeds: int, users: int, nested: bool) -> None:
    rng = np.random.default_rng([seeds, users, nested])
    assert 0.935 <= coverage(made(rng, (seeds, users, nested), sigmas), nested) <= 0.985


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("users", [20, 500])
def test_intervals_of_skewed_values_cover(users: int, nested: bool) -> None:
    rng = np.random.default_rng([users, nested])
    values = made(rng, (5, users, nested), USERS, skewed=True)
    assert stats.skew(values.ravel()) > 0.8
    assert 0.93 <= coverage(values, nested) <= 0.985


def test_far_tails_are_no_thinner_than_they_say() -> None:
    """Holm's correction looks there: at 0.5 % Satterthwaite's single t finds too much, this does not."""
    values = made(np.random.default_rng(8), (5, 60, False), (0.5, 1.0, 0.5))
    assert 1 - coverage(values, False, 0.995) <= 0.006


def test_splits_that_share_users_are_independent_given_the_data_set() -> None:
    """One user in five is tested, drawn anew for each seed; the mean is that over the users there are."""
    rng, (seeds, users, every) = np.random.default_rng(9), (5, 40, 200)
    found = []
    for _ in range(RUNS):
        level = rng.normal(size=every)
        tested = [rng.choice(every, users, replace=False) for _ in range(seeds)]
        values = level[tested] - level.mean() + rng.normal(0, 0.05, (seeds, 1))
        one = estimate(values, nested=True)
        found.append(abs(one.mean) <= one.half())
    assert 0.935 <= np.mean(found) <= 0.965


def percentiles(values: np.ndarray, rng: np.random.Generator) -> Any:
    """The interval of a bootstrap over seeds and users, which this model replaced."""
    seeds, users = values.shape
    s, u = rng.integers(seeds, size=(500, seeds, 1)), rng.integers(users, size=(500, 1, users))
    return np.quantile(values[s, u].mean((1, 2)), [0.025, 0.975])


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_percentile_bootstrap_would_not_pass(seeds: int) -> None:
    rng = np.random.default_rng(10)
    ends = np.array([percentiles(v, rng) for v in made(rng, (seeds, 20, False), SEEDS)[:400]])
    assert np.mean((ends[:, 0] <= 0) & (ends[:, 1] >= 0)) < 0.91


# --- where one more run would lie


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("sigmas", [(1.0, 1.0, 1.0), (0.05, 2.0, 0.5), (1.0, 0.2, 0.2)])
def test_a_prediction_covers_new_runs_as_often_as_it_says(nested: bool, sigmas: Any) -> None:
    rng = np.random.default_rng(1)
    ours = made(rng, (5, 40, nested), sigmas)
    theirs = made(rng, (1, 40, nested), sigmas).mean((1, 2))  # another seed on other users
    found = [prediction(v.mean(1), users=None if nested else v.mean(0)) for v in ours]
    inside = [one.low <= new <= one.high for one, new in zip(found, theirs, strict=True)]
    assert 0.93 < np.mean(inside) < 0.99  # users' variance holds a share of the rest: on the wide side


def test_a_prediction_adds_seeds_and_users() -> None:
    means, users = [0.5, 0.6, 0.7], np.random.default_rng(0).normal(size=50)
    of_seeds, of_users = 0.01 * (1 + 1 / 3), 2 * users.var(ddof=1) / 50
    known = Estimate(0.6, ((of_seeds, 2), (of_users, 49)))
    assert prediction(means, users=users) == pytest.approx(known.interval())


def test_a_floor_has_the_variance_of_users_only_and_one_trained_run_none() -> None:
    users = np.random.default_rng(0).normal(size=50)
    floor = prediction([users.mean()], users=users)
    half = stats.t.ppf(0.975, 49) * np.sqrt(2 * users.var(ddof=1) / 50)
    assert floor.high - floor.mean == pytest.approx(half)
    assert np.isnan(prediction([0.5]).low)
