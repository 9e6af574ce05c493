"""Scenario tasks and users of CMML: who stands where, what is drawn, and lists that share a support."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from metarec.data import Ratings, Schema, from_frame, load, synthetic
from metarec.data.frames import make_field
from metarec.data.synthetic import planted_scenarios
from metarec.errors import ProtocolError
from metarec.methods import make
from metarec.methods.base import Method, Noise
from metarec.tasks import Episodes, EpisodeTensors, Query, Splits, Support, make_episodes
from metarec.tasks.candidates import held_out, scenario_episodes
from metarec.tasks.scenarios import Scenarios
from metarec.training.predict import predict
from metarec.training.stack import Stack

SMALL = {"n_support": 16, "n_query": 24, "draws": 4, "turns": 2, "fewest": 60, "most_lists": 15}
PLANTED = planted_scenarios()


def by_item() -> Ratings:
    """The planted table with scenarios by item: each of 12 holds 60 of the 240 items, an item lies in 3."""
    rng = np.random.default_rng(0)
    cells = [sorted(rng.choice(12, 3, replace=False).tolist()) for _ in range(PLANTED.n_items)]
    fields = (*PLANTED.item_fields, make_field("scenario", cells))
    once = pd.DataFrame({"u": PLANTED.user, "i": PLANTED.item}).duplicated().to_numpy()
    rows = {n: getattr(PLANTED, n)[~once] for n in ("user", "item", "label")}
    return replace(PLANTED, item_fields=fields, scenario=None, scenarios=None, time=None, **rows)


SHARED = by_item()
TABLES = {"by row": PLANTED, "by item": SHARED}


@pytest.fixture(params=[(t, n) for t in TABLES for n in ("text", "released")], ids=" ".join)
def splits(request: pytest.FixtureRequest) -> Splits:
    table, negatives = request.param
    return scenario_episodes(TABLES[table], negatives=negatives, **SMALL)  # type: ignore[arg-type]


def pairs(e: Episodes, t: int) -> tuple[list[tuple[int, int, float]], list[tuple[int, int, float]]]:
    """User, item and label of the support a task is handed, and of its query."""
    owner = t if e.lender is None else int(e.lender[t])
    first, n = e.offsets[owner], e.n_support[owner]
    spans = (slice(first, first + n), slice(e.offsets[t] + e.n_support[t], e.offsets[t + 1]))
    support, query = (
        list(zip(*(column[span].tolist() for column in columns(e)), strict=True)) for span in spans
    )
    return support, query


@cache
def columns(e: Episodes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return e.user, e.item, e.label


def test_users_of_lists_are_in_no_support_of_the_scenario(splits: Splits) -> None:
    for part in (splits.valid, splits.test):
        for t in range(len(part)):
            support, query = pairs(part, t)
            users = {u for u, _, _ in query}
            assert len(users) == 1 and not users & {u for u, _, _ in support}


def test_a_list_is_the_users_positives_first_and_then_every_other_item(splits: Splits) -> None:
    ratings = splits.train.ratings
    scenarios = Scenarios.of(ratings)
    for part in (splits.valid, splits.test):
        for t in range(len(part)):
            _, query = pairs(part, t)
            s, user = int(part.task[t]), query[0][0]
            rows = scenarios.rows[s]
            own = ratings.item[rows[ratings.user[rows] == user]]
            labels = [y for _, _, y in query]
            assert sorted(i for _, i, _ in query) == scenarios.items[s].tolist(), "each candidate once"
            assert sorted(i for _, i, y in query if y == 1) == sorted(own.tolist()), "each positive once"
            assert labels == sorted(labels, reverse=True)


def test_no_scenario_is_in_two_splits(splits: Splits) -> None:
    splits.check_disjoint()
    kinds = [set(part.task.tolist()) for part in splits]
    assert not (kinds[0] & kinds[1] or kinds[0] & kinds[2] or kinds[1] & kinds[2])


def test_training_pairs_a_positive_with_a_negative_that_its_user_does_not_have(splits: Splits) -> None:
    part, ratings = splits.train, splits.train.ratings
    scenarios, lost = Scenarios.of(ratings), held_out(splits)
    known = set(zip(ratings.user[~lost].tolist(), ratings.item[~lost].tolist(), strict=True))
    assert part.turns == 2 and len(part) == 4 * len(np.unique(part.task))
    for t in range(0, len(part), 3):
        _, query = pairs(part, t)
        inside = set(scenarios.items[part.task[t]].tolist())
        for (u, i, y), (v, j, z) in zip(query[::2], query[1::2], strict=True):
            assert (y, z) == (1, 0) and u == v and {i, j} <= inside
            assert (u, i) in known
            assert (u, j) not in known or {(u, k) for k in inside} <= known, "who has all gets any"


def test_support_negatives_are_as_asked() -> None:
    for table in TABLES.values():
        text = scenario_episodes(table, negatives="text", **SMALL)
        lost = held_out(text)
        known = set(zip(table.user[~lost].tolist(), table.item[~lost].tolist(), strict=True))
        items, released = Scenarios.of(table).items, scenario_episodes(table, negatives="released", **SMALL)
        for t in range(0, len(text.train), 5):
            support, _ = pairs(text.train, t)
            assert [y for _, _, y in support] == [1] * 16 + [0] * 16
            assert [u for u, _, _ in support[:16]] == [u for u, _, _ in support[16:]]
            inside = items[text.train.task[t]].tolist()
            for u, i, _ in support[16:]:
                assert (u, i) not in known or {(u, k) for k in inside} <= known
            support, _ = pairs(released.train, t)
            assert [y for _, _, y in support] == [1] * 16 + [0] * 32
            assert {u for u, _, _ in support[16:]} <= {u for u, _, _ in support[:16]}


def test_positives_of_lists_are_gone_from_every_training_scenario(splits: Splits) -> None:
    """Though a film lies in many scenarios; and from what vectors are made of."""
    lost = held_out(splits)
    ratings = splits.train.ratings
    listed = {
        (u, i)
        for part in (splits.valid, splits.test)
        for u, i, y, q in zip(part.user, part.item, part.label, part.is_query, strict=True)
        if y == 1 and q
    }
    assert listed == set(zip(ratings.user[lost].tolist(), ratings.item[lost].tolist(), strict=True))
    rows = splits.train.rows
    assert not lost[rows[rows >= 0]].any()
    if ratings is SHARED:
        scenarios = Scenarios.of(SHARED)
        would = np.concatenate([scenarios.rows[s] for s in np.unique(splits.train.task)])
        assert lost[would].any(), "without the removal they would have been there"


def test_vectors_do_not_know_the_positives_of_lists(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same vectors come out if those rows were never in the table."""
    from metarec.data.vectors import user_and_item_vectors
    from metarec.methods import schema_for

    monkeypatch.setenv("METAREC_CACHE", str(tmp_path))
    splits = scenario_episodes(SHARED, **SMALL)  # type: ignore[arg-type]
    kept = ~held_out(splits)
    without = replace(SHARED, **{n: getattr(SHARED, n)[kept] for n in ("user", "item", "label")})
    expected = user_and_item_vectors(without, np.ones(len(without), bool), [8])
    schema = schema_for("melu", splits, vectors=[8])
    assert schema.user_vectors is not None and schema.item_vectors is not None
    assert np.array_equal(schema.user_vectors, expected[0])
    assert np.array_equal(schema.item_vectors, expected[1])
    assert schema_for("popularity", splits, vectors=[8]).user_vectors is None, "a closed form reads none"


