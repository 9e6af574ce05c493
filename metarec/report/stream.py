"""PNMTA's Fig 1 from its records: three streams drawn, and what the rows of one user are worth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.papers.pnmta.tables import STREAMS
from metarec.report.groups import difference, interval, over_seeds
from metarec.report.pnmta_names import spelt
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.stats.intervals import Interval
from metarec.stats.intervals import interval as t_interval

PICTURES = {
    "images": ("Images, by task", "class or user"),
    "tasks": ("Ratings, by user", ""),
    "shuffled": ("Ratings, shuffled", ""),
}
ERRORS = {"MAE": "Test users", "train MAE": "Training users", "gap": "Gap"}
PARTS = ("user tables", "item tables", "predictor")


def streams(records: Sequence[Record]) -> Figure:
    """Which class or user stands at each place of a stream: three panels, a point a row."""
    kept = next((r.extra for r in records if r.extra), None)
    if kept is None:
        raise RecordError("no record of Fig 1 keeps its streams; run `metarec run pnmta.fig1` again.")
    fig, axes = style.panels(1, 3, height=3.0, sharey=True)
    for n, (ax, (key, (title, what))) in enumerate(zip(axes[0], PICTURES.items(), strict=True)):
        place = np.array(kept[key])
        ax.plot(np.arange(len(place)), place, ".", color=style.PALETTE[n], markersize=3)
        style.label_axes(ax, x="place in the stream", y=what, title=title)
    return style.done(fig)


def worth(records: Sequence[Record]) -> html.Html:
    """What the gradient of one user's rows is worth in rows drawn one by one, by part of the network.

    `frame` has a row a data set, state and part: `dataset, state, part, mean, low, high, rows`.
    """
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    values = []
    for dataset in dict.fromkeys(r.dataset for r in records):
        for state in dict.fromkeys(r.label for r in records):
            own = [r for r in records if r.dataset == dataset and r.label == state]
            rows = t_interval(r.metrics["rows of a user"] for r in own)
            found = [t_interval(r.metrics[f"worth: {part}"] for r in own) for part in PARTS]
            cells = [html.number(rows.mean, 0), *(interval(i, 1) for i in found)]
            sections.setdefault(spelt(dataset), []).append((f"network {state}", cells))
            values += [
                {"dataset": dataset, "state": state, "part": p, **i._asdict(), "rows": rows.mean}
                for p, i in zip(PARTS, found, strict=True)
            ]
    seeds = len({r.seed for r in records})
    notes = [
        "Worth: the number of rows drawn one by one from all users whose mean gradient is as precise as that "
        f"of one user’s rows. Below it, half the width of the 95 % interval over {seeds} seeds."
    ]
    caption = "What the rows of one user are worth"
    groups = (("", 1), ("They are worth, for the gradient of the", len(PARTS)))
    columns = ["Rows of a user", *PARTS]
    rendered = html.table(
        columns, sections, caption=caption, corner="", groups=groups, notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def steps(records: Sequence[Record]) -> html.Html:
    """Rows and users in one step, for the three ways to make a batch, and the worth for the predictor."""
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    for dataset in dict.fromkeys(r.dataset for r in records):
        own = [r for r in records if r.dataset == dataset and r.label == "as drawn"]
        mean = {m: float(np.mean([r.metrics[m] for r in own])) for m in own[0].metrics}
        one, shuffled = mean["worth: predictor"], mean["rows shuffled"]
        lines = [
            ("one task (Algorithm 2)", mean["rows of a user"], 1.0, one),
            ("32 tasks (appendix C.3)", mean["rows in 32 tasks"], mean["users in 32 tasks"], 32 * one),
            ("shuffled rows (pretraining)", shuffled, mean["users shuffled"], shuffled),
        ]
        cells = [(name, [f"{rows:,.0f}", f"{users:,.0f}", f"{w:,.0f}"]) for name, rows, users, w in lines]
        sections[f"{spelt(dataset)}, {mean['training users']:,.0f} training users"] = cells
    caption = "What one step sees"
    columns = ["Rows", "Users", "Worth, in shuffled rows"]
    notes = ["Worth: for the gradient of the predictor as drawn; tasks of different users are independent."]
    rendered = html.table(columns, sections, caption=caption, corner="A step takes", notes=notes)
    return html.Html(rendered, caption)


def trained(records: Sequence[Record]) -> html.Html:
    """The same network after training on either stream: errors on test and training users, and their gap.

    `frame` has a row a data set, stream and metric: `dataset, stream, metric, mean, low, high`; after each
    pair of streams its difference, one user at a time less shuffled, paired by seed.
    """
    sections: dict[str, list[tuple[str, list[str]]]] = {}
    values = []
    told = [_with_gap(r) for r in records]
    run = [s for s in STREAMS if any(r.label == s for r in told)]
    for dataset in sorted({r.dataset for r in told}, key=lambda d: d != "ml-1m"):
        own = [r for r in told if r.dataset == dataset]
        rows: dict[str, list[Interval]] = {}
        for shuffled, by_user in zip(run[::2], run[1::2], strict=True):
            rows |= {s: [over_seeds(own, s, m) for m in ERRORS] for s in (shuffled, by_user)}
            rows[f"Difference{by_user.removeprefix('One user at a time')}"] = [
                difference(own, by_user, shuffled, m) for m in ERRORS
            ]
        sections[spelt(dataset)] = [
            (name, [interval(i, 3, signed=name.startswith("Difference")) for i in found])
            for name, found in rows.items()
        ]
        values += [
            {"dataset": dataset, "stream": s, "metric": m, **i._asdict()}
            for s, found in rows.items()
            for m, i in zip(ERRORS, found, strict=True)
        ]
    seeds = len({r.seed for r in records})
    notes = [
        f"MAE of a user’s last ten ratings, in stars; below it, half the width of the 95 % interval over "
        f"{seeds} seeds. Differences: one user at a time less shuffled, paired by seed. Ten epochs where no "
        "other number is named."
    ]
    caption = "One network, two streams"
    rendered = html.table(
        list(ERRORS.values()), sections, caption=caption, corner="Trained on", notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def _with_gap(record: Record) -> Record:
    """The record with the error on training users, and by how much that on test users is larger."""
    test, train = record.metrics["MAE"], record.terms["train MAE"]
    return replace(record, metrics={**record.metrics, "train MAE": train, "gap": test - train})
