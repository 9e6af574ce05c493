"""An error along a setting, on each data set: the methods, and paired below them who gains on whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec.claims.courses import Setting
from metarec.errors import RecordError
from metarec.report.layout import Block, select
from metarec.report.pnmta_names import FLOORS
from metarec.runs.records import Record
from metarec.runs.store import Store
from metarec.show import html, style
from metarec.stats import tests
from metarec.stats.intervals import interval
from metarec.stats.runs import emptied
from metarec.stats.samples import samples


@dataclass(frozen=True)
class Course:
    """What a figure shows: a setting, methods, pairs to compare, and the data sets, one block each.

    `printed` holds the paper's values at the default setting, by data set and method; they are drawn where
    the block says that ours compare.
    """

    setting: Setting
    methods: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    sets: Mapping[str, Block]
    printed: Mapping[str, Mapping[str, float]]
    metric: str = "MAE"


class Point(NamedTuple):
    """A mean with its interval, where it is drawn and in which colour."""

    x: float
    mean: float
    low: float
    high: float
    color: str


def means(records: Sequence[Record], course: Course, *, track: str) -> pd.DataFrame:
    """Row by run: `dataset, method, value, seed, score, compares`; `RecordError` if there is none."""
    kept = emptied(records)
    rows = [
        {
            "dataset": name,
            "method": r.label,
            "value": value,
            "seed": r.seed,
            "score": r.metrics[course.metric],
            "compares": block.compares(r),
        }
        for name, block in course.sets.items()
        for value in course.setting.values
        for r in select(kept, {**block.where, "track": track, course.setting.path: value})
        if r.label in course.methods
    ]
    if not rows:
        raise RecordError(f"no {track} record varies {course.setting.path!r}; run the experiment first.")
    return pd.DataFrame(rows)


def gains(records: Sequence[Record], store: Store, course: Course, *, track: str) -> pd.DataFrame:
    """`tests.compare` of each pair at each value of each data set, Holm over all rows."""
    found, records = [], emptied(records)
    for name, block in course.sets.items():
        for value in course.setting.values:
            own = select(records, {**block.where, "track": track, course.setting.path: value})
            there = samples(own, store, [course.metric]) if own else {}
            for a, b in course.pairs:
                if a in there and b in there:
                    found.append(tests.compare(there[a], there[b]).assign(dataset=name, value=value))
    if not found:
        raise RecordError(f"no pair of methods was run on the same {track} setting.")
    return tests.holm(pd.concat(found, ignore_index=True))


def figure(
    records: Sequence[Record],
    store: Store,
    course: Course,
    *,
    track: str,
    levels: Mapping[str, Mapping[str, float]] | None = None,
) -> Figure:
    """Above, the error of each method: mean, interval over seeds, every seed; below, paired gains.

    `levels` are horizontal lines, by data set: a word and a height.
    """
    frame, paired = means(records, course, track=track), gains(records, store, course, track=track)
    sets = [name for name in course.sets if (frame["dataset"] == name).any()]
    fig, axes = style.panels(2, len(sets), height=2.9, sharex=True)
    for (upper, lower), name in zip(axes.T, sets, strict=True):
        here = frame[frame["dataset"] == name]
        methods = [m for m in course.methods if (here["method"] == m).any()]
        above: list[Point] = []
        for n, method in enumerate(methods):
            shift = _shift(n, len(methods))
            above += _errors(upper, here[here["method"] == method], course, name, shift)
        below: list[Point] = []
        for n, (a, b) in enumerate(course.pairs):
            rows = paired[(paired["dataset"] == name) & (paired["a"] == a) & (paired["b"] == b)]
            below += _gains(lower, rows, course, _look(n, b), _shift(n, len(course.pairs)))
        for n, (word, height) in enumerate((levels or {}).get(name, {}).items()):
            upper.axhline(height, color=style.MUTED, ls=style.DASHES[1 + n], lw=1.3, label=word, zorder=1)
        lower.axhline(0, color=style.INK, linewidth=1)
        printed = course.printed.get(name, {}).values() if here["compares"].all() else ()
        _crop(upper, above, [*(levels or {}).get(name, {}).values(), *printed])
        _crop(lower, below, [0.0])
        values = course.setting.values
        lower.set_xticks(range(len(values)), [f"{v:g}" for v in values])
        lower.set_xlim(-0.5, len(values) - 0.5)
        style.label_axes(upper, x="", y="", title=name)
        style.label_axes(lower, x=course.setting.label, y="", x_unit=course.setting.unit)
        for ax in (upper, lower):
            ax.grid(axis="x", visible=False)
    axes[0, 0].set_ylabel(course.metric)
    axes[1, 0].set_ylabel(f"gain in {course.metric}")
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    return style.done(fig)


def table(records: Sequence[Record], store: Store, course: Course, *, track: str) -> html.Html:
    """The numbers of the figure: means with half of their intervals, gains with theirs and Holm's p."""
    frame, paired = means(records, course, track=track), gains(records, store, course, track=track)
    places = [
        (name, value)
        for name in course.sets
        if (frame["dataset"] == name).any()
        for value in course.setting.values
    ]
    errors = {
        method: [_mean(frame, name, value, method) for name, value in places] for method in course.methods
    }
    compared = {
        f"{a} − {b}": [_gain(paired, name, value, a, b) for name, value in places] for a, b in course.pairs
    }
    sections = {f"{course.metric}, mean of the seeds": errors, "Paired gain": compared}
    counts = {name: sum(p[0] == name for p in places) for name in dict.fromkeys(n for n, _ in places)}
    notes = [
        "Mean over seeds ± half of its 95 % interval (Student's t). Gains: positive, the first is better; "
        "bootstrap interval over users, then seeds; p by Wilcoxon's test with Holm's adjustment over the "
        f"{len(paired)} gains."
    ]
    lost = frame[frame["score"].isna()]
    notes += [
        f"{escape(str(method))}: {len(rows)} run{'s' * (len(rows) > 1)} diverged, left out."
        for method, rows in lost.groupby("method", sort=False)
    ]
    caption = f"{course.metric} by {course.setting.label}, {track} track"
    rendered = html.table(
        [f"{value:g}" for _, value in places],
        {heading: list(rows.items()) for heading, rows in sections.items()},
        caption=caption,
        corner="Method",
        groups=list(counts.items()) if len(counts) > 1 else (),
        notes=notes,
        kind="results",
    )
    return html.Html(rendered, caption, paired)


