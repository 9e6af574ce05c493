"""One metric along the grid of one option: means, intervals, every seed, floors and the paper's point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.stats.intervals import interval

FLOORS: Mapping[str, int] = {"Random ranker": 2, "Popularity": 1}  # which dash pattern


@dataclass(frozen=True)
class Sweep:
    """One option varied along `values`, `held` fixing the others by method: what a panel shows.

    `tuned` is the value that the paper found best, by method.
    """

    option: str
    values: tuple[float, ...]
    label: str
    held: Mapping[str, Mapping[str, float]]
    tuned: Mapping[str, float]

    def only(self, method: str) -> Sweep:
        """The sweep of one method."""
        return replace(self, held={method: self.held[method]})


def along(records: Sequence[Record], sweep: Sweep, metric: str) -> pd.DataFrame:
    """Row by run on the sweep: `method, value, seed, score` (a fraction)."""
    rows = []
    for r in records:
        held = sweep.held.get(r.label)
        if held is not None and held.items() <= r.options.items() and r.options[sweep.option] in sweep.values:
            value, score = r.options[sweep.option], r.metrics[metric]
            rows.append({"method": r.label, "value": value, "seed": r.seed, "score": score})
    if not rows:
        raise RecordError(f"no record lies on the grid of {sweep.option!r}; run the experiment first.")
    return pd.DataFrame(rows)


def sensitivity(
    records: Sequence[Record],
    sweeps: Sequence[Sweep],
    tracks: Mapping[str, tuple[str, str]],
    *,
    floors: Sequence[Record] = (),
    paper: Mapping[str, float] | None = None,
) -> Figure:
    """One row of panels a track, one panel a sweep, in per cent.

    `tracks` maps a track to a metric's name in records and to its axis label. `floors` are records of the
    table with the same users; `paper` holds the printed value of each method at its tuned point, drawn where
    the metric is the paper's own (without a prefix). Tracks without records are left out.
    """
    there = {t: axis for t, axis in tracks.items() if any(r.track == t for r in records)}
    fig, axes = style.panels(len(there), len(sweeps), height=3.1, sharey="row")
    for row, (track, (metric, label)) in zip(axes, there.items(), strict=True):
        own = [r for r in records if r.track == track]
        lines = {r.label: 100 * r.metrics[metric] for r in floors if r.track == track and r.label in FLOORS}
        printed = paper if paper is not None and ":" not in metric else {}
        for ax, sweep in zip(row, sweeps, strict=True):
            _panel(ax, along(own, sweep, metric), sweep, printed)
            for name, height in lines.items():
                dashes = style.DASHES[FLOORS[name]]
                ax.axhline(
                    height, color=style.MUTED, linewidth=1.3, linestyle=dashes, label=name.lower(), zorder=1
                )
            style.label_axes(ax, x=sweep.label, y="")
        style.label_axes(row[0], x=sweeps[0].label, y=label, y_unit="%", title=f"{track} track")
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return style.done(fig)


def table(
    records: Sequence[Record], sweeps: Sequence[Sweep], tracks: Mapping[str, tuple[str, str]], *, track: str
) -> html.Html:
    """The numbers of one row of panels: mean over seeds and half of its 95 % interval, in per cent."""
    metric, label = tracks[track]
    own = [r for r in records if r.track == track]
    cells: dict[str, list[str]] = {method: [] for method in sweeps[0].held}
    for sweep in sweeps:
        frame = along(own, sweep, metric)
        for (method, _), scores in frame.groupby(["method", "value"])["score"]:
            found = interval(100 * scores)
            half = (
                "" if np.isnan(found.high) else f"<br><small>± {html.number(found.high - found.mean)}</small>"
            )
            cells[str(method)].append(f'<span class="ours">{html.number(found.mean)}{half}</span>')
    columns = [f"{value:g}" for sweep in sweeps for value in sweep.values]
    groups = [(sweep.label, len(sweep.values)) for sweep in sweeps]
    caption = f"{label[0].upper()}{label[1:]} (%), {track} track"
    rendered = html.table(
        columns, {"": list(cells.items())}, caption=caption, corner="Method", groups=groups, kind="results"
    )
    return html.Html(rendered, caption)


def _panel(ax: Axes, frame: pd.DataFrame, sweep: Sweep, printed: Mapping[str, float]) -> None:
    """The methods side by side at each value, so that intervals do not cover one another."""
    place = {value: x for x, value in enumerate(sweep.values)}
    methods = list(dict.fromkeys(frame["method"]))
    for n, method in enumerate(methods):
        own = frame[frame["method"] == method]
        shift = 0.16 * (n - (len(methods) - 1) / 2)
        spots = [interval(100 * scores) for _, scores in own.groupby("value")["score"]]
        x = np.array([place[v] for v in sorted(own["value"].unique())]) + shift
        mean = np.array([s.mean for s in spots])
        half = np.array([s.high - s.mean for s in spots])
        look = style.series(2 * n)  # not orange: that is the paper's colour
        ax.errorbar(x, mean, yerr=half, **look, label=method, zorder=3)
        seeds = own["value"].map(place) + shift + 0.07
        ax.plot(seeds, 100 * own["score"], ".", color=look["color"], alpha=0.45, markersize=3.5, zorder=2)
        if method in printed:
            at = place[sweep.tuned[method]] + shift
            ring: dict[str, Any] = {
                "mfc": "none",
                "mec": style.ROLES["paper"],
                "mew": 1.8,
                "ms": 9,
                "ls": "none",
            }
            label = "printed in Table 4, at the tuned value"
            ax.plot(at, printed[method], look["marker"], **ring, label=label, zorder=4)
    ax.set_xticks(range(len(sweep.values)), [f"{v:g}" for v in sweep.values])
    ax.grid(axis="x", visible=False)
