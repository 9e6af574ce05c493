"""The cost of training, drawn: against the loop, against bare products, and as it grows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from metarec.report.timings import ORDERS, Measured, seeds, shares, speedups
from metarec.show import style

# Colour never stands alone: the n-th kind of call also has the n-th hatching.
HATCHES = ("", "//", "..", "xx", "--", "", "\\\\")


def faster(measured: Sequence[Measured]) -> Figure:
    """Times faster than either loop, a panel a machine, a row a method and number of seeds."""
    fig, axes = style.panels(1, len(measured), height=4.4, sharey=True)
    for ax, m in zip(axes[0], measured, strict=True):
        ratios = speedups(m)
        names = list(dict.fromkeys(zip(ratios["case"], ratios["replicas"], strict=True)))
        for n, order in enumerate(ORDERS):
            for loop, word in (("released", "loop as released"), ("lean", "lean loop")):
                own = ratios[(ratios["order"] == order) & (ratios["against"] == loop)]
                y = [
                    0.14 - 0.28 * n - names.index(key)
                    for key in zip(own["case"], own["replicas"], strict=True)
                ]
                whiskers = [own["median"] - own["low"], own["high"] - own["median"]]
                look = style.series(n) | {"linestyle": "none"} | ({"mfc": "none"} if loop == "lean" else {})
                label = f"{order}, {word}"
                ax.errorbar(own["median"], y, xerr=whiskers, label=label, **look)
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_major_formatter("{x:g}")
        ax.xaxis.set_minor_locator(NullLocator())
        ax.set_yticks([-i for i, _ in enumerate(names)], [f"{c.split(',')[0]}, {seeds(k)}" for c, k in names])
        ax.grid(axis="y", visible=False)
        style.label_axes(ax, x="times faster than the loop, a seed", y="", title=m.name)
    _legend(fig, 2)
    return style.done(fig)


def rates(measured: Sequence[Measured]) -> Figure:
    """Share of the bare products' rate against the number of seeds stacked, a panel a machine."""
    fig, axes = style.panels(1, len(measured), sharey=True)
    for ax, m in zip(axes[0], measured, strict=True):
        for n, (case, own) in enumerate(shares(m).groupby("case", sort=False)):
            whiskers = [own["median"] - own["low"], own["high"] - own["median"]]
            ax.errorbar(
                own["replicas"],
                own["median"],
                yerr=whiskers,
                label=str(case).split(",")[0],
                **style.series(n),
            )
        ax.set_xscale("log")
        ax.set_xticks(own["replicas"], [str(k) for k in own["replicas"]])
        ax.minorticks_off()
        ax.set_ylim(0, 1)
        style.label_axes(ax, x="seeds stacked", y="share of the bare products' rate", title=m.name)
    _legend(fig)
    return style.done(fig)


def anatomy(measured: Sequence[Measured]) -> Figure:
    """Where a step's time goes, a bar a method and number of seeds, a panel a machine (CPUs only)."""
    shown = [m for m in measured if m.select("anatomy")]
    fig, axes = style.panels(1, len(shown), height=3.9, sharey=True)
    for ax, m in zip(axes[0], shown, strict=True):
        rows = m.select("anatomy")
        names = [f"{r['case'].split(',')[0]}, {seeds(r['replicas'])}" for r in rows]
        left = np.zeros(len(rows))
        for n, kind in enumerate(rows[0]["kinds"]):
            share = np.array([100 * r["kinds"][kind] / sum(r["kinds"].values()) for r in rows])
            look = {"color": (*style.PALETTE, style.GRID)[n], "hatch": HATCHES[n], "edgecolor": style.CARD}
            ax.barh(names, share, left=left, height=0.7, label=kind, **look)
            left += share
        ax.invert_yaxis()
        ax.set_xlim(0, 100)
        ax.grid(axis="y", visible=False)
        style.label_axes(ax, x="share of a step, one thread", y="", x_unit="%", title=m.name)
    _legend(fig, 2)
    return style.done(fig)


def growth(measured: Sequence[Measured]) -> Figure:
    """Seconds and memory against interactions, a row a machine; dotted: proportional to interactions."""
    fig, axes = style.panels(len(measured), 2)
    for (left, right), m in zip(axes, measured, strict=True):
        built = m.select("episodes")
        x = [r["interactions"] for r in built]
        left.plot(x, [r["seconds"] for r in built], label="rows to episodes", **style.series(0))
        right.plot(x, _mib(built), label="rows to episodes", **style.series(0))
        for n, program in enumerate(dict.fromkeys(r["program"] for r in m.select("epoch")), start=1):
            rows = m.select("epoch", program=program)
            label = f"an epoch of {program.split(',')[0]}"
            left.plot(x, [np.median(r["epoch_seconds"]) for r in rows], label=label, **style.series(n))
            right.plot(x, _mib(rows), label=label, **style.series(n))
        _proportional(left, x)
        _proportional(right, x)
        style.label_axes(left, x="interactions", y="time", y_unit="s", title=m.name)
        style.label_axes(right, x="interactions", y="peak memory", y_unit="MiB")
    _legend(fig)
    return style.done(fig)


def support(measured: Sequence[Measured]) -> Figure:
    """Milliseconds and memory of a step against the size of the support, a row a machine."""
    fig, axes = style.panels(len(measured), 2)
    for (left, right), m in zip(axes, measured, strict=True):
        for n, program in enumerate(dict.fromkeys(r["program"] for r in m.select("support")), start=1):
            rows = m.select("support", program=program)
            x = [r["support"] for r in rows]
            label = program.split(",")[0]
            left.plot(x, [1e3 * np.median(r["step_seconds"]) for r in rows], label=label, **style.series(n))
            right.plot(x, _mib(rows), label=label, **style.series(n))
        _proportional(left, x)
        _proportional(right, x)
        for ax in (left, right):
            ax.set_xticks(x, [str(n) for n in x])
            ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.minorticks_off()
        style.label_axes(left, x="interactions in a support", y="time a step", y_unit="ms", title=m.name)
        style.label_axes(right, x="interactions in a support", y="peak memory", y_unit="MiB")
    _legend(fig)
    return style.done(fig)


def _mib(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Peak memory of each row; nothing is drawn where the system could not tell, or below one MiB."""
    return [max(r["peak_mib"], 1.0) if r["peak_mib"] is not None else math.nan for r in rows]


def _proportional(ax: Axes, x: Sequence[float]) -> None:
    """Log axes, and a dotted line of slope one through the upper end of the highest curve."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    drawn = np.concatenate([np.asarray(line.get_ydata(), float) for line in ax.lines])
    top = max(drawn[np.isfinite(drawn)], default=1.0)
    ax.plot(
        x, top * np.array(x) / max(x), ":", color=style.MUTED, linewidth=1.2, label="proportional", zorder=1
    )
    ax.set_ylim(low, high)


def _legend(fig: Figure, columns: int = 3) -> None:
    found = style.handles(fig)
    fig.legend(list(found.values()), list(found), loc="outside lower center", ncols=min(len(found), columns))