def _mean(frame: pd.DataFrame, name: str, value: float, method: str) -> str:
    own = frame[(frame["dataset"] == name) & (frame["value"] == value) & (frame["method"] == method)]
    scores = own["score"].dropna()
    if own.empty:
        return html.badge("not run")
    if scores.empty:
        return "n/a"
    found = interval(scores)
    half = "" if np.isnan(found.high) else f" <small>± {html.number(found.high - found.mean, 4)}</small>"
    return f'<span class="ours">{html.number(found.mean, 4)}{half}</span>'


def _gain(paired: pd.DataFrame, name: str, value: float, a: str, b: str) -> str:
    own = paired[(paired["dataset"] == name) & (paired["value"] == value)]
    own = own[(own["a"] == a) & (own["b"] == b)]
    if own.empty:
        return html.badge("not run")
    row = own.iloc[0]
    low, high = html.signed(row["low"], 4), html.signed(row["high"], 4)
    return (
        f'<span class="ours">{html.signed(row["gain"], 4)}</span><br>'
        f'<span class="paper">[{low}, {high}]<br>p {html.probability(row["holm"])}</span>'
    )


def _errors(ax: Axes, own: pd.DataFrame, course: Course, name: str, shift: float) -> list[Point]:
    method = str(own["method"].iloc[0])
    look = _look(course.methods.index(method), method)
    place = {value: x + shift for x, value in enumerate(course.setting.values)}
    kept = own.dropna()
    there = [value for value in course.setting.values if (kept["value"] == value).any()]
    spots = {value: interval(kept.loc[kept["value"] == value, "score"]) for value in there}
    x = [place[value] for value in spots]
    half = [s.high - s.mean for s in spots.values()]
    ax.errorbar(x, [s.mean for s in spots.values()], yerr=half, **look, label=method, zorder=3)
    dots = kept["value"].map(place) + 0.05
    ax.plot(dots, kept["score"], ".", color=look["color"], alpha=0.45, markersize=3.5, zorder=2)
    printed = course.printed.get(name, {}).get(method)
    if printed is not None and own["compares"].all():
        ring: dict[str, Any] = {
            "mfc": "none",
            "mec": style.ROLES["paper"],
            "mew": 1.8,
            "ms": 9,
            "ls": "none",
            "clip_on": False,
        }
        at = place[course.setting.default]
        ax.plot(at, printed, look["marker"], **ring, label="printed in Table 2, at the default", zorder=4)
    return [Point(place[v], s.mean, s.low, s.high, look["color"]) for v, s in spots.items()]


def _gains(ax: Axes, rows: pd.DataFrame, course: Course, look: dict[str, Any], shift: float) -> list[Point]:
    """Filled where the difference is clear (`tests.holm`, over all gains), open where it is not."""
    look = look | {"linestyle": "none"}
    order = {value: x + shift for x, value in enumerate(course.setting.values)}
    found = rows.to_dict("records")
    for row in found:
        sure = row["clear"] != "0"
        bars = [[row["gain"] - row["low"]], [row["high"] - row["gain"]]]
        ax.errorbar(
            order[row["value"]], row["gain"], yerr=bars, **look, mfc=look["color"] if sure else style.CARD
        )
    if found:  # the legend's mark is filled, whatever the points are
        ax.errorbar([], [], yerr=[], **look, label=f"gain of {found[0]['a']} over {found[0]['b']}")
    return [Point(order[row["value"]], row["gain"], row["low"], row["high"], look["color"]) for row in found]


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
            ax.annotate(
                f"{html.number(p.mean)} {sign}",
                (p.x, edge),
                (0, step * line),
                textcoords="offset points",
                color=p.color,
                ha="right",
                va=side,
                fontsize=9,
                bbox={"facecolor": style.CARD, "edgecolor": "none", "pad": 0.5},
                zorder=5,
            )


_ORDER = (0, 2, 3, 4, 5)  # the palette without orange, which is the paper's


def _look(n: int, method: str) -> dict[str, Any]:
    if method in FLOORS:
        return {"color": style.MUTED, "linestyle": style.DASHES[2], "marker": "P"}
    return style.series(_ORDER[n])


def _shift(n: int, count: int) -> float:
    """Side by side, so that intervals do not cover one another."""
    return 0.14 * (n - (count - 1) / 2)
