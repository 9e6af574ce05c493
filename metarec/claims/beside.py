"""A number of ours beside the paper's: which word says how the two compare."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarec.runs.records import Record
from metarec.show.words import ABOVE, BELOW, NEAR, NOT_COMPARABLE, NOT_RUN, UNCERTAIN
from metarec.stats.intervals import Interval, nan_mean, prediction
from metarec.stats.samples import Sample


def predicted(
    means: np.ndarray, records: Sequence[Record], sample: Sample | None, metric: str, scale: float = 1.0
) -> Interval | None:
    """Where one more run would lie (`intervals.prediction`), from one mean a seed; None without any.

    Where all seeds share their users, `sample` gives their variance. A single run of a trained method gives
    no interval, for seeds may vary; a single run of one without random parts (no epochs) does.
    """
    if not len(means):
        return None
    users = None
    if sample is not None and not sample.nested and metric in sample.metrics:
        values = nan_mean(sample.only([metric]).values[..., 0], 0) * scale
        alone = len(means) == 1 and any(r.epochs for r in records)
        users = None if alone or np.isnan(values).all() else values
    return prediction(means, users=users)


def word(
    paper: float, decimals: int, ours: Interval | None, column: float, *, comparable: bool = True
) -> str:
    """The word for a printed value beside ours, or nothing where the paper prints none and we have one.

    `ours` is the prediction interval, `column` the range of the paper's column (its largest less its smallest
    value). The printed value stands for all that round to it.
    """
    if ours is None:
        return NOT_RUN
    if np.isnan(paper):
        return ""
    if not comparable:
        return NOT_COMPARABLE
    rounding = 0.5 * 10.0**-decimals
    if np.isnan(ours.low):
        return UNCERTAIN
    if paper + rounding < ours.low:
        return ABOVE
    if paper - rounding > ours.high:
        return BELOW
    return NEAR if ours.high - ours.low <= column else UNCERTAIN
