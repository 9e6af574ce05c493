"""PNMTA's Fig 8: do user vectors separate users by age? Decided in their own space, drawn with t-SNE."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.manifold import TSNE
from sklearn.metrics import pairwise_distances
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from metarec.data.ratings import Field, Ratings
from metarec.data.schema import Schema
from metarec.layers.pooling import masked_mean
from metarec.methods import initialised, make
from metarec.methods.melu import MeLU
from metarec.papers.pnmta.protocol import WINDOW, protocol
from metarec.runs.measured import Measured, Measurement, Request
from metarec.runs.protocol import Run
from metarec.runs.records import Record
from metarec.tasks import EpisodeTensors, Splits
from metarec.training.selection import Selection
from metarec.training.trainer import train

PERMUTATIONS = 10_000
PROBES = ("age", "gender", "occupation")


@dataclass(frozen=True)
class _Panel:
    """One panel of the figure: a method, its options, and the epochs of meta-training."""

    label: str
    model: str
    options: dict[str, Any]


# The four panels of the figure, and a control: age is an input, so embeddings nobody trained carry it too.
PANELS = (
    _Panel("Untrained encoder", "melu", {"epochs": 0}),
    _Panel("MeLU, 1 epoch", "melu", {"epochs": 1, "lr": 1e-3}),
    _Panel("MeLU, 30 epochs", "melu", {"epochs": 30, "lr": 1e-3}),
    _Panel("PNMTA, pretrained only", "pnmta", {"epochs": 0}),
    _Panel("PNMTA, 10 meta-epochs", "pnmta", {"epochs": 10}),
)


def fig8(request: Request) -> list[Run]:
    """Fig 8: user vectors of MeLU and PNMTA, their separation by age, and linear probes; a run a panel."""
    place = protocol("published", request.profile, "ml-1m")
    quick = {"d": 8} if request.profile == "quick" else {}
    runs = []
    for seed, panel in product(range(request.seeds), PANELS):
        given = {"window": WINDOW, **panel.options, **quick}
        if quick:
            given["epochs"] = min(given["epochs"], 2)
        runs.append(Run("pnmta", panel.model, place, given, seed, request.profile, panel.label))
    return runs


def measure_fig8(request: Request) -> Iterator[Record]:
    """Train the panels for each seed; keep statistics of the vectors and, for seed 0, a t-SNE."""
    runs = fig8(request)
    ratings = runs[0].protocol.ratings()
    place = Measurement("pnmta", "fig8", request, models=("melu", "pnmta"))
    for run in runs:
        kept = place.recorded(run.label, ratings, _options(run), seed=run.seed)
        yield kept or _measure(place, run, ratings, run.protocol.splits(ratings, run.seed))


def _options(run: Run) -> dict[str, Any]:
    return {"model": run.model, **run.options}


def _measure(place: Measurement, run: Run, ratings: Ratings, splits: Splits) -> Record:
    """Train one panel and analyse the vectors of its test users."""
    started = time.perf_counter()
    vectors = trained_vectors(run, ratings, splits, place.request.device)
    quick = run.profile == "quick"
    found, extra = analyse(vectors, ratings, splits.test.task, run.seed, draw=run.seed == 0, quick=quick)
    return place.record(
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


def trained_vectors(run: Run, ratings: Ratings, splits: Splits, device: torch.device) -> np.ndarray:
    """$v_u$ of the test users, `[tasks, d]`, after the training of `run`."""
    with initialised(run.seed):
        method = make(run.model, Schema.of(ratings), **run.options)
    trained = train([method], splits, [run.seed], Selection("last"), device=device)
    trained.stack.method(0, trained.params)
    return user_vectors(method, EpisodeTensors(splits.test, device)).cpu().numpy()


def user_vectors(method: Any, data: EpisodeTensors) -> Tensor:
    """$v_u$, the mean interaction vector over support and query, `[tasks, d]`. Implements eq-pnmta-2.

    The same pooling for MeLU, which has no such vector, so that the panels compare.
    """
    assert isinstance(method, MeLU)
    batch = data.all()
    with torch.no_grad():
        sides = method.inputs(batch.support, batch.query)
        both = [torch.cat([items, users.expand(*items.shape[:-1], -1)], -1) for items, users in sides]
        return masked_mean(torch.cat(both, -2), torch.cat([batch.support.mask, batch.query.mask], -1))


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
        value, p = separation(x, age, rng, rounds)
        found[f"silhouette{name}"], found[f"p{name}"] = value, p
    for probe in PROBES:
        if probe in fields:
            found[f"probe {probe}"] = _probe(vectors, fields[probe].values[users])
            found[f"majority {probe}"] = float(np.bincount(fields[probe].values[users]).max() / len(users))
    extra: dict[str, Any] = {}
    if draw:
        shown = rng.permutation(len(users))
        points = TSNE(random_state=0, init="pca", perplexity=min(30, len(users) // 4)).fit_transform(vectors)
        extra["tsne"] = np.round(points[shown], 2).tolist()
        extra["age"] = [str(fields["age"].vocabulary[a]) for a in age[shown]]
    return found, extra


def without(vectors: np.ndarray, ratings: Ratings, name: str) -> np.ndarray:
    """The vectors without the slice of one user field (items' fields come first, all equal in size)."""
    order: tuple[Field, ...] = (*ratings.item_fields, *ratings.user_fields)
    d = vectors.shape[1] // len(order)
    place = len(ratings.item_fields) + [f.name for f in ratings.user_fields].index(name)
    return np.delete(vectors, np.s_[place * d : (place + 1) * d], axis=1)


def separation(
    x: np.ndarray, group: np.ndarray, rng: np.random.Generator, rounds: int
) -> tuple[float, float]:
    """Mean silhouette of `group` and its one-sided p-value from permuting the groups over users."""
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
    kept = np.isin(target, np.flatnonzero(np.bincount(target) >= 5))
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300, C=0.1))
    return float(cross_val_score(model, x[kept], target[kept], cv=5).mean())


SPEC = Measured("pnmta.fig8", "Do user vectors separate users by age?", measure_fig8)
