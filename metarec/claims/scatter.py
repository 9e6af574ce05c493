"""How much seeds scatter: one method's standard deviation over seeds against that of others."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from metarec.claims.cells import Finder, Found, rows, two_sided
from metarec.claims.ground import Ground
from metarec.claims.roles import Role
from metarec.errors import RecordError
from metarec.stats.intervals import DRAWS, interval, nan_mean
from metarec.stats.samples import Sample

LEAST = 3  # seeds of which a scatter is taken


def steadier(a: Role, opponents: Sequence[str], metrics: Sequence[str]) -> Finder:
    r"""A row an opponent: mean over metrics of $\log s_b - \log s_a$, so that + says that `a` scatters less.

    $s$ is the standard deviation over seeds of a metric's mean over users. The seeds of each method are
    resampled on their own.
    """

    def found(ground: Ground) -> Found:
        missing = (*a.missing(ground), *(o for o in opponents if o not in ground.samples))
        own = a.fill(ground, metrics)
        if own is None:
            return Found(rows(ground, []), missing)
        if len(own.seeds) < LEAST:
            return Found(rows(ground, []), (*missing, f"{own.label}: {LEAST} seeds"))
        level, drawn = log_spread(own)
        made = []
        for name in opponents:
            other = ground.sample(name, metrics)
            if other is not None and len(other.seeds) < LEAST:
                missing = (*missing, f"{name}: {LEAST} seeds")
            elif other is not None:
                value, draws = log_spread(other)
                gain, low, high = interval(value - level, drawn=draws - drawn)
                seeds = min(len(own.seeds), len(other.seeds))
                row = {
                    "a": own.label,
                    "b": name,
                    "metric": "log of the scatter",
                    "seeds": seeds,
                    "gain": gain,
                }
                made.append(
                    {**row, "low": low, "high": high, "draws": draws - drawn, "p": two_sided(draws - drawn)}
                )
        return Found(rows(ground, made), missing)

    return found


def log_spread(sample: Sample) -> tuple[float, np.ndarray]:
    """Mean over metrics of the log standard deviation over seeds, and its draws under resampling of seeds.

    Draws in which one seed fills every place have no deviation and are left out.
    """
    means = nan_mean(sample.values, axis=1)
    seeds = len(means)
    if seeds < LEAST:
        raise RecordError(f"{sample.label!r} has {seeds} seeds; its scatter needs {LEAST} or more.")
    rng = np.random.default_rng([seeds, zlib.crc32(sample.label.encode())])
    chosen = rng.integers(seeds, size=(2 * DRAWS, seeds))
    chosen = chosen[(chosen != chosen[:, :1]).any(1)][:DRAWS]
    with np.errstate(divide="ignore"):
        spread = np.log(means.std(0, ddof=1)).mean()
        draws = np.log(means[chosen].std(1, ddof=1)).mean(-1)
    return float(spread), draws
