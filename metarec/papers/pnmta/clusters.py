"""Do users come in groups? Clusters of user vectors and of ratings, against data whose columns are permuted.

For $k$ of 2 to 10, k-means and the mean silhouette of its clusters; the best of them, held against the same
search on data whose columns have each been permuted over users. A permuted column keeps its values and loses
its company, so what clusters there have come from no group of users.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.metrics import silhouette_score

from metarec.data.ratings import Ratings
from metarec.papers.pnmta.fig8 import PANELS, fig8, trained_vectors
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.protocol import Run
from metarec.runs.records import Record
from metarec.tasks import Splits

K = range(2, 11)
ROUNDS = 199  # permuted copies
COMPONENTS = 50  # ratings are reduced to so many principal components first
VECTORS, RATINGS = "User vectors", "Ratings less the item's mean"


def measure_clusters(request: Request) -> Iterator[Record]:
    """Section 1: groups of users, in two kinds of data, against chance: silhouette, $k$, 95th percentile."""
    runs = [r for r in fig8(request) if r.label == PANELS[-1].label]
    ratings = runs[0].protocol.ratings()
    place = Measurement("pnmta", "clusters", request, models=("pnmta",))
    rounds = 9 if request.profile == "quick" else ROUNDS
    for run in runs:
        splits = run.protocol.splits(ratings, run.seed)
        data = {
            VECTORS: partial(_vectors, run, ratings, splits, request.device),
            RATINGS: partial(residuals, ratings, splits.test.task),
        }
        for name, make in data.items():
            options = {"rounds": rounds, "panel": run.label} if name == VECTORS else {"rounds": rounds}
            kept = place.recorded(name, ratings, options, seed=run.seed)
            if kept is None:
                started = time.perf_counter()
                found = tendency(make(), np.random.default_rng(run.seed), rounds)
                kept = place.record(name, ratings, options, found, seed=run.seed, started=started)
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
    place = np.full(ratings.n_users, -1)
    place[users] = np.arange(len(users))
    own = place[ratings.user] >= 0
    found = np.zeros((len(users), ratings.n_items), np.float32)
    item = ratings.item[own]
    found[place[ratings.user[own]], item] = ratings.label[own] - mean[item]
    return found[:, (found != 0).any(0)]


def _vectors(run: Run, ratings: Ratings, splits: Splits, device: torch.device) -> np.ndarray:
    """The user vectors of a trained PNMTA, without the slices of the user's own fields."""
    found = trained_vectors(run, ratings, splits, device)
    d = found.shape[1] // (len(ratings.item_fields) + len(ratings.user_fields))
    return found[:, : d * len(ratings.item_fields)]


SPEC = Measured("pnmta.clusters", "Do users come in groups?", measure_clusters)
