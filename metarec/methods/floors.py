"""Floors and the ceiling: what a method must beat, and what none can beat. Closed forms, no training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.layers.pooling import masked_average
from metarec.methods.base import Method, Noise, NoOptions, Stage, options_from
from metarec.tasks.batch import Query, Support
from metarec.tasks.episodes import Episodes


class Floor(Method):
    """A method without parameters: statistics from the training episodes, then a formula."""

    replicable = False

    def __init__(self, schema: Schema, **options: Any):
        super().__init__()
        options_from(NoOptions, options, type(self).__name__)
        self.schema = schema

    def stages(self) -> tuple[Stage, ...]:
        return ()


class RandomRanker(Floor):
    """Equal scores: with ties by expectation this is just what a random ranker scores on average."""

    rates = False

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        return torch.zeros_like(query.mask, dtype=support.labels.dtype)


class GlobalMean(Floor):
    r"""The constant $\mu$: the mean label of the training episodes."""

    mean: Tensor

    def fit(self, train: Episodes) -> None:
        mean = float(train.label.astype(np.float64).mean())
        self.register_buffer("mean", torch.tensor(mean))

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        return self.mean.to(support.labels).expand(query.mask.shape)


class ItemMean(Floor):
    r"""Damped item mean $\mu + \sum_u (y_{ui}-\mu) / (n_i+\lambda)$ over training episodes, $\lambda = 5$."""

    damping = 5.0
    value: Tensor

    def fit(self, train: Episodes) -> None:
        mean, deviation = _damped_items(train, self.schema.n_items, self.damping)
        self.register_buffer("value", torch.as_tensor(mean + deviation))

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        return self.value.to(support.labels)[query.item]


class Popularity(Floor):
    r"""How often an item was liked in the training episodes: $\#\{u : y_{ui} \ge \theta\}$.

    $\theta$ is 1 for implicit labels and 4 for ratings of 1 to 5 (in general the upper quarter of the
    scale). It ranks; it is no prediction of a rating, so errors are not reported for it.
    """

    rates = False
    count: Tensor

    def fit(self, train: Episodes) -> None:
        low, high = self.schema.low, self.schema.high
        threshold = high if self.schema.kind == "implicit" else low + 0.75 * (high - low)
        liked = train.label >= threshold
        counts = np.bincount(train.item[liked], minlength=self.schema.n_items)
        self.register_buffer("count", torch.as_tensor(counts.astype(np.float64)))

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        return self.count.to(support.labels)[query.item]


class DampedBias(Floor):
    r"""$\hat y_{ui} = \mu + b_i + b_u$, with $b_u = \sum_{S_u}(y - \mu - b_i)/(|S_u| + \lambda_u)$ from the
    support.

    $b_i$ is the damped item deviation of `ItemMean` (damping 5), $\lambda_u = 5$ (LensKit's form). The
    strongest method here that adapts to a user without learning anything.
    """

    damping_item = 5.0
    damping_user = 5.0
    value: Tensor

    def fit(self, train: Episodes) -> None:
        mean, deviation = _damped_items(train, self.schema.n_items, self.damping_item)
        self.register_buffer("value", torch.as_tensor(mean + deviation))

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        value = self.value.to(support.labels)
        n = support.mask.to(value).sum(-1, keepdim=True)
        residual = masked_average(support.labels - value[support.item], support.mask).unsqueeze(-1)
        return value[query.item] + residual * n / (n + self.damping_user)


class Oracle(Floor):
    """The ceiling: knows every label of the table (or, on planted data, every expected label).

    It looks labels up by (user, item), because no method is handed the labels of a query. A drawn pair that
    stands in no table is 0.
    """

    key: Tensor
    label: Tensor

    def reveal(self, ratings: Ratings) -> None:
        """Hand over the table; called by the experiment, never by the trainer."""
        key = ratings.user * ratings.n_items + ratings.item
        order = np.argsort(key, kind="stable")
        label = ratings.label.astype(np.float64)
        if ratings.truth is not None:
            label = ratings.truth.expected[ratings.user, ratings.item].astype(np.float64)
        self.register_buffer("key", torch.as_tensor(key[order]))
        self.register_buffer("label", torch.as_tensor(label[order]))

    def predict(self, support: Support, query: Query, noise: Noise | None = None) -> Tensor:
        key = query.user * self.schema.n_items + query.item
        found = torch.searchsorted(self.key, key.contiguous()).clamp(max=len(self.key) - 1)
        return torch.where(self.key[found] == key, self.label.to(support.labels)[found], 0.0)


def _damped_items(train: Episodes, n_items: int, damping: float) -> tuple[float, np.ndarray]:
    """Global mean and damped deviation of each item `[n_items]`; 0 for an item never seen in training."""
    item = train.item
    label = train.label.astype(np.float64)
    mean = float(label.mean())
    total = np.bincount(item, weights=label - mean, minlength=n_items)
    return mean, total / (np.bincount(item, minlength=n_items) + damping)
