"""The cost of training, drawn: against the loop, against bare products, and as it grows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.report import style
from metarec.report.timings import ORDER, Measured, seeds, shares, speedups


def faster(measured: Sequence[Measured]) -> Figure:
    """Times faster than the loop, a panel a machine, a row a method and number of seeds."""
    fig, axes = style.panels(1, len(measured), height=4.2, sharey=True)
    for ax, m in zip(axes[0], measured, strict=True):
        ratios = speedups(m)
        names = []
        for case, own in ratios.groupby("case", sort=False):
            loop = "released" if "released" in set(own["against"]) else "lean"
            for replicas, group in own[own["against"] == loop].groupby("replicas"):
                names.append(f"{str(case).split(',')[0]}, {seeds(int(str(replicas)))}")
                for n, (window, r) in enumerate(group.set_index("window").sort_index().iterrows()):
                    whiskers = [[r["median"] - r["low"]], [r["high"] - r["median"]]]
                    look = style.series(n) | {"linestyle": "none"}
                    y, label = 0.14 - 0.28 * n - len(names), f"batches {ORDER[int(str(window))]}"
                    ax.errorbar(r["median"], y, xerr=whiskers, label=label, **look)
        ax.set_xscale("log")
        ax.set_yticks(-np.arange(1, len(names) + 1), names)
        ax.grid(axis="y", visible=False)
        style.label_axes(ax, x="times faster than the loop, a seed", y="", title=m.name)
    _legend(fig)
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


def growth(measured: Sequence[Measured]) -> Figure:
    """Seconds and memory against interactions, a row a machine; dotted: proportional to interactions."""
    fig, axes = style.panels(len(measured), 2)
    for (left, right), m in zip(axes, measured, strict=True):
        built = m.select("episodes")
        x = [r["interactions"] for r in built]
        left.plot(x, [r["seconds"] for r in built], label="rows to episodes", **style.series(0))
        right.plot(x, [r["peak_mib"] for r in built], label="rows to episodes", **style.series(0))
        for n, program in enumerate(dict.fromkeys(r["program"] for r in m.select("epoch")), start=1):
            rows = m.select("epoch", program=program)
            label = f"an epoch of {program.split(',')[0]}"
            left.plot(x, [np.median(r["epoch_seconds"]) for r in rows], label=label, **style.series(n))
            right.plot(x, [max(r["peak_mib"], 1.0) for r in rows], label=label, **style.series(n))
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
            right.plot(x, [r["peak_mib"] for r in rows], label=label, **style.series(n))
        _proportional(left, x)
        _proportional(right, x)
        for ax in (left, right):
            ax.set_xticks(x, [str(n) for n in x])
            ax.minorticks_off()
        style.label_axes(left, x="interactions in a support", y="time a step", y_unit="ms", title=m.name)
        style.label_axes(right, x="interactions in a support", y="peak memory", y_unit="MiB")
    _legend(fig)
    return style.done(fig)


def _proportional(ax: Axes, x: Sequence[float]) -> None:
    """Log axes, and a dotted line of slope one through the upper end of the highest curve."""
    ax.set_xscale("log")
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    top = max(np.max(line.get_ydata()) for line in ax.lines)
    ax.plot(
        x, top * np.array(x) / max(x), ":", color=style.MUTED, linewidth=1.2, label="proportional", zorder=1
    )
    ax.set_ylim(low, high)


def _legend(fig: Figure) -> None:
    found = style.handles(fig)
    fig.legend(list(found.values()), list(found), loc="outside lower center", ncols=min(len(found), 3))
