"""Do users come in groups? Clusters of user vectors and of ratings, against data whose columns are permuted.

For $k$ of 2 to 10, k-means and the mean silhouette of its clusters; the best of them, held against the same
search on data whose columns have each been permuted over users. A permuted column keeps its values and loses
its company, so what clusters there have come from no group of users.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch

from metarec.data.ratings import Ratings
from metarec.papers.pnmta.vectors import TRAINED, panels, planned, trained_vectors
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.protocol import Run
from metarec.runs.records import Record
from metarec.show import html
from metarec.show.cells import with_half
from metarec.stats.seeds import over_seeds
from metarec.tasks import Splits

K = range(2, 11)
ROUNDS = 199  # permuted copies
COMPONENTS = 50  # ratings are reduced to so many principal components first
VECTORS, RATINGS = "User vectors", "Ratings less the item's mean"


def measure_clusters(request: Request) -> Iterator[Record]:
    """Section 1: groups of users, in two kinds of data, against chance: silhouette, $k$, 95th percentile."""
    runs = [r for r in planned(request) if r.label == TRAINED]
    ratings = runs[0].protocol.ratings()
    measurement = Measurement("pnmta", "clusters", request, models=("pnmta",))
    rounds = 9 if request.profile == "quick" else ROUNDS
    for run in runs:
        splits = run.protocol.splits(ratings, run.seed)
        data = {
            VECTORS: partial(_vectors, run, ratings, splits, request.device),
            RATINGS: partial(residuals, ratings, splits.test.task),
        }
        for name, make in data.items():
            options = {"rounds": rounds, "panel": run.label} if name == VECTORS else {"rounds": rounds}
            kept = measurement.recorded(name, ratings, options, seed=run.seed)
            if kept is None:
                started = time.perf_counter()
                found = tendency(make(), np.random.default_rng(run.seed), rounds)
                kept = measurement.record(name, ratings, options, found, seed=run.seed, started=started)
            yield kept


def tendency(x: np.ndarray, rng: np.random.Generator, rounds: int) -> dict[str, float]:
    """The best clustering of `x` `[users, d]`, and the 95th percentile and mean of the null's silhouettes."""
    copies = [x, *(rng.permuted(x, axis=0) for _ in range(rounds))]
    found = [best_silhouette(copy) for copy in copies]
    null = np.array([value for value, *_ in found[1:]])
    silhouette, k, largest = found[0]
    return {
        "silhouette": silhouette,
        "k": float(k),
        "largest cluster": largest,
        "null": float(np.quantile(null, 0.95, method="higher")),
        "null mean": float(null.mean()),
    }


def best_silhouette(x: np.ndarray) -> tuple[float, int, float]:
    """The largest mean silhouette over `K` clusters by k-means, its $k$, and its largest cluster's share."""
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA
    from sklearn.metrics import silhouette_score

    x = PCA(COMPONENTS, random_state=0).fit_transform(x) if x.shape[1] > 4 * COMPONENTS else x
    found = []
    for k in K:
        labels = KMeans(k, n_init=3, random_state=0).fit_predict(x)
        found.append((float(silhouette_score(x, labels)), k, float(np.bincount(labels).max() / len(x))))
    return max(found)


def residuals(ratings: Ratings, users: np.ndarray) -> np.ndarray:
    """Ratings of `users` less the mean of the item, `[users, items]`; 0 where there is none."""
    total = np.bincount(ratings.item, ratings.label, ratings.n_items)
    mean = total / np.maximum(np.bincount(ratings.item, minlength=ratings.n_items), 1)
    row = np.full(ratings.n_users, -1)
    row[users] = np.arange(len(users))
    own = row[ratings.user] >= 0
    found = np.zeros((len(users), ratings.n_items), np.float32)
    item = ratings.item[own]
    found[row[ratings.user[own]], item] = ratings.label[own] - mean[item]
    return found[:, (found != 0).any(0)]


def _vectors(run: Run, ratings: Ratings, splits: Splits, device: torch.device) -> np.ndarray:
    """The user vectors of a trained PNMTA, without the slices of the user's own fields."""
    found = trained_vectors(run, ratings, splits, device)
    d = found.shape[1] // (len(ratings.item_fields) + len(ratings.user_fields))
    return found[:, : d * len(ratings.item_fields)]


def groups(records: Sequence[Record]) -> html.Html:
    """Clusters of vectors and of ratings: the best silhouette, how many there are, and what chance gives."""
    columns = {"silhouette": 3, "null": 3, "null mean": 3, "k": 1, "largest cluster": 3}
    rows = [
        (name, [with_half(over_seeds(records, name, m), decimals) for m, decimals in columns.items()])
        for name in panels(records)
    ]
    rounds = {r.options["rounds"] for r in records}
    seeds = len({r.seed for r in records})
    caption = "Do users come in groups?"
    notes = [
        f"Means over {seeds} seeds; below, half the width of the 95 % interval. By chance: "
        f"{' or '.join(map(str, sorted(rounds)))} copies of the data with every column permuted over users."
    ]
    heads = ["Best silhouette", "95th percentile", "Mean", "Clusters", "Share of the largest"]
    over = (("", 1), ("By chance", 2), ("", 2))
    rendered = html.table(
        heads, {"": rows}, caption=caption, corner="Clusters of", groups=over, notes=notes, kind="results"
    )
    return html.Html(rendered, caption)


SPEC = Measured("pnmta.clusters", "Do users come in groups?", measure_clusters)
