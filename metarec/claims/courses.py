"""Roles for claims about a course: along a grid of settings, or from epoch to epoch.

A role on a grid is a weighted sum over the grid's values, user by user (a slope, a rise, a single value), so
it is compared as a method is. Curves by epoch are recorded as means over users; their roles have one value a
seed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from metarec.claims.ground import Ground
from metarec.claims.roles import ZERO, Role
from metarec.runs.plan import Spec
from metarec.stats.crossfit import crossfit
from metarec.stats.runs import select, tame
from metarec.stats.samples import Sample, direction, on_shared_seeds


@dataclass(frozen=True)
class Setting:
    """What a figure varies.

    `path` leads into a record (`runs.select`), `values` is the grid and `default` the paper's own value;
    `label` and `unit` name the axis, `short` stands before a value in text. `log` spreads the axis evenly.
    """

    path: str
    values: tuple[float, ...]
    default: float
    label: str
    short: str
    unit: str | None = None
    log: bool = False

    def word(self, value: float) -> str:
        """A value in text."""
        return f"{self.short} {value:g}"

    def slope(self) -> dict[float, float]:
        r"""Weights of the least-squares slope over the grid, of $\log x$ where the axis is logarithmic."""
        x = np.array(self.values, float)
        x = np.log(x) if self.log else x
        x = x - x.mean()
        return dict(zip(self.values, (x / (x @ x)).tolist(), strict=True))


@dataclass(frozen=True)
class Combination:
    """A method's metric summed over values of a setting with `weights`, user by user; `name` says of what.

    `held` fixes other fields. Users of a seed are the same at every value: the split is drawn before the
    setting acts.
    """

    label: str
    setting: Setting
    weights: Mapping[float, float]
    name: str
    held: Mapping[str, Any] = field(default_factory=dict)

    def missing(self, ground: Ground) -> list[str]:
        """Values at which the method was not run."""
        return [
            f"{self.label} at {self.setting.word(v)}"
            for v in self.weights
            if self.label not in self._at(ground, v).samples
        ]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """The sum, over the seeds that every value has."""
        found = [self._at(ground, v).sample(self.label, metrics) for v in self.weights]
        there = [s for s in found if s is not None]
        if len(there) < len(found):
            return None
        there = on_shared_seeds(there)
        if not there[0].seeds:
            return None
        values = sum(weight * s.values for weight, s in zip(self.weights.values(), there, strict=True))
        return replace(there[0], label=self.name, metrics=tuple(metrics), values=np.asarray(values))

    def _at(self, ground: Ground, value: float) -> Ground:
        return ground.hold({**self.held, self.setting.path: value})


def point(label: str, setting: Setting, value: float, held: Mapping[str, Any] | None = None) -> Combination:
    """A method at one value of a setting."""
    return Combination(label, setting, {value: 1.0}, f"{label}, {setting.word(value)}", held or {})


@dataclass(frozen=True)
class Zero:
    """Zeros in the shape of another role, so that a slope can be compared with no slope."""

    like: Role

    def missing(self, ground: Ground) -> list[str]:
        """Nothing of its own."""
        return []

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """Zeros."""
        found = self.like.fill(ground, metrics)
        return None if found is None else replace(found, label=ZERO, values=np.zeros_like(found.values))


@dataclass(frozen=True)
class WorstPoint:
    """The point of a whole grid with the lowest mean, chosen elsewhere than it is measured.

    See `stats.crossfit`. The grid is another spec's.
    """

    label: str
    experiment: Spec
    points: int

    def missing(self, ground: Ground) -> list[str]:
        """The grid, until every point of it was run."""
        return [] if self._points(ground, None) else [f"the whole grid ({self.experiment.name})"]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """The worst point in the one metric."""
        (metric,) = metrics
        points = self._points(ground, metric)
        if not points:
            return None
        cut = on_shared_seeds(points)
        if not cut[0].seeds:
            return None
        worst, _ = crossfit(np.stack([s.values for s in cut]), np.array([direction(metric)]), 1.0)
        return replace(cut[0], label=f"{self.label}, worst of {len(points)} settings", values=worst)

    def _points(self, ground: Ground, metric: str | None) -> list[Sample]:
        known = metric or next((m for s in ground.samples.values() for m in s.metrics), "")
        found = ground.settings(self.experiment, self.label, known) if known else []
        return found if len(found) >= self.points else []


@dataclass(frozen=True)
class Curve:
    """A method's recorded curve of one split, one metric an epoch (`epoch 3:MAE`).

    An epoch at which a seed's error is that of a diverged run has no value.
    """

    label: str
    epochs: tuple[int, ...]
    split: str = "test"
    metric: str = "MAE"

    def missing(self, ground: Ground) -> list[str]:
        """The curve, if no record has it."""
        there = self.fill(ground, ()) is not None
        return [] if there else [f"{self.label}: {self.split} {self.metric} by epoch"]

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """One value a seed and epoch."""
        own = sorted(select(ground.own, {"label": self.label}), key=lambda r: r.seed)
        rows = []
        for record in own:
            curve = record.extra.get("curve", {})
            values = curve.get(self.split, {}).get(self.metric, ())
            by_epoch = dict(zip(curve.get("epoch", ()), values, strict=False))
            if not set(self.epochs) <= set(by_epoch):
                return None
            bound = ground.limits.get((record.dataset, record.track), np.inf)
            rows.append(tame(self.metric, np.array([by_epoch[e] for e in self.epochs], float), bound))
        if not rows:
            return None
        names = tuple(f"epoch {e}:{self.metric}" for e in self.epochs)
        seeds, splits = tuple(r.seed for r in own), tuple(r.split_id for r in own)
        return Sample(self.label, seeds, splits, names, np.array(rows)[:, None, :])


@dataclass(frozen=True)
class OfCurve:
    """One number of a curve, `[seeds, epochs] -> [seeds]`; `name` says which."""

    curve: Curve
    number: Callable[[np.ndarray], np.ndarray]
    name: str

    def missing(self, ground: Ground) -> list[str]:
        """The curve, if it is not there."""
        return self.curve.missing(ground)

    def fill(self, ground: Ground, metrics: Sequence[str]) -> Sample | None:
        """One value a seed; the metric keeps its direction, so that less of an error's number is better."""
        found = self.curve.fill(ground, metrics)
        if found is None:
            return None
        values = self.number(found.values[:, 0, :])[:, None, None]
        return replace(found, metrics=(f"{self.name}:{self.curve.metric}",), values=values)


def slope_of(curves: np.ndarray) -> np.ndarray:
    """Least-squares slope over epochs, `[seeds, epochs] -> [seeds]`."""
    x = np.arange(curves.shape[1]) - (curves.shape[1] - 1) / 2
    return np.asarray(curves @ x / (x @ x))


def log_jitter(curves: np.ndarray) -> np.ndarray:
    """Log standard deviation of the change from epoch to epoch, once the trend is taken away.

    The trend is the running median of three; the first and the last epoch have none and are left out.
    """
    windows = np.lib.stride_tricks.sliding_window_view(curves, 3, axis=1)
    rest = curves[:, 1:-1] - np.median(windows, axis=-1)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.diff(rest, axis=1).std(1, ddof=1)))


def settled(curves: np.ndarray, within: float = 0.005) -> np.ndarray:
    """First epoch (from 1) at which a curve is within a share of its own minimum; nan counts as no value."""
    low = np.where(np.isnan(curves), np.inf, curves).min(1, keepdims=True)
    first = (curves <= (1 + within) * low).argmax(1) + 1.0
    return np.where(np.isinf(low[:, 0]), np.nan, first)
