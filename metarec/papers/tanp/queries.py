"""What the queries of TaNP's Last.FM give away before anything is learnt: free precision, and bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metarec import metrics
from metarec.data import Schema
from metarec.errors import RecordError
from metarec.methods.floors import Popularity
from metarec.papers.tanp.tables import CUTOFFS, LASTFM, N_SUPPORT, POPULARITY, RANDOM, TABLE4
from metarec.runs.measured import Measurement
from metarec.runs.protocol import Protocol
from metarec.runs.records import Record
from metarec.show import html, style
from metarec.show.cells import counted
from metarec.show.table import paper_values
from metarec.tasks import EpisodeTensors, Splits

SPLITS = ("train", "valid", "test")
WORST, PERFECT = "Worst order", "Perfect order"
LEVELS = (WORST, RANDOM, POPULARITY, PERFECT)
LEGEND = ("won without knowing the user", "left to win")


def episode_records(measurement: Measurement, rules: Protocol) -> list[Record]:
    """The records of one support size: its episodes, and at that of the paper the bounds of the metrics."""
    ratings = rules.ratings()
    splits = rules.splits(ratings, 0)
    counts, shares, extra = describe_episodes(splits)
    given = dict(rules.rule_options)
    common: dict[str, Any] = {"counts": counts, "split_id": splits.split_id, "protocol": rules.plain()}
    made = [measurement.record("episodes", ratings, given, shares, extra=extra, **common)]
    if given["n_support"] == N_SUPPORT:
        for name, means in bounds(splits).items():
            made.append(measurement.record(name, ratings, given, means, **common))
    return made


def describe_episodes(splits: Splits) -> tuple[dict[str, int], dict[str, float], dict[str, Any]]:
    """Sizes of the splits; negatives in support and query; lengths and positives of the test queries.

    A negative is a label below 1 (implicit data).
    """
    counts: dict[str, int] = {}
    shares: dict[str, float] = {}
    for name, part in splits._asdict().items():
        query, negative = part.is_query, part.ratings.label[part.rows] < 1
        counts |= {f"{name} tasks": len(part), f"{name} ratings": len(part.rows)}
        shares[f"{name} support negatives"] = float(negative[~query].mean())
        shares[f"{name} query negatives"] = float(negative[query].mean())
    test = splits.test
    task = np.repeat(np.arange(len(test)), test.lengths)
    liked = test.is_query & (test.ratings.label[test.rows] >= 1)
    positives = np.bincount(task[liked], minlength=len(test))
    counts["test query ratings"] = int(test.n_query.sum())
    counts["shortest test query"] = int(test.n_query.min())
    counts["test queries of ten"] = int((test.n_query == 10).sum())
    extra = {"query length": _histogram(test.n_query), "query positives": _histogram(positives)}
    for n in CUTOFFS:
        shares[f"free@{n}"] = float(np.clip(1 - positives / n, 0, None).mean())
    return counts, shares, extra


def bounds(splits: Splits) -> dict[str, dict[str, float]]:
    """Mean of every metric on the test queries: worst and random order, popularity, perfect order.

    Both forms of the metrics, the released one without a prefix and the standard one as `std:`.
    """
    ratings = splits.test.ratings
    batch = EpisodeTensors(splits.test, dtype=torch.float64).all()
    labels, mask = batch.query_labels, batch.query.mask
    popularity = Popularity(Schema.of(ratings))
    popularity.fit(splits.train)
    scores = {
        WORST: -labels,
        RANDOM: torch.zeros_like(labels),
        POPULARITY: popularity.predict(batch.support, batch.query),
        PERFECT: labels,
    }
    found: dict[str, dict[str, float]] = {}
    for name, score in scores.items():
        means: dict[str, float] = {}
        for prefix, metric_set in (("", "tanp-released"), ("std:", "ranking-standard")):
            for metric, values in metrics.evaluate(score, labels, mask, metric_set).items():
                means[prefix + metric] = float(values.nanmean())
        found[name] = means
    return found


def _histogram(values: np.ndarray) -> dict[str, list[int]]:
    found, counts = np.unique(values, return_counts=True)
    return {"value": found.tolist(), "tasks": counts.tolist()}


def find(records: Sequence[Record], method: str, **options: object) -> Record:
    """The one record of that method with these options; `RecordError` if there is none or more than one."""
    found = [r for r in records if r.label == method and options.items() <= r.options.items()]
    if len(found) != 1:
        raise RecordError(f"{len(found)} records of {method!r} with {options}; run the experiment again.")
    return found[0]


def episodes(records: Sequence[Record]) -> html.Html:
    """Users that yield an episode, by support size, with the share of negatives in support and query."""
    rows = []
    for r in sorted((r for r in records if r.label == "episodes"), key=lambda r: -r.options["n_support"]):
        users = [f"{r.counts[f'{part} tasks']:,}" for part in SPLITS]
        share = " / ".join(
            f"{100 * r.metrics[f'test {side} negatives']:.1f}" for side in ("support", "query")
        )
        query = r.counts["test query ratings"] / r.counts["test tasks"]
        least = r.options["n_support"] + r.options["min_query"]
        rows.append((f"N_S = {r.options['n_support']}", [f"{least}", *users, f"{query:.1f}", share]))
    columns = ["Least rows", "Train", "Valid", "Test", "Mean query", "Negatives (%)"]
    groups = (("", 1), ("Users with an episode", 3), ("Test users", 2))
    notes = ["Negatives: their share in the supports and in the queries."]
    return counted("Episodes after the filters", "Support", columns, rows, notes, groups)


def gifts(records: Sequence[Record]) -> html.Html:
    """Precision by value at each cut-off: what is given away, what the worst and a random order get."""
    episode = find(records, "episodes", n_support=N_SUPPORT)
    worst, random, popular = (find(records, m) for m in LEVELS[:3])
    rows = []
    for n in CUTOFFS:
        given = 100 * episode.metrics[f"free@{n}"]
        levels = [100 * r.metrics[f"P@{n}"] for r in (worst, random, popular)]
        rows.append((f"P@{n}", [f"{given:.1f}", *(f"{v:.1f}" for v in levels), f"{100 - levels[2]:.1f}"]))
    columns = ["Given away", "Worst order", "Random order", "Popularity", "Left to win"]
    total = episode.counts["test tasks"]
    notes = [
        "Per cent, means over the test users. Given away: the mean of max(0, 1 − n₁/N), where n₁ candidates "
        "of a query are liked.",
        f"{episode.counts['test queries of ten']} of the {total} queries hold ten candidates: with N = 10, "
        "any order of them scores 100.",
    ]
    return counted("Released precision before anything is learnt", "Metric", columns, rows, notes)


def room(records: Sequence[Record], *, prefix: str = "") -> Figure:
    """Each metric from the worst to the perfect order, with a random one, popularity and the paper's best.

    The paper's best is that of each column of Table 4. It is not drawn beside standard metrics (a `prefix`)
    or planted data.
    """
    comparable = not prefix and find(records, POPULARITY).dataset == LASTFM.source
    worst, random, popular, perfect = (find(records, m).metrics for m in LEVELS)
    printed = paper_values(TABLE4.reference).groupby("metric")["value"].max()
    fig, axes = style.panels(1, 3, height=3.9, sharey=True)
    for ax, stem in zip(axes[0], ("P", "NDCG", "MAP"), strict=True):
        for x, n in enumerate(CUTOFFS):
            metric = f"{prefix}{stem}@{n}"
            low, middle, high = (100 * level[metric] for level in (worst, popular, perfect))
            ax.bar(x, middle - low, bottom=low, width=0.62, color="#c9ced4", label=LEGEND[0])
            ax.bar(x, high - middle, bottom=middle, width=0.62, color="#eceef1", label=LEGEND[1])
            _tick(ax, x, 100 * random[metric], ":", "random order")
            _tick(ax, x, middle, "-", "popularity")
            if comparable:
                _ring(ax, x, printed[metric])
        ax.set_xticks(range(len(CUTOFFS)), [f"@{n}" for n in CUTOFFS])
        ax.grid(axis="x", visible=False)
        ax.set_ylim(0, 102)
        style.label_axes(ax, x="", y="", title=stem)
    axes[0, 0].set_ylabel("standard metric (%)" if prefix else "metric as released (%)")
    handles = style.handles(fig)
    fig.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3)
    return style.done(fig)


def said(records: Sequence[Record]) -> str:
    """How much of P@5 is reached without knowing the user, in a sentence."""
    worst, random, popular = (100 * find(records, m).metrics["P@5"] for m in (WORST, RANDOM, POPULARITY))
    return (
        f"In the released P@5 the worst possible order of a query scores {worst:.1f} %, a random order "
        f"{random:.1f} %, and popularity, which knows nothing of the user, {popular:.1f} %."
    )


def _ring(ax: Axes, x: float, y: float) -> None:
    colour = style.ROLES["paper"]
    ax.plot(x, y, "o", mfc="none", mec=colour, mew=1.8, ms=9, label="best printed in Table 4", zorder=4)


def _tick(ax: Axes, x: float, y: float, line: str, label: str) -> None:
    ax.plot([x - 0.31, x + 0.31], [y, y], color=style.INK, linestyle=line, linewidth=2, label=label, zorder=3)
