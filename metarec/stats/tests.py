"""Differences between two methods, paired over users: gain, test, effect size, Holm over a table.

Everything works on the values of a `samples.Sample`, `[seeds, tasks, metrics]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.power import TTestPower

from metarec.errors import RecordError
from metarec.stats.intervals import LEVEL, draws, interval, nan_mean
from metarec.stats.samples import Sample, aligned

POWER = 0.8


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

    `gain` is the mean over users and seeds, `low` and `high` its interval, `sign` + or - where that excludes
    zero, `p` the test of `paired_p`, `effect` mean over standard deviation of the differences (Cohen's d_z),
    `n` the users tested, `detectable` the smallest difference they could have shown, `relative` (with an
    interval of its own) the gain over the mean of `b`.
    """
    return compared(a, b)[0]


def compared(a: Sample, b: Sample) -> tuple[pd.DataFrame, np.ndarray]:
    """`compare`, and the draws of each gain, `[draws, metrics]`."""
    defined = [m for m in a.metrics if m in a.defined and m in b.defined]
    a, b = a.only(defined), b.only(defined)
    x, y = aligned(a, b)
    nested = a.nested or b.nested
    difference, of_b = x - y, draws(y, nested=nested)
    # Draws of a mean are linear in the values: those of a difference follow where both have the same users.
    alike = np.array_equal(np.isnan(x), np.isnan(y)) and x.shape[1] > 1
    drawn = draws(x, nested=nested) - of_b if alike else draws(difference, nested=nested)
    units = difference.reshape(-1, difference.shape[-1]) if nested else nan_mean(difference, 0)
    gain = nan_mean(difference, axis=(0, 1))
    _, low, high = interval(gain, drawn=drawn)
    n = (~np.isnan(units)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(nan_mean((units - nan_mean(units, 0)) ** 2, 0) * n / (n - 1))
        effect = np.where(sd > 0, gain / sd, 0.0)
        relative = gain / np.abs(nan_mean(y, axis=(0, 1)))
        _, ratio_low, ratio_high = interval(relative, drawn=drawn / np.abs(of_b))
    alone = difference.shape[1] == 1
    frame = pd.DataFrame(
        {
            "a": a.label,
            "b": b.label,
            "metric": a.metrics,
            "gain": gain,
            "low": low,
            "high": high,
            "p": [paired_p(difference[:, 0, m] if alone else units[:, m], t=alone) for m in range(len(n))],
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
    return frame, drawn


def paired_p(differences: np.ndarray, *, t: bool = False) -> float:
    """Two-sided p of one difference a user: Wilcoxon's signed-rank test (Pratt's treatment of zeros).

    With `t`, Student's paired test: for one difference a seed, where five ranks could never reach 5 %. It is
    1 if all differences are zero or there are too few.
    """
    d = differences[~np.isnan(differences)]
    if not d.any() or len(d) < 2:
        return 1.0
    if t:
        error = d.std(ddof=1) / np.sqrt(len(d))
        return float(2 * stats.t.sf(abs(d.mean()) / error, len(d) - 1)) if error else 0.0
    return float(stats.wilcoxon(d, zero_method="pratt").pvalue)


def holm_adjusted(p: Any) -> np.ndarray:
    """Holm's adjustment of p values: in rising order each times how many are left, made monotone."""
    values = np.asarray(p, float)
    order = values.argsort(kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def holm(frame: pd.DataFrame) -> pd.DataFrame:
    """The comparisons with `holm`, their p adjusted over all rows, and `clear`, the sign of what is no noise.

    A difference is clear if its adjusted p is below 5 % and its interval excludes zero. The test asks whether
    these models differ on other users, the interval also whether models of other seeds do; with few seeds
    that disagree the first may be sure of what the second is not.
    """
    adjusted = holm_adjusted(frame["p"])
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
