"""Where a claim is decided: a data set, the spec that is run on it, its page, and what was run there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from metarec.runs.plan import Spec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.stats import tests
from metarec.stats.runs import Limits, label, limits, read, select, setting
from metarec.stats.samples import Sample, meet, samples

BOTH = ("published", "sound")


@dataclass(frozen=True)
class Place:
    """A data set: the paper's name for it, the spec run on it, its page, and the rating table's name.

    `where` keeps some of its records (`runs.select`). `tracks` are those it is run on. `floors`
    is the spec that has the floors on the same users, if it is another. `stand_in` says what the
    data are, where the paper's own cannot be had.
    """

    name: str
    experiment: Spec
    notebook: str
    source: str
    where: Mapping[str, Any] = field(default_factory=dict)
    tracks: tuple[str, ...] = BOTH
    floors: Spec | None = None
    stand_in: str = ""


@dataclass(frozen=True)
class Ground:
    """The records of one track at one place.

    `records` are those of every track, those of diverged runs emptied (`runs.emptied`), `prefix` is that of
    the metrics decided on, `floors` are the rows that know nothing of the user.
    """

    place: Place
    track: str
    prefix: str
    records: Sequence[Record]
    store: Store
    floors: tuple[str, ...] = ()

    @cached_property
    def own(self) -> list[Record]:
        """The records of this track."""
        return select(self.records, {**self.place.where, "track": self.track})

    @cached_property
    def limits(self) -> Limits:
        """From which error on a run counts as diverged (`runs.limits`)."""
        return limits(self.records)

    @property
    def planted(self) -> bool:
        """Whether these runs are on planted ratings."""
        return any(r.dataset != self.place.source for r in self.own)

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Per-user metrics of every method, named without their prefix."""
        return self.sampled(self.own)

    @cached_property
    def floor_samples(self) -> list[Sample]:
        """The floors that ran in one setting here.

        Along a grid of settings a floor has a value for each, so no single floor holds for all of them.
        """
        records = self.own
        if self.place.floors:
            splits = tuple({r.split_id for r in records})
            records = select(read(self.store, self.place.floors), {"track": self.track, "split_id": splits})
        there = select(records, {"label": self.floors})
        settings = {name: {setting(r) for r in there if label(r) == name} for name in self.floors}
        return list(self.sampled([r for r in there if len(settings[label(r)]) == 1]).values())

    @cached_property
    def _level(self) -> dict[tuple[str, tuple[str, ...]], bool]:
        return {}

    def level(self, sample: Sample) -> bool:
        """Whether, in every metric, the interval of the gain over one and the same floor holds zero.

        A ranker, which has no errors of ratings, is no floor where those are compared too.
        """
        key = (sample.label, sample.metrics)
        if key not in self._level:
            signs = [
                tests.compare(sample, floor.only(sample.metrics))["sign"]
                for floor in self.floor_samples
                if floor.label != sample.label
                and set(sample.metrics) <= set(floor.defined)
                and meet(sample, floor)
            ]
            self._level[key] = any(bool((sign == "0").all()) for sign in signs)
        return self._level[key]

    def sample(self, name: str, metrics: Sequence[str]) -> Sample | None:
        """One method's; None if it was not run."""
        found = self.samples.get(name)
        return None if found is None else found.only(metrics)

    def hold(self, where: Mapping[str, Any]) -> Ground:
        """The same ground with some fields held at a value; the same call gives the same object."""
        key = tuple(sorted(where.items()))
        if key not in self._held:
            place = replace(self.place, where={**self.place.where, **where})
            self._held[key] = replace(self, place=place)
        return self._held[key]

    @cached_property
    def _held(self) -> dict[tuple[tuple[str, Any], ...], Ground]:
        return {}

    def settings(self, experiment: Spec, name: str, metric: str) -> list[Sample]:
        """Every setting of a method of another spec (a grid), one sample each."""
        wanted = {**self.place.where, "track": self.track, "label": name}
        grid = select(read(self.store, experiment), wanted)
        found = self.sampled([replace(r, label=setting(r)) for r in grid])
        return [s.only([metric]) for s in found.values()]

    def validation(self, name: str) -> float:
        """Mean validation score at the kept epoch, of whichever track records one; nan if none does."""
        own = select(self.records, {**self.place.where, "label": name})
        scores = [r.extra["valid"] for r in own if "valid" in r.extra]
        return float(np.mean(scores)) if scores else float("nan")

    def sampled(self, records: Sequence[Record]) -> dict[str, Sample]:
        """Per-user metrics of these records, by label, in this ground's form of the metrics."""
        if not records:
            return {}
        every = dict.fromkeys(m for r in records for m in r.metrics)  # a ranker has no errors of ratings
        names = [m for m in every if m.rpartition(":")[0] == self.prefix.rstrip(":")]
        found = samples(records, self.store, names)
        bare = tuple(m.removeprefix(self.prefix) for m in names)
        return {name: replace(s, metrics=bare) for name, s in found.items()}
