"""PNMTA's Fig 8: do user vectors separate users by age? Decided in their own space, drawn with t-SNE."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from metarec.data.ratings import Ratings
from metarec.errors import RecordError
from metarec.papers.pnmta.vectors import CONTROL, panels, planned, trained_vectors, values_of, without
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.protocol import Run
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.show.cells import with_half
from metarec.stats.intervals import Interval
from metarec.stats.seeds import over_seeds
from metarec.tasks import Splits

PERMUTATIONS = 10_000
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


def measure_fig8(request: Request) -> Iterator[Record]:
    """Train the panels for each seed; keep statistics of the vectors and, for seed 0, a t-SNE."""
    runs = planned(request)
    ratings = runs[0].protocol.ratings()
    measurement = Measurement("pnmta", "fig8", request, models=("melu", "pnmta"))
    for run in runs:
        kept = measurement.recorded(run.label, ratings, _options(run), seed=run.seed)
        yield kept or _measure(measurement, run, ratings, run.protocol.splits(ratings, run.seed))


def _options(run: Run) -> dict[str, Any]:
    return {"model": run.model, **run.options}


def _measure(measurement: Measurement, run: Run, ratings: Ratings, splits: Splits) -> Record:
    """Train one panel and analyse the vectors of its test users."""
    started = time.perf_counter()
    vectors = trained_vectors(run, ratings, splits, measurement.request.device)
    quick = run.profile == "quick"
    found, extra = analyse(vectors, ratings, splits.test.task, run.seed, draw=run.seed == 0, quick=quick)
    return measurement.record(
        run.label,
        ratings,
        _options(run),
        found,
        seed=run.seed,
        started=started,
        epochs=int(run.options["epochs"]),
        protocol=run.protocol.plain(),
        split_id=splits.split_id,
        extra=extra,
    )


def analyse(
    vectors: np.ndarray, ratings: Ratings, users: np.ndarray, seed: int, *, draw: bool, quick: bool = False
) -> tuple[dict[str, float], dict[str, Any]]:
    """Silhouette of age groups, whole and without the age slice, with permutation p-values; linear probes."""
    fields = {f.name: f for f in ratings.user_fields}
    age = fields["age"].values[users]
    rng = np.random.default_rng(seed)
    rounds = 200 if quick else PERMUTATIONS
    found: dict[str, float] = {}
    for name, x in (("", vectors), (" without age", without(vectors, ratings, "age"))):
        value, p = permuted_silhouette(x, age, rng, rounds)
        found[f"silhouette{name}"], found[f"p{name}"] = value, p
    for probe in PROBES:
        if probe in fields:
            found[f"probe {probe}"] = _probe(vectors, fields[probe].values[users])
            found[f"majority {probe}"] = float(np.bincount(fields[probe].values[users]).max() / len(users))
    extra: dict[str, Any] = {}
    if draw:
        from sklearn.manifold import TSNE

        shown = rng.permutation(len(users))
        points = TSNE(random_state=0, init="pca", perplexity=min(30, len(users) // 4)).fit_transform(vectors)
        extra["tsne"] = np.round(points[shown], 2).tolist()
        extra["age"] = [str(fields["age"].vocabulary[a]) for a in age[shown]]
    return found, extra


def permuted_silhouette(
    x: np.ndarray, group: np.ndarray, rng: np.random.Generator, rounds: int
) -> tuple[float, float]:
    """Mean silhouette of `group` and its one-sided p-value from permuting the groups over users."""
    from sklearn.metrics import pairwise_distances

    distance = pairwise_distances(x).astype(np.float32)
    value = _silhouette(distance, group)
    null = [_silhouette(distance, rng.permutation(group)) for _ in range(rounds)]
    return value, float((1 + np.sum(np.array(null) >= value)) / (rounds + 1))


def _silhouette(distance: np.ndarray, group: np.ndarray) -> float:
    """Mean over users of (b - a) / max(a, b); singletons count 0. As scikit-learn's, only faster."""
    codes = np.unique(group, return_inverse=True)[1]
    member = np.eye(codes.max() + 1, dtype=np.float32)[codes]
    size = member.sum(0)
    total = distance @ member
    rows = np.arange(len(codes))
    own = total[rows, codes] / np.maximum(size[codes] - 1, 1)
    other = total / size
    other[rows, codes] = np.inf
    nearest = other.min(1)
    return float(np.where(size[codes] > 1, (nearest - own) / np.maximum(nearest, own), 0.0).mean())


def _probe(x: np.ndarray, target: np.ndarray) -> float:
    """Five-fold accuracy of a logistic regression that reads `target` off the vectors."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = np.isin(target, np.flatnonzero(np.bincount(target) >= 5))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1))
    return float(cross_val_score(model, x[kept], target[kept], cv=5).mean())


def separation(records: Sequence[Record]) -> html.Html:
    """Silhouette of the age groups with all fields and without the age slice, and seeds with p < 0.05.

    `frame` has a row for each panel and metric: `panel, metric, mean, low, high`.
    """
    rows, values = [], []
    for panel in panels(records):
        cells = []
        for which in ("", " without age"):
            metric = f"silhouette{which}"
            found = over_seeds(records, panel, metric)
            p = values_of(records, panel, f"p{which}")
            cells += [with_half(found, 3), f"{int((p < ALPHA).sum())} of {len(p)}"]
            values.append({"panel": panel, "metric": metric, **found._asdict()})
        rows.append((panel, cells))
    seeds = len({r.seed for r in records})
    caption = "Do user vectors separate users by age?"
    columns = ["Silhouette", "Seeds with p < 0.05"] * 2
    groups = (("All fields", 2), ("Without the age slice", 2))
    notes = [
        f"Means over {seeds} seeds; below, half the width of the 95 % interval. The silhouette "
        "runs from −1 to 1; p is from permutations of the ages over users.",
    ]
    rendered = html.table(
        columns, {"": rows}, caption=caption, corner="Vectors of", groups=groups, notes=notes, kind="results"
    )
    return html.Html(rendered, caption, pd.DataFrame(values))


def said(records: Sequence[Record]) -> str:
    """The silhouette of the age groups in each panel, in a sentence."""
    frame = separation(records).frame
    own = frame[frame["metric"] == "silhouette"]
    told = ", ".join(f"{row['panel']} {html.number(row['mean'], 3)}" for row in own.to_dict("records"))
    return f"Mean silhouette of age groups (−1 to 1; 0: no groups): {told}."


def probes(records: Sequence[Record]) -> html.Html:
    """Five-fold accuracy of linear probes that read a field off the vectors, beside the largest class."""
    there = _probes(records)
    rows = []
    for panel in panels(records):
        found = [over_seeds(records, panel, f"probe {f}") for f in there]
        rows.append((panel, [with_half(Interval(*(100 * v for v in i)), 1) for i in found]))
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


def probed(records: Sequence[Record]) -> tuple[list[str], list[Record]]:
    """The fields that probes read, and the records with the mean accuracy over them (`probes`)."""
    fields = _probes(records)
    mean = [float(np.mean([r.metrics[f"probe {f}"] for f in fields])) for r in records]
    return fields, [
        replace(r, metrics={**r.metrics, "probes": m}) for r, m in zip(records, mean, strict=True)
    ]


def _probes(records: Sequence[Record]) -> list[str]:
    return [f for f in PROBES if f"probe {f}" in records[0].metrics]


def _number(age: str) -> int:
    return int("".join(c for c in age if c.isdigit()) or 0)


SPEC = Measured("pnmta.fig8", "Do user vectors separate users by age?", measure_fig8)
