"""Epoch by epoch: training curves, gaps between methods, and what picking an epoch on test would bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.show.table import Table
from metarec.stats.intervals import interval, nan_mean
from metarec.stats.runs import ERRORS, limits, tame


def history(records: Sequence[Record], method: str, track: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Epochs `[points]` and one curve of a method, `[seeds, points]`.

    `name` is a loss term, or `test:` or `valid:` and a metric. An epoch at which an error is that of a
    diverged run is nan. `RecordError` if no record of the track has it.
    """
    own = [r for r in records if r.label == method and r.track == track and "curve" in r.extra]
    split, _, metric = name.partition(":")
    split = split if metric else ""
    curves = [r.extra["curve"] for r in own]
    found = [(c.get(split, {}) if split else c).get(metric if split else name) for c in curves]
    if not found or any(curve is None for curve in found):
        raise RecordError(
            f"{method!r} has no recorded {name!r} on the {track} track; record it while training."
        )
    values = np.array(found, float)
    if split:
        bounds = [limits(records).get((r.dataset, r.track), np.inf) for r in own]
        rows = [
            tame(metric, row, bound) if metric in ERRORS else row
            for row, bound in zip(values, bounds, strict=True)
        ]
        values = np.array(rows)
    return np.array(curves[0]["epoch"]), values


def curves(
    records: Sequence[Record],
    methods: Sequence[str],
    panels: Mapping[str, str],
    *,
    track: str,
    scales: Mapping[str, float] | None = None,
    log: Sequence[str] = (),
    floor: float = 1e-9,
    lines: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Mean over seeds by epoch, with the range of the seeds as a band; one panel for each name of `history`.

    `panels` maps a name to its axis label, `scales` to a factor, `lines` to horizontal lines (a word and a
    height). Names in `log` get a logarithmic axis, on which values below `floor` are drawn at it.
    """
    scales, lines = scales or {}, lines or {}
    columns = min(len(panels), 3)
    fig, axes = style.panels(-(-len(panels) // columns), columns)
    drawn = 0
    for ax, (name, label) in zip(axes.ravel(), panels.items(), strict=False):
        for method in methods:
            epoch, values = history(records, method, track, name)
            values = values * scales.get(name, 1.0)
            values = np.maximum(values, floor) if name in log else values
            look = {**style.look(method), "marker": None}
            ax.plot(epoch, values.mean(0), label=method, **look)
            ax.fill_between(epoch, values.min(0), values.max(0), color=look["color"], alpha=0.15, linewidth=0)
        for word, height in lines.get(name, {}).items():
            ax.axhline(
                height, color=style.MUTED, linewidth=1.2, linestyle=style.DASHES[3 + drawn], label=word
            )
            drawn += 1
        if name in log:
            ax.set_yscale("log")
        style.label_axes(ax, x="epoch", y=label)
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return style.done(fig)


def optimism(
    records: Sequence[Record], methods: Sequence[str], table: Table, metric: str, *, track: str
) -> html.Html:
    """What a reader of test logs could pick: the last epoch, the best of the mean, each seed's own best.

    All in per cent, beside the value that `table` has from the paper.
    """
    paper = table.column(metric, "paper")
    rows, values = [], []
    for method in methods:
        epoch, curve = history(records, method, track, f"test:{metric}")
        mean, best = 100 * curve.mean(0), 100 * curve.max(1)
        top = int(mean.argmax())
        last, own = interval(100 * curve[:, -1]), float(best.mean())
        printed = html.number(paper[method]) if method in paper else "–"
        values.append({"method": method, "last": last.mean, "best": mean[top], "own": own})
        rows.append(
            (
                method,
                [
                    printed,
                    f"{html.number(last.mean)} (epoch {epoch[-1]})",
                    f"{html.number(mean[top])} (epoch {epoch[top]})",
                    f"{html.number(own)} ({html.signed(own - last.mean)})",
                    html.number(best.max()),
                ],
            )
        )
    columns = [
        "Paper",
        "Last epoch",
        "Best epoch of the mean",
        "Each seed's best (gain)",
        "Best seed at its best",
    ]
    caption = f"{metric} on the test users (%), {track} track, by how the epoch is picked"
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Method")
    return html.Html(rendered, caption, pd.DataFrame(values))


def gaps(
    records: Sequence[Record],
    lead: str,
    others: Sequence[str],
    metric: str,
    *,
    track: str,
    epochs: int,
    levels: Mapping[str, float] | None = None,
) -> Figure:
    """Left, an error by epoch: every seed thin, the mean of those that have not diverged thick.

    Right, how far `lead` is ahead of each other method at an epoch, seed by seed: mean, interval over seeds
    (Student's t). What lies far above the errors at the end is cut off, so that the end can be read.
    """
    found = {m: history(records, m, track, f"test:{metric}")[1][:, :epochs] for m in (lead, *others)}
    if len({values.shape[0] for values in found.values()}) != 1:
        raise RecordError("the curves have unlike numbers of seeds; run all methods with the same.")
    fig, axes = style.panels(1, 2, height=3.9)
    left, right = axes[0]
    end = float(np.nanmedian([values[:, -1] for values in found.values()]))
    for n, (method, values) in enumerate(found.items()):
        look = style.look(method)
        epoch = np.arange(1, values.shape[1] + 1)
        left.plot(epoch, values.T, color=look["color"], linewidth=0.8, alpha=0.6)
        left.plot(epoch, nan_mean(values, 0), **look, label=method)
        if method != lead:
            _gap(right, epoch, values - found[lead], look, f"{lead} ahead of {method}", n)
    for n, (word, height) in enumerate((levels or {}).items()):
        left.axhline(height, color=style.MUTED, linestyle=style.DASHES[1 + n], linewidth=1.3, label=word)
    lowest = float(np.nanmin([np.nanmin(values) for values in found.values()]))
    left.set_ylim(0.985 * min([lowest, *(levels or {}).values()]), 1.2 * end)
    right.set_ylim(-0.1 * end, 0.2 * end)
    right.axhline(0, color=style.INK, linewidth=1)
    style.label_axes(left, x="epoch", y=f"{metric} on test users")
    style.label_axes(right, x="epoch", y=f"gap in {metric}")
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return style.done(fig)


def _gap(ax: Axes, epoch: np.ndarray, gap: np.ndarray, look: dict[str, Any], label: str, n: int) -> None:
    there = ~np.isnan(gap).all(0)
    spots = [interval(column[~np.isnan(column)]) for column in gap[:, there].T]
    mean = [s.mean for s in spots]
    half = [s.high - s.mean for s in spots]
    ax.errorbar(epoch[there] + 0.24 * (n - 1.5), mean, yerr=half, **look | {"linestyle": "none"}, label=label)
