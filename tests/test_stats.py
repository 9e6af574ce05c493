"""Intervals, predictions and paired tests whose right answers are known; runs that diverged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_records import USERS, add, add_seeds
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from metarec.errors import RecordError
from metarec.runs.store import Store
from metarec.stats import intervals, tests
from metarec.stats.intervals import interval, prediction
from metarec.stats.runs import TIMES, emptied, limits, tame
from metarec.stats.samples import Sample, samples

TWO = {"P@5": 0.0, "MAE": 0.0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def sample(values: np.ndarray, label: str = "a", metrics: tuple[str, ...] = ("P@5",), **given: Any) -> Sample:
    seeds = tuple(range(len(values)))
    return Sample(label, seeds, given.get("splits", ("s",) * len(values)), metrics, values)


# --- intervals


def test_interval_over_seeds_is_students() -> None:
    x = [0.61, 0.64, 0.60, 0.66, 0.63]
    low, high = stats.t.interval(0.95, 4, loc=np.mean(x), scale=stats.sem(x))
    assert interval(x) == pytest.approx((np.mean(x), low, high))
    assert np.isnan(interval([0.5]).low)


def test_resampled_means_equal_the_loop_over_draws() -> None:
    values = np.random.default_rng(0).normal(size=(3, 7, 2))
    values[:, 2, 1] = np.nan  # a metric that is not defined for one user
    means = intervals.draws(values)
    for draw in range(25):
        picked = np.concatenate(
            [
                np.repeat(values[seed], users[draw].astype(int), axis=0)
                for seed, (taken, users) in enumerate(intervals._weights(3, 7, False))
                for _ in range(taken[draw].item())
            ]
        )
        assert len(picked) == 3 * 7
        np.testing.assert_allclose(means[draw], np.nanmean(picked, axis=0), rtol=1e-6)


def test_resampled_means_of_nested_users_equal_the_loop_over_draws() -> None:
    values = np.random.default_rng(0).normal(size=(3, 7, 2))
    means = intervals.draws(values, nested=True)
    for draw in range(25):
        picked = np.concatenate(
            [
                np.repeat(values[seed], users[time].astype(int), axis=0)
                for seed, (taken, users) in enumerate(intervals._weights(3, 7, True))
                for time in np.flatnonzero(taken == draw)
            ]
        )
        assert len(picked) == 3 * 7
        np.testing.assert_allclose(means[draw], picked.mean(0), rtol=1e-6)


def test_bootstrap_over_users_has_the_standard_error_of_a_mean() -> None:
    x = np.random.default_rng(2).normal(size=(1, 80, 1))
    assert intervals.draws(x).std() == pytest.approx(x.std() / np.sqrt(80), rel=0.05)


def test_draws_depend_on_the_shape_alone_so_that_gains_stay_paired() -> None:
    x = np.random.default_rng(3).normal(size=(5, 40, 1))
    np.testing.assert_allclose(intervals.draws(x + 1) - intervals.draws(x), 1.0, rtol=1e-6)


def test_one_value_a_seed_gets_students_t_in_draws_too() -> None:
    values = np.array([0.1, 0.2, 0.4])
    drawn = interval(values[:, None, None])
    exact = interval(values)
    assert (drawn.low[0], drawn.high[0]) == pytest.approx((exact.low, exact.high), rel=0.01)
    assert np.isnan(intervals.draws(values[:1, None, None])).all()


def test_a_statistic_with_draws_gets_their_percentiles() -> None:
    drawn = np.arange(1001.0)
    assert interval(500.0, drawn=drawn) == pytest.approx((500, 25, 975))


# --- where one more run would lie


def covered(rng: np.random.Generator, nested: bool, sigmas: tuple[float, float, float]) -> bool:
    """Whether a new run (one seed, other users) lies inside the interval that five seeds predict."""
    of_seed, of_user, rest = sigmas
    users, count = 40, 5
    seed, user = rng.normal(0, of_seed, (count + 1, 1)), rng.normal(0, of_user, (count + 1, users))
    if not nested:  # ours share their users; the new run has its own
        user[:count] = user[0]
    values = seed + user + rng.normal(0, rest, (count + 1, users))
    ours, theirs = values[:count], values[count].mean()
    found = prediction(ours.mean(1), users=None if nested else ours.mean(0))
    return bool(found.low <= theirs <= found.high)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("sigmas", [(1.0, 1.0, 1.0), (0.05, 2.0, 0.5), (1.0, 0.2, 0.2)])
def test_a_prediction_covers_new_runs_as_often_as_it_says(
    nested: bool, sigmas: tuple[float, float, float]
) -> None:
    rng = np.random.default_rng(1)
    share = np.mean([covered(rng, nested, sigmas) for _ in range(1500)])
    assert 0.93 < share < 0.985  # users' variance holds a share of the rest, so it errs on the wide side


def test_a_prediction_adds_seeds_and_users() -> None:
    means, users = [0.5, 0.6, 0.7], np.random.default_rng(0).normal(size=50)
    found = prediction(means, users=users)
    of_seeds, of_users = 0.01 * (1 + 1 / 3), 2 * users.var(ddof=1) / 50
    total = of_seeds + of_users
    freedom = total**2 / (of_seeds**2 / 2 + of_users**2 / 49)
    half = stats.t.ppf(0.975, freedom) * np.sqrt(total)
    assert found == pytest.approx((0.6, 0.6 - half, 0.6 + half))


def test_a_floor_has_the_variance_of_users_only_and_one_trained_run_none() -> None:
    users = np.random.default_rng(0).normal(size=50)
    floor = prediction([users.mean()], users=users)
    half = stats.t.ppf(0.975, 49) * np.sqrt(2 * users.var(ddof=1) / 50)
    assert floor.high - floor.mean == pytest.approx(half)
    assert np.isnan(prediction([0.5]).low)


# --- tests


def test_a_constant_lead_has_no_width_and_the_sign_of_the_metric() -> None:
    base = np.random.default_rng(4).uniform(1, 2, (5, USERS, 2))
    lead = sample(base + 0.25, "a", ("P@5", "MAE"))
    row = tests.compare(lead, sample(base, "b", ("P@5", "MAE"))).set_index("metric")
    np.testing.assert_allclose(row[["gain", "low", "high"]].loc["P@5"].astype(float), 0.25)
    np.testing.assert_allclose(row[["gain", "low", "high"]].loc["MAE"].astype(float), -0.25)
    assert list(row["sign"]) == ["+", "-"]
    relative = 0.25 / base[..., 0].mean()
    assert row.loc["P@5", "relative"] == pytest.approx(relative)
    assert row.loc["P@5", "relative_low"] < relative < row.loc["P@5", "relative_high"]


def test_comparison_is_antisymmetric_and_agrees_with_scipy() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.1, 1, (5, USERS, 1)), rng.normal(0, 1, (5, USERS, 1))
    ab = tests.compare(sample(x), sample(y, "b")).iloc[0]
    ba = tests.compare(sample(y, "b"), sample(x)).iloc[0]
    users = (x - y).mean(0)[:, 0]
    assert ab["gain"] == pytest.approx(users.mean()) == pytest.approx(-ba["gain"])
    assert ab["low"] == pytest.approx(-ba["high"])
    assert ab["p"] == pytest.approx(stats.wilcoxon(users).pvalue) == pytest.approx(ba["p"])
    assert ab["effect"] == pytest.approx(users.mean() / users.std(ddof=1))
    assert ab["n"] == USERS and ab["seeds"] == 5


def test_equal_methods_are_no_evidence() -> None:
    x = np.random.default_rng(6).normal(size=(5, 9, 1))
    row = tests.compare(sample(x), sample(x.copy(), "b")).iloc[0]
    assert (row["p"], row["gain"], row["sign"], row["effect"]) == (1.0, 0.0, "0", 0.0)


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five() -> None:
    size = tests.detectable(sd=2.0, n=66)
    assert TTestPower().power(size / 2.0, 66, 0.05) == pytest.approx(0.8, abs=1e-4)


def test_holm_steps_down() -> None:
    frame = pd.DataFrame({"p": [0.01, 0.04, 0.03, 0.005], "sign": ["+", "-", "+", "0"]})
    judged = tests.holm(frame)
    # sorted: .005 .01 .03 .04, times 4 3 2 1, made monotone
    assert list(judged["holm"]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert list(judged["clear"]) == ["+", "0", "0", "0"]


def test_seeds_that_disagree_make_no_clear_difference_however_sure_the_users_are() -> None:
    users = np.random.default_rng(8).normal(size=(1, 400, 1))
    by_seed = np.array([0.9, 0.8, -0.5])[:, None, None]  # four hundred users each say the same of a seed
    row = tests.holm(tests.compare(sample(0.1 * users + by_seed), sample(np.zeros((3, 400, 1)), "b"))).iloc[0]
    assert row["holm"] < 1e-9 and row["low"] < 0 < row["high"]
    assert row["clear"] == "0"


def test_a_floor_stands_beside_every_seed() -> None:
    x = np.random.default_rng(7).normal(size=(5, 8, 1))
    floor = sample(np.zeros((1, 8, 1)), "floor")
    assert tests.compare(sample(x), floor).iloc[0]["gain"] == pytest.approx(x.mean())


def test_users_of_unlike_splits_are_never_paired() -> None:
    x = np.zeros((2, 4, 1))
    with pytest.raises(RecordError, match="not scored on the same users"):
        tests.compare(sample(x, splits=("s", "t")), sample(x, "b", splits=("s", "u")))


def test_users_nested_in_seeds_are_tested_one_by_one() -> None:
    x = np.random.default_rng(8).normal(size=(3, 10, 1))
    splits = ("s", "t", "u")
    assert tests.compare(sample(x, splits=splits), sample(0 * x, "b", splits=splits)).iloc[0]["n"] == 30


def test_samples_leave_a_diverged_seed_out_and_refuse_mixtures(store: Store) -> None:
    records = add_seeds(store, "a", TWO, seeds=2)
    records.append(add(store, "a", {m: np.nan for m in TWO}, seed=2))
    assert samples(records, store, ["P@5"])["a"].seeds == (0, 1)
    other = add(store, "a", {m: np.zeros(USERS) for m in TWO}, seed=3, options={"lr": 1.0})
    with pytest.raises(RecordError, match="several settings"):
        samples([*records, other], store, ["P@5"])
    with pytest.raises(RecordError, match="mixed"):
        samples([*records, replace(other, track="sound")], store, ["P@5"])


def test_holm_is_that_of_statsmodels() -> None:
    p = np.random.default_rng(2).uniform(size=30) ** 3
    np.testing.assert_allclose(tests.holm_adjusted(p), multipletests(p, method="holm")[1])


def test_one_difference_a_seed_is_tested_by_students_t() -> None:
    curve = np.array([0.1, 0.2, 0.15, 0.12, 0.18])[:, None, None]
    row = tests.compare(sample(curve), sample(0 * curve, "b")).iloc[0]
    assert row["p"] == pytest.approx(stats.ttest_1samp(curve.ravel(), 0).pvalue)
    assert row["sign"] == "+" and row["p"] < 0.05


# --- runs that diverged


def test_a_run_ten_times_worse_than_a_constant_is_emptied(store: Store) -> None:
    records = [add(store, "Global mean", {"MAE": 0.9, "MSE": 1.21}, seed=s) for s in range(3)]
    near = add(store, "a", {"MAE": 0.95 * TIMES, "MSE": 2.0}, seed=0)
    wild = add(store, "a", {"MAE": 54.26, "MSE": 2.0}, seed=1)
    some = add(store, "a", {"MAE": 1.2, "MSE": 2090.0}, seed=2)  # a few users alone
    kept = emptied([*records, near, wild, some])
    assert limits(records) == {("lastfm-tanp", "published"): pytest.approx(11.0)}
    assert [np.isnan(r.metrics["MAE"]) for r in kept[3:]] == [False, True, True]
    assert kept[:4] == [*records, near]
    assert samples(kept[3:], store, ["MAE"])["a"].seeds == (0,)


def test_the_median_run_stands_in_for_a_constant_and_other_data_for_nothing(store: Store) -> None:
    runs = [add(store, "a", {"MAE": m}, seed=s) for s, m in enumerate((0.8, 0.9, 1.0, 266.0))]
    other = replace(runs[-1], dataset="other")
    kept = emptied([*runs, other])
    assert [np.isnan(r.metrics["MAE"]) for r in kept] == [False, False, False, True, False]


def test_a_curve_has_no_value_where_it_diverged() -> None:
    np.testing.assert_array_equal(tame("MAE", np.array([1.0, 54.0, 2.0]), 10.0), [1.0, np.nan, 2.0])
    np.testing.assert_array_equal(tame("MSE", np.array([99.0, 101.0]), 10.0), [99.0, np.nan])
