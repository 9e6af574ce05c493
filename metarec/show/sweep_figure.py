"""A metric along a setting, drawn: means, intervals, every seed, the paper's point.

`figure` draws one setting, a column a data set, with paired gains below. `grid` draws several settings, a row
a track. Both draw a method the same way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.claims.courses import Setting
from metarec.runs.plan import TableSpec
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html, style
from metarec.show.sweep import Sweep, gains, means
from metarec.stats.intervals import interval

# How a number of the paper is drawn: an open mark.
_RING: dict[str, Any] = {
    "mfc": "none",
    "mec": style.ROLES["paper"],
    "mew": 1.8,
    "ms": 9,
    "ls": "none",
    "clip_on": False,
}


class Point(NamedTuple):
    """A mean with its interval, where it is drawn and in which colour."""

    x: float
    mean: float
    low: float
    high: float
    color: str


def figure(
    records: Sequence[Record],
    store: Store,
    sweep: Sweep,
    spec: TableSpec,
    *,
    track: str,
    levels: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Above, the metric of each method; below, paired gains; a column a data set.

    `levels` are horizontal lines, by data set: the label of a floor and a height.
    """
    frame = means(records, sweep, spec, track=track)
    paired = gains(records, store, sweep, spec, track=track)
    sets = list(dict.fromkeys(frame["dataset"]))
    fig, axes = style.panels(2, len(sets), height=2.9, sharex=True)
    for (upper, lower), name in zip(axes.T, sets, strict=True):
        here, lines = frame[frame["dataset"] == name], (levels or {}).get(name, {})
        points, printed = _methods(upper, here, sweep, sweep.printed.get(name, {}))
        below = _gains(lower, paired[paired["dataset"] == name], sweep)
        _levels(upper, lines)
        lower.axhline(0, color=style.INK, linewidth=1)
        _crop(upper, points, [*lines.values(), *printed])
        _crop(lower, below, [0.0])
        _axis(lower, sweep.setting)
        style.label_axes(upper, x="", y="", title=name)
        upper.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel(sweep.metric)
    axes[1, 0].set_ylabel(f"gain in {sweep.metric}")
    return style.legend_below(fig)


def grid(
    records: Sequence[Record],
    sweeps: Sequence[Sweep],
    spec: TableSpec,
    *,
    names: Mapping[str, str],
    floors: Sequence[Record] = (),
) -> Figure:
    """A row of panels a track, a panel a setting, in per cent; `names` are the axis labels by track.

    `floors` are records of the table with the same users, drawn as lines. The paper's numbers stand where the
    metric is in the paper's form. Tracks without records are left out.
    """
    there = [t for t in spec.tracks if any(r.track == t for r in records)]
    fig, axes = style.panels(len(there), len(sweeps), height=3.1, sharey="row")
    for row, track in zip(axes, there, strict=True):
        prefix = spec.prefix.get(track, "")
        for ax, sweep in zip(row, sweeps, strict=True):
            frame = means(records, sweep, spec, track=track, prefix=prefix)
            frame = frame.assign(score=100 * frame["score"])
            name = frame["dataset"].iloc[0]
            _methods(ax, frame, sweep, {} if prefix else sweep.printed.get(name, {}))
            metric = prefix + sweep.metric
            _levels(ax, {r.label: 100 * r.metrics[metric] for r in floors if r.track == track})
            _axis(ax, sweep.setting)
        style.label_axes(
            row[0], x=sweeps[0].setting.label, y=names[track], y_unit="%", title=f"{track} track"
        )
    return style.legend_below(fig)