def test_frozen_by_the_seed() -> None:
    a, b, c = (scenario_episodes(SHARED, seed=s, **SMALL) for s in (1, 1, 2))  # type: ignore[arg-type]
    assert a.split_id == b.split_id != c.split_id
    for mine, same in zip(a, b, strict=True):
        assert np.array_equal(mine.item, same.item) and np.array_equal(mine.user, same.user)


def test_the_tracks_rank_the_same_lists() -> None:
    a, b = (
        scenario_episodes(SHARED, negatives=n, valid_share=v, **SMALL)  # type: ignore[arg-type]
        for n, v in (("text", 0.1), ("released", 0.2))
    )
    query = [part.test.user[part.test.is_query] for part in (a, b)]
    assert np.array_equal(*query)
    assert np.array_equal(*(part.test.item[part.test.is_query] for part in (a, b)))


def test_a_short_scenario_gives_half_to_either_side_and_draws_again() -> None:
    big = {**SMALL, "n_support": 500, "n_query": 600, "fewest": 2}
    part = scenario_episodes(PLANTED, **big).train  # type: ignore[arg-type]
    assert (part.n_support == 1000).all() and (part.n_query == 1200).all()
    positive = part.rows >= 0
    for t in range(len(part)):
        own = slice(part.offsets[t], part.offsets[t + 1])
        query, rows = part.is_query[own], part.rows[own]
        support = set(rows[positive[own] & ~query].tolist())
        assert not support & set(rows[positive[own] & query].tolist())


