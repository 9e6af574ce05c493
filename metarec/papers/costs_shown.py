"""What training costs, shown: tables of steps, and figures against the loop, bare products and growth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from metarec.papers.costs import (
    ORDERS,
    Benchmark,
    Spread,
    order,
    seeds,
    shares,
    short,
    speedups,
    spread,
)
from metarec.show import html, style

PROGRAMS: Mapping[str, str] = {"released": "Loop, as released", "lean": "Loop, lean"}
# Colour never stands alone: the n-th kind of call also has the n-th hatching.
HATCHES = ("", "//", "..", "xx", "--", "", "\\\\")


def machines(measured: Sequence[Benchmark]) -> html.Html:
    """Where and when each run was made."""
    parts = []
    for m in measured:
        about = m.machine
        facts = {
            "Device": m.name,
            "Processor": f"{about['processor']}, {about['threads']} of {about['cores']} cores used",
            "Memory": f"{about['memory_gib']} GiB",
            "Load before": f"{about['load_before']} processes running or waiting",
            "Versions": f"Python {about['python']}, torch {about['torch']}, numpy {about['numpy']}",
            "Finished": f"{about['finished'][:10]}, after {m.seconds:.0f} s",
        }
        parts.append(html.pairs({k: escape(v) for k, v in facts.items()}, title=f"Measured on {m.name}"))
    return html.Html("".join(parts), ", ".join(m.name for m in measured))


def against(measured: Sequence[Benchmark]) -> html.Html:
    """Each machine's table: milliseconds a step and seed, and how many times faster than either loop."""
    columns = ["ms a seed", "against released", "against lean", "padding", "memory, MiB"]
    tables = []
    for m in measured:
        ratios = speedups(m)
        sections = {
            case: [(_program(r), _cells(r, ratios)) for r in m.select("speed", case=case)]
            for case in dict.fromkeys(r["case"] for r in m.select("speed"))
        }
        notes = [
            "A step is a batch of 32 tasks, with its draws, gradients and Adam; its milliseconds are divided "
            "by the seeds stacked. Medians over rounds; small: range. Padding and memory are those of all "
            "seeds together.",
        ]
        caption = f"Steps on {m.name}"
        tables.append(
            html.table(columns, sections, caption=caption, corner="Program", kind="results", notes=notes)
        )
    return html.Html("".join(tables), f"steps on {len(measured)} machines")


def _program(row: Mapping[str, Any]) -> str:
    if row["program"] != "ours":
        return PROGRAMS[row["program"]]
    return f"Ours, {seeds(row['replicas'])}, {order(row)}"


def compiled(measured: Sequence[Benchmark]) -> html.Html:
    """A step of TaNP as the trainer does it and through `torch.compile`, and after how many steps it pays."""
    sections, values = {}, []
    for m in measured:
        rows = []
        for r in m.select("compiled"):
            plain, other = (spread(1e3 * np.array(r[f"{kind}_seconds"])) for kind in ("plain", "compiled"))
            saved = plain.median - other.median
            pays = round(1e3 * r["compile_seconds"] / saved, -2) if saved > 0 else math.inf
            cells = [f"{r['compile_seconds']:.0f} s", _ranged(plain, " ms"), _ranged(other, " ms")]
            cells += [f"{other.median / plain.median:.2f}", f"{pays:,.0f} steps" if saved > 0 else "never"]
            rows.append((seeds(r["replicas"]), cells))
            about = {"machine": m.name, "replicas": r["replicas"], "pays_after": pays}
            values.append({**about, "plain": plain.median, "compiled": other.median})
        if rows:
            sections[m.name] = rows
    if not sections:
        text = "Compiling was not measured: the quick profile leaves it out."
        return html.Html(f"<p>{text}</p>", text)
    caption = "A step of TaNP, compiled"
    columns = ["first step", "as it is", "compiled", "ratio", "pays after"]
    notes = [
        "First step: that of a shape of batch, compiling included. The others are later steps, medians over "
        "rounds; small: range. Compiling pays after so many steps of the shape.",
    ]
    rendered = html.table(columns, sections, caption=caption, corner="Stacked", kind="results", notes=notes)
    return html.Html(rendered, caption, pd.DataFrame(values))


def _cells(row: Mapping[str, Any], ratios: pd.DataFrame) -> list[str]:
    if row["program"] != "ours":
        return [_ranged(spread(1e3 * np.array(row["step_seconds"]))), "", "", "", ""]
    own = ratios[(ratios["case"] == row["case"]) & (ratios["replicas"] == row["replicas"])]
    own = own[own["order"] == order(row)].set_index("against")
    times = [
        _ranged(Spread(*own.loc[loop, ["median", "low", "high"]]), "×") if loop in own.index else "–"
        for loop in PROGRAMS
    ]
    each = spread(1e3 * np.array(row["step_seconds"]) / row["replicas"])
    return [_ranged(each), *times, f"{row['padding']:.0%}", _mib_text(row["peak_mib"])]