def _methods(
    ax: Axes, frame: pd.DataFrame, sweep: Sweep, printed: Mapping[str, float]
) -> tuple[list[Point], list[float]]:
    """The methods side by side at each value; the points drawn, and the paper's numbers drawn."""
    points: list[Point] = []
    rings: list[float] = []
    there = [m for m in sweep.methods if (frame["method"] == m).any()]
    for n, method in enumerate(there):
        own, look = frame[frame["method"] == method], style.look(method)
        x: dict[Any, float] = {v: k + _shift(n, len(there)) for k, v in enumerate(sweep.setting.values)}
        kept = own.dropna(subset=["score"])
        spots = {v: interval(scores) for v, scores in kept.groupby("value")["score"]}
        half = [s.high - s.mean for s in spots.values()]
        mean = [s.mean for s in spots.values()]
        ax.errorbar([x[v] for v in spots], mean, yerr=half, **look, label=method, zorder=3)
        dots = kept["value"].map(x) + 0.05
        ax.plot(dots, kept["score"], ".", color=look["color"], alpha=0.45, markersize=3.5, zorder=2)
        if method in printed and own["compares"].all():
            at = x[sweep.tuned.get(method, sweep.setting.default)]
            look_of_paper = {**_RING, "label": sweep.printed_as, "zorder": 4}
            ax.plot(at, printed[method], look["marker"], **look_of_paper)
            rings.append(printed[method])
        points += [Point(x[v], s.mean, s.low, s.high, look["color"]) for v, s in spots.items()]
    return points, rings


def _gains(ax: Axes, frame: pd.DataFrame, sweep: Sweep) -> list[Point]:
    """Filled where the difference is clear (`tests.holm`, over all gains), open where it is not."""
    points = []
    for n, (a, b) in enumerate(sweep.pairs):
        rows = frame[(frame["a"] == a) & (frame["b"] == b)].to_dict("records")
        look = {**style.look(b), "linestyle": "none"}
        x = {value: k + _shift(n, len(sweep.pairs)) for k, value in enumerate(sweep.setting.values)}
        for row in rows:
            face = look["color"] if row["clear"] != "0" else style.CARD
            bars = [[row["gain"] - row["low"]], [row["high"] - row["gain"]]]
            ax.errorbar(x[row["value"]], row["gain"], yerr=bars, **look, mfc=face)
            points.append(Point(x[row["value"]], row["gain"], row["low"], row["high"], look["color"]))
        if rows:  # the legend's mark is filled, whatever the points are
            ax.errorbar([], [], yerr=[], **look, label=f"gain of {a} over {b}")
    return points


def _levels(ax: Axes, levels: Mapping[str, float]) -> None:
    for label, height in levels.items():
        line = {**style.look(label), "marker": None}
        ax.axhline(height, linewidth=1.3, label=label.lower(), zorder=1, **line)


def _axis(ax: Axes, setting: Setting) -> None:
    ax.set_xticks(range(len(setting.values)), [f"{v:g}" for v in setting.values])
    ax.set_xlim(-0.5, len(setting.values) - 0.5)
    ax.grid(axis="x", visible=False)
    style.label_axes(ax, x=setting.label, y="", x_unit=setting.unit)


def _shift(n: int, count: int) -> float:
    """Side by side, so that intervals do not cover one another."""
    return 0.14 * (n - (count - 1) / 2)


def _crop(ax: Axes, points: Sequence[Point], always: Sequence[float]) -> None:
    """Leave out of the frame what is hardly known; a mean outside is named at the edge."""
    half = np.array([(p.high - p.low) / 2 for p in points])
    wild = half > 20 * np.nanmedian(half)
    if not wild.any():
        return
    tame = [p for p, far in zip(points, wild, strict=True) if not far]
    kept = [*always, *(e for p in tame for e in (p.mean, p.low, p.high) if np.isfinite(e))]
    pad = 0.08 * (max(kept) - min(kept))
    low, high = min(kept) - pad, max(kept) + pad
    ax.set_ylim(low, high)
    above, below = [p for p in points if p.mean > high], [p for p in points if p.mean < low]
    for outside, edge, side, sign, step in ((above, high, "top", "▴", -11), (below, low, "bottom", "▾", 11)):
        for line, p in enumerate(outside):
            box = {"facecolor": style.CARD, "edgecolor": "none", "pad": 0.5}
            ax.annotate(
                f"{html.number(p.mean)} {sign}",
                (p.x, edge),
                (0, step * line),
                textcoords="offset points",
                color=p.color,
                ha="right",
                va=side,
                fontsize=9,
                bbox=box,
                zorder=5,
            )
