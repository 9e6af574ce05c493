"""How much seeds scatter: one method's standard deviation over seeds against that of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from metarec.claims.cells import Finder, Found, estimated, rows
from metarec.claims.ground import Ground
from metarec.claims.roles import Role
from metarec.errors import RecordError
from metarec.stats.intervals import nan_mean
from metarec.stats.samples import Sample, on_shared_seeds

LEAST = 3  # seeds of which a scatter is taken


def steadier(a: Role, opponents: Sequence[str], metrics: Sequence[str]) -> Finder:
    r"""A row an opponent: mean over metrics of $\log s_b - \log s_a$, so that + says that `a` scatters less.

    $s$ is the standard deviation over seeds of a metric's mean over users, on the seeds that both have.
    """

    def found(ground: Ground) -> Found:
        missing = (*a.missing(ground), *(o for o in opponents if o not in ground.samples))
        own = a.fill(ground, metrics)
        if own is None:
            return Found(rows(ground, []), missing)
        if len(own.seeds) < LEAST:
            return Found(rows(ground, []), (*missing, f"{own.label}: {LEAST} seeds"))
        made = []
        for name in opponents:
            other = ground.sample(name, metrics)
            if other is None:
                continue
            left, right = on_shared_seeds([own, other])
            if len(left.seeds) < LEAST:
                missing = (*missing, f"{name}: {LEAST} seeds")
                continue
            gap = log_spread(right) - log_spread(left)
            row = estimated(replace(left, metrics=("log of the scatter",), values=gap[:, None, None]))
            about = {"a": own.label, "b": name, "metric": "log of the scatter", "seeds": len(left.seeds)}
            made.append({**about, **row})
        return Found(rows(ground, made), missing)

    return found


def log_spread(sample: Sample) -> np.ndarray:
    r"""Jackknife values, `[seeds]`, of the mean over metrics of the log standard deviation over seeds.

    $S\,\theta - (S - 1)\,\theta_{-s}$, where $\theta_{-s}$ leaves seed s out: their mean is the statistic
    without its bias, and Student's t over them its interval (Miller 1968, doi:10.1214/aoms/1177698320).
    """
    means = nan_mean(sample.values, axis=1)
    seeds = len(means)
    if seeds < LEAST:
        raise RecordError(f"{sample.label!r} has {seeds} seeds; its scatter needs {LEAST} or more.")

    def theta(x: np.ndarray) -> float:
        with np.errstate(divide="ignore"):
            return float(np.log(x.std(0, ddof=1)).mean())

    without = np.array([theta(np.delete(means, s, 0)) for s in range(seeds)])
    return seeds * theta(means) - (seeds - 1) * without
