"""TaNP's Table 2: data sets, filters, episodes and what their queries give away. Counts only, no training."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metarec import metrics
from metarec.data import Ratings, Schema, data_home, load
from metarec.data.gowalla import visits
from metarec.methods.floors import Popularity
from metarec.papers.tanp.tables import LASTFM, N_SUPPORT
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.protocol import Protocol
from metarec.runs.records import Record
from metarec.tasks import EpisodeTensors, Splits

SUPPORT_SIZES = (N_SUPPORT, 15, 10)
CUTOFFS = (5, 7, 10)
# Which of the distributed Gowalla users may be meant: file, fewest and most places of a user.
GOWALLA_RULES = (("train and test", 1, None), ("test", 15, 111), ("test", 15, 75), ("test", 15, None))


def count_table2(request: Request) -> Iterator[Record]:
    """Table 2: counts of data, filters and episodes, floors and ceiling; nothing is trained."""
    quick = request.profile == "quick"
    place = Measurement("tanp", "table2", request)
    names = ("synthetic", "synthetic-implicit") if quick else ("ml-1m", "lastfm-tanp", "gowalla")
    yield from (_counts(place, load(name)) for name in names)
    if not quick:
        yield from lastfm_steps(place, data_home())
        yield from gowalla_candidates(place, data_home())
    for n_support in SUPPORT_SIZES:
        rules = LASTFM.protocol("published", request.profile, n_support=n_support)
        yield from _episode_records(place, rules)


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
        "Worst order": -labels,
        "Random ranker": torch.zeros_like(labels),
        "Popularity": popularity.predict(batch.support, batch.query),
        "Perfect order": labels,
    }
    found: dict[str, dict[str, float]] = {}
    for name, score in scores.items():
        means: dict[str, float] = {}
        for prefix, metric_set in (("", "tanp-released"), ("std:", "ranking-standard")):
            for metric, values in metrics.evaluate(score, labels, mask, metric_set).items():
                means[prefix + metric] = float(values.nanmean())
        found[name] = means
    return found


def lastfm_steps(place: Measurement, home: Path) -> list[Record]:
    """From HetRec's Last.FM to TaNP's rows, one record a step."""
    hetrec = load("lastfm-hetrec", home=home)
    cut = load("lastfm-mkr", home=home, negatives=False)
    final = load("lastfm-mkr", home=home)
    shipped = load("lastfm-tanp", home=home)
    steps: tuple[tuple[str, Ratings, dict[str, int]], ...] = (
        ("published", hetrec, {}),
        ("artists of the knowledge graph", cut, {}),
        ("one negative a positive", final, {"rows as shipped": int(_pairs(final) == _pairs(shipped))}),
        ("rows shipped with TaNP", shipped, {}),
    )
    made = []
    for number, (what, ratings, more) in enumerate(steps):
        counts = ratings.counts() | {"positives": int((ratings.label > 0).sum())} | more
        made.append(place.record("filter", ratings, {"step": number, "what": what}, {}, counts=counts))
    return made


def gowalla_candidates(place: Measurement, home: Path) -> list[Record]:
    """Users, places and positives that simple rules leave of Gowalla as NGCF distributes it.

    The paper takes "a part of interactions" and does not say which. Raises `DataError` when a file is absent.
    """
    found = {"train": visits(home, "train"), "test": visits(home, "test")}
    found["train and test"] = np.concatenate([found["train"], found["test"]])
    sha256 = hashlib.sha256(found["train and test"].tobytes()).hexdigest()
    made = []
    for source, low, high in GOWALLA_RULES:
        rows = found[source]
        length = np.bincount(rows[:, 0])
        kept = rows[(length[rows[:, 0]] >= low) & (length[rows[:, 0]] <= (high or length.max()))]
        users, items = (len(np.unique(side)) for side in kept.T)
        counts = {"users": users, "items": items, "ratings": 2 * len(kept), "positives": len(kept)}
        options = {"source": source, "fewest": low, "most": high}
        record = place.record("near miss", "gowalla", options, {}, counts=counts, data_sha256=sha256)
        made.append(record)
    return made


def _pairs(ratings: Ratings) -> set[tuple[int, int, float]]:
    return set(zip(ratings.user.tolist(), ratings.item.tolist(), ratings.label.tolist(), strict=True))


def _counts(place: Measurement, ratings: Ratings) -> Record:
    counts, extra = describe_ratings(ratings)
    return place.record("counts", ratings, {"kind": ratings.kind}, {}, counts=counts, extra=extra)


def _episode_records(place: Measurement, rules: Protocol) -> list[Record]:
    ratings = rules.ratings()
    splits = rules.splits(ratings, 0)
    counts, shares, extra = describe_episodes(splits)
    given = dict(rules.rule_options)
    common: dict[str, Any] = {"counts": counts, "split_id": splits.split_id, "protocol": rules.plain()}
    made = [place.record("episodes", ratings, given, shares, extra=extra, **common)]
    if given["n_support"] == N_SUPPORT:
        for name, means in bounds(splits).items():
            made.append(place.record(name, ratings, given, means, **common))
    return made


def _histogram(values: np.ndarray) -> dict[str, list[int]]:
    found, counts = np.unique(values, return_counts=True)
    return {"value": found.tolist(), "tasks": counts.tolist()}


SPEC = Measured("tanp.table2", "Table 2 of TaNP: data sets, filters, episodes", count_table2)
