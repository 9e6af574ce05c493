"""What trained replicas are worth: test metrics user by user, curves, and a method's own diagnostics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec import metrics
from metarec.runs.protocol import Protocol, Run
from metarec.runs.records import finite
from metarec.tasks.batch import EpisodeTensors
from metarec.tasks.episodes import Splits
from metarec.training.predict import predict
from metarec.training.trainer import Trained

# Beyond it float32 does not tell one whole number from the next, let alone one rating.
LIMIT = 2.0**24


def score(protocol: Protocol, scores: Tensor, data: EpisodeTensors) -> dict[str, Tensor]:
    """Every metric of the protocol, `{name: [K, tasks]}`; `scores` is `[K, tasks, n_query]`.

    A replica that has diverged (scores that are not finite) gets nan throughout; it never stops the others.
    """
    labels, mask = query_side(data, scores.shape[0])
    sound = (scores.isfinite() | ~mask).all(-1).all(-1)
    scores = torch.where(sound[:, None, None], scores, 0.0)
    found: dict[str, Tensor] = {}
    for prefix, name in protocol.metric_sets.items():
        for metric, values in metrics.evaluate(scores, labels, mask, name).items():
            found[prefix + metric] = torch.where(sound[:, None], values, torch.nan)
    return found


def query_side(data: EpisodeTensors, replicas: int) -> tuple[Tensor, Tensor]:
    """Query labels and mask of every replica's tasks, `[K, tasks, n_query]`, for scoring only."""
    every = torch.arange(len(data.host_query), device=data.device)
    query, labels = data.queries(every, data.width_query)
    shape = (len(data.parts), -1, query.mask.shape[-1])
    labels, mask = labels.reshape(shape), query.mask.reshape(shape)
    return labels.expand(replicas, -1, -1), mask.expand(replicas, -1, -1)


def outcomes(
    runs: Sequence[Run], trained: Trained, splits: list[Splits], device: torch.device
) -> list[tuple[dict[str, float], dict[str, np.ndarray], dict[str, Any]]]:
    """Test metrics (means), per-user values and extras of each replica.

    A replica that sends a score beyond `LIMIT` has diverged, like one whose scores are not finite.
    """
    protocol, seeds = runs[0].protocol, [run.seed for run in runs]
    test = EpisodeTensors([s.test for s in splits], device)
    scores = predict(trained.stack, test, seeds, trained.params, sample=protocol.sample)
    scores = scores.masked_fill(scores.abs() > LIMIT, torch.nan)
    values = {name: v.cpu().numpy() for name, v in score(protocol, scores, test).items()}
    other: dict[str, Tensor] = {}
    if protocol.sample and trained.params:
        mean = predict(trained.stack, test, seeds, trained.params)
        other = {f"mean-z {name}": v.nanmean(-1) for name, v in score(protocol, mean, test).items()}
    described = _describe(trained, test)
    outcomes = []
    rates = trained.stack.skeleton.rates
    for k, _ in enumerate(runs):
        users = {name: v[k] for name, v in values.items() if rates or not _is_error(name)}
        extra: dict[str, Any] = {
            "diagnostics": {n: round(float(v[k]), 8) for n, v in described["means"].items()}
        }
        if other:
            extra["mean_z"] = finite({name.removeprefix("mean-z "): float(v[k]) for name, v in other.items()})
        if "assignments" in described["rows"]:
            extra["assignments"] = np.round(described["rows"]["assignments"][k].astype(float), 5).tolist()
        if protocol.selection.rule == "valid" and trained.params:
            kept = [h for h in trained.history[k] if "valid" in h and h["epoch"] == trained.best_epoch[k]]
            extra["valid"] = kept[-1]["valid"][protocol.selection.metric] if kept else float("nan")
        if trained.history[k]:
            extra["blown"] = blown(trained, k, splits[k if len(splits) > 1 else 0])
        curve = [h for h in trained.history[k] if "test" in h or "valid" in h]
        if curve:
            extra["curve"] = _curve(curve, protocol.selection.metric)
        means = {name: float("nan" if np.isnan(v).all() else np.nanmean(v)) for name, v in users.items()}
        outcomes.append((finite(means), users, extra))
    return outcomes


def blown(trained: Trained, k: int, splits: Splits, times: float = 10.0) -> int:
    """Epochs of the last stage, after its first, whose loss is not finite or beyond `times` that of the best
    constant prediction of the query labels (penalties apart).
    """
    method, train = trained.stack.skeleton, splits.train
    last = trained.history[k][-1]["stage"]
    own = [h for h in trained.history[k] if h["stage"] == last][1:]
    terms = [
        n for n, v in trained.history[k][-1].items() if isinstance(v, float) and n not in method.penalties
    ]
    labels = torch.as_tensor(train.label[train.is_query], dtype=torch.float64)
    limit = times * float(method.constant_loss(labels))
    return sum(not sum(h[name] for name in terms) <= limit for h in own)


def _is_error(name: str) -> bool:
    """Whether a metric measures the distance of a score from a rating."""
    return not metrics.higher_is_better(name.rpartition(":")[2])


def _describe(trained: Trained, test: EpisodeTensors, rows: int = 10) -> dict[str, Any]:
    """The method's diagnostics on the test supports: means of scalars, the first `rows` rows of matrices."""
    tasks = torch.as_tensor(test.owners()) if test.shared else torch.arange(len(test))
    support = test.supports(tasks.to(test.device).expand(trained.stack.size, -1), test.width_support)
    with torch.no_grad():
        found = trained.stack.call("describe", support, params=trained.params) if trained.params else {}
    return {
        "means": {name: v.mean(-1).cpu().numpy() for name, v in found.items() if v.ndim == 2},
        "rows": {name: v[:, :rows].cpu().numpy() for name, v in found.items() if v.ndim == 3},
    }


def _curve(history: list[dict[str, Any]], chosen_by: str) -> dict[str, Any]:
    """Loss terms and scores by epoch as columns, rounded, for training-curve figures.

    On validation only the metric that chooses is kept; on test those of the first, unprefixed set.
    """
    columns: dict[str, Any] = {"epoch": [h["epoch"] for h in history]}
    for name in history[-1]:
        if name not in ("epoch", "stage", "test", "valid"):
            columns[name] = [float(f"{h[name]:.4g}") for h in history]
    for split in ("valid", "test"):
        if split in history[-1]:
            kept = [m for m in history[-1][split] if (m == chosen_by if split == "valid" else ":" not in m)]
            columns[split] = {m: [round(h[split][m], 5) for h in history] for m in kept}
    return columns
