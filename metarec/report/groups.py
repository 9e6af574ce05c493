"""PNMTA's Fig 2 from its records: where adaptation begins and ends, user by user, and what that costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.stats.intervals import Interval
from metarec.stats.intervals import interval as t_interval

# Groups in the order of their numbers: colour and marker.
LOOKS = (("#2370a6", "o"), ("#e06500", "s"), ("#1ea29c", "^"))


def settings(records: Sequence[Record]) -> list[str]:
    """The settings compared, in the order in which they were run."""
    return list(dict.fromkeys(r.label for r in records))


def errors(records: Sequence[Record]) -> html.Html:
    """Distance from the truth, in stars, by setting: before adaptation, after it, and by group.

    `frame` has a row a setting and metric: `setting, metric, mean, low, high`.
    """
    names = list(records[0].metrics)
    last = max(n for n in names if n.startswith("error after") and ":" not in n)
    groups = sorted(n.partition(": ")[2] for n in names if n.startswith(f"{last}: "))
    shown = ["error after 0 steps", "error after 1 steps", last]
    shown += [f"{last}: {g}" for g in groups] + ["distance moved"]
    rows, values = [], []
    for setting in settings(records):
        found = [over_seeds(records, setting, metric) for metric in shown]
        rows.append((setting, [interval(i) for i in found]))
        values += [
            {"setting": setting, "metric": m, **i._asdict()} for m, i in zip(shown, found, strict=True)
        ]
    steps = last.split()[2]
    columns = ["Before", "1 step", f"{steps} steps", *groups, "Moved"]
    heads = (("Error", 3), ("Of users who like", len(groups)), ("", 1))
    seeds = len({r.seed for r in records})
    notes = [
        "Mean absolute distance between a user’s function and the noise-free ratings, in stars; below it "
        f"half the width of its 95 % interval over {seeds} seeds.",
        f"By group: the error after {steps} steps. Moved: the way from the starting line to the adapted one, "
        "in the plane of the picture.",
    ]
    caption = "Four ways to tell a model who the user is"
    rendered = html.table(
        columns, {"": rows}, caption=caption, corner="Setting", groups=heads, notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def difference(records: Sequence[Record], a: str, b: str, metric: str) -> Interval:
    """Mean over seeds of the metric of `a` less that of `b`, paired by seed, with its 95 % interval."""
    by_seed = [
        {r.seed: r.metrics[metric] for r in records if r.label == name and metric in r.metrics}
        for name in (a, b)
    ]
    both = sorted(set(by_seed[0]) & set(by_seed[1]))
    if not both:
        raise RecordError(f"{a!r} and {b!r} share no seed with {metric!r}; run the experiment again.")
    return t_interval(by_seed[0][s] - by_seed[1][s] for s in both)


def over_seeds(records: Sequence[Record], method: str, metric: str) -> Interval:
    """Mean of a metric over seeds with its 95 % interval."""
    return t_interval(r.metrics[metric] for r in records if r.label == method)


def interval(found: Interval, decimals: int = 2, *, signed: bool = False) -> str:
    """A mean, and half the width of its interval below it, ready for a cell."""
    half = (found.high - found.low) / 2
    more = "" if np.isnan(half) else f"<br><small>±\N{NO-BREAK SPACE}{html.number(half, decimals)}</small>"
    return (html.signed if signed else html.number)(found.mean, decimals) + more


def plane(records: Sequence[Record], names: Sequence[str]) -> Figure:
    """A panel a setting: users as points (level, slope), a thin line from where they start to where they end.

    Crosses are the users' true lines; `names` says what the groups are called. From the seed that keeps them.
    """
    drawn = {r.label: r.extra for r in records if r.extra}
    fig, axes = style.panels(2, 2, height=3.1, sharex=True, sharey=True)
    for ax, (setting, kept) in zip(axes.flat, drawn.items(), strict=True):
        start, end, truth = (np.array(kept[k]) for k in ("start", "end", "truth"))
        group = np.array(kept["group"])
        for g, (colour, marker) in enumerate(LOOKS):
            own = group == g
            pairs = np.stack([start[own], end[own]])
            ax.plot(pairs[..., 0], pairs[..., 1], color=colour, linewidth=0.8, alpha=0.55)
            ax.plot(*truth[own].T, "x", color=colour, markersize=4, alpha=0.6)
            ax.plot(*end[own].T, marker, color=colour, markersize=4.5, label=names[g])
            ax.plot(*start[own].T, marker, mfc="white", mec=style.INK, mew=1.1, markersize=6, zorder=4)
        style.label_axes(ax, x="level", y="slope", x_unit="stars", y_unit="stars", title=setting)
        ax.label_outer()
    keys = style.handles(fig)
    fig.legend(list(keys.values()), list(keys), loc="outside lower center", ncols=3, title="users who like")
    return style.done(fig)


def contrasts(records: Sequence[Record], pairs: Mapping[str, tuple[str, str]], metric: str) -> html.Html:
    """Differences of a metric between two settings, paired by seed, a row a pair.

    `frame` has a row a pair: `pair, mean, low, high`.
    """
    rows, values = [], []
    for name, (a, b) in pairs.items():
        found = difference(records, a, b, metric)
        ends = "–" if np.isnan(found.low) else f"{html.signed(found.low, 3)} to {html.signed(found.high, 3)}"
        rows.append((name, [html.signed(found.mean, 3), ends]))
        values.append({"pair": name, **found._asdict()})
    caption = f"Differences in the {metric}, paired by seed"
    columns = ["Mean (stars)", "95 % interval"]
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Difference")
    return html.Html(rendered, caption, pd.DataFrame(values))