class Distance(Method):
    """Scores that hang on every entry of the support and on each query entry alone."""

    replicable = False

    def __init__(self, schema: Schema):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        draw = lambda n: torch.randn(n, 5, generator=generator, dtype=torch.float64)  # noqa: E731
        self.register_buffer("u", draw(schema.n_users))
        self.register_buffer("i", draw(schema.n_items))

    def stages(self) -> tuple[()]:
        return ()

    def vectors(self, side: Support | Query) -> Tensor:
        u, i = self.get_buffer("u"), self.get_buffer("i")
        return u[side.user] * i[side.item]

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        signed = (2 * support.labels - 1) * support.mask
        task = (signed.unsqueeze(-1) * self.vectors(support)).sum(-2, keepdim=True)
        return torch.tanh(task * self.vectors(query)).sum(-1)


def test_one_support_for_many_lists_equals_a_copy_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    part = scenario_episodes(SHARED, **SMALL).test  # type: ignore[arg-type]
    data = EpisodeTensors(part, dtype=torch.float64)
    method = Distance(Schema.of(SHARED))
    stack = Stack([method], torch.device("cpu"))
    batch = data.all()  # a copy of the support for each list
    copied = method.predict(batch.support, batch.query)
    for pairs_at_a_time in (2**16, 64):
        monkeypatch.setattr("metarec.training.predict.PAIRS", pairs_at_a_time)
        shared = predict(stack, data, [0])
        mask = batch.query.mask
        assert torch.allclose(shared[0][mask], copied[mask], atol=1e-12)
    assert len(data.owners()) == len(np.unique(part.task)) < len(part)
    assert len(data.user) == part.n_query.sum() + part.n_support.sum(), "the support is held once"


def test_permuting_candidates_permutes_scores() -> None:
    data = EpisodeTensors(scenario_episodes(SHARED, **SMALL).test, dtype=torch.float64)  # type: ignore[arg-type]
    method, batch = Distance(Schema.of(SHARED)), data.all()
    order = torch.randperm(batch.query.item.shape[-1], generator=torch.Generator().manual_seed(1))
    turned = Query(*(side[..., order] for side in batch.query))
    assert torch.equal(
        method.predict(batch.support, turned), method.predict(batch.support, batch.query)[..., order]
    )


def test_the_oracle_ranks_every_list_rightly_and_chance_does_not() -> None:
    from metarec.metrics import evaluate

    data = EpisodeTensors(scenario_episodes(SHARED, **SMALL).test)  # type: ignore[arg-type]
    batch = data.all()
    oracle = make("oracle", Schema.of(SHARED))
    oracle.reveal(replace(SHARED, truth=None))  # type: ignore[operator]
    scores = oracle.predict(batch.support, batch.query)
    found = evaluate(scores, batch.query_labels, batch.query.mask, "cmml-scenario")
    best = evaluate(batch.query_labels, batch.query_labels, batch.query.mask, "cmml-scenario")
    assert torch.equal(found["Recall@20"], best["Recall@20"])
    equal = torch.zeros_like(scores)
    released = evaluate(equal, batch.query_labels, batch.query.mask, "cmml-scenario-released")
    expected = evaluate(equal, batch.query_labels, batch.query.mask, "cmml-scenario")
    assert torch.equal(released["Recall@20"], best["Recall@20"]), "a constant is perfect as released"
    share = batch.query.mask.sum(-1).double().reciprocal() * 20
    assert torch.allclose(expected["Recall@20"], share.clamp(max=1))


def test_an_epoch_sees_the_draws_of_its_turn() -> None:
    from metarec.methods.base import Stage
    from metarec.training.feed import Feed

    splits = scenario_episodes(SHARED, **SMALL)  # type: ignore[arg-type]
    stack = Stack([Distance(Schema.of(SHARED))], torch.device("cpu"))
    generators = [torch.Generator().manual_seed(0)]
    feed = Feed([splits], stack, generators, torch.device("cpu"), torch.float64, full=False)
    seen = [
        np.sort(np.concatenate([x["index"].flatten() for _, x in feed.epoch(Stage(batch=1), 0, e)]))
        for e in range(3)
    ]
    every = np.arange(len(splits.train))
    assert np.array_equal(seen[0], every[0::2]) and np.array_equal(seen[1], every[1::2])
    assert np.array_equal(seen[0], seen[2])


