"""Per-user metrics of methods, read from records and brought side by side: same splits, same users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from metarec import metrics as metric_names
from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.stats.intervals import Estimate, estimate, nan_mean
from metarec.stats.runs import label as label_of
from metarec.stats.runs import per_user, setting


@dataclass(frozen=True)
class Sample:
    """One method's per-user metrics: `values` `[seeds, tasks, metrics]`, higher is better once `oriented`.

    `splits` names the split of each seed. Where all are one split, task `i` is the same user at every seed.
    What is `trained` has a mean without an interval from a single seed: of its scatter nothing is known.
    """

    label: str
    seeds: tuple[int, ...]
    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    values: np.ndarray
    trained: bool = False

    @property
    def nested(self) -> bool:
        """Whether each seed has users of its own."""
        return len(set(self.splits)) > 1

    @property
    def defined(self) -> tuple[str, ...]:
        """Metrics with a value for some user; a ranker has no errors of ratings."""
        there = (~np.isnan(self.values)).any((0, 1))
        return tuple(m for m, k in zip(self.metrics, there, strict=True) if k)

    def only(self, metrics: Sequence[str]) -> Sample:
        """The same with fewer metrics."""
        columns = [self.metrics.index(m) for m in metrics]
        return replace(self, metrics=tuple(metrics), values=self.values[..., columns])

    def estimates(self) -> list[Estimate]:
        """The mean of each metric over seeds and users, with the parts of its variance."""
        found = [estimate(column, nested=self.nested) for column in np.moveaxis(self.values, -1, 0)]
        alone = self.trained and len(self.seeds) == 1
        return [Estimate(one.mean, ()) for one in found] if alone else found


def direction(metric: str) -> int:
    """1 for a metric to be high, -1 for an error; a prefix such as `std:` is ignored."""
    return 1 if metric_names.higher_is_better(metric.rpartition(":")[2]) else -1


def samples(records: Sequence[Record], store: Store, metrics: Sequence[str]) -> dict[str, Sample]:
    """Per-user metrics of every method of one track of one table, by label.

    A seed that diverged is left out: nan for every user, or a record without any number (`runs.emptied`).
    Raises `RecordError` when records of several tracks, or of several settings under one label, are mixed,
    and when a record has no per-user rows.
    """
    tracks = {(r.paper, r.track) for r in records}
    if len(tracks) != 1:
        raise RecordError(f"records of {sorted(tracks)} are mixed; pass one track of one paper.")
    rows = per_user(store, records)
    found = {}
    for label in dict.fromkeys(map(label_of, records)):
        own = sorted((r for r in records if label_of(r) == label), key=lambda r: r.seed)
        if len({setting(r) for r in own}) != 1 or len({r.seed for r in own}) != len(own):
            raise RecordError(
                f"{label!r} has records of several settings; delete those that are out of date."
            )
        missing = [r for r in own if r.key not in rows]
        if missing:
            raise RecordError(f"{label!r}, seed {missing[0].seed} has no per-user rows; run it again.")
        values = np.stack([_values(rows[r.key], metrics, label) for r in own])
        lost = np.array([bool(r.metrics) and all(np.isnan(v) for v in r.metrics.values()) for r in own])
        kept = ~(np.isnan(values).all(axis=(1, 2)) | lost)
        own = [r for r, k in zip(own, kept, strict=True) if k]
        if own:
            seeds, splits = tuple(r.seed for r in own), tuple(r.split_id for r in own)
            trained = any(r.epochs for r in own)
            found[label] = Sample(label, seeds, splits, tuple(metrics), values[kept], trained)
    return found


def _values(rows: pd.DataFrame, metrics: Sequence[str], label: str) -> np.ndarray:
    absent = [m for m in metrics if m not in rows]
    if absent:
        raise RecordError(f"{label!r} has no per-user {absent[0]!r}; ask for a metric its protocol records.")
    return rows.sort_values("task")[list(metrics)].to_numpy(np.float64)


def on_shared_seeds(samples: Sequence[Sample]) -> list[Sample]:
    """The samples cut to the seeds that all of them have."""
    shared = [seed for seed in samples[0].seeds if all(seed in s.seeds for s in samples)]
    cut = []
    for s in samples:
        index = [s.seeds.index(seed) for seed in shared]
        splits = tuple(s.splits[i] for i in index)
        cut.append(replace(s, seeds=tuple(shared), splits=splits, values=s.values[index]))
    return cut


def meet(a: Sample, b: Sample) -> bool:
    """Whether the two can be compared: they share a seed at which neither has diverged, or one is a floor."""
    alone = 1 in (len(a.seeds), len(b.seeds)) and len({*a.splits, *b.splits}) == 1
    return alone or bool({*a.seeds} & {*b.seeds})


def aligned(a: Sample, b: Sample) -> tuple[Sample, Sample]:
    """Two methods on the same seeds and splits, errors negated.

    Seeds that only one has are left out; a method without seeds (a floor, recorded once) stands beside every
    seed of the other, if all are on one split. `RecordError` when the two were not scored on the same users.
    """
    sign = np.array([direction(m) for m in a.metrics])
    shared = sorted(set(a.seeds) & set(b.seeds))
    if 1 in (len(a.seeds), len(b.seeds)) and not (a.nested or b.nested):
        shared = list((a if len(a.seeds) >= len(b.seeds) else b).seeds)
    cut = []
    for s in (a, b):
        index = [s.seeds.index(seed) if seed in s.seeds else 0 for seed in shared]
        splits = tuple(s.splits[i] for i in index)
        cut.append(replace(s, seeds=tuple(shared), splits=splits, values=s.values[index] * sign))
    x, y = cut
    if not shared or x.splits != y.splits:
        raise RecordError(
            f"{a.label!r} and {b.label!r} were not scored on the same users; run both with one protocol."
        )
    return x, y


def gains(a: Sample, b: Sample) -> tuple[Sample, Sample]:
    """The differences of two methods (positive: `a` is better), and the values of `b` that they are against.

    Metrics that either lacks are left out.
    """
    defined = [m for m in a.metrics if m in a.defined and m in b.defined]
    x, y = aligned(a.only(defined), b.only(defined))
    return replace(x, values=x.values - y.values, trained=a.trained or b.trained), y


def relative(gain: Sample, base: Sample) -> Sample:
    r"""Values whose mean is the ratio $r = \bar d/|\bar y|$ of a gain to its base, to first order.

    $r + (d_{su} - r\,\operatorname{sgn}(\bar y)\, y_{su})/|\bar y|$: the delta method. Nan where
    $\bar y = 0$.
    """
    d, y = gain.values, np.where(np.isnan(gain.values), np.nan, base.values)
    mean_d, mean_y = (nan_mean(nan_mean(x, 1), 0) for x in (d, y))
    size = np.where(mean_y == 0, np.nan, np.abs(mean_y))
    ratio = mean_d / size
    return replace(gain, values=ratio + (d - ratio * np.sign(mean_y) * y) / size)
