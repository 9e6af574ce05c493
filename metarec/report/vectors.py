"""PNMTA's Fig 8 from its records: user vectors drawn, their separation by age in numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.errors import RecordError
from metarec.report.groups import interval, over_seeds
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.stats.intervals import Interval

EARLY, LATE = "MeLU, 1 epoch", "MeLU, 30 epochs"
PRETRAINED, TRAINED = "PNMTA, pretrained only", "PNMTA, 10 meta-epochs"
CONTROL = "Untrained encoder"
PROBES = ("age", "gender", "occupation")
COLOURS, MARKERS = (*style.PALETTE, style.MUTED), (*style.MARKERS, "X")
# MovieLens codes an age by where its range begins.
AGES = {
    "1": "under 18",
    "18": "18–24",
    "25": "25–34",
    "35": "35–44",
    "45": "45–49",
    "50": "50–55",
    "56": "56+",
}
ALPHA = 0.05


def panels(records: Sequence[Record]) -> list[str]:
    """The panels that were run, in their order."""
    return list(dict.fromkeys(r.label for r in records))


def separation(records: Sequence[Record]) -> html.Html:
    """Silhouette of the age groups with all fields and without the age slice, and seeds with p < 0.05.

    `frame` has a row a panel and metric: `panel, metric, mean, low, high`.
    """
    rows, values = [], []
    for panel in panels(records):
        cells = []
        for which in ("", " without age"):
            metric = f"silhouette{which}"
            found = over_seeds(records, panel, metric)
            p = values_of(records, panel, f"p{which}")
            cells += [interval(found, 3), f"{int((p < ALPHA).sum())} of {len(p)}"]
            values.append({"panel": panel, "metric": metric, **found._asdict()})
        rows.append((panel, cells))
    caption = "Do user vectors separate users by age?"
    columns = ["Silhouette", "Seeds with p < 0.05"] * 2
    groups = (("All fields", 2), ("Without the age slice", 2))
    notes = [
        f"Means over {_seeds(records)} seeds; below, half the width of the 95 % interval. The silhouette "
        "runs from −1 to 1; p is from permutations of the ages over users.",
    ]
    rendered = html.table(
        columns, {"": rows}, caption=caption, corner="Vectors of", groups=groups, notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def probes(records: Sequence[Record]) -> html.Html:
    """Five-fold accuracy of linear probes that read a field off the vectors, beside the largest class."""
    there = _probes(records)
    rows = []
    for panel in panels(records):
        found = [over_seeds(records, panel, f"probe {f}") for f in there]
        rows.append((panel, [interval(Interval(*(100 * v for v in i)), 1) for i in found]))
    shares = [100 * np.mean([r.metrics[f"majority {f}"] for r in records]) for f in there]
    rows.append(("Largest class", [html.number(float(s), 1) for s in shares]))
    caption = "What a linear probe reads off the user vectors"
    notes = ["Accuracy in per cent; logistic regression, five folds over the test users."]
    columns = [f.capitalize() for f in there]
    return html.Html(
        html.table(columns, {"": rows}, caption=caption, corner="Vectors of", notes=notes, kind="results"),
        caption,
    )


def pictures(records: Sequence[Record], *, control: bool = False) -> Figure:
    """The t-SNE of every panel (or of the control alone), one colour and marker for each age."""
    drawn = [r for r in records if r.extra.get("tsne") and (r.label == CONTROL) == control]
    if not drawn:
        raise RecordError("no record of Fig 8 keeps its points; run `metarec run pnmta.fig8` again.")
    ages = sorted({a for r in drawn for a in r.extra["age"]}, key=_number)
    columns = min(2, len(drawn))
    rows = -(-len(drawn) // columns)
    width = "full" if columns == 2 else "half"
    fig, axes = style.panels(rows, columns, width=width, height=3.1 if columns == 2 else 3.4)  # type: ignore[arg-type]
    for ax, record in zip(axes.flat, drawn, strict=True):
        points, age = np.array(record.extra["tsne"]), np.array(record.extra["age"])
        for name, colour, marker in zip(ages, COLOURS, MARKERS, strict=False):
            look = {"color": colour, "marker": marker, "label": AGES.get(name, name)}
            ax.plot(*points[age == name].T, linestyle="", ms=3.2, mew=0, alpha=0.8, **look)
        style.label_axes(ax, x="t-SNE, first axis", y="t-SNE, second axis", title=record.label)
        ax.set(xticks=[], yticks=[])
        ax.label_outer()
    keys = style.handles(fig)
    fig.legend(
        list(keys.values()),
        list(keys),
        loc="outside lower center",
        ncols=4,
        title="age",
        markerscale=1.8,
        handletextpad=0.1,
        columnspacing=1.0,
    )
    return style.done(fig)


def groups(records: Sequence[Record]) -> html.Html:
    """Clusters of vectors and of ratings: the best silhouette, how many there are, and what chance gives."""
    columns = {"silhouette": 3, "null": 3, "null mean": 3, "k": 1, "largest cluster": 3}
    rows = [
        (name, [interval(over_seeds(records, name, m), places) for m, places in columns.items()])
        for name in panels(records)
    ]
    rounds = {r.options["rounds"] for r in records}
    caption = "Do users come in groups?"
    notes = [
        f"Means over {_seeds(records)} seeds; below, half the width of the 95 % interval. By chance: "
        f"{' or '.join(map(str, sorted(rounds)))} copies of the data with every column permuted over users."
    ]
    heads = ["Best silhouette", "95th percentile", "Mean", "Clusters", "Share of the largest"]
    over = (("", 1), ("By chance", 2), ("", 2))
    rendered = html.table(
        heads, {"": rows}, caption=caption, corner="Clusters of", groups=over, notes=notes, kind="results"
    )
    return html.Html(rendered, caption)


def values_of(records: Sequence[Record], panel: str, metric: str) -> np.ndarray:
    """A metric of one panel, seed by seed."""
    return np.array([r.metrics[metric] for r in sorted(records, key=lambda r: r.seed) if r.label == panel])


def probed(records: Sequence[Record]) -> tuple[list[str], list[Record]]:
    """The fields that probes read, and the records with the mean accuracy over them (`probes`)."""
    fields = _probes(records)
    mean = [float(np.mean([r.metrics[f"probe {f}"] for f in fields])) for r in records]
    return fields, [
        replace(r, metrics={**r.metrics, "probes": m}) for r, m in zip(records, mean, strict=True)
    ]


def _probes(records: Sequence[Record]) -> list[str]:
    return [f for f in PROBES if f"probe {f}" in records[0].metrics]


def _seeds(records: Sequence[Record]) -> int:
    return len({r.seed for r in records})


def _number(age: str) -> int:
    return int("".join(c for c in age if c.isdigit()) or 0)