def test_broken_lists_are_refused() -> None:
    part = scenario_episodes(SHARED, **SMALL).test  # type: ignore[arg-type]
    assert part.lender is not None and part.drawn is not None
    with pytest.raises(ProtocolError, match="support of another scenario"):
        replace(part, lender=np.zeros_like(part.lender))
    with pytest.raises(ProtocolError, match="borrows from a list that borrows"):
        replace(part, lender=np.roll(part.lender, 1))
    with pytest.raises(ProtocolError, match="outside the rating table"):
        replace(part, drawn=part.drawn[:-1])
    with pytest.raises(ProtocolError, match="drawn pair has an id"):
        replace(part, drawn=part.drawn + SHARED.n_users)
    with pytest.raises(ProtocolError, match="owns two tasks"):
        replace(part, lender=None)
    rows = part.rows.copy()
    rows[part.is_query.argmax()] = rows[0]
    with pytest.raises(ProtocolError, match="stands in its support too"):
        replace(part, rows=rows)
    rows = part.rows.copy()
    rows[part.n_support[0] + 1] = rows[part.n_support[0]]
    with pytest.raises(ProtocolError, match="used twice"):
        replace(part, rows=rows)
    rows, drawn = part.rows.copy(), part.drawn.copy()
    drawn[-1 - rows[part.is_query & (rows < 0)][0], 0] = part.user[0]
    with pytest.raises(ProtocolError, match="stands in its support too"):
        replace(part, drawn=drawn)
    with pytest.raises(ProtocolError, match="kept without its support"):
        part.select(np.array([1, 2]))
    first = np.flatnonzero(part.task == part.task[0])
    assert np.array_equal(part.select(first).item, part.item[: part.offsets[len(first)]])
    train = scenario_episodes(SHARED, **SMALL).train  # type: ignore[arg-type]
    rows = train.rows.copy()
    rows[train.n_support[0]] = rows[0]
    with pytest.raises(ProtocolError, match="used twice, so support and query"):
        replace(train, rows=rows)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"negatives": "some"}, "'released' or 'text'"),
        ({"draws": 5, "turns": 2}, "draws=5 do not share out over turns=2"),
        ({"n_support": 0}, "n_support=0 is no size"),
        ({"test_share": 1.0}, "test_share=1.0 is no share"),
        ({"fewest": 10**6}, "0 scenarios are too few"),
    ],
)
def test_impossible_options_are_named(options: dict[str, object], reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        make_episodes(PLANTED, "scenario", **{**SMALL, **options})


def test_a_table_without_scenarios_is_refused() -> None:
    frame = pd.DataFrame({"user": [1, 2], "item": [1, 2], "label": [1, 1]})
    with pytest.raises(ProtocolError, match="has no scenarios; give its rows one"):
        make_episodes(from_frame(frame, kind="implicit"), "scenario")


# --- users


USERS = synthetic(0, n_users=100)


@pytest.mark.parametrize("evaluated", ["cold", "warm", "trained"])
def test_who_is_tested_in_the_user_setting(evaluated: str) -> None:
    splits = make_episodes(USERS, "user-setting", evaluated=evaluated, longest=40, valid_share=0.1)
    train, valid, test = (set(part.task.tolist()) for part in splits)
    assert (len(train), len(valid)) == (72, 8) and not train & valid and not test & valid
    assert test == (set(range(100)) - train - valid if evaluated == "cold" else train)
    assert splits.train.turns == 5 and len(splits.train) == 5 * 72
    assert (splits.train.lengths <= 40).all() and (splits.test.n_query == 10).all()
    trained = set(splits.train.rows.tolist())
    asked = set(splits.test.rows[splits.test.is_query].tolist())
    told = set(splits.test.rows[~splits.test.is_query].tolist())
    if evaluated == "trained":
        assert asked <= trained, "the released W-W: queries seen in training"
    else:
        assert not asked & trained
    assert (told <= trained) == (evaluated != "cold")


def test_the_user_setting_is_frozen_and_its_options_are_checked() -> None:
    ids = [make_episodes(USERS, "user-setting", seed=s).split_id for s in (1, 1, 2)]
    assert ids[0] == ids[1] != ids[2]
    for options, reason in (
        ({"evaluated": "all"}, "'cold', 'warm' or 'trained'"),
        ({"train_share": 1.0}, "train_share=1.0"),
        ({"n_query": 40}, "too few for n_query=40"),
    ):
        with pytest.raises(ProtocolError, match=reason):
            make_episodes(USERS, "user-setting", **options)


@pytest.mark.realdata
def test_movielens_has_the_papers_numbers_of_users() -> None:
    splits = make_episodes(load("ml-1m"), "user-setting")
    assert (len(np.unique(splits.train.task)), len(splits.test)) == (4832, 1208)
    assert splits.test.n_support.max() == 90 and (splits.test.n_query == 10).all()


@pytest.mark.realdata
@pytest.mark.parametrize(("name", "parts"), [("films", (188, 10, 62)), ("shopping", (169, 9, 56))])
def test_scenarios_of_the_stand_ins(name: str, parts: tuple[int, int, int]) -> None:
    splits = make_episodes(load(name), "scenario", most_lists=20, draws=10)
    assert tuple(len(np.unique(part.task)) for part in splits) == parts
    assert (splits.train.n_support == 128).all() and (splits.train.n_query == 256).all()
    lost = held_out(splits)
    assert lost.any() and not lost[splits.train.rows[splits.train.rows >= 0]].any()
