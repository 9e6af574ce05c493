"""One metric over seeds: its mean with an interval, and the difference of two methods, paired by seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.stats.intervals import Interval, interval


def over_seeds(records: Sequence[Record], label: str, metric: str) -> Interval:
    """Mean of a metric over seeds with its 95 % interval; a run that diverged is left out."""
    return _interval([r.metrics[metric] for r in records if r.label == label])


def difference(records: Sequence[Record], a: str, b: str, metric: str) -> Interval:
    """Mean over seeds of the metric of `a` less that of `b`, paired by seed, with its 95 % interval."""
    by_seed = [
        {r.seed: r.metrics[metric] for r in records if r.label == label and metric in r.metrics}
        for label in (a, b)
    ]
    both = sorted(set(by_seed[0]) & set(by_seed[1]))
    if not both:
        raise RecordError(f"{a!r} and {b!r} share no seed with {metric!r}; run the experiment again.")
    return _interval([by_seed[0][s] - by_seed[1][s] for s in both])


def _interval(values: Sequence[float]) -> Interval:
    kept = [v for v in values if not np.isnan(v)]
    return interval(kept) if kept else Interval(float("nan"), float("nan"), float("nan"))
