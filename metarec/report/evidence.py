"""What a rule is applied to: the records of one place, the methods on either side, and the cells compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import pandas as pd

from metarec.errors import RecordError
from metarec.report import statistics as st
from metarec.report.layout import select
from metarec.report.samples import Sample, aligned, direction, on_shared_seeds, samples
from metarec.runs.records import Record, Store


@dataclass(frozen=True)
class Place:
    """A data set: the paper's name for it, its experiment and notebook, and the rating table's name.

    `where` keeps some of the experiment's records, as in `layout.select`.
    """

    name: str
    experiment: str
    notebook: str
    source: str
    where: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ground:
    """The records of one track at one place.

    `records` are those of every track, `prefix` that of the metrics decided on, `floors` the rankers that
    know nothing of the user.
    """

    place: Place
    track: str
    prefix: str
    records: Sequence[Record]
    store: Store
    floors: tuple[str, ...] = ()

    @property
    def own(self) -> list[Record]:
        """The records of this track."""
        return select(self.records, {**self.place.where, "track": self.track})

    @property
    def planted(self) -> bool:
        """Whether these runs are on other data than the paper's."""
        return any(r.dataset != self.place.source for r in self.own)

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Per-user metrics of every method, named without their prefix."""
        return self._samples(self.own)

    @cached_property
    def floor_samples(self) -> list[Sample]:
        """The floors that have one setting here; along a grid there is none for a whole course."""
        there = select(self.own, {"method": self.floors})
        settings = {label: {r.config_hash for r in there if r.method == label} for label in self.floors}
        return list(self._samples([r for r in there if len(settings[r.method]) == 1]).values())

    def sample(self, label: str, metrics: Sequence[str]) -> Sample | None:
        """One method's; None if it was not run."""
        found = self.samples.get(label)
        return None if found is None else found.only(metrics)

    def settings(self, experiment: str, label: str, metric: str) -> list[Sample]:
        """Every setting of a method in another experiment (a grid), one sample each."""
        paper, name = experiment.split(".")
        wanted = {**self.place.where, "track": self.track, "method": label}
        grid = select(self.store.read(paper, name), wanted)
        found = self._samples([replace(r, method=r.config_hash) for r in grid])
        return [s.only([metric]) for s in found.values()]

    def validation(self, label: str) -> float:
        """Mean validation score at the kept epoch, of whichever track records one; nan if none does."""
        own = select(self.records, {**self.place.where, "method": label})
        scores = [r.extra["valid"] for r in own if "valid" in r.extra]
        return float(np.mean(scores)) if scores else float("nan")

    def _samples(self, records: Sequence[Record]) -> dict[str, Sample]:
        if not records:
            return {}
        every = dict.fromkeys(m for r in records for m in r.metrics)  # a ranker has no errors of ratings
        names = [m for m in every if m.rpartition(":")[0] == self.prefix.rstrip(":")]
        bare = tuple(m.removeprefix(self.prefix) for m in names)
        found = samples(records, self.store, names)
        return {label: replace(s, metrics=bare) for label, s in found.items()}


class Role(Protocol):
    """Who stands on one side of a comparison."""

    def missing(self, ground: Ground) -> list[str]:
        """What has to be run before the role is filled."""

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """The sample, from what there is; None if there is nothing."""


@dataclass(frozen=True)
class Method:
    """One method."""

    label: str

    def missing(self, ground: Ground) -> list[str]:
        """The method, if it was not run."""
        return [] if self.label in ground.samples else [self.label]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """Its sample."""
        return ground.sample(self.label, metrics)


@dataclass(frozen=True)
class OnValidation:
    """The variant with the best validation score, as a paper may choose; test scores play no part."""

    labels: tuple[str, ...]

    def missing(self, ground: Ground) -> list[str]:
        """Variants that were not run, or else validation scores that no track recorded."""
        absent = [label for label in self.labels if label not in ground.samples]
        unscored = [label for label in self.labels if np.isnan(ground.validation(label))]
        return absent or [f"a validation score of {label} (sound track)" for label in unscored]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """The chosen variant's sample."""
        if self.missing(ground):
            return None
        return ground.sample(max(self.labels, key=ground.validation), metrics)


