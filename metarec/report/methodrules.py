"""Rules about one method among many: above the floors, best at one metric, at its worst, in its scatter."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from metarec.errors import RecordError
from metarec.report import statistics as st
from metarec.report.evidence import Cells, Ground, Method, Role
from metarec.report.rules import FAILS, HOLDS, NOISE, EveryCell, Paired, Rule, Unit
from metarec.report.samples import Sample, aligned, direction
from metarec.show import html


@dataclass(frozen=True, kw_only=True)
class Above(EveryCell):
    """`a` against each of `floors`: holds if every cell is +; fails if one against the last floor is -."""

    a: Role
    floors: tuple[str, ...]

    def missing(self, ground: Ground) -> list[str]:
        return [*self.a.missing(ground), *(f for f in self.floors if f not in ground.samples)]

    def cells(self, ground: Ground) -> Cells | None:
        a = self.a.fill(ground, self.metrics)
        there = [s for f in self.floors if (s := Method(f).fill(ground, self.metrics)) is not None]
        if a is None or not there:
            return None
        return Cells.join([Cells.of(a, floor, ground) for floor in there])

    def refuted(self, cells: Cells) -> bool:
        frame = cells.frame
        return bool(((frame["b"] == self.floors[-1]) & (frame["sign"] == "-")).any())

    def evidence(self, cells: Cells, unit: Unit) -> str:
        parts = []
        for name, rows in cells.frame.groupby("b", sort=False):
            numbers = zip(rows["metric"], rows["gain"], rows["low"], rows["high"], strict=True)
            gains = (f"{m} {unit(gain)} [{unit(low)}, {unit(high)}]" for m, gain, low, high in numbers)
            parts.append(f"over {name}: {', '.join(gains)}")
        return f"{cells.frame['a'].iloc[0]} {'; '.join(parts)}."


@dataclass(frozen=True, kw_only=True)
class LargestGain(Paired):
    """The named metric of each place has the largest relative gain of all: by mean, and in 4 of 5 seeds.

    Fails if it is outside the top three anywhere.
    """

    named: Mapping[str, str] = field(default_factory=dict)
    share: float = 0.8

    def cells(self, ground: Ground) -> Cells | None:
        found = super().cells(ground)
        if found is None:
            return None
        a, b = self.a.fill(ground, self.metrics), self.b.fill(ground, self.metrics)
        assert a is not None and b is not None
        x, y = (st.nan_mean(side, axis=1) for side in aligned(a, b))
        first = ((x - y) / np.abs(y)).argmax(-1)
        frame = found.frame.assign(first=[float(np.mean(first == m)) for m in range(len(self.metrics))])
        return replace(found, frame=frame)

    def outcome(self, cells: Cells) -> str:
        ranks, shares = self._standing(cells)
        if self.refuted(cells):
            return FAILS
        return HOLDS if max(ranks) == 1 and min(shares) >= self.share else NOISE

    def refuted(self, cells: Cells) -> bool:
        return max(self._standing(cells)[0]) > 3

    def _standing(self, cells: Cells) -> tuple[list[int], list[float]]:
        ranks, shares = [], []
        for place, rows in cells.frame.groupby("place", sort=False):
            own = rows["metric"] == self.named[str(place)]
            ranks.append(int(rows["relative"].rank(ascending=False)[own].iloc[0]))
            shares.append(float(rows["first"][own].iloc[0]))
        return ranks, shares

    def evidence(self, cells: Cells, unit: Unit) -> str:
        lines = []
        for (place, rows), rank in zip(
            cells.frame.groupby("place", sort=False), self._standing(cells)[0], strict=True
        ):
            top = rows.sort_values("relative").iloc[-1]
            lines.append(
                f"{place}: {self.named[str(place)]} ranks {rank} of {len(rows)}; the largest relative gain "
                f"is {html.signed(100 * top['relative'], 1)} % at {top['metric']}"
            )
        return "; ".join(lines) + "."


@dataclass(frozen=True, kw_only=True)
class WorstSetting(EveryCell):
    """The worst point of a grid, for each of `labels`, against `b`: holds if all are +, fails if one is -.

    `grid` is the experiment that holds the settings, `points` how many there are of each label.
    """

    labels: tuple[str, ...]
    b: Role
    grid: str
    points: int

    def missing(self, ground: Ground) -> list[str]:
        grid = [] if self._worst(ground) else [f"the whole grid ({self.grid})"]
        return [*grid, *self.b.missing(ground)]

    def cells(self, ground: Ground) -> Cells | None:
        b, worst = self.b.fill(ground, self.metrics), self._worst(ground)
        if b is None or not worst:
            return None
        return Cells.join([Cells.of(a, b, ground) for a in worst])

    def _worst(self, ground: Ground) -> list[Sample]:
        (metric,) = self.metrics
        found = []
        for label in self.labels:
            points = ground.settings(self.grid, label, metric)
            if len(points) < self.points:
                return []
            worst = min(points, key=lambda s: direction(metric) * float(st.nan_mean(s.values)))
            found.append(replace(worst, label=f"{label}, worst of {len(points)} settings"))
        return found


@dataclass(frozen=True, kw_only=True)
class Steadier(Rule):
    r"""Seeds scatter less: mean over metrics and places of $\log s_b - \log s_a$, for each of `opponents`.

    $s$ is the standard deviation over seeds of a metric's mean. Holds if the interval (seeds resampled,
    each method on its own) is above 0 for all opponents; fails if it is below for one.
    """

    a: Role
    opponents: tuple[str, ...]

    def missing(self, ground: Ground) -> list[str]:
        return [*self.a.missing(ground), *(o for o in self.opponents if o not in ground.samples)]

    def cells(self, ground: Ground) -> Cells | None:
        a = self.a.fill(ground, self.metrics)
        there = [s for o in self.opponents if (s := ground.sample(o, self.metrics)) is not None]
        if a is None or not there:
            return None
        own, own_draws = log_spread(a)
        spreads = [log_spread(b) for b in there]
        frame = pd.DataFrame(
            {
                "a": a.label,
                "b": [b.label for b in there],
                "gain": [value - own for value, _ in spreads],
                "seeds": [min(len(a.seeds), len(b.seeds)) for b in there],
                "place": ground.place.name,
            }
        )
        return Cells(frame, np.stack([draws - own_draws for _, draws in spreads], -1))

    def outcome(self, cells: Cells) -> str:
        low, high = st.percentile(cells.draws)
        if (high < 0).any():
            return FAILS
        return HOLDS if (low > 0).all() else NOISE

    def evidence(self, cells: Cells, unit: Unit) -> str:
        low, high = np.exp(st.percentile(cells.draws))
        ratio = np.exp(cells.frame.groupby("b", sort=False)["gain"].mean())
        parts = [
            f"{name} {ratio[name]:.2f} times as much [{low[k]:.2f}, {high[k]:.2f}]"
            for k, name in enumerate(ratio.index)
        ]
        return f"Scatter over seeds against that of {cells.frame['a'].iloc[0]}: {'; '.join(parts)}."


def log_spread(sample: Sample) -> tuple[float, np.ndarray]:
    """Mean over metrics of the log standard deviation over seeds, and its draws under resampling of seeds.

    Draws in which one seed fills every place have no deviation and are left out.
    """
    means = st.nan_mean(sample.values, axis=1)
    seeds = len(means)
    if seeds < 3:
        raise RecordError(f"{sample.label!r} has {seeds} seeds; its scatter needs three or more.")
    rng = np.random.default_rng([seeds, zlib.crc32(sample.label.encode())])
    chosen = rng.integers(seeds, size=(2 * st.DRAWS, seeds))
    chosen = chosen[(chosen != chosen[:, :1]).any(1)][: st.DRAWS]
    with np.errstate(divide="ignore"):
        spread = np.log(means.std(0, ddof=1)).mean()
        draws = np.log(means[chosen].std(1, ddof=1)).mean(-1)
    return float(spread), draws
