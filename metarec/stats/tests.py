"""Differences between two methods, paired over users: gain, test, effect size, Holm over a table.

Everything works on the values of a `samples.Sample`, `[seeds, tasks, metrics]`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from metarec.errors import RecordError
from metarec.stats.intervals import LEVEL, nan_mean
from metarec.stats.samples import Sample, gains, meet, relative


def compare(a: Sample, b: Sample) -> pd.DataFrame:
    """Row by metric: gain of `a` over `b` (positive: `a` is better), its interval, test and effect size.

    `gain` is the mean over users and seeds, `low` and `high` its interval, `p` the test of the same model
    (`intervals.Estimate`), `sign` + or - where the interval excludes zero, that is where `p` is below 5 %.
    `effect` is the mean over the standard deviation of the users' differences (Cohen's d_z), `n` how many
    these are, `detectable` the smallest gain that could have been seen, `relative` (with an interval of its
    own) the gain over the mean of `b`.
    """
    gain, base = gains(a, b)
    each = gain.estimates()
    low, high = np.array([one.interval()[1:] for one in each]).reshape(-1, 2).T
    share = np.array([one.interval() for one in relative(gain, base).estimates()]).reshape(-1, 3)
    values = gain.values
    users = values.reshape(-1, values.shape[-1]) if gain.nested else nan_mean(values, 0)
    mean, n = np.array([one.mean for one in each]), (~np.isnan(users)).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(nan_mean((users - nan_mean(users, 0)) ** 2, 0) * n / (n - 1))
        effect = np.where(sd > 0, mean / sd, 0.0)
    return pd.DataFrame(
        {
            "a": a.label,
            "b": b.label,
            "metric": gain.metrics,
            "gain": mean,
            "low": low,
            "high": high,
            "p": [one.p for one in each],
            "effect": effect,
            "n": n,
            "seeds": len(values),
            "nested": gain.nested,
            "detectable": [one.detectable for one in each],
            "sign": np.where(low > 0, "+", np.where(high < 0, "-", "0")),
            "relative": share[:, 0],
            "relative_low": share[:, 1],
            "relative_high": share[:, 2],
        }
    )


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

    A difference is clear if its adjusted p is below 5 %; its interval then excludes zero.
    """
    adjusted = holm_adjusted(frame["p"])
    return frame.assign(holm=adjusted, clear=np.where(adjusted < 1 - LEVEL, frame["sign"], "0"))


def pairwise(
    found: Mapping[str, Sample], pairs: Iterable[tuple[str, str]], metrics: Sequence[str] | None = None
) -> pd.DataFrame:
    """`compare` for each pair whose two methods have records, Holm over all rows together."""
    chosen = {label: s if metrics is None else s.only(metrics) for label, s in found.items()}
    there = [(chosen[a], chosen[b]) for a, b in pairs if a in chosen and b in chosen]
    rows = [compare(a, b) for a, b in there if meet(a, b)]
    if not rows:
        raise RecordError("none of the pairs asked for has records of both methods at one seed.")
    return holm(pd.concat(rows, ignore_index=True))
