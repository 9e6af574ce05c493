"""Intervals and tests: means over seeds, differences paired over users, Holm over a table.

Everything works on the values of a `samples.Sample`, `[seeds, tasks, metrics]`. Intervals of a mean over
seeds are Student's t; those of a difference come from resampling users, then seeds, with a fixed stream, so
that they repeat.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from metarec.errors import RecordError
from metarec.report.samples import Sample, aligned

LEVEL = 0.95
DRAWS = 4000
POWER = 0.8


class Interval(NamedTuple):
    """A mean and its 95 % interval; `low` and `high` are nan where one value gives none."""

    mean: float
    low: float
    high: float


def t_interval(values: Iterable[float], level: float = LEVEL) -> Interval:
    r"""$\bar x \pm t_{(1+\text{level})/2,\,n-1}\, s/\sqrt n$ over seeds; no interval from a single value."""
    x = np.asarray(list(values), float)
    if len(x) < 2:
        return Interval(float(x.mean()), float("nan"), float("nan"))
    half = stats.t.ppf((1 + level) / 2, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x))
    return Interval(float(x.mean()), float(x.mean() - half), float(x.mean() + half))


def nan_mean(
    x: np.ndarray, axis: int | tuple[int, ...] | None = None, *, keepdims: bool = False
) -> np.ndarray:
    """Mean of what is defined; nan, without a warning, where nothing is."""
    there = ~np.isnan(x)
    with np.errstate(invalid="ignore"):
        total = np.where(there, x, 0.0).sum(axis, keepdims=keepdims)
        return np.asarray(total / there.sum(axis, keepdims=keepdims))


@lru_cache(maxsize=4)
def _weights(seeds: int, tasks: int, nested: bool) -> tuple[np.ndarray, np.ndarray]:
    """How often each user is drawn, `[draws (* seeds), tasks]`, and which seeds, `[draws, seeds]`."""
    rng = np.random.default_rng([seeds, tasks, int(nested)])
    rows = DRAWS * (seeds if nested else 1)
    users = np.empty((rows, tasks), np.uint16)
    for start in range(0, rows, 1000):  # in blocks, because the generator counts in 64 bits
        stop = min(start + 1000, rows)
        users[start:stop] = rng.multinomial(tasks, np.full(tasks, 1 / tasks), size=stop - start)
    return users, rng.integers(seeds, size=(DRAWS, seeds))


def bootstrap_means(values: np.ndarray, *, nested: bool = False) -> np.ndarray:
    """Means of resampled users and seeds, `[seeds, tasks, metrics]` -> `[draws, metrics]`.

    The draws depend on the shape alone, so two methods resampled apart stay paired. Users are drawn once
    for all seeds of a draw; `nested` ones belong to their seed and are drawn anew for each. Tasks where a
    metric is undefined (nan) do not count. Where there is but one value a seed (a curve), draws follow
    Student's t: a handful of values resampled would give intervals far too short.
    """
    seeds, tasks, width = values.shape
    if tasks == 1:
        return _seed_draws(values[:, 0])
    users, chosen = _weights(seeds, tasks, nested)
    there = ~np.isnan(values)
    both = np.concatenate([np.where(there, values, 0.0), there], -1)
    sums = np.zeros((DRAWS, 2 * width))
    for seed in range(seeds):
        if nested:
            draw, slot = np.nonzero(chosen == seed)
            np.add.at(sums, draw, users[draw * seeds + slot] @ both[seed])
        else:
            sums += (chosen == seed).sum(1, keepdims=True) * (users @ both[seed])
    return sums[:, :width] / sums[:, width:]


def _seed_draws(values: np.ndarray) -> np.ndarray:
    """`[seeds, metrics]` -> `[draws, metrics]`, mean plus t times standard error; nan from a single seed."""
    there = ~np.isnan(values)
    n = there.sum(0)
    mean = nan_mean(values, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(np.where(there, (values - mean) ** 2, 0.0).sum(0) / (n - 1) / n)
        levels = (np.arange(DRAWS) + 0.5) / DRAWS
        t = stats.t.ppf(levels[:, None], np.where(n > 1, n - 1, np.nan))
    return np.asarray(mean + t * error)


def percentile(draws: np.ndarray, level: float = LEVEL) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper end of the percentile interval over the first axis."""
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def wilcoxon(differences: np.ndarray) -> float:
    """Two-sided signed-rank test of one difference a user (Pratt's treatment of zeros); 1 if all are zero."""
    d = differences[~np.isnan(differences)]
    if not d.any():
        return 1.0
    return float(stats.wilcoxon(d, zero_method="pratt").pvalue)


