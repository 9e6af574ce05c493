"""The rules: each is a function from a frame of comparisons to one of three words.

    rule(frame, whole=True, **parameters) -> "holds" | "does not hold" | "cannot be told from noise"

A frame is that of `claims.cells`. `whole` says that nothing is missing; otherwise only a failure that no
further run can take back is told, and all else is noise. A row is + (or -) where its interval lies above
(below) zero, that is where p is below 5 %; it is *clear* if p still is after Holm's correction over the rows
of the frame.

*Does not hold* needs evidence against what is stated: a clear row, or an interval beyond the bound. A mean of
the wrong sign whose interval holds zero is noise. Where a claim has a direction, the same evidence turned
round gives the opposite word: `rule(frame)` is "holds" only if `rule(negated(frame))` is "does not hold".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from metarec.claims.cells import means
from metarec.show.words import FAILS, HOLDS, NOISE
from metarec.stats.intervals import LEVEL
from metarec.stats.tests import holm

Rule = Callable[..., str]
SEEDS = 5  # that the rules are stated for
STABLE = 4  # of these, at which no method of a comparison may have diverged


def negated(frame: pd.DataFrame) -> pd.DataFrame:
    """The same comparisons with the sides exchanged: every gain has the opposite sign."""
    turned = {"+": "-", "-": "+", "0": "0"}
    swap = {"gain": -frame["gain"], "low": -frame["high"], "high": -frame["low"]}
    if "relative" in frame:
        swap |= {"relative": -frame["relative"], "relative_low": -frame["relative_high"]}
        swap |= {"relative_high": -frame["relative_low"]}
    sample = [None if s is None else replace(s, values=-s.values) for s in frame["sample"]]
    swap["sample"] = pd.Series(sample, index=frame.index, dtype=object)
    return frame.assign(a=frame["b"], b=frame["a"], sign=frame["sign"].map(turned), **swap)


def every(frame: pd.DataFrame, *, whole: bool = True, refuted_by: Mapping[str, Any] | None = None) -> str:
    """Every comparison gains. Holds if each row is +; does not hold if one is clearly -.

    `refuted_by` names the rows that alone can refute, by columns and values; the others are conditions.
    Holds needs no correction: all rows must be + at once.
    """
    against = holm(frame)
    for column, value in (refuted_by or {}).items():
        against = against[against[column] == value]
    if (against["clear"] == "-").any():
        return FAILS
    return HOLDS if (frame["sign"] == "+").all() else NOISE


def most(frame: pd.DataFrame, *, whole: bool = True, mean_too: bool = False) -> str:
    """Most comparisons gain. Holds if more than half of the rows are + and none is clearly -.

    Does not hold if more than half are - and none is clearly +. With `mean_too` the interval of the mean must
    lie on the same side of zero, on every scale.
    """
    clear, n = holm(frame)["clear"], len(frame)
    up = bool((frame["sign"] == "+").sum() > n / 2 and not (clear == "-").any())
    down = bool((frame["sign"] == "-").sum() > n / 2 and not (clear == "+").any())
    if mean_too:
        mean = means(frame)
        up, down = up and bool((mean["low"] > 0).all()), down and bool((mean["high"] < 0).all())
    return HOLDS if up else FAILS if down and whole else NOISE


def mean(frame: pd.DataFrame, *, whole: bool = True, by: str = "scale") -> str:
    """The mean gains, in each group of rows. Holds if its interval lies above zero in all groups.

    Does not hold if it lies below zero in one, after Bonferroni's correction for the number of groups.
    Groups are scales unless `by` names another column.
    """
    found = means(frame, by)
    if whole and (found["low"] > 0).all():
        return HOLDS
    wider = means(frame, by, level=1 - (1 - LEVEL) / len(found))
    return FAILS if whole and (wider["high"] < 0).any() else NOISE


def reaches(frame: pd.DataFrame, *, stated: float, whole: bool = True, final: bool = False) -> str:
    """The relative gain reaches `stated`: its interval lies above zero and does not end below `stated`.

    Does not hold if the interval ends below `stated`. With `final` that stays so though runs are missing:
    more opponents can only lower the gain over the best of them.
    """
    row = frame.iloc[0]
    if row["relative_high"] < stated:
        return FAILS if whole or final else NOISE
    return HOLDS if row["relative_low"] > 0 else NOISE


def inside(
    frame: pd.DataFrame,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    of: str = "gain",
    failing: int | None = 1,
    whole: bool = True,
) -> str:
    """Every number lies within bounds: holds if each interval lies between `low` and `high`, ends included.

    Does not hold if an interval lies wholly outside in `failing` rows or more; without `failing`, in every
    row. `of` is `gain` or `relative`. A count is an interval of no width.
    """
    lower, upper = ("low", "high") if of == "gain" else (f"{of}_low", f"{of}_high")
    outside = int(((frame[lower] > high) | (frame[upper] < low)).sum())
    if outside >= (failing or len(frame)) and (whole or failing):
        return FAILS
    return HOLDS if ((frame[lower] >= low) & (frame[upper] <= high)).all() else NOISE


def no_gain(frame: pd.DataFrame, *, allowed: int = 0, failing: int | None = None, whole: bool = True) -> str:
    """No clear gain: holds if at most `allowed` rows are +. Does not hold if `failing` rows are clearly +.

    Without `failing`: if more than half of the rows are.
    """
    if (holm(frame)["clear"] == "+").sum() >= (failing or len(frame) // 2 + 1):
        return FAILS
    return HOLDS if (frame["sign"] == "+").sum() <= allowed else NOISE


def ranked(
    frame: pd.DataFrame, *, rank: int, seeds: float = 0.0, ahead: float = 0.0, whole: bool = True
) -> str:
    """One method has a rank among others, at each place; a row is its comparison with one of them.

    Holds if its mean has the rank, in a share `seeds` of the seeds as well, and if it is clearly ahead of a
    share `ahead` of the others. Does not hold if the clear comparisons leave no room for the rank: `rank` or
    more others are clearly ahead, or more are clearly behind than may stand after it.
    """
    words = []
    for _, own in frame.groupby("place", sort=False):
        clear = holm(own)["clear"]
        over, under = int((clear == "-").sum()), int((clear == "+").sum())
        if over >= rank or (whole and under > len(own) + 1 - rank):
            return FAILS
        at = own["rank"].iloc[0] if "rank" in own and not ahead else 1 + int((own["gain"] < 0).sum())
        ranks = own["ranks"].iloc[0] if seeds else [rank]
        often = np.mean(np.array(ranks) == rank) if len(ranks) else 0.0
        words.append(at == rank and often >= seeds and under >= ahead * len(own) and not (over and rank == 1))
    return HOLDS if all(words) else NOISE


def by_seed(
    frame: pd.DataFrame, *, share: float = 0.8, needs: Callable[..., bool] = any, whole: bool = True
) -> str:
    """Enough seeds say so: a row is a seed, + if it bears the claim out, - if it contradicts it, else 0.

    Holds if, at each `a`, the share of + is at least `share`; does not hold if the share of - is, at any `a`
    (or with `needs=all` at every one). Seeds still missing count as if they would not contradict.
    """
    signs = [own["sign"] for _, own in frame.groupby("a", sort=False)]
    if needs((s == "-").sum() >= share * (len(s) if whole else max(len(s), SEEDS)) for s in signs):
        return FAILS
    return HOLDS if all((s == "+").mean() >= share for s in signs) else NOISE


def each(*rules: Rule, controls: int = 0) -> Rule:
    """Several demands, each on the rows of its `part`: holds if all do, does not hold if one does not.

    The last `controls` of them are controls: where one does not hold, nothing holds, but it refutes nothing.
    """

    def decide(frame: pd.DataFrame, *, whole: bool = True) -> str:
        found = {k: own for k, own in frame.groupby("part", sort=True)}
        words = [rule(found[k], whole=whole) if k in found else NOISE for k, rule in enumerate(rules)]
        if FAILS in words[: len(rules) - controls]:
            return FAILS
        return HOLDS if set(words) == {HOLDS} else NOISE

    return decide
