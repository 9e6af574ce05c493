"""The planted data: reproducible, with a known truth and a ladder of predictors that is worth climbing."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import mutual_info_score, roc_auc_score

from metarec.data import Ratings, load, synthetic
from metarec.errors import DataError

SEEDS = (0, 1, 2)


def test_bytes_are_the_same_on_every_python() -> None:
    """The digests of seed 0: to change the generator is a decision, since every quick notebook shows it."""
    assert synthetic().sha256 == "c936f8c9403a45274f37dd19ca7714a67f6a684cb3cff9b9d407cf283c6f66c1"
    assert (
        load("synthetic-implicit").sha256
        == "4e87a02d11a6478b3add695610fd0c75452f8e7aad66204f81e991511ddfc738"
    )


def test_seeds_and_sizes_change_the_draw() -> None:
    digests = {synthetic(s, n_users=u).sha256 for s in SEEDS for u in (50, 60)}
    assert len(digests) == 6 and synthetic(1).sha256 == synthetic(1).sha256


@pytest.mark.parametrize("kind", ["explicit", "implicit"])
def test_a_set_is_made_within_a_second(kind: str) -> None:
    start = time.perf_counter()
    synthetic(kind=kind)  # type: ignore[arg-type]
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("kind", ["explicit", "implicit"])
def test_rows_keep_the_promised_shape(kind: str) -> None:
    r = synthetic(3, kind=kind, ratings_per_user=(20, 31))  # type: ignore[arg-type]
    length = np.bincount(r.user, minlength=r.n_users)
    assert length.min() >= 20 and length.max() <= 31
    assert len(np.unique(r.user * r.n_items + r.item)) == len(r), "no pair twice"
    assert r.time is not None and (np.diff(r.time)[np.diff(r.user) == 0] >= 0).all(), (
        "a user's rows run in time"
    )
    assert r.scenario is not None and r.scenarios is not None
    assert r.scenario.min() >= 0 and r.scenario.max() < len(r.scenarios)
    if kind == "explicit":
        assert set(np.unique(r.label)) == {1, 2, 3, 4, 5}
    else:
        positives = np.bincount(r.user, r.label)
        assert np.array_equal(2 * positives, length), "one negative a positive"


def ladder(r: Ratings) -> dict[str, float]:
    """Mean absolute error on held-out rows of four predictors, from the coarsest to the truth."""
    assert r.truth is not None
    train = np.random.default_rng(9).random(len(r)) < 0.7
    user, item, label, group = r.user, r.item, r.label, r.truth.user_group

    def damped(key: np.ndarray, residual: np.ndarray, strength: float) -> np.ndarray:
        n = key.max() + 1
        return np.bincount(key[train], residual[train], n) / (np.bincount(key[train], minlength=n) + strength)

    item_mean = label[train].mean() + damped(item, label - label[train].mean(), 3)[item]
    bias = item_mean + damped(user, label - item_mean, 3)[user]
    key = group[user] * r.n_items + item
    by_group = bias + damped(key, label - bias, 1)[key]
    steps = {
        "item mean": item_mean,
        "user and item": bias,
        "group": by_group,
        "oracle": r.truth.expected[user, item],
    }
    return {name: float(np.abs(label - p)[~train].mean()) for name, p in steps.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_groups_are_worth_learning_and_users_still_differ(seed: int) -> None:
    error = list(ladder(synthetic(seed)).values())
    gaps = -np.diff(error)
    assert (gaps > 0.02).all(), error
    assert error[1] - error[2] > 0.1 and error[2] - error[3] > 0.1, "bias, group and oracle stand well apart"


@pytest.mark.parametrize("seed", SEEDS)
def test_taste_beats_popularity_in_implicit_data(seed: int) -> None:
    r = synthetic(seed, kind="implicit")
    assert r.truth is not None
    popularity = np.bincount(r.item, r.label)[r.item]
    group = np.stack([r.truth.expected[r.truth.user_group == g].mean(0) for g in range(6)])
    scores = (popularity, group[r.truth.user_group[r.user], r.item], r.truth.expected[r.user, r.item])
    rows = [np.flatnonzero(r.user == u) for u in range(100)]
    auc = [np.mean([roc_auc_score(r.label[k], s[k]) for k in rows]) for s in scores]
    assert auc[0] > 0.65 and auc[1] - auc[0] > 0.05 and auc[2] - auc[1] > 0.02, auc


def test_truth_is_the_noise_free_rating() -> None:
    r = synthetic(4, noise=0.0)
    assert r.truth is not None
    assert np.array_equal(r.label, np.rint(r.truth.expected[r.user, r.item].astype(np.float64)))
    assert r.truth.expected.min() >= 1 and r.truth.expected.max() <= 5


def test_implicit_truth_is_a_calibrated_chance() -> None:
    r = synthetic(5, n_users=2000, kind="implicit")
    assert r.truth is not None
    chance = r.truth.expected[r.user, r.item]
    for low in np.arange(0, 1, 0.1):
        inside = (chance > low) & (chance <= low + 0.1)
        assert abs(r.label[inside].mean() - chance[inside].mean()) < 0.03


def test_popular_items_are_rated_far_more_often() -> None:
    count = np.sort(np.bincount(synthetic(0).item, minlength=300))[::-1]
    assert count[:30].sum() > 0.3 * count.sum() and count.min() >= 1


def test_fields_tell_of_groups_where_they_should() -> None:
    r = synthetic(0, n_users=2000)
    assert r.truth is not None
    told = {f.name: mutual_info_score(f.values, r.truth.user_group) for f in r.user_fields if not f.multi}
    assert told["occupation"] > 0.5 > 0.05 < told["age"] and told["region"] < 0.03
    genre = r.item_fields[0]
    has = (genre.values[:, :, None] == np.arange(genre.size)).any(1).astype(float)
    fitted = has @ np.linalg.lstsq(has, r.truth.item_factors, rcond=None)[0]
    assert 1 - np.var(r.truth.item_factors - fitted) / np.var(r.truth.item_factors) > 0.5, (
        "genres explain factors"
    )


def test_scenarios_are_corners_of_the_factor_space() -> None:
    r = synthetic(0)
    assert r.truth is not None and r.scenario is not None and r.scenarios is not None
    factors = r.truth.item_factors[r.item]
    centres = np.stack([factors[r.scenario == s].mean(0) for s in range(len(r.scenarios))])
    within = ((factors - centres[r.scenario]) ** 2).sum(1).mean()
    assert within < 0.6 * ((factors - factors.mean(0)) ** 2).sum(1).mean()
    assert np.bincount(r.scenario, minlength=40).min() >= 1


@pytest.mark.parametrize(
    "options",
    [{"ratings_per_user": (30, 300)}, {"ratings_per_user": (5, 4)}, {"n_groups": 0}, {"kind": "stars"}],
)
def test_impossible_sizes_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(DataError, match="synthetic: "):
        synthetic(**options)  # type: ignore[arg-type]
