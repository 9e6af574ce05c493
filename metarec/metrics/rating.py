"""Errors of predicted ratings, in units of the rating, one number a task; nan for an empty query."""

from __future__ import annotations

import torch
from torch import Tensor

from metarec.metrics.ties import aligned


def mean_absolute_error(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """MAE of each task, (1/n_query) sum |y - yhat|: float64 `[..., tasks]`. Implements eq-pnmta-15.

    The paper's number is the mean of this over test users.
    """
    error, count = _errors(scores, labels, mask)
    return error.abs().sum(-1) / count


def mean_squared_error(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of each task: float64 `[..., tasks]` from `[..., tasks, n_query]`.

    Where every query has the same length, the pooled RMSE is the root of its mean over tasks.
    """
    error, count = _errors(scores, labels, mask)
    return error.square().sum(-1) / count


def root_mean_squared_error(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """RMSE of each task, sqrt((1/n_query) sum (y - yhat)^2): float64 `[..., tasks]`.

    PNMTA's RMSE formula is lost from its text; its mean over users is one reading, `pooled_rmse` the other.
    """
    return mean_squared_error(scores, labels, mask).sqrt()


def squared_error(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Sum of squared errors of each task, 0 for an empty query: float64 `[..., tasks]`."""
    return _errors(scores, labels, mask)[0].square().sum(-1)


def pooled_rmse(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """RMSE over the query entries of all tasks together, one vote an entry: float64 `[...]`."""
    error, count = _errors(scores, labels, mask)
    return (error.square().sum((-2, -1)) / count.sum(-1)).sqrt()


def _errors(scores: Tensor, labels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Errors with 0 at the padding (which may hold anything), and the length of each query."""
    scores, labels, mask = aligned(scores, labels, mask)
    return torch.where(mask, scores - labels, 0.0), mask.sum(-1)
