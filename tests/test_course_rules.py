"""Rules about courses, many cells and ranks reach each of their verdicts on records made to order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_records import add
from made_splits import HERE, HOME, curve, falling, ground, level, runs, word
from metarec.report import statistics as st
from metarec.report.cellrules import (
    AboutEqual,
    AtLeast,
    NoGain,
    OnMean,
    Signs,
    along,
    each,
    first_refutes,
    over,
)
from metarec.report.claims import FAILS, HOLDS, NOISE, PENDING, decide
from metarec.report.contrasts import Combination, Curve, OfCurve, Setting, Zero, log_jitter, settled, slope_of
from metarec.report.evidence import Cells, Ground, Method
from metarec.report.gridrules import Flat
from metarec.report.layout import select
from metarec.report.rankrules import (
    Average,
    Champion,
    Gap,
    HasRank,
    NoneToTune,
    Overfit,
    Ranked,
    SettlesEarly,
    tunable,
)
from metarec.report.rules import AllCells, Comparable, Magnitude
from metarec.report.samples import aligned
from metarec.report.sensitivity import Sweep
from metarec.report.timerules import Cheaper

from metarec.runs.records import Record
from metarec.runs.store import Store

D = Setting("options.d", (8, 16, 32), 32, "size", "d =", log=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def grid(store: Store, method: str, errors: Mapping[float, float], **given: Any) -> list[Record]:
    """The method at each value of `D`."""
    return [r for v, e in errors.items() for r in runs(store, method, e, options={"d": v}, **given)]


# --- seeds with splits of their own


def test_a_method_with_one_seed_left_is_matched_by_seed(store: Store) -> None:
    whole = runs(store, "a", 0.0)
    rest = runs(store, "b", 0.1)[3:4]
    found = ground([*whole, *rest], store).samples
    x, y = aligned(found["a"], found["b"])
    assert x.shape[0] == 1
    assert (x - y).mean() == pytest.approx(0.1, abs=1e-6)


def test_one_value_a_seed_gets_students_t() -> None:
    values = np.array([0.1, 0.2, 0.4])
    low, high = st.percentile(st.bootstrap_means(values[:, None, None]))
    exact = st.t_interval(values)
    assert (low[0], high[0]) == pytest.approx((exact.low, exact.high), rel=0.01)
    assert np.isnan(st.bootstrap_means(values[:1, None, None])).all()


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
    rule = over("falls", Signs(a=slope, b=Zero(slope), **HERE))
    assert word(rule, grid(store, "a", errors, noise=0.1), store) == verdict


@pytest.mark.parametrize(("last", "verdict"), [(0.05, HOLDS), (0.3, FAILS)])
def test_every_value_of_a_setting_is_a_cell(last: float, verdict: str, store: Store) -> None:
    records = grid(store, "a", {8: 0.0, 16: 0.0, 32: last}) + grid(store, "b", dict.fromkeys(D.values, 0.1))
    rule = along(D, AllCells(a=Method("a"), b=Method("b"), **HERE))
    found = decide(rule, {"Home": ground(records, store)}, percent=False)[""]
    assert found.verdict == verdict
    assert found.cells is not None and list(found.cells.frame["at"]) == ["d = 8", "d = 16", "d = 32"]
    assert "d = 32, MAE" in found.evidence


@pytest.mark.parametrize(
    ("first", "last", "verdict"), [(0.2, 0.0, HOLDS), (0.0, 0.2, FAILS), (-0.1, -0.2, NOISE)]
)
def test_a_lead_grows_or_does_not(first: float, last: float, verdict: str, store: Store) -> None:
    records = grid(store, "a", dict.fromkeys(D.values, 0.3))
    records += grid(store, "b", {8: 0.3 + first, 16: 0.3, 32: 0.3 + last})
    ends = {8.0: 1.0, 32.0: -1.0}
    parts = [
        Signs(a=Combination("a", D, weights, "a"), b=Combination("b", D, weights, "b"), **HERE)
        for weights in (ends, {8.0: 1.0})
    ]
    assert word(first_refutes("lead", *parts), records, store) == verdict


@pytest.mark.parametrize(("spread", "verdict"), [(0.002, HOLDS), (0.2, FAILS), (0.015, NOISE)])
def test_a_relative_range_is_small_or_not(spread: float, verdict: str, store: Store) -> None:
    records = grid(store, "a", {8: spread, 16: 0.0, 32: 0.0}, noise=0.02)
    sweep = Sweep("d", D.values, "size", {"a": {}}, {"a": 32})
    rule = Flat(sweeps=(sweep,), beside="tanp.made", bound=0.02, relative=True, **HERE)
    assert word(rule, records, store) == verdict


def test_a_seed_that_diverged_at_one_value_is_left_out_at_all(store: Store) -> None:
    whole, spoilt = grid(store, "a", {8: 0.0, 16: 0.0}, noise=0.02), runs(store, "a", 0.0, options={"d": 32})
    sweep = Sweep("d", D.values, "size", {"a": {}}, {"a": 32})
    rule = Flat(sweeps=(sweep,), beside="tanp.made", bound=0.02, relative=True, **HERE)
    cells = rule.cells(ground([*whole, *spoilt[:4]], store))
    assert cells is not None and cells.seeds == 4


class Silent(AllCells):
    """A comparison that is defined for nobody."""

    def cells(self, ground: Ground) -> Cells | None:
        found = super().cells(ground)
        return None if found is None else replace(found, frame=found.frame.iloc[:0])


def test_a_comparison_without_a_cell_decides_nothing(store: Store) -> None:
    here = {"Home": ground(family(store, {"a": 0.0, "b": 0.1}), store)}
    silent, loud = (kind(a=Method("a"), b=Method("b"), **HERE) for kind in (Silent, AllCells))
    alone = decide(silent, here)["Home"]
    assert alone.verdict == PENDING and "diverged" in alone.missing[0]
    both = decide(over("x", silent, loud), here)["Home"]
    assert both.verdict == HOLDS and both.cells is not None and len(both.cells.frame) == 1


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
    rule = AllCells(a=Curve("a", (1, 2, 6)), b=Curve("b", (1, 2, 6)), **HERE)
    found = decide(rule, {"Home": ground(records, store, floors=("b",))}, percent=False)[""]
    assert found.verdict == verdict
    assert found.cells is not None and len(found.cells.frame) == 3


def test_a_curve_that_was_not_recorded_is_missing(store: Store) -> None:
    records = curve(store, "a", falling(1.0)) + runs(store, "b", 0.0)
    rule = AllCells(a=Curve("a", (1,)), b=Curve("b", (1,), split="valid"), **HERE)
    found = decide(rule, {"Home": ground(records, store)})["Home"]
    assert (found.verdict, found.missing) == (PENDING, ("b: valid MAE by epoch",))


@pytest.mark.parametrize(("start", "verdict"), [(1.0, HOLDS), (0.5, FAILS), (0.98, NOISE)])
def test_about_equal(start: float, verdict: str, store: Store) -> None:
    records = curve(store, "a", falling(start)) + curve(store, "b", falling(1.0))
    rule = AboutEqual(a=Curve("a", (1, 2)), b=Curve("b", (1, 2)), tolerance=0.02, **HERE)
    assert word(rule, records, store) == verdict


@pytest.mark.parametrize(("early", "late", "verdict"), [(2, 5, HOLDS), (5, 2, FAILS), (6, 8, NOISE)])
def test_settling_early(early: int, late: int, verdict: str, store: Store) -> None:
    def until(epoch: int) -> np.ndarray:
        values = 0.5 + 0.1 * np.clip(epoch - np.arange(1, 9), 0, None)
        return values + 1e-4 * np.arange(5)[:, None]

    records = curve(store, "a", until(early), "valid") + curve(store, "b", until(late), "valid")
    roles = [OfCurve(Curve(m, tuple(range(1, 9)), "valid"), settled, "epochs to settle") for m in "ab"]
    assert word(SettlesEarly(a=roles[0], b=roles[1], **HERE), records, store) == verdict


def test_the_gap_is_test_error_less_training_error(store: Store) -> None:
    here = ground(curve(store, "a", falling(1.0)), store)
    sample = Gap("a").fill(here, ["MAE"])
    assert sample is not None
    np.testing.assert_allclose(sample.values[0, 0, 0], (level(0) ** 2).mean() - 0.1)
    assert Gap("b").missing(here) == ["b: query loss by epoch"]


# --- many cells, ranks


def family(store: Store, errors: Mapping[str, float], **given: Any) -> list[Record]:
    return [r for method, e in errors.items() for r in runs(store, method, e, **given)]


@pytest.mark.parametrize(
    ("gains", "verdict"), [((0.0, 0.0, 0.0), HOLDS), ((0.1, 0.0, 0.0), NOISE), ((0.1, 0.1, 0.0), FAILS)]
)
def test_no_gain(gains: tuple[float, ...], verdict: str, store: Store) -> None:
    records = family(store, {"z": 0.3, **{f"m{k}": 0.3 - g for k, g in enumerate(gains)}}, noise=0.05)
    parts = [NoGain(a=Method(f"m{k}"), b=Method("z"), allowed=0, failing=2, **HERE) for k in range(3)]
    assert word(over("gains", *parts), records, store) == verdict


@pytest.mark.parametrize(("gains", "verdict"), [((0.2, -0.1), HOLDS), ((-0.2, 0.1), FAILS)])
def test_the_mean_over_cells_decides(gains: tuple[float, ...], verdict: str, store: Store) -> None:
    records = family(store, {"z": 0.3, "m0": 0.3 - gains[0], "m1": 0.3 - gains[1]})
    parts = [OnMean(a=Method(f"m{k}"), b=Method("z"), **HERE) for k in range(2)]
    assert word(over("mean", *parts, every=True), records, store) == verdict


def test_each_demand_is_judged_by_itself(store: Store) -> None:
    records = family(store, {"a": 0.0, "b": 0.1, "c": 0.3})
    least = AtLeast(a=Method("a"), b=Ranked(("b", "c"), 0, "best"), stated=0.05, **HERE)
    most = Magnitude(a=Method("a"), b=Ranked(("b", "c"), 1, "worst"), stated=0.2, **HERE)
    assert word(each("both", least, most), records, store) == HOLDS
    assert word(each("both", least, replace(most, stated=0.9)), records, store) == FAILS


def test_too_little_over_the_best_is_final_though_others_are_missing(store: Store) -> None:
    records = family(store, {"a": 0.0, "b": 0.01})
    opponents = Ranked(("b", "c"), 0, "best")
    for rule, verdict in ((AtLeast, FAILS), (Magnitude, PENDING)):
        found = rule(a=Method("a"), b=opponents, stated=0.5, **HERE)
        assert word(found, records, store) == verdict


def timed(store: Store, ms: Mapping[str, float]) -> None:
    """Steps timed over twenty rounds each, about so many milliseconds."""
    for name, typical in ms.items():
        own = (typical * np.random.default_rng(len(name)).uniform(0.95, 1.05, 20)).tolist()
        record = Record("pnmta", "table45", "published", HOME.source, f"step, {name}", {}, 0, {})
        store.add_all([replace(record, config_hash=name, extra={"ms": own})])


@pytest.mark.parametrize(
    ("error", "ms", "verdict"),
    [(0.1, 5.0, HOLDS), (0.1, 9.0, NOISE), (0.3, 5.0, FAILS), (0.1, None, PENDING)],
)
def test_a_smaller_setting_must_cost_no_accuracy_and_save_time(
    error: float, ms: float | None, verdict: str, store: Store
) -> None:
    records = family(store, {"small": error, "whole": 0.1})
    timed(store, {"whole": 10.0} | ({} if ms is None else {"small": ms}))
    part = Comparable(a=Method("small"), b=Method("whole"), tolerance=0.02, **HERE)
    rule = Cheaper(parts=(part,), title="x", small=("small",), base="whole", limit=0.8, **HERE)
    found = decide(rule, {"Home": ground(records, store)}, percent=False)[""]
    assert found.verdict == verdict
    if ms is None:
        assert "the time of a step" in found.missing[0]


def test_the_gap_to_training_users_is_one_value_a_seed(store: Store) -> None:
    records = [replace(r, terms={"train MAE": 0.25}) for r in family(store, {"a": 0.0}, seeds=2)]
    sample = Overfit("a").fill(ground(records, store), ["MAE"])
    assert sample is not None and sample.metrics == ("gap:MAE",)
    expected = [r.metrics["MAE"] - 0.25 for r in records]
    np.testing.assert_allclose(sample.values.ravel(), expected)
    spoilt = [records[0], replace(records[1], metrics={"MAE": float("nan")})]
    left = Overfit("a").fill(ground(spoilt, store), ["MAE"])
    assert left is not None and left.seeds == (0,)
    assert Overfit("a").fill(ground(spoilt[1:], store), ["MAE"]) is None
    without = family(store, {"b": 0.0}, seeds=2)
    assert Overfit("b").missing(ground(without, store)) == ["b: error on training users"]


def test_ranked_takes_a_place_in_the_order_of_those_that_ran(store: Store) -> None:
    names = ("a", "b", "c", "d", "e")
    here = ground(family(store, dict(zip(names[:4], (0.3, 0.1, 0.2, 0.0), strict=True))), store)
    found = [Ranked(names, place, "x").fill(here, ["MAE"]) for place in (0, 0.5, 1)]
    assert [s.label for s in found if s is not None] == ["x (d)", "x (c)", "x (a)"]
    assert Ranked(names, 0, "x").missing(here) == ["e"]


def test_an_average_is_taken_user_by_user(store: Store) -> None:
    here = ground(family(store, {"a": 0.0, "b": 0.2}), store)
    sample = Average((Method("a"), Method("b")), "both").fill(here, ["MAE"])
    assert sample is not None and sample.label == "both"
    assert sample.values.mean() == pytest.approx(np.mean([level(s) for s in range(5)]) + 0.1, abs=1e-6)


@pytest.mark.parametrize(
    ("errors", "verdict"),
    [
        ({"a": 0.0, "b": 0.1, "c": 0.2, "d": 0.0001}, HOLDS),
        ({"a": 0.1, "b": 0.0, "c": 0.2, "d": 0.2}, FAILS),
        ({"a": 0.0001, "b": 0.0, "c": 0.1, "d": 0.1}, NOISE),
    ],
)
def test_champion(errors: dict[str, float], verdict: str, store: Store) -> None:
    rule = Champion(label="a", others=("b", "c", "d"), **HERE)
    assert word(rule, family(store, errors, noise=0.05), store) == verdict


@pytest.mark.parametrize(("error", "verdict"), [(0.15, HOLDS), (0.05, NOISE), (0.9, FAILS)])
def test_has_rank(error: float, verdict: str, store: Store) -> None:
    others = {name: 0.1 * (k + 1) for k, name in enumerate("bcdefg")}
    rule = HasRank(label="a", labels=("a", *others), rank=2, **HERE)
    assert word(rule, family(store, {"a": error, **others}), store) == verdict


def test_hyper_parameters_are_counted_not_switches() -> None:
    from metarec.methods.maml_pt import MAMLPTOptions
    from metarec.methods.pnmta import PNMTAOptions

    assert tunable(PNMTAOptions, MAMLPTOptions) == ("generator",)


@pytest.mark.parametrize(("own", "verdict"), [((), HOLDS), (("x",), FAILS)])
def test_none_to_tune(own: tuple[str, ...], verdict: str, store: Store) -> None:
    rule = NoneToTune(counts={"a": own, "b": ("y", "z")}, **HERE)
    assert word(rule, runs(store, "a", 0.0), store) == verdict


def test_three_seeds_give_a_word_so_far(store: Store) -> None:
    records = family(store, {"a": 0.0, "b": 0.1}, seeds=3)
    rule = AllCells(a=Method("a"), b=Method("b"), **HERE)
    found = decide(rule, {"Home": ground(records, store)})
    assert (found["Home"].verdict, found["Home"].so_far, found[""].so_far) == (PENDING, HOLDS, HOLDS)


def test_seeds_at_which_a_method_diverged_are_said_to_be_left_out_and_make_no_rank_final(
    store: Store,
) -> None:
    others = {name: 0.1 * (k + 1) for k, name in enumerate("bcdefg")}
    family(store, {"a": 0.9, **others})
    for seed in (3, 4):
        add(store, "b", {"MAE": float("nan")}, seed=seed, split=f"split {seed}")
    rule = HasRank(label="a", labels=("a", *others), rank=2, **HERE)
    found = decide(rule, {"Home": ground(store.read("tanp", "made"), store)})["Home"]
    assert (found.verdict, found.so_far) == (PENDING, FAILS)
    assert found.missing == ("2 seeds at which a method compared has diverged",)
    assert "by mean over the 3 seeds that all have" in found.evidence
