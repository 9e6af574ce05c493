"""Roles about courses on records made to order: along a grid of settings, by epoch, ranks and gaps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import add
from made_splits import MADE, MAE, curve, falling, ground, judged, level, runs, word

from metarec.claims.cells import best, pairs, ranking, spread
from metarec.claims.courses import (
    Combination,
    Curve,
    OfCurve,
    Setting,
    Zero,
    log_jitter,
    point,
    settled,
    slope_of,
)
from metarec.claims.roles import Gap, Mean, Method, Ranked
from metarec.claims.rules import every, inside, most, ranked
from metarec.papers.pnmta.claims import tunable
from metarec.papers.pnmta.claims_epochs import early
from metarec.papers.pnmta.counted import times_of
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show.words import FAILS, HOLDS, NOISE, PENDING
from metarec.stats.runs import read, select
from metarec.stats.samples import aligned

D = Setting("options.d", (8, 16, 32), 32, "size", "d =", log=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def grid(store: Store, method: str, errors: Mapping[float, float], **given: Any) -> list[Record]:
    """The method at each value of `D`."""
    return [r for v, e in errors.items() for r in runs(store, method, e, options={"d": v}, **given)]


def family(store: Store, errors: Mapping[str, float], **given: Any) -> list[Record]:
    return [r for method, e in errors.items() for r in runs(store, method, e, **given)]


# --- seeds with splits of their own


def test_a_method_with_one_seed_left_is_matched_by_seed(store: Store) -> None:
    whole = runs(store, "a", 0.0)
    rest = runs(store, "b", 0.1)[3:4]
    found = ground([*whole, *rest], store).samples
    x, y = aligned(found["a"], found["b"])
    assert x.seeds == (3,)
    assert (x.values - y.values).mean() == pytest.approx(0.1, abs=1e-6)


def test_a_field_is_reached_through_several_levels(store: Store) -> None:
    (record,) = runs(store, "a", 0.0, seeds=1)
    assert select([record], {"protocol.rule_options.n_support": 20}) == [record]
    assert select([record], {"protocol.rule_options.max_support": 20}) == []
    assert select([record], {"options.model.depth": 20}) == []


# --- along a grid


def test_the_slope_is_that_of_least_squares(store: Store) -> None:
    errors = {8: 0.3, 16: 0.25, 32: 0.1}
    here = ground(grid(store, "a", errors), store)
    sample = Combination("a", D, D.slope(), "a").fill(here, ["MAE"])
    assert sample is not None
    expected = np.polyfit(np.log([8, 16, 32]), [*errors.values()], 1)[0]
    assert sample.values.mean() == pytest.approx(expected, abs=1e-6)


def test_a_grid_with_a_gap_says_which_value_is_missing(store: Store) -> None:
    here = ground(grid(store, "a", {8: 0.3, 32: 0.1}), store)
    role = Combination("a", D, D.slope(), "a")
    assert role.missing(here) == ["a at d = 16"]
    assert role.fill(here, ["MAE"]) is None
    assert Zero(role).fill(here, ["MAE"]) is None


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ({8: 0.3, 16: 0.2, 32: 0.1}, HOLDS),
        ({8: 0.1, 16: 0.2, 32: 0.3}, FAILS),
        ({8: 0.2, 16: 0.2, 32: 0.2}, NOISE),
    ],
)
def test_errors_fall_along_a_setting(errors: dict[float, float], verdict: str, store: Store) -> None:
    slope = Combination("a", D, D.slope(), "a")
    finder = pairs((slope, Zero(slope)), metrics=MAE)
    assert word(finder, every, grid(store, "a", errors, noise=0.1), store) == verdict


@pytest.mark.parametrize(("last", "verdict"), [(0.05, HOLDS), (0.3, FAILS)])
def test_every_value_of_a_setting_is_a_cell(last: float, verdict: str, store: Store) -> None:
    records = grid(store, "a", {8: 0.0, 16: 0.0, 32: last}) + grid(store, "b", dict.fromkeys(D.values, 0.1))
    finder = pairs((Method("a"), Method("b")), metrics=MAE, along=D)
    found = judged(finder, every, records, store)
    assert found.verdict == verdict and list(found.frame["at"]) == ["d = 8", "d = 16", "d = 32"]
    short = judged(finder, every, [r for r in records if r.options["d"] != 16], store)
    assert short.missing == ("a at d = 16", "b at d = 16")


def test_a_value_held_with_others_is_one_point(store: Store) -> None:
    records = [
        r
        for w in (1, 2)
        for d in D.values
        for r in runs(store, "a", 0.1 * w + 0.001 * d, options={"d": d, "w": w})
    ]
    sample = point("a", D, 16, {"options.w": 2}).fill(ground(records, store), ["MAE"])
    assert sample is not None and sample.label == "a, d = 16"
    assert sample.values.mean() == pytest.approx(np.mean([level(s) for s in range(5)]) + 0.216, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "last", "verdict"), [(0.2, 0.0, HOLDS), (0.0, 0.2, FAILS), (-0.1, -0.2, NOISE)]
)
def test_a_lead_grows_or_does_not(first: float, last: float, verdict: str, store: Store) -> None:
    records = grid(store, "a", dict.fromkeys(D.values, 0.3))
    records += grid(store, "b", {8: 0.3 + first, 16: 0.3, 32: 0.3 + last})
    ends = {8.0: 1.0, 32.0: -1.0}
    sides = [
        (Combination("a", D, weights, "a"), Combination("b", D, weights, "b"))
        for weights in (ends, {8.0: 1.0})
    ]
    rule = partial(every, refuted_by={"part": 0})
    assert word(pairs(*sides, metrics=MAE), rule, records, store) == verdict


@pytest.mark.parametrize(("lead", "verdict"), [(0.1, HOLDS), (-0.1, FAILS), (0.0, NOISE)])
def test_ahead_at_most_values(lead: float, verdict: str, store: Store) -> None:
    records = grid(store, "a", {8: 0.3 - lead, 16: 0.3 - lead, 32: 0.3}, noise=0.05)
    records += grid(store, "b", dict.fromkeys(D.values, 0.3), noise=0.05)
    finder = pairs((Method("a"), best(("b",), "the best")), metrics=MAE, along=D)
    assert word(finder, most, records, store) == verdict


@pytest.mark.parametrize(("wide", "verdict"), [(0.002, HOLDS), (0.2, FAILS), (0.015, NOISE)])
def test_a_relative_range_is_small_or_not(wide: float, verdict: str, store: Store) -> None:
    records = grid(store, "a", {8: wide, 16: 0.0, 32: 0.0}, noise=0.02)
    finder = spread(D, {"a": {}}, "MAE", share=True)
    assert word(finder, partial(inside, high=0.02), records, store) == verdict


def test_a_seed_that_diverged_at_one_value_is_left_out_at_all(store: Store) -> None:
    whole, spoilt = grid(store, "a", {8: 0.0, 16: 0.0}, noise=0.02), runs(store, "a", 0.0, options={"d": 32})
    frame = spread(D, {"a": {}}, "MAE")(ground([*whole, *spoilt[:4]], store)).frame
    assert frame["seeds"].item() == 4


# --- by epoch


def test_numbers_of_a_curve() -> None:
    curves = np.array([[1.0, 0.9, 0.8, 0.7], [1.0, 0.5, 0.501, 0.499]])
    np.testing.assert_allclose(slope_of(curves)[0], -0.1)
    np.testing.assert_array_equal(settled(curves), [4, 2])
    straight, jagged = falling(1.0)[:1], falling(1.0)[:1] + 0.1 * np.array([0, 1, 0, 1, 0, 1])
    assert log_jitter(straight)[0] < log_jitter(jagged)[0]
    diverged = np.array([[0.9, 0.8, np.nan], [np.nan, np.nan, np.nan]])
    np.testing.assert_array_equal(settled(diverged), [2, np.nan])


@pytest.mark.parametrize(("start", "verdict"), [(0.8, HOLDS), (1.1, FAILS)])
def test_ahead_at_every_epoch(start: float, verdict: str, store: Store) -> None:
    records = curve(store, "a", falling(start)) + curve(store, "b", falling(1.0))
    finder = pairs((Curve("a", (1, 2, 6)), Curve("b", (1, 2, 6))), metrics=MAE)
    found = judged(finder, every, records, store, floors=("b",))
    assert found.verdict == verdict and len(found.frame) == 3


def test_a_curve_that_was_not_recorded_is_missing(store: Store) -> None:
    records = curve(store, "a", falling(1.0)) + runs(store, "b", 0.0)
    finder = pairs((Curve("a", (1,)), Curve("b", (1,), split="valid")), metrics=MAE)
    found = judged(finder, every, records, store)
    assert (found.verdict, found.missing) == (PENDING, ("b: valid MAE by epoch",))


def test_an_epoch_at_which_a_seed_diverged_has_no_value(store: Store) -> None:
    errors = falling(1.0)
    errors[2, 3] = 3e11
    sample = Curve("a", (3, 4)).fill(ground(curve(store, "a", errors), store), MAE)
    assert sample is not None
    np.testing.assert_array_equal(np.isnan(sample.values[:, 0, 1]), [False, False, True, False, False])
    assert not np.isnan(sample.values[:, 0, 0]).any()


@pytest.mark.parametrize(("start", "verdict"), [(1.0, HOLDS), (0.5, FAILS), (0.98, NOISE)])
def test_about_equal(start: float, verdict: str, store: Store) -> None:
    records = curve(store, "a", falling(start)) + curve(store, "b", falling(1.0))
    rule = partial(inside, low=-0.02, high=0.02, of="relative", failing=None)
    finder = pairs((Curve("a", (1, 2)), Curve("b", (1, 2))), metrics=MAE)
    assert word(finder, rule, records, store) == verdict


@pytest.mark.parametrize(("soon", "late", "signs"), [(2, 5, "+++++"), (6, 8, "-----")])
def test_settling_early_is_counted_by_seed(soon: int, late: int, signs: str, store: Store) -> None:
    def until(epoch: int) -> np.ndarray:
        values = 0.5 + 0.1 * np.clip(epoch - np.arange(1, 9), 0, None)
        return values + 1e-4 * np.arange(5)[:, None]

    records = curve(store, "a", until(soon), "valid") + curve(store, "b", until(late), "valid")
    roles = [OfCurve(Curve(m, tuple(range(1, 9)), "valid"), settled, "epochs to settle") for m in "ab"]
    here = ground(records, store)
    assert "".join(early(roles[0], 5)(here).frame["sign"]) == signs
    assert pairs((roles[0], roles[1]), metrics=MAE)(here).frame["gain"].item() == late - soon


def test_the_gap_is_test_error_less_training_error(store: Store) -> None:
    here = ground(curve(store, "a", falling(1.0)), store)
    role = Gap("a", "MSE", "query", curve=True)
    sample = role.fill(here, MAE)
    assert sample is not None and sample.metrics == ("gap:MSE",)
    np.testing.assert_allclose(sample.values[0, 0, 0], (level(0) ** 2).mean() - 0.1)
    assert Gap("b", "MSE", "query", curve=True).missing(here) == ["b: query on training users"]


def test_a_seed_whose_training_error_diverged_has_no_gap(store: Store) -> None:
    records = curve(store, "a", falling(1.0))
    records[1].extra["curve"]["query"][-1] = 1.5e27
    sample = Gap("a", "MSE", "query", curve=True).fill(ground(records, store), MAE)
    assert sample is not None and sample.seeds == (0, 2, 3, 4)


# --- many methods


def timed(store: Store, ms: Mapping[str, float]) -> None:
    """Steps timed over twenty rounds each, about so many milliseconds."""
    for name, typical in ms.items():
        own = (typical * np.random.default_rng(len(name)).uniform(0.95, 1.05, 20)).tolist()
        record = Record("pnmta", "published", "lastfm-tanp", f"step, {name}", {}, 0, {}, config=name)
        store.add(replace(record, measure="table45", extra={"ms": own}))


@pytest.mark.parametrize(("ms", "verdict"), [(5.0, HOLDS), (9.0, FAILS), (8.0, NOISE), (None, PENDING)])
def test_time_is_read_from_where_it_was_measured(ms: float | None, verdict: str, store: Store) -> None:
    timed(store, {"whole": 10.0} | ({} if ms is None else {"little": ms}))
    finder = times_of("little", base="whole")
    assert word(finder, partial(inside, high=0.8), runs(store, "a", 0.0), store) == verdict


def test_the_gap_to_training_users_is_one_value_a_seed(store: Store) -> None:
    records = [replace(r, terms={"train MAE": 0.25}) for r in family(store, {"a": 0.0}, seeds=2)]
    role = Gap("a", "MAE", "train MAE")
    sample = role.fill(ground(records, store), MAE)
    assert sample is not None and sample.metrics == ("gap:MAE",)
    np.testing.assert_allclose(sample.values.ravel(), [r.metrics["MAE"] - 0.25 for r in records])
    spoilt = [records[0], replace(records[1], metrics={"MAE": float("nan")})]
    left = role.fill(ground(spoilt, store), MAE)
    assert left is not None and left.seeds == (0,)
    assert role.fill(ground(spoilt[1:], store), MAE) is None


def test_ranked_takes_a_position_in_the_order_of_those_that_ran(store: Store) -> None:
    names = ("a", "b", "c", "d", "e")
    here = ground(family(store, dict(zip(names[:4], (0.3, 0.1, 0.2, 0.0), strict=True))), store)
    found = [Ranked(names, position, "x").fill(here, ["MAE"]) for position in (0, 0.5, 1)]
    assert [s.label for s in found if s is not None] == ["x (d)", "x (c)", "x (a)"]
    assert Ranked(names, 0, "x").missing(here) == ["e"]


def test_a_mean_is_taken_user_by_user(store: Store) -> None:
    here = ground(family(store, {"a": 0.0, "b": 0.2}), store)
    sample = Mean((Method("a"), Method("b")), "both").fill(here, ["MAE"])
    assert sample is not None and sample.label == "both"
    assert sample.values.mean() == pytest.approx(np.mean([level(s) for s in range(5)]) + 0.1, abs=1e-6)


@pytest.mark.parametrize(("error", "verdict"), [(0.15, HOLDS), (0.05, NOISE), (0.9, FAILS)])
def test_a_rank_among_many(error: float, verdict: str, store: Store) -> None:
    others = {name: 0.1 * (k + 1) for k, name in enumerate("bcdefg")}
    wobble = 0.2 if verdict == NOISE else 0.0
    records = family(store, {"a": error, **others}, wobble=wobble)
    rule = partial(ranked, rank=2, seeds=0.8)
    assert word(ranking("a", tuple(others), "MAE"), rule, records, store) == verdict


def test_ranks_are_those_of_the_seeds_that_all_have(store: Store) -> None:
    others = {name: 0.1 * (k + 1) for k, name in enumerate("bcdefg")}
    family(store, {"a": 0.15, **others})
    for seed in (3, 4):
        add(store, "b", {"MAE": float("nan")}, seed=seed, split=f"split {seed}")
    rule = partial(ranked, rank=2, seeds=0.8)
    found = judged(ranking("a", tuple(others), "MAE"), rule, read(store, MADE), store)
    assert (found.verdict, found.so_far) == (PENDING, HOLDS)
    assert found.missing == ("2 seeds at which a method compared has diverged",)
    assert found.frame["ranks"].iloc[0] == [2, 2, 2]


def test_hyper_parameters_are_counted_not_switches() -> None:
    from metarec.methods.maml_pt import MAMLPTOptions
    from metarec.methods.pnmta import PNMTAOptions

    assert tunable(PNMTAOptions, MAMLPTOptions) == ("generator",)