def _mib_text(value: float | None) -> str:
    """Whole MiB; a dash where the system could not tell."""
    return "–" if value is None else f"{value:.0f}"


def _ranged(s: Spread, unit: str = "") -> str:
    return f"{short(s.median)}{unit}<br><small>{short(s.low)} to {short(s.high)}</small>"


def faster(measured: Sequence[Benchmark]) -> Figure:
    """Times faster than either loop; one row for each method and number of seeds, a panel by machine."""
    fig, axes = style.panels(1, len(measured), height=4.4, sharey=True)
    for ax, m in zip(axes[0], measured, strict=True):
        ratios = speedups(m)
        names = list(dict.fromkeys(zip(ratios["case"], ratios["replicas"], strict=True)))
        for n, how in enumerate(ORDERS):
            for loop, word in (("released", "loop as released"), ("lean", "lean loop")):
                own = ratios[(ratios["order"] == how) & (ratios["against"] == loop)]
                y = [
                    0.14 - 0.28 * n - names.index(key)
                    for key in zip(own["case"], own["replicas"], strict=True)
                ]
                whiskers = [own["median"] - own["low"], own["high"] - own["median"]]
                look = style.series(n) | {"linestyle": "none"} | ({"mfc": "none"} if loop == "lean" else {})
                label = f"{how}, {word}"
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


def rates(measured: Sequence[Benchmark]) -> Figure:
    """Share of the bare products' rate against the number of seeds stacked, one panel for each machine."""
    fig, axes = style.panels(1, len(measured), sharey=True)
    for ax, m in zip(axes[0], measured, strict=True):
        for n, (case, own) in enumerate(shares(m).groupby("case", sort=False)):
            whiskers = [own["median"] - own["low"], own["high"] - own["median"]]
            ax.errorbar(
                own["replicas"],
                own["median"],
                yerr=whiskers,
                label=str(case).split(",")[0],
                **_look(n, str(case)),
            )
        ax.set_xscale("log")
        ax.set_xticks(own["replicas"], [str(k) for k in own["replicas"]])
        ax.minorticks_off()
        ax.set_ylim(0, 1)
        style.label_axes(ax, x="seeds stacked", y="share of the bare products' rate", title=m.name)
    _legend(fig)
    return style.done(fig)


def anatomy(measured: Sequence[Benchmark]) -> Figure:
    """Where a step's time goes, one bar for each method and number of seeds (CPUs only)."""
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


def growth(measured: Sequence[Benchmark]) -> Figure:
    """Seconds and memory against interactions, a row for each machine; dotted: proportional to them."""
    fig, axes = style.panels(len(measured), 2)
    for (left, right), m in zip(axes, measured, strict=True):
        built = m.select("episodes")
        x = [r["interactions"] for r in built]
        left.plot(x, [r["seconds"] for r in built], label="rows to episodes", **_look(0))
        right.plot(x, _mib(built), label="rows to episodes", **_look(0))
        for n, program in enumerate(dict.fromkeys(r["program"] for r in m.select("epoch")), start=1):
            rows = m.select("epoch", program=program)
            label = f"an epoch of {program.split(',')[0]}"
            left.plot(x, [np.median(r["epoch_seconds"]) for r in rows], label=label, **_look(n, program))
            right.plot(x, _mib(rows), label=label, **_look(n, program))
        _proportional(left, x)
        _proportional(right, x)
        style.label_axes(left, x="interactions", y="time", y_unit="s", title=m.name)
        style.label_axes(right, x="interactions", y="peak memory", y_unit="MiB")
    _legend(fig)
    return style.done(fig)


def support(measured: Sequence[Benchmark]) -> Figure:
    """Milliseconds and memory of a step against the size of the support; one row for each machine."""
    fig, axes = style.panels(len(measured), 2)
    for (left, right), m in zip(axes, measured, strict=True):
        for n, program in enumerate(dict.fromkeys(r["program"] for r in m.select("support")), start=1):
            rows = m.select("support", program=program)
            x = [r["support"] for r in rows]
            label = program.split(",")[0]
            left.plot(x, [1e3 * np.median(r["step_seconds"]) for r in rows], label=label, **_look(n, program))
            right.plot(x, _mib(rows), label=label, **_look(n, program))
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


def _look(n: int, method: str = "") -> dict[str, Any]:
    """Dashes and marker of the `n`-th program, in the colour of its method if it is one."""
    return {**style.series(n), "color": style.look(method)["color"] if method else style.INK}


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