@dataclass(frozen=True)
class BestOf:
    """For each metric, the method with the best mean over seeds: the strongest opponent there is.

    `without` names, by place, methods that the paper does not run there.
    """

    labels: tuple[str, ...]
    name: str = "the best baseline"
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def at(self, ground: Ground) -> list[str]:
        """The methods in question at a place."""
        return [label for label in self.labels if label not in self.without.get(ground.place.name, ())]

    def missing(self, ground: Ground) -> list[str]:
        """Those of the methods that were not run."""
        return [label for label in self.at(ground) if label not in ground.samples]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """A sample put together metric by metric, from those that were run, over the seeds they all have.

        A method recorded once (a floor) stands beside every seed where all are on one split. One without a
        value of a metric is never its best.
        """
        there = [s for label in self.at(ground) if (s := ground.sample(label, metrics)) is not None]
        if not there:
            return None
        nested = len({split for s in there for split in s.splits}) > 1
        seeded = [s for s in there if nested or len(s.seeds) > 1] or there[:1]
        cut = {s.label: s for s in on_shared_seeds(seeded)}
        first = cut[seeded[0].label]
        if not first.seeds:
            raise RecordError(
                f"no seed of the methods behind {self.name!r} is common to all; run more seeds."
            )
        values = np.stack([np.broadcast_to(cut.get(s.label, s).values, first.values.shape) for s in there])
        merit = st.nan_mean(values, axis=(1, 2)) * [direction(m) for m in metrics]
        best = np.where(np.isnan(merit), -np.inf, merit).argmax(0)
        chosen = np.stack([values[k, ..., m] for m, k in enumerate(best)], -1)
        label = f"{self.name} ({', '.join(there[k].label for k in np.unique(best))})"
        return replace(first, label=label, metrics=tuple(metrics), values=chosen)


@dataclass(frozen=True)
class Cells:
    """Comparisons at one place or several: `frame` as by `statistics.compare`, and draws of the mean gain.

    `level` says that the method compared is level with a floor in every metric.
    """

    frame: pd.DataFrame
    draws: np.ndarray
    level: bool = False

    @classmethod
    def of(cls, a: Sample, b: Sample, ground: Ground) -> Cells:
        """Each metric of `a` against `b`."""
        x, y = aligned(a, b)
        draws = st.bootstrap_means(st.nan_mean(x - y, -1, keepdims=True), nested=a.nested or b.nested)
        frame = st.compare(a, b).assign(place=ground.place.name)
        return cls(frame, draws[:, 0], _level_with_a_floor(a, ground))

    @classmethod
    def join(cls, parts: Sequence[Cells]) -> Cells:
        """Several places, or several comparisons, as one; those without a cell (all diverged) say nothing."""
        parts = [p for p in parts if len(p.frame)] or list(parts[:1])
        if not len(parts[0].frame):
            return parts[0]
        frame = pd.concat([p.frame for p in parts], ignore_index=True)
        draws = np.average([p.draws for p in parts], axis=0, weights=[len(p.frame) for p in parts])
        return cls(frame, draws, all(p.level for p in parts))

    def count(self, sign: str) -> int:
        """How many cells are `+`, `-` or `0`."""
        return int((self.frame["sign"] == sign).sum())

    @property
    def refuting(self) -> int:
        """How many cells are `-` and stay so after Holm's adjustment."""
        if not self.count("-"):
            return 0
        return int((st.holm(self.frame)["clear"] == "-").sum())

    @property
    def mean(self) -> st.Interval:
        """Mean gain over the cells, with its interval."""
        low, high = st.percentile(self.draws)
        return st.Interval(float(self.frame["gain"].mean()), float(low), float(high))

    @property
    def seeds(self) -> int:
        """The fewest seeds behind a cell."""
        return int(self.frame["seeds"].min())


def _level_with_a_floor(a: Sample, ground: Ground) -> bool:
    """Whether, in every metric, the interval of the gain over one and the same floor holds zero.

    A ranker, which has no errors of ratings, is no floor where those are compared too.
    """
    signs = [
        st.compare(a, floor.only(a.metrics))["sign"]
        for floor in ground.floor_samples
        if floor.label != a.label and set(a.metrics) <= set(floor.defined)
    ]
    return any(bool((sign == "0").all()) for sign in signs)
