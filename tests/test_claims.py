"""Claims from Records: who is compared, what a frame holds, what is missing, and the verdict that counts."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import add, add_seeds, spec
from made_splits import BOOK, HOME, claim, ground, judged

from metarec.claims.__main__ import main
from metarec.claims.cells import best, largest, pairs, parts, scale_of, width
from metarec.claims.courses import WorstPoint
from metarec.claims.evidence import scatters, sizes
from metarec.claims.ground import Place
from metarec.claims.ledger import PAPERS, Paper, decide, paper
from metarec.claims.roles import Method, OnValidation
from metarec.claims.rules import every, mean, no_gain, ranked, reaches
from metarec.claims.scatter import log_spread, steadier
from metarec.errors import RecordError
from metarec.papers.tanp import claims as tanp
from metarec.papers.tanp.tables import FILM, GATING, NINE, NO_POOL, PLAIN, TABLE3, TABLE4, TABLE5
from metarec.runs.store import Store
from metarec.show.claims import claims_of, claims_table, glance, tally
from metarec.show.words import FAILS, HOLDS, NOISE, PENDING, UNTESTABLE
from metarec.stats.intervals import estimate
from metarec.stats.samples import Sample

ROOT = Path(__file__).resolve().parents[1]
M = ("P@5", "P@7", "P@10", "NDCG@5")
AWAY = Place("Away", spec("away"), "tanp/away", "lastfm-tanp")
ALL = pairs((Method("a"), Method("b")), metrics=M)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def gains(*values: float) -> dict[str, float]:
    return dict(zip(M, values, strict=True))


# --- what a frame holds


def test_a_frame_has_a_row_a_metric_with_its_interval_and_its_sign(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.0, -0.1)) + add_seeds(store, "b", gains(0, 0, 0, 0))
    frame = ALL(ground(records, store)).frame
    assert list(frame["metric"]) == list(M) and list(frame["sign"][[0, 1, 3]]) == ["+", "+", "-"]
    assert frame["gain"].tolist() == pytest.approx([0.1, 0.1, 0.0, -0.1], abs=2e-3)
    assert (frame["low"] <= frame["gain"]).all() and (frame["gain"] <= frame["high"]).all()
    for row in frame.to_dict("records"):
        (one,) = row["sample"].estimates()
        assert one.interval() == pytest.approx((row["gain"], row["low"], row["high"]))


def test_a_scale_is_a_kind_of_metric_on_one_data_set() -> None:
    assert scale_of("P@5", "ml-1m") == scale_of("std:NDCG@5", "lastfm") == "ranking"
    assert scale_of("MAE", "ml-1m") == scale_of("epoch 3:MAE", "ml-1m") == "MAE on ml-1m"
    assert len({scale_of(m, s) for m in ("MAE", "RMSE", "gap:MSE") for s in ("ml-1m", "bx")}) == 6


def test_a_method_is_never_compared_with_itself() -> None:
    for b in (Method("a"), best(("x", "a"), "the best")):
        with pytest.raises(RecordError, match="compared with itself"):
            pairs((Method("a"), b), metrics=M)
        with pytest.raises(RecordError, match="compared with itself"):
            pairs((b, Method("a")), metrics=M)


def test_evidence_names_each_scale(store: Store) -> None:
    both = {"MAE": -0.1, "P@5": 0.1}
    records = add_seeds(store, "a", both, base=0.8)
    records += add_seeds(store, "b", dict.fromkeys(both, 0.0), base=0.8)
    found = judged(pairs((Method("a"), Method("b")), metrics=tuple(both)), every, records, store)
    assert re.search(r"mean gain in MAE on lastfm-tanp \+0\.\d+ \[", found.evidence)
    assert re.search(r"mean gain in the ranking metrics \+0\.\d+ \[", found.evidence)
    assert "of 2 cells 2 +, 0 −, 0 undecided" in found.evidence


def test_the_named_metric_gains_most(store: Store) -> None:
    finder = largest(Method("a"), Method("b"), M, {"Home": "P@5"})
    rule = partial(ranked, rank=1, seeds=0.8)
    for lead, word in (
        (gains(0.1, 0.02, 0.02, 0.02), HOLDS),
        (gains(0.099, 0.1, 0.02, 0.02), NOISE),
        (gains(0.02, 0.1, 0.02, 0.02), FAILS),
    ):
        records = add_seeds(store, "a", lead) + add_seeds(store, "b", gains(0, 0, 0, 0))
        assert judged(finder, rule, records, store).verdict == word


@pytest.mark.parametrize(("wobbles", "word"), [((0.02, 0.03), HOLDS), ((0.02, 5e-4), FAILS)])
def test_steadier(wobbles: tuple[float, float], word: str, store: Store) -> None:
    records = add_seeds(store, "a", gains(0, 0, 0, 0), wobble=0.004, seeds=9)
    for name, wobble in zip("bc", wobbles, strict=True):
        records += add_seeds(store, name, gains(0, 0, 0, 0), wobble=wobble, seeds=9)
    one = claim(steadier(Method("a"), ("b", "c"), M), partial(mean, by="b"), say=scatters)
    found = decide(one, {"Home": ground(records, store)}, BOOK)[""]
    assert found.verdict == word
    assert "b " in found.evidence and "times as much" in found.evidence


def test_scatter_is_jackknifed_over_seeds(store: Store) -> None:
    points = (0.1, 0.2, 0.4)
    records = [add(store, "a", {"P@5": v, "P@7": 2 * v}, seed=s) for s, v in enumerate(points)]
    log_sd = [np.log(np.std(np.delete(points, gone), ddof=1)) for gone in ([], 0, 1, 2)]
    by_hand = 3 * log_sd[0] - 2 * np.array(log_sd[1:])
    found = log_spread(ground(records, store).samples["a"])
    assert found == pytest.approx(by_hand + np.log(2) / 2, rel=1e-5)  # P@7 scatters twice as much


def test_a_scatter_of_equals_is_told_apart_as_seldom_as_it_should_be() -> None:
    rng = np.random.default_rng(0)
    gaps = [log_spread(one) - log_spread(other) for one, other in (two(rng) for _ in range(1000))]
    assert np.mean([estimate(gap).p < 0.05 for gap in gaps]) == pytest.approx(0.05, abs=0.02)


def two(rng: np.random.Generator) -> list[Sample]:
    seeds, splits = tuple(range(5)), ("s",) * 5
    return [Sample(name, seeds, splits, ("P@5",), rng.normal(size=(5, 1, 1))) for name in "ab"]


def test_the_interval_of_a_range_holds_the_true_one() -> None:
    rng, found = np.random.default_rng(1), []
    truth = np.array([0.0, 0.02, 0.01, -0.01])
    for _ in range(400):
        user, seed = rng.normal(size=(1, 60)), 0.02 * rng.normal(size=(4, 5, 1))
        values = truth[:, None, None] + user + seed + 0.1 * rng.normal(size=(4, 5, 60))
        points = [Sample("a", tuple(range(5)), ("s",) * 5, ("P@5",), v[..., None]) for v in values]
        found.append(width(points))
    assert np.mean([one.low <= 0.03 <= one.high for one in found]) >= 0.95


def test_worst_setting_takes_the_lowest_point_of_a_whole_grid(store: Store) -> None:
    finder = pairs((WorstPoint("a", spec("grid"), 3), Method("b")), metrics=("P@5",))
    records = add_seeds(store, "b", {"P@5": 0.0})
    for point, gain in enumerate((0.1, 0.05)):
        add_seeds(store, "a", {"P@5": gain}, measure="grid", options={"k": point})
    assert judged(finder, every, records, store).missing == ("the whole grid (tanp.grid)",)
    add_seeds(store, "a", {"P@5": 0.2}, measure="grid", options={"k": 2})
    found = judged(finder, every, records, store)
    assert (found.verdict, "worst of 3 settings" in found.evidence) == (HOLDS, True)
    assert found.frame["gain"].item() == pytest.approx(0.05, abs=0.01)


def test_demands_on_several_comparisons_keep_their_numbers_apart(store: Store) -> None:
    records = add_seeds(store, "a", {"P@5": 0.3})
    records += add_seeds(store, "b", {"P@5": 0.2}) + add_seeds(store, "c", {"P@5": 0.0})
    opponents = ("b", "c")
    finder = parts(
        pairs((Method("a"), best(opponents, "the best")), metrics=["P@5"]),
        pairs((Method("a"), replace(best(opponents, "the worst"), position=1)), metrics=["P@5"]),
    )
    one = claim(finder, partial(reaches, stated=0.1), say=partial(sizes, stated=(0.1, 0.5)))
    found = decide(one, {"Home": ground(records, store)}, BOOK)["Home"]
    assert found.frame["part"].tolist() == [0, 1]
    first, second = found.evidence.split(". a over ")
    assert first.startswith("a over the best (b): relative gain +1") and first.endswith("stated +10.0 %")
    assert second.startswith("the worst (c): relative gain +") and second.endswith("stated +50.0 %.")


# --- who is compared


def test_the_variant_is_chosen_on_validation_never_on_test(store: Store) -> None:
    records = add_seeds(store, "a", {"P@5": 0.3}, extra={"valid": 0.5})
    records += add_seeds(store, "b", {"P@5": 0.0}, extra={"valid": 0.6})
    chosen = OnValidation(("a", "b")).fill(ground(records, store), ["P@5"])
    assert chosen is not None and chosen.label == "b"


def test_validation_scores_may_come_from_the_other_track_but_must_be_there(store: Store) -> None:
    records = add_seeds(store, "a", {"P@5": 0.3}) + add_seeds(store, "b", {"P@5": 0.0})
    role = OnValidation(("a", "b"))
    assert role.missing(ground(records, store)) == [
        f"a validation score of {name} (sound track)" for name in "ab"
    ]
    for name, score in (("a", 0.6), ("b", 0.5)):
        records += add_seeds(store, name, {"P@5": 0.0}, track="sound", extra={"valid": score})
    chosen = role.fill(ground(records, store), ["P@5"])
    assert chosen is not None and chosen.label == "a"


def test_the_best_opponent_is_taken_metric_by_metric(store: Store) -> None:
    records = add_seeds(store, "x", {"P@5": 0.1, "P@7": 0.0}) + add_seeds(
        store, "y", {"P@5": 0.0, "P@7": 0.1}
    )
    here = ground(records, store)
    role = best(("x", "y", "z", "w"), "the best baseline", {"Home": ("w",)})
    sample = role.fill(here, ["P@5", "P@7"])
    assert sample is not None
    np.testing.assert_array_equal(sample.values[..., 0], here.samples["x"].values[..., 0])
    np.testing.assert_array_equal(sample.values[..., 1], here.samples["y"].values[..., 1])
    assert role.missing(here) == ["z"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_seed_that_diverged_leaves_the_best_opponent_the_others(nested: bool, store: Store) -> None:
    records = add_seeds(store, "floor", {"P@5": -0.5}, seeds=3 if nested else 1)
    for label, lead in (("x", 0.1), ("y", 0.2)):
        for seed in range(3):
            score = float("nan") if (label, seed) == ("y", 1) else lead + 0.01 * seed
            split = f"split {seed}" if nested else "split"
            records.append(add(store, label, {"P@5": score}, seed=seed, split=split))
    if nested:
        records = [replace(r, split_id=f"split {r.seed}") for r in records]
    sample = best(("floor", "x", "y"), "the best baseline").fill(ground(records, store), ["P@5"])
    assert sample is not None and sample.label == "the best baseline (y)"
    assert sample.seeds == (0, 2) and sample.values.mean((1, 2)) == pytest.approx([0.2, 0.22])


def test_the_best_opponent_has_a_value_and_a_seed_in_common(store: Store) -> None:
    nan = float("nan")
    records = add_seeds(store, "ranker", {"P@5": 0.3, "MAE": nan}, base=0.0)
    records += add_seeds(store, "x", {"P@5": 0.1, "MAE": 0.9}, base=0.0)
    sample = best(("ranker", "x"), "the best baseline").fill(ground(records, store), ["P@5", "MAE"])
    assert sample is not None and sample.values[..., 1].mean() == pytest.approx(0.9, abs=0.05)
    apart = ground([r for r in records if (r.label == "x") == (r.seed < 2)], store)
    role = best(("ranker", "x"), "the best baseline")
    assert role.fill(apart, ["P@5"]) is None
    assert role.missing(apart) == ["a seed that all methods behind the best baseline have"]


# --- what is missing, and what counts


def test_missing_methods_are_named_and_the_verdict_waits(store: Store) -> None:
    found = judged(ALL, every, add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1)), store)
    assert (found.verdict, found.missing) == (PENDING, ("b",))


def test_fewer_seeds_than_the_rule_asks_for_are_not_a_verdict(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1), seeds=3)
    records += add_seeds(store, "b", gains(0, 0, 0, 0), seeds=3)
    found = judged(ALL, every, records, store)
    assert (found.verdict, found.so_far, found.missing) == (PENDING, HOLDS, ("2 more seeds",))


def both(store: Store, here: float, away: float, **given: Any) -> dict[str, Any]:
    """Grounds at both places, where `a` leads `b` by so much in every metric."""
    found = {}
    for place, lead in ((HOME, here), (AWAY, away)):
        name = place.experiment.name.removeprefix("tanp.")
        records = add_seeds(store, "a", gains(*[lead] * 4), measure=name, **given)
        records += add_seeds(store, "b", gains(0, 0, 0, 0), measure=name, **given)
        found[place.name] = ground(records, store, place)
    return found


@pytest.mark.parametrize(("lead", "whole"), [(0.1, PENDING), (-0.1, FAILS)])
def test_one_set_can_refute_but_not_confirm_what_is_said_of_two(
    lead: float, whole: str, store: Store
) -> None:
    there = {"Home": both(store, lead, 0.0)["Home"]}
    found = decide(claim(ALL, every, HOME, AWAY), there, BOOK)
    assert found["Home"].verdict == (HOLDS if lead > 0 else FAILS)
    assert (found[""].verdict, found[""].missing) == (whole, ("Away: every run",))


def test_two_sets_confirm_together(store: Store) -> None:
    found = decide(claim(ALL, every, HOME, AWAY), both(store, 0.1, 0.1), BOOK)
    assert found[""].verdict == HOLDS and len(found[""].frame) == 8
    assert found[""].frame.groupby("place").size().to_dict() == {"Home": 4, "Away": 4}


def test_a_part_that_fails_for_good_leaves_the_whole_a_word_so_far(store: Store) -> None:
    one = claim(ALL, partial(no_gain, allowed=0, failing=5), HOME, AWAY)
    found = decide(one, both(store, 0.1, 0.0, seeds=3), BOOK)
    assert found["Away"].so_far == HOLDS and found[""].verdict == PENDING
    assert found[""].so_far == NOISE


def test_planted_ratings_test_nothing_but_formulas(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1), dataset="synthetic")
    records += add_seeds(store, "b", gains(0, 0, 0, 0), dataset="synthetic")
    assert judged(ALL, every, records, store).verdict == UNTESTABLE
    formula = claim(ALL, every, anywhere=True)
    assert decide(formula, {"Home": ground(records, store)}, BOOK)[""].verdict == HOLDS


def test_a_verdict_on_a_stand_in_is_shown_and_not_counted(store: Store) -> None:
    extract = replace(AWAY, stand_in="an extract of our own")
    there = both(store, 0.1, -0.1)
    there["Away"] = replace(there["Away"], place=extract)
    found = decide(claim(ALL, every, HOME, extract), there, BOOK)
    assert (found["Away"].verdict, found["Away"].counted) == (FAILS, UNTESTABLE)
    assert (found[""].verdict, found["Home"].counted) == (HOLDS, HOLDS)
    alone = decide(claim(ALL, every, extract), {"Away": there["Away"]}, BOOK)
    assert (alone["Away"].verdict, alone[""].verdict) == (FAILS, UNTESTABLE)


def test_nothing_holds_of_a_method_that_is_level_with_a_floor(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1)) + add_seeds(store, "b", gains(0, 0, 0, 0))
    records += add_seeds(store, "Popularity", gains(0.1, 0.1, 0.1, 0.1), seeds=1)
    assert judged(ALL, every, records, store).verdict == HOLDS
    found = judged(ALL, every, records, store, floors=("Popularity",))
    assert found.verdict == NOISE and "level with a floor" in found.evidence


def test_floors_may_be_those_of_another_spec(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1)) + add_seeds(store, "b", gains(0, 0, 0, 0))
    add_seeds(store, "Popularity", gains(0.1, 0.1, 0.1, 0.1), measure="floors", seeds=1)
    place = replace(HOME, floors=spec("floors"))
    there = {"Home": ground(records, store, place, floors=("Popularity",))}
    assert decide(claim(ALL, every, place), there, BOOK)[""].verdict == NOISE


def test_a_ranker_is_no_floor_where_errors_are_compared_too(store: Store) -> None:
    metrics = ("MAE", "P@5")
    records = add_seeds(store, "a", {"MAE": -0.1, "P@5": 0.1}, base=0.8)
    records += add_seeds(store, "b", {"MAE": 0.0, "P@5": 0.0}, base=0.8)
    records += add_seeds(store, "Popularity", {"P@5": 0.1}, base=0.8, noise=0.3)
    for chosen, word in ((metrics, HOLDS), (("P@5",), NOISE)):
        finder = pairs((Method("a"), Method("b")), metrics=chosen)
        assert judged(finder, every, records, store, floors=("Popularity",)).verdict == word


def test_a_comparison_without_a_cell_decides_nothing(store: Store) -> None:
    nan = float("nan")
    records = add_seeds(store, "a", {"P@5": 0.1, "MAE": nan})
    records += add_seeds(store, "b", {"P@5": 0.0, "MAE": nan})
    silent, loud = (pairs((Method("a"), Method("b")), metrics=[m]) for m in ("MAE", "P@5"))
    found = judged(silent, every, records, store)
    assert found.verdict == PENDING and "diverged" in found.missing[0]
    assert len(judged(parts(silent, loud), every, records, store).frame) == 1


# --- the papers' lists


def test_words_and_file_are_one(tmp_path: Path) -> None:
    written = main(tmp_path / "claims.csv").read_bytes()
    assert written == (ROOT / "reference" / "claims.csv").read_bytes()


def test_every_claim_is_listed_once_with_words_of_its_own() -> None:
    books = [paper(name) for name in PAPERS]
    for letter, book in zip("TPC", books, strict=True):
        assert [c.id for c in book.claims] == [f"{letter}{n + 1:02d}" for n in range(len(book.claims))]
    for c in (c for book in books for c in book.claims):
        assert c.claim and c.rule and c.where and c.decided_by and c.own_table_check
        assert (c.cells is None) == (c.decide is None) == (not c.places), c.id


@pytest.mark.parametrize("name", PAPERS)
def test_places_have_names_of_their_own(name: str) -> None:
    places = {p for c in paper(name).claims for p in map(id, c.places)}
    found = {p.name: p for c in paper(name).claims for p in c.places}
    assert len(places) >= len(found)
    for c in paper(name).claims:
        assert all(found[p.name] == p for p in c.places)


SHARED = {"T01", *(f"T{n:02d}" for n in range(5, 12)), "T33"}


@pytest.mark.parametrize(
    ("notebook", "own", "table"),
    [
        ("table3-movielens", {"T02"}, TABLE3),
        ("table4-lastfm", {"T03", "T27"}, TABLE4),
        ("table5-gowalla", {"T04"}, TABLE5),
    ],
)
def test_every_claim_of_the_tables_is_decided_where_its_records_are(
    notebook: str, own: set[str], table: Any
) -> None:
    named = claims_of(f"tanp/{notebook}", tanp.PAPER.claims)
    assert {c.id for c in named} == SHARED | own
    places = {p.name: p for c in named for p in c.places}
    (place,) = (p for p in places.values() if p.notebook == f"tanp/{notebook}")
    (block,) = table.blocks
    assert (place.source, bool(place.stand_in)) == (block.source, bool(block.stand_in))


def test_a_page_that_decides_nothing_is_an_error(store: Store) -> None:
    records = add_seeds(store, FILM, {"P@5": 0.0})
    with pytest.raises(RecordError, match="no claim names 'tanp/nowhere'"):
        claims_table("tanp/nowhere", {TABLE4.name: records}, store)


def test_the_table_of_claims_decides_what_it_can(store: Store) -> None:
    nine = dict.fromkeys(NINE, 0.0)
    records = add_seeds(store, PLAIN, nine)
    records += add_seeds(store, FILM, dict.fromkeys(nine, 0.1))
    records += add_seeds(store, GATING, dict.fromkeys(nine, -0.1))
    shown = claims_table("tanp/table4-lastfm", {TABLE4.name: records}, store)
    frame = shown.frame.set_index("claim")
    assert (frame.loc["T07", "here"], frame.loc["T07", "overall"]) == (HOLDS, PENDING)
    assert (frame.loc["T08", "here"], frame.loc["T08", "overall"]) == (FAILS, FAILS)
    assert frame.loc["T10", "here"] == PENDING
    assert f"Last.FM: {NO_POOL}" in frame.loc["T10", "missing"]
    assert "MovieLens-1M: every run" in frame.loc["T07", "missing"]
    assert "✗ does not hold" in shown.html and '<th id="claim-t07" scope="row">T07</th>' in shown.html


def test_the_list_of_claims_is_an_argument(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1)) + add_seeds(store, "b", gains(0, 0, 0, 0))
    one = replace(claim(ALL, every), id="X01", claim="a beats b", rule="All of them.")
    shown = claims_table("tanp/made", {"tanp.made": records}, store, claims=[one])
    assert shown.frame[["claim", "here"]].values.tolist() == [["X01", HOLDS]]
    assert 'id="claim-x01"' in shown.html and "a beats b" in shown.html


def test_the_list_of_all_claims_leads_to_the_page_that_decides(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1))
    add_seeds(store, "b", gains(0, 0, 0, 0))
    waiting = replace(claim(ALL, every), id="X02", places=(), cells=None, decide=None)
    extract = replace(HOME, name="Extract", stand_in="an extract of our own")
    away = replace(claim(ALL, every, extract), id="X03")
    made = Paper("tanp", "Made", (replace(claim(ALL, every), claim="a < b"), waiting, away))
    monkeypatch.setattr("metarec.show.claims.paper", lambda name: made)
    shown = glance(store, papers=["tanp"], tracks=("published",))
    assert '<a href="book:notebooks/tanp/made#claim-x01">Home</a>' in shown.html and "a &lt; b" in shown.html
    assert "on a stand-in" in shown.html
    counted = tally(shown.frame)
    assert counted.frame.loc[("tanp", "published")].to_dict() == {
        HOLDS: 1,
        FAILS: 0,
        NOISE: 0,
        UNTESTABLE: 1,
        PENDING: 1,
    }
    assert "Made, published track" in counted.html
