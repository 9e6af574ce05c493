"""A planted set small enough for loops: its schema and a ragged batch of tasks, in float64."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from metarec.data.ratings import Ratings
from metarec.data.schema import Schema
from metarec.data.synthetic import synthetic
from metarec.methods.base import Method, initialised
from metarec.tasks.batch import EpisodeTensors, TaskBatch
from metarec.tasks.episodes import Splits
from metarec.tasks.rules import cold_start_episodes


def tiny_ratings(kind: str = "explicit", fields: bool = True) -> Ratings:
    ratings = synthetic(3, n_users=60, n_items=40, kind=kind, ratings_per_user=(12, 20), n_scenarios=3)  # type: ignore[arg-type]
    return ratings if fields else replace(ratings, user_fields=(), item_fields=())


def tiny_splits(ratings: Ratings) -> Splits:
    return cold_start_episodes(ratings, shortest=8, longest=40, n_query=4, seed=1)


def tiny(kind: str = "explicit", tasks: int = 4, fields: bool = True) -> tuple[Schema, TaskBatch]:
    ratings = tiny_ratings(kind, fields)
    data = EpisodeTensors(tiny_splits(ratings).train, dtype=torch.float64)
    return Schema.of(ratings), data.batch(torch.arange(tasks))


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
