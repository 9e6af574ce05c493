"""Rules about a grid of one option: which value is best, whether small ones are better, how flat it is.

A grid is the records of one experiment in which one option varies; the metric is the only one of the rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from metarec.report import statistics as st
from metarec.report.evidence import Cells, Ground
from metarec.report.layout import select
from metarec.report.rules import FAILS, HOLDS, NOISE, EveryCell, Rule, Unit
from metarec.report.samples import Sample, aligned, on_shared_seeds, samples
from metarec.report.sensitivity import Sweep


@dataclass(frozen=True, kw_only=True)
class OnGrid(Rule):
    """A rule about the settings of `sweeps` in the records of its place.

    `beside` is the experiment with the floors of the same users, to see whether the grid as a whole is level
    with one of them.
    """

    sweeps: tuple[Sweep, ...]
    beside: str

    def missing(self, ground: Ground) -> list[str]:
        absent = []
        for sweep in self.sweeps:
            for method in sweep.held:
                there = self.points(ground, sweep, method)
                absent += [f"{method} at {sweep.label} = {v:g}" for v in sweep.values if v not in there]
        return absent

    def points(self, ground: Ground, sweep: Sweep, method: str) -> dict[float, Sample]:
        """The sample of each value of the sweep that was run."""
        found: dict[float, Sample] = {}
        for value in sweep.values:
            own = [
                replace(r, method=f"{method}, {sweep.label} = {value:g}")
                for r in select(ground.own, {"method": method})
                if {**sweep.held[method], sweep.option: value}.items() <= r.options.items()
            ]
            if own:
                names = [ground.prefix + m for m in self.metrics]
                (sample,) = samples(own, ground.store, names).values()
                found[value] = replace(sample, metrics=self.metrics)
        return found

    def level(self, ground: Ground, sample: Sample) -> bool:
        """Whether the gain of `sample` over some floor has an interval that holds zero."""
        beside = ground.store.read(*self.beside.split("."))
        wanted = {"method": ground.floors, "track": ground.track, "split_id": sample.splits}
        floors = select(beside, wanted)
        if not floors:
            return False
        found = samples(floors, ground.store, [ground.prefix + m for m in self.metrics]).values()
        against = [st.compare(sample, replace(floor, metrics=self.metrics)) for floor in found]
        return any(bool((frame["sign"] == "0").all()) for frame in against)


@dataclass(frozen=True, kw_only=True)
class BestPoint(EveryCell, OnGrid):
    """The tuned value against every other value of its sweep."""

    def cells(self, ground: Ground) -> Cells | None:
        parts, draws = [], []
        level = False
        for sweep in self.sweeps:
            for method in sweep.held:
                points = self.points(ground, sweep, method)
                best = points.pop(sweep.tuned[method], None)
                if best is None or not points:
                    continue
                level = level or self.level(ground, best)
                for other in points.values():
                    parts.append(st.compare(best, other).assign(place=ground.place.name))
                    draws.append(_difference(best, other))
        if not parts:
            return None
        return Cells(pd.concat(parts, ignore_index=True), np.mean(draws, axis=0), level)

    def evidence(self, cells: Cells, unit: Unit) -> str:
        gains = [
            f"{row['b'].rpartition(', ')[2]} {unit(row['gain'])} [{unit(row['low'])}, {unit(row['high'])}]"
            for row in cells.frame.to_dict("records")
        ]
        lines = [
            f"{name} over {', '.join(gains[i] for i in rows.index)}"
            for name, rows in cells.frame.groupby("a", sort=False)
        ]
        return "; ".join(lines) + "."


@dataclass(frozen=True, kw_only=True)
class SmallerBetter(EveryCell, OnGrid):
    """The mean over small values minus that over large ones, one cell a sweep.

    `split` gives for each option the largest small value and the smallest large one.
    """

    split: Mapping[str, tuple[float, float]]

    def cells(self, ground: Ground) -> Cells | None:
        parts, draws = [], []
        for sweep in self.sweeps:
            low, high = self.split[sweep.option]
            points = [self.points(ground, sweep, method) for method in sweep.held]
            small = _mean([p[v] for p in points for v in p if v <= low], f"{sweep.label} ≤ {low:g}")
            large = _mean([p[v] for p in points for v in p if v >= high], f"{sweep.label} ≥ {high:g}")
            if small is None or large is None:
                return None
            parts.append(st.compare(small, large).assign(place=ground.place.name))
            draws.append(_difference(small, large))
        return Cells(pd.concat(parts, ignore_index=True), np.mean(draws, axis=0))

    def evidence(self, cells: Cells, unit: Unit) -> str:
        gains = (
            f"{r['a']} over {r['b']}: {unit(r['gain'])} [{unit(r['low'])}, {unit(r['high'])}]"
            for r in cells.frame.to_dict("records")
        )
        return "; ".join(gains) + "."


@dataclass(frozen=True, kw_only=True)
class Flat(OnGrid):
    """The range of the means along a sweep, by method: below `bound` for all holds, above for one fails.

    `relative` takes it, and the bound, as a share of the mean over the sweep.
    """

    bound: float
    relative: bool = False

    def cells(self, ground: Ground) -> Cells | None:
        rows, draws = [], []
        for sweep in self.sweeps:
            for method in sweep.held:
                points = list(self.points(ground, sweep, method).values())
                if len(points) < len(sweep.values):
                    continue
                points = on_shared_seeds(points)
                if not points[0].seeds:
                    continue
                values = np.concatenate([p.values for p in points], -1)
                means = st.bootstrap_means(values, nested=points[0].nested)
                width = self._width(means)
                low, high = st.percentile(width)
                own = self._width(st.nan_mean(values, axis=(0, 1)))
                row = {"a": method, "b": sweep.label, "metric": self.metrics[0], "place": ground.place.name}
                ends = {"gain": float(own), "low": float(low), "high": float(high)}
                rows.append({**row, **ends, "seeds": len(points[0].seeds)})
                draws.append(width)
        if not rows:
            return None
        return Cells(pd.DataFrame(rows), np.mean(draws, axis=0))

    def outcome(self, cells: Cells) -> str:
        if (cells.frame["high"] < self.bound).all():
            return HOLDS
        return FAILS if self.refuted(cells) else NOISE

    def refuted(self, cells: Cells) -> bool:
        return bool((cells.frame["low"] > self.bound).any())

    def evidence(self, cells: Cells, unit: Unit) -> str:
        unit = Unit(percent=True) if self.relative else unit
        ranges = (
            f"{r['a']} {unit.plain(r['gain'])} [{unit.plain(r['low'])}, {unit.plain(r['high'])}]"
            for r in cells.frame.to_dict("records")
        )
        label, bound = cells.frame["b"].iloc[0], unit.plain(self.bound)
        share = " in per cent of the mean" if self.relative else ""
        return f"Range over {label}{share}: {'; '.join(ranges)}; bound {bound}."

    def _width(self, means: np.ndarray) -> np.ndarray:
        width = means.max(-1) - means.min(-1)
        return np.asarray(width / np.abs(means.mean(-1)) if self.relative else width)


def _difference(a: Sample, b: Sample) -> np.ndarray:
    x, y = aligned(a, b)
    return st.bootstrap_means(x - y, nested=a.nested or b.nested)[:, 0]


def _mean(samples: Sequence[Sample], label: str) -> Sample | None:
    """The same users and seeds, each value averaged over settings."""
    samples = on_shared_seeds(samples) if samples else []
    if not samples or not samples[0].seeds:
        return None
    return replace(samples[0], label=label, values=np.mean([s.values for s in samples], axis=0))