def detectable(sd: float, n: int) -> float:
    """Smallest mean difference that a paired t-test at 5 % would find with probability 0.8."""
    if n < 3:
        return float("nan")
    return float(_effect(n) * sd)


@lru_cache(maxsize=64)
def _effect(n: int) -> float:
    return float(TTestPower().solve_power(nobs=n, alpha=1 - LEVEL, power=POWER, alternative="two-sided"))


def compare(a: Sample, b: Sample) -> pd.DataFrame:
    """Row by metric: gain of `a` over `b` (positive: `a` is better), its interval, test and effect size.

    `gain` is the mean over users and seeds, `low` and `high` its bootstrap interval, `sign` + or - where
    that excludes zero, `p` the Wilcoxon test on differences averaged over seeds, `effect` mean over
    standard deviation of those differences (Cohen's d_z), `n` the users tested, `detectable` the smallest
    difference they could have shown, `relative` (with an interval of its own) the gain over the mean of
    `b`.
    """
    defined = [m for m in a.metrics if m in a.defined and m in b.defined]
    a, b = a.only(defined), b.only(defined)
    x, y = aligned(a, b)
    nested = a.nested or b.nested
    difference = x - y
    draws = bootstrap_means(difference, nested=nested)
    low, high = percentile(draws)
    units = difference.reshape(-1, difference.shape[-1]) if nested else nan_mean(difference, 0)
    gain = nan_mean(difference, axis=(0, 1))
    n = (~np.isnan(units)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(nan_mean((units - nan_mean(units, 0)) ** 2, 0) * n / (n - 1))
        effect = np.where(sd > 0, gain / sd, 0.0)
        ratio_low, ratio_high = percentile(draws / np.abs(bootstrap_means(y, nested=nested)))
        relative = gain / np.abs(nan_mean(y, axis=(0, 1)))
    return pd.DataFrame(
        {
            "a": a.label,
            "b": b.label,
            "metric": a.metrics,
            "gain": gain,
            "low": low,
            "high": high,
            "p": [wilcoxon(column) for column in units.T],
            "effect": effect,
            "n": n,
            "seeds": len(x),
            "nested": nested,
            "detectable": [detectable(s, int(k)) for s, k in zip(sd, n, strict=True)],
            "sign": np.where(low > 0, "+", np.where(high < 0, "-", "0")),
            "relative": relative,
            "relative_low": ratio_low,
            "relative_high": ratio_high,
        }
    )


def holm(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparisons with `holm`, their p adjusted over all rows, and `clear`, the sign of what is no noise.

    A difference is clear if its adjusted p is below 5 % and its interval excludes zero. The test asks whether
    these models differ on other users, the interval also whether models of other seeds do; with few seeds
    that disagree the first may be sure of what the second is not.
    """
    adjusted = multipletests(frame["p"], method="holm")[1]
    return frame.assign(holm=adjusted, clear=np.where(adjusted < 1 - LEVEL, frame["sign"], "0"))


def pairwise(
    found: Mapping[str, Sample], pairs: Iterable[tuple[str, str]], metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """`compare` for each pair whose two methods have records, Holm over all rows together."""
    chosen = {label: s if metrics is None else s.only(metrics) for label, s in found.items()}
    rows = [compare(chosen[a], chosen[b]) for a, b in pairs if a in chosen and b in chosen]
    if not rows:
        raise RecordError("none of the pairs asked for has records of both methods.")
    return holm(pd.concat(rows, ignore_index=True))
