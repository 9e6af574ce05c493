"""Rules and verdicts on cells made to order: every rule reaches each of its verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import add, add_seeds

from metarec.errors import RecordError
from metarec.papers.tanp.tables import SETTINGS, Setting
from metarec.report import claims, tanp
from metarec.report.cellrules import NoGain
from metarec.report.claims import FAILS, HOLDS, NOISE, PENDING, UNTESTABLE, decide
from metarec.report.evidence import BestOf, Cells, Ground, Method, OnValidation, Place
from metarec.report.methodrules import Above, LargestGain, Steadier, WorstSetting, log_spread
from metarec.report.rules import AllCells, Comparable, Magnitude, Majority, Rule
from metarec.runs.records import Record, Store

M = ("P@5", "P@7", "P@10", "NDCG@5")
HOME = Place("Home", "tanp.made", "tanp/made", "lastfm-tanp")
AWAY = Place("Away", "tanp.away", "tanp/away", "lastfm-tanp")
SIDES: dict[str, Any] = {"a": Method("a"), "b": Method("b"), "metrics": M}
ALL = AllCells(**SIDES, places=("Home",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def ground(records: list[Record], store: Store, place: Place = HOME, **given: Any) -> Ground:
    return Ground(place, "published", "", records, store, **given)


def gains(*values: float) -> dict[str, float]:
    return dict(zip(M, values, strict=True))


def verdict(rule: Rule, store: Store, lead: Mapping[str, float], *, noise: float = 0.02, **given: Any) -> str:
    """The verdict on `a` leading `b` by `lead`, with users that scatter by `noise`."""
    records = add_seeds(store, "a", lead, noise=noise, **given)
    records += add_seeds(store, "b", dict.fromkeys(lead, 0.0), noise=noise, **given)
    return decide(rule, {"Home": ground(records, store)})[""].verdict


# --- the rules


@pytest.mark.parametrize(
    ("lead", "noise", "word"),
    [
        (gains(0.1, 0.1, 0.1, 0.1), 0.02, HOLDS),
        (gains(0.1, 0.1, 0.1, 0.0), 0.02, NOISE),
        (gains(0.1, 0.1, 0.1, -0.05), 0.02, FAILS),  # one cell is clearly worse
        (gains(-0.001, -0.001, -0.001, -0.001), 0.3, FAILS),  # none is, but the mean is negative
        (gains(0.01, 0.01, 0.01, 0.01), 0.3, NOISE),
    ],
)
def test_all_cells(lead: dict[str, float], noise: float, word: str, store: Store) -> None:
    assert verdict(ALL, store, lead, noise=noise) == word


def test_a_cell_counts_against_only_after_holm() -> None:
    import pandas as pd

    frame = pd.DataFrame({"sign": ["-", "+", "+"], "p": [0.03, 0.5, 0.5], "gain": [-0.1, 0.2, 0.2]})
    assert Cells(frame, np.ones(9)).refuting == 0
    assert Cells(frame.assign(p=[0.01, 0.5, 0.5]), np.ones(9)).refuting == 1


@pytest.mark.parametrize(
    ("lead", "word"),
    [
        (gains(0.1, 0.1, 0.1, 0.0), HOLDS),
        (gains(0.1, 0.1, 0.0, 0.0), NOISE),  # half is no majority
        (gains(0.1, 0.1, 0.1, -0.05), NOISE),  # one is clearly worse
        (gains(-0.05, -0.05, -0.05, 0.3), FAILS),
        (gains(0.01, -0.05, 0.0, 0.0), FAILS),
    ],
)
def test_majority(lead: dict[str, float], word: str, store: Store) -> None:
    rule = Majority(**SIDES, places=("Home",), mean_excludes_zero=True)
    assert verdict(rule, store, lead) == word


@pytest.mark.parametrize(
    ("lead", "noise", "word"),
    [
        (gains(-0.005, 0.0, 0.0, 0.1), 0.01, HOLDS),  # within 2 % of 0.6
        (gains(-0.05, 0.0, 0.0, 0.0), 0.01, NOISE),  # one cell is not enough to fail
        (gains(-0.05, -0.05, 0.0, 0.0), 0.01, FAILS),
        (gains(0.0, 0.0, 0.0, 0.0), 0.3, NOISE),
    ],
)
def test_comparable(lead: dict[str, float], noise: float, word: str, store: Store) -> None:
    rule = Comparable(**SIDES, places=("Home",), tolerance=0.02, failing=2)
    assert verdict(rule, store, lead, noise=noise) == word


@pytest.mark.parametrize(
    ("lead", "noise", "word"), [(0.03, 0.01, HOLDS), (0.01, 0.01, FAILS), (0.03, 0.4, NOISE)]
)
def test_magnitude(lead: float, noise: float, word: str, store: Store) -> None:
    rule = Magnitude(a=Method("a"), b=Method("b"), metrics=("P@5",), places=("Home",), stated=0.036)
    assert verdict(rule, store, {"P@5": lead}, noise=noise) == word


@pytest.mark.parametrize(
    ("over_random", "over_popular", "word"),
    [(0.2, 0.1, HOLDS), (0.2, 0.0, NOISE), (0.2, -0.1, FAILS), (-0.1, 0.1, NOISE)],
)
def test_above_the_floors(over_random: float, over_popular: float, word: str, store: Store) -> None:
    rule = Above(a=Method("a"), floors=("Random ranker", "Popularity"), metrics=("P@5",), places=("Home",))
    records = add_seeds(store, "a", {"P@5": 0.0})
    records += add_seeds(store, "Random ranker", {"P@5": -over_random}, seeds=1)
    records += add_seeds(store, "Popularity", {"P@5": -over_popular}, seeds=1)
    assert decide(rule, {"Home": ground(records, store)})[""].verdict == word


@pytest.mark.parametrize(
    ("lead", "word"),
    [
        (gains(0.1, 0.02, 0.02, 0.02), HOLDS),
        (gains(0.09, 0.1, 0.02, 0.02), NOISE),
        (gains(0.01, 0.1, 0.1, 0.1), FAILS),
    ],
)
def test_largest_gain(lead: dict[str, float], word: str, store: Store) -> None:
    rule = LargestGain(**SIDES, places=("Home",), named={"Home": "P@5"})
    assert verdict(rule, store, lead) == word


@pytest.mark.parametrize(("wobbles", "word"), [((0.02, 0.03), HOLDS), ((0.02, 5e-4), FAILS)])
def test_steadier(wobbles: tuple[float, float], word: str, store: Store) -> None:
    rule = Steadier(a=Method("a"), opponents=("b", "c"), metrics=M, places=("Home",))
    records = add_seeds(store, "a", gains(0, 0, 0, 0), wobble=0.004, seeds=9)
    for name, wobble in zip("bc", wobbles, strict=True):
        records += add_seeds(store, name, gains(0, 0, 0, 0), wobble=wobble, seeds=9)
    found = decide(rule, {"Home": ground(records, store)})[""]
    assert found.verdict == word
    assert "b " in found.evidence and "times as much" in found.evidence


def test_scatter_is_the_mean_log_deviation_over_seeds(store: Store) -> None:
    records = [add(store, "a", {"P@5": v, "P@7": 2 * v}, seed=s) for s, v in enumerate((0.1, 0.2, 0.3))]
    value, draws = log_spread(ground(records, store).samples["a"])
    assert value == pytest.approx(np.log([0.1, 0.2]).mean(), rel=1e-5)
    assert np.isfinite(draws).all()


def test_worst_setting_takes_the_lowest_point_of_a_whole_grid(store: Store) -> None:
    rule = WorstSetting(
        labels=("a",), b=Method("b"), grid="tanp.grid", points=3, metrics=("P@5",), places=("Home",)
    )
    records = add_seeds(store, "b", {"P@5": 0.0})
    here = {"Home": ground(records, store)}
    for point, gain in enumerate((0.1, 0.05)):
        add_seeds(store, "a", {"P@5": gain}, experiment="grid", options={"k": point})
    assert decide(rule, here)[""].missing == ("Home: the whole grid (tanp.grid)",)
    add_seeds(store, "a", {"P@5": 0.2}, experiment="grid", options={"k": 2})
    found = decide(rule, here)[""]
    assert (found.verdict, "worst of 3 settings" in found.evidence) == (HOLDS, True)
    assert found.cells is not None and found.cells.mean.mean == pytest.approx(0.05, abs=0.01)


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
    best = BestOf(("x", "y", "z", "w"), without={"Home": ("w",)})
    sample = best.fill(here, ["P@5", "P@7"])
    assert sample is not None
    np.testing.assert_array_equal(sample.values[..., 0], here.samples["x"].values[..., 0])
    np.testing.assert_array_equal(sample.values[..., 1], here.samples["y"].values[..., 1])
    assert best.missing(here) == ["z"]


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
    sample = BestOf(("floor", "x", "y")).fill(ground(records, store), ["P@5"])
    assert sample is not None and sample.label == "the best baseline (y)"
    assert sample.seeds == (0, 2) and sample.values.mean((1, 2)) == pytest.approx([0.2, 0.22])


def test_the_best_opponent_has_a_value_and_a_seed_in_common(store: Store) -> None:
    nan = float("nan")
    records = add_seeds(store, "ranker", {"P@5": 0.3, "MAE": nan}, base=0.0)
    records += add_seeds(store, "x", {"P@5": 0.1, "MAE": 0.9}, base=0.0)
    sample = BestOf(("ranker", "x")).fill(ground(records, store), ["P@5", "MAE"])
    assert sample is not None and sample.values[..., 1].mean() == pytest.approx(0.9, abs=0.05)
    apart = [r for r in records if (r.method == "x") == (r.seed < 2)]
    with pytest.raises(RecordError, match="'the best baseline' is common to all; run more seeds"):
        BestOf(("ranker", "x")).fill(ground(apart, store), ["P@5"])


# --- what is missing


def test_missing_methods_are_named_and_the_verdict_waits(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1))
    found = decide(ALL, {"Home": ground(records, store)})
    assert (found["Home"].verdict, found["Home"].missing) == (PENDING, ("b",))


def test_fewer_seeds_than_the_rule_asks_for_are_not_a_verdict(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1), seeds=3)
    records += add_seeds(store, "b", gains(0, 0, 0, 0), seeds=3)
    assert decide(ALL, {"Home": ground(records, store)})["Home"].missing == ("2 more seeds",)


@pytest.mark.parametrize(("lead", "whole"), [(0.1, PENDING), (-0.1, FAILS)])
def test_one_set_can_refute_but_not_confirm_what_is_said_of_two(
    lead: float, whole: str, store: Store
) -> None:
    rule = AllCells(**SIDES, places=("Home", "Away"))
    records = add_seeds(store, "a", gains(*[lead] * 4)) + add_seeds(store, "b", gains(0, 0, 0, 0))
    found = decide(rule, {"Home": ground(records, store)})
    assert found["Home"].verdict == (HOLDS if lead > 0 else FAILS)
    assert (found[""].verdict, found[""].missing) == (whole, ("Away: every run",))


def test_two_sets_confirm_together(store: Store) -> None:
    rule = AllCells(**SIDES, places=("Home", "Away"))
    grounds = {}
    for place in (HOME, AWAY):
        name = place.experiment.split(".")[1]
        records = add_seeds(store, "a", gains(*[0.1] * 4), experiment=name)
        records += add_seeds(store, "b", gains(0, 0, 0, 0), experiment=name)
        grounds[place.name] = ground(records, store, place)
    found = decide(rule, grounds)[""]
    assert found.verdict == HOLDS
    assert found.cells is not None and len(found.cells.frame) == 8


def test_planted_ratings_test_nothing(store: Store) -> None:
    assert verdict(ALL, store, gains(0.1, 0.1, 0.1, 0.1), dataset="synthetic") == UNTESTABLE


def test_nothing_holds_of_a_method_that_is_level_with_a_floor(store: Store) -> None:
    records = add_seeds(store, "a", gains(0.1, 0.1, 0.1, 0.1)) + add_seeds(store, "b", gains(0, 0, 0, 0))
    records += add_seeds(store, "Popularity", gains(0.1, 0.1, 0.1, 0.1), seeds=1)
    assert decide(ALL, {"Home": ground(records, store)})[""].verdict == HOLDS
    found = decide(ALL, {"Home": ground(records, store, floors=("Popularity",))})[""]
    assert found.verdict == NOISE and "level with a floor" in found.evidence


# --- the ledger


SHARED = {"T01", *(f"T{n:02d}" for n in range(5, 12)), "T33"}


@pytest.mark.parametrize(
    ("notebook", "own"),
    [("table3-movielens", {"T02"}), ("table4-lastfm", {"T03", "T27"}), ("table5-gowalla", {"T04"})],
)
def test_every_claim_of_the_tables_has_a_rule(notebook: str, own: set[str]) -> None:
    named = set(claims.claims_of(f"tanp/{notebook}")["id"])
    assert named == SHARED | own
    assert named <= set(tanp.LEDGER.rules)
    places = {p.name: p for p in tanp.LEDGER.places}
    assert all(set(rule.places) <= set(places) for rule in tanp.LEDGER.rules.values())
    (place,) = (p for p in places.values() if p.notebook == f"tanp/{notebook}")
    (block,) = {t.blocks[0].dataset: t for t in (tanp.TABLE3, tanp.TABLE4, tanp.TABLE5)}[place.name].blocks
    assert block.source == place.source == tanp_setting(place.experiment).dataset


def tanp_setting(experiment: str) -> Setting:
    """Where the experiment of that name is played."""
    return SETTINGS[experiment.partition(".")[2]]


def test_a_claim_without_a_rule_or_a_place_is_an_error(store: Store) -> None:
    records = add_seeds(store, tanp.FILM, {"P@5": 0.0})
    with pytest.raises(RecordError, match="no place for 'tanp/nowhere'"):
        claims.table("tanp/nowhere", records, store)
    with pytest.raises(RecordError, match="no claim"):
        claims.claims_of("tanp/nowhere")


def test_the_table_of_claims_decides_what_it_can(store: Store) -> None:
    nine = dict.fromkeys(tanp.NINE, 0.0)
    records = add_seeds(store, tanp.PLAIN, nine, experiment="table4")
    records += add_seeds(store, tanp.FILM, dict.fromkeys(nine, 0.1), experiment="table4")
    records += add_seeds(store, tanp.GATING, dict.fromkeys(nine, -0.1), experiment="table4")
    shown = claims.table("tanp/table4-lastfm", records, store)
    frame = shown.frame.set_index("claim")
    assert (frame.loc["T07", "here"], frame.loc["T07", "overall"]) == (HOLDS, PENDING)
    assert (frame.loc["T08", "here"], frame.loc["T08", "overall"]) == (FAILS, FAILS)
    assert frame.loc["T10", "here"] == PENDING
    assert f"Last.FM: {tanp.NO_POOL}" in frame.loc["T10", "missing"]
    assert "MovieLens-1M: every run" in frame.loc["T07", "missing"]
    assert "✗ does not hold" in shown.html


def test_a_ranker_is_no_floor_where_errors_are_compared_too(store: Store) -> None:
    metrics = ("MAE", "P@5")
    records = add_seeds(store, "a", {"MAE": -0.1, "P@5": 0.1}, base=0.8)
    records += add_seeds(store, "b", {"MAE": 0.0, "P@5": 0.0}, base=0.8)
    records += add_seeds(store, "Popularity", {"P@5": 0.1}, base=0.8, noise=0.3)
    rule = AllCells(a=Method("a"), b=Method("b"), metrics=metrics, places=("Home",))
    assert decide(rule, {"Home": ground(records, store, floors=("Popularity",))})[""].verdict == HOLDS
    ranked = replace(rule, metrics=("P@5",))
    assert decide(ranked, {"Home": ground(records, store, floors=("Popularity",))})[""].verdict == NOISE


def test_a_part_that_fails_for_good_leaves_the_whole_a_word_so_far(store: Store) -> None:
    rule = NoGain(a=Method("a"), b=Method("b"), metrics=("P@5",), places=("Home", "Away"), allowed=0)
    grounds = {}
    for place, lead in ((HOME, 0.1), (AWAY, 0.0)):
        given: dict[str, Any] = {"seeds": 3, "experiment": place.experiment.split(".")[1]}
        made = add_seeds(store, "a", {"P@5": lead}, **given) + add_seeds(store, "b", {"P@5": 0.0}, **given)
        grounds[place.name] = ground(made, store, place)
    found = decide(rule, grounds)
    assert found["Home"].verdict == FAILS and found["Away"].so_far == HOLDS
    assert (found[""].verdict, found[""].so_far) == (PENDING, NOISE)
