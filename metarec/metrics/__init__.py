"""Every metric of the three papers, in the papers' forms and the standard form, batched over tasks.

    values = evaluate(scores, labels, mask, "tanp-released")       # {"P@5": [..., tasks], ...}
    mean, left_out = mean_over_tasks(values["P@5"])
    floor = random_floor(labels, mask, "tanp-released")            # exact, nothing is drawn

All arithmetic is float64. Values are fractions or rating units, never per cent.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from metarec.errors import MetarecError
from metarec.metrics.ranking import average_precision, ndcg, precision, recall
from metarec.metrics.rating import (
    mean_absolute_error,
    mean_squared_error,
    pooled_rmse,
    root_mean_squared_error,
    squared_error,
)
from metarec.metrics.spec import METRIC_SETS, Metric, higher_is_better, ranking_set, resolve
from metarec.metrics.ties import Ranking, aligned, rank

__all__ = [
    "METRIC_SETS",
    "Metric",
    "Ranking",
    "TaskMean",
    "average_precision",
    "ceiling",
    "evaluate",
    "higher_is_better",
    "mean_absolute_error",
    "mean_over_tasks",
    "mean_squared_error",
    "ndcg",
    "pooled_rmse",
    "precision",
    "random_floor",
    "rank",
    "ranking_set",
    "recall",
    "resolve",
    "root_mean_squared_error",
    "squared_error",
]

_RATING = {"mae": mean_absolute_error, "mse": mean_squared_error, "rmse": root_mean_squared_error}


def evaluate(
    scores: Tensor, labels: Tensor, mask: Tensor, metric_set: str | tuple[Metric, ...]
) -> dict[str, Tensor]:
    """Every metric of a set, by name, one float64 value a task.

    `scores`, `labels`, `mask` (bool, true = a real query entry) are `[..., tasks, n_query]` and broadcast to
    one another; each value is `[..., tasks]`, nan where the metric is not defined for that query.
    `metric_set` is a name in METRIC_SETS or a tuple of Metric. Raises MetarecError for an unknown set, shapes
    that do not fit, scores or labels that are not finite at a real entry, and negative labels where NDCG is
    asked for.
    """
    metrics = resolve(metric_set)
    scores, labels, mask = aligned(scores, labels, mask)
    _refuse(
        ~scores.isfinite() & mask,
        "scores that are nan or infinite",
        "lower the learning rate or clip gradients",
    )
    _refuse(~labels.isfinite() & mask, "labels that are nan or infinite", "repair the ratings they come from")
    if any(metric.kind == "ndcg" for metric in metrics):
        _refuse(
            (labels < 0) & mask,
            "negative labels, for which NDCG has no meaning",
            "shift the ratings to start at 0",
        )
    rankings = {
        ties: rank(scores, labels, mask, ties)
        for ties in dict.fromkeys(metric.ties for metric in metrics if metric.is_ranking)
    }
    return {
        metric.name: _on_ranking(metric, rankings[metric.ties])
        if metric.is_ranking
        else _RATING[metric.kind](scores, labels, mask)
        for metric in metrics
    }


def random_floor(labels: Tensor, mask: Tensor, metric_set: str | tuple[Metric, ...]) -> dict[str, Tensor]:
    """What a uniformly random ranker scores on each query in expectation: name -> float64 `[..., tasks]`.

    Exact, by the closed forms for ties: a random ranking is a constant predictor whose ties are broken at
    random. Holds the ranking metrics of the set only; an error of ratings has no random ranker.
    """
    metrics = tuple(replace(metric, ties="expected") for metric in resolve(metric_set) if metric.is_ranking)
    return evaluate(torch.zeros_like(labels), labels, mask, metrics)


def ceiling(labels: Tensor, mask: Tensor, metric_set: str | tuple[Metric, ...]) -> dict[str, Tensor]:
    """What a predictor that knows the labels scores on each query: name -> float64 `[..., tasks]`.

    Not always 1: standard P@N cannot exceed (relevant entries) / N, nor Recall@N N / (relevant entries).
    """
    return evaluate(labels, labels, mask, metric_set)


class TaskMean(NamedTuple):
    """`mean` over the tasks where a metric is defined, and how many were `left_out`: both `[...]`."""

    mean: Tensor
    left_out: Tensor


def mean_over_tasks(values: Tensor) -> TaskMean:
    """Unweighted mean over tasks, `[..., tasks]` -> `[...]`, without the nan; nan if no task is left."""
    return TaskMean(values.nanmean(-1), values.isnan().sum(-1))


def _on_ranking(metric: Metric, ranking: Ranking) -> Tensor:
    match metric.kind:
        case "precision":
            return precision(ranking, metric.n, metric.form, metric.threshold)
        case "average_precision":
            return average_precision(ranking, metric.n, metric.form, metric.threshold)
        case "recall":
            return recall(ranking, metric.n, metric.threshold)
        case _:
            return ndcg(ranking, metric.n, metric.gain)


def _refuse(bad: Tensor, what: str, mend: str) -> None:
    tasks = bad.any(-1)
    if tasks.any():
        raise MetarecError(
            f"{int(tasks.sum())} of {tasks.numel()} tasks hold {what} among their query entries: {mend}."
        )
