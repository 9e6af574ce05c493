"""Who stands on either side of a comparison: a method, the best of several, a mean, a gap.

Each role says what has to be run for it (`missing`) and gives a sample once that is there (`fill`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np

from metarec.claims.ground import Ground
from metarec.runs.records import Record
from metarec.stats.crossfit import crossfit
from metarec.stats.runs import label, select, tame
from metarec.stats.samples import Sample, direction, on_shared_seeds

ZERO = "zero"


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
        absent = [name for name in self.labels if name not in ground.samples]
        unscored = [name for name in self.labels if np.isnan(ground.validation(name))]
        return absent or [f"a validation score of {name} (sound track)" for name in unscored]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """The chosen variant's sample."""
        if self.missing(ground):
            return None
        return ground.sample(max(self.labels, key=ground.validation), metrics)


@dataclass(frozen=True)
class Ranked:
    """For each metric, the method at a position in the order by mean, chosen elsewhere than it is measured.

    `position` is 0 for the best, 1 for the worst, 0.5 for the median (of an even number, the worse of the
    two), among those that were run. Choice and measure never share a seed or a user (`stats.crossfit`), so
    no interval carries a winner's curse. `without` names, by place, methods that the paper does not run
    there.
    """

    labels: tuple[str, ...]
    position: float
    name: str
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def at(self, ground: Ground) -> list[str]:
        """The methods in question at a place."""
        return [name for name in self.labels if name not in self.without.get(ground.place.name, ())]

    def missing(self, ground: Ground) -> list[str]:
        """Those of the methods that were not run."""
        run = {label(r) for r in ground.own}
        absent = [name for name in self.at(ground) if name not in run]
        if not absent and self.fill(ground, ()) is None:
            return [f"a seed that all methods behind {self.name} have"]
        return absent

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """A sample put together metric by metric, from those that were run, over the seeds they all have.

        A method recorded once (a floor) stands beside every seed where all are on one split. One without a
        value of a metric has no rank in it.
        """
        there = [s for name in self.at(ground) if (s := ground.sample(name, metrics)) is not None]
        if not there:
            return None
        nested = len({split for s in there for split in s.splits}) > 1
        seeded = [s for s in there if nested or len(s.seeds) > 1] or there[:1]
        cut = {s.label: s for s in on_shared_seeds(seeded)}
        first = cut[seeded[0].label]
        if not first.seeds:
            return None
        values = np.stack([np.broadcast_to(cut.get(s.label, s).values, first.values.shape) for s in there])
        merit = np.array([direction(m) for m in metrics])
        chosen, which = crossfit(values, merit, self.position)
        name = f"{self.name} ({', '.join(there[k].label for k in np.unique(which))})"
        return replace(first, label=name, metrics=tuple(metrics), values=chosen)


@dataclass(frozen=True)
class Mean:
    """The mean of several roles, user by user; `name` says of what."""

    roles: tuple[Role, ...]
    name: str

    def missing(self, ground: Ground) -> list[str]:
        """What any of them lacks."""
        return list(dict.fromkeys(what for role in self.roles for what in role.missing(ground)))

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """The mean, once all are there, over the seeds that all have."""
        there = [s for role in self.roles if (s := role.fill(ground, metrics)) is not None]
        if len(there) < len(self.roles):
            return None
        there = on_shared_seeds(there)
        if not there[0].seeds:
            return None
        return replace(there[0], label=self.name, values=np.mean([s.values for s in there], axis=0))


@dataclass(frozen=True)
class Gap:
    """An error on test users less the same error on training users, one value a seed (`gap:MAE`).

    `train` names the second number: a term of the last epoch (`train MAE`), or with `curve` a curve, read at
    the kept epoch (`query`: the squared error of the queries, averaged while the epoch trains). A seed at
    which one of the two diverged is left out.
    """

    label: str
    metric: str
    train: str
    curve: bool = False

    def missing(self, ground: Ground) -> list[str]:
        """The method, or its error on training users."""
        own = select(ground.own, {"label": self.label})
        there = own and all(self._train(r) is not None for r in own)
        return [] if there else [f"{self.label}: {self.train} on training users"]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """Test less training, over the seeds that have both."""
        if self.missing(ground):
            return None
        kept = []
        for r in sorted(select(ground.own, {"label": self.label}), key=lambda r: r.seed):
            bound = ground.limits.get((r.dataset, r.track), np.inf)
            train = float(tame(self.metric, np.array(self._train(r)), bound))
            gap = r.metrics[self.metric] - train
            kept += [(r.seed, r.split_id, gap)] if np.isfinite(gap) else []
        if not kept:
            return None
        seeds, splits, gaps = zip(*kept, strict=True)
        return Sample(self.label, seeds, splits, (f"gap:{self.metric}",), np.array(gaps)[:, None, None])

    def _train(self, record: Record) -> float | None:
        if not self.curve:
            return record.terms.get(self.train)
        curve = record.extra.get("curve", {})
        values = curve.get(self.train)
        return None if values is None else float(values[curve["epoch"].index(record.best_epoch)])
