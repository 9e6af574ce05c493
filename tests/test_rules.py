"""The rules of claims on frames written by hand: each reaches each of its words, and takes no side."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metarec.claims import rules
from metarec.claims.rules import (
    by_seed,
    each,
    every,
    inside,
    mean,
    most,
    negated,
    no_gain,
    ranked,
    reaches,
)
from metarec.show.words import FAILS, HOLDS, NOISE
from metarec.stats.samples import Sample
from metarec.stats.tests import holm

NORMAL = np.random.default_rng(0).normal(size=4000)
NORMAL = (NORMAL - NORMAL.mean()) / NORMAL.std(ddof=1)
OPPOSITE = {HOLDS: FAILS, FAILS: HOLDS, NOISE: NOISE}


def frame(*gains: float, error: float = 0.01, scale: str = "ranking", **more: Any) -> pd.DataFrame:
    """A row a gain, each with the same standard error: intervals, signs and p values follow from it."""
    made = []
    for k, gain in enumerate(gains):
        values = gain + error * np.sqrt(NORMAL.size) * NORMAL  # of one seed, the same luck in every row
        sample = Sample("a", (0,), ("s",), ("P@5",), values[None, :, None])
        (one,) = sample.estimates()
        _, low, high = one.interval()
        p = one.p
        sign = "0" if p >= 0.05 else "+" if gain > 0 else "-"
        about = {"a": "a", "b": f"b{k}", "metric": "P@5", "place": "Home", "scale": scale, "part": 0}
        about |= {"gain": gain, "low": low, "high": high, "sign": sign, "p": p, "seeds": 5, "level": False}
        about |= {"relative": gain, "relative_low": low, "relative_high": high}
        made.append({**about, "sample": sample})
    return pd.DataFrame(made).assign(**more)


def stacked(*frames: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([f.assign(part=k) for k, f in enumerate(frames)], ignore_index=True)


# --- every comparison gains


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ((0.1, 0.1, 0.1), HOLDS),
        ((0.1, 0.1, 0.0), NOISE),
        ((0.1, 0.1, -0.1), FAILS),  # one is clearly worse
        ((-0.005, -0.005, -0.005), NOISE),  # the mean is negative, and no interval says so
        ((0.1, 0.0, -0.021), NOISE),  # 2.1 standard errors: worse on its own, not after Holm
    ],
)
def test_every(gains: tuple[float, ...], word: str) -> None:
    assert every(frame(*gains)) == word


def test_a_row_refutes_only_after_holm() -> None:
    assert holm(frame(-0.021))["clear"].tolist() == ["-"]
    assert holm(frame(-0.021, 0.0, 0.0))["clear"].tolist() == ["0", "0", "0"]


def test_conditions_do_not_refute() -> None:
    both = stacked(frame(0.1), frame(-0.1))
    assert every(both) == FAILS
    assert every(both, refuted_by={"part": 0}) == NOISE
    assert every(stacked(frame(-0.1), frame(0.1)), refuted_by={"part": 0}) == FAILS


# --- most, the mean, a stated size


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ((0.1, 0.1, 0.1, 0.0), HOLDS),
        ((0.1, 0.1, 0.0, 0.0), NOISE),  # half is no majority
        ((0.1, 0.1, 0.1, -0.1), NOISE),  # one is clearly worse
        ((-0.1, -0.1, -0.1, 0.0), FAILS),
        ((-0.1, 0.001, 0.001, 0.001), NOISE),  # the mean is below zero; most rows say nothing
    ],
)
def test_most(gains: tuple[float, ...], word: str) -> None:
    assert most(frame(*gains)) == word


def test_most_may_ask_for_the_mean_too() -> None:
    both = pd.concat([frame(0.1, 0.1, 0.1), frame(-0.4, error=0.5)], ignore_index=True)
    assert (most(both), most(both, mean_too=True)) == (HOLDS, NOISE)


@pytest.mark.parametrize(
    ("gains", "word"), [((0.1, -0.02), HOLDS), ((-0.1, 0.02), FAILS), ((0.1, -0.1), NOISE)]
)
def test_the_mean(gains: tuple[float, ...], word: str) -> None:
    assert mean(frame(*gains)) == word


def test_a_mean_never_mixes_scales() -> None:
    stars, shares = frame(0.3, 0.3, scale="MAE on ml-1m"), frame(-0.1, -0.1)
    both = pd.concat([stars, shares], ignore_index=True)
    assert rules.means(both)["gain"].tolist() == pytest.approx([0.3, -0.1])
    assert mean(both) == FAILS  # the mean of all four would be above zero


@pytest.mark.parametrize(("gain", "word"), [(0.04, HOLDS), (0.02, FAILS), (-0.04, FAILS)])
def test_a_stated_size(gain: float, word: str) -> None:
    assert reaches(frame(gain, error=0.005), stated=0.036) == word


def test_a_wide_interval_reaches_nothing_and_refutes_nothing() -> None:
    assert reaches(frame(0.03, error=0.04), stated=0.036) == NOISE


def test_too_small_a_gain_over_the_best_is_final_though_others_are_missing() -> None:
    small = frame(0.01, error=0.001)
    assert reaches(small, stated=0.5, whole=False, final=True) == FAILS
    assert reaches(small, stated=0.5, whole=False) == NOISE


# --- bounds, no gain


@pytest.mark.parametrize(
    ("gains", "error", "word"),
    [((-0.005, 0.1), 0.002, HOLDS), ((-0.05, 0.0), 0.002, FAILS), ((-0.015, 0.0), 0.02, NOISE)],
)
def test_within_a_tolerance(gains: tuple[float, ...], error: float, word: str) -> None:
    assert inside(frame(*gains, error=error), low=-0.02, of="relative") == word


def test_how_many_rows_must_lie_outside() -> None:
    one, two = frame(-0.05, 0.0, error=0.002), frame(-0.05, -0.05, error=0.002)
    bounded = partial(inside, low=-0.02, high=0.02, of="relative")
    assert (bounded(one, failing=2), bounded(two, failing=2)) == (NOISE, FAILS)
    assert (bounded(one, failing=None), bounded(two, failing=None)) == (NOISE, FAILS)


def test_a_count_is_an_interval_of_no_width() -> None:
    assert inside(frame(1.0, 1.0, error=0.0), low=1, high=1) == HOLDS
    assert inside(frame(1.0, 8.0, error=0.0), low=1, high=1) == FAILS


def test_a_range_below_a_bound() -> None:
    words = [inside(frame(width, error=0.002), high=0.02) for width in (0.01, 0.03, 0.02)]
    assert words == [HOLDS, FAILS, NOISE]


@pytest.mark.parametrize(
    ("gains", "word"), [((0.0, 0.0, 0.0), HOLDS), ((0.1, 0.0, 0.0), NOISE), ((0.1, 0.1, 0.0), FAILS)]
)
def test_no_gain(gains: tuple[float, ...], word: str) -> None:
    assert no_gain(frame(*gains), allowed=0, failing=2) == word
    assert no_gain(frame(*gains)) == word  # without a number: more than half


# --- ranks, seeds


@pytest.mark.parametrize(
    ("gains", "word"),
    [
        ((0.1, 0.1, 0.001, 0.001), HOLDS),
        ((-0.001, 0.1, 0.1, 0.1), NOISE),  # another has the better mean
        ((0.1, 0.001, 0.001, 0.001), NOISE),  # the best mean, clearly ahead of too few
        ((-0.1, 0.1, 0.1, 0.1), FAILS),
    ],
)
def test_the_best_of_several(gains: tuple[float, ...], word: str) -> None:
    assert ranked(frame(*gains), rank=1, ahead=0.5) == word


@pytest.mark.parametrize(
    ("gains", "rank", "ranks", "word"),
    [
        ((-0.1, 0.1, 0.1), 2, [2, 2, 2, 2, 3], HOLDS),
        ((-0.1, 0.1, 0.1), 2, [2, 2, 3, 3, 2], NOISE),  # not in enough seeds
        ((-0.001, -0.001, 0.1), 3, [3, 3, 3, 3, 3], NOISE),  # third by mean; no row says that it is
        ((-0.1, -0.1, 0.1), 3, [3, 3, 3, 3, 3], FAILS),  # two are clearly ahead
        ((0.1, 0.1, 0.1), 1, [1, 1, 1, 1, 1], FAILS),  # all are clearly behind
    ],
)
def test_a_rank(gains: tuple[float, ...], rank: int, ranks: list[int], word: str) -> None:
    own = frame(*gains)
    own = own.assign(rank=float(rank), ranks=[ranks] * len(own), of=4)
    assert ranked(own, rank=2, seeds=0.8) == word


def seeds(signs: str, name: str = "a") -> pd.DataFrame:
    return pd.DataFrame({"a": name, "sign": list(signs), "place": "Home"})


@pytest.mark.parametrize(("signs", "word"), [("++++0", HOLDS), ("----+", FAILS), ("+++--", NOISE)])
def test_enough_seeds(signs: str, word: str) -> None:
    assert by_seed(seeds(signs)) == word


@pytest.mark.parametrize(("signs", "word"), [("---", NOISE), ("----", FAILS), ("+----", FAILS)])
def test_seeds_that_are_missing_might_still_bear_it_out(signs: str, word: str) -> None:
    assert by_seed(seeds(signs), whole=False) == word


def test_both_kinds_of_data_may_be_needed_to_refute() -> None:
    mixed = pd.concat([seeds("+++++", "x"), seeds("-----", "y")])
    assert (by_seed(mixed), by_seed(mixed, needs=all)) == (FAILS, NOISE)
    assert by_seed(pd.concat([seeds("-----", "x"), seeds("-----", "y")]), needs=all) == FAILS


# --- several demands


def test_each_demand_is_judged_by_itself() -> None:
    rule = each(every, partial(inside, high=0.5))
    assert rule(stacked(frame(0.1), frame(0.2))) == HOLDS
    assert rule(stacked(frame(0.1), frame(0.9))) == FAILS
    assert rule(stacked(frame(0.0), frame(0.2))) == NOISE
    assert rule(stacked(frame(0.1))) == NOISE  # the second was not found


def test_a_control_withholds_and_never_refutes() -> None:
    rule = each(every, every, controls=1)
    assert rule(stacked(frame(0.1), frame(0.1))) == HOLDS
    assert rule(stacked(frame(0.1), frame(-0.1))) == NOISE
    assert rule(stacked(frame(-0.1), frame(0.1))) == FAILS


# --- fairness


TWO_SIDED: dict[str, Callable[..., str]] = {
    "every, one row": every,
    "most": most,
    "most, and the mean": partial(most, mean_too=True),
    "the mean": mean,
}


@pytest.mark.parametrize("name", list(TWO_SIDED))
def test_the_same_evidence_gets_the_same_word_whichever_way_it_points(name: str) -> None:
    rng, rule, seen = np.random.default_rng(3), TWO_SIDED[name], set()
    for _ in range(60):
        own = frame(*rng.normal(rng.choice([-0.03, 0.0, 0.03]), 0.02, 1 if "one row" in name else 5))
        word = rule(own)
        assert rule(negated(own)) == OPPOSITE[word]
        seen.add(word)
    assert seen == {HOLDS, FAILS, NOISE}


def test_where_every_row_holds_the_opposite_claim_does_not() -> None:
    rng = np.random.default_rng(4)
    words = []
    for _ in range(60):
        own = frame(*rng.normal(0.04, 0.01, 4))
        words.append((every(own), every(negated(own))))
    assert {b for a, b in words if a == HOLDS} == {FAILS}
    assert {b for a, b in words if a == NOISE} <= {FAILS, NOISE}


def test_noise_alone_seldom_gets_a_word() -> None:
    """Of true gains of zero, five rows each, Holm lets at most one claim in twenty be refuted."""
    rng = np.random.default_rng(5)
    words = [every(frame(*rng.normal(0, 0.01, 5))) for _ in range(400)]
    assert words.count(HOLDS) == 0 and words.count(FAILS) / 400 < 0.05
