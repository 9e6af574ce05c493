"""TaNP's Table 2: the data sets, counted beside the paper, and how long their histories are. No training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.data import Ratings, data_home, load
from metarec.papers.tanp.filters import COUNTED, gowalla_candidates, lastfm_steps, printed
from metarec.papers.tanp.queries import episode_records
from metarec.papers.tanp.tables import GOWALLA, LASTFM, MOVIELENS, N_SUPPORT
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.show.words import NOT_COMPARABLE, NOT_RUN

SUPPORT_SIZES = (N_SUPPORT, 15, 10)
# The paper's name of a data set, and the table that we count.
SETS: Mapping[str, str] = {block.dataset: block.source for block in (MOVIELENS, LASTFM, GOWALLA)}
LENGTHS = (20, 50, 100, 200, 500, 1000, 2000)  # ticks of a logarithmic axis of history lengths


def count_table2(request: Request) -> Iterator[Record]:
    """Table 2: counts of data, filters and episodes, floors and ceiling; nothing is trained."""
    quick = request.profile == "quick"
    measurement = Measurement("tanp", "table2", request)
    names = (MOVIELENS.planted, LASTFM.planted) if quick else tuple(SETS.values())
    yield from (_counts(measurement, load(name)) for name in names)
    if not quick:
        yield from lastfm_steps(measurement, data_home())
        yield from gowalla_candidates(measurement, data_home())
    for n_support in SUPPORT_SIZES:
        rules = LASTFM.protocol("published", request.profile, n_support=n_support)
        yield from episode_records(measurement, rules)


def describe_ratings(ratings: Ratings, bins: int = 20) -> tuple[dict[str, int], dict[str, Any]]:
    """Counts of a table, and its history lengths as a histogram (`edges`, `users`); never a row, never an id.

    Bins are two wide (one negative a positive makes lengths even), or, for long histories, equally wide on a
    log scale up to rounding to even numbers.
    """
    length = np.bincount(ratings.user, minlength=ratings.n_users)
    edges = np.arange(length.min(), length.max() + 3, 2)
    if len(edges) > 4 * bins:
        wide = np.geomspace(max(length.min(), 1), length.max() + 2, bins + 1)
        edges = np.unique([length.min(), *(2 * (wide[1:-1] / 2).round().astype(int)), length.max() + 2])
    counts = ratings.counts() | {"positives": int((ratings.label > 0).sum())}
    counts |= {"shortest history": int(length.min()), "longest history": int(length.max())}
    counts["median history"] = int(np.median(length))
    users = np.histogram(length, edges)[0]
    return counts, {"lengths": {"edges": edges.tolist(), "users": users.tolist()}}


def _counts(measurement: Measurement, ratings: Ratings) -> Record:
    counts, extra = describe_ratings(ratings)
    return measurement.record("counts", ratings, {"kind": ratings.kind}, {}, counts=counts, extra=extra)


def counts(records: Sequence[Record]) -> html.Html:
    """The paper's counts beside ours, with a word for each; a set that we did not count is `not run`."""
    paper = printed()
    ours = {r.dataset: r.counts for r in records if r.label == "counts"}
    rows, values = [], []
    for name, dataset in SETS.items():
        cells = []
        for what in COUNTED:
            theirs, own = int(paper[name][what]), ours.get(dataset, {}).get(what)
            word = NOT_RUN if own is None else "equal" if own == theirs else NOT_COMPARABLE
            cells.append(_count_cell(theirs, own, word))
            values.append({"dataset": name, "what": what, "paper": theirs, "ours": own, "verdict": word})
        more = [escape(paper[name]["type"]), escape(paper[name]["content"])]
        rows.append((name, [*cells, *more]))
    planted = {r.dataset: r for r in records if r.label == "counts" and r.dataset not in SETS.values()}
    for name, record in planted.items():
        cells = [_count_cell(None, record.counts[what], "") for what in COUNTED]
        rows.append((name, [*cells, escape(record.options["kind"]), "–"]))
    columns = ["Users", "Items", "Ratings", "Type", "Content"]
    caption = "Table 2 of TaNP: the data sets"
    rendered = html.table(columns, {"": rows}, caption=caption, corner="Data set", kind="results")
    return html.Html(rendered, caption, pd.DataFrame(values))


def _count_cell(paper: int | None, own: int | None, word: str) -> str:
    lines = [] if own is None else [f'<span class="ours">{own:,}</span>']
    lines += [] if paper is None else [f'<span class="paper">paper {paper:,}</span>']
    return "<br>".join(lines + ([html.badge(word)] if word else []))


def lengths(records: Sequence[Record], windows: Mapping[str, tuple[int, int]]) -> Figure:
    """Histograms of history lengths, one panel for each set; the filter's window of a set is shaded."""
    own = [r for r in records if r.label == "counts"]
    names = {dataset: name for name, dataset in SETS.items()}
    fig, axes = style.panels(1, len(own), height=3.0)
    for ax, record in zip(axes[0], own, strict=True):
        edges, users = (np.array(record.extra["lengths"][k]) for k in ("edges", "users"))
        ax.stairs(users, edges, fill=True, color=style.ROLES["ours"], alpha=0.85)
        if np.ptp(np.diff(edges)):  # bins of equal width on a log scale
            ax.set_xscale("log")
            ticks = [t for t in LENGTHS if edges[0] <= t <= edges[-1]][:: 2 if edges[-1] > 1000 else 1]
            ax.set_xticks(ticks, [str(t) for t in ticks])
            ax.minorticks_off()
        title = names.get(record.dataset, record.dataset)
        if record.dataset in windows:
            low, high = windows[record.dataset]
            ax.axvspan(
                low, min(high, edges[-1]), color=style.ROLES["paper"], alpha=0.15, linewidth=0, zorder=0
            )
            for end in (low, high) if high < edges[-1] else (low,):
                ax.axvline(end, color=style.ROLES["paper"], linewidth=1.4)
            title += f"\nkept: {low} to {high}"
        style.label_axes(ax, x="interactions of a user", y="users", title=title)
    return style.done(fig)


SPEC = Measured("tanp.table2", "Table 2 of TaNP: data sets, filters, episodes", count_table2)
