"""A planted set small enough for loops: its schema and a ragged batch of tasks, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.data.synthetic import synthetic
from metarec.methods.base import Method, initialised
from metarec.tasks.batch import EpisodeTensors, Query, Support, TaskBatch
from metarec.tasks.episodes import Splits
from metarec.tasks.rules import cold_start_episodes

# Options of methods whose defaults would take minutes, or all memory, where every method is tried.
QUICK: dict[str, dict[str, Any]] = {
    "cmml": {"batch": 32, "gru": 16, "encoder_sizes": (16,)},
    "s2meta": {"batch": 32, "steps": 5, "hidden": (8, 8), "lstm": 4, "d": 4},
    "conet": {"steps": 5, "hidden": (8,)},
}


def tiny_ratings(kind: str = "explicit", fields: bool = True) -> Ratings:
    ratings = synthetic(3, n_users=60, n_items=40, kind=kind, ratings_per_user=(12, 20), n_scenarios=3)  # type: ignore[arg-type]
    return ratings if fields else replace(ratings, user_fields=(), item_fields=())


def tiny_splits(ratings: Ratings) -> Splits:
    return cold_start_episodes(ratings, shortest=8, longest=40, n_query=4, seed=1)


def tiny(kind: str = "explicit", tasks: int = 4, fields: bool = True) -> tuple[Schema, TaskBatch]:
    ratings = tiny_ratings(kind, fields)
    data = EpisodeTensors(tiny_splits(ratings).train, dtype=torch.float64)
    return Schema.of(ratings), data.batch(torch.arange(tasks))


def scenarios(tasks: int = 3, seed: int = 0) -> tuple[Schema, TaskBatch]:
    """Scenarios of mixed users with frozen vectors: a support of positives and drawn negatives in any order,
    a query in which two negatives follow each positive; both ragged.
    """
    rng = np.random.default_rng(seed)
    vectors = {"user_vectors": rng.normal(size=(12, 3)), "item_vectors": rng.normal(size=(20, 4))}
    schema = Schema(12, 20, "implicit", 0.0, 1.0, **vectors)
    n_s, n_q = 9, 12
    user = torch.as_tensor(rng.integers(0, 12, (tasks, n_s + n_q)))
    item = torch.as_tensor(rng.integers(0, 20, (tasks, n_s + n_q)))
    count_s, count_q = torch.arange(tasks) % 3 + n_s - 2, n_q - 3 * (torch.arange(tasks) % 2)
    mask_s, mask_q = torch.arange(n_s) < count_s[:, None], torch.arange(n_q) < count_q[:, None]
    labels = (torch.as_tensor(rng.random((tasks, n_s))) < 0.4).double() * mask_s
    wanted = (torch.arange(n_q) % 3 == 0).double() * mask_q
    user[:, n_s:] = user[:, n_s:].unflatten(1, (-1, 3))[..., :1].expand(-1, -1, 3).flatten(1)
    support = Support(user[:, :n_s], item[:, :n_s], mask_s, labels)
    return schema, TaskBatch(support, Query(user[:, n_s:], item[:, n_s:], mask_q), wanted)


def each_alone(batch: TaskBatch) -> Iterator[TaskBatch]:
    """Every task of a batch in a batch of its own, without padding."""
    s, q = batch.support, batch.query
    for t in range(len(s.mask)):
        keep, kept = s.mask[t], q.mask[t]

        def cut(value: Tensor, mask: Tensor, t: int = t) -> Tensor:
            return value[t : t + 1] if value.shape[1] == 1 else value[t : t + 1, mask]

        yield TaskBatch(
            Support(*(cut(v, keep) for v in s)),
            Query(*(cut(v, kept) for v in q)),
            batch.query_labels[t : t + 1, kept],
        )


def build(cls: type[Method], schema: Schema, seed: int = 0, **options: object) -> Method:
    """A method in float64, its weights drawn from `seed`."""
    with initialised(seed):
        return cls(schema, **options).double()  # type: ignore[call-arg]


def gradients(method: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    """The gradient of `loss` for every parameter; zeros where there is none."""
    named = dict(method.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {
        n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(named.items(), found, strict=True)
    }
