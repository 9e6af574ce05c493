"""Paired tests whose right answers are known, A against A, the best of several; runs that diverged."""

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

from metarec.errors import RecordError
from metarec.papers.tanp.tables import NINE, TABLE4
from metarec.runs.store import Store
from metarec.show import null
from metarec.stats import tests
from metarec.stats.crossfit import crossfit
from metarec.stats.null import against_itself, simulated
from metarec.stats.runs import TIMES, emptied, limits, tame
from metarec.stats.samples import Sample, gains, relative, samples

TWO = {"P@5": 0.0, "MAE": 0.0}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def sample(values: np.ndarray, label: str = "a", metrics: tuple[str, ...] = ("P@5",), **given: Any) -> Sample:
    seeds = tuple(range(len(values)))
    return Sample(label, seeds, given.get("splits", ("s",) * len(values)), metrics, values)


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


def test_comparison_is_antisymmetric() -> None:
    rng = np.random.default_rng(5)
    x, y = rng.normal(0.1, 1, (5, USERS, 1)), rng.normal(0, 1, (5, USERS, 1))
    ab = tests.compare(sample(x), sample(y, "b")).iloc[0]
    ba = tests.compare(sample(y, "b"), sample(x)).iloc[0]
    users = (x - y).mean(0)[:, 0]
    assert ab["gain"] == pytest.approx(users.mean()) == pytest.approx(-ba["gain"])
    assert ab["low"] == pytest.approx(-ba["high"])
    assert ab["p"] == pytest.approx(ba["p"])
    assert ab["effect"] == pytest.approx(users.mean() / users.std(ddof=1))
    assert ab["n"] == USERS and ab["seeds"] == 5


def test_equal_methods_are_no_evidence() -> None:
    x = np.random.default_rng(6).normal(size=(5, 9, 1))
    row = tests.compare(sample(x), sample(x.copy(), "b")).iloc[0]
    assert (row["p"], row["gain"], row["sign"], row["effect"]) == (1.0, 0.0, "0", 0.0)


def test_a_relative_gain_has_the_interval_of_a_ratio() -> None:
    rng = np.random.default_rng(9)
    x, y = (sample(rng.normal(mean, 0.1, (1, 400, 1)), name) for mean, name in ((1.2, "a"), (1.0, "b")))
    row = tests.compare(x, y).iloc[0]
    ratio = x.values.mean() / y.values.mean() - 1
    assert row["relative"] == pytest.approx(ratio)
    u = rng.integers(400, size=(4000, 400))  # the draws of a bootstrap, fit for hundreds of users
    drawn = x.values[0, u, 0].mean(1) / y.values[0, u, 0].mean(1) - 1
    assert row["relative_high"] - row["relative_low"] == pytest.approx(3.92 * drawn.std(), rel=0.05)
    doubled = relative(*gains(x, replace(y, values=2 * y.values)))
    assert doubled.values.mean() == pytest.approx(x.values.mean() / (2 * y.values.mean()) - 1)


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
    assert row["low"] < 0 < row["high"] and row["holm"] > 0.05
    assert row["clear"] == "0"


def test_a_floor_stands_beside_every_seed() -> None:
    x = np.random.default_rng(7).normal(size=(5, 8, 1))
    floor = sample(np.zeros((1, 8, 1)), "floor")
    assert tests.compare(sample(x), floor).iloc[0]["gain"] == pytest.approx(x.mean())


def test_users_of_unlike_splits_are_never_paired() -> None:
    x = np.zeros((2, 4, 1))
    with pytest.raises(RecordError, match="not scored on the same users"):
        tests.compare(sample(x, splits=("s", "t")), sample(x, "b", splits=("s", "u")))


def test_users_nested_in_seeds_are_counted_one_by_one() -> None:
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


# --- A against A


def test_a_method_differs_from_itself_as_often_as_the_level_says() -> None:
    rng = np.random.default_rng(11)
    shares = []
    for of_seed in (0.02, 0.3):
        levels = rng.normal(size=(1, 80, 1)) + of_seed * rng.normal(size=(5, 1, 1))
        values = levels + rng.normal(size=(5, 80, 1))
        shares.append(simulated(sample(values), "P@5"))
    assert max(shares) <= 0.06 and min(shares) >= 0.02


def test_every_two_seeds_are_held_against_two_others() -> None:
    values = np.random.default_rng(12).normal(size=(5, 30, 1))
    rows = against_itself(sample(values))
    assert len(rows) == 5 * 3 * 2  # who is left out, how four make two sides, how these are paired
    assert rows["gain"].abs().round(9).nunique() == 15
    first = values[[0, 1]].mean() - values[[2, 3]].mean()
    assert rows["gain"].sub(first).abs().min() < 1e-12
    assert against_itself(sample(np.repeat(values[:1], 4, 0)))["p"].eq(1.0).all()


def test_seeds_with_splits_of_their_own_share_no_users() -> None:
    own = sample(np.zeros((4, 3, 1)), splits=("s", "t", "u", "v"))
    with pytest.raises(RecordError, match="share no users"):
        against_itself(own)
    with pytest.raises(RecordError, match="4 or more"):
        against_itself(sample(np.zeros((3, 3, 1))))


def test_a_page_shows_how_often_a_method_differs_from_itself(store: Store) -> None:
    records = add_seeds(store, "a", dict.fromkeys(NINE, 0.1), wobble=0.01)
    records += add_seeds(store, "a floor", dict.fromkeys(NINE, 0.0), seeds=1)
    shown = null.table(TABLE4, records, store, track="published")
    assert shown.frame["method"].tolist() == ["a"] and shown.frame["tests"].item() == 30 * 9
    assert f"{shown.frame['clear'].item()} of 270" in shown.html
    with pytest.raises(RecordError, match="4 seeds"):
        null.table(TABLE4, records[:3], store, track="published")


# --- the best of several


def test_the_best_of_equals_has_no_lead_once_it_is_chosen_elsewhere() -> None:
    rng, gaps, cursed = np.random.default_rng(13), [], []
    for _ in range(200):
        luck = 0.5 * rng.normal(size=(8, 5, 1, 1))  # of eight equals, at five seeds
        values = luck + rng.normal(size=(8, 5, 40, 1))
        chosen, _ = crossfit(values, np.ones(1))
        gaps.append(chosen.mean())
        cursed.append(values.mean((1, 2, 3)).max())
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / np.sqrt(200)
    assert np.mean(cursed) > 0.25  # chosen and measured on the same values


@pytest.mark.parametrize("shape", [(3, 5, 40, 2), (3, 1, 40, 2), (3, 5, 1, 2), (3, 1, 1, 2)])
def test_a_method_that_leads_everywhere_is_chosen_everywhere(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(14).uniform(size=shape)
    values[1, ..., 0] += 2
    values[2, ..., 1] -= 2  # an error, where low is good
    chosen, which = crossfit(values, np.array([1, -1]))
    np.testing.assert_array_equal(chosen, np.stack([values[1, ..., 0], values[2, ..., 1]], -1))
    assert (which == (1, 2)).all()
    values[0, ..., 0] -= 2
    worst, _ = crossfit(values, np.array([1, -1]), 1.0)
    np.testing.assert_array_equal(worst[..., 0], values[0, ..., 0])


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
