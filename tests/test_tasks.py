"""Episodes: released rule, disjointness, determinism; batches: padding, replicas, no labels in a query."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metarec.data import Ratings, data_home, load, synthetic
from metarec.errors import ProtocolError
from metarec.tasks import (
    Episodes,
    EpisodeTensors,
    Query,
    Splits,
    cold_start_episodes,
    make_episodes,
    tanp_episodes,
)

PLANTED = synthetic(seed=1, n_users=80, n_items=60, ratings_per_user=(15, 50))


def order_of(e: Episodes, t: int) -> list[int]:
    return e.rows[e.offsets[t] : e.offsets[t + 1]].tolist()


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("n_support", "sizes"), [(20, (248, 35, 66)), (15, (463, 69, 129)), (10, (894, 120, 237))]
)
def test_last_fm_episode_counts(n_support: int, sizes: tuple[int, int, int]) -> None:
    from metarec.data.lastfm import tanp_user_order

    splits = tanp_episodes(load("lastfm-tanp"), n_support=n_support, user_order=tanp_user_order(data_home()))
    assert tuple(len(part) for part in splits) == sizes


@pytest.mark.realdata
def test_last_fm_episodes_equal_the_authors_user_for_user_and_item_for_item() -> None:
    from metarec.data.lastfm import tanp_user_order

    ratings = load("lastfm-tanp")
    splits = tanp_episodes(ratings, user_order=tanp_user_order(data_home()))
    answer = json.loads((data_home() / "lastfm-tanp" / "tasks.json").read_text())
    for part, name in zip(splits, ("training", "validation", "testing"), strict=True):
        assert part.task.tolist() == [task["user"] for task in answer[name]]
        for t, task in enumerate(answer[name]):
            rows = order_of(part, t)
            assert ratings.item[rows].tolist() == task["supp"]["item"] + task["query"]["item"]
            assert ratings.label[rows].tolist() == task["supp"]["y"] + task["query"]["y"]


def test_tanp_rule_filters_cuts_and_cleans() -> None:
    splits = tanp_episodes(PLANTED, n_support=10, min_query=6, max_length=45, seed=7)
    for part in splits:
        assert (part.n_support == 10).all()
        assert (part.lengths >= 16).all() and (part.lengths <= 45).all()
    rng_users = np.concatenate([part.task for part in splits])
    assert len(set(rng_users.tolist())) == len(rng_users)
    kept_only = [np.isin(PLANTED.user, part.task) for part in splits]
    unseen = ~np.isin(PLANTED.item[splits.test.rows], PLANTED.item[~kept_only[1] & ~kept_only[2]])
    assert not unseen.any(), "test histories hold no item that only validation or test users have"


def test_same_seed_same_episodes_other_seed_other_episodes() -> None:
    a, b, c = (tanp_episodes(PLANTED, n_support=10, min_query=5, seed=s) for s in (1, 1, 2))
    assert a.split_id == b.split_id != c.split_id
    d, e, f = (cold_start_episodes(PLANTED, seed=s) for s in (1, 1, 2))
    assert d.split_id == e.split_id != f.split_id


def test_cold_start_query_is_the_last_ten_by_time() -> None:
    assert PLANTED.time is not None
    for part in cold_start_episodes(PLANTED, order="time", seed=3):
        for t in range(len(part)):
            rows = order_of(part, t)
            assert part.n_query[t] == 10
            times = PLANTED.time[rows]
            assert (np.diff(times) >= 0).all()


def test_cold_start_equals_a_loop_over_users() -> None:
    assert PLANTED.time is not None
    splits = cold_start_episodes(PLANTED, shortest=18, longest=40, seed=3)
    for part in splits:
        for t, user in enumerate(part.task):
            mine = np.flatnonzero(PLANTED.user == user)
            expected = sorted(mine, key=lambda row: (PLANTED.time[row], PLANTED.item[row]))
            assert order_of(part, t) == [int(r) for r in expected]
            assert 18 <= len(mine) <= 40
    length = np.bincount(PLANTED.user)
    assert sum(len(part) for part in splits) == ((length >= 18) & (length <= 40)).sum()


def test_capped_support_keeps_the_query_and_the_latest_support() -> None:
    part = cold_start_episodes(PLANTED, seed=0).train
    capped = part.cap_support(4)
    assert (capped.n_support == np.minimum(part.n_support, 4)).all()
    for t in range(len(part)):
        assert order_of(capped, t) == order_of(part, t)[-len(order_of(capped, t)) :]
        assert capped.n_query[t] == part.n_query[t]


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(max_examples=25, deadline=None)
def test_support_and_query_are_disjoint_and_users_too(seed: int, n_query: int) -> None:
    splits = cold_start_episodes(PLANTED, shortest=n_query + 1, n_query=n_query, order="shuffle", seed=seed)
    for part in splits:
        support, query = part.rows[~part.is_query], part.rows[part.is_query]
        assert not set(support.tolist()) & set(query.tolist())
        assert (PLANTED.user[part.rows] == np.repeat(part.task, part.lengths)).all()
    splits.check_disjoint()


def test_broken_episodes_are_refused() -> None:
    good = cold_start_episodes(PLANTED, seed=0).test
    twice = good.rows.copy()
    twice[1] = twice[0]
    with pytest.raises(ProtocolError, match="a rating is used twice"):
        replace(good, rows=twice)
    with pytest.raises(ProtocolError, match="at least one query"):
        replace(good, n_support=good.lengths)
    with pytest.raises(ProtocolError, match="owns two tasks"):
        replace(good, task=np.zeros_like(good.task))
    with pytest.raises(ProtocolError, match="offsets do not delimit"):
        replace(good, offsets=good.offsets[:-1])
    with pytest.raises(ProtocolError, match="sits in two splits"):
        Splits(good, good, good).check_disjoint()


def test_bad_rules_and_options_are_named() -> None:
    with pytest.raises(ProtocolError, match="episode rule 'taNP' is unknown; choose from tanp"):
        make_episodes(PLANTED, "taNP")
    with pytest.raises(ProtocolError, match="n_suport"):
        make_episodes(PLANTED, "tanp", n_suport=3)
    with pytest.raises(ProtocolError, match="lower n_support or min_query"):
        tanp_episodes(PLANTED, n_support=500)
    with pytest.raises(ProtocolError, match="has no times; use order='shuffle'"):
        cold_start_episodes(replace(PLANTED, time=None))
    with pytest.raises(ProtocolError, match="permutation of 0"):
        tanp_episodes(PLANTED, user_order=np.arange(3))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"test_share": 1.5}, "test_share=1.5 is no share to hold out; use a number from 0"),
        ({"valid_share": -0.1}, "valid_share=-0.1 is no share to hold out"),
        ({"test_share": float("nan")}, "test_share=nan is no share"),
        ({"train_share": 0.0}, "train_share=0.0 is no share to keep; use a number above 0"),
        ({"train_share": 2}, "train_share=2 is no share to keep"),
        ({"test_share": 0.999}, "leave none of 80 users to train on; lower them"),
        ({"shortest": 500, "longest": 501}, "only 0 users have 500..501 ratings.*lower shortest"),
    ],
)
def test_shares_that_are_none_and_too_few_users_are_refused(options: dict[str, float], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        make_episodes(PLANTED, "cold-start", **options)


def test_parts_may_be_held_out_or_not() -> None:
    train, valid, test = cold_start_episodes(PLANTED, valid_share=0, test_share=0, train_share=0.001)
    assert (len(train), len(valid), len(test)) == (1, 0, 0)


def test_a_batch_holds_every_rating_of_its_tasks_and_nothing_else() -> None:
    part = tanp_episodes(PLANTED, n_support=10, min_query=5).train
    data = EpisodeTensors(part)
    index = torch.tensor([3, 0, 5])
    batch = data.batch(index)
    for place, t in enumerate(index.tolist()):
        rows, n_s = np.array(order_of(part, t)), int(part.n_support[t])
        for side, own in ((batch.support, rows[:n_s]), (batch.query, rows[n_s:])):
            mask = side.mask[place]
            assert side.item[place][mask].tolist() == PLANTED.item[own].tolist()
        assert (
            batch.query_labels[place][batch.query.mask[place]].tolist() == PLANTED.label[rows[n_s:]].tolist()
        )
        assert batch.support.user[place].tolist() == [part.task[t]]
    assert (batch.query_labels[~batch.query.mask] == 0).all()


def test_width_of_the_padding_changes_no_entry() -> None:
    data = EpisodeTensors(cold_start_episodes(PLANTED, seed=0).train)
    index = torch.arange(4)
    narrow, wide = data.batch(index, 60, 10), data.batch(index, 90, 25)
    for a, b in ((narrow.support, wide.support), (narrow.query, wide.query)):
        for x, y in zip(a[1:], b[1:], strict=True):
            assert torch.equal(x[a.mask], y[b.mask])


def test_a_query_has_no_labels() -> None:
    assert "labels" not in Query._fields


def test_replicas_with_splits_of_their_own() -> None:
    splits = [cold_start_episodes(PLANTED, seed=s).train for s in (0, 1)]
    together = EpisodeTensors(splits)
    index = torch.tensor([[1, 4], [2, 0]]) + torch.as_tensor(together.host_first)[:, None]
    both = together.batch(index)
    for k, part in enumerate(splits):
        alone = EpisodeTensors(part).batch(
            index[k] - int(together.host_first[k]), both.support.mask.shape[-1]
        )
        assert torch.equal(both.support.item[k][both.support.mask[k]], alone.support.item[alone.support.mask])
        assert torch.equal(both.query.item[k], alone.query.item)


def test_scenario_tasks_keep_a_user_for_each_entry() -> None:
    assert PLANTED.scenario is not None
    rows = np.flatnonzero(PLANTED.scenario == PLANTED.scenario[0])
    part = Episodes(
        PLANTED,
        task=PLANTED.scenario[:1],
        rows=rows,
        offsets=np.array([0, len(rows)]),
        n_support=np.array([len(rows) // 2]),
        by="scenario",
    )
    batch = EpisodeTensors(part).all()
    assert batch.support.user.shape == batch.support.item.shape
    assert batch.support.user[0].tolist() == PLANTED.user[rows[: len(rows) // 2]].tolist()


def test_ten_thousand_users_in_a_moment() -> None:
    rng = np.random.default_rng(0)
    n, m = 200_000, 5_000
    key = rng.choice(20_000 * m, n, replace=False)
    table = Ratings(
        "large",
        "explicit",
        user=key // m,
        item=key % m,
        label=rng.integers(1, 6, n).astype(np.float32),
        users=np.arange(20_000),
        items=np.arange(m),
    )
    splits = cold_start_episodes(table, shortest=11, order="shuffle")
    assert sum(len(part) for part in splits) == (np.bincount(table.user) >= 11).sum()


def test_an_item_rated_in_two_scenarios_cannot_stand_in_support_and_query() -> None:
    once = synthetic(0, n_users=40, n_items=80, n_scenarios=2)
    both = {name: np.concatenate([getattr(once, name)] * 2) for name in ("user", "item", "label")}
    twice = replace(once, **both, time=None, scenario=np.repeat([0, 1], len(once)), scenarios=np.arange(2))
    for rule, options in (("tanp", {}), ("cold-start", {"order": "shuffle"})):
        with pytest.raises(ProtocolError, match="repeat user and item in another scenario"):
            make_episodes(twice, rule, **options)
