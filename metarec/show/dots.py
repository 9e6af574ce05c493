"""A table as a figure: dots, intervals, and the lines that nothing below or above them can cross."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from metarec.runs.records import Record
from metarec.show import style
from metarec.show.table import Table
from metarec.stats.runs import emptied

# Vertical lines of the dot plot: which method, its word and its dash pattern.
Lines = Mapping[str, tuple[str, tuple[int, tuple[float, ...]]]]
LINES: Lines = {
    "Random ranker": ("random ranker", (0, (1.5, 1.2))),
    "Popularity": ("popularity", (0, (5, 1.5))),
    "Oracle": ("ceiling", (0, ())),
}


def dots(
    records: Sequence[Record],
    table: Table,
    metrics: Sequence[str],
    *,
    track: str,
    lines: Lines = LINES,
) -> Figure:
    """One panel a metric, one row a method: its seeds, mean and interval, the paper's value as an open mark.

    The random ranker, popularity and the ceiling, or whatever `lines` names, are lines, or a number at the
    edge where they lie outside what is shown. Where our data are not the paper's, its values are left out.
    """
    frame = table.frame[~table.frame["method"].isin(lines)]
    if (frame["verdict"] == "not comparable").any():
        frame = frame.assign(paper=np.nan)
    shown = frame.dropna(subset=["paper", "ours"], how="all")
    rows = list(dict.fromkeys(shown["method"]))
    own = [r for r in emptied(records) if r.track == track]
    scale = 100.0 if table.spec.percent else 1.0
    fig, axes = style.panels(1, len(metrics), height=1.9 + 0.27 * len(rows), sharey=True)
    for ax, metric in zip(axes[0], metrics, strict=True):
        here = shown[shown["metric"] == metric].set_index("method")
        for y, method in enumerate(rows):
            scores = [scale * r.metrics[table.prefix + metric] for r in own if r.label == method]
            _row(ax, len(rows) - 1 - y, here.loc[method], scores)
        _lines(ax, table.frame[table.frame["metric"] == metric].set_index("method")["ours"], lines)
        unit = "%" if table.spec.percent else None
        style.label_axes(ax, x=f"{table.prefix.replace('std:', 'standard ')}{metric}", y="", x_unit=unit)
        ax.grid(axis="y", visible=False)
        ax.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
    axes[0, 0].set_yticks(range(len(rows)), rows[::-1])
    axes[0, 0].set_ylim(-0.7, len(rows) - 0.3)
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return style.done(fig)


def _row(ax: Axes, y: int, cell: pd.Series, own: Sequence[float]) -> None:
    """Seeds as small dots below the line of the row, mean and interval on it, the paper's value on it."""
    blue, orange = style.ROLES["ours"], style.ROLES["paper"]
    if len(own) > 1:
        ax.plot(own, [y - 0.3] * len(own), ".", color=blue, alpha=0.55, markersize=4, label="one seed")
        half = cell["high"] - cell["ours"]
        ax.errorbar(
            cell["ours"], y, xerr=half, fmt="o", color=blue, label="ours: mean, 95 % interval over seeds"
        )
    elif own:
        ax.plot(own, [y], "D", color=blue, markersize=4.5, label="ours: nothing random")
    if not np.isnan(cell["paper"]):
        ax.plot(
            cell["paper"],
            y,
            "o",
            mfc="none",
            mec=orange,
            mew=1.7,
            markersize=8,
            label="printed in the paper",
        )


def _lines(ax: Axes, ours: pd.Series, lines: Lines) -> None:
    """The lines that fall among the dots (popularity always does), and the others as numbers at the edge."""
    low, high = ax.get_xlim()
    popularity = ours.get("Popularity", np.nan)
    if not np.isnan(popularity):
        air = 0.03 * (high - low)
        low, high = min(low, popularity - air), max(high, popularity + air)
    ax.set_xlim(low, high)
    for method, (word, dashes) in lines.items():
        value = ours.get(method, np.nan)
        if np.isnan(value):
            continue
        if low <= value <= high:
            ax.axvline(value, color=style.MUTED, linestyle=dashes, linewidth=1.2, zorder=1, label=word)
            continue
        if value < low:
            text, x, y, side = f"◂ {word} {value:.1f}", 0.0, 1.06, "left"
        else:
            text, x, y, side = f"{word} {value:.1f} ▸", 1.0, 1.01, "right"
        ax.text(x, y, text, ha=side, transform=ax.transAxes, fontsize=9, color=style.MUTED)
